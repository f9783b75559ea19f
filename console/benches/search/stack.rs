//! What indexes cost the whole path: the same load on two that are alike but for their database's
//! indexes, taking turns.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use mongodb::Client;
use testkit::bench::{connection, cpu, median};

const CONNECTIONS: usize = 64;
const TURN: Duration = Duration::from_secs(5);

/// Prints requests a second, and MongoDB's CPU time for each, of two addresses.
pub(crate) async fn measure(client: &Client, rounds: usize, addresses: [&str; 2]) {
    let mut figures = [const { (Vec::new(), Vec::new()) }; 2];
    for round in 0..=rounds {
        for (address, (rates, costs)) in addresses.iter().zip(&mut figures) {
            let (rate, cost) = turn(client, address).await;
            // The first round is to warm up.
            if round > 0 {
                rates.push(rate);
                costs.push(cost);
            }
        }
    }
    println!("| address | requests/s | MongoDB's CPU µs a request |");
    println!("|---|---:|---:|");
    for (address, (rates, costs)) in addresses.iter().zip(&figures) {
        println!(
            "| {address} | {:.0} | {:.1} |",
            median(rates.iter().copied()),
            median(costs.iter().copied())
        );
    }
    let [(first, _), (second, _)] = &figures;
    let beside = second.iter().zip(first).map(|(b, a)| b / a - 1.0);
    println!(
        "the second beside the first, requests/s, median of {rounds} pairs: {:+.1} %",
        median(beside) * 100.0
    );
}

async fn turn(client: &Client, address: &str) -> (f64, f64) {
    let before = cpu(client).await;
    let begun = Instant::now();
    let request = format!("GET /?a=b HTTP/1.1\r\nHost: {address}\r\nUser-Agent: bench\r\n\r\n");
    let one = |_| connection(address, &request, begun + TURN);
    let answered = join_all((0..CONNECTIONS).map(one)).await;
    let took = begun.elapsed().as_secs_f64();
    let requests: u32 = answered.into_iter().sum();
    let requests = f64::from(requests);
    (requests / took, (cpu(client).await - before) / requests)
}
