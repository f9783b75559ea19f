//! The frames that pass, seen by their heads alone, and how many of those that only cost a client may
//! send.
//!
//! Every frame that isn't a request or its body costs something, and what each earns is what the session
//! is for: answered requests, and bytes that move. A client that asks and reads never gets near the
//! limit, whatever it is that others flood with: resets, settings, pings, priorities, empty frames,
//! frames without a meaning, or errors that we answer with a reset.

use std::time::Duration;

use tokio::time::Instant;

use super::PREFACE;

/// What a session has at first, and at most.
const ALLOWANCE: u32 = 1000;
/// What a second gives back.
const EACH_SECOND: u32 = 100;
/// What an answer gives back: it pays for the reset of a request that isn't waited for.
const EACH_ANSWER: u32 = 5;
/// Bytes that give back one, in either direction: each DATA frame may be acknowledged twice.
const BYTES_EACH: u32 = 256;

const HEAD: usize = 9;

/// Frame types (RFC 9113 §6).
mod kind {
    pub(super) const DATA: u8 = 0;
    pub(super) const HEADERS: u8 = 1;
    pub(super) const RST_STREAM: u8 = 3;
    pub(super) const SETTINGS: u8 = 4;
    pub(super) const PING: u8 = 6;
    pub(super) const GOAWAY: u8 = 7;
    pub(super) const CONTINUATION: u8 = 9;
}

const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;

#[derive(Debug, Clone, Copy)]
pub(super) struct FrameHead {
    length: u32,
    kind: u8,
    flags: u8,
}

/// Finds the heads of frames in a stream of bytes.
#[derive(Debug, Default)]
struct Scanner {
    head: [u8; HEAD],
    /// Bytes of it that are there.
    filled: usize,
    /// Bytes until it begins.
    skip: usize,
}

impl Scanner {
    fn scan(&mut self, mut bytes: &[u8], mut found: impl FnMut(FrameHead)) {
        loop {
            let skipped = self.skip.min(bytes.len());
            self.skip -= skipped;
            bytes = &bytes[skipped..];
            if bytes.is_empty() {
                return;
            }
            let taken = (HEAD - self.filled).min(bytes.len());
            self.head[self.filled..self.filled + taken].copy_from_slice(&bytes[..taken]);
            self.filled += taken;
            bytes = &bytes[taken..];
            if self.filled < HEAD {
                return;
            }
            let [high, middle, low, kind, flags, ..] = self.head;
            let length = u32::from_be_bytes([0, high, middle, low]);
            self.filled = 0;
            self.skip = length as usize;
            found(FrameHead {
                length,
                kind,
                flags,
            });
        }
    }
}

/// What has been seen of one session.
#[derive(Debug)]
pub(super) struct Frames {
    received: Scanner,
    sent: Scanner,
    /// What the client may still cost, and when that was so.
    allowance: u32,
    counted_at: Instant,
    /// Bytes that haven't given anything back yet.
    bytes: u32,
    /// Bytes that have moved in all.
    pub(super) moved: u64,
    /// Bytes of the frames of a request's fields, up to the last one that has begun, and whether that is
    /// the last.
    fields: usize,
    fields_end: bool,
    /// Whether the last frame that has begun is one of these.
    in_fields: bool,
    /// Bytes of bodies that came in, until [`Self::bodies_are_over`].
    pub(super) body_bytes: usize,
    /// What hasn't been taken for the metrics.
    pub(super) counts: Counts,
}

/// Frames that the metrics tell of.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) resets_received: u64,
    pub(super) resets_sent: u64,
    pub(super) goaways_received: u64,
    pub(super) goaways_sent: u64,
}

impl Frames {
    pub(super) fn new() -> Self {
        Self {
            received: Scanner {
                skip: PREFACE.len(),
                ..Scanner::default()
            },
            sent: Scanner::default(),
            allowance: ALLOWANCE,
            counted_at: Instant::now(),
            bytes: 0,
            moved: 0,
            fields: 0,
            fields_end: true,
            in_fields: false,
            body_bytes: 0,
            counts: Counts::default(),
        }
    }

    /// Takes in what the client has sent.
    pub(super) fn received(&mut self, bytes: &[u8]) {
        let mut scanner = std::mem::take(&mut self.received);
        scanner.scan(bytes, |head| self.note_received(head));
        self.received = scanner;
        self.note_moved(bytes.len());
    }

    /// Takes in what it is sent.
    pub(super) fn sent(&mut self, bytes: &[u8]) {
        let mut scanner = std::mem::take(&mut self.sent);
        scanner.scan(bytes, |head| self.note_sent(head));
        self.sent = scanner;
        self.note_moved(bytes.len());
    }

    /// Whether the client has cost more than it may.
    pub(super) const fn are_too_many(&self) -> bool {
        self.allowance == 0
    }

