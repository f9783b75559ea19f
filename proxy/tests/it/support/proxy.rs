//! The proxy as its users run it: a process with an environment, two listeners and a log.

use super::backend::Backend;
use super::listener::TestListener;
use super::name_server::NameServer;
use super::over_http2;
use super::pebble::Clock;
use serde_json::Value;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::net::SocketAddr;
use std::ops::{Deref, DerefMut};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use tempfile::TempDir;
use testkit::http::{RawClient, Response, carry_at, is_carried_at, ok};
use testkit::net::free_address;
use testkit::process::{Process, output_of};
use testkit::tls::{self, Authority, PKCS_ECDSA_P256_SHA256};
use testkit::wait::{until, wait_until};

/// `tls` or `http2`: every proxy of a test is spoken to over that, whatever the test is about.
const ALL_OVER: &str = "PROXY_TESTS_OVER";
const BINARY: &str = env!("CARGO_BIN_EXE_proxy");

/// A running proxy, killed at the end of the test.
pub(crate) struct TestProxy {
    pub(crate) address: SocketAddr,
    /// Where it speaks TLS, if it does.
    pub(crate) tls_address: SocketAddr,
    pub(crate) admin: SocketAddr,
    process: Process,
    /// Holds the log (`log`) and what the proxy was configured with.
    directory: TempDir,
}

/// The settings of a proxy to be.
pub(crate) struct ProxyBuilder {
    environment: BTreeMap<String, String>,
    listen: Option<SocketAddr>,
    /// Where TLS is spoken.
    tls_listen: Option<SocketAddr>,
    /// `listen` is somebody else's.
    handed: bool,
    admin: Option<SocketAddr>,
    file: Option<String>,
    /// The files of an `/etc` of its own.
    etc: Option<BTreeMap<&'static str, String>>,
    open_files: Option<u32>,
    on_terminal: bool,
}

impl TestProxy {
    /// In front of one backend, otherwise with the defaults.
    pub(crate) fn before(backend: SocketAddr) -> Self {
        Self::builder(backend).start()
    }

    /// In front of one backend, with these settings: `PROXY_…`.
    pub(crate) fn with(backend: &Backend, settings: &[(&str, &str)]) -> Self {
        let mut builder = Self::builder(backend.address());
        for (key, value) in settings {
            builder = builder.set(key, value);
        }
        builder.start()
    }

    pub(crate) fn builder(upstream: impl ToString) -> ProxyBuilder {
        let environment = BTreeMap::from([
            ("PROXY_UPSTREAM".to_owned(), upstream.to_string()),
            ("PROXY_WORKERS".to_owned(), "1".to_owned()),
        ]);
        ProxyBuilder {
            environment,
            listen: None,
            tls_listen: None,
            handed: false,
            admin: None,
            file: None,
            etc: None,
            open_files: None,
            on_terminal: false,
        }
    }

    /// A new client connection.
    pub(crate) fn client(&self) -> RawClient {
        RawClient::connect(self.address)
    }

    /// One GET on a connection of its own.
    #[track_caller]
    pub(crate) fn get(&self, target: &str) -> Response {
        self.client().get(target)
    }

    /// One GET to the admin listener.
    #[track_caller]
    pub(crate) fn admin_get(&self, target: &str) -> Response {
        RawClient::connect(self.admin).get(target)
    }

    /// The sum over every series of a counter or gauge that has all of `labels`
    /// (`code="200"`).
    #[track_caller]
    pub(crate) fn metric(&self, name: &str, labels: &[&str]) -> i64 {
        let text = self.admin_get("/metrics").text();
        let series = text.lines().filter(|line| {
            let rest = line.strip_prefix(name);
            let named = rest.is_some_and(|rest| rest.starts_with(['{', ' ']));
            named && labels.iter().all(|label| line.contains(label))
        });
        let value = |line: &str| line.rsplit(' ').next()?.parse::<i64>().ok();
        series
            .map(|line| value(line).expect("a whole number"))
            .sum()
    }

    /// A memory figure from `/proc/PID/status` in bytes (`VmRSS`, `VmHWM`).
    pub(crate) fn memory(&self, figure: &str) -> u64 {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status
            .lines()
            .find(|line| line.starts_with(figure))
            .unwrap();
        let kilobytes: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        kilobytes * 1024
    }

