//! Where log lines go: buffers in memory, written to standard output by a thread of their own.
//!
//! A request must never wait for whoever reads our output. Each thread appends whole lines to a
//! buffer that only the writer ever contends for; when a buffer is full because the output
//! doesn't drain, lines are dropped and counted.

use std::{
    cell::Cell,
    io::{self, Write},
    mem,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    thread::{self, JoinHandle, Thread},
    time::{Duration, Instant},
};

use tracing_subscriber::fmt::MakeWriter;

/// Number of buffers; more threads than that share.
const BUFFERS: usize = 16;
/// Largest size of one buffer.
const MAX_BUFFERED: usize = 1024 * 1024;
/// Room in a buffer: for the line that crosses the limit, too.
const CAPACITY: usize = MAX_BUFFERED + 128 * 1024;
/// Size at which a buffer is written out without waiting for the interval.
const FLUSH_SIZE: usize = 64 * 1024;
/// Longest time that a line stays in memory.
const FLUSH_INTERVAL: Duration = Duration::from_millis(50);
/// Longest wait for the last lines to be taken.
const FINAL_FLUSH: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(crate) struct LogSink {
    buffers: [Mutex<Vec<u8>>; BUFFERS],
    dropped: AtomicU64,
    closed: AtomicBool,
    writer: OnceLock<Thread>,
}

thread_local! {
    static BUFFER: Cell<Option<usize>> = const { Cell::new(None) };
}

impl LogSink {
    /// Appends what `line` writes: whole lines, or nothing where there is no room.
    pub(crate) fn append(&self, line: impl FnOnce(&mut Vec<u8>)) {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let index = BUFFER.get().unwrap_or_else(|| {
            let index = NEXT.fetch_add(1, Relaxed) % BUFFERS;
            BUFFER.set(Some(index));
            index
        });
        let mut buffer = self.buffers[index]
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if buffer.len() < MAX_BUFFERED {
            if buffer.capacity() == 0 {
                // All at once: growing step by step would leave the allocator with the steps.
                // Pages that are never written to cost nothing.
                buffer.reserve_exact(CAPACITY);
            }
            let before = buffer.len();
            line(&mut buffer);
            if before < FLUSH_SIZE && buffer.len() >= FLUSH_SIZE {
                self.wake_writer();
            }
        } else {
            self.dropped.fetch_add(1, Relaxed);
        }
    }

    /// Has the buffers written out now.
    fn wake_writer(&self) {
        if let Some(writer) = self.writer.get() {
            writer.unpark();
        }
    }

    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Relaxed)
    }

    /// Writes all buffers out; `spare` is swapped in for each, so that none is locked meanwhile.
    fn flush(&self, spare: &mut Vec<u8>) {
        let mut out = io::stdout().lock();
        for buffer in &self.buffers {
            let mut buffer = buffer.lock().unwrap_or_else(PoisonError::into_inner);
            // A buffer that nobody uses must not end up with the memory of one that is used.
            if buffer.is_empty() {
                continue;
            }
            mem::swap(spare, &mut *buffer);
            drop(buffer);
            // Nobody to tell if the output is gone.
            let _ = out.write_all(spare);
            spare.clear();
        }
        let _ = out.flush();
    }
}

/// Starts the writer. The lines written last are flushed when the guard is dropped.
pub(crate) fn start() -> io::Result<Guard> {
    let sink = Arc::new(LogSink {
        buffers: Default::default(),
        dropped: AtomicU64::new(0),
        closed: AtomicBool::new(false),
        writer: OnceLock::new(),
    });
    let own = Arc::clone(&sink);
    let writer = thread::Builder::new()
        .name("log".to_owned())
        .spawn(move || {
            let mut spare = Vec::new();
            while !own.closed.load(Relaxed) {
                thread::park_timeout(FLUSH_INTERVAL);
                own.flush(&mut spare);
            }
            own.flush(&mut spare);
        })?;
    // Just made, so not set before.
    let _ = sink.writer.set(writer.thread().clone());
    Ok(Guard { sink, writer })
}

/// Keeps the writer running.
#[derive(Debug)]
pub(crate) struct Guard {
    sink: Arc<LogSink>,
    writer: JoinHandle<()>,
}

impl Guard {
    /// What it writes out.
    pub(crate) fn sink(&self) -> Arc<LogSink> {
        Arc::clone(&self.sink)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.sink.closed.store(true, Relaxed);
        self.sink.wake_writer();
        // A writer that is stuck in a full pipe must not keep the process from ending.
        let deadline = Instant::now() + FINAL_FLUSH;
        while !self.writer.is_finished() && Instant::now() < deadline {
            thread::park_timeout(Duration::from_millis(1));
        }
    }
}

/// Lets `tracing_subscriber`'s formatter write here; it hands over one event at a time.
#[derive(Debug, Clone)]
pub(crate) struct EventWriter(pub(crate) Arc<LogSink>);

impl Write for EventWriter {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.append(|buffer| buffer.extend_from_slice(line));
        // Events are few, and somebody may be waiting for one.
        self.0.wake_writer();
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for EventWriter {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}