    /// Bytes of a request's fields that have come without their end.
    pub(super) const fn unfinished_fields(&self) -> usize {
        let missing = self.received.skip;
        if self.fields_end && (missing == 0 || !self.in_fields) {
            return 0;
        }
        self.fields.saturating_sub(missing)
    }

    /// Notes that nothing is left of the bodies that came in.
    pub(super) fn bodies_are_over(&mut self) {
        self.body_bytes = 0;
    }

    fn note_received(&mut self, head: FrameHead) {
        self.in_fields = matches!(head.kind, kind::HEADERS | kind::CONTINUATION);
        let cost = match head.kind {
            kind::DATA => {
                self.body_bytes = self.body_bytes.saturating_add(head.length as usize);
                u32::from(head.length == 0 && head.flags & END_STREAM == 0)
            }
            kind::HEADERS | kind::CONTINUATION => {
                if self.fields_end {
                    self.fields = 0;
                }
                self.fields += HEAD + head.length as usize;
                self.fields_end = head.flags & END_HEADERS != 0;
                u32::from(head.kind == kind::CONTINUATION)
            }
            kind::RST_STREAM => {
                self.counts.resets_received += 1;
                EACH_ANSWER
            }
            kind::SETTINGS if head.flags & ACK == 0 => 10,
            kind::PING => 2,
            kind::GOAWAY => {
                self.counts.goaways_received += 1;
                10
            }
            _ => 1,
        };
        self.charge(cost);
    }

    fn note_sent(&mut self, head: FrameHead) {
        match head.kind {
            kind::HEADERS => self.earn(EACH_ANSWER),
            kind::RST_STREAM => {
                self.counts.resets_sent += 1;
                self.charge(EACH_ANSWER);
            }
            kind::GOAWAY => self.counts.goaways_sent += 1,
            _ => {}
        }
    }

    fn note_moved(&mut self, bytes: usize) {
        self.moved += bytes as u64;
        let bytes = self
            .bytes
            .saturating_add(u32::try_from(bytes).unwrap_or(u32::MAX));
        self.bytes = bytes % BYTES_EACH;
        self.earn(bytes / BYTES_EACH);
    }

    fn charge(&mut self, cost: u32) {
        if cost == 0 || self.are_too_many() {
            return;
        }
        let passed = self.counted_at.elapsed();
        if passed >= Duration::from_secs(1) {
            let seconds = u32::try_from(passed.as_secs()).unwrap_or(u32::MAX);
            self.earn(seconds.saturating_mul(EACH_SECOND));
            self.counted_at += Duration::from_secs(passed.as_secs());
        }
        self.allowance = self.allowance.saturating_sub(cost);
    }

    /// Once it is too late, nothing helps.
    fn earn(&mut self, gain: u32) {
        if !self.are_too_many() {
            self.allowance = self.allowance.saturating_add(gain).min(ALLOWANCE);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let mut frame = length[1..].to_vec();
        frame.extend([kind, flags, 0, 0, 0, 1]);
        frame.extend(payload);
        frame
    }

    #[tokio::test(start_paused = true)]
    async fn heads_are_found_however_the_bytes_are_cut() {
        let mut bytes = PREFACE.to_vec();
        bytes.extend(frame(kind::HEADERS, 0, &[3; 30]));
        bytes.extend(frame(kind::RST_STREAM, 0, &[3; 4]));
        bytes.extend(frame(kind::DATA, 0, &[3; 1000]));
        for step in [1, 2, 7, 9, 10, 100, 2000] {
            let mut frames = Frames::new();
            for piece in bytes.chunks(step) {
                frames.received(piece);
            }
            let seen = (frames.unfinished_fields(), frames.counts.resets_received);
            assert_eq!((seen, frames.body_bytes), ((39, 1), 1000), "step {step}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_only_resets_is_stopped_and_whoever_is_answered_is_not() {
        let mut frames = Frames::new();
        frames.received(PREFACE);
        for _ in 0..100_000 {
            frames.received(&frame(kind::RST_STREAM, 0, &[0; 4]));
            frames.sent(&frame(kind::HEADERS, END_HEADERS, &[0; 50]));
        }
        assert!(!frames.are_too_many());
        for _ in 0..250 {
            frames.received(&frame(kind::RST_STREAM, 0, &[0; 4]));
        }
        assert!(frames.are_too_many());
        tokio::time::advance(Duration::from_secs(100)).await;
        frames.received(&frame(kind::PING, 0, &[0; 8]));
        assert!(frames.are_too_many());
    }

    #[tokio::test(start_paused = true)]
    async fn a_ping_now_and_then_may_go_on_for_ever() {
        let mut frames = Frames::new();
        frames.received(PREFACE);
        for _ in 0..10_000 {
            frames.received(&frame(kind::PING, 0, &[0; 8]));
            tokio::time::advance(Duration::from_millis(100)).await;
        }
        assert!(!frames.are_too_many());
    }
}
