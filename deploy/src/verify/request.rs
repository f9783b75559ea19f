//! Requests from this machine through published ports.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::{Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use rand::distr::{Alphanumeric, SampleString};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use super::Check;
use crate::compose::model::ServiceName;

/// For the whole exchange; a request that takes longer counts as unanswered.
const TIMEOUT: Duration = Duration::from_secs(10);
/// More of an answer than anybody looks at.
const MAX_ANSWER: usize = 256 * 1024;
/// What listens but has nothing behind it closes within this time.
const LINGER: Duration = Duration::from_millis(300);

/// A request that was answered as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stored {
    /// 24 hexadecimal digits.
    pub id: String,
    /// Part of the request's URL; letters and digits.
    pub marker: String,
}

/// The port takes a connection and keeps it.
pub(super) async fn connects(service: &ServiceName, address: &str) -> Check {
    let tried = tokio::time::timeout(TIMEOUT, async {
        let mut stream = TcpStream::connect(address).await?;
        // Docker's port forwarder accepts before it knows whether anything listens behind it.
        match tokio::time::timeout(LINGER, stream.read_u8()).await {
            Ok(Err(err)) => Err(err),
            Ok(Ok(_)) | Err(_) => Ok(()),
        }
    });
    let observed = match tried.await {
        Ok(Ok(())) => Ok("open".to_owned()),
        Ok(Err(err)) => Err(err.to_string()),
        Err(_) => Err("no answer".to_owned()),
    };
    check(service, address, "tcp", "open", observed)
}

/// The port answers HTTP, whatever the status.
pub(super) async fn answers(service: &ServiceName, address: &str) -> Check {
    let observed = get(address, "/")
        .await
        .map(|(status, _)| format!("an answer: {status}"));
    check(service, address, "http", "an answer", observed)
}

/// A request that can be told from every other is answered 200 with the id it was stored under.
pub(super) async fn marked(service: &ServiceName, address: &str) -> (Check, Option<Stored>) {
    let marker = format!("verify{}", Alphanumeric.sample_string(&mut rand::rng(), 20));
    let answer = get(address, &format!("/?deploy={marker}")).await;
    let stored = answer.as_ref().ok().and_then(|(status, body)| {
        let id = (*status == StatusCode::OK).then(|| object_id(body))??;
        Some(Stored {
            id: id.to_owned(),
            marker,
        })
    });
    let observed = match (&answer, &stored) {
        (_, Some(stored)) => Ok(format!("200, id {}", stored.id)),
        (Ok((status, body)), None) => {
            let body: String = body.trim().chars().take(80).collect();
            Err(format!("{status}: {body:?}"))
        }
        (Err(err), None) => Err(err.clone()),
    };
    (
        check(service, address, "http", "200 and an id", observed),
        stored,
    )
}

fn check(
    service: &ServiceName,
    address: &str,
    by: &'static str,
    expected: &str,
    observed: Result<String, String>,
) -> Check {
    let ok = observed.is_ok();
    Check {
        from: "host".to_owned(),
        to: format!("{service} ({address})"),
        by,
        expected: expected.to_owned(),
        observed: observed.unwrap_or_else(|err| err),
        ok,
        cause: if ok {
            String::new()
        } else {
            format!("is {service} healthy, and does what it depends on answer? `deploy logs` tells")
        },
    }
}

async fn get(address: &str, path: &str) -> Result<(StatusCode, String), String> {
    let exchange = async {
        let stream = TcpStream::connect(address)
            .await
            .map_err(|err| err.to_string())?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|err| err.to_string())?;
        let request = Request::get(path)
            .header(header::HOST, address)
            .header(
                header::USER_AGENT,
                concat!("deploy/", env!("CARGO_PKG_VERSION")),
            )
            .header(header::CONNECTION, "close")
            .body(Empty::<Bytes>::new())
            .map_err(|err| err.to_string())?;
        let answer = async {
            let response = sender
                .send_request(request)
                .await
                .map_err(|err| err.to_string())?;
            let status = response.status();
            let body = Limited::new(response.into_body(), MAX_ANSWER)
                .collect()
                .await;
            let body = body.map_err(|err| err.to_string())?.to_bytes();
            Ok((status, String::from_utf8_lossy(&body).into_owned()))
        };
        // The connection only moves while it is polled; its own error shows in the answer.
        let (answer, _) = tokio::join!(answer, connection);
        answer
    };
    tokio::time::timeout(TIMEOUT, exchange)
        .await
        .unwrap_or_else(|_| Err(format!("no answer within {} s", TIMEOUT.as_secs())))
}

/// The first run of exactly 24 hexadecimal digits.
fn object_id(body: &str) -> Option<&str> {
    body.split(|c: char| !c.is_ascii_hexdigit())
        .find(|run| run.len() == 24)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_id_in_the_answer() {
        let body = "Request information stored successfully: 66f00000000000000000abcd\n";
        assert_eq!(object_id(body), Some("66f00000000000000000abcd"));
        assert_eq!(object_id("no id, deadbeef only"), None);
    }
}
