//! All that was recorded, dumped from one database and loaded into another.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use dump_stream::{END, Header, Progress, Summary};
use futures_util::TryStreamExt as _;
use keeper::copy::{dump, load};
use mongodb::bson::raw::RawDocumentBuf;
use mongodb::bson::spec::BinarySubtype;
use mongodb::bson::{Binary, Document, doc};
use testkit::mongo::Mongo;
use tokio::io::{AsyncReadExt as _, empty, sink};

use crate::support::{Requests, request};

/// Those that are there before anything is dumped: of every kind of `_id`, short and long.
fn documents(count: u32) -> Vec<Document> {
    let mut all: Vec<_> = (0..count)
        .map(|n| {
            let mut request = request(Duration::from_secs(u64::from(n)));
            request.insert("data", "é".repeat(n as usize % 997));
            request
        })
        .collect();
    let bytes = vec![0xff; 3 << 20];
    let body = Binary {
        subtype: BinarySubtype::Generic,
        bytes,
    };
    all.extend([
        doc! { "_id": "a text", "body": body },
        doc! { "_id": 7, "b": f64::NAN },
        doc! { "_id": { "a": 1 } },
        doc! { "_id": f64::NAN },
    ]);
    all
}

/// The documents' bytes, by `_id`.
async fn bytes(requests: &Requests) -> Vec<Vec<u8>> {
    let raw = requests.collection.clone_with_type::<RawDocumentBuf>();
    let found = raw.find(doc! {}).sort(doc! { "_id": 1 }).await.unwrap();
    let found: Vec<RawDocumentBuf> = found.try_collect().await.unwrap();
    found.into_iter().map(RawDocumentBuf::into_bytes).collect()
}

/// A dump with an end to everything, and what it says of itself.
async fn dumped(requests: &Requests) -> (Header, Vec<u8>, Summary) {
    let mut all = Vec::new();
    let open = tokio::io::duplex(1);
    let summary = dump::run(&requests.settings(&[]), open.0, &mut all)
        .await
        .unwrap();
    let line = all.iter().position(|byte| *byte == b'\n').unwrap();
    let header: Header = serde_json::from_slice(&all[..line]).unwrap();
    let rest = &all[line + 1..];
    let bytes = usize::try_from(summary.bytes).unwrap();
    let (documents, end) = rest.split_at(bytes);
    assert_eq!(end[..4], END);
    assert_eq!(
        serde_json::from_slice::<Summary>(&end[4..]).unwrap(),
        summary
    );
    (header, documents.to_vec(), summary)
}

/// What a load reads.
fn stream(header: &Header, documents: &[u8]) -> Vec<u8> {
    let mut line = serde_json::to_vec(header).unwrap();
    line.push(b'\n');
    [&line[..], documents, &END].concat()
}

