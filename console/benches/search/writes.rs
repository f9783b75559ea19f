//! What an index costs those who write: the same inserts into collections with it and without,
//! taking turns.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use mongodb::bson::doc;
use mongodb::bson::raw::RawDocumentBuf;
use mongodb::{Client, Collection, IndexModel};
use testkit::bench::{cpu, median};

use crate::DATABASE;
use crate::documents::Documents;

/// As large as the API's are under load.
const BATCH: u64 = 64;
const WRITERS: u64 = 4;
const TURN: Duration = Duration::from_secs(4);

/// Prints CPU time of MongoDB for each document, and documents a second, by their indexes.
pub(crate) async fn measure(client: &Client, rounds: usize) {
    let method = doc! { "method": 1, "_id": -1 };
    let address = doc! { "remote_addr": 1, "_id": -1 };
    let others = doc! { "$or": [
        { "method": { "$lt": "GET" } },
        { "method": { "$gt": "GET", "$lt": "POST" } },
        { "method": { "$gt": "POST" } },
    ] };
    let kinds = [
        ("none", vec![]),
        ("method", vec![(method.clone(), None)]),
        ("address", vec![(address.clone(), None)]),
        ("both", vec![(method.clone(), None), (address, None)]),
        ("method but GET and POST", vec![(method, Some(others))]),
    ];
    let mut collections = Vec::new();
    for (number, (name, indexes)) in kinds.iter().enumerate() {
        let collection: Collection<RawDocumentBuf> = client
            .database(DATABASE)
            .collection(&format!("writes{number}"));
        collection.drop().await.unwrap();
        client
            .database(DATABASE)
            .create_collection(collection.name())
            .await
            .unwrap();
        for (keys, partial) in indexes {
            let mut index = IndexModel::builder().keys(keys.clone()).build();
            index.options = partial.clone().map(|partial| {
                mongodb::options::IndexOptions::builder()
                    .partial_filter_expression(partial)
                    .build()
            });
            collection.create_index(index).await.unwrap();
        }
        collections.push((*name, collection));
    }
    let mut figures = vec![(Vec::new(), Vec::new()); collections.len()];
    let mut next = 0;
    for round in 0..=rounds {
        for (kind, (_, collection)) in collections.iter().enumerate() {
            let (cpu, rate) = turn(client, collection, &mut next).await;
            // The first round is to warm up.
            if round > 0 {
                figures[kind].0.push(cpu);
                figures[kind].1.push(rate);
            }
        }
    }
    println!(
        "| indexes besides _id | MongoDB's CPU µs a document | documents/s | CPU beside none |"
    );
    println!("|---|---:|---:|---:|");
    for ((name, collection), (cpu, rate)) in collections.iter().zip(&figures) {
        // Each turn beside the one without an index of the same round.
        let beside = cpu.iter().zip(&figures[0].0).map(|(a, b)| a / b - 1.0);
        println!(
            "| {name} | {:.1} | {:.0} | {:+.1} % |",
            median(cpu.iter().copied()),
            median(rate.iter().copied()),
            median(beside) * 100.0
        );
        collection.drop().await.unwrap();
    }
}

/// Inserts for a while; the server's CPU time for each document, in µs, and documents a second.
async fn turn(
    client: &Client,
    collection: &Collection<RawDocumentBuf>,
    next: &mut u64,
) -> (f64, f64) {
    let documents = Documents::over_thirty_days(10_000_000);
    let before = cpu(client).await;
    let begun = Instant::now();
    let first = *next;
    let writers = (0..WRITERS).map(|writer| async move {
        let mut inserted = 0;
        let mut index = first + writer * BATCH;
        while begun.elapsed() < TURN {
            let batch = (index..index + BATCH).map(|index| documents.get(index));
            collection.insert_many(batch).ordered(false).await.unwrap();
            index += WRITERS * BATCH;
            inserted += BATCH;
        }
        (inserted, index)
    });
    let written = join_all(writers).await;
    let took = begun.elapsed().as_secs_f64();
    let number: u64 = written.iter().map(|(inserted, _)| inserted).sum();
    *next = written.iter().map(|(_, index)| *index).max().unwrap();
    #[expect(clippy::cast_precision_loss, reason = "a figure")]
    let number = number as f64;
    ((cpu(client).await - before) / number, number / took)
}
