//! A client that says exactly what the test tells it to.

use std::net::{IpAddr, SocketAddr, TcpStream};
use std::ops::{Deref, DerefMut};

use super::message::Response;
use super::message::WireError;
use super::stream::{Stream, over};
use super::wire::Wire;

/// A client connection.
pub struct RawClient(Wire);

impl RawClient {
    /// Connects to a server.
    pub fn connect(address: SocketAddr) -> Self {
        let tcp = TcpStream::connect(address).expect("the server accepts connections");
        Self(Wire::new(over(tcp, address)))
    }

    /// A client of its own, over this.
    pub fn over(stream: Stream) -> Self {
        Self(Wire::new(stream))
    }

    /// Connects from a chosen source address.
    pub fn connect_from(source: IpAddr, address: SocketAddr) -> Self {
        let domain = socket2::Domain::for_address(address);
        let socket = socket2::Socket::new(domain, socket2::Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::new(source, 0).into()).unwrap();
        socket.connect(&address.into()).unwrap();
        Self(Wire::new(over(socket.into(), address)))
    }

    /// A GET with keep-alive, and its response.
    #[track_caller]
    pub fn get(&mut self, target: &str) -> Response {
        self.get_with(target, "")
    }

    /// A GET with more header lines (each with its CRLF), and its response.
    #[track_caller]
    pub fn get_with(&mut self, target: &str, lines: &str) -> Response {
        self.exchange("GET", target, lines, "")
    }

    /// Sends one request with `body`, and reads its response.
    #[track_caller]
    pub fn exchange(&mut self, method: &str, target: &str, lines: &str, body: &str) -> Response {
        let length = match body.len() {
            0 => String::new(),
            length => format!("Content-Length: {length}\r\n"),
        };
        let head = format!("{method} {target} HTTP/1.1\r\nHost: example.test\r\n{lines}{length}");
        self.send(format!("{head}\r\n{body}"));
        self.response(method).expect("a whole response")
    }

    /// Sends `bytes` as they are and reads one response, taken as one to a GET. A server may
    /// refuse and close while the client is still sending, so a failed write is no error here.
    pub fn provoke(&mut self, bytes: &[u8]) -> Result<Response, WireError> {
        let _refused_early = self.try_send(bytes);
        self.response("GET")
    }
}

impl Deref for RawClient {
    type Target = Wire;

    fn deref(&self) -> &Wire {
        &self.0
    }
}

impl DerefMut for RawClient {
    fn deref_mut(&mut self) -> &mut Wire {
        &mut self.0
    }
}