async fn loaded(requests: &Requests, stream: &[u8]) -> Progress {
    let settings = requests.settings(&[]);
    load::run(&settings, stream, sink()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_dumped_is_loaded_to_the_byte_and_a_second_time_not_at_all() {
    let (from, to) = (Requests::new().await, Requests::new().await);
    let documents = documents(3_000);
    let count = documents.len() as u64;
    from.insert(&documents).await;
    let before = bytes(&from).await;

    let (header, dumped, summary) = dumped(&from).await;
    assert_eq!((summary.documents, header.documents), (count, count));
    assert!(
        dumped == before.concat(),
        "all of them, in the order of their ids"
    );
    let metadata: serde_json::Value = serde_json::from_str(&header.metadata).unwrap();
    assert_eq!(metadata["indexes"][0]["key"]["_id"]["$numberInt"], "1");
    assert_eq!(metadata["collectionName"], "requests");

    // Ended on the way, as by `kill -9`: within a document, behind some batches.
    let stream = stream(&header, &dumped);
    let cut = &stream[..stream.len() / 4 * 3];
    let ended = load::run(&to.settings(&[]), cut, sink()).await;
    assert!(ended.unwrap_err().to_string().contains("ended before"));
    let half = to.ids().await.len() as u64;
    assert!(0 < half && half < count, "{half} of {count}");

    let progress = loaded(&to, &stream).await;
    assert_eq!((progress.stored, progress.already), (count - half, half));
    assert!(progress.done && progress.different == 0 && progress.notes.is_empty());
    assert!(bytes(&to).await == before);

    let progress = loaded(&to, &stream).await;
    assert_eq!((progress.stored, progress.already), (0, count));
    assert!(bytes(&to).await == before);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_before_is_in_it_while_others_write() {
    let requests = Requests::new().await;
    let documents: Vec<_> = (0..5_000).map(|_| request(Duration::ZERO)).collect();
    requests.insert(&documents).await;
    let before = bytes(&requests).await;

    let done = Arc::new(AtomicBool::new(false));
    let writing = tokio::spawn({
        let (collection, done) = (requests.collection.clone(), Arc::clone(&done));
        async move {
            let mut written = 0;
            while !done.load(Ordering::Relaxed) {
                // Newer ones, and some that come in late.
                let late = request(Duration::from_secs(3));
                let new = [request(Duration::ZERO), late];
                collection.insert_many(new).await.unwrap();
                written += 1;
            }
            written
        }
    });
    let (_, all, summary) = dumped(&requests).await;
    done.store(true, Ordering::Relaxed);
    assert!(writing.await.unwrap() > 0);

    let mut dumped = Vec::new();
    let mut rest = &all[..];
    while let Some(length) = rest.first_chunk() {
        let (document, further) = rest.split_at(u32::from_le_bytes(*length) as usize);
        dumped.push(document);
        rest = further;
    }
    assert_eq!(dumped.len() as u64, summary.documents);
    let id = |document: &[u8]| document[4..21].to_vec();
    assert!(dumped.is_sorted_by(|a, b| id(a) < id(b)), "none twice");
    let missing = before
        .iter()
        .filter(|it| dumped.binary_search_by_key(&id(it), |it| id(it)).is_err());
    assert_eq!(missing.count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_there_is_never_touched_and_told_of_where_it_differs() {
    let (from, to) = (Requests::new().await, Requests::new().await);
    let documents = [
        doc! { "_id": 1, "a": 1 },
        doc! { "_id": 2, "a": 2 },
        doc! { "_id": 3 },
    ];
    from.insert(&documents).await;
    let by_a = doc! { "createIndexes": "requests", "indexes": [{ "key": { "a": 1 }, "name": "by a", "unique": true, "sparse": true }] };
    let database = |requests: &Requests| {
        let collection = &requests.collection;
        collection.client().database(&collection.namespace().db)
    };
    database(&from).run_command(by_a.clone()).await.unwrap();
    to.insert(&[doc! { "_id": 1, "a": 1_i64 }, doc! { "_id": 4 }])
        .await;

    let (header, dumped, _) = dumped(&from).await;
    let progress = loaded(&to, &stream(&header, &dumped)).await;
    assert_eq!(
        (progress.stored, progress.already, progress.different),
        (2, 0, 1)
    );
    assert_eq!(progress.different_ids, ["1"]);
    assert!(
        progress.notes[0].contains("index by a"),
        "{:?}",
        progress.notes
    );
    let kept = to.collection.find_one(doc! { "_id": 1 }).await.unwrap();
    assert_eq!(kept, Some(doc! { "_id": 1, "a": 1_i64 }));

    // Another unique index refuses one.
    to.collection.delete_one(doc! { "_id": 2 }).await.unwrap();
    to.insert(&[doc! { "_id": 5, "a": 2 }]).await;
    database(&to).run_command(by_a).await.unwrap();
    let progress = loaded(&to, &stream(&header, &dumped)).await;
    assert_eq!(
        (progress.stored, progress.already, progress.different),
        (0, 1, 2)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_at_all_can_be_dumped_and_loaded() {
    let (from, to) = (Requests::new().await, Requests::new().await);
    let (header, documents, summary) = dumped(&from).await;
    assert_eq!((documents.len(), summary.documents), (0, 0));
    let progress = loaded(&to, &stream(&header, b"")).await;
    assert!(progress.done);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dump_ends_with_whoever_wanted_it() {
    let requests = Requests::new().await;
    requests.insert(&documents(2_000)).await;
    // Nobody reads from it, so that it can't come to its end by itself.
    let (_unread, writer) = tokio::io::duplex(1_000);
    let ended = dump::run(&requests.settings(&[]), empty(), writer).await;
    assert!(ended.unwrap_err().to_string().contains("is gone"));
}

#[tokio::test(flavor = "multi_thread")]
async fn both_go_on_when_mongodb_was_away() {
    let mongo = Mongo::start().await;
    let from = Requests::at(&mongo.uri()).await;
    from.insert(&documents(5_000)).await;
    let before = bytes(&from).await;

    // It stops for as long as nobody reads on: by then there is another server.
    let (mut reader, writer) = tokio::io::duplex(64 << 10);
    let (open, _kept) = tokio::io::duplex(1);
    let settings = from.settings(&[]);
    let dumping = tokio::spawn(async move { dump::run(&settings, open, writer).await });
    let mut all = vec![0; 1 << 20];
    reader.read_exact(&mut all).await.unwrap();
    mongo.kill();
    mongo.start_again();
    reader.read_to_end(&mut all).await.unwrap();
    let summary = dumping.await.unwrap().unwrap();
    assert_eq!(summary.documents, before.len() as u64);

    // The same the other way.
    let to = Requests::at(&mongo.uri()).await;
    let line = all.iter().position(|byte| *byte == b'\n').unwrap();
    let documents = line + 1 + usize::try_from(summary.bytes).unwrap();
    all.truncate(documents + END.len());
    let (reader, mut writer) = tokio::io::duplex(64 << 10);
    let settings = to.settings(&[]);
    let loading = tokio::spawn(async move { load::run(&settings, reader, sink()).await });
    let (first, rest) = all.split_at(documents / 2);
    tokio::io::AsyncWriteExt::write_all(&mut writer, first)
        .await
        .unwrap();
    mongo.kill();
    mongo.start_again();
    tokio::io::AsyncWriteExt::write_all(&mut writer, rest)
        .await
        .unwrap();
    let progress = loading.await.unwrap().unwrap();
    assert_eq!(progress.stored + progress.already, summary.documents);
    assert!(bytes(&to).await == before);
}
