//! `keeper load`: documents from standard input into the collection, as far as they aren't there.
//!
//! Each batch is compared with what is there, and the rest inserted, acknowledged by the majority and in its
//! journals: so it can be run again wherever it was ended, and stores nothing twice. What is there is never
//! touched: a document that differs from the one of its `_id` in the stream, by a single byte, is told of.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::SystemTime;

use dump_stream::{END, FORMAT, Header, LONGEST_LINE, Progress, document_length};
use mongodb::bson::raw::RawDocumentBuf;
use mongodb::bson::{DateTime, doc};
use mongodb::error::{Error, ErrorKind, InsertManyError, Result as MongoResult};
use tokio::io::{
    AsyncBufRead, AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite,
    AsyncWriteExt as _, BufReader,
};

use super::{Failure, Patience, id_of, indexes, store, text_of, value_of};
use crate::settings::Settings;
use crate::store::Store;

/// Bytes of a batch, about: it ends with the document that reaches it.
const BATCH: usize = 1 << 20;
/// Documents of a batch, at most.
const MOST: usize = 1_000;
/// Bytes that are read at a time.
const PIECE: usize = 256 << 10;
/// Ids of documents that are different which are told of.
const NAMED: usize = 10;
/// MongoDB's code for an `_id` that is taken.
const DUPLICATE_KEY: i32 = 11000;

/// Loads what `input` has, and tells `output` how far it is.
///
/// # Errors
/// When MongoDB is away for too long or refuses, or the stream isn't one or ends early.
pub async fn run(
    settings: &Settings,
    input: impl AsyncRead + Unpin,
    output: impl AsyncWrite + Unpin,
) -> Result<Progress, Failure> {
    let store = store(settings).await?;
    let mut load = Load {
        store: &store,
        output,
        progress: Progress::default(),
        expired_before: settings
            .retention
            .and_then(|it| SystemTime::now().checked_sub(it)),
        expired: 0,
        last: None,
    };
    load.run(BufReader::with_capacity(PIECE, input)).await?;
    Ok(load.progress)
}

struct Load<'a, W> {
    store: &'a Store,
    output: W,
    progress: Progress,
    /// What was recorded before is too old to stay.
    expired_before: Option<SystemTime>,
    expired: u64,
    /// A document that was there already.
    last: Option<RawDocumentBuf>,
}

