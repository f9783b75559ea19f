//! The keeper on a real mongod.

mod copy;
mod database_user;
mod metrics;
mod replica_set;
mod retention;
mod support;