    /// How many files and sockets the process has open.
    pub(crate) fn open_files(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.process.id()))
            .unwrap()
            .count()
    }

    /// Writes a file of the proxy's own `/etc` in place.
    pub(crate) fn write_etc(&self, name: &str, content: impl ToString) {
        let path = self.directory.path().join("etc").join(name);
        std::fs::write(path, content.to_string()).unwrap();
    }

    /// Puts another file in the place of one of the proxy's own `/etc`.
    pub(crate) fn replace_etc(&self, name: &str, content: impl ToString) {
        let new = format!("{name}.new");
        self.write_etc(&new, content);
        let etc = self.directory.path().join("etc");
        std::fs::rename(etc.join(new), etc.join(name)).unwrap();
    }

    /// Everything that the process has printed so far.
    pub(crate) fn log(&self) -> String {
        let log = std::fs::read(self.directory.path().join("log")).unwrap();
        String::from_utf8(log).expect("the log is UTF-8")
    }

    /// The whole log lines so far; each one has to be a JSON object.
    #[track_caller]
    pub(crate) fn events(&self) -> Vec<Value> {
        let log = self.log();
        let whole = log.rfind('\n').map_or("", |end| &log[..end]);
        let lines = whole.lines();
        lines
            .map(|line| serde_json::from_str(line).expect("a log line is JSON"))
            .collect()
    }

    /// Waits for the access-log entry of the request with this id.
    #[track_caller]
    pub(crate) fn access_entry(&self, request_id: &str) -> Value {
        until(&format!("an access-log entry for {request_id}"), || {
            self.access_entries()
                .into_iter()
                .find(|entry| entry["request_id"] == request_id)
        })
    }

    /// Every access-log entry so far.
    #[track_caller]
    pub(crate) fn access_entries(&self) -> Vec<Value> {
        let mut events = self.events();
        events.retain(|event| event["target"] == "access");
        events
    }
}

/// A backend with a proxy in front of it that has the defaults.
pub(crate) fn proxied(backend: Backend) -> (Backend, TestProxy) {
    let proxy = TestProxy::before(backend.address());
    (backend, proxy)
}

/// A backend that answers `served`, with a proxy in front of it that has these settings.
pub(crate) fn serving(settings: &[(&str, &str)]) -> (Backend, TestProxy) {
    let backend = Backend::answering(|_| ok("served"));
    let proxy = TestProxy::with(&backend, settings);
    (backend, proxy)
}

impl Deref for TestProxy {
    type Target = Process;

    fn deref(&self) -> &Process {
        &self.process
    }
}

impl DerefMut for TestProxy {
    fn deref_mut(&mut self) -> &mut Process {
        &mut self.process
    }
}

impl Drop for TestProxy {
    fn drop(&mut self) {
        let _already_ended = self.process.kill();
        let _already_waited = self.process.wait();
        let log = self.log();
        if std::thread::panicking() {
            let tail = log.lines().rev().take(30).collect::<Vec<_>>().join("\n");
            eprintln!("--- the proxy's last log lines, newest first:\n{tail}");
        } else {
            assert!(!log.contains("panicked"), "the proxy panicked: {log}");
        }
    }
}

impl ProxyBuilder {
    /// Sets `PROXY_<key>`.
    pub(crate) fn set(mut self, key: &str, value: impl ToString) -> Self {
        self.environment
            .insert(format!("PROXY_{key}"), value.to_string());
        self
    }

    /// Sets a variable that others have defined.
    pub(crate) fn variable(mut self, name: &str, value: impl ToString) -> Self {
        self.environment.insert(name.to_owned(), value.to_string());
        self
    }

    /// Has the proxy see this time of day.
    pub(crate) fn clock(mut self, clock: &Clock) -> Self {
        self.environment.extend(clock.environment());
        self
    }

    /// Has the proxy ask this name server, and no other.
    pub(crate) fn asking(self, server: &NameServer) -> Self {
        let address = server.address();
        let text = format!("nameserver {address}\noptions ndots:0\n");
        self.etc("resolv.conf", text)
    }

    /// Gives the proxy an `/etc` that has only the files that are put there.
    pub(crate) fn empty_etc(mut self) -> Self {
        self.etc.get_or_insert_default();
        self
    }

    /// The same, with this file.
    pub(crate) fn etc(mut self, name: &'static str, content: impl ToString) -> Self {
        let etc = self.etc.get_or_insert_default();
        etc.insert(name, content.to_string());
        self
    }

    /// Listens on a chosen address instead of one that belongs to the test.
    pub(crate) fn listening_on(mut self, address: SocketAddr) -> Self {
        self.listen = Some(address);
        self
    }

    /// The same for the admin listener.
    pub(crate) fn admin_on(mut self, address: SocketAddr) -> Self {
        self.admin = Some(address);
        self
    }

    /// Accepts on the sockets of this listener, there or not.
    pub(crate) fn listening_from(mut self, listener: &TestListener) -> Self {
        self.handed = true;
        self.listening_on(listener.address)
            .set("LISTEN_FROM", listener.socket().display())
    }

    /// Speaks TLS at an address of its own, [`TestProxy::tls_address`], with what is in `certificates`.
    pub(crate) fn tls(mut self, certificates: &Path) -> Self {
        self.tls_listen = Some(free_address());
        self.set("TLS_CERTIFICATES", certificates.display())
    }

    /// Speaks TLS at a chosen address.
    pub(crate) fn tls_on(mut self, address: SocketAddr) -> Self {
        self.tls_listen = Some(address);
        self
    }

    /// Starts with `--config` and a file of this content.
    pub(crate) fn file(mut self, content: &str) -> Self {
        self.file = Some(content.to_owned());
        self
    }

    /// Limits the files and sockets that the process may have open.
    pub(crate) fn open_files(mut self, limit: u32) -> Self {
        self.open_files = Some(limit);
        self
    }

