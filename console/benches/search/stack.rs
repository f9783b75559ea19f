//! What indexes cost the whole path: the same load on two that are alike but for their database's
//! indexes, taking turns.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use mongodb::Client;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::writes::{cpu, median};

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
            median(rates),
            median(costs)
        );
    }
    let [(first, _), (second, _)] = &figures;
    let beside: Vec<_> = second.iter().zip(first).map(|(b, a)| b / a - 1.0).collect();
    println!(
        "the second beside the first, requests/s, median of {rounds} pairs: {:+.1} %",
        median(&beside) * 100.0
    );
}

async fn turn(client: &Client, address: &str) -> (f64, f64) {
    let before = cpu(client).await;
    let begun = Instant::now();
    let answered = join_all((0..CONNECTIONS).map(|_| connection(address, begun + TURN))).await;
    let took = begun.elapsed().as_secs_f64();
    let requests: u32 = answered.into_iter().sum();
    let requests = f64::from(requests);
    (requests / took, (cpu(client).await - before) / requests)
}

/// Requests, one after the other, up to an end; how many were answered.
async fn connection(address: &str, end: Instant) -> u32 {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET /?a=b HTTP/1.1\r\nHost: {address}\r\nUser-Agent: bench\r\n\r\n");
    let mut buffer = vec![0; 16 << 10];
    let mut answered = 0;
    while Instant::now() < end {
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut length = 0;
        while !is_whole(&buffer[..length]) {
            let more = stream.read(&mut buffer[length..]).await.unwrap();
            assert!(more > 0, "{}", String::from_utf8_lossy(&buffer[..length]));
            length += more;
        }
        assert!(buffer.starts_with(b"HTTP/1.1 200"));
        answered += 1;
    }
    answered
}

fn is_whole(answer: &[u8]) -> bool {
    let text = String::from_utf8_lossy(answer).to_ascii_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head.split_once("content-length: ");
    let length = length.and_then(|(_, rest)| rest.lines().next()?.trim().parse().ok());
    body.len() >= length.unwrap_or(usize::MAX)
}
