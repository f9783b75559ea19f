//! What the tests stand on: the application, a MongoDB, Flask, and raw HTTP.

mod app;
mod flask;
mod http;
mod memory;

pub(crate) use app::{Process, TestApp, requests_in, spawn_app, spawn_app_with, unique_database};
pub(crate) use flask::{Flask, read_with_pymongo};
pub(crate) use http::{Connection, Response, get, post, send};
pub(crate) use memory::MemoryGroup;
pub(crate) use testkit::mongo::{Mongo, assert_unauthorized, shared_mongo_uri, unique_name};
pub(crate) use testkit::wait::eventually;
