//! Pebble, the ACME server that is made for tests, with Debian's binary; and a clock that a test moves.

use super::proxy::TestProxy;
use serde_json::{Value, json};
use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;
use testkit::net::free_address;
use testkit::process::{Process, debian};
use testkit::tls::{Authority, PKCS_ECDSA_P256_SHA256};
use testkit::wait::wait_until;

/// A running Pebble; its accounts, orders and authority end with it.
pub(crate) struct Pebble {
    address: SocketAddr,
    process: Option<Process>,
    config: Value,
    environment: Vec<(&'static str, String)>,
    directory: TempDir,
}

/// A Pebble to be, that looks for proofs at these ports.
pub(crate) struct PebbleBuilder {
    pebble: Pebble,
}

impl Pebble {
    /// Asks `names` for addresses, and looks for proofs at these two, at the ports that they have.
    pub(crate) fn builder(
        names: &super::NameServer,
        http: SocketAddr,
        tls: SocketAddr,
    ) -> PebbleBuilder {
        let directory = TempDir::new().unwrap();
        let address = free_address();
        let path = |name: &str| directory.path().join(name);
        let authority = Authority::new();
        let host = address.ip().to_string();
        authority.write(
            directory.path(),
            "server",
            &[&host],
            &PKCS_ECDSA_P256_SHA256,
        );
        std::fs::write(path("ca.crt"), authority.pem()).unwrap();
        let config = json!({
            "listenAddress": address.to_string(),
            "certificate": path("server.crt"),
            "privateKey": path("server.key"),
            "httpPort": http.port(),
            "tlsPort": tls.port(),
            "domainBlocklist": ["refused.example"],
            "retryAfter": { "authz": 1, "order": 1 },
            "certificateValidityPeriod": 90 * 24 * 60 * 60,
        });
        let environment = vec![
            ("PEBBLE_VA_NOSLEEP", "1".to_owned()),
            ("PEBBLE_WFE_NONCEREJECT", "0".to_owned()),
            ("PEBBLE_AUTHZREUSE", "0".to_owned()),
            ("DNS", format!("{}:53", names.address())),
        ];
        let process = None;
        PebbleBuilder {
            pebble: Self {
                address,
                process,
                config,
                environment,
                directory,
            },
        }
    }

    /// Where its directory is.
    pub(crate) fn directory(&self) -> String {
        format!("https://{}/dir", self.address)
    }

    /// The authority of its own certificate.
    pub(crate) fn authority(&self) -> PathBuf {
        self.directory.path().join("ca.crt")
    }

    /// What it has logged, since it was made.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }

    /// How many requests it has had for a resource.
    fn requests(&self, resource: &str) -> usize {
        self.log()
            .matches(&format!("{resource} -> calling"))
            .count()
    }

    /// How many orders were made.
    pub(crate) fn orders(&self) -> usize {
        self.requests("POST /order-plz")
    }

    /// How many accounts were opened.
    pub(crate) fn accounts(&self) -> usize {
        self.requests("POST /sign-me-up")
    }

    pub(crate) fn stop(&mut self) {
        self.process = None;
    }

    /// Starts it, without anything that it knew, and waits until it listens.
    #[track_caller]
    pub(crate) fn run(&mut self) {
        let path = |name: &str| self.directory.path().join(name);
        let config = json!({ "pebble": self.config });
        std::fs::write(path("config.json"), config.to_string()).unwrap();
        let log = File::options()
            .create(true)
            .append(true)
            .open(path("log"))
            .unwrap();
        let mut command = Command::new(debian("trixie", "pebble").join("usr/bin/pebble"));
        let dns = self.environment.iter().find(|(key, _)| *key == "DNS");
        command
            .arg("-config")
            .arg(path("config.json"))
            .args(["-dnsserver", &dns.unwrap().1])
            .env_clear()
            .envs(self.environment.iter().map(|(key, value)| (key, value)))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        self.process = Some(Process::start(&mut command));
        wait_until("Pebble", || {
            std::net::TcpStream::connect(self.address).is_ok()
        });
    }

