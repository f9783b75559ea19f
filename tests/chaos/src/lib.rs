//! Breaks the running stack, one fault after another, under load, and counts what was lost.
//!
//! The way of a run: [`bed`] has `deploy` bring a stack up; [`schedule`] draws the rounds from the
//! seed; each [`round`] keeps up a [`load`], injects one of the [`faults`] and ends it; the
//! [`ledger`] has the client's side, [`database`] the other, [`audit`] compares them, and
//! [`verdict`] holds them against the promises; [`report`] prints it. [`attacks`] are another kind of
//! round: nothing is broken, many clients misbehave, and a light load stands by. [`nodes`] has a Swarm of
//! three machines lose one.

mod attacks;
mod audit;
mod bed;
pub mod cli;
mod database;
mod faults;
mod helper;
mod host;
mod ledger;
mod load;
mod machine;
mod memory;
mod nodes;
mod passage;
mod recovery;
mod report;
mod round;
mod run;
mod schedule;
mod seed;
mod servers;
mod stack;
mod tool;
mod verdict;

pub use run::run;
