//! One client's session: accepts its streams, and knows when it has to end.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use h2::{
    Reason, RecvStream,
    server::{Builder, Connection, SendResponse},
};
use http::{Request, Response, StatusCode};
use tokio::{io::AsyncReadExt, sync::futures::Notified, time::Instant};

use super::{
    frames::Counts,
    load::Load,
    request::{self, Refusal},
    stream::Stream,
    watch::{Watch, Watched},
};
use crate::{
    accept::{
        arrival::Arrival,
        connection::{LAST_CALL, serve_stream},
    },
    exchange::{
        deadline::Deadline,
        transport::{READ_SIZE, Transport},
    },
    http1::head::MAX_HEAD,
    worker::{Worker, ledger::Turn},
};

/// Most streams at a time.
const MAX_STREAMS: u32 = 128;
/// What a client may send of a body before it is read, and of all bodies.
const STREAM_WINDOW: u32 = 64 << 10;
const SESSION_WINDOW: u32 = 256 << 10;
/// Largest list of fields, as the largest head of HTTP/1.1.
const FIELDS: u32 = 64 << 10;
const _: () = assert!(FIELDS as usize == MAX_HEAD);
/// What is kept of a response until it can be sent.
const MAX_UNSENT: usize = 32 << 10;
/// Bytes that the parts of a session take without a stream: the buffers and tables of h2.
const FOOTPRINT: usize = 32 << 10;
/// Streams that are over, and about which a client may not have heard.
const MAX_RESET_STREAMS: usize = 64;
/// Most streams that end by a client's error; [`super::frames`] is stricter unless others are answered.
const MAX_ERRORS: usize = 1024;
/// For what other limits end.
const NO_LIMIT: Duration = Duration::from_secs(24 * 60 * 60);

/// What has to come next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Awaits {
    /// A request.
    Request,
    /// The rest of a request's fields.
    Fields,
    /// That the client takes what it is sent.
    Reading,
    /// The end of a stream, each of which has its own limits.
    Streams,
    /// The end, once the client has been told of it.
    End,
}

/// What becomes of a session.
enum Verdict {
    /// It goes on when something happens.
    Wait,
    /// There is something to tell the client.
    Tell,
    Cut,
}

/// How it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The client may still read what it was sent.
    Finished,
    /// Nothing is left to be said.
    Cut,
}

pub(super) struct Session<T> {
    connection: Connection<Watched<T>, Bytes>,
    watch: Watch<T>,
    load: Arc<Load>,
    deadline: Deadline,
    arrival: Arrival,
    worker: Arc<Worker>,
    awaits: Awaits,
    unsent: usize,
    is_draining: bool,
}

impl<T: Transport> Session<T> {
    pub(super) async fn run(
        mut transport: T,
        received: Vec<u8>,
        arrival: Arrival,
        worker: Arc<Worker>,
        mut deadline: Deadline,
    ) {
        transport.limit_unacknowledged(worker.settings.read_timeout);
        let watch = Watch::new();
        let handshake = builder().handshake(watch.over(transport, received));
        let Ok(Ok(connection)) = deadline.guard(handshake).await else {
            return;
        };
        deadline.arm(Turn::Idle, worker.settings.idle_timeout);
        let mut session = Self {
            connection,
            watch,
            load: Arc::default(),
            deadline,
            arrival,
            worker,
            awaits: Awaits::Request,
            unsent: 0,
            is_draining: false,
        };
        let end = session.serve().await;
        session.report();
        let Self {
            connection,
            watch,
            deadline,
            ..
        } = session;
        drop(connection);
        if let Some(transport) = watch.take_back() {
            leave(transport, deadline, end).await;
        }
    }

    async fn serve(&mut self) -> End {
        let worker = Arc::clone(&self.worker);
        let mut draining = pin!(worker.drain.notified(worker.index));
        poll_fn(|cx| {
            self.load.wake(cx.waker());
            loop {
                match self.connection.poll_accept(cx) {
                    Poll::Ready(Some(Ok((request, respond)))) => self.open(request, respond),
                    Poll::Ready(Some(Err(_)) | None) => return Poll::Ready(End::Finished),
                    Poll::Pending => match self.look(cx, draining.as_mut()) {
                        Verdict::Wait => return Poll::Pending,
                        Verdict::Cut => return Poll::Ready(End::Cut),
                        Verdict::Tell => {}
                    },
                }
            }
        })
        .await
    }

    /// Looks whether it goes on.
    fn look(&mut self, cx: &mut Context<'_>, draining: Pin<&mut Notified<'_>>) -> Verdict {
        self.report();
        self.weigh();
        if self.awaits == Awaits::End {
            return match self.deadline.poll(cx) {
                Poll::Pending => Verdict::Wait,
                Poll::Ready(_) => Verdict::Cut,
            };
        }
        if self.watch.frames(|frames| frames.are_too_many()) {
            return self.end(Reason::ENHANCE_YOUR_CALM);
        }
        if !self.is_draining && (self.worker.drain.has_started() || draining.poll(cx).is_ready()) {
            self.is_draining = true;
            self.connection.graceful_shutdown();
            self.arm(self.awaits);
            return Verdict::Tell;
        }
        match self.deadline.poll(cx) {
            Poll::Pending => Verdict::Wait,
            Poll::Ready(_) if self.awaits == Awaits::Request => self.end(Reason::NO_ERROR),
            Poll::Ready(_) => self.end(Reason::ENHANCE_YOUR_CALM),
        }
    }

