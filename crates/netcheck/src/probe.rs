//! Looks from inside: what a network sandbox has, and what can be reached from it.
//!
//! Images of a stack hold no shell and no tools, so the look is taken by a container of ours that
//! joins the sandbox (`--network container:<id>`), or the host's (`--network host`). The container
//! holds one file, this very program, and runs its hidden `probe` subcommand:
//!
//! - [`request`] is what is asked, [`report`] what is answered, both JSON;
//! - [`answer`] and [`sandbox`] are the answering side, inside the container;
//! - [`namespace`] tells whether the two are in the same place anyway;
//! - [`image`] and [`run`] are the asking side: the image is made of our own executable, the
//!   containers are started side by side and are gone afterwards;
//! - [`stand_in`] asks on the nodes of a Swarm, where no container can be joined.

pub mod answer;
pub mod image;
pub mod namespace;
pub mod report;
pub mod request;
pub mod run;
#[cfg(target_os = "linux")]
pub mod sandbox;
pub mod stand_in;

pub use report::Report;
pub use request::Request;

/// Questions that one probe has under way at once: bounded, because its container is small.
const CONCURRENCY: usize = 64;

/// So many sizes are tried one after the other, at most, to find the longest packet that gets through.
const MTU_TRIES: usize = 14;

/// What an ICMP echo request carries.
pub const ECHO_DATA: &[u8] = b"causeway";
