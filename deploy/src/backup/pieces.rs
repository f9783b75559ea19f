//! Bytes that come through a channel, as a thread reads them.

use std::io::{self, BufRead, Read};

use hyper::body::{Buf as _, Bytes};
use tokio::sync::mpsc::Receiver;

/// How many pieces, of 64 KiB at most, may be between one end of a stream and the other.
pub(crate) const PIECES: usize = 8;

/// Blocks where there is nothing yet, so it is for a thread of its own.
pub(crate) struct Pieces {
    receiver: Receiver<Bytes>,
    piece: Bytes,
}

impl Pieces {
    pub(crate) fn new(receiver: Receiver<Bytes>) -> Self {
        Self {
            receiver,
            piece: Bytes::new(),
        }
    }
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let part = self.fill_buf()?;
        let length = part.len().min(buffer.len());
        buffer[..length].copy_from_slice(&part[..length]);
        self.consume(length);
        Ok(length)
    }
}

impl BufRead for Pieces {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.piece.is_empty() {
            match self.receiver.blocking_recv() {
                Some(piece) => self.piece = piece,
                None => break,
            }
        }
        Ok(&self.piece)
    }

    fn consume(&mut self, length: usize) {
        self.piece.advance(length);
    }
}
