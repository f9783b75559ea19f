//! What a plan is made from: everything that is known, observed once.

use crate::compose::Project;
use crate::compose::model::ServiceName;
use crate::image::Images;
use crate::secrets::Secrets;
use crate::state::State;

/// What a plan is computed from.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a> {
    /// The file.
    pub project: &'a Project,
    /// What is on the engine.
    pub state: &'a State,
    /// What is known about the images.
    pub images: &'a Images,
    /// The secrets that exist.
    pub secrets: &'a Secrets,
    /// Only these services, and nothing that isn't theirs (`scale`); `None`: everything.
    pub only: Option<&'a [ServiceName]>,
    /// Containers are replaced even if nothing about them has changed.
    pub force_recreate: bool,
}
