//! What ends a process from outside.

use std::fmt;

use tokio::signal::unix::{SignalKind, signal};

/// The signal that asks a process to end.
#[derive(Debug, Clone, Copy)]
pub enum Ending {
    /// SIGINT.
    CtrlC,
    /// SIGTERM.
    Sigterm,
}

impl Ending {
    /// The exit status by which a shell knows it: 128 and the signal's number.
    pub fn status(self) -> u8 {
        match self {
            Self::CtrlC => 130,
            Self::Sigterm => 143,
        }
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CtrlC => "Ctrl-C",
            Self::Sigterm => "SIGTERM",
        })
    }
}

/// Waits for Ctrl-C or SIGTERM; what was under way stops where it is.
pub async fn interrupted() -> Ending {
    let (Ok(mut interrupt), Ok(mut terminate)) = (
        signal(SignalKind::interrupt()),
        signal(SignalKind::terminate()),
    ) else {
        // Without handlers the signals end the process by themselves.
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => Ending::CtrlC,
        _ = terminate.recv() => Ending::Sigterm,
    }
}
