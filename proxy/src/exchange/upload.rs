//! The request on its way to the upstream: the head, then the body as it comes in.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{io::AsyncRead, net::TcpStream};
use tokio_util::io::poll_read_buf;

use super::{
    body::{Incoming, Outgoing},
    error_page::Failure,
    pace::Pace,
    transport::READ_SIZE,
};
use crate::{
    http1::{BodyLength, Reframe},
    rewrite::request::RequestFacts,
    settings::Settings,
    worker::Lane,
};

/// Up to this size, what was sent of a request is kept to be sent again, and a body is taken in whole
/// before a backend hears of it.
pub(crate) const REPLAY_LIMIT: usize = 64 * 1024;
/// Most bytes of further requests that are read while a response is awaited.
const MAX_PIPELINED: usize = 64 * 1024;

/// How far the upstream has taken a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    Sending,
    Sent,
    /// It takes no more. Its response may explain why.
    Refused,
}

#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "none has to do with another")]
pub(crate) struct Upload<'b> {
    /// From the client: the body, then perhaps further requests.
    incoming: Incoming<'b>,
    /// To the upstream: the head, then the body.
    outgoing: Outgoing<'b>,
    /// Length of the head that the client sent, and the memory that it takes.
    head_len: usize,
    head_held: usize,
    /// Bytes received from the client, head included.
    pub(crate) received: u64,
    /// Whether `outgoing` still holds everything from the head on.
    whole: bool,
    progress: Progress,
    /// Whether the client was the one waited for the last time.
    waits_for_client: bool,
    /// How long it may still be.
    pace: Pace,
    expects_continue: bool,
    /// Whether the client has said that it sends nothing more. It may still want its answer.
    client_ended: bool,
}

impl<'b> Upload<'b> {
    /// The upload of a request whose `head` is, rewritten, in the lane's output.
    pub(crate) fn new(
        lane: &'b mut Lane,
        head: &Vec<u8>,
        request: &RequestFacts<'_>,
        settings: &Settings,
    ) -> Self {
        let mut incoming = Incoming::new(&mut lane.input);
        let reframe = if request.body == BodyLength::Chunked {
            Reframe::Chunked
        } else {
            Reframe::Plain
        };
        incoming.begin(0, request.body, settings.max_body, reframe);
        Self {
            incoming,
            outgoing: Outgoing::new(&mut lane.output),
            head_len: head.len(),
            head_held: head.capacity(),
            received: head.len() as u64,
            whole: true,
            progress: Progress::Sending,
            waits_for_client: false,
            pace: Pace::new(settings.header_timeout, settings.min_body_rate),
            expects_continue: request.expects_continue,
            client_ended: false,
        }
    }

    pub(crate) const fn is_received(&self) -> bool {
        self.incoming.is_received()
    }

    /// Whether there is nothing left to do: all is sent, or the upstream takes no more.
    pub(crate) const fn is_over(&self) -> bool {
        !matches!(self.progress, Progress::Sending)
    }

    pub(crate) const fn is_complete(&self) -> bool {
        matches!(self.progress, Progress::Sent)
    }

    /// Whether the client may be waiting for a 100 itself.
    pub(crate) const fn expects_continue(&self) -> bool {
        self.expects_continue
    }

    /// Whether it is the client that must go on.
    pub(crate) const fn waits_for_client(&self) -> bool {
        self.waits_for_client && !self.expects_continue
    }

    /// How long the client may be waited for.
    pub(crate) fn patience(&self) -> Duration {
        self.pace.left(self.received - self.head_len as u64)
    }

    /// Bytes that have moved, in and out.
    pub(crate) const fn moved(&self) -> u64 {
        self.incoming.read() + self.outgoing.sent()
    }

    /// Bytes of memory that it takes.
    pub(crate) const fn footprint(&self) -> usize {
        self.head_held + self.incoming.buffer.capacity() + self.outgoing.buffer.capacity()
    }

    /// Notes that the client has been told to go on, and gives it its time from then on.
    pub(crate) fn continued(&mut self) {
        if self.expects_continue {
            self.expects_continue = false;
            self.pace.restart();
        }
    }

