//! What it costs those who write that the keeper lets go of requests meanwhile, and what a TTL index would:
//! requests to a running API in turns, with and without.
//!
//! docs/retention.md has the figures and the commands.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a measurement tells what it finds, and ends where it can't go on"
)]

use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

use futures_util::future::join_all;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{DateTime, Document, doc};
use mongodb::options::IndexOptions;
use mongodb::{Client, Collection, IndexModel};
use testkit::bench::{connection, cpu, median};
use tokio::time::sleep;

const USAGE: &str =
    "usage: retention fill DATABASE | sweep ROUNDS ADDRESS PROGRAM [ARGUMENT…] | ttl ROUNDS ADDRESS DATABASE ADDRESS DATABASE
Each ADDRESS is of an API that writes to that DATABASE; PROGRAM is a keeper. MongoDB is at KEEPER_MONGO_URI";
const CONNECTIONS: usize = 64;
const TURN: Duration = Duration::from_secs(12);
const WARM_UP: Duration = Duration::from_secs(4);
/// Requests that are too old, so that there is always something to let go of.
const OLD: u32 = 300_000;
/// Of a stored request.
const BODY: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

#[tokio::main]
async fn main() {
    let arguments = std::env::args().skip(1).filter(|it| it != "--bench");
    let arguments: Vec<String> = arguments.collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let uri = std::env::var("KEEPER_MONGO_URI").unwrap_or_default();
    let client = Client::with_uri_str(&uri).await.unwrap();
    let of = |database: &str| client.database(database).collection::<Document>("requests");
    match arguments[..] {
        ["fill", database] => fill(&of(database)).await,
        ["sweep", rounds, address, program, ref arguments @ ..] => {
            let with = async || {
                let mut keeper = Command::new(program).args(arguments).spawn().unwrap();
                // Connected, and at work.
                sleep(WARM_UP).await;
                let figures = turn(&client, address).await;
                keeper.kill().unwrap();
                keeper.wait().unwrap();
                figures
            };
            let without = async || turn(&client, address).await;
            compare(rounds.parse().unwrap(), without, with).await;
        }
        ["ttl", rounds, first, first_database, second, database] => {
            of(first_database).drop_indexes().await.unwrap_or_default();
            let options = IndexOptions::builder().expire_after(Duration::from_secs(3_000_000));
            let index = IndexModel::builder()
                .keys(doc! { "received_at": 1 })
                .options(options.build());
            of(database).create_index(index.build()).await.unwrap();
            let without = async || turn(&client, first).await;
            let with = async || turn(&client, second).await;
            compare(rounds.parse().unwrap(), without, with).await;
        }
        _ => eprintln!("{USAGE}"),
    }
}

/// Requests of a month ago.
async fn fill(requests: &Collection<Document>) {
    let day = Duration::from_secs(24 * 60 * 60);
    let begin = SystemTime::now() - 30 * day;
    let mut number = 0;
    while number < OLD {
        let documents = (number..number + 1000).map(|number| {
            let at = begin + Duration::from_secs(number.into()) / 10;
            let seconds = at.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
            let mut id = ObjectId::new().bytes();
            id[..4].copy_from_slice(&u32::try_from(seconds).unwrap().to_be_bytes());
            doc! {
                "_id": ObjectId::from_bytes(id),
                "endpoint": "home",
                "method": "POST",
                "url": "https://hooks.example.com/?source=shop",
                "headers": {
                    "Accept": "*/*", "Content-Length": "64", "Host": "hooks.example.com",
                    "User-Agent": "Shop/1.0 (+https://shop.example)", "X-Forwarded-Proto": "https",
                },
                "data": BODY,
                "received_at": DateTime::from_system_time(at),
                "remote_addr": "192.0.2.1",
            }
        });
        requests.insert_many(documents).await.unwrap();
        number += 1000;
    }
}

/// What a turn came to.
#[derive(Clone, Copy)]
struct Figures {
    requests: u32,
    seconds: f64,
    /// MongoDB's CPU time for each, in µs.
    cpu: f64,
}

impl Figures {
    fn rate(self) -> f64 {
        f64::from(self.requests) / self.seconds
    }
}

/// Has the two take turns, the first beginning in every other round, and prints what each came to.
async fn compare(
    rounds: usize,
    without: impl AsyncFn() -> Figures,
    with: impl AsyncFn() -> Figures,
) {
    let mut pairs = Vec::new();
    for round in 0..=rounds {
        let (a, b) = if round % 2 == 0 {
            let first = without().await;
            (first, with().await)
        } else {
            let first = with().await;
            (without().await, first)
        };
        // The first round is to warm up.
        if round > 0 {
            println!("{round}: {:.0} without, {:.0} with", a.rate(), b.rate());
            pairs.push((a, b));
        }
    }
    let tell = |what: &str, figure: fn(Figures) -> f64| {
        let median_of = |of: fn(&(Figures, Figures)) -> Figures| {
            median(pairs.iter().map(|pair| figure(of(pair))))
        };
        let beside = pairs.iter().map(|(a, b)| figure(*b) / figure(*a) - 1.0);
        println!(
            "{what}: {:.1} without, {:.1} with; beside each other, median of {rounds} pairs: {:+.1} %",
            median_of(|pair| pair.0),
            median_of(|pair| pair.1),
            median(beside) * 100.0
        );
    };
    tell("requests/s", Figures::rate);
    tell("MongoDB's CPU, µs a request", |figures| figures.cpu);
}

async fn turn(client: &Client, address: &str) -> Figures {
    let before = cpu(client).await;
    let begun = Instant::now();
    let length = BODY.len();
    let request = format!(
        "POST /?a=b HTTP/1.1\r\nHost: {address}\r\nContent-Length: {length}\r\nUser-Agent: bench\r\n\r\n{BODY}"
    );
    let one = |_| connection(address, &request, begun + TURN);
    let answered = join_all((0..CONNECTIONS).map(one)).await;
    let seconds = begun.elapsed().as_secs_f64();
    let requests = answered.into_iter().sum();
    Figures {
        requests,
        seconds,
        cpu: (cpu(client).await - before) / f64::from(requests),
    }
}