    /// How long its certificates are good, from the next start on.
    pub(crate) fn set_validity(&mut self, validity: Duration) {
        self.config["certificateValidityPeriod"] = validity.as_secs().into();
    }
}

impl PebbleBuilder {
    /// One of its own environment variables.
    pub(crate) fn set(mut self, key: &'static str, value: impl ToString) -> Self {
        let environment = &mut self.pebble.environment;
        environment.retain(|(known, _)| *known != key);
        environment.push((key, value.to_string()));
        self
    }

    /// Has it look at proofs after up to so many seconds.
    pub(crate) fn slow(mut self, seconds: u32) -> Self {
        let environment = &mut self.pebble.environment;
        environment.retain(|(known, _)| *known != "PEBBLE_VA_NOSLEEP");
        self.set("PEBBLE_VA_SLEEPTIME", seconds)
    }

    /// How long its certificates are good.
    pub(crate) fn validity(mut self, validity: Duration) -> Self {
        self.pebble.set_validity(validity);
        self
    }

    /// Has it open accounts for those only that know this key.
    pub(crate) fn external_account(mut self, key_id: &str, mac_key: &str) -> Self {
        self.pebble.config["externalAccountBindingRequired"] = true.into();
        self.pebble.config["externalAccountMACKeys"] = json!({ key_id: mac_key });
        self
    }

    #[track_caller]
    pub(crate) fn start(self) -> Pebble {
        let mut pebble = self.stopped();
        pebble.run();
        pebble
    }

    pub(crate) fn stopped(self) -> Pebble {
        self.pebble
    }
}

impl Drop for Pebble {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let tail = log.lines().rev().take(30).collect::<Vec<_>>().join("\n");
            eprintln!("--- Pebble's last log lines, newest first:\n{tail}");
        }
    }
}

/// The time of day as proxies see it that were started with this.
pub(crate) struct Clock {
    offset: tempfile::NamedTempFile,
}

impl Clock {
    pub(crate) fn new() -> Self {
        let clock = Self {
            offset: tempfile::NamedTempFile::new().unwrap(),
        };
        clock.set(Duration::ZERO);
        clock
    }

    /// Moves it to so long after the real time.
    pub(crate) fn set(&self, offset: Duration) {
        let text = format!("+{}s\n", offset.as_secs());
        let new = self.offset.path().with_extension("new");
        std::fs::write(&new, text).unwrap();
        std::fs::rename(new, self.offset.path()).unwrap();
    }

    /// What makes a process see it.
    pub(crate) fn environment(&self) -> Vec<(String, String)> {
        let libraries = debian("bookworm", "libfaketime").join("usr/lib");
        let triples = libraries
            .read_dir()
            .unwrap()
            .map(|entry| entry.unwrap().path());
        let library = triples
            .map(|triple| triple.join("faketime/libfaketimeMT.so.1"))
            .find(|library| library.exists())
            .expect("libfaketime's library");
        let path = |path: &Path| path.to_str().unwrap().to_owned();
        vec![
            ("LD_PRELOAD".to_owned(), path(&library)),
            (
                "FAKETIME_TIMESTAMP_FILE".to_owned(),
                path(self.offset.path()),
            ),
            ("FAKETIME_NO_CACHE".to_owned(), "1".to_owned()),
            // Timers go on as they do.
            ("FAKETIME_DONT_FAKE_MONOTONIC".to_owned(), "1".to_owned()),
        ]
    }
}

impl TestProxy {
    /// Waits until the proxy has logged this message, and gives the whole line.
    #[track_caller]
    pub(crate) fn logged(&self, message: &str) -> Value {
        testkit::wait::until(&format!("{message:?} in the log"), || {
            let mut events = self.events().into_iter();
            events.find(|event| event["message"] == message)
        })
    }
}
