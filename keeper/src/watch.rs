//! How the collection, its disk and its members are: asked again and again.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use mongodb::bson::oid::ObjectId;
use mongodb::bson::raw::RawDocumentBuf;
use mongodb::bson::{DateTime, Document, doc};
use mongodb::error::{Error, ErrorKind, Result};
use tokio::time::{MissedTickBehavior, interval};

use crate::store::{Requests, Store};

/// Longest time for one of the questions.
const READ_LIMIT: Duration = Duration::from_secs(5);
/// MongoDB's codes for a collection that isn't there, and for a server that is in no replica set.
pub(crate) const NAMESPACE_NOT_FOUND: i32 = 26;
const NO_REPLICATION_ENABLED: i32 = 76;

/// What was seen. Sizes are bytes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Look {
    /// Of the documents as they are, not compressed.
    pub bytes: u64,
    pub documents: u64,
    /// When the oldest was recorded.
    pub oldest: Option<SystemTime>,
    /// MongoDB tells of it once it has the database.
    pub disk: Option<Disk>,
    /// How far each of a replica set is behind its primary.
    pub lags: Vec<(String, Duration)>,
}

/// The disk that the database is on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Disk {
    /// By whomever.
    pub used: u64,
    pub size: u64,
}

/// The last look. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Board(Arc<Mutex<Seen>>);

#[derive(Debug, Default)]
struct Seen {
    look: Option<Look>,
    /// Why the last one failed, if it did.
    problem: Option<String>,
}

impl Board {
    /// What was seen last, if anything was.
    pub fn look(&self) -> Option<Look> {
        self.seen().look.clone()
    }

    /// Whether the last look succeeded; else why not.
    pub fn outcome(&self) -> std::result::Result<(), String> {
        let seen = self.seen();
        match (&seen.problem, &seen.look) {
            (Some(problem), _) => Err(problem.clone()),
            (None, None) => Err("MongoDB hasn't answered yet".to_owned()),
            (None, Some(_)) => Ok(()),
        }
    }

    pub(crate) fn put_up(&self, look: Look) {
        let mut seen = self.seen();
        if seen.problem.take().is_some() {
            tracing::info!("MongoDB answers again");
        }
        seen.look = Some(look);
    }

    fn failed(&self, problem: String) {
        let mut seen = self.seen();
        if seen.problem.as_ref() != Some(&problem) {
            tracing::warn!(%problem, "MongoDB can't be looked at");
        }
        seen.problem = Some(problem);
    }

    /// What is in it is whole at every moment, a panic elsewhere or not.
    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Looks until dropped.
pub async fn run(store: Store, board: Board, pause: Duration) {
    let mut ticks = interval(pause);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        match look(&store).await {
            Ok(look) => board.put_up(look),
            Err(error) => board.failed(store.describe(&error)),
        }
    }
}

/// One look.
pub async fn look(store: &Store) -> Result<Look> {
    store
        .run(|requests| async move {
            let (bytes, documents) = size(&requests).await?;
            let database = requests.client().database(&requests.namespace().db);
            let disk = database.run_command(doc! { "dbStats": 1 }).await?;
            let disk = Disk {
                used: number(&disk, "fsUsedSize"),
                size: number(&disk, "fsTotalSize"),
            };
            let lags = requests
                .client()
                .database("admin")
                .run_command(doc! { "replSetGetStatus": 1 })
                .await;
            let lags = match lags {
                Ok(status) => lags_in(&status),
                Err(error) if has_code(&error, NO_REPLICATION_ENABLED) => Vec::new(),
                Err(error) => return Err(error),
            };
            Ok(Look {
                bytes,
                documents,
                oldest: oldest(&requests).await?,
                disk: Some(disk).filter(|disk| disk.size > 0),
                lags,
            })
        })
        .await
}

/// Bytes and number of the documents.
pub(crate) async fn size_of(store: &Store) -> Result<(u64, u64)> {
    store
        .run(|requests| async move { size(&requests).await })
        .await
}

/// When the oldest was recorded.
pub(crate) async fn oldest_of(store: &Store) -> Result<Option<SystemTime>> {
    store
        .run(|requests| async move { oldest(&requests).await })
        .await
}

