//! What one attacking client does with its connection.

use std::fmt::Write as _;
use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy, sink, split};
use tokio::time::sleep;

use super::Target;
use super::frames::Flood;
use crate::load::answer;
use crate::load::carrier::Carrier;

/// Between two bytes of a client that sends slowly.
const DRIP: Duration = Duration::from_secs(3);
/// Between two bytes of a client that reads slowly.
const SIP: Duration = Duration::from_secs(1);
/// What a client that reads slowly has room for, in bytes; the kernel takes the least that it can.
pub(crate) const SMALL_WINDOW: u32 = 1_024;
/// The record that a `ClientHello` begins with: 512 bytes are to come (RFC 8446 §5.1).
const RECORD: &[u8] = &[22, 3, 1, 2, 0];
/// More than any answer here needs. Each client has one.
const ANSWER: usize = 2 * 1_024;

/// A client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Client {
    /// Begins a request and never ends it.
    Unfinished {
        /// Bytes of the head, made up with a field; a shorter one than there can be is the shortest.
        head: usize,
        /// What of the body follows.
        body: Body,
        /// Whether a byte follows now and then; otherwise nothing does.
        drips: bool,
    },
    /// Begins a TLS handshake, and sends a byte of it now and then.
    Hello,
    /// Ends as soon as the handshake is complete, and begins the next one.
    Handshake,
    /// Does what frames of HTTP/2 can do.
    Flood(Flood),
    /// Asks, and takes a byte of what it asked for now and then.
    SlowReader {
        /// Requests, sent at once.
        requests: usize,
    },
    /// Asks again as soon as it is answered.
    Eager {
        /// What for.
        path: &'static str,
        /// Bytes of the body; 0: a `GET`.
        body: usize,
    },
}

/// The body of a request that isn't sent to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Body {
    /// None: not even the head has its end.
    None,
    /// With `Content-Length`.
    Sized {
        /// What it says.
        length: usize,
        /// Bytes that are sent.
        sent: usize,
    },
    /// In chunks: one of them, of which some bytes are sent.
    Chunked {
        /// Bytes that are sent.
        sent: usize,
    },
}

impl Client {
    /// What it sends first; a client that asks again sends it again.
    pub(crate) fn opening(self) -> Vec<u8> {
        match self {
            Self::Unfinished { head, body, .. } => unfinished(head, body),
            Self::Hello => RECORD.to_vec(),
            Self::Handshake => Vec::new(),
            Self::Flood(flood) => flood.opening(),
            // Answered 404, by the API: nothing is stored, and the database isn't asked.
            Self::SlowReader { requests } => "GET /none HTTP/1.1\r\nHost: abc\r\n\r\n"
                .repeat(requests)
                .into_bytes(),
            Self::Eager { path, body: 0 } => {
                format!("GET {path} HTTP/1.1\r\nHost: abc\r\n\r\n").into_bytes()
            }
            Self::Eager { path, body } => format!(
                "POST {path} HTTP/1.1\r\nHost: abc\r\nContent-Length: {body}\r\n\r\n{}",
                "x".repeat(body)
            )
            .into_bytes(),
        }
    }

    /// Whether it takes so little at a time that the other side can't get rid of an answer.
    pub(crate) const fn has_small_window(self) -> bool {
        matches!(self, Self::SlowReader { .. })
    }

    /// What its connection to `target` is made of.
    pub(crate) const fn carrier(self, target: Target) -> Carrier {
        match (self, target) {
            (Self::Hello, _) | (_, Target::Proxy | Target::Api) => Carrier::Plain,
            (Self::Flood(_), _) => Carrier::Http2,
            _ => Carrier::Tls,
        }
    }

    /// Whether it comes back at once.
    pub(crate) const fn is_eager(self) -> bool {
        matches!(self, Self::Eager { .. } | Self::Handshake)
    }

