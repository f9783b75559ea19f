//! What a connection runs over.

use std::io::{Read, Result, Write};
use std::net::TcpStream;

use rustls::{ClientConnection, StreamOwned};

/// TCP, or TLS over it.
pub enum Stream {
    /// As it is.
    Plain(TcpStream),
    /// A client's end.
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Stream {
    pub(super) fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(tcp) => tcp,
            Self::Tls(tls) => &tls.sock,
        }
    }

    pub(super) fn tls(&mut self) -> &mut ClientConnection {
        match self {
            Self::Plain(_) => panic!("a connection with TLS"),
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
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        match self {
            Self::Plain(tcp) => tcp.write(bytes),
            Self::Tls(tls) => tls.write(bytes),
        }
    }

    fn flush(&mut self) -> Result<()> {
        match self {
            Self::Plain(tcp) => tcp.flush(),
            Self::Tls(tls) => tls.flush(),
        }
    }
}
