//! The response on its way to the client: the head, then the body as it comes in; or an answer of our
//! own in its place.

use std::task::{Context, Poll, ready};

use tokio::{io::AsyncWrite, net::TcpStream};

use super::{
    body::{Incoming, Outgoing},
    error_page::Failure,
};
use crate::{
    http1::{HeadScanner, head::Side},
    rewrite::{
        request::RequestFacts,
        request_id::RequestId,
        response::{self, Persistence, ResponseFacts},
    },
    worker::Lane,
};

#[derive(Debug)]
pub(crate) struct Download<'b> {
    /// From the upstream: heads, then the body.
    incoming: Incoming<'b>,
    outgoing: Outgoing<'b>,
    scanner: HeadScanner,
    /// Whether the client was the one waited for the last time.
    waits_for_client: bool,
}

impl<'b> Download<'b> {
    /// Nothing as yet.
    pub(crate) fn new(lane: &'b mut Lane) -> Self {
        Self {
            incoming: Incoming::new(&mut lane.input),
            outgoing: Outgoing::new(&mut lane.output),
            scanner: HeadScanner::default(),
            waits_for_client: false,
        }
    }

    /// Whether the whole response has been received; some of it may be left to be sent.
    pub(crate) const fn is_received(&self) -> bool {
        self.incoming.is_received()
    }

    /// Whether the upstream has sent nothing beyond the response.
    pub(crate) const fn ends_cleanly(&self) -> bool {
        self.incoming.is_empty()
    }

    /// Whether it is the client that must go on.
    pub(crate) const fn waits_for_client(&self) -> bool {
        self.waits_for_client
    }

    /// Bytes sent to the client, whatever they were.
    pub(crate) const fn sent(&self) -> u64 {
        self.outgoing.sent()
    }

    /// Bytes that have moved, in and out.
    pub(crate) const fn moved(&self) -> u64 {
        self.incoming.read() + self.outgoing.sent()
    }

    /// Bytes of memory that it takes.
    pub(crate) const fn footprint(&self) -> usize {
        self.incoming.buffer.capacity() + self.outgoing.buffer.capacity()
    }

    /// Starts again, for another connection.
    pub(crate) fn restart(&mut self) {
        self.incoming.buffer.clear();
        self.scanner = HeadScanner::default();
    }

    /// Reads until a head is complete; ready with its length.
    pub(crate) fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
        upstream: &mut TcpStream,
    ) -> Poll<Result<usize, Failure>> {
        loop {
            let head = self.scanner.scan(self.incoming.buffer, Side::Response);
            if let Some(head_len) = head.map_err(Failure::Response)? {
                return Poll::Ready(Ok(head_len));
            }
            match ready!(self.incoming.poll_read(cx, upstream)) {
                Ok(1..) => {}
                Ok(0) => return Poll::Ready(Err(Failure::Broken)),
                Err(error) => return Poll::Ready(Err(Failure::of_backend(&error))),
            }
        }
    }

    /// Puts the head, of `head_len` bytes, in the place of what was to be sent, rewritten.
    pub(crate) fn rewrite_head(
        &mut self,
        head_len: usize,
        request: &RequestFacts<'_>,
        id: &RequestId,
        persistence: Persistence,
        date: &[u8],
    ) -> Result<ResponseFacts, Failure> {
        self.outgoing.clear();
        let head = &self.incoming.buffer[..head_len];
        let out = &mut *self.outgoing.buffer;
        let facts = response::rewrite(head, request, id, persistence, date, out)
            .map_err(Failure::Response)?;
        let (body, reframe) = (facts.body, facts.reframe);
        self.incoming.begin(head_len, body, u64::MAX, reframe);
        Ok(facts)
    }

    /// Makes way for the next head after an interim one.
    pub(crate) fn next_head(&mut self) {
        self.incoming.discard_taken();
        self.scanner = HeadScanner::default();
    }

    /// Takes over what has been received of the body.
    pub(crate) fn take(&mut self) -> Result<(), Failure> {
        let taken = self.incoming.take(self.outgoing.buffer);
        taken.map(drop).map_err(Failure::Response)
    }

    /// Moves what can be moved; ready when the whole response has been received.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        upstream: &mut TcpStream,
        client: &mut (impl AsyncWrite + Unpin),
    ) -> Poll<Result<(), Failure>> {
        loop {
            self.take()?;
            if self.is_received() {
                return Poll::Ready(Ok(()));
            }
            ready!(self.poll_send(cx, client))?;
            self.outgoing.clear();
            match ready!(self.incoming.poll_read(cx, upstream)) {
                Ok(1..) => {}
                Ok(0) if self.incoming.end(self.outgoing.buffer) => {}
                Ok(0) => return Poll::Ready(Err(Failure::Broken)),
                Err(error) => return Poll::Ready(Err(Failure::of_backend(&error))),
            }
        }
    }

    /// Sends what is there; ready when all of it is sent.
    pub(crate) fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        client: &mut (impl AsyncWrite + Unpin),
    ) -> Poll<Result<(), Failure>> {
        let sent = self.outgoing.poll(cx, client);
        self.waits_for_client = sent.is_pending();
        sent.map_err(|_| Failure::ClientGone)
    }

    /// Room for an answer of our own, in the place of what was to be sent.
    pub(crate) fn answer(&mut self) -> &mut Vec<u8> {
        self.outgoing.clear();
        self.outgoing.buffer
    }

    /// What follows the head goes to the client as it is, from now on.
    pub(crate) fn tunnel(&mut self) -> &mut Outgoing<'b> {
        self.incoming.move_rest(self.outgoing.buffer);
        &mut self.outgoing
    }
}