/// Bytes and number of the documents. MongoDB keeps them up to date with every write.
async fn size(requests: &Requests) -> Result<(u64, u64)> {
    let stats = doc! { "$collStats": { "storageStats": {} } };
    let only = doc! { "$project": { "storageStats.size": 1, "storageStats.count": 1 } };
    let answer = requests.aggregate([stats, only]).max_time(READ_LIMIT).await;
    let mut answer = match answer {
        Err(error) if has_code(&error, NAMESPACE_NOT_FOUND) => return Ok((0, 0)),
        answer => answer?.with_type::<Document>(),
    };
    if !answer.advance().await? {
        return Ok((0, 0));
    }
    let stats = answer.deserialize_current()?;
    let stats = stats.get_document("storageStats").cloned();
    let stats = stats.unwrap_or_default();
    Ok((number(&stats, "size"), number(&stats, "count")))
}

/// When the oldest was recorded: by itself, or where it doesn't say, by its id.
async fn oldest(requests: &Requests) -> Result<Option<SystemTime>> {
    let first = requests
        .find_one(doc! { "_id": { "$gte": ObjectId::from_bytes([0; 12]) } })
        .sort(doc! { "_id": 1 })
        .projection(doc! { "received_at": 1 })
        .max_time(READ_LIMIT)
        .await?;
    Ok(first.as_ref().and_then(time_of))
}

/// When a document was recorded.
pub(crate) fn time_of(document: &RawDocumentBuf) -> Option<SystemTime> {
    let said = document.get_datetime("received_at").ok();
    let id = || document.get_object_id("_id").ok().map(|id| id.timestamp());
    said.or_else(id).map(DateTime::to_system_time)
}

fn lags_in(status: &Document) -> Vec<(String, Duration)> {
    let members = status.get_array("members").ok();
    let members = members
        .into_iter()
        .flatten()
        .filter_map(|it| it.as_document());
    let optime = |member: &Document| member.get_datetime("optimeDate").ok().copied();
    let primary = members.clone().find(|member| {
        member
            .get_str("stateStr")
            .is_ok_and(|state| state == "PRIMARY")
    });
    let Some(newest) = primary.and_then(optime) else {
        return Vec::new();
    };
    let lags = members.filter_map(|member| {
        let name = member.get_str("name").ok()?.to_owned();
        let behind = newest.timestamp_millis() - optime(member)?.timestamp_millis();
        let behind = u64::try_from(behind).unwrap_or_default();
        Some((name, Duration::from_millis(behind)))
    });
    lags.collect()
}

/// MongoDB tells numbers as whichever type they came out as.
fn number(document: &Document, key: &str) -> u64 {
    use mongodb::bson::Bson;
    match document.get(key) {
        Some(Bson::Int32(number)) => u64::try_from(*number).unwrap_or_default(),
        Some(Bson::Int64(number)) => u64::try_from(*number).unwrap_or_default(),
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a size, which fits"
        )]
        Some(Bson::Double(number)) => *number as u64,
        _ => 0,
    }
}

pub(crate) fn has_code(error: &Error, code: i32) -> bool {
    matches!(&*error.kind, ErrorKind::Command(failed) if failed.code == code)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(name: &str, state: &str, millis: i64) -> Document {
        doc! { "name": name, "stateStr": state, "optimeDate": DateTime::from_millis(millis) }
    }

    #[test]
    fn members_are_as_far_behind_as_their_last_write_is() {
        let members = [
            member("a", "SECONDARY", 1_000),
            member("b", "PRIMARY", 3_500),
            member("c", "SECONDARY", 3_600),
        ];
        let lags = lags_in(&doc! { "members": members });
        let expected = [("a", 2_500), ("b", 0), ("c", 0)];
        let expected = expected.map(|(name, lag)| (name.to_owned(), Duration::from_millis(lag)));
        assert_eq!(lags, expected);
        let none = doc! { "members": [member("a", "SECONDARY", 1)] };
        assert_eq!(lags_in(&none), []);
    }
}
