//! A client of a stream of events.

use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use mongodb::bson::oid::ObjectId;
use testkit::http::{Framing, Head, Response, Wire};
use testkit::wait::PATIENCE;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::support::TOKEN;

/// Follows until it is dropped.
pub(crate) struct Follower {
    pub(crate) head: Head,
    told: UnboundedReceiver<Told>,
    connection: TcpStream,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    Event {
        kind: Option<String>,
        id: Option<String>,
        data: String,
    },
    End,
}

impl Told {
    pub(crate) fn id(&self) -> Option<ObjectId> {
        let Self::Event { id: Some(id), .. } = self else {
            return None;
        };
        Some(id.get(..24)?.parse().unwrap())
    }

    /// An event that only has a name.
    pub(crate) fn named(kind: &str) -> Self {
        Self::Event {
            kind: Some(kind.to_owned()),
            id: None,
            data: "{}".to_owned(),
        }
    }
}

impl Follower {
    pub(crate) async fn start(address: SocketAddr, target: &str, lines: &str) -> Self {
        let started = Self::try_start(address, target, lines).await;
        started.unwrap_or_else(|response| panic!("{} {}", response.status, response.text()))
    }

    /// What it gets where it gets no stream is a response.
    pub(crate) async fn try_start(
        address: SocketAddr,
        target: &str,
        lines: &str,
    ) -> Result<Self, Response> {
        let head = format!(
            "GET {target} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n{lines}\r\n"
        );
        spawn_blocking(move || {
            let connection = TcpStream::connect(address).unwrap();
            let mut wire = Wire::new(connection.try_clone().unwrap());
            wire.send(head);
            let head = wire.head().unwrap();
            if !head.start_line.starts_with("HTTP/1.1 200 ") {
                let length = head.get("content-length").unwrap().parse().unwrap();
                let body = wire.take(length).unwrap();
                let status = head.start_line.split(' ').nth(1).unwrap();
                return Err(Response {
                    status: status.parse().unwrap(),
                    head,
                    framing: Framing::Length,
                    body,
                    trailers: Vec::new(),
                });
            }
            let (tell, told) = unbounded_channel();
            std::thread::spawn(move || read(wire, &tell));
            Ok(Self {
                head,
                told,
                connection,
            })
        })
        .await
        .unwrap()
    }

    pub(crate) async fn next(&mut self) -> Told {
        let told = timeout(PATIENCE * 2, self.told.recv()).await;
        told.expect("an event in time").unwrap_or(Told::End)
    }

    /// The next event is this request; returns what its `id:` is.
    pub(crate) async fn expect(&mut self, id: ObjectId) -> String {
        let told = self.request().await;
        assert_eq!(told.id(), Some(id), "{told:?}");
        let Told::Event { id: Some(id), .. } = told else {
            unreachable!("it has an id");
        };
        id
    }

    /// The next request, whether or not MongoDB has been too slow meanwhile.
    async fn request(&mut self) -> Told {
        loop {
            let told = self.next().await;
            if told.id().is_some() {
                return told;
            }
            let is_away = matches!(&told, Told::Event { kind: Some(kind), .. }
                if kind == "away" || kind == "back");
            assert!(is_away, "{told:?}");
        }
    }

    /// The first event that isn't one of these.
    pub(crate) async fn after(&mut self, kind: &str) -> Told {
        loop {
            match self.next().await {
                Told::Event {
                    kind: Some(told), ..
                } if told == kind => {}
                told => return told,
            }
        }
    }

    /// The ids of so many, or of those that come.
    pub(crate) async fn take(mut self, count: usize) -> Vec<ObjectId> {
        let mut ids = Vec::new();
        while ids.len() < count {
            let Ok(told) = timeout(PATIENCE, self.request()).await else {
                break;
            };
            ids.extend(told.id());
        }
        ids
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let _ = self.connection.shutdown(Shutdown::Both);
    }
}

/// Reads events until the connection ends.
fn read(mut wire: Wire, tell: &UnboundedSender<Told>) {
    let mut text = String::new();
    while let Ok(chunk) = wire.chunk() {
        if chunk.is_empty() {
            let _ = tell.send(Told::End);
            return;
        }
        text.push_str(&String::from_utf8(chunk).unwrap());
        while let Some(end) = text.find("\n\n") {
            let event: String = text.drain(..end + 2).collect();
            if let Some(told) = event_of(&event) {
                let _ = tell.send(told);
            }
        }
    }
}

fn event_of(text: &str) -> Option<Told> {
    let (mut kind, mut id, mut data) = (None, None, Vec::new());
    for line in text.lines() {
        match line.split_once(": ") {
            Some(("event", value)) => kind = Some(value.to_owned()),
            Some(("id", value)) => id = Some(value.to_owned()),
            Some(("data", value)) => data.push(value),
            _ => {}
        }
    }
    let data = data.join("\n");
    let is_event = kind.is_some() || id.is_some() || !data.is_empty();
    is_event.then_some(Told::Event { kind, id, data })
}

/// Follows in turns of so many events, each of which goes on where the last one ended, until the
/// request for `/last` comes; returns what it was told.
pub(crate) async fn come_and_go(address: SocketAddr, target: &str, turn: usize) -> Vec<ObjectId> {
    let (mut ids, mut after) = (Vec::new(), String::new());
    loop {
        let mut follower = Follower::start(address, &format!("{target}?after={after}"), "").await;
        for _ in 0..turn {
            let told = follower.request().await;
            ids.extend(told.id());
            let Told::Event {
                id: Some(id), data, ..
            } = told
            else {
                unreachable!("it has an id");
            };
            after = id;
            if data.contains("/last\"") {
                return ids;
            }
        }
        drop(follower);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
