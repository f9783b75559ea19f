//! The server as a member of a replica set.

use std::time::Duration;

use engine::error::Result;
use mongodb::bson::{Bson, Document, doc};

use super::{Database, broken};

/// Longest wait for what one member says of itself.
const PATIENCE: Duration = Duration::from_secs(5);

impl Database {
    /// Whether it takes writes. One that doesn't answer takes none.
    pub(crate) async fn is_primary(&self) -> bool {
        let admin = self.client.database("admin");
        let said = tokio::time::timeout(PATIENCE, admin.run_command(doc! { "hello": 1 })).await;
        matches!(said, Ok(Ok(said)) if said.get_bool("isWritablePrimary").unwrap_or_default())
    }

    /// So many members of its set serve, as it sees them.
    pub(crate) async fn serving(&self) -> Result<usize> {
        let admin = self.client.database("admin");
        let status = admin.run_command(doc! { "replSetGetStatus": 1 }).await;
        let status = status.map_err(|error| broken("ask for the set's state", &error))?;
        let members = status.get_array("members").map_or(&[][..], Vec::as_slice);
        // 1: primary, 2: secondary.
        let serves = |it: &Document| matches!(it.get_i32("state"), Ok(1 | 2));
        let members = members.iter().filter_map(Bson::as_document);
        Ok(members.filter(|it| serves(it)).count())
    }

    /// Has it let another member take writes.
    pub(crate) async fn step_down(&self) -> Result<()> {
        let admin = self.client.database("admin");
        let done = admin.run_command(doc! { "replSetStepDown": 60 }).await;
        done.map(drop)
            .map_err(|error| broken("have the primary step down", &error))
    }
}
