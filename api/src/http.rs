//! A request from its connection to its answer: [`server`] (with [`stream`] and [`connections`]) →
//! [`routes`] → [`body`].

mod body;
pub(crate) mod connections;
pub(crate) mod routes;
pub(crate) mod server;
mod stream;
