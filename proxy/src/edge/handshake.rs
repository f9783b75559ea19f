//! From an accepted connection to one that HTTP is spoken on.
//!
//! A handshake costs a hundred times what a request does, and everybody can ask for one. So its steps
//! stand in line, one at a time on each worker, and between two of them the worker has a look at
//! everything else that is ready: open connections never wait for more than one. In the line, client
//! networks take turns, and where it gets too long, the network with most in it makes room. Who hasn't
//! begun yet, or doesn't go on, is a connection that was never served: the first to go where there are
//! too many ([`crate::worker::ledger`]).

use std::{
    future::{Future, poll_fn},
    io,
    mem::MaybeUninit,
    net::{IpAddr, SocketAddr},
    pin::pin,
    sync::Arc,
    task::Poll,
};

use rustls::{Error, server::Acceptor};
use socket2::SockRef;
use tokio::{io::ReadBuf, net::TcpStream, task::yield_now};
use tokio_rustls::{LazyConfigAcceptor, server::TlsStream};

use super::{Edge, Session, acme::challenges, config, transport::TlsTransport};
use crate::{
    accept::{
        arrival::Arrival,
        connection::{self, LAST_CALL},
    },
    exchange::{
        deadline::{Deadline, Expired},
        error_page::PLAIN_ON_TLS,
    },
    http2,
    rewrite::hop::Hop,
    worker::{
        Worker,
        ledger::{Account, Turn},
        places::Place,
    },
};

/// The first byte of a TLS connection: a record of the handshake.
const HANDSHAKE_RECORD: u8 = 22;
/// What a handshake holds beyond a connection, at most: the client's first message, keys, and the
/// certificates on their way.
const HANDSHAKE_COST: usize = 24 << 10;

/// What TLS holds of an idle connection: its state, and the buffer that it reads to.
const SESSION_COST: usize = 12 << 10;

/// Why a handshake came to nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It took too long.
    Timeout,
    /// It had to make room for others.
    Evicted,
    /// The client closed the connection, or it broke.
    Closed,
    /// The client spoke HTTP without TLS.
    PlainHttp,
    /// There is no certificate at all.
    NoCertificate,
    /// Nothing that both speak: version, cipher suite, group, signature, protocol.
    Incompatible,
    /// The client has refused, with an alert: most often it doesn't trust the certificate.
    ClientAlert,
    /// What the client sent isn't TLS, or against its rules.
    Malformed,
}

impl Refusal {
    pub(crate) const ALL: [Self; 8] = [
        Self::Timeout,
        Self::Evicted,
        Self::Closed,
        Self::PlainHttp,
        Self::NoCertificate,
        Self::Incompatible,
        Self::ClientAlert,
        Self::Malformed,
    ];

    /// For the metrics.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Evicted => "evicted",
            Self::Closed => "closed",
            Self::PlainHttp => "plain_http",
            Self::NoCertificate => "no_certificate",
            Self::Incompatible => "incompatible",
            Self::ClientAlert => "client_alert",
            Self::Malformed => "malformed",
        }
    }

    fn of(error: &io::Error, edge: &Edge) -> Self {
        let error = error.get_ref().and_then(|error| error.downcast_ref());
        match error {
            None => Self::Closed,
            // That no certificate could be chosen.
            Some(Error::General(_)) if edge.certificates.is_empty() => Self::NoCertificate,
            Some(Error::General(_) | Error::PeerIncompatible(_) | Error::NoApplicationProtocol) => {
                Self::Incompatible
            }
            Some(Error::AlertReceived(_)) => Self::ClientAlert,
            Some(_) => Self::Malformed,
        }
    }
}

/// Serves a client of the TLS port until either side closes.
pub(crate) async fn serve(
    stream: TcpStream,
    peer: SocketAddr,
    worker: Arc<Worker>,
    edge: Arc<Edge>,
    account: Account,
) {
    let counted = worker.accepted();
    let mut deadline = Deadline::new(account, worker.settings.header_timeout);
    // On the heap, and gone when it is over: what follows is there for much longer.
    let shaken = Box::pin(shake(stream, &worker, &edge, &mut deadline)).await;
    let stream = match shaken {
        Ok(stream) => stream,
        Err(refusal) => {
            worker.metrics.handshakes.refused(refusal);
            return;
        }
    };
    let tls = stream.get_ref().1;
    if tls.alpn_protocol() == Some(challenges::ALPN) {
        // That was all.
        return;
    }
    let http2 = tls.alpn_protocol() == Some(config::H2);
    let session = Session::of(tls);
    worker.metrics.handshakes.done(&session);
    let arrival = Arrival {
        peer,
        hop: Hop {
            secure: true,
            http2,
        },
        session: Some(Arc::new(session)),
    };
    let transport = TlsTransport::new(stream);
    let mut account = deadline.account;
    account.always_hold(SESSION_COST);
    if http2 {
        Box::pin(http2::serve(transport, arrival, worker, account)).await;
    } else {
        connection::serve(transport, arrival, worker, account).await;
    }
    drop(counted);
}

