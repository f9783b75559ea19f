//! For measurements of a stack that runs: load, what MongoDB takes for it, and medians.

use std::time::Instant;

use mongodb::Client;
use mongodb::bson::doc;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Sends the request on one connection, again and again, up to an end; how many were answered 200.
pub async fn connection(address: &str, request: &str, end: Instant) -> u32 {
    let mut stream = TcpStream::connect(address).await.unwrap();
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

/// MongoDB's CPU time so far, in µs.
pub async fn cpu(client: &Client) -> f64 {
    let status = client.database("admin");
    let status = status.run_command(doc! { "serverStatus": 1 }).await;
    let status = status.unwrap();
    let extra = status.get_document("extra_info").unwrap();
    let of = |field| {
        let time = extra.get(field).unwrap();
        time.as_i64().or(time.as_i32().map(i64::from)).unwrap()
    };
    #[expect(clippy::cast_precision_loss, reason = "a figure")]
    let micros = (of("user_time_us") + of("system_time_us")) as f64;
    micros
}

/// The one in the middle; of an even number, the upper of the two.
pub fn median(figures: impl IntoIterator<Item = f64>) -> f64 {
    let mut sorted: Vec<_> = figures.into_iter().collect();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}
