//! The labels by which a run recognises what is its own.

/// The run that made a container or a network.
pub(super) const RUN: &str = "dev.causeway.lab";
/// What the object is for: [`KEEPER`], or the lesson it belongs to.
pub(super) const ROLE: &str = "dev.causeway.lab.role";
/// The role of the container that lives exactly as long as its run.
pub(super) const KEEPER: &str = "keeper";
/// On a keeper: the image that the run brought along and will remove.
pub(super) const IMAGE: &str = "dev.causeway.lab.image";
