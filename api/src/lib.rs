//! Causeway's request recorder: stores each request in MongoDB and answers once it is durable.
//!
//! A request passes through three folders: [`http`] takes it in and answers it, [`record`] makes a
//! document of it, [`write`](mod@write) has MongoDB store that. [`app`] puts the parts together from
//! [`settings`] and [`budget`], which says how much of everything there may be; [`observe`] shows how
//! they are.
//!
//! The library is public for the binary's and the tests' sake, not as an interface for others.
#![allow(missing_docs)]

pub mod app;
pub mod budget;
pub mod cli;
mod http;
pub mod observe;
pub mod record;
pub mod settings;
pub mod write;
