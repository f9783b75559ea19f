//! All data is gone, and comes back from a backup that was taken while it was written to: into an empty
//! stack, under the steady load, by a restore that is killed half way and run again.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use engine::error::{Error, Result};
use tokio::time::sleep;

use super::Injection;
use crate::database::{Database, Sum};
use crate::load::Load;
use crate::stack::Stack;
use crate::tool::Tool;

/// Between two looks at how far the restore is.
const PAUSE: Duration = Duration::from_millis(200);
/// Longest until half of the documents are there.
const PATIENCE: Duration = Duration::from_secs(1200);

/// The data is lost and restored.
#[derive(Debug)]
pub(super) struct Restore {
    stack: Stack,
    tool: Tool,
    /// How many documents there are before.
    documents: u64,
    before: Sum,
    /// Of what was written while the backup was taken: what was acknowledged before it began.
    acknowledged: u64,
    file: PathBuf,
    figures: String,
}

impl Restore {
    pub(super) fn new(stack: Stack, tool: &Tool, documents: u64) -> Self {
        Self {
            stack,
            tool: tool.clone(),
            documents,
            before: Sum::default(),
            acknowledged: 0,
            file: tool.certificates.with_file_name("restore.zip"),
            figures: String::new(),
        }
    }

    async fn backup(&mut self, database: &Database) -> Result<()> {
        let (done, count) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicU64::new(0)),
        );
        let writing = tokio::spawn({
            let (database, done, count) = (database.clone(), Arc::clone(&done), Arc::clone(&count));
            async move {
                while !done.load(Ordering::Relaxed) {
                    let number = count.load(Ordering::Relaxed);
                    database.write_one(number).await?;
                    count.store(number + 1, Ordering::Relaxed);
                }
                Ok::<_, Error>(())
            }
        });
        while count.load(Ordering::Relaxed) == 0 && !writing.is_finished() {
            sleep(PAUSE).await;
        }
        self.acknowledged = count.load(Ordering::Relaxed);
        let began = Instant::now();
        let file = self.file.display().to_string();
        let backed_up = self.tool.run(&["backup", "--force", &file]).await;
        self.figures = format!("backup {:.0} s", began.elapsed().as_secs_f64());
        done.store(true, Ordering::Relaxed);
        writing
            .await
            .map_err(|error| broken(&error.to_string()))??;
        backed_up
    }

    /// Kills the restore when half of the documents are there.
    async fn half(&self, database: &Database) -> Result<()> {
        let file = self.file.display().to_string();
        let began = Instant::now();
        let half = async {
            while began.elapsed() < PATIENCE {
                if database.count().await? > self.documents / 2 {
                    return Ok(());
                }
                sleep(PAUSE).await;
            }
            Err(broken("half of the documents aren't there in time"))
        };
        let restore = ["restore", file.as_str()];
        tokio::select! {
            // Before half was there: it was quicker than the look.
            ended = self.tool.run(&restore) => ended,
            // What runs is killed as it is dropped.
            half = half => half,
        }
    }
}

#[async_trait]
impl Injection for Restore {
    fn victim(&self) -> String {
        format!("{} documents ({})", self.documents, self.figures)
    }

    fn lasts(&self) -> bool {
        false
    }

    async fn prepare(&mut self) -> Result<()> {
        let database = self.stack.database().await?;
        self.before = database.seed(self.documents).await?;
        self.backup(&database).await?;
        self.tool.run(&["down", "--volumes"]).await?;
        self.tool.run(&["up", "--no-verify"]).await?;
        self.tool.run(&["scale", "api=2"]).await
    }

    async fn inject(&mut self, _: &Load) -> Result<()> {
        let database = self.stack.database().await?;
        let began = Instant::now();
        self.half(&database).await?;
        let half = began.elapsed().as_secs();
        let file = self.file.display().to_string();
        let began = Instant::now();
        self.tool.run(&["restore", &file]).await?;
        let again = began.elapsed().as_secs();
        self.figures = format!("{}, killed after {half} s, again {again} s", self.figures);
        let after = database.sum().await?;
        if after != self.before {
            return Err(broken(&format!(
                "{:?} were there, {after:?} are",
                self.before
            )));
        }
        let written = database.written(self.acknowledged).await?;
        if written != self.acknowledged {
            return Err(broken(&format!(
                "{} documents were acknowledged before the backup began, {written} of them are in it",
                self.acknowledged
            )));
        }
        Ok(())
    }

    async fn restore(&mut self) -> Result<()> {
        match std::fs::remove_file(&self.file) {
            // It didn't get as far.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            removed => removed
                .map_err(|error| broken(&format!("can't remove {}: {error}", self.file.display()))),
        }
    }
}

fn broken(what: &str) -> Error {
    Error::failed(
        format!("the restore: {what}"),
        "see the output above, and `deploy logs keeper`",
    )
}
