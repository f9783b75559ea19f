//! What the suite's own containers do, each a hidden subcommand.

pub mod backend;
pub mod late_dns;
