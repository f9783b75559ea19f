//! The chunked transfer coding (RFC 9112 §7.1), decoded as it arrives and written anew.
//!
//! Nothing of the sender's framing is copied: sizes are written by us, extensions are dropped,
//! and trailers pass only after they have parsed as header fields. What leaves is unambiguous
//! whatever came in.

use std::io::Write;

use super::{Field, SyntaxError, head::parse_fields};

/// Most bytes of chunk extensions, blanks before them and zeros before sizes included, over a
/// whole body: a body of extensions is an attack.
const MAX_EXTENSIONS: u32 = 16 * 1024;
/// Digits of a chunk size that count as nothing else.
const SIZE_DIGITS: u8 = 16;
const MAX_TRAILERS: usize = 8 * 1024;
const MAX_TRAILER_FIELDS: usize = 32;

/// How decoded data is framed on its way out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reframe {
    /// In the chunked coding, with trailers.
    Chunked,
    /// As it is: the recipient knows the length or reads until close. Trailers are dropped.
    Plain,
}

/// Appends `data` to `out` in the given framing. Empty data is nothing: a chunk of size zero
/// would end the body.
pub(crate) fn write_data(out: &mut Vec<u8>, data: &[u8], reframe: Reframe) {
    if data.is_empty() {
        return;
    }
    match reframe {
        Reframe::Plain => out.extend_from_slice(data),
        Reframe::Chunked => {
            // Writing to a Vec can't fail.
            let _ = write!(out, "{:x}\r\n", data.len());
            out.extend_from_slice(data);
            out.extend_from_slice(b"\r\n");
        }
    }
}

