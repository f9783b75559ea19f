//! The way into the database: [`coalescer`] → [`store`] (with [`logins`], [`mongo_uri`] and
//! [`outage`]).

pub mod coalescer;
pub mod logins;
pub mod mongo_uri;
pub mod outage;
pub mod store;
