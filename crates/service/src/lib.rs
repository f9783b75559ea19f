//! What every service of the stack asks of the machine that it runs on: how much it may take
//! ([`grants`]), where it listens ([`sockets`]), and which variables of its environment are meant
//! for it ([`environment`]); and what it tells of itself (`metrics`, a feature).

pub mod environment;
pub mod grants;
#[cfg(feature = "metrics")]
pub mod metrics;
pub mod sockets;
