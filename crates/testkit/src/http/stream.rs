//! What a connection runs over.

use std::io::{Read, Result, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

use rustls::{ClientConnection, StreamOwned};

/// Servers that are spoken to over something else than TCP alone.
static CARRIED: Mutex<Vec<(SocketAddr, Arc<Open>)>> = Mutex::new(Vec::new());

type Open = dyn Fn(TcpStream) -> Stream + Send + Sync;

/// Has every client that connects to `address` from now on speak over what `open` makes of TCP.
pub fn carry_at(address: SocketAddr, open: impl Fn(TcpStream) -> Stream + Send + Sync + 'static) {
    let mut carried = CARRIED.lock().unwrap_or_else(PoisonError::into_inner);
    carried.push((address, Arc::new(open)));
}

/// How `address` is spoken to, where that isn't over TCP alone.
fn carrier(address: SocketAddr) -> Option<Arc<Open>> {
    let carried = CARRIED.lock().unwrap_or_else(PoisonError::into_inner);
    let newest = carried.iter().rev().find(|(server, _)| *server == address);
    newest.map(|(_, open)| Arc::clone(open))
}

/// Whether clients that connect to `address` speak over something else than TCP alone.
pub fn is_carried_at(address: SocketAddr) -> bool {
    carrier(address).is_some()
}

/// A connection to `address` as one speaks there.
pub(super) fn over(tcp: TcpStream, address: SocketAddr) -> Stream {
    match carrier(address) {
        None => Stream::Plain(tcp),
        Some(open) => open(tcp),
    }
}

/// A protocol that HTTP/1.1's bytes are translated into, and back.
pub trait Carrier: Read + Write + Send {
    /// The socket beneath.
    fn tcp(&self) -> &TcpStream;
}

/// TCP, or what is over it.
pub enum Stream {
    /// As it is.
    Plain(TcpStream),
    /// A client's end.
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
    /// A client's end of something else.
    Carried(Box<dyn Carrier>),
}

impl Stream {
    pub(super) fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(tcp) => tcp,
            Self::Tls(tls) => &tls.sock,
            Self::Carried(carrier) => carrier.tcp(),
        }
    }

    pub(super) fn tls(&mut self) -> &mut ClientConnection {
        match self {
            Self::Plain(_) | Self::Carried(_) => panic!("a connection with TLS"),
            Self::Tls(tls) => &mut tls.conn,
        }
    }

    /// Says that nothing more comes, where the end of TCP doesn't.
    pub(super) fn end(&mut self) -> Result<()> {
        if let Self::Tls(tls) = self {
            tls.conn.send_close_notify();
            tls.flush()?;
        }
        Ok(())
    }
}

impl From<TcpStream> for Stream {
    fn from(tcp: TcpStream) -> Self {
        Self::Plain(tcp)
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        match self {
            Self::Plain(tcp) => tcp.read(buffer),
            Self::Tls(tls) => tls.read(buffer),
            Self::Carried(carrier) => carrier.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        match self {
            Self::Plain(tcp) => tcp.write(bytes),
            Self::Tls(tls) => tls.write(bytes),
            Self::Carried(carrier) => carrier.write(bytes),
        }
    }

    fn flush(&mut self) -> Result<()> {
        match self {
            Self::Plain(tcp) => tcp.flush(),
            Self::Tls(tls) => tls.flush(),
            Self::Carried(carrier) => carrier.flush(),
        }
    }
}