    /// Has the log go to a terminal.
    pub(crate) fn on_terminal(mut self) -> Self {
        self.on_terminal = true;
        self
    }

    /// Starts the proxy and waits until it says that it can serve.
    #[track_caller]
    pub(crate) fn start(self) -> TestProxy {
        let proxy = self.start_alive();
        wait_until("the proxy's /readyz", || {
            proxy.admin_get("/readyz").status == 200
        });
        proxy
    }

    /// Starts the proxy and waits only until it listens, with or without an upstream.
    #[track_caller]
    pub(crate) fn start_alive(self) -> TestProxy {
        let handed = self.handed;
        let mut proxy = self.spawn();
        let own = if handed {
            vec![proxy.admin]
        } else {
            vec![proxy.address, proxy.admin]
        };
        let up = until("the proxy's listeners", || {
            let ended = !proxy.is_running();
            let up = own
                .iter()
                .all(|listener| std::net::TcpStream::connect(listener).is_ok());
            (up || ended).then_some(up)
        });
        assert!(up, "the proxy ended at the start");
        if !handed {
            let health = proxy.admin_get("/healthz");
            assert_eq!(health.status, 200, "{}", health.text());
        }
        proxy
    }

    /// Starts the proxy and waits for nothing.
    pub(crate) fn spawn(mut self) -> TestProxy {
        let directory = TempDir::new().unwrap();
        let mut address = self.listen.unwrap_or_else(free_address);
        let over = std::env::var(ALL_OVER).unwrap_or_default();
        assert!(["", "tls", "http2"].contains(&&*over), "{ALL_OVER}: {over}");
        if over == "http2" {
            carry_at(address, over_http2);
            let key = "PROXY_HTTP2".to_owned();
            self.environment.insert(key, "prior-knowledge".to_owned());
        }
        if over == "tls" && self.tls_listen.is_none() {
            let authority = Authority::new();
            let names = ["example.test"];
            authority.write(directory.path(), "a", &names, &PKCS_ECDSA_P256_SHA256);
            tls::speak_at(address, Arc::new(authority.client()));
            self.environment.insert(
                "PROXY_TLS_CERTIFICATES".to_owned(),
                directory.path().display().to_string(),
            );
            self.tls_listen = Some(address);
            address = free_address();
        }
        let admin = self.admin.unwrap_or_else(free_address);
        for (key, value) in [
            ("PROXY_LISTEN", Some(address)),
            ("PROXY_TLS_LISTEN", self.tls_listen),
            ("PROXY_ADMIN_LISTEN", Some(admin)),
        ] {
            if let Some(value) = value {
                self.environment.insert(key.to_owned(), value.to_string());
            }
        }
        let log = File::create(directory.path().join("log")).unwrap();
        let log = if self.on_terminal { terminal(log) } else { log };
        let mut command = self.command(directory.path());
        let process = Process::start(command.stdout(log.try_clone().unwrap()).stderr(log));
        let tls_address = self.tls_listen.unwrap_or(address);
        TestProxy {
            address: if is_carried_at(tls_address) {
                tls_address
            } else {
                address
            },
            tls_address,
            admin,
            process,
            directory,
        }
    }

    /// The proxy's own process id has to be the child's, so each wrapper ends in `exec`.
    fn command(&self, directory: &Path) -> Command {
        let mut script = String::new();
        if let Some(limit) = self.open_files {
            script = format!("ulimit -n {limit}; ");
        }
        let mut wrapper = vec![OsString::from("sh")];
        if let Some(etc) = &self.etc {
            std::fs::create_dir(directory.join("etc")).unwrap();
            for (name, content) in etc {
                std::fs::write(directory.join("etc").join(name), content).unwrap();
            }
            // Whoever isn't root may mount as the root of a user namespace.
            let root = std::fs::metadata("/proc/self").unwrap().uid() == 0;
            let kind = if root { "--mount" } else { "-Urm" };
            wrapper = ["unshare", kind, "sh"].map(OsString::from).to_vec();
            script += "mount --bind \"$1/etc\" /etc && ";
        }
        script += "exec \"$0\"";
        if let Some(content) = &self.file {
            std::fs::write(directory.join("proxy.toml"), content).unwrap();
            script += " --config \"$1/proxy.toml\"";
        }
        let mut command = Command::new(&wrapper[0]);
        command
            .args(&wrapper[1..])
            .arg("-c")
            .arg(script)
            .args([BINARY.as_ref(), directory.as_os_str()])
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .envs(&self.environment)
            .stdin(Stdio::null());
        command
    }
}

/// A terminal; what is printed there goes into `log`.
fn terminal(mut log: File) -> File {
    let pty = nix::pty::openpty(None, None).unwrap();
    let mut screen = File::from(pty.master);
    // Ends, with an error, when nobody has the other side open any more.
    std::thread::spawn(move || std::io::copy(&mut screen, &mut log));
    File::from(pty.slave)
}

/// Runs the proxy's command line to its end.
pub(crate) fn run_proxy(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(BINARY);
    let environment = environment.iter().copied();
    output_of(command.args(arguments).env_clear().envs(environment))
}
