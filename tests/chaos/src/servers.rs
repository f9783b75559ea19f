//! What the suite's own containers do, each a hidden subcommand.

pub(crate) mod backend;
pub(crate) mod late_dns;
