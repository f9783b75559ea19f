//! What a body says once its `Content-Encoding` (RFC 9110 §8.4) is undone.
//!
//! Whoever sent it chose it: a few bytes may say that they are gigabytes. So no more than [`MOST`] is
//! made of it, and a format that asks for a larger window than [`WINDOW`] isn't decoded at all.

use std::borrow::Cow;
use std::io::{self, Read};

use brotli_decompressor::Decompressor;
use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use ruzstd::decoding::StreamingDecoder;

use crate::requests::recorded::Recorded;

/// Bytes that are made of a body at most: no way of showing it looks at more.
const MOST: usize = 1 << 20;
/// What a decoder may keep of what it has made, to refer back to. As much as `Content-Encoding: zstd` may ask
/// for (RFC 9659 §3).
const WINDOW: u64 = 8 << 20;
/// As brotli has it: the power of two (RFC 7932 §9.1).
const BROTLI_WINDOW: u32 = 23;

/// A body as it is shown.
pub(crate) struct Decoded<'a> {
    pub(super) bytes: Cow<'a, [u8]>,
    /// Its coding, where it has one, and what came of that.
    pub(super) coding: Option<(String, Outcome)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Decoded,
    /// Its beginning.
    Cut,
    /// It isn't what it says, or asks for too much memory.
    Failed,
    /// Nothing that is known here, or several.
    Unknown,
}

impl<'a> Decoded<'a> {
    pub(crate) fn of(recorded: &'a Recorded) -> Self {
        let body = recorded.body.as_slice();
        let plain = |coding| Self {
            bytes: body.into(),
            coding,
        };
        let named = recorded.field("Content-Encoding").unwrap_or_default();
        let named = named.trim().to_ascii_lowercase();
        if body.is_empty() || matches!(&*named, "" | "identity") {
            return plain(None);
        }
        let decoded = match &*named {
            "gzip" | "x-gzip" => limited(MultiGzDecoder::new(body)),
            // Zlib's format, but some send what is in it alone (RFC 9110 §8.4.1.2).
            "deflate" if is_zlib(body) => limited(ZlibDecoder::new(body)),
            "deflate" => limited(DeflateDecoder::new(body)),
            "br" => brotli(body),
            "zstd" => limited(Zstd::new(body)),
            _ => return plain(Some((named, Outcome::Unknown))),
        };
        match decoded {
            Ok((bytes, is_cut)) => Self {
                bytes: bytes.into(),
                coding: Some((
                    named,
                    if is_cut {
                        Outcome::Cut
                    } else {
                        Outcome::Decoded
                    },
                )),
            },
            Err(_) => plain(Some((named, Outcome::Failed))),
        }
    }
}

/// What can be read, up to [`MOST`], and whether there is more.
fn limited(decoder: impl Read) -> io::Result<(Vec<u8>, bool)> {
    let mut bytes = Vec::new();
    decoder.take(MOST as u64 + 1).read_to_end(&mut bytes)?;
    let is_cut = bytes.len() > MOST;
    bytes.truncate(MOST);
    Ok((bytes, is_cut))
}

/// Whether it begins as zlib's format does (RFC 1950 §2.2).
fn is_zlib(body: &[u8]) -> bool {
    match body {
        [method, flags, ..] => {
            method & 0x0f == 8 && (u16::from(*method) << 8 | u16::from(*flags)) % 31 == 0
        }
        _ => false,
    }
}

