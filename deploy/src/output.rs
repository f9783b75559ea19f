//! What the user sees.

pub mod plan;

pub use terminal::{Form, Layers, Output, Task, style, table, text};
