//! The way into the database: [`coalescer`] → [`store`] (with [`logins`] and [`outage`]).

pub mod coalescer;
pub mod fate;
mod logins;
pub(crate) mod mongo_uri;
mod outage;
pub mod store;
