//! Keeps what was recorded within its bounds: lets go of what is too old, and of the oldest where it is
//! too much, and tells how the collection and its disk are.
//!
//! | file | what it is for |
//! |---|---|
//! | [`settings`] | what can be configured |
//! | [`store`] | the way into MongoDB |
//! | [`retention`] | letting go, again and again |
//! | [`guard`] | what may go by its age, by a clock that may be wrong |
//! | [`sweep`], [`pace`] | removing and counting; how fast |
//! | [`watch`] | how the collection, its disk and its members are |
//! | [`metrics`] | telling it |
//! | [`copy`] | all documents out of MongoDB and into it, for backups |
//! | [`app`] | putting them together, running them, and stopping them |
//!
//! It has no binary of its own: `api keeper` is the command line ([`cli`]).
//!
//! The library is public for the binary's and the tests' sake, not as an interface for others.
#![allow(missing_docs)]

pub mod app;
pub mod cli;
pub mod copy;
pub mod guard;
pub mod metrics;
mod pace;
mod retention;
pub mod settings;
pub mod store;
mod sweep;
pub mod watch;
