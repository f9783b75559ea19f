//! Causeway's request recorder: stores each request in MongoDB and answers once it is durable.
//!
//! A request passes through [`server`] (with [`stream`] and [`connections`]) → [`routes`] → [`body`] →
//! [`document`] (with [`document_id`] and [`request_url`]) → [`coalescer`] → [`store`] (with [`logins`]
//! and [`outage`]). [`startup`] puts the parts together from [`configuration`] and [`budget`], which
//! says how much of everything there may be; [`admin`] and [`metrics`] show how they are;
//! [`healthcheck`] asks from outside.

pub mod admin;
pub mod body;
pub mod budget;
pub mod coalescer;
pub mod configuration;
pub mod connections;
pub mod document;
pub mod document_id;
pub mod healthcheck;
pub mod logins;
pub mod metrics;
pub mod mongo_uri;
pub mod outage;
pub mod proxy_token;
pub mod request_url;
pub mod routes;
pub mod secret_file;
pub mod server;
pub mod startup;
pub mod store;
pub mod stream;
pub mod telemetry;