/// Ends a body that has no trailers.
pub(crate) fn write_end(out: &mut Vec<u8>, reframe: Reframe) {
    if reframe == Reframe::Chunked {
        out.extend_from_slice(b"0\r\n\r\n");
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// In the digits of a chunk size; how many there were, up to [`SIZE_DIGITS`].
    Size(u8),
    /// In blanks after a size: an extension has to follow.
    Blank,
    Extension,
    SizeLineFeed,
    Data,
    DataReturn,
    DataLineFeed,
    /// In the trailer section, which is collected whole.
    Trailers,
    Done,
}

#[derive(Debug)]
pub struct ChunkedDecoder {
    state: State,
    /// Bytes left of the current chunk, or its size so far.
    remaining: u64,
    extensions: u32,
    trailers: Vec<u8>,
    /// Decoded bytes so far.
    received: u64,
    limit: u64,
}

impl ChunkedDecoder {
    /// A decoder that refuses bodies of more than `limit` bytes.
    pub const fn new(limit: u64) -> Self {
        Self {
            state: State::Size(0),
            remaining: 0,
            extensions: 0,
            trailers: Vec::new(),
            received: 0,
            limit,
        }
    }

    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Decoded bytes so far.
    pub const fn received(&self) -> u64 {
        self.received
    }

    /// Decodes from `input` and appends the data to `out` in the given framing.
    ///
    /// Returns how much of `input` belonged to this body: all of it until the body is done.
    pub fn decode(
        &mut self,
        input: &[u8],
        out: &mut Vec<u8>,
        reframe: Reframe,
    ) -> Result<usize, SyntaxError> {
        let mut at = 0;
        while let Some(&byte) = input.get(at) {
            match self.state {
                State::Data => {
                    let rest = &input[at..];
                    let wanted = usize::try_from(self.remaining).unwrap_or(usize::MAX);
                    let data = &rest[..rest.len().min(wanted)];
                    write_data(out, data, reframe);
                    self.remaining -= data.len() as u64;
                    self.received += data.len() as u64;
                    at += data.len();
                    if self.remaining == 0 {
                        self.state = State::DataReturn;
                    }
                    continue;
                }
                State::Trailers => {
                    self.trailer_byte(byte)?;
                    if self.state == State::Done {
                        self.finish(out, reframe)?;
                    }
                }
                State::Done => break,
                _ => self.state = self.framing_byte(byte)?,
            }
            at += 1;
        }
        Ok(at)
    }

    /// One byte of a chunk's framing.
    fn framing_byte(&mut self, byte: u8) -> Result<State, SyntaxError> {
        match (self.state, byte) {
            (State::Size(digits), b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F')
                if self.remaining >> 60 == 0 =>
            {
                let digit = (byte as char).to_digit(16).ok_or(SyntaxError::Chunk)?;
                self.remaining = self.remaining << 4 | u64::from(digit);
                if digits == SIZE_DIGITS {
                    return self.extension_byte(State::Size(digits));
                }
                Ok(State::Size(digits + 1))
            }
            (State::Size(1..) | State::Blank, b';') => Ok(State::Extension),
            (State::Size(1..) | State::Blank, b' ' | b'\t') => self.extension_byte(State::Blank),
            (State::Size(1..) | State::Extension, b'\r') => Ok(State::SizeLineFeed),
            (State::Extension, b'\t' | b' '..=b'~' | 0x80..) => {
                self.extension_byte(State::Extension)
            }
            (State::SizeLineFeed, b'\n') if self.remaining == 0 => Ok(State::Trailers),
            (State::SizeLineFeed, b'\n') => {
                let total = self.received.checked_add(self.remaining);
                if total.is_none_or(|total| total > self.limit) {
                    return Err(SyntaxError::BodyTooLarge);
                }
                Ok(State::Data)
            }
            (State::DataReturn, b'\r') => Ok(State::DataLineFeed),
            (State::DataLineFeed, b'\n') => {
                self.remaining = 0;
                Ok(State::Size(0))
            }
            _ => Err(SyntaxError::Chunk),
        }
    }

    /// Counts a byte that says nothing to us; `next` is the state after it.
    fn extension_byte(&mut self, next: State) -> Result<State, SyntaxError> {
        self.extensions += 1;
        if self.extensions > MAX_EXTENSIONS {
            return Err(SyntaxError::Chunk);
        }
        Ok(next)
    }

    /// One byte of the trailer section; each line must end in CR LF.
    fn trailer_byte(&mut self, byte: u8) -> Result<(), SyntaxError> {
        if self.trailers.len() >= MAX_TRAILERS {
            return Err(SyntaxError::Trailer);
        }
        self.trailers.push(byte);
        if byte == b'\n' {
            if !self.trailers.ends_with(b"\r\n") {
                return Err(SyntaxError::Trailer);
            }
            if self.trailers == b"\r\n" || self.trailers.ends_with(b"\r\n\r\n") {
                self.state = State::Done;
            }
        }
        Ok(())
    }

    /// Writes the last chunk, with the trailers that may pass. The others are dropped: nobody may
    /// take a field from here for one of the head (RFC 9110 §6.5.1).
    fn finish(&mut self, out: &mut Vec<u8>, reframe: Reframe) -> Result<(), SyntaxError> {
        let mut fields = [httparse::EMPTY_HEADER; MAX_TRAILER_FIELDS];
        let trailers =
            parse_fields(&self.trailers, &mut fields).map_err(|_| SyntaxError::Trailer)?;
        if reframe == Reframe::Plain {
            return Ok(());
        }
        out.extend_from_slice(b"0\r\n");
        for trailer in trailers {
            if Field::of(trailer.name).allowed_in_trailers() {
                out.extend_from_slice(trailer.name.as_bytes());
                out.extend_from_slice(b": ");
                out.extend_from_slice(trailer.value);
                out.extend_from_slice(b"\r\n");
            }
        }
        out.extend_from_slice(b"\r\n");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Decodes in pieces of `step` bytes; returns the output and the unused rest.
    fn decode(
        input: &[u8],
        step: usize,
        reframe: Reframe,
    ) -> Result<(Vec<u8>, usize), SyntaxError> {
        let mut decoder = ChunkedDecoder::new(1000);
        let mut out = Vec::new();
        let mut used = 0;
        for piece in input.chunks(step) {
            used += decoder.decode(piece, &mut out, reframe)?;
            if decoder.is_done() {
                return Ok((out, input.len() - used));
            }
        }
        Err(SyntaxError::Chunk)
    }

    #[test]
    fn decodes_however_the_bytes_are_cut() {
        let input =
            b"5\r\nhello\r\n00A;x=\"y\"\r\n, world!!!\r\n0\r\nA: b\r\nHost-Not: c\r\n\r\nGET";
        for step in 1..input.len() {
            let (plain, rest) = decode(input, step, Reframe::Plain).unwrap();
            assert_eq!(plain, b"hello, world!!!", "step {step}");
            assert!(rest >= 3 || step > 1);
        }
        let (out, rest) = decode(input, input.len(), Reframe::Chunked).unwrap();
        assert_eq!(
            out,
            b"5\r\nhello\r\na\r\n, world!!!\r\n0\r\nA: b\r\nHost-Not: c\r\n\r\n"
        );
        assert_eq!(rest, 3);
    }

    #[test]
    fn refuses_every_ambiguity() {
        for input in [
            "\r\n",
            "g\r\n",
            "0x5\r\nhello\r\n",
            " 5\r\nhello\r\n",
            "5 \r\nhello\r\n",
            "5 5\r\nhello\r\n",
            "5\x0b;a\r\nhello\r\n",
            " ;a\r\n",
            "+5\r\nhello\r\n",
            "-5\r\nhello\r\n",
            "5\nhello\r\n",
            "5\r\nhello\n",
            "5\r\nhelloX\r\n",
            "5\r\nhello0\r\n\r\n",
            "5\rXhello\r\n",
            ";\r\n",
            "5;a\n\r\nhello\r\n",
            "5;a\0\r\nhello",
            "10000000000000000\r\n",
            "00010000000000000000\r\n",
            "0\r\nA : b\r\n\r\n",
            "0\r\nA: b\n\r\n",
            "0\r\n\n",
            "0\r\n A: b\r\n\r\n",
            "0\r\nA: b\r\n c\r\n\r\n",
            "0\r\nA: \0\r\n\r\n",
        ] {
            let found = decode(input.as_bytes(), 100, Reframe::Chunked);
            assert!(
                matches!(found, Err(SyntaxError::Chunk | SyntaxError::Trailer)),
                "{input:?}: {found:?}"
            );
        }
    }

    /// RFC 9112 §7.1 and §7.1.1: `1*HEXDIG`, and `BWS` around what makes up an extension.
    #[test]
    fn zeros_before_a_size_and_blanks_before_an_extension_are_read_over() {
        let zeros = "0".repeat(100);
        let input = format!("{zeros}5 \t;\ta = b\r\nhello\r\n{zeros} ;z\r\n\r\n");
        for step in 1..input.len() {
            let decoded = decode(input.as_bytes(), step, Reframe::Plain).unwrap();
            assert_eq!(decoded, (b"hello".to_vec(), 0), "step {step}");
        }
    }

    #[test]
    fn limits_hold() {
        let large = decode(b"3e9\r\n", 100, Reframe::Plain);
        assert_eq!(large, Err(SyntaxError::BodyTooLarge));
        let huge = decode(b"ffffffffffffffff\r\n", 100, Reframe::Plain);
        assert_eq!(huge, Err(SyntaxError::BodyTooLarge));
        for (start, filler) in [("1;", b'a'), ("1", b' '), ("", b'0')] {
            let mut endless = start.as_bytes().to_vec();
            endless.resize(MAX_EXTENSIONS as usize + 20, filler);
            assert_eq!(
                decode(&endless, 4096, Reframe::Plain),
                Err(SyntaxError::Chunk)
            );
        }
        let mut trailers = b"0\r\n".to_vec();
        while trailers.len() < MAX_TRAILERS + 10 {
            trailers.extend_from_slice(b"A: b\r\n");
        }
        assert_eq!(
            decode(&trailers, 4096, Reframe::Plain),
            Err(SyntaxError::Trailer)
        );
    }

    #[test]
    fn trailers_of_consequence_are_dropped() {
        let input = b"0\r\nX-Request-Id: forged\r\nConnection: close\r\nGood: 1\r\nHost: a\r\n\
                      Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n";
        let (out, _) = decode(input, 100, Reframe::Chunked).unwrap();
        assert_eq!(out, b"0\r\nGood: 1\r\n\r\n");
    }
}
