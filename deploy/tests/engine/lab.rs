//! `deploy lab` against a real engine: lessons that pass, an engine that is left as it was.

mod by_hand;
mod command_line;
mod leaves_nothing;
mod shown;
mod support;
