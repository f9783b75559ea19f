//! todo
use super::Topology;
/// Todo
pub fn render(_: &Topology) -> String {
    String::new()
}
