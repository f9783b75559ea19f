//! A client's connection as actix-http sees it: read no faster than the API wants it, timed, and
//! closed in order.
//!
//! actix-http times the first head of a connection only, reads up to 128 KiB ahead whatever a
//! request is waiting for, lets a client take for ever over reading its answer, and drops a
//! connection, with what the client is still sending, as soon as it has no more use for it. So it
//! isn't given the TCP stream but this, and the rules are here, for every connection to either port:
//!
//! - A head has [`HEAD_TIMEOUT`] from its first byte (the first one from the connection's begin), and
//!   [`LARGEST_HEAD`] bytes; beyond 8 KiB these come out of the memory for heads.
//! - Between requests a connection may idle for [`KEEP_ALIVE`].
//! - While a request is being answered nothing is read. At most [`TURN`] bytes are handed over before
//!   they are looked at, which is what actix-http's first buffer holds, or as many again as there are
//!   of a head.
//! - A client that takes nothing of an answer for [`WRITE_TIMEOUT`] is dropped.
//! - After the last answer the client is told so (FIN), and what it goes on sending is read until it
//!   has finished, for at most [`LINGER`] and never longer than [`LINGER_IDLE`] without a byte:
//!   otherwise the kernel would reset the connection, and many a client lose its answer.
//! - An evicted connection ([`crate::http::connections`]) is answered, if it is in the middle of a head, and
//!   closed.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, SystemTime};

use actix_web::http::StatusCode;
use actix_web::http::header::HttpDate;
use rustix::net::{Shutdown, shutdown};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep_until, timeout};

use crate::http::connections::{Account, Phase};

/// Longest time for a head to arrive.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// The largest head: what the proxy passes on, and half as much again.
const LARGEST_HEAD: usize = 96 << 10;

/// How long an idle connection is kept. Longer than any proxy in front keeps it, so that it is the
/// proxy that closes, and none of its requests meets a closing connection.
const KEEP_ALIVE: Duration = Duration::from_secs(75);

/// How long a client may take nothing of an answer.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// How long what a client still sends is read after its answer (nginx: `lingering_time`).
const LINGER: Duration = Duration::from_secs(30);

/// How long nothing of it may come (nginx: `lingering_timeout`).
const LINGER_IDLE: Duration = Duration::from_secs(5);

/// The same while the API is stopping, and for who got no place.
pub(crate) const SHORT_LINGER: Duration = Duration::from_secs(1);

/// The buffer that actix-http makes for each connection.
const FIRST_BUFFER: usize = 8 << 10;

/// Bytes that are handed over at a time. actix-http has a buffer grow when less than 1 KiB of it is
/// left.
const TURN: usize = FIRST_BUFFER - (1 << 10);

/// A connection that is timed and bounded.
#[derive(Debug)]
pub(crate) struct Stream {
    tcp: Rc<TcpStream>,
    account: Arc<Account>,
    /// Bytes of the head that is arriving.
    head: usize,
    /// When it began.
    head_began: Instant,
    /// Bytes that may still be handed over before actix-http looks at them.
    turn: usize,
    /// Since when the client takes nothing of what we write.
    stuck: Option<Instant>,
    timer: Pin<Box<Sleep>>,
    closed: bool,
}

impl Stream {
    /// A new connection, whose first head is expected.
    pub(crate) fn new(tcp: Rc<TcpStream>, account: Arc<Account>) -> Self {
        let now = Instant::now();
        Self {
            tcp,
            account,
            head: 0,
            head_began: now,
            turn: TURN,
            stuck: None,
            timer: Box::pin(sleep_until(now + HEAD_TIMEOUT)),
            closed: false,
        }
    }

    /// Its account.
    pub(crate) fn account(&self) -> &Arc<Account> {
        &self.account
    }

    /// Until when what is going on has to be done.
    fn deadline(&self) -> Option<Instant> {
        if let Some(since) = self.stuck {
            return Some(since + WRITE_TIMEOUT);
        }
        match self.account.phase() {
            Phase::Head => Some(self.head_began + HEAD_TIMEOUT),
            Phase::Idle => {
                Instant::now().checked_add(KEEP_ALIVE.saturating_sub(self.account.rested()))
            }
            // Timed by whoever works on the request.
            Phase::Body | Phase::Working | Phase::Closing => None,
        }
    }

    /// Whether it is too late. The timer is only set again when it has fired or would fire too
    /// late, so that a request costs no timer.
    fn poll_deadline(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let Some(deadline) = self.deadline() else {
            return Poll::Pending;
        };
        if deadline < self.timer.deadline() {
            self.timer.as_mut().reset(deadline);
        }
        loop {
            ready!(self.timer.as_mut().poll(context));
            if Instant::now() >= deadline {
                return Poll::Ready(());
            }
            self.timer.as_mut().reset(deadline);
        }
    }

