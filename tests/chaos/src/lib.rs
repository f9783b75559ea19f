//! Breaks the running stack, one fault after another, under load, and counts what was lost.
//!
//! The way of a run: [`bed`] has `deploy` bring a stack up; [`schedule`] draws the rounds from the
//! seed; each [`round`] keeps up a [`load`], injects one of the [`faults`] and ends it; the
//! [`ledger`] has the client's side, [`database`] the other, [`audit`] compares them, and
//! [`verdict`] holds them against the promises; [`report`] prints it. [`attacks`] are another kind of
//! round: nothing is broken, many clients misbehave, and a light load stands by.

pub mod attacks;
pub mod audit;
pub mod bed;
pub mod cli;
pub mod database;
pub mod faults;
pub mod helper;
mod host;
pub mod ledger;
pub mod load;
mod machine;
pub mod memory;
mod passage;
pub mod recovery;
pub mod report;
pub mod round;
mod run;
pub mod schedule;
pub mod seed;
pub mod servers;
pub mod stack;
pub mod verdict;

pub use run::run;