    /// Bytes that are there to be sent.
    pub(crate) const fn to_send(&self) -> usize {
        self.outgoing.buffer.len()
    }

    /// Whether nothing has been sent over the current connection.
    pub(crate) const fn nothing_sent(&self) -> bool {
        self.outgoing.is_unsent()
    }

    /// Starts again, for another connection. False if that isn't possible any more.
    pub(crate) fn rewind(&mut self) -> bool {
        if self.whole {
            self.outgoing.rewind();
            self.progress = Progress::Sending;
        }
        self.whole
    }

    /// Takes over what has been received of the body; what follows belongs to the next request.
    pub(crate) fn take(&mut self) -> Result<(), Failure> {
        let taken = self.incoming.take(self.outgoing.buffer);
        self.received += taken.map_err(Failure::Request)? as u64;
        Ok(())
    }

    /// Moves what can be moved; ready when it is over.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        client: &mut (impl AsyncRead + Unpin),
        upstream: &mut TcpStream,
    ) -> Poll<Result<(), Failure>> {
        loop {
            self.waits_for_client = false;
            self.take()?;
            if ready!(self.outgoing.poll(cx, upstream)).is_err() {
                self.progress = Progress::Refused;
                return Poll::Ready(Ok(()));
            }
            if self.is_received() {
                self.progress = Progress::Sent;
                return Poll::Ready(Ok(()));
            }
            if self.outgoing.buffer.len() > REPLAY_LIMIT {
                self.outgoing.clear();
                self.whole = false;
            }
            ready!(self.poll_refill(cx, client))?;
        }
    }

    /// Takes the body in; ready when all of it is there.
    pub(crate) fn poll_receive(
        &mut self,
        cx: &mut Context<'_>,
        client: &mut (impl AsyncRead + Unpin),
    ) -> Poll<Result<(), Failure>> {
        loop {
            self.take()?;
            if self.is_received() {
                return Poll::Ready(Ok(()));
            }
            ready!(self.poll_refill(cx, client))?;
        }
    }

    fn poll_refill(
        &mut self,
        cx: &mut Context<'_>,
        client: &mut (impl AsyncRead + Unpin),
    ) -> Poll<Result<(), Failure>> {
        let read = self.incoming.poll_read(cx, client);
        self.waits_for_client = read.is_pending();
        if read.is_pending() {
            self.pace.wait();
        } else {
            self.pace.go_on();
        }
        match ready!(read) {
            Ok(1..) => Poll::Ready(Ok(())),
            Ok(0) | Err(_) => Poll::Ready(Err(Failure::ClientGone)),
        }
    }

    /// Looks whether the client is gone that waits for its response.
    ///
    /// The end of its side of the connection is not the end of its interest: it may only have nothing
    /// more to ask. Further requests that it sends meanwhile are kept for later, within limits.
    pub(crate) fn check_client(
        &mut self,
        cx: &mut Context<'_>,
        client: &mut (impl AsyncRead + Unpin),
    ) -> Result<(), Failure> {
        if self.is_over() && !self.client_ended {
            match self.poll_end(cx, client) {
                Poll::Ready(Ok(())) => self.client_ended = true,
                Poll::Ready(Err(_)) => return Err(Failure::ClientGone),
                Poll::Pending => {}
            }
        }
        Ok(())
    }

    fn poll_end(
        &mut self,
        cx: &mut Context<'_>,
        client: &mut (impl AsyncRead + Unpin),
    ) -> Poll<io::Result<()>> {
        let input = &mut *self.incoming.buffer;
        while input.len() < MAX_PIPELINED {
            input.reserve(READ_SIZE);
            if ready!(poll_read_buf(Pin::new(&mut *client), cx, input))? == 0 {
                return Poll::Ready(Ok(()));
            }
        }
        Poll::Pending
    }

    /// What follows the head goes to the upstream as it is, from now on.
    pub(crate) fn tunnel(&mut self) -> &mut Outgoing<'b> {
        self.outgoing.clear();
        self.incoming.move_rest(self.outgoing.buffer);
        &mut self.outgoing
    }

    /// Leaves what belongs to the next request in the lane's input.
    pub(crate) fn finish(&mut self) {
        self.incoming.discard_taken();
    }
}