fn brotli(body: &[u8]) -> io::Result<(Vec<u8>, bool)> {
    match brotli_window(body) {
        Some(..=BROTLI_WINDOW) => limited(Decompressor::new(body, 4 << 10)),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// The window that a stream asks for with its first bits (RFC 7932 §9.1); none where they are no such thing.
fn brotli_window(body: &[u8]) -> Option<u32> {
    let first = u32::from(*body.first()?);
    match (first & 1, first >> 1 & 7, first >> 4 & 7) {
        (0, _, _) => Some(16),
        (_, 0, 0) => Some(17),
        // What brotli calls a large window is of no use in HTTP.
        (_, 0, 1) => None,
        (_, 0, low) => Some(8 + low),
        (_, high, _) => Some(17 + high),
    }
}

/// The frames of zstd (RFC 8878 §3), one after the other.
struct Zstd<'a> {
    /// What comes after the frame that is being read.
    rest: &'a [u8],
    frame: Option<Frame<'a>>,
}

type Frame<'a> = StreamingDecoder<&'a [u8], ruzstd::decoding::FrameDecoder>;

impl<'a> Zstd<'a> {
    fn new(body: &'a [u8]) -> Self {
        Self {
            rest: body,
            frame: None,
        }
    }
}

impl Read for Zstd<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(frame) = &mut self.frame {
                let read = frame.read(buffer)?;
                if read > 0 || buffer.is_empty() {
                    return Ok(read);
                }
                self.rest = frame.get_ref();
                self.frame = None;
            }
            if self.rest.is_empty() {
                return Ok(0);
            }
            let frame = StreamingDecoder::new_with_max_window_size(self.rest, WINDOW);
            self.frame = Some(frame.map_err(io::Error::other)?);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
    use mongodb::bson::RawDocumentBuf;
    use mongodb::bson::spec::BinarySubtype;
    use mongodb::bson::{Binary, doc};
    use rand::{RngExt as _, SeedableRng as _, rngs::SmallRng};

    use super::*;

    fn recorded(coding: &str, bytes: &[u8]) -> Recorded {
        let (subtype, bytes) = (BinarySubtype::Generic, bytes.to_vec());
        let document = doc! {
            "headers": { "Content-Encoding": coding },
            "body": Binary { subtype, bytes },
        };
        Recorded::from_document(&RawDocumentBuf::try_from(&document).unwrap())
    }

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    /// `text` in each of the codings.
    fn all(text: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::fast());
        zlib.write_all(text).unwrap();
        let mut raw = DeflateEncoder::new(Vec::new(), Compression::fast());
        raw.write_all(text).unwrap();
        let level = ruzstd::encoding::CompressionLevel::Fastest;
        let zstd = ruzstd::encoding::compress_to_vec(text, level);
        vec![
            ("gzip", gzip(text)),
            (" X-GZip ", [gzip(&text[..3]), gzip(&text[3..])].concat()),
            ("deflate", zlib.finish().unwrap()),
            ("deflate", raw.finish().unwrap()),
            ("zstd", [zstd.clone(), zstd].concat()),
        ]
    }

    /// "brotli brotli ", 20 times, by Google's encoder with a window of 4 MiB.
    const BROTLI: &[u8] = b"\x1b\x17\x01\xf8\x8dT\xb5\xbf\x06\x11\x93\xa3\x93ilo1[$pi\x1f\0";
    /// 2 MiB of zeros.
    const ZEROS: &[u8] = b"\x9b\xff\xff\x1f\xf8'\0\xe2\xb1@ \xf7\xfe\x03";

    #[test]
    fn bodies_are_decoded() {
        let text = b"{\"a\": [1, 2, 3]}";
        for (coding, bytes) in all(text) {
            let recorded = recorded(coding, &bytes);
            let decoded = Decoded::of(&recorded);
            let outcome = decoded.coding.unwrap();
            assert_eq!(outcome.1, Outcome::Decoded, "{coding}");
            let expected = if coding == "zstd" {
                text.repeat(2)
            } else {
                text.to_vec()
            };
            assert_eq!(*decoded.bytes, *expected, "{coding}");
        }
        let recorded = recorded("br", BROTLI);
        let expected = b"brotli brotli ".repeat(20);
        assert_eq!(*Decoded::of(&recorded).bytes, *expected);
    }

    #[test]
    fn a_bomb_goes_off_within_a_mebibyte() {
        let mut bombs = all(&vec![0; 8 << 20]);
        bombs.push(("br", ZEROS.to_vec()));
        for (coding, bytes) in bombs {
            let recorded = recorded(coding, &bytes);
            let decoded = Decoded::of(&recorded);
            assert_eq!(decoded.coding.unwrap().1, Outcome::Cut, "{coding}");
            assert_eq!(decoded.bytes.len(), MOST, "{coding}");
        }
        // A frame that asks for a window of 16 MiB, and a stream of brotli that does.
        let zstd = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x70, 0x01, 0x00, 0x00];
        let brotli = [&[BROTLI[0] | 0x0f], &BROTLI[1..]].concat();
        assert_eq!(brotli_window(&brotli), Some(24));
        for (coding, bytes) in [("zstd", &zstd[..]), ("br", &brotli)] {
            let recorded = recorded(coding, bytes);
            let decoded = Decoded::of(&recorded);
            assert_eq!(decoded.coding.unwrap().1, Outcome::Failed, "{coding}");
        }
    }

    #[test]
    fn what_is_not_as_it_says_is_shown_as_it_came() {
        for (coding, bytes, outcome) in [
            ("gzip", &b"no gzip"[..], Some(Outcome::Failed)),
            ("br", b"\xff\xff", Some(Outcome::Failed)),
            ("zstd", b"\x28\xb5\x2f\xfd", Some(Outcome::Failed)),
            ("gzip, br", b"\x1f", Some(Outcome::Unknown)),
            ("identity", b"\xff", None),
            ("", b"\xff", None),
            ("gzip", b"", None),
        ] {
            let recorded = recorded(coding, bytes);
            let decoded = Decoded::of(&recorded);
            assert_eq!(decoded.coding.map(|it| it.1), outcome, "{coding}");
            assert_eq!(*decoded.bytes, *bytes);
        }
    }

    /// A decoder that panicked would end the console.
    #[test]
    fn no_bytes_make_a_decoder_panic() {
        let mut random = SmallRng::seed_from_u64(18);
        let text: Vec<u8> = (0..2000_u32).map(|at| (at * at % 251) as u8).collect();
        let mut streams = all(&text);
        streams.push(("br", BROTLI.to_vec()));
        for (coding, bytes) in streams {
            for _ in 0..1000 {
                let mut bytes = bytes.clone();
                for _ in 0..random.random_range(1..4) {
                    let at = random.random_range(0..bytes.len());
                    bytes[at] = random.random();
                }
                bytes.truncate(random.random_range(0..=bytes.len()));
                Decoded::of(&recorded(coding, &bytes));
            }
        }
    }
}