impl<W: AsyncWrite + Unpin> Load<'_, W> {
    async fn run(&mut self, mut input: impl AsyncBufRead + Unpin) -> Result<(), Failure> {
        let header = header(&mut input).await?;
        loop {
            let (batch, is_last) = batch(&mut input).await?;
            self.expired += batch.iter().filter(|it| self.is_expired(it)).count() as u64;
            self.store_batch(batch).await?;
            self.tell().await?;
            if is_last {
                break;
            }
        }
        self.settle().await?;
        self.miss_indexes(&header).await?;
        if self.expired > 0 {
            self.progress.notes.push(format!(
                "{} of the documents are older than KEEPER_RETENTION, and will be let go of again",
                self.expired
            ));
        }
        self.progress.done = true;
        self.tell().await
    }

    async fn tell(&mut self) -> Result<(), Failure> {
        let mut line = serde_json::to_vec(&self.progress).map_err(std::io::Error::from)?;
        line.push(b'\n');
        self.output.write_all(&line).await?;
        Ok(self.output.flush().await?)
    }

    fn is_expired(&self, document: &RawDocumentBuf) -> bool {
        let received = document.get_datetime("received_at").ok();
        let received = received.map(DateTime::to_system_time);
        self.expired_before
            .zip(received)
            .is_some_and(|(before, received)| received < before)
    }

    /// Stores what of the batch isn't there.
    async fn store_batch(&mut self, batch: Vec<RawDocumentBuf>) -> Result<(), Failure> {
        let mut left = HashMap::new();
        for document in batch {
            let id = id_of(&document)?.into_bytes();
            if let Some(twice) = left.insert(id, document) {
                return Err(Failure::Stream(format!(
                    "the document {} is there twice",
                    text_of(&id_of(&twice)?)
                )));
            }
        }
        let mut patience = Patience::new(self.store, "storing documents");
        while let Err(error) = self.attempt(&mut left).await? {
            patience.after(error).await?;
        }
        Ok(())
    }

    /// Looks what is there, and inserts the rest; or what MongoDB says, which may pass.
    async fn attempt(
        &mut self,
        left: &mut HashMap<Vec<u8>, RawDocumentBuf>,
    ) -> Result<MongoResult<()>, Failure> {
        if let Err(error) = self.compare(left).await? {
            return Ok(Err(error));
        }
        if left.is_empty() {
            return Ok(Ok(()));
        }
        let (ids, documents): (Vec<_>, Vec<_>) =
            left.iter().map(|(id, it)| (id.clone(), it.clone())).unzip();
        let documents = Arc::new(documents);
        let inserted = self.store.run({
            let documents = Arc::clone(&documents);
            move |requests| {
                let documents = Arc::clone(&documents);
                async move { requests.insert_many(documents.iter()).ordered(false).await }
            }
        });
        let rejected = match inserted.await {
            Ok(_) => Vec::new(),
            Err(error) => match rejections(error) {
                Ok(rejected) => rejected,
                Err(error) => return Ok(Err(error)),
            },
        };
        let mut duplicates = HashSet::new();
        for (index, code, message) in rejected {
            let id = ids.get(index).cloned().unwrap_or_default();
            if code != DUPLICATE_KEY {
                let text = documents.get(index).and_then(|it| id_of(it).ok());
                let text = text.map(|id| text_of(&id)).unwrap_or_default();
                return Err(Failure::Mongo {
                    doing: "storing the document",
                    said: format!("{text}: {message}"),
                });
            }
            duplicates.insert(id);
        }
        self.progress.stored += (ids.len() - duplicates.len()) as u64;
        left.retain(|id, _| duplicates.contains(id));
        if left.is_empty() {
            return Ok(Ok(()));
        }
        // Somebody else has stored them meanwhile; or it is another unique index that refuses them.
        if let Err(error) = self.compare(left).await? {
            return Ok(Err(error));
        }
        for document in std::mem::take(left).into_values() {
            self.differs(&document)?;
        }
        Ok(Ok(()))
    }

    /// Takes out of `left` what is there, and counts it.
    async fn compare(
        &mut self,
        left: &mut HashMap<Vec<u8>, RawDocumentBuf>,
    ) -> Result<MongoResult<()>, Failure> {
        let mut ids = Vec::with_capacity(left.len());
        for document in left.values() {
            let id = value_of(&id_of(document)?)?;
            ids.extend(id.get("_id").cloned());
        }
        let found = self.store.run(move |requests| {
            let filter = doc! { "_id": { "$in": ids.clone() } };
            async move { requests.find(filter).await }
        });
        let mut found = match found.await {
            Ok(found) => found,
            Err(error) => return Ok(Err(error)),
        };
        loop {
            match found.advance().await {
                Ok(true) => {}
                Ok(false) => return Ok(Ok(())),
                Err(error) => return Ok(Err(error)),
            }
            let there = found.current();
            let Some(ours) = left.remove(id_of(there)?.as_bytes()) else {
                continue;
            };
            if ours.as_bytes() == there.as_bytes() {
                self.progress.already += 1;
                self.last = Some(ours);
            } else {
                self.differs(&ours)?;
            }
        }
    }

    fn differs(&mut self, document: &RawDocumentBuf) -> Result<(), Failure> {
        self.progress.different += 1;
        if self.progress.different_ids.len() < NAMED {
            let id = id_of(document)?;
            self.progress.different_ids.push(text_of(&id));
        }
        Ok(())
    }

    /// What was there already may have come from a run that was ended before it was acknowledged: an insert
    /// that is refused waits for the majority as others do, and for all that was written before.
    async fn settle(&mut self) -> Result<(), Failure> {
        let Some(last) = self.last.take() else {
            return Ok(());
        };
        let mut patience = Patience::new(self.store, "waiting for the majority");
        loop {
            let last = last.clone();
            let inserted = self.store.run(move |requests| {
                let last = last.clone();
                async move { requests.insert_many([last]).await }
            });
            let Err(error) = inserted.await else {
                return Ok(());
            };
            match rejections(error) {
                Ok(_) => return Ok(()),
                Err(error) => patience.after(error).await?,
            }
        }
    }

    /// Tells of indexes that the collection had and hasn't: whoever has made them by hand can do so again. The
    /// keeper may not.
    async fn miss_indexes(&mut self, header: &Header) -> Result<(), Failure> {
        let there = indexes(self.store).await?;
        let metadata: serde_json::Value = serde_json::from_str(&header.metadata)
            .map_err(|error| Failure::Stream(format!("the collection's metadata: {error}")))?;
        let had = metadata["indexes"].as_array().into_iter().flatten();
        for name in had.filter_map(|it| it["name"].as_str()) {
            if name != "_id_" && there.iter().all(|it| it.get_str("name").ok() != Some(name)) {
                self.progress.notes.push(format!(
                    "the collection had an index {name}, and hasn't: docs/backup.md says how to create it"
                ));
            }
        }
        Ok(())
    }
}

