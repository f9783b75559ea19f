//! Documents that were there before, and whether they are there again.

use engine::error::Result;
use futures_util::TryStreamExt as _;
use mongodb::Collection;
use mongodb::bson::raw::RawDocumentBuf;
use mongodb::bson::{Document, doc};

use super::{COLLECTION, DATABASE, Database, broken};
use crate::seed::Dice;

/// Documents of a batch.
const BATCH: u64 = 1_000;
/// The mark of those that were there before, and of those that are written during the backup.
const SEEDED: &str = "chaos_seeded";
const WRITTEN: &str = "chaos_written";

/// How many documents, and a sum over all their bytes that doesn't ask for their order.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sum {
    documents: u64,
    bytes: u64,
    digest: u64,
}

impl Sum {
    fn add(&mut self, document: &[u8]) {
        self.documents += 1;
        self.bytes += document.len() as u64;
        // FNV-1a, of each document by itself.
        let hash = document
            .iter()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
                (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
            });
        self.digest = self.digest.wrapping_add(hash);
    }
}

impl Database {
    fn requests<T: Send + Sync>(&self) -> Collection<T> {
        self.client.database(DATABASE).collection(COLLECTION)
    }

    /// Puts so many documents there, of about 500 bytes, as recorded requests have.
    pub(crate) async fn seed(&self, documents: u64) -> Result<Sum> {
        let mut dice = Dice::new(documents, SEEDED);
        let mut left = documents;
        while left > 0 {
            let batch: Vec<Document> = (0..left.min(BATCH))
                .map(|number| {
                    let text = format!("{:016x}", dice.roll()).repeat(12);
                    doc! {
                        SEEDED: true, "endpoint": "home", "method": "POST",
                        "url": format!("http://chaos.test/?seeded={number}"),
                        "headers": { "Host": "chaos.test", "User-Agent": "chaos", "Accept": "*/*" },
                        "data": text, "remote_addr": "192.0.2.1",
                    }
                })
                .collect();
            left -= batch.len() as u64;
            let inserted = self.requests::<Document>().insert_many(batch).await;
            inserted.map_err(|error| broken("seed documents", &error))?;
        }
        self.sum().await
    }

    /// Of those that are there of these.
    pub(crate) async fn sum(&self) -> Result<Sum> {
        let summed = async {
            let mut found = self
                .requests::<RawDocumentBuf>()
                .find(doc! { SEEDED: true })
                .await?;
            let mut sum = Sum::default();
            while let Some(document) = found.try_next().await? {
                sum.add(document.as_bytes());
            }
            Ok(sum)
        };
        summed
            .await
            .map_err(|error| broken("read what was seeded", &error))
    }

    /// How many documents there are, about.
    pub(crate) async fn count(&self) -> Result<u64> {
        let count = self.requests::<Document>().estimated_document_count().await;
        count.map_err(|error| broken("count the documents", &error))
    }

    /// Writes one, durably.
    pub(crate) async fn write_one(&self, number: u64) -> Result<()> {
        let number = i64::try_from(number).unwrap_or(i64::MAX);
        let requests = self.requests::<Document>();
        let written = requests.insert_one(doc! { WRITTEN: number }).await;
        let written = written.map(drop);
        written.map_err(|error| broken("write during the backup", &error))
    }

    /// How many of the first of these are there.
    pub(crate) async fn written(&self, first: u64) -> Result<u64> {
        let first = i64::try_from(first).unwrap_or(i64::MAX);
        let requests = self.requests::<Document>();
        let count = requests.count_documents(doc! { WRITTEN: { "$lt": first } });
        count
            .await
            .map_err(|error| broken("count what was written", &error))
    }
}
