//! Who holds the listening sockets, where it isn't this process.

pub mod handover;
