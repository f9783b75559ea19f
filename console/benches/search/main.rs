//! Searches of a large collection: how long each takes, and what an index costs those who write.
//!
//! docs/search.md has the figures and how they were come by.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a measurement tells what it finds, and ends where it can't go on"
)]

mod documents;
mod searches;
mod stack;
mod writes;

use std::time::Instant;

use futures_util::stream::{self, StreamExt as _};
use mongodb::bson::raw::RawDocumentBuf;
use mongodb::options::{Acknowledgment, WriteConcern};
use mongodb::{Client, Collection};

use crate::documents::Documents;

const USAGE: &str =
    "usage: search fill NUMBER | searches | writes ROUNDS | stack ROUNDS ADDRESS ADDRESS
MongoDB is at SEARCH_MONGO_URI, else at mongodb://127.0.0.1:27118";
const DATABASE: &str = "searchBench";
/// Documents of an insert.
const BATCH: u64 = 5_000;

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|it| it != "--bench")
        .collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let uri = std::env::var("SEARCH_MONGO_URI")
        .unwrap_or_else(|_| "mongodb://127.0.0.1:27118".to_owned());
    let client = Client::with_uri_str(&uri).await.unwrap();
    match arguments[..] {
        ["fill", number] => fill(&client, number.parse().expect(USAGE)).await,
        ["searches"] => searches::measure(&uri, &client).await,
        ["writes", rounds] => writes::measure(&client, rounds.parse().expect(USAGE)).await,
        ["stack", rounds, first, second] => {
            stack::measure(&client, rounds.parse().expect(USAGE), [first, second]).await;
        }
        _ => eprintln!("{USAGE}"),
    }
}

/// Puts that many documents there, over thirty days up to now.
async fn fill(client: &Client, number: u64) {
    let requests: Collection<RawDocumentBuf> = client.database(DATABASE).collection("requests");
    requests.drop().await.unwrap();
    let documents = Documents::over_thirty_days(number);
    let began = Instant::now();
    let batches = stream::iter((0..number).step_by(usize::try_from(BATCH).unwrap()));
    batches
        .map(|from| {
            let requests = requests.clone();
            async move {
                let batch = (from..number.min(from + BATCH)).map(|index| documents.get(index));
                let quickly = WriteConcern::builder()
                    .w(Acknowledgment::Nodes(1))
                    .journal(false)
                    .build();
                let inserting = requests.insert_many(batch).ordered(false);
                inserting.write_concern(quickly).await.unwrap();
                from
            }
        })
        .buffered(2)
        .for_each(|from| async move {
            if from % 100_000 == 0 {
                println!("{from} in {:.0?}", began.elapsed());
            }
        })
        .await;
    println!("{number} in {:.0?}", began.elapsed());
}
