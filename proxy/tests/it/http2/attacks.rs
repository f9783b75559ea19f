//! What a client can flood or starve a session with, by the names that such attacks have got. Each is cut
//! off, and meanwhile others are served, in little memory.

use super::speaking;
use crate::support::http2::{
    ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, FLOW_CONTROL_ERROR, Frame,
    HEADERS, PRIORITY, SETTINGS, Session, StreamEnd, get, request, with,
};
use crate::support::{Backend, RawClient, hpack, ok, wait_until};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Somebody who only wants to be served, until dropped.
struct Bystander {
    is_over: Arc<AtomicBool>,
    asking: Option<JoinHandle<Vec<Duration>>>,
}

impl Bystander {
    fn of(address: SocketAddr) -> Self {
        let is_over = Arc::<AtomicBool>::default();
        let until = Arc::clone(&is_over);
        let asking = std::thread::spawn(move || {
            let mut client = RawClient::connect_from([127, 0, 0, 9].into(), address);
            let mut took = Vec::new();
            while !until.load(Ordering::Relaxed) {
                let asked = Instant::now();
                client.get("/").assert_is(200, "served");
                took.push(asked.elapsed());
                std::thread::sleep(Duration::from_millis(5));
            }
            took
        });
        Self {
            is_over,
            asking: Some(asking),
        }
    }

    /// 99 of 100 requests were answered within a second.
    fn assert_served(mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        let mut took = self.asking.take().unwrap().join().unwrap();
        took.sort();
        let slowest = took[took.len() * 99 / 100];
        assert!(
            slowest < Duration::from_secs(1),
            "{slowest:?} of {}",
            took.len()
        );
    }
}

/// Sends rounds of frames until the proxy ends the session; returns its code, `None` if it doesn't.
fn flood(session: &mut Session, rounds: u32, round: impl Fn(u32) -> Vec<u8>) -> Option<u32> {
    for number in 0..rounds {
        let taken = session.try_send(&round(number));
        while session.next_within(Duration::from_millis(1)).is_ok() {}
        if let Some(goaway) = &session.goaway {
            return Some(goaway.code());
        }
        taken.ok()?;
    }
    None
}

/// The same frames so many times.
fn times(count: usize, frame: &Frame) -> Vec<u8> {
    frame.to_bytes().repeat(count)
}

/// What each stream of a round has, of a hundred.
fn streams(round: u32, frames: impl Fn(u32) -> Vec<Frame>) -> Vec<u8> {
    let numbers = (0..100).map(|at| 1 + 2 * (round * 100 + at));
    numbers
        .flat_map(frames)
        .flat_map(|frame| frame.to_bytes())
        .collect()
}

type Round = Box<dyn Fn(u32) -> Vec<u8>>;

