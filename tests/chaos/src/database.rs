//! Reading back what the API stored, straight from MongoDB: neither the proxy nor the API has a
//! part in the check.

mod seed;
mod set;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use engine::error::{Error, Result};
use futures_util::TryStreamExt;
use mongodb::bson::spec::BinarySubtype;
use mongodb::bson::{Binary, Document as Bson, doc};
use mongodb::options::{ClientOptions, Credential, ServerAddress};
use mongodb::{Client, Collection};

use crate::audit::Document;
use crate::load::request::TOKEN;
use crate::passage::Passage;
use crate::seed::Dice;
pub(crate) use seed::Sum;

const DATABASE: &str = "myDatabase";
const COLLECTION: &str = "requests";
const PORT: u16 = 27_017;
/// Longest wait for the server to be found.
const PATIENCE: Duration = Duration::from_secs(30);
/// Bytes; half of the largest document there may be.
const NOISE: usize = 8 << 20;

/// A client with the rights of root, from the engine's host.
#[derive(Debug, Clone)]
pub(crate) struct Database {
    client: Client,
    _passage: Arc<Passage>,
}

impl Database {
    /// For the server that is process `pid`; a container that is started again is another one.
    ///
    /// # Errors
    /// When the password can't be read, or the process's network namespace can't be entered.
    pub(crate) async fn of(pid: i32, password_file: &Path) -> Result<Self> {
        Self::at(&PathBuf::from(format!("/proc/{pid}")), password_file).await
    }

    /// For the server that has this folder in `/proc`, by whichever way that leads to it.
    ///
    /// # Errors
    /// As [`of`](Self::of).
    pub(crate) async fn at(process: &Path, password_file: &Path) -> Result<Self> {
        let password = tokio::fs::read_to_string(password_file)
            .await
            .map_err(|error| {
                Error::failed(
                    format!(
                        "can't read the database's root password from {}: {error}",
                        password_file.display()
                    ),
                    "run it from the directory of the stack's compose.yaml, or name the file with \
                     --mongo-password-file",
                )
            })?;
        let credential = Credential::builder()
            .username("root".to_owned())
            .password(password.trim_end().to_owned())
            .source("admin".to_owned())
            .build();
        let passage = Passage::to(process, PORT).await.map_err(|error| {
            Error::failed(
                format!(
                    "can't enter the network of the database's process {}: {error}",
                    process.display()
                ),
                "run the suite as root, on the engine's host",
            )
        })?;
        let options = ClientOptions::builder()
            .hosts(vec![ServerAddress::Tcp {
                host: passage.address.ip().to_string(),
                port: Some(passage.address.port()),
            }])
            .credential(credential)
            .direct_connection(true)
            .server_selection_timeout(PATIENCE)
            .heartbeat_freq(Duration::from_secs(1))
            .app_name("causeway-chaos".to_owned())
            .build();
        let client = Client::with_options(options).map_err(|error| broken("connect", &error))?;
        Ok(Self {
            client,
            _passage: Arc::new(passage),
        })
    }

    /// The documents whose token is `prefix` and a number; `prefix` is plain text for a regular
    /// expression, and may itself be the beginning of another round's.
    pub(crate) async fn documents(&self, prefix: &str) -> Result<Vec<Document>> {
        let collection: Collection<Bson> = self.client.database(DATABASE).collection(COLLECTION);
        let token = format!("headers.{TOKEN}");
        let cursor = collection
            .find(doc! { token.as_str(): { "$regex": format!("^{prefix}[0-9]+$") } })
            .projection(doc! { token.as_str(): 1, "method": 1, "url": 1, "data": 1 })
            .await;
        let stored: Vec<Bson> = match cursor {
            Ok(cursor) => cursor.try_collect().await,
            Err(error) => Err(error),
        }
        .map_err(|error| broken("read the stored requests", &error))?;
        Ok(stored.iter().map(document).collect())
    }

    /// Tokens that begin with `prefix` and stand in more than one document.
    pub(crate) async fn duplicates(&self, prefix: &str) -> Result<Vec<String>> {
        let token = format!("headers.{TOKEN}");
        let stages = [
            doc! { "$match": { token.as_str(): { "$regex": format!("^{prefix}") } } },
            doc! { "$group": { "_id": format!("${token}"), "count": { "$sum": 1 } } },
            doc! { "$match": { "count": { "$gt": 1 } } },
        ];
        let collection: Collection<Bson> = self.client.database(DATABASE).collection(COLLECTION);
        let groups: Vec<Bson> = match collection.aggregate(stages).await {
            Ok(cursor) => cursor.try_collect().await,
            Err(error) => Err(error),
        }
        .map_err(|error| broken("count the stored requests", &error))?;
        Ok(groups
            .iter()
            .map(|group| group.get_str("_id").unwrap_or_default().to_owned())
            .collect())
    }

    /// Makes the server write to its files now what it would write within a minute anyway, and more
    /// than fits into the space that they have: [`NOISE`] bytes that don't compress, in a document of
    /// a database of the suite's own, put in the place of the one before.
    pub(crate) async fn swell(&self, dice: &mut Dice) -> Result<()> {
        let bytes: Vec<u8> = std::iter::repeat_with(|| dice.roll().to_le_bytes())
            .take(NOISE / size_of::<u64>())
            .flatten()
            .collect();
        let noise = Binary {
            subtype: BinarySubtype::Generic,
            bytes,
        };
        let failed =
            |error: mongodb::error::Error| broken("write more than there is room for", &error);
        let collection: Collection<Bson> = self.client.database("chaos").collection("noise");
        collection
            .replace_one(doc! { "_id": 0 }, doc! { "noise": noise })
            .upsert(true)
            .await
            .map_err(failed)?;
        let admin = self.client.database("admin");
        admin
            .run_command(doc! { "fsync": 1 })
            .await
            .map(drop)
            .map_err(failed)
    }
}

fn document(stored: &Bson) -> Document {
    let text = |name: &str| stored.get_str(name).unwrap_or_default().to_owned();
    let token = stored
        .get_document("headers")
        .and_then(|headers| headers.get_str(TOKEN));
    Document {
        id: stored
            .get_object_id("_id")
            .map(mongodb::bson::oid::ObjectId::to_hex)
            .unwrap_or_default(),
        token: token.unwrap_or_default().to_owned(),
        method: text("method"),
        url: text("url"),
        data: text("data"),
    }
}

fn broken(doing: &str, error: &mongodb::error::Error) -> Error {
    Error::failed(
        format!("could not {doing} at the database: {error}"),
        "see whether it runs (`deploy ps`, `deploy logs mongo`) and run the suite again",
    )
}
