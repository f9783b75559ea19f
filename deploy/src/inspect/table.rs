//! todo
use super::Topology;
use crate::output::style::Style;
/// Todo
pub fn render(_: &Topology, _: Style) -> String {
    String::new()
}
