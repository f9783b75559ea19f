//! Holds listening sockets for others, so that those can be replaced while clients connect.
//!
//! A connection waits in the queue of its listening socket until somebody accepts it, and the queue
//! lasts as long as the socket. So the sockets belong to this process, which does nothing else and
//! therefore has no reason to be replaced; whoever serves the clients gets them over a Unix socket
//! (`SCM_RIGHTS`, as socket activation does it), and several processes may accept on them at a time.
//!
//! ```text
//! clients ─► sockets, held here ─► Unix socket ─► proxy, its successor, …
//! ```
//!
//! The library is public for the binary's sake, not as an interface for others.

pub mod cli;
mod error;
mod holder;
mod log;
mod settings;
mod sockets;