    /// Does what it does until the other side ends the connection. Each status that it reads goes to
    /// `answered`.
    ///
    /// # Errors
    /// The connection broke.
    pub(crate) async fn act(
        self,
        stream: impl AsyncRead + AsyncWrite + Send + Unpin,
        opening: &[u8],
        answered: impl Fn(u16) + Send + Sync,
    ) -> io::Result<()> {
        let (mut read, mut write) = split(stream);
        match self {
            Self::Handshake => Ok(()),
            Self::Hello => {
                write.write_all(opening).await?;
                let utter = async {
                    loop {
                        sleep(DRIP).await;
                        write.write_all(b"x").await?;
                    }
                };
                let mut heard = [0];
                tokio::select! {
                    heard = read.read(&mut heard) => heard.map(drop),
                    uttered = utter => uttered,
                }
            }
            Self::Flood(flood) => {
                let utter = async {
                    write.write_all(opening).await?;
                    write.flush().await?;
                    for burst in flood.bursts() {
                        write.write_all(&burst).await?;
                        write.flush().await?;
                    }
                    std::future::pending().await
                };
                let (mut read, mut nowhere) = (read, sink());
                tokio::select! {
                    heard = copy(&mut read, &mut nowhere) => heard.map(drop),
                    uttered = utter => uttered,
                }
            }
            Self::Unfinished { drips, .. } => {
                let utter = async {
                    write.write_all(opening).await?;
                    write.flush().await?;
                    loop {
                        sleep(DRIP).await;
                        if drips {
                            write.write_all(b"x").await?;
                            write.flush().await?;
                        }
                    }
                };
                let hear = async {
                    let mut received = Vec::new();
                    read.take(ANSWER as u64).read_to_end(&mut received).await?;
                    if let Ok(Some(head)) = answer::head(&received) {
                        answered(head.status);
                    }
                    Ok(())
                };
                // An answer may come first, and its connection end before all was sent.
                tokio::select! {
                    biased;
                    heard = hear => heard,
                    uttered = utter => uttered,
                }
            }
            Self::SlowReader { .. } => {
                write.write_all(opening).await?;
                write.flush().await?;
                while read.read(&mut [0]).await? > 0 {
                    sleep(SIP).await;
                }
                Ok(())
            }
            Self::Eager { .. } => loop {
                write.write_all(opening).await?;
                write.flush().await?;
                let mut received = Vec::with_capacity(ANSWER);
                let head = loop {
                    if read.read_buf(&mut received).await? == 0 {
                        return Ok(());
                    }
                    if let Some(head) = answer::head(&received).map_err(io::Error::other)? {
                        break head;
                    }
                };
                while received.len() < head.length + head.body {
                    if read.read_buf(&mut received).await? == 0 {
                        return Ok(());
                    }
                }
                answered(head.status);
                if head.close {
                    return Ok(());
                }
            },
        }
    }
}

fn unfinished(length: usize, body: Body) -> Vec<u8> {
    let mut text = String::from("POST / HTTP/1.1\r\nHost: abc\r\n");
    // Writing to a string can't fail.
    _ = match body {
        Body::None => Ok(()),
        Body::Sized { length, .. } => write!(text, "Content-Length: {length}\r\n"),
        Body::Chunked { .. } => write!(text, "Transfer-Encoding: chunked\r\n"),
    };
    let end = if body == Body::None { "" } else { "\r\n" };
    let padding = "X-Padding: \r\n";
    if let Some(missing) = length.checked_sub(text.len() + padding.len() + end.len()) {
        _ = write!(text, "X-Padding: {}\r\n", "x".repeat(missing));
    }
    text.push_str(end);
    match body {
        Body::None => {}
        Body::Sized { sent, .. } => text.push_str(&"x".repeat(sent)),
        Body::Chunked { sent } => {
            _ = write!(text, "{:x}\r\n{}", 2 * sent, "x".repeat(sent));
        }
    }
    text.into_bytes()
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tokio::net::{TcpListener, TcpStream};
    use tokio::time::timeout;

    use super::*;
    use crate::attacks::Attack;

    fn opening(attack: &str) -> String {
        let squad = &Attack::named(attack).unwrap().squads[0];
        String::from_utf8(squad.client.opening()).unwrap()
    }

    #[test]
    fn heads_are_as_long_as_the_attack_says_and_end_only_where_a_body_follows() {
        let head = opening("heads");
        assert_eq!(head.len(), 62 * 1024);
        assert!(!head.contains("\r\n\r\n"));
        let with_body = opening("heads-with-bodies");
        assert_eq!(with_body.len(), 61_000 + 1);
        assert!(with_body.ends_with("x\r\n\r\nx"));
        assert!(with_body.contains("\r\nContent-Length: 10\r\n"));
        assert_eq!(opening("tiny-bodies").len(), 51);
    }

    #[test]
    fn a_stream_is_in_the_middle_of_its_first_chunk() {
        let stream = opening("streams");
        let (_, body) = stream.split_once("\r\n\r\n").unwrap();
        let (size, data) = body.split_once("\r\n").unwrap();
        assert_eq!(data.len(), 256 * 1024);
        assert!(usize::from_str_radix(size, 16).unwrap() > data.len());
    }

    /// What `client` sends to a server that answers the first bytes with `answer` and closes, and
    /// which statuses it saw.
    async fn served(client: Client, answer: &'static [u8]) -> (usize, Vec<u16>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut received = vec![0; 1 << 10];
            let length = stream.read(&mut received).await.unwrap();
            stream.write_all(answer).await.unwrap();
            length
        });
        let stream = TcpStream::connect(address).await.unwrap();
        let statuses = Mutex::new(Vec::new());
        let opening = client.opening();
        let acted = client.act(stream, &opening, |status| {
            statuses.lock().unwrap().push(status);
        });
        timeout(Duration::from_secs(5), acted)
            .await
            .expect("the client noticed the end of its connection")
            .unwrap();
        (server.await.unwrap(), statuses.into_inner().unwrap())
    }

    #[tokio::test]
    async fn a_client_notices_the_answer_and_the_end_of_its_connection() {
        let timeout = b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n";
        let unfinished = Client::Unfinished {
            head: 0,
            body: Body::Sized {
                length: 10,
                sent: 1,
            },
            drips: true,
        };
        assert_eq!(served(unfinished, timeout).await, (51, vec![408]));
        let reader = Client::SlowReader { requests: 2 };
        assert_eq!(served(reader, b"x").await, (66, vec![]));
        let eager = Client::Eager {
            path: "/hello",
            body: 0,
        };
        let ok = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
        assert_eq!(served(eager, ok).await, (34, vec![200]));
    }
}
