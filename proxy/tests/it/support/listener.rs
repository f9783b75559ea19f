//! The listener as the stack runs it: the process that holds the sockets.

use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;
use testkit::net::free_address;
use testkit::process::Process;
use testkit::wait::until;

/// A listener, running or not; killed at the end of the test.
pub(crate) struct TestListener {
    pub(crate) address: SocketAddr,
    /// Where clients connect with TLS.
    pub(crate) tls_address: SocketAddr,
    count: usize,
    process: Option<Process>,
    directory: TempDir,
}

impl TestListener {
    /// With so many sockets, and running.
    #[track_caller]
    pub(crate) fn start(count: usize) -> Self {
        let mut listener = Self::absent(count);
        listener.run();
        listener
    }

    /// With so many sockets, once it runs.
    pub(crate) fn absent(count: usize) -> Self {
        Self {
            address: free_address(),
            tls_address: free_address(),
            count,
            process: None,
            directory: TempDir::new().unwrap(),
        }
    }

    /// Where its sockets are handed over.
    pub(crate) fn socket(&self) -> PathBuf {
        self.directory.path().join("listen.sock")
    }

    /// Starts it, and waits until it can be asked. `cargo` puts its binary beside the proxy's.
    #[track_caller]
    pub(crate) fn run(&mut self) {
        let binary = Path::new(env!("CARGO_BIN_EXE_proxy")).with_file_name("listener");
        assert!(
            binary.exists(),
            "{} is missing: cargo build -p listener",
            binary.display()
        );
        let mut command = Command::new(binary);
        command
            .env_clear()
            .env(
                "LISTENER_LISTEN",
                format!("{},{}", self.address, self.tls_address),
            )
            .env("LISTENER_SOCKET", self.socket())
            .env("LISTENER_COUNT", self.count.to_string())
            .stdin(Stdio::null())
            .stderr(Stdio::null());
        self.process = Some(Process::start(&mut command));
        until("the listener's socket", || {
            UnixStream::connect(self.socket()).ok()
        });
    }

    /// Its sockets, as everybody gets them who may connect.
    #[track_caller]
    pub(crate) fn take_sockets(&self) -> Vec<TcpListener> {
        let connection = UnixStream::connect(self.socket()).unwrap();
        let sockets = testkit::net::handed_over(&connection);
        assert_eq!(sockets.len(), 2 * self.count);
        sockets
    }

    /// Ends it as no signal handler can notice.
    pub(crate) fn kill(&mut self) {
        self.process = None;
    }
}
