//! HTTP/1.1 as it is on the wire: a client and either end of a connection, byte by byte.

mod client;
mod message;
mod stream;
mod wire;

pub use client::RawClient;
pub use message::{Framing, Head, Request, Response, WireError, ok};
pub use stream::{Carrier, Stream, carry_at, is_carried_at};
pub use wire::{End, Wire};