async fn shake(
    stream: TcpStream,
    worker: &Worker,
    edge: &Edge,
    deadline: &mut Deadline,
) -> Result<Box<TlsStream<TcpStream>>, Refusal> {
    deadline.arm(Turn::Client, worker.settings.header_timeout);
    match first_byte(&stream, worker, deadline).await? {
        HANDSHAKE_RECORD => {}
        b'A'..=b'Z' => {
            connection::tell(stream, PLAIN_ON_TLS).await;
            return Err(Refusal::PlainHttp);
        }
        _ => return Err(Refusal::Malformed),
    }
    deadline.account.hold(HANDSHAKE_COST);
    let network = deadline.account.network();
    let done = deadline.guard(steps(stream, worker, edge, network)).await;
    done.map_err(refusal_of)?.map(Box::new)
}

/// Waits for the client to begin; not for long where the process is about to end.
async fn first_byte(
    stream: &TcpStream,
    worker: &Worker,
    deadline: &mut Deadline,
) -> Result<u8, Refusal> {
    let mut draining = pin!(worker.drain.notified(worker.index));
    let mut last_call = false;
    let mut first = [0];
    let mut peeked = ReadBuf::new(&mut first);
    let seen = poll_fn(|cx| {
        if let Poll::Ready(seen) = stream.poll_peek(cx, &mut peeked) {
            return Poll::Ready(Ok(seen));
        }
        if !last_call && (worker.drain.has_started() || draining.as_mut().poll(cx).is_ready()) {
            last_call = true;
            deadline.arm(Turn::Client, LAST_CALL);
        }
        deadline.poll(cx).map(Err)
    });
    match seen.await.map_err(refusal_of)? {
        Ok(1..) => Ok(first[0]),
        Ok(0) | Err(_) => Err(Refusal::Closed),
    }
}

const fn refusal_of(expired: Expired) -> Refusal {
    match expired {
        Expired::Late => Refusal::Timeout,
        Expired::Evicted => Refusal::Evicted,
    }
}

/// The handshake itself, which does nothing but in its turn.
async fn steps(
    stream: TcpStream,
    worker: &Worker,
    edge: &Edge,
    network: IpAddr,
) -> Result<TlsStream<TcpStream>, Refusal> {
    let mut handshake = pin!(async {
        let start = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
        if has_left(&start.io) {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        let config = edge.config_for(&start.client_hello());
        start.into_stream(config).await
    });
    loop {
        let turn = Step::take(worker, network).await?;
        let step = poll_fn(|cx| Poll::Ready(handshake.as_mut().poll(cx))).await;
        drop(turn);
        if let Poll::Ready(done) = step {
            return done.map_err(|error| Refusal::of(&error, edge));
        }
        woken().await;
    }
}

/// Whether the client has closed the connection while it waited: no signature is made for nobody.
fn has_left(stream: &TcpStream) -> bool {
    let seen = SockRef::from(stream).peek(&mut [MaybeUninit::uninit()]);
    seen.map_or_else(
        |error| error.kind() != io::ErrorKind::WouldBlock,
        |size| size == 0,
    )
}

/// Waits until the task is woken, by whatever it has asked for before.
async fn woken() {
    let mut asked = false;
    poll_fn(|_| {
        if std::mem::replace(&mut asked, true) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
}

/// A turn of one handshake, for as much as it can do without waiting.
struct Step(Option<Place>);

impl Step {
    async fn take(worker: &Worker, network: IpAddr) -> Result<Self, Refusal> {
        let place = worker.handshakes.take_or_leave(network).await;
        place.map(|place| Self(Some(place))).ok_or(Refusal::Evicted)
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        let place = self.0.take();
        // A task that yields goes on when the event loop has looked at all sockets and timers.
        tokio::spawn(async {
            yield_now().await;
            drop(place);
        });
    }
}
