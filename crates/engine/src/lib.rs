//! The Docker engine: what is on it, whose it is, and how images, containers and commands get there.
//! Nothing else speaks to it, and only this crate knows the client that does.

pub mod api;
pub mod concurrency;
mod connection;
pub mod container;
pub mod error;
pub mod exec;
pub mod file;
pub mod health;
pub mod hook;
pub mod image;
pub mod labels;
pub mod origin;
pub mod owner;
mod raw;
pub mod said;
mod ssh;
pub mod state;
pub mod swarm;

pub use connection::{Engine, reached_at};