#[test]
fn floods_are_cut_off() {
    let backend = Backend::answering(|_| ok("served"));
    let proxy = speaking(
        &backend,
        &[("MEMORY_LIMIT", "128MiB"), ("ACCESS_LOG", "off")],
    );
    let bystander = Bystander::of(proxy.address);
    let begun = |round: u32, at: u32| round == 0 && at == 0;
    let floods: Vec<(&str, Round)> = vec![
        (
            "rapid reset (CVE-2023-44487)",
            Box::new(|round| {
                streams(round, |stream| {
                    vec![
                        Frame::headers(stream, END_STREAM, &get("/")),
                        Frame::reset(stream, 8),
                    ]
                })
            }),
        ),
        // A window of 0 ends the session at once.
        (
            "MadeYouReset (CVE-2025-8671), by too large a window",
            Box::new(|round| {
                streams(round, |stream| {
                    let most = Frame::window_update(stream, (1 << 31) - 1);
                    vec![Frame::headers(stream, 0, &request("POST", "/")), most]
                })
            }),
        ),
        (
            "MadeYouReset, by malformed requests",
            Box::new(|round| {
                streams(round, |stream| {
                    vec![Frame::headers(
                        stream,
                        END_STREAM,
                        &with(get("/"), &[("connection", "x")]),
                    )]
                })
            }),
        ),
        (
            "heads without fields",
            Box::new(|round| {
                streams(round, |stream| {
                    vec![Frame::new(HEADERS, END_STREAM | END_HEADERS, stream, [])]
                })
            }),
        ),
        (
            "CONTINUATION",
            Box::new(move |round| {
                let mut bytes = times(
                    100,
                    &Frame::new(CONTINUATION, 0, 1, hpack::encode(&[("x", "y")])),
                );
                if begun(round, 0) {
                    bytes.splice(
                        0..0,
                        Frame::new(HEADERS, 0, 1, hpack::encode(&get("/"))).to_bytes(),
                    );
                }
                bytes
            }),
        ),
        (
            "empty CONTINUATION",
            Box::new(move |round| {
                let mut bytes = times(100, &Frame::new(CONTINUATION, 0, 1, []));
                if begun(round, 0) {
                    bytes.splice(0..0, Frame::new(HEADERS, 0, 1, []).to_bytes());
                }
                bytes
            }),
        ),
        (
            "SETTINGS",
            Box::new(|_| times(100, &Frame::settings(&[(4, 1 << 16)]))),
        ),
        (
            "SETTINGS that move windows",
            Box::new(|_| times(100, &Frame::settings(&[(4, 0), (4, (1 << 31) - 1)]))),
        ),
        ("PING", Box::new(|_| times(100, &Frame::ping([0; 8])))),
        (
            "PRIORITY",
            Box::new(|_| times(100, &Frame::new(PRIORITY, 0, 1, [0, 0, 0, 0, 1]))),
        ),
        (
            "WINDOW_UPDATE",
            Box::new(|_| times(100, &Frame::window_update(0, 1))),
        ),
        (
            "resets of one stream",
            Box::new(move |round| {
                let mut bytes = times(100, &Frame::reset(1, 8));
                if begun(round, 0) {
                    bytes.splice(0..0, Frame::headers(1, 0, &request("POST", "/")).to_bytes());
                }
                bytes
            }),
        ),
        (
            "empty DATA",
            Box::new(move |round| {
                let mut bytes = times(100, &Frame::new(DATA, 0, 1, []));
                if begun(round, 0) {
                    bytes.splice(0..0, Frame::headers(1, 0, &request("POST", "/")).to_bytes());
                }
                bytes
            }),
        ),
        (
            "frames of no known type",
            Box::new(|_| times(100, &Frame::new(0x77, 0, 0, []))),
        ),
        (
            "an HPACK bomb",
            Box::new(|round| {
                let mut block = hpack::encode(&get("/"));
                // A field of 4 KB, and then it a thousand times more, a byte each.
                block.extend([0x40, 1, b'x']);
                hpack::push_integer(&mut block, 0, 7, 4000);
                block.extend([b'y'; 4000]);
                block.extend([0x80 | 0x3e; 10_000]);
                Frame::new(HEADERS, END_STREAM | END_HEADERS, 1 + 2 * round, block).to_bytes()
            }),
        ),
    ];
    let count = i64::try_from(floods.len()).unwrap();
    let mut failed = Vec::new();
    for (name, round) in floods {
        let mut session = Session::open(proxy.address);
        let code = flood(&mut session, 200, round);
        if code != Some(ENHANCE_YOUR_CALM) {
            failed.push(format!("{name}: {code:?}"));
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
    bystander.assert_served();
    let peak = proxy.memory("VmHWM");
    assert!(peak < 96 << 20, "{peak}");
    wait_until("all streams to end", || {
        proxy.metric("proxy_http2_streams_open", &[]) == 0
    });
    assert!(proxy.metric("proxy_http2_goaways_total", &["proxy"]) >= count);
}

/// Whoever asks and reads may go on for ever, whatever else it says.
#[test]
fn a_busy_client_is_no_flood() {
    let backend = Backend::answering(|_| ok(&"x".repeat(3000)));
    let proxy = speaking(&backend, &[("ACCESS_LOG", "off")]);
    let mut session = Session::open(proxy.address);
    for number in 0..2000 {
        let stream = 1 + 2 * number;
        session.send(&Frame::new(PRIORITY, 0, stream, [0, 0, 0, 0, 1]));
        // Some browsers change their mind.
        if number % 4 == 0 {
            session.ask(stream, "/");
            session.send(&Frame::reset(stream, 8));
        } else {
            assert_eq!(session.get(stream, "/").status(), 200);
        }
    }
    session.assert_open();
}

/// A client with windows of nothing, or of a byte now and then, or that doesn't read at all.
#[test]
fn slow_readers_hold_little_and_are_left() {
    let large = "x".repeat(1 << 20);
    let backend = Backend::answering(move |request| match &*request.target {
        "/large" => ok(&large),
        _ => ok("served"),
    });
    let proxy = speaking(
        &backend,
        &[
            ("MEMORY_LIMIT", "256MiB"),
            ("READ_TIMEOUT", "1s"),
            ("ACCESS_LOG", "off"),
        ],
    );
    let bystander = Bystander::of(proxy.address);
    // No window, on 100 streams of 10 sessions.
    let mut sessions: Vec<_> = (0..10)
        .map(|_| Session::with_settings(proxy.address, &[(4, 0)]))
        .collect();
    for session in &mut sessions {
        for stream in 0..100 {
            session.ask(1 + 2 * stream, "/large");
        }
    }
    for session in &mut sessions {
        let answer = session.answer(1);
        assert!(
            matches!(answer.end, StreamEnd::Reset(_) | StreamEnd::GoAway(_)),
            "{answer:?}"
        );
    }
    // A window of as much as anybody may have, and nobody who reads.
    let mut sessions: Vec<_> = (0..10)
        .map(|_| Session::with_settings(proxy.address, &[(4, (1 << 31) - 1)]))
        .collect();
    for session in &mut sessions {
        session.send(&Frame::window_update(0, (1 << 31) - 1 - 65_535));
        for stream in 0..100 {
            session.ask(1 + 2 * stream, "/large");
        }
    }
    wait_until("the streams to be left", || {
        proxy.metric("proxy_http2_streams_open", &[]) == 0
    });
    // A byte at a time.
    let mut session = Session::with_settings(proxy.address, &[(4, 0)]);
    session.opens_windows = false;
    session.ask(1, "/large");
    let code = flood(&mut session, 1000, |_| {
        times(10, &Frame::window_update(1, 1))
    });
    assert_eq!(code, Some(ENHANCE_YOUR_CALM));
    bystander.assert_served();
    let peak = proxy.memory("VmHWM");
    // Four fifths.
    assert!(peak < 204 << 20, "{peak}");
}

#[test]
fn data_beyond_a_window_is_an_error() {
    // Nobody reads it.
    let backend = Backend::start(|connection| {
        let _ = connection.head();
        std::thread::sleep(Duration::from_secs(3));
    });
    let proxy = speaking(&backend, &[("MAX_BODY", "100MiB")]);
    let mut session = Session::open(proxy.address);
    session.send(&Frame::headers(1, 0, &request("POST", "/")));
    let code = flood(&mut session, 2000, |_| {
        Frame::new(DATA, 0, 1, [0; 1 << 14]).to_bytes()
    });
    let is_reset = session.resets.contains(&(1, FLOW_CONTROL_ERROR));
    assert!(is_reset || code == Some(FLOW_CONTROL_ERROR), "{code:?}");
}

/// Each frame has to be kept, and costs more than its byte.
#[test]
fn tiny_frames_that_nobody_reads_are_cut_off() {
    let backend = Backend::start(|connection| {
        let _ = connection.head();
        std::thread::sleep(Duration::from_secs(5));
    });
    let proxy = speaking(&backend, &[("MAX_BODY", "100MiB")]);
    let before = proxy.memory("VmRSS");
    let mut session = Session::open(proxy.address);
    let mut streams = Vec::new();
    for stream in 0..100 {
        streams.extend(
            Frame::headers(
                1 + 2 * stream,
                0,
                &with(request("POST", "/"), &[("expect", "100-continue")]),
            )
            .to_bytes(),
        );
    }
    session.send_bytes(&streams);
    let code = flood(&mut session, 300, |round| {
        times(1000, &Frame::new(DATA, 0, 1 + 2 * (round % 100), "x"))
    });
    assert_eq!(code, Some(ENHANCE_YOUR_CALM));
    let grown = proxy.memory("VmHWM").saturating_sub(before);
    assert!(grown < 32 << 20, "{grown}");
}

/// Fields that never end have the time that a head of HTTP/1.1 has.
#[test]
fn fields_that_never_end_are_timed_out() {
    let backend = Backend::answering(|_| ok("served"));
    let proxy = speaking(&backend, &[("HEADER_TIMEOUT", "500ms")]);
    for begun in [
        Frame::new(HEADERS, END_STREAM, 1, hpack::encode(&get("/"))).to_bytes(),
        // In the middle of the frame.
        Frame::new(
            HEADERS,
            END_STREAM | END_HEADERS,
            1,
            hpack::encode(&get("/")),
        )
        .with_length(1000),
    ] {
        let mut session = Session::open(proxy.address);
        session.get(3, "/").assert_is(200, "served");
        session.send_bytes(&begun);
        let since = Instant::now();
        session.ended();
        assert!(since.elapsed() < Duration::from_secs(3));
    }
    // Nor has the preface.
    let mut session = Session::silent(proxy.address);
    session.send_bytes(b"PRI * HTTP/2.0\r\n\r\n");
    session.ended();
}

/// The table is of 4 KiB, whatever a client would like.
#[test]
fn a_client_chooses_no_memory_for_compression() {
    let backend = Backend::answering(|request| {
        let value = request.target.repeat(100);
        format!("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-A: {value}\r\n\r\n").into()
    });
    let proxy = speaking(&backend, &[("ACCESS_LOG", "off")]);
    let mut session = Session::open(proxy.address);
    session.send(&Frame::settings(&[(1, u32::MAX)]));
    session.wait_for(SETTINGS, ACK);
    let before = proxy.memory("VmRSS");
    for number in 0..2000 {
        let path = format!("/{number:08}");
        session.ask(1 + 2 * number, &path);
        // What it has in its table doesn't matter here.
        while session.next_of(1 + 2 * number).unwrap().flags & END_STREAM == 0 {}
    }
    let grown = proxy.memory("VmRSS").saturating_sub(before);
    assert!(grown < 4 << 20, "{grown}");
}
