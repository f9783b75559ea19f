//! The parts of the stack and their figures, from their own metrics.
//!
//! | file | what it is for |
//! |---|---|
//! | [`scrape`] | asking a part |
//! | [`exposition`] | reading what it says |
//! | [`replica`] | one process of a part, from time to time |
//! | [`window`] | what it counted meanwhile |
//! | [`figures`] | what all of it comes to |
//! | [`history`] | the last 15 minutes |
//! | [`alerts`] | which alerts fire, as a Prometheus says |
//! | [`watch`] | doing it, again and again |

pub mod alerts;
mod exposition;
pub mod figures;
pub mod history;
pub mod replica;
mod scrape;
mod watch;
mod window;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::observe::Metrics;
use crate::settings::Settings;
use crate::stack::figures::Figures;
use crate::stack::watch::Watch;
use crate::store::Store;

/// Somebody looks until so long after the last look.
const LOOKING: Duration = Duration::from_secs(10);

/// Asks the parts, and remembers the last 15 minutes.
#[derive(Debug)]
pub struct Stack {
    board: Arc<Board>,
    watching: JoinHandle<()>,
}

/// Where the figures are put up.
#[derive(Debug, Default)]
struct Board {
    figures: Mutex<Arc<Figures>>,
    looked: Mutex<Option<Instant>>,
    /// Somebody begins to look.
    look: Notify,
}

impl Stack {
    /// Begins to ask, on the current runtime, until dropped.
    pub fn start(settings: &Settings, store: &Store, metrics: &Metrics) -> Self {
        let board = Arc::new(Board::default());
        let watch = Watch::new(settings, store.clone(), metrics.scrape_failures.clone());
        let watching = tokio::spawn(watch.run(Arc::clone(&board)));
        Self { board, watching }
    }

    /// How things are now. While this is asked they are looked at each second, otherwise each five.
    pub fn figures(&self) -> Arc<Figures> {
        self.board.look()
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        self.watching.abort();
    }
}

impl Board {
    fn look(&self) -> Arc<Figures> {
        if !self.is_watched() {
            self.look.notify_one();
        }
        *lock(&self.looked) = Some(Instant::now());
        Arc::clone(&lock(&self.figures))
    }

    fn is_watched(&self) -> bool {
        lock(&self.looked).is_some_and(|looked| looked.elapsed() < LOOKING)
    }

    fn put_up(&self, figures: Figures) {
        *lock(&self.figures) = Arc::new(figures);
    }
}

/// What it holds is whole at every moment, a panic elsewhere or not.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