    /// Ends what is being read. A client in the middle of a head is told why; nothing is between us
    /// and it then, since its earlier answers are sent.
    fn close(&mut self, status: StatusCode) {
        let in_head = self.account.phase() == Phase::Head && self.head > 0;
        if !self.closed && in_head && self.stuck.is_none() {
            say(&self.tcp, status);
        }
        self.closed = true;
    }

    /// actix-http looks at what it has: at the whole head, from its beginning. So a long one doubles.
    fn next_turn(&mut self) {
        let head = match self.account.phase() {
            Phase::Head => self.head,
            _ => 0,
        };
        self.turn = TURN.max(head);
    }

    /// Takes note of `read` more bytes.
    fn received(&mut self, read: usize) {
        self.turn -= read;
        match self.account.phase() {
            Phase::Idle => {
                self.account.enter(Phase::Head);
                self.head = read;
                self.head_began = Instant::now();
            }
            Phase::Head => self.head += read,
            Phase::Body => self.account.received(read),
            Phase::Working | Phase::Closing => {}
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        this.account.watch(context.waker());
        let phase = this.account.phase();
        if this.account.is_evicted() {
            match phase {
                // The request's own task answers.
                Phase::Body => return Poll::Pending,
                Phase::Working => return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into())),
                _ => this.close(StatusCode::REQUEST_TIMEOUT),
            }
        } else if this.poll_deadline(context).is_ready() {
            this.close(StatusCode::REQUEST_TIMEOUT);
        }
        if this.closed {
            return Poll::Ready(Ok(()));
        }
        if matches!(phase, Phase::Working | Phase::Closing) {
            return Poll::Pending;
        }
        if this.turn == 0 {
            this.next_turn();
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let limit = buffer.remaining().min(this.turn);
        if phase == Phase::Head {
            let status = if this.head + limit > LARGEST_HEAD {
                Some(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE)
            } else {
                let held = grown(this.head + limit);
                let room = this.account.hold_head(held);
                room.err().map(|_| StatusCode::SERVICE_UNAVAILABLE)
            };
            if let Some(status) = status {
                this.close(status);
                return Poll::Ready(Ok(()));
            }
        }
        loop {
            if this.tcp.poll_read_ready(context)?.is_pending() {
                this.next_turn();
                return Poll::Pending;
            }
            match this.tcp.try_read(buffer.initialize_unfilled_to(limit)) {
                Ok(read) => {
                    buffer.advance(read);
                    this.received(read);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        loop {
            if this.tcp.poll_write_ready(context)?.is_pending() {
                break;
            }
            match this.tcp.try_write(bytes) {
                Ok(written) => {
                    this.stuck = None;
                    return Poll::Ready(Ok(written));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        this.account.watch(context.waker());
        this.stuck.get_or_insert_with(Instant::now);
        if this.account.is_evicted() || this.poll_deadline(context).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Poll::Pending
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // `linger` does it.
        Poll::Ready(Ok(()))
    }
}

/// What a buffer beyond the first takes that holds so many bytes of a head: it doubles.
fn grown(head: usize) -> usize {
    if head <= TURN {
        0
    } else {
        (head + (1 << 10)).next_power_of_two()
    }
}

/// Says that this is the end, without waiting: what the kernel doesn't take at once isn't said.
pub(crate) fn say(tcp: &TcpStream, status: StatusCode) {
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\ndate: {}\r\n\r\n",
        HttpDate::from(SystemTime::now())
    );
    let _ = tcp.try_write(head.as_bytes());
}

/// Closes in order: see the top of this file.
pub(crate) async fn linger(tcp: &TcpStream, account: &Account) {
    account.enter(Phase::Closing);
    // Fails if the client has gone.
    if shutdown(tcp, Shutdown::Write).is_err() {
        return;
    }
    let began = Instant::now();
    loop {
        let (time, idle) = if account.is_stopping() {
            (SHORT_LINGER, SHORT_LINGER)
        } else {
            (LINGER, LINGER_IDLE)
        };
        let left = (time.saturating_sub(began.elapsed())).min(idle);
        let asked_to_stop = account.is_stopping();
        let interrupted = std::future::poll_fn(|context| {
            account.watch(context.waker());
            if account.is_evicted() || account.is_stopping() != asked_to_stop {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        });
        tokio::select! {
            readable = timeout(left, tcp.readable()) => match readable {
                Ok(Ok(())) if !drained(tcp) => {}
                _ => return,
            },
            () = interrupted => if account.is_evicted() {
                return;
            },
        }
        tokio::task::yield_now().await;
    }
}

/// Waits until the client has finished.
pub(crate) async fn finished(tcp: &TcpStream) {
    if shutdown(tcp, Shutdown::Write).is_ok() {
        while tcp.readable().await.is_ok() && !drained(tcp) {
            tokio::task::yield_now().await;
        }
    }
}

/// Reads what there is, or enough of it for others to have their turn; whether that was the end.
fn drained(tcp: &TcpStream) -> bool {
    let mut buffer = [0; 16 << 10];
    for _ in 0..16 {
        match tcp.try_read(&mut buffer) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return error.kind() != io::ErrorKind::WouldBlock,
        }
    }
    false
}
