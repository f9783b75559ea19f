//! What h2spec asks, section by section of RFC 9113 and RFC 7541: frames that are sent, and what has to
//! come of them. An error of a stream may end the session instead (RFC 9113 §5.4.2). Where h2 is laxer,
//! docs/http-strictness.md says why that does no harm.

use super::speaking;
use crate::support::http2::{
    ACK, Answer, COMPRESSION_ERROR, CONTINUATION, DATA, END_HEADERS, END_STREAM,
    FLOW_CONTROL_ERROR, FRAME_SIZE_ERROR, Frame, GOAWAY, HEADERS, PADDED, PING, PREFACE, PRIORITY,
    PROTOCOL_ERROR, PUSH_PROMISE, REFUSED_STREAM, RST_STREAM, SETTINGS, STREAM_CLOSED, Session,
    StreamEnd, WINDOW_UPDATE, WITH_PRIORITY, get, request, with,
};
use crate::support::{Backend, TestProxy, hpack, ok};

/// What has to come of it.
enum Outcome {
    /// The session ends, with one of these codes.
    Session(&'static [u32]),
    /// A stream ends, with one of these codes, or the session does.
    Stream(u32, &'static [u32]),
    /// A stream is answered.
    Answered(u32),
    /// Nothing: the session goes on.
    Ignored,
}

use Outcome::{Answered, Ignored, Session as EndsSession, Stream as EndsStream};

struct Case {
    name: &'static str,
    sent: Vec<Vec<u8>>,
    outcome: Outcome,
}

fn case(name: &'static str, sent: Vec<Vec<u8>>, outcome: Outcome) -> Case {
    Case {
        name,
        sent,
        outcome,
    }
}

fn frame(kind: u8, flags: u8, stream: u32, payload: impl AsRef<[u8]>) -> Vec<u8> {
    Frame::new(kind, flags, stream, payload).to_bytes()
}

/// The head of a GET.
fn whole(stream: u32) -> Vec<u8> {
    Frame::headers(stream, END_STREAM, &get("/")).to_bytes()
}

/// The head of a POST whose body is to come.
fn begun(stream: u32) -> Vec<u8> {
    Frame::headers(stream, 0, &request("POST", "/")).to_bytes()
}

fn block() -> Vec<u8> {
    hpack::encode(&get("/"))
}

fn priority_on(stream: u32) -> [u8; 5] {
    let [a, b, c, d] = stream.to_be_bytes();
    [a, b, c, d, 15]
}

fn check(proxy: &TestProxy, cases: Vec<Case>) {
    let mut failed = Vec::new();
    for Case {
        name,
        sent,
        outcome,
    } in cases
    {
        let mut session = Session::open(proxy.address);
        // Nobody may have to wait for what can't be sent any more.
        for bytes in &sent {
            let _ = session.try_send(bytes);
        }
        let (held, seen) = match &outcome {
            EndsSession(codes) => {
                let end = session.try_ended();
                let code = session.goaway.as_ref().map(Frame::code);
                let held = end.is_ok() && code.is_some_and(|code| codes.contains(&code));
                (held, format!("{end:?} {code:?}"))
            }
            EndsStream(stream, codes) => {
                let mut answer = session.try_answer(*stream);
                while matches!(&answer, Ok(answer) if answer.end == StreamEnd::Whole) {
                    answer = session.try_answer(*stream);
                }
                let held = matches!(
                    &answer,
                    Ok(Answer { end: StreamEnd::Reset(code) | StreamEnd::GoAway(Some(code)), .. })
                        if codes.contains(code)
                );
                (held, format!("{answer:?}"))
            }
            Answered(stream) => {
                let answer = session.try_answer(*stream);
                let held = matches!(&answer, Ok(answer) if answer.status() == 200 && answer.end == StreamEnd::Whole);
                (held, format!("{answer:?}"))
            }
            Ignored => (session.is_open(), format!("{:?}", session.goaway)),
        };
        if !held {
            failed.push(format!("{name}: {seen}"));
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

fn proxy() -> (Backend, TestProxy) {
    let backend = Backend::answering(|_| ok("served"));
    let proxy = speaking(&backend, &[]);
    (backend, proxy)
}

/// §3.4
#[test]
fn the_preface_comes_first() {
    let (_backend, proxy) = proxy();
    for first in [
        PREFACE[..20].to_vec(),
        [&PREFACE[..18], b"XX\r\n\r\n"].concat(),
    ] {
        let mut session = Session::silent(proxy.address);
        session.send_bytes(&first);
        session.tcp().shutdown(std::net::Shutdown::Write).unwrap();
        session.ended();
    }
    let mut session = Session::open(proxy.address);
    session.get(1, "/").assert_is(200, "served");
    let settings = session.settings.clone().expect("the proxy's settings");
    assert_eq!(settings.payload.len() % 6, 0);
}

/// §4 and §5.5
#[test]
fn frames() {
    let (_backend, proxy) = proxy();
    let largest = vec![0; 1 << 14];
    check(
        &proxy,
        vec![
            case(
                "4.1 an unknown type",
                vec![frame(0x16, 0, 0, "?"), whole(1)],
                Answered(1),
            ),
            case(
                "4.1 undefined flags",
                vec![frame(PING, 0x16, 0, [0; 8])],
                Ignored,
            ),
            case(
                "4.1 a reserved bit",
                vec![frame(PING, 0, 1 << 31, [0; 8])],
                Ignored,
            ),
            case(
                "4.2 DATA of the largest size",
                vec![begun(1), frame(DATA, END_STREAM, 1, &largest)],
                Answered(1),
            ),
            case(
                "4.2 DATA beyond it",
                vec![begun(1), frame(DATA, END_STREAM, 1, vec![0; (1 << 14) + 1])],
                EndsStream(1, &[FRAME_SIZE_ERROR]),
            ),
            case(
                "4.2 HEADERS beyond it",
                vec![frame(
                    HEADERS,
                    END_STREAM | END_HEADERS,
                    1,
                    vec![0; (1 << 14) + 1],
                )],
                EndsSession(&[FRAME_SIZE_ERROR]),
            ),
            case(
                "4.3 PRIORITY in a field block",
                vec![
                    frame(HEADERS, END_STREAM, 1, block()),
                    frame(PRIORITY, 0, 1, priority_on(0)),
                ],
                EndsSession(&[PROTOCOL_ERROR]),
            ),
            case(
                "4.3 HEADERS in a field block",
                vec![frame(HEADERS, END_STREAM, 1, block()), whole(3)],
                EndsSession(&[PROTOCOL_ERROR]),
            ),
            case(
                "5.5 an unknown type in a field block",
                vec![
                    frame(HEADERS, END_STREAM, 1, block()),
                    frame(0x16, 0, 0, "?"),
                ],
                EndsSession(&[PROTOCOL_ERROR]),
            ),
            case(
                "5.5 an unknown type on a stream",
                vec![frame(0x16, 0, 1, "?"), whole(1)],
                Answered(1),
            ),
        ],
    );
}

/// §5.1 and §5.4
#[test]
fn states_of_streams() {
    let (_backend, proxy) = proxy();
    let reset = |stream| Frame::reset(stream, 8).to_bytes();
    check(
        &proxy,
        vec![
            case(
                "5.1 idle: DATA",
                vec![frame(DATA, END_STREAM, 1, "x")],
                EndsSession(&[PROTOCOL_ERROR, STREAM_CLOSED]),
            ),
            case(
                "5.1 idle: RST_STREAM",
                vec![reset(1)],
                EndsSession(&[PROTOCOL_ERROR]),
            ),
            case(
                "5.1 idle: WINDOW_UPDATE",
                vec![Frame::window_update(1, 9).to_bytes()],
                EndsSession(&[PROTOCOL_ERROR]),
            ),
            case(
                "5.1 idle: CONTINUATION",
                vec![frame(CONTINUATION, END_HEADERS, 1, block())],
                EndsSession(&[PROTOCOL_ERROR]),
            ),
            case(
                "5.1 half-closed: DATA",
                vec![whole(1), frame(DATA, END_STREAM, 1, "x")],
                EndsStream(1, &[STREAM_CLOSED, PROTOCOL_ERROR]),
            ),
            case(
                "5.1 half-closed: HEADERS",
                vec![whole(1), whole(1)],
                EndsStream(1, &[STREAM_CLOSED, PROTOCOL_ERROR]),
            ),
            case(
                "5.1 half-closed: CONTINUATION",
                vec![whole(1), frame(CONTINUATION, END_HEADERS, 1, block())],
                EndsSession(&[STREAM_CLOSED, PROTOCOL_ERROR]),
            ),
            case(
                "5.1 closed: DATA",
                vec![begun(1), reset(1), frame(DATA, END_STREAM, 1, "x")],
                Ignored,
            ),
            case(
                "5.1 closed: HEADERS",
                vec![begun(1), reset(1), whole(1)],
                EndsSession(&[STREAM_CLOSED, PROTOCOL_ERROR]),
            ),
            case(
                "5.1 closed: CONTINUATION",
                vec![
                    begun(1),
                    reset(1),
                    frame(CONTINUATION, END_HEADERS, 1, block()),
                ],
                EndsSession(&[STREAM_CLOSED, PROTOCOL_ERROR]),
            ),
            case(
                "5.1 closed: PRIORITY",
                vec![begun(1), reset(1), frame(PRIORITY, 0, 1, priority_on(0))],
                Ignored,
            ),
            case(
                "5.1 closed: RST_STREAM",
                vec![begun(1), reset(1), reset(1)],
                Ignored,
            ),
            case(
                "5.1 closed: WINDOW_UPDATE",
                vec![begun(1), reset(1), Frame::window_update(1, 9).to_bytes()],
                Ignored,
            ),
            case(
                "5.1.1 an even number",
                vec![whole(2)],
                EndsSession(&[PROTOCOL_ERROR]),
            ),
            case(
                "5.1.1 a smaller number",
                vec![whole(5), whole(3)],
                EndsSession(&[PROTOCOL_ERROR]),
            ),
            case(
                "5.3.1 HEADERS that depend on themselves",
                vec![frame(
                    HEADERS,
                    END_STREAM | END_HEADERS | WITH_PRIORITY,
                    1,
                    [&priority_on(1)[..], &block()].concat(),
                )],
                EndsStream(1, &[PROTOCOL_ERROR]),
            ),
            case(
                "5.4.1 an error of the session",
                vec![frame(PING, 0, 3, [0; 8])],
                EndsSession(&[PROTOCOL_ERROR]),
            ),
        ],
    );
}

/// §5.1.2
#[test]
fn streams_beyond_the_limit_are_refused() {
    let backend = Backend::start(|connection| while connection.request().is_ok() {});
    let proxy = speaking(&backend, &[("UPSTREAM_CONNECTIONS", "500")]);
    let mut session = Session::open(proxy.address);
    for stream in 0..129 {
        session.ask(1 + 2 * stream, "/");
    }
    let refused = session.wait_for(RST_STREAM, 0);
    assert_eq!((refused.stream, refused.code()), (257, REFUSED_STREAM));
    session.assert_open();
}

/// §6.1 to §6.4, §6.6
#[test]
fn frames_of_streams() {
    let (_backend, proxy) = proxy();
    let padding = |length: u8| vec![length; 20];
    check(
        &proxy,
        vec![
            case(
                "6.1 DATA on stream 0",
                vec![frame(DATA, 0, 0, "x")],
                EndsSession(&[PROTOCOL_ERROR]),
            ),
            case(
                "6.1 DATA padded",
                vec![begun(1), frame(DATA, END_STREAM | PADDED, 1, padding(10))],
                Answered(1),
            ),
            case(
                "6.1 DATA with too much padding",
                vec![begun(1), frame(DATA, END_STREAM | PADDED, 1, padding(20))],
                EndsSession(&[PROTOCOL_ERROR]),
            ),
            case(
                "6.2 HEADERS on stream 0",
                vec![whole(0)],
                EndsSession(&[PROTOCOL_ERROR]),
            ),
            case(
                "6.2 HEADERS padded",
                vec![frame(
                    HEADERS,
                    END_STREAM | END_HEADERS | PADDED,
                    1,
                    [&[3][..], &block(), &[0; 3]].concat(),
                )],
                Answered(1),
            ),
            case(
                "6.2 HEADERS with too much padding",
                vec![frame(
                    HEADERS,
                    END_STREAM | END_HEADERS | PADDED,
                    1,
                    [&[255][..], &block()].concat(),
                )],
                EndsSession(&[PROTOCOL_ERROR]),
            ),
            case(
                "6.2 HEADERS with a priority",
                vec![frame(
                    HEADERS,
                    END_STREAM | END_HEADERS | WITH_PRIORITY,
                    1,
                    [&priority_on(0)[..], &block()].concat(),
                )],
                Answered(1),
            ),
            case(
                "6.3 PRIORITY on stream 0",
                vec![frame(PRIORITY, 0, 0, priority_on(1))],
                EndsSession(&[PROTOCOL_ERROR]),
            ),
            case(
                "6.3 PRIORITY of another length",
                vec![whole(1), frame(PRIORITY, 0, 3, [0; 4])],
                EndsSession(&[FRAME_SIZE_ERROR, PROTOCOL_ERROR]),
            ),
            case(
                "6.4 RST_STREAM on stream 0",
                vec![Frame::reset(0, 8).to_bytes()],
                EndsSession(&[PROTOCOL_ERROR]),
            ),
            case(
                "6.4 RST_STREAM of another length",
                vec![begun(1), frame(RST_STREAM, 0, 1, [0; 3])],
                EndsSession(&[FRAME_SIZE_ERROR, PROTOCOL_ERROR]),
            ),
            case(
                "6.6 PUSH_PROMISE",
                vec![
                    whole(1),
                    frame(
                        PUSH_PROMISE,
                        END_HEADERS,
                        1,
                        [&[0, 0, 0, 2][..], &block()].concat(),
                    ),
                ],
                EndsSession(&[PROTOCOL_ERROR]),
            ),
        ],
    );
}

/// §6.5, §6.7, §6.8, §7
#[test]
fn frames_of_sessions() {
    let (_backend, proxy) = proxy();
    let settings = |id, value| Frame::settings(&[(id, value)]).to_bytes();
    check(
        &proxy,
        vec![
            case(
                "6.5 an acknowledgement with settings",
                vec![frame(SETTINGS, ACK, 0, [0; 6])],
                EndsSession(&[FRAME_SIZE_ERROR, PROTOCOL_ERROR]),
            ),
            case(
                "6.5 SETTINGS on a stream",
                vec![frame(SETTINGS, 0, 1, [])],
                EndsSession(&[PROTOCOL_ERROR]),
            ),
            case(
                "6.5 SETTINGS of another length",
                vec![frame(SETTINGS, 0, 0, [0; 3])],
                EndsSession(&[FRAME_SIZE_ERROR, PROTOCOL_ERROR]),
            ),
            case(
                "6.5.2 ENABLE_PUSH 2",
                vec![settings(2, 2)],
                EndsSession(&[PROTOCOL_ERROR]),
            ),
            case(
                "6.5.2 INITIAL_WINDOW_SIZE 2^31",
                vec![settings(4, 1 << 31)],
                EndsSession(&[FLOW_CONTROL_ERROR, PROTOCOL_ERROR]),
            ),
            case(
                "6.5.2 MAX_FRAME_SIZE below 2^14",
                vec![settings(5, (1 << 14) - 1)],
                EndsSession(&[PROTOCOL_ERROR]),
            ),
            case(
                "6.5.2 MAX_FRAME_SIZE of 2^24",
                vec![settings(5, 1 << 24)],
                EndsSession(&[PROTOCOL_ERROR]),
            ),
            case(
                "6.5.2 an unknown setting",
                vec![settings(0xff, 1), whole(1)],
                Answered(1),
            ),
            case(
                "RFC 8441 ENABLE_CONNECT_PROTOCOL 2",
                vec![settings(8, 2)],
                EndsSession(&[PROTOCOL_ERROR]),
            ),
            case(
                "6.7 PING on a stream",
                vec![frame(PING, 0, 1, [0; 8])],
                EndsSession(&[PROTOCOL_ERROR]),
            ),
            case(
                "6.7 PING of another length",
                vec![frame(PING, 0, 0, [0; 6])],
                EndsSession(&[FRAME_SIZE_ERROR, PROTOCOL_ERROR]),
            ),
            case(
                "6.7 an answer to no PING",
                vec![frame(PING, ACK, 0, [0; 8])],
                Ignored,
            ),
            case(
                "6.8 GOAWAY on a stream",
                vec![frame(GOAWAY, 0, 1, [0; 8])],
                EndsSession(&[PROTOCOL_ERROR]),
            ),
            case(
                "7 RST_STREAM with an unknown code",
                vec![begun(1), Frame::reset(1, 0xff).to_bytes(), whole(3)],
                Answered(3),
            ),
        ],
    );
    let mut session = Session::open(proxy.address);
    session.wait_for(SETTINGS, ACK);
    session.send(&Frame::settings(&[(4, 100), (4, 200)]));
    session.wait_for(SETTINGS, ACK);
    session.send(&Frame::ping(*b"12345678"));
    assert_eq!(session.wait_for(PING, ACK).payload, b"12345678");
}

/// §6.9
#[test]
fn flow_control() {
    let backend = Backend::answering(|request| match &*request.target {
        "/large" => ok(&"x".repeat(1000)),
        _ => ok("served"),
    });
    let proxy = speaking(&backend, &[]);
    let update = |stream, increment| Frame::window_update(stream, increment).to_bytes();
    let most = (1 << 31) - 1;
    check(
        &proxy,
        vec![
            case(
                "6.9 by 0 on stream 0",
                vec![update(0, 0)],
                EndsSession(&[PROTOCOL_ERROR]),
            ),
            case(
                "6.9 by 0 on a stream",
                vec![begun(1), update(1, 0)],
                EndsStream(1, &[PROTOCOL_ERROR]),
            ),
            case(
                "6.9 of another length",
                vec![frame(WINDOW_UPDATE, 0, 0, [0; 3])],
                EndsSession(&[FRAME_SIZE_ERROR, PROTOCOL_ERROR]),
            ),
            case(
                "6.9.1 beyond 2^31-1",
                vec![update(0, most), update(0, most)],
                EndsSession(&[FLOW_CONTROL_ERROR]),
            ),
            case(
                "6.9.1 beyond 2^31-1 on a stream",
                vec![begun(1), update(1, most), update(1, most)],
                EndsStream(1, &[FLOW_CONTROL_ERROR]),
            ),
        ],
    );
    // §6.9.1: as much as the window is for, and no more.
    let mut session = Session::with_settings(proxy.address, &[(4, 1)]);
    session.opens_windows = false;
    session.ask(1, "/large");
    let data = session.wait_for(DATA, 0);
    assert_eq!(data.payload.len(), 1);
    session.assert_open();
    // §6.9.2: a new setting changes the windows that there are, also to below zero.
    session.send(&Frame::settings(&[(4, 3)]));
    assert_eq!(session.wait_for(DATA, 0).payload.len(), 2);
    session.send(&Frame::settings(&[(4, 0)]));
    session.wait_for(SETTINGS, ACK);
    session.send(&Frame::window_update(1, 2));
    session.assert_open();
    session.send(&Frame::window_update(1, 2));
    assert_eq!(session.wait_for(DATA, 0).payload.len(), 1);
    session.send(&Frame::settings(&[(4, 65_535)]));
    let rest = session.answer(1);
    assert_eq!((rest.body.len(), rest.end), (996, StreamEnd::Whole));
}

/// §6.10
#[test]
fn continuations() {
    let (_backend, proxy) = proxy();
    let pieces = || {
        let block = block();
        let (first, rest) = block.split_at(5);
        let (second, third) = rest.split_at(7);
        vec![
            frame(HEADERS, END_STREAM, 1, first),
            frame(CONTINUATION, 0, 1, second),
            frame(CONTINUATION, END_HEADERS, 1, third),
        ]
    };
    let after = |last: Vec<u8>| {
        let mut sent = pieces();
        sent.push(last);
        sent
    };
    check(
        &proxy,
        vec![
            case("6.10 several", pieces(), Answered(1)),
            case(
                "6.10 DATA before the end",
                vec![pieces()[0].clone(), frame(DATA, 0, 1, "x")],
                EndsSession(&[PROTOCOL_ERROR]),
            ),
            case(
                "6.10 on another stream",
                vec![
                    pieces()[0].clone(),
                    frame(CONTINUATION, END_HEADERS, 3, block()),
                ],
                EndsSession(&[PROTOCOL_ERROR]),
            ),
            case(
                "6.10 on stream 0",
                vec![
                    pieces()[0].clone(),
                    frame(CONTINUATION, END_HEADERS, 0, block()),
                ],
                EndsSession(&[PROTOCOL_ERROR]),
            ),
            case(
                "6.10 after END_HEADERS",
                vec![begun(1), frame(CONTINUATION, END_HEADERS, 1, block())],
                EndsSession(&[PROTOCOL_ERROR]),
            ),
            case(
                "6.10 after the last one",
                after(frame(CONTINUATION, END_HEADERS, 1, block())),
                EndsSession(&[PROTOCOL_ERROR]),
            ),
            case(
                "6.10 after DATA",
                vec![
                    begun(1),
                    frame(DATA, 0, 1, "x"),
                    frame(CONTINUATION, END_HEADERS, 1, block()),
                ],
                EndsSession(&[PROTOCOL_ERROR]),
            ),
        ],
    );
}

/// §8.1; fields are in `fields.rs`.
#[test]
fn messages() {
    let (_backend, proxy) = proxy();
    let counted = |length| {
        Frame::headers(
            1,
            0,
            &with(request("POST", "/"), &[("content-length", length)]),
        )
        .to_bytes()
    };
    let trailers = |flags, fields: &[(&str, &str)]| Frame::headers(1, flags, fields).to_bytes();
    check(
        &proxy,
        vec![
            case(
                "8.1 trailers that don't end the stream",
                vec![begun(1), trailers(0, &[("x", "y")])],
                EndsStream(1, &[PROTOCOL_ERROR]),
            ),
            case(
                "8.1 trailers",
                vec![begun(1), trailers(END_STREAM, &[("x", "y")])],
                Answered(1),
            ),
            case(
                "8.1 trailers with an upper-case name",
                vec![begun(1), trailers(END_STREAM, &[("X", "y")])],
                EndsStream(1, &[PROTOCOL_ERROR]),
            ),
            case(
                "8.1 trailers with connection",
                vec![begun(1), trailers(END_STREAM, &[("connection", "x")])],
                EndsStream(1, &[PROTOCOL_ERROR]),
            ),
            case(
                "8.1 a pseudo-header in trailers",
                vec![begun(1), trailers(END_STREAM, &[(":path", "/")])],
                Answered(1),
            ),
            case(
                "8.1.1 fewer bytes than content-length",
                vec![counted("2"), frame(DATA, END_STREAM, 1, "x")],
                EndsStream(1, &[PROTOCOL_ERROR]),
            ),
            case(
                "8.1.1 more bytes than content-length",
                vec![counted("1"), frame(DATA, END_STREAM, 1, "xx")],
                EndsStream(1, &[PROTOCOL_ERROR]),
            ),
            case(
                "8.1.1 more bytes in several frames",
                vec![
                    counted("2"),
                    frame(DATA, 0, 1, "x"),
                    frame(DATA, END_STREAM, 1, "xx"),
                ],
                EndsStream(1, &[PROTOCOL_ERROR]),
            ),
            case(
                "8.1.1 fewer bytes, then trailers",
                vec![
                    counted("2"),
                    frame(DATA, 0, 1, "x"),
                    trailers(END_STREAM, &[("x", "y")]),
                ],
                EndsStream(1, &[PROTOCOL_ERROR]),
            ),
            case(
                "8.1.1 as many bytes",
                vec![
                    counted("2"),
                    frame(DATA, 0, 1, "x"),
                    frame(DATA, END_STREAM, 1, "x"),
                ],
                Answered(1),
            ),
        ],
    );
}

/// RFC 7541
#[test]
fn compression() {
    let (backend, proxy) = proxy();
    let wrong = &[COMPRESSION_ERROR, PROTOCOL_ERROR][..];
    let headers = |block: Vec<u8>| vec![frame(HEADERS, END_STREAM | END_HEADERS, 1, block)];
    let then = |last: &[u8]| headers([&block()[..], last].concat());
    let first = |start: &[u8]| headers([start, &block()[..]].concat());
    let literal = |text: &[u8]| {
        let mut field = vec![0, 1, b'x'];
        hpack::push_integer(&mut field, 128, 7, text.len());
        field.extend(text);
        field
    };
    let mut large = Vec::new();
    hpack::push_integer(&mut large, 0x20, 5, 4097);
    check(
        &proxy,
        vec![
            case(
                "2.3.3 an index beyond the tables",
                then(&[0xff, 0x00]),
                EndsSession(wrong),
            ),
            case(
                "2.3.3 a name beyond the tables",
                then(&[0x7f, 0x00, 1, b'x']),
                EndsSession(wrong),
            ),
            case(
                "4.2 a new size at the end",
                then(&[0x20]),
                EndsSession(wrong),
            ),
            case("4.2 a new size at the start", first(&[0x20]), Answered(1)),
            case(
                "5.1 an endless integer",
                then(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
                EndsSession(wrong),
            ),
            case(
                "5.2 a string that isn't whole",
                then(&[0, 1, b'x', 100, b'y']),
                EndsSession(wrong),
            ),
            case(
                "5.2 padding of zeros",
                then(&literal(&[0x18])),
                EndsSession(wrong),
            ),
            case(
                "5.2 padding beyond 7 bits",
                then(&literal(&[0x1f, 0xff])),
                EndsSession(wrong),
            ),
            case(
                "5.2 EOS",
                then(&literal(&[0xff, 0xff, 0xff, 0xff])),
                EndsSession(wrong),
            ),
            case("6.1 index 0", then(&[0x80]), EndsSession(wrong)),
            case(
                "6.3 a size beyond the limit",
                first(&large),
                EndsSession(wrong),
            ),
        ],
    );
    // §2.3.2: what is remembered means the same later.
    let mut session = Session::open(proxy.address);
    let mut block = block();
    block.extend([0x40, 1, b'x', 1, b'y']);
    session.send(&Frame::new(HEADERS, END_STREAM | END_HEADERS, 1, &block));
    session.answer(1).assert_is(200, "served");
    let mut block = self::block();
    block.push(0x80 | 0x3e);
    session.send(&Frame::new(HEADERS, END_STREAM | END_HEADERS, 3, &block));
    session.answer(3).assert_is(200, "served");
    let requests = backend.requests();
    let fields: Vec<_> = requests[1..]
        .iter()
        .map(|request| request.head.get("x"))
        .collect();
    assert_eq!(fields, [Some("y"), Some("y")]);
}