    /// Says that it is over, for which there is little time.
    fn end(&mut self, reason: Reason) -> Verdict {
        self.connection.abrupt_shutdown(reason);
        self.arm(Awaits::End);
        Verdict::Tell
    }

    /// Accounts for what is held, and finds out what has to come next.
    fn weigh(&mut self) {
        let (streams, unsent) = (self.load.streams(), self.load.unsent());
        let (moved, fields, bodies) = self.watch.frames(|frames| {
            if streams == 0 {
                frames.bodies_are_over();
            }
            (frames.moved, frames.unfinished_fields(), frames.body_bytes)
        });
        let bodies = bodies.min(SESSION_WINDOW as usize);
        self.deadline
            .account
            .hold(FOOTPRINT + fields + bodies + unsent);
        let awaits = match self.awaits {
            Awaits::End => Awaits::End,
            _ if fields > 0 => Awaits::Fields,
            _ if unsent > 0 => Awaits::Reading,
            _ if streams > 0 => Awaits::Streams,
            _ => Awaits::Request,
        };
        let goes_on = awaits == Awaits::Reading && unsent != self.unsent;
        self.unsent = unsent;
        if awaits != self.awaits || goes_on {
            self.arm(awaits);
        }
        self.deadline.account.moved(moved, Instant::now());
    }

    fn arm(&mut self, awaits: Awaits) {
        let settings = &self.worker.settings;
        let (turn, limit) = match awaits {
            Awaits::Request if self.is_draining => (Turn::Idle, LAST_CALL),
            Awaits::Request => (Turn::Idle, settings.idle_timeout),
            Awaits::Fields => (Turn::Client, settings.header_timeout),
            Awaits::Reading => (Turn::Client, settings.read_timeout),
            Awaits::Streams => (Turn::Upstream, NO_LIMIT),
            Awaits::End => (Turn::Client, LAST_CALL),
        };
        self.awaits = awaits;
        self.deadline.arm(turn, limit);
    }

    /// Serves a request, if it is one and there is room for it.
    fn open(&mut self, request: Request<RecvStream>, mut respond: SendResponse<Bytes>) {
        let (parts, body) = request.into_parts();
        let head = match request::head(&parts, body.is_end_stream()) {
            Ok(head) => head,
            Err(Refusal::Reset(reason)) => return respond.send_reset(reason),
            Err(Refusal::Protocol) => {
                let mut response = Response::new(());
                *response.status_mut() = StatusCode::NOT_IMPLEMENTED;
                // It fails where the client is gone.
                let _ = respond.send_response(response, true);
                return;
            }
        };
        // A stream doesn't push its own session out.
        self.arm(Awaits::Streams);
        let Some(mut account) = self.worker.ledger.open(self.arrival.peer.ip()) else {
            return respond.send_reset(Reason::REFUSED_STREAM);
        };
        // The client has asked: streams behind this one don't push it out before it is looked at.
        account.turn(Turn::Upstream, Instant::now());
        self.deadline.account.served();
        let (worker, arrival) = (Arc::clone(&self.worker), self.arrival.clone());
        let stream = Stream::new(head, body, respond, &self.load);
        worker.metrics.http2.streams.fetch_add(1, Relaxed);
        tokio::spawn(async move {
            serve_stream(stream, arrival, Arc::clone(&worker), account).await;
            worker.metrics.http2.streams_ended.fetch_add(1, Relaxed);
        });
    }

    /// Counts what has happened since the last time.
    fn report(&self) {
        let counts = self
            .watch
            .frames(|frames| std::mem::take(&mut frames.counts));
        if counts == Counts::default() {
            return;
        }
        let metrics = &self.worker.metrics.http2;
        let add = |counter: &AtomicU64, count| counter.fetch_add(count, Relaxed);
        add(&metrics.resets_received, counts.resets_received);
        add(&metrics.resets_sent, counts.resets_sent);
        add(&metrics.goaways_received, counts.goaways_received);
        add(&metrics.goaways_sent, counts.goaways_sent);
    }
}

fn builder() -> Builder {
    let mut builder = Builder::new();
    builder
        .max_concurrent_streams(MAX_STREAMS)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(SESSION_WINDOW)
        .max_send_buffer_size(MAX_UNSENT)
        .max_header_list_size(FIELDS)
        .max_concurrent_reset_streams(MAX_RESET_STREAMS)
        .max_local_error_reset_streams(Some(MAX_ERRORS))
        .enable_connect_protocol();
    builder
}

/// Lets the client read what it was told before the connection is closed: closing with unread input
/// makes the kernel reset it.
async fn leave(mut transport: impl Transport, mut deadline: Deadline, end: End) {
    if end == End::Cut {
        transport.reset_on_close();
        return;
    }
    deadline.arm(Turn::Client, LAST_CALL);
    let reading = async {
        let mut scratch = Vec::with_capacity(READ_SIZE);
        while let Ok(1..) = transport.read_buf(&mut scratch).await {
            scratch.clear();
        }
    };
    let _ = deadline.guard(reading).await;
}
