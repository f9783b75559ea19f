//! What was recorded: [`filter`]s, [`search`] by them, and a request as it was [`recorded`].

pub mod filter;
pub mod recorded;
pub mod search;
