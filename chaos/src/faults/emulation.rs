//! Where mongod is emulated, it doesn't end when it aborts, and this makes up for it.
//!
//! QEMU ends on behalf of its guest by sending itself the guest's signal. As the first process of a
//! container it can't: the kernel drops signals that such a process sends itself and doesn't handle.
//! It waits for its own end for ever, with every connection open. A mongod without an emulator is
//! gone at once (`abort` of the C library falls back on an instruction that traps).

use deploy::error::Result;
use deploy::state::Container;
use rustix::process::{Pid, Signal, kill_process};

use crate::stack::Stack;

/// Ends the container's process if it is an emulator whose guest has aborted.
pub(super) async fn bury(stack: &Stack, container: &Container) -> Result<()> {
    let pid = stack.pid(container).await?;
    if is_waiting_for_its_end(pid)
        && let Some(pid) = Pid::from_raw(pid)
    {
        // If it is gone after all, that is as good.
        _ = kill_process(pid, Signal::KILL);
    }
    Ok(())
}

/// A thread that sleeps in `sigsuspend` (`rt_sigsuspend` is no call of mongod's, nor of QEMU's for
/// any other reason).
fn is_waiting_for_its_end(pid: i32) -> bool {
    let emulated = std::fs::read_link(format!("/proc/{pid}/exe"))
        .ok()
        .and_then(|exe| Some(exe.file_name()?.to_string_lossy().starts_with("qemu-")))
        .unwrap_or(false);
    let Ok(threads) = std::fs::read_dir(format!("/proc/{pid}/task")) else {
        return false;
    };
    emulated
        && threads.flatten().any(|thread| {
            std::fs::read_to_string(thread.path().join("wchan"))
                .is_ok_and(|function| function.starts_with("sigsuspend"))
        })
}
