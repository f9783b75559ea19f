//! A request from its connection to its answer: [`server`] (with [`stream`] and [`connections`]) →
//! [`routes`] → [`body`].

pub mod body;
pub mod connections;
pub mod routes;
pub mod server;
pub mod stream;
