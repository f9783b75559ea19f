//! What the user sees.

pub(crate) mod plan;

pub(crate) use terminal::{Form, Output, Task, style, table, text};
