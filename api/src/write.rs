//! The way into the database: [`coalescer`] → [`store`] (with [`logins`] and [`outage`]).

pub mod coalescer;
pub mod fate;
mod logins;
mod outage;
pub mod store;
