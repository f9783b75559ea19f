//! Shows what was recorded, what is being recorded, and how the stack is.
//!
//! | folder | what it is for |
//! |---|---|
//! | [`access`] | who gets in: by which way, under which name, with which log-in |
//! | [`requests`] | what was recorded: filters, searches, one request whole |
//! | [`live`] | what is recorded now: one tail of the collection for all who watch |
//! | [`stack`] | the parts and their figures, from their own metrics |
//! | [`export`] | recorded requests as NDJSON, HAR, curl, HTTP and fetch |
//! | [`api`] | all of it as JSON, for programs |
//! | [`pages`] | all of it as HTML, for people |
//!
//! [`app`] puts them together from [`settings`]; [`store`] is the way into MongoDB;
//! [`replies`] bounds how much of it is in memory; [`observe`] tells how the console itself is.
//!
//! The library is public for the binary's and the tests' sake, not as an interface for others.
#![allow(missing_docs)]

pub mod access;
pub mod api;
pub mod app;
pub mod cli;
pub mod export;
pub mod live;
pub mod observe;
pub mod pages;
mod relay;
pub mod replies;
pub mod requests;
pub mod settings;
pub mod stack;
pub mod store;
