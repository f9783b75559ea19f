//! What a plan is made from: everything that is known, observed once.

use std::collections::BTreeSet;

use compose_file::Project;
use compose_file::model::ServiceName;
use engine::image::Images;
use engine::state::State;

use crate::secrets::Secrets;

/// What a plan is computed from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Inputs<'a> {
    /// The file.
    pub(crate) project: &'a Project,
    /// What is on the engine.
    pub(crate) state: &'a State,
    /// What is known about the images.
    pub(crate) images: &'a Images,
    /// The secrets that exist.
    pub(crate) secrets: &'a Secrets,
    /// The containers whose `post_start` has yet to come to its end.
    pub(crate) owed: &'a BTreeSet<String>,
    /// Only these services, and nothing that isn't theirs (`scale`); `None`: everything.
    pub(crate) only: Option<&'a [ServiceName]>,
    /// Containers are replaced even if nothing about them has changed.
    pub(crate) force_recreate: bool,
}