/// The documents that were rejected, each with code and message: where the rest is durable.
fn rejections(error: Error) -> MongoResult<Vec<(usize, i32, String)>> {
    let rejected = match &*error.kind {
        ErrorKind::InsertMany(InsertManyError {
            write_errors: Some(rejected),
            write_concern_error: None,
            ..
        }) => rejected.iter(),
        _ => return Err(error),
    };
    Ok(rejected
        .map(|it| (it.index, it.code, it.message.clone()))
        .collect())
}

async fn header(input: &mut (impl AsyncBufRead + Unpin)) -> Result<Header, Failure> {
    let mut line = Vec::new();
    let mut limited = input.take(LONGEST_LINE as u64);
    limited.read_until(b'\n', &mut line).await?;
    let header: Header = serde_json::from_slice(&line).map_err(|error| {
        Failure::Stream(format!(
            "the stream begins with what isn't a header: {error}"
        ))
    })?;
    if header.format != FORMAT {
        return Err(Failure::Stream(format!(
            "the stream has the format {}, this keeper knows {FORMAT}",
            header.format
        )));
    }
    Ok(header)
}

/// The next documents, and whether they are the last.
async fn batch(
    input: &mut (impl AsyncBufRead + Unpin),
) -> Result<(Vec<RawDocumentBuf>, bool), Failure> {
    let (mut batch, mut bytes) = (Vec::new(), 0);
    while bytes < BATCH && batch.len() < MOST {
        let mut beginning = END;
        input.read_exact(&mut beginning).await.map_err(cut)?;
        if beginning == END {
            return Ok((batch, true));
        }
        let length = document_length(beginning, 0);
        let length = length.map_err(|error| Failure::Stream(error.to_string()))?;
        let mut document = vec![0; length];
        document[..END.len()].copy_from_slice(&beginning);
        let rest = &mut document[END.len()..];
        input.read_exact(rest).await.map_err(cut)?;
        let document = RawDocumentBuf::from_bytes(document)
            .map_err(|error| Failure::Stream(format!("a document that isn't one: {error}")))?;
        bytes += length;
        batch.push(document);
    }
    Ok((batch, false))
}

fn cut(error: std::io::Error) -> Failure {
    if error.kind() == std::io::ErrorKind::UnexpectedEof {
        return Failure::Stream("the stream ended before its last document".to_owned());
    }
    error.into()
}
