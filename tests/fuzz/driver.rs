//! The driver, until the Compose reader's tests take it from `testkit` themselves.

pub(crate) use testkit::fuzz::run;
