//! `deploy lab`: container networking, taught on the live engine.
//!
//! A [lesson](lesson::Lesson) makes throw-away containers and networks on its
//! bench, asks questions, gathers evidence from the Engine API and
//! from the kernel, and checks each answer against it. The [runner] works
//! through lessons side by side within one run, which removes
//! everything again; [report] is what comes out.
//!
//! The images of a stack have no shell, and a registry may be out of reach, so the
//! containers of the lessons run this very program (a [guest]) in the probe's
//! image. What a learner types by hand uses `busybox`, as the exercise does.

mod bench;
mod checks;
mod command;
#[cfg(target_os = "linux")]
pub mod guest;
mod labels;
pub mod lesson;
pub mod lessons;
mod machines;
pub mod needs;
pub mod report;
mod run;
pub mod runner;
mod show;
mod sweep;
mod view;
mod wire;

pub use command::{Lab, run};
