//! Signs of life where no terminal shows spinners: a line when nothing was printed for a while.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use super::text;

/// The longest silence while something is worked on.
const SILENCE: Duration = Duration::from_secs(10);
/// Between two looks whether it was that long.
const LOOK: Duration = Duration::from_secs(1);

/// What is being worked on, and when something was last printed.
#[derive(Debug, Clone)]
pub(super) struct Pulse(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    last_line: Instant,
    /// In the order in which they began.
    tasks: BTreeMap<u64, Work>,
    begun: u64,
}

#[derive(Debug)]
struct Work {
    subject: String,
    detail: String,
    since: Instant,
}

impl Pulse {
    /// `print` is given each line; without it nothing is ever said.
    pub(super) fn new(print: Option<fn(&str)>) -> Self {
        let state = Arc::new(Mutex::new(State {
            last_line: Instant::now(),
            tasks: BTreeMap::new(),
            begun: 0,
        }));
        if let Some(print) = print {
            let watched = Arc::downgrade(&state);
            // Should there be no thread to be had, the work goes on in silence.
            let _ = thread::Builder::new().spawn(move || watch(&watched, print));
        }
        Self(state)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something was printed.
    pub(super) fn printed(&self) {
        self.state().last_line = Instant::now();
    }

    /// Work on `subject` begins; its number.
    pub(super) fn begin(&self, subject: &str) -> u64 {
        let mut state = self.state();
        let number = state.begun;
        state.begun += 1;
        let work = Work {
            subject: subject.to_owned(),
            detail: String::new(),
            since: Instant::now(),
        };
        state.tasks.insert(number, work);
        number
    }

    /// How far it is.
    pub(super) fn detail(&self, number: u64, detail: &str) {
        if let Some(work) = self.state().tasks.get_mut(&number) {
            detail.clone_into(&mut work.detail);
        }
    }

    /// It is over.
    pub(super) fn end(&self, number: u64) {
        self.state().tasks.remove(&number);
    }
}

/// Until nobody is left who could work on anything.
fn watch(state: &Weak<Mutex<State>>, print: fn(&str)) {
    loop {
        thread::sleep(LOOK);
        let Some(state) = state.upgrade() else {
            return;
        };
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.last_line.elapsed() < SILENCE {
            continue;
        }
        let Some(work) = state.tasks.values().next() else {
            continue;
        };
        print(&format!(
            "{}: {} ({})",
            work.subject,
            work.detail,
            text::duration(work.since.elapsed())
        ));
        state.last_line = Instant::now();
    }
}
