//! Certificates by ACME, got from Pebble: by one proxy of those that share a state, whatever the
//! directory, the network and the clock do.

use super::support::*;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use rustls::{ClientConfig, RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use serde_json::json;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tempfile::TempDir;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A name server, a state, and where a proxy will be.
struct Stage {
    names: NameServer,
    backend: Backend,
    http: SocketAddr,
    tls: SocketAddr,
    state: TempDir,
}

impl Stage {
    fn new() -> Self {
        Self {
            names: NameServer::start(Answer::Addresses(vec![loopback(0)])),
            backend: Backend::answering(|_| ok("served")),
            http: free_address(),
            tls: free_address(),
            state: TempDir::new().unwrap(),
        }
    }

    /// A Pebble that looks for proofs at this stage's proxy.
    fn pebble(&self) -> PebbleBuilder {
        Pebble::builder(&self.names, self.http, self.tls)
    }

    /// A proxy that gets certificates for these names from there.
    fn proxy(&self, pebble: &Pebble, domains: &str) -> ProxyBuilder {
        TestProxy::builder(self.backend.address())
            .listening_on(self.http)
            .tls_on(self.tls)
            .set("ACME_DOMAINS", domains)
            .set("ACME_DIRECTORY", pebble.directory())
            .set("ACME_DIRECTORY_CA_FILE", pebble.authority().display())
            .set("ACME_STATE", self.state().display())
    }

    /// Not there yet.
    fn state(&self) -> PathBuf {
        self.state.path().join("acme")
    }

    /// The files below the state, with their modes.
    fn files(&self) -> Vec<(PathBuf, u32)> {
        let mut files = Vec::new();
        let mut left = vec![self.state()];
        while let Some(path) = left.pop() {
            let metadata = fs::metadata(&path).unwrap();
            files.push((path.clone(), metadata.mode() & 0o777));
            if metadata.is_dir() {
                left.extend(path.read_dir().unwrap().map(|entry| entry.unwrap().path()));
            }
        }
        files
    }

    /// What is below a directory of the state.
    fn list(&self, directory: &str) -> Vec<String> {
        let entries = fs::read_dir(self.state().join(directory));
        let names = entries
            .into_iter()
            .flatten()
            .map(|entry| entry.unwrap().file_name());
        let mut names: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn has_certificate(&self, name: &str) -> bool {
        self.certificate(name).is_some()
    }

    /// The certificate of `name` that is in use, in PEM.
    fn certificate(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.state().join(format!("certificates/{name}.crt"))).ok()
    }

    #[track_caller]
    fn wait_for_certificate(&self, name: &str) -> String {
        until(&format!("a certificate for {name}"), || {
            self.certificate(name)
        })
    }
}

/// A client that trusts whoever has signed this certificate, the next one in its chain.
fn trusting(chain: &str) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    let issuer = CertificateDer::pem_slice_iter(chain.as_bytes()).nth(1);
    roots.add(issuer.unwrap().unwrap()).unwrap();
    let config = ClientConfig::builder().with_root_certificates(roots);
    Arc::new(config.with_no_client_auth())
}

/// A connection to `example.org` by TLS that has been served, if it can be.
fn connect(proxy: &TestProxy, config: &Arc<ClientConfig>) -> Option<RawClient> {
    let tcp = TcpStream::connect(proxy.tls_address).unwrap();
    let mut client = RawClient::over(tls_kit::client(tcp, config, "example.org"));
    let request = b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n";
    let served = client.provoke(request).ok()?;
    assert_eq!(served.text(), "served");
    Some(client)
}

fn entries(path: &Path) -> usize {
    path.read_dir().map_or(0, Iterator::count)
}

#[test]
fn a_certificate_is_got_by_http_and_kept_where_nobody_else_can_read_it() {
    let stage = Stage::new();
    let pebble = stage.pebble().start();
    let domains = "example.org, www.example.org";
    let settings = |proxy: ProxyBuilder| {
        let proxy = proxy.set("ACME_CONTACT", "admin@example.org");
        // Whatever else is redirected, proofs are answered.
        proxy.set("REDIRECT_HTTPS", "on")
    };
    let proxy = settings(stage.proxy(&pebble, domains)).start();
    for name in ["example.org", "www.example.org"] {
        stage.wait_for_certificate(name);
    }
    let obtained = proxy.logged("certificate obtained");
    assert_eq!(
        (&obtained["name"], &obtained["proof"]),
        (&"example.org".into(), &"http-01".into())
    );
    wait_until("the proofs taken back", || {
        entries(&stage.state().join("challenges/http-01")) == 0
    });
    assert!(stage.list("orders").is_empty(), "no order is left over");
    let files = [
        "example.org.crt",
        "example.org.key",
        "www.example.org.crt",
        "www.example.org.key",
    ];
    assert_eq!(stage.list("certificates"), files);
    for (path, mode) in stage.files() {
        let wanted = if path.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(mode, wanted, "{}", path.display());
    }
    let secrets = fs::read_to_string(stage.state().join("certificates").join(files[1])).unwrap();
    assert!(secrets.starts_with("-----BEGIN PRIVATE KEY-----"));
    let secret = secrets.lines().nth(1).unwrap();
    assert!(!proxy.log().contains(secret));

    assert_eq!(
        proxy.metric("proxy_acme_orders_total", &["outcome=\"issued\""]),
        2
    );
    assert_eq!(proxy.metric("proxy_acme_leads", &[]), 1);
    assert_eq!(proxy.metric("proxy_acme_failures", &[]), 0);
    assert_eq!((pebble.accounts(), pebble.orders()), (1, 2));

    drop(proxy);
    let proxy = settings(stage.proxy(&pebble, domains)).start();
    wait_until("the next proxy to know what is there", || {
        proxy.metric(
            "proxy_acme_next_attempt_time_seconds",
            &["name=\"example.org\""],
        ) > 0
            && proxy.metric("proxy_acme_leads", &[]) == 1
    });
    assert_eq!(
        (pebble.accounts(), pebble.orders()),
        (1, 2),
        "{}",
        pebble.log()
    );
    assert_eq!(stage.list("certificates"), files);
}

#[test]
fn other_paths_and_unknown_tokens_are_the_upstreams() {
    let stage = Stage::new();
    let pebble = stage.pebble().start();
    let proxy = stage.proxy(&pebble, "example.org").start();
    stage.wait_for_certificate("example.org");
    let unknown = "/.well-known/acme-challenge/unknown";
    assert_eq!(proxy.get(unknown).text(), "served");
    assert_eq!(stage.backend.only_request().target, unknown);
    let file = stage.state().join("challenges/http-01/known");
    fs::write(file, "known.thumbprint").unwrap();
    let mut client = proxy.client();
    let known = client.get("/.well-known/acme-challenge/known");
    assert_eq!(
        (known.status, known.text().as_str()),
        (200, "known.thumbprint")
    );
    assert_eq!(
        known.head.get("content-type"),
        Some("application/octet-stream")
    );
    assert_eq!(client.get("/").text(), "served", "the connection is kept");
}

/// Nothing is where Pebble looks by HTTP.
#[test]
fn a_certificate_is_got_by_tls_alone() {
    let mut stage = Stage::new();
    let proxy_at = stage.http;
    stage.http = free_address();
    let pebble = stage.pebble().start();
    let proxy = stage.proxy(&pebble, "example.org").listening_on(proxy_at);
    let proxy = proxy.start();
    let chain = stage.wait_for_certificate("example.org");
    let obtained = proxy.logged("certificate obtained");
    assert_eq!(obtained["proof"], "tls-alpn-01");
    let config = trusting(&chain);
    until("the certificate in use", || connect(&proxy, &config));
    assert_eq!(proxy.metric("proxy_acme_failures", &[]), 0);

    // A handshake for a proof that nobody asks for comes to nothing. Pebble looks three times, and may be too
    // late with one of them.
    let refused = || {
        let reason = "reason=\"incompatible\"";
        proxy.metric("proxy_tls_handshake_failures_total", &[reason])
    };
    let before = refused();
    let mut asking = (*config).clone();
    asking.alpn_protocols = vec![b"acme-tls/1".to_vec()];
    assert!(connect(&proxy, &Arc::new(asking)).is_none());
    wait_until("the refusal in the metrics", || refused() > before);
}

#[test]
fn an_external_account_is_bound() {
    let key = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W";
    let stage = Stage::new();
    let pebble = stage.pebble().external_account("kid-1", key).start();
    let proxy = stage.proxy(&pebble, "example.org").start();
    let failed = proxy.logged("certificate not obtained");
    assert!(
        failed["error"].as_str().unwrap().contains("external"),
        "{failed}"
    );
    drop(proxy);
    fs::remove_dir_all(stage.state().join("attempts")).unwrap();
    let file = stage.state.path().join("mac-key");
    fs::write(&file, key).unwrap();
    let proxy = stage
        .proxy(&pebble, "example.org")
        .set("ACME_EAB_KEY_ID", "kid-1");
    let proxy = proxy.set("ACME_EAB_KEY_FILE", file.display()).start();
    stage.wait_for_certificate("example.org");
    assert!(!proxy.log().contains(key));
}

#[test]
fn expired_nonces_and_a_slow_look_at_the_proof_are_waited_out() {
    let stage = Stage::new();
    let pebble = stage
        .pebble()
        .set("PEBBLE_WFE_NONCEREJECT", 60)
        .slow(4)
        .start();
    let _proxy = stage.proxy(&pebble, "example.org").start();
    stage.wait_for_certificate("example.org");
}

#[test]
fn a_name_that_is_refused_takes_nothing_from_the_others() {
    let stage = Stage::new();
    let pebble = stage.pebble().start();
    let proxy = stage.proxy(&pebble, "refused.example,example.org").start();
    stage.wait_for_certificate("example.org");
    let failed = proxy.logged("certificate not obtained");
    assert_eq!(failed["name"], "refused.example");
    assert_eq!(failed["level"], "WARN");
    assert!(
        failed["error"]
            .as_str()
            .unwrap()
            .contains("rejectedIdentifier"),
        "{failed}"
    );
    let failures = |name: &str| proxy.metric("proxy_acme_failures", &[&format!("name=\"{name}\"")]);
    wait_until("the failure in the metrics", || {
        failures("refused.example") == 1
    });
    assert_eq!(failures("example.org"), 0);
    assert_eq!(
        proxy.metric("proxy_acme_orders_total", &["outcome=\"failed\""]),
        1
    );
}

#[test]
fn of_two_proxies_one_orders_and_the_other_answers() {
    let stage = Stage::new();
    let pebble = stage.pebble().stopped();
    let mut pebble = pebble;
    let first = stage
        .proxy(&pebble, "example.org")
        .listening_on(free_address())
        .tls_on(free_address())
        .start();
    wait_until("the first to lead", || {
        first.metric("proxy_acme_leads", &[]) == 1
    });
    let clock = Clock::new();
    // Where Pebble looks, the first one isn't.
    let second = stage.proxy(&pebble, "example.org").clock(&clock).start();
    first.logged("certificate not obtained");
    pebble.run();
    assert_eq!(second.metric("proxy_acme_leads", &[]), 0);
    drop(first);
    wait_until("the second to lead", || {
        second.metric("proxy_acme_leads", &[]) == 1
    });
    let third = stage
        .proxy(&pebble, "example.org")
        .listening_on(free_address())
        .tls_on(free_address())
        .start();
    clock.set(DAY);
    stage.wait_for_certificate("example.org");
    wait_until("the third to know", || {
        third.metric("proxy_acme_next_attempt_time_seconds", &[]) > 0
    });
    assert_eq!(third.metric("proxy_acme_orders_total", &[]), 0);
    assert_eq!(pebble.orders(), 1);
}

#[test]
fn a_directory_that_is_down_is_tried_again() {
    let stage = Stage::new();
    let mut pebble = stage.pebble().stopped();
    let clock = Clock::new();
    let proxy = stage.proxy(&pebble, "example.org").clock(&clock).start();
    let failed = proxy.logged("certificate not obtained");
    assert!(
        failed["error"]
            .as_str()
            .unwrap()
            .contains("Connection refused"),
        "{failed}"
    );
    assert_eq!(proxy.get("/").text(), "served");
    pebble.run();
    clock.set(Duration::from_secs(5 * 60));
    stage.wait_for_certificate("example.org");
    wait_until("the failures forgotten", || {
        proxy.metric("proxy_acme_failures", &[]) == 0
    });
}

/// Pebble's certificates are 90 days good. It comes back as one that knows nothing of what was.
#[test]
fn a_directory_that_is_away_for_a_month_costs_no_certificate() {
    let stage = Stage::new();
    let mut pebble = stage.pebble().start();
    let clock = Clock::new();
    let proxy = stage.proxy(&pebble, "example.org").clock(&clock).start();
    let first = stage.wait_for_certificate("example.org");
    wait_until("the directory to be asked about renewal", || {
        pebble.log().contains("renewalInfo")
    });
    let config = trusting(&first);
    let mut open = until("a client of the first certificate", || {
        connect(&proxy, &config)
    });
    pebble.stop();
    let mut failures = 0;
    for day in (62..89).step_by(3) {
        clock.set(DAY * day);
        wait_until(&format!("a failure on day {day}"), || {
            let now = proxy.metric("proxy_acme_failures", &[]);
            let more = now > failures;
            failures = now;
            more
        });
    }
    assert_eq!(stage.certificate("example.org").unwrap(), first);
    assert!(
        connect(&proxy, &config).is_some(),
        "it is served all the time"
    );
    let failed = proxy.logged("certificate not obtained");
    assert!(failed["expires"].is_string(), "{failed}");
    pebble.set_validity(DAY * 5 * 365);
    pebble.run();
    for day in [90, 92, 94] {
        clock.set(DAY * day);
        let before = proxy.metric("proxy_acme_orders_total", &[]);
        wait_until("the next attempt", || {
            proxy.metric("proxy_acme_orders_total", &[]) > before
        });
        if proxy.metric("proxy_acme_failures", &[]) == 0 {
            break;
        }
    }
    let second = stage.wait_for_certificate("example.org");
    assert_ne!(first, second);
    let config = trusting(&second);
    until("a client of the second certificate", || {
        connect(&proxy, &config)
    });
    open.get("/").assert_is(200, "served");
    assert_eq!(
        stage.list("certificates"),
        ["example.org.crt", "example.org.key"]
    );
}

#[test]
fn a_certificate_of_seconds_is_renewed_again_and_again() {
    let stage = Stage::new();
    let pebble = stage.pebble().validity(Duration::from_secs(12)).start();
    let proxy = stage.proxy(&pebble, "example.org").start();
    let mut last = stage.wait_for_certificate("example.org");
    for _ in 0..2 {
        last = until("the next certificate", || {
            stage
                .certificate("example.org")
                .filter(|next| *next != last)
        });
    }
    assert_eq!(
        proxy.metric("proxy_acme_failures", &[]),
        0,
        "{}",
        proxy.log()
    );
    // Each takes one order, which says what it replaces.
    wait_until("as many orders as certificates", || {
        let issued = proxy.metric("proxy_acme_orders_total", &["outcome=\"issued\""]);
        i64::try_from(pebble.orders()) == Ok(issued)
    });
}

/// By that clock, every certificate has long been due for renewal.
#[test]
fn a_clock_that_is_wrong_is_no_reason_for_one_order_after_the_other() {
    let stage = Stage::new();
    let pebble = stage.pebble().start();
    let clock = Clock::new();
    clock.set(DAY * 80);
    let proxy = stage.proxy(&pebble, "example.org").clock(&clock).start();
    let next = || proxy.metric("proxy_acme_next_attempt_time_seconds", &[]);
    stage.wait_for_certificate("example.org");
    wait_until("the next attempt", || next() > 0);
    let now = (SystemTime::now() + DAY * 80).duration_since(UNIX_EPOCH);
    let wait = next() - i64::try_from(now.unwrap().as_secs()).unwrap();
    assert!((3500..=3600).contains(&wait), "{wait}");
    assert_eq!(pebble.orders(), 1);
}

/// Where Pebble looks for proofs: lets nobody through to the proxy before it is told to.
fn gate(stage: &Stage) -> (Backend, Pebble, Sender<()>) {
    let (open, opened) = channel::<()>();
    let (proxy, opened) = (stage.http, Mutex::new(opened));
    let gate = Backend::start(move |connection| {
        let Ok(request) = connection.request() else {
            return;
        };
        // Ends when the sender is dropped, for all.
        let _opened = opened.lock().unwrap().recv();
        let proof = RawClient::connect(proxy).get(&request.target);
        let _gone = connection.try_send(ok(&proof.text()));
    });
    let pebble = Pebble::builder(&stage.names, gate.address(), stage.tls).start();
    (gate, pebble, open)
}

#[test]
fn an_order_that_was_cut_is_finished_by_the_next_process() {
    let stage = Stage::new();
    let (gate, pebble, open) = gate(&stage);
    let proxy = stage.proxy(&pebble, "example.org").start();
    gate.wait_for_requests(1);
    drop(proxy);
    assert!(!stage.has_certificate("example.org"));
    let proxy = stage.proxy(&pebble, "example.org").start();
    proxy.logged("ACME order goes on");
    drop(open);
    stage.wait_for_certificate("example.org");
    assert_eq!(pebble.orders(), 1);
    wait_until("the proofs taken back", || {
        entries(&stage.state().join("challenges/http-01")) == 0
    });
}

#[test]
fn an_order_does_not_delay_the_end() {
    let stage = Stage::new();
    let (gate, pebble, _open) = gate(&stage);
    let mut proxy = stage.proxy(&pebble, "example.org").start();
    gate.wait_for_requests(1);
    let start = Instant::now();
    proxy.signal(Signal::TERM);
    assert!(proxy.ended().success());
    assert_within(Duration::from_secs(3), start);
    assert!(!stage.has_certificate("example.org"));
}

/// As if a process had died between the two files.
#[test]
fn a_certificate_that_is_half_in_place_is_put_right_without_the_directory() {
    let stage = Stage::new();
    let mut pebble = stage.pebble().start();
    let proxy = stage.proxy(&pebble, "example.org").start();
    let chain = stage.wait_for_certificate("example.org");
    drop(proxy);
    pebble.stop();
    let file = |name: &str| stage.state().join(name);
    let key = fs::read_to_string(file("certificates/example.org.key")).unwrap();
    let order = json!({ "directory": pebble.directory(), "key": key, "chain": chain });
    fs::write(file("orders/example.org.json"), order.to_string()).unwrap();
    let (other, _) = Authority::new().issue(&["example.org"], &tls_kit::PKCS_ECDSA_P256_SHA256);
    fs::write(file("certificates/example.org.crt"), other).unwrap();
    let proxy = stage.proxy(&pebble, "example.org").start();
    let config = trusting(&chain);
    until("the certificate in use", || connect(&proxy, &config));
    assert!(stage.list("orders").is_empty());
    assert_eq!(proxy.metric("proxy_acme_failures", &[]), 0);
}

/// A directory that has had enough of us.
#[test]
fn a_limit_of_the_directory_is_kept_to() {
    let stage = Stage::new();
    let (directory, authority) = refusing_directory();
    let ca = stage.state.path().join("ca.crt");
    fs::write(&ca, authority.pem()).unwrap();
    let proxy = TestProxy::builder(stage.backend.address())
        .tls_on(stage.tls)
        .set("ACME_DOMAINS", "example.org,www.example.org")
        .set("ACME_DIRECTORY", format!("https://{directory}/directory"))
        .set("ACME_DIRECTORY_CA_FILE", ca.display())
        .set("ACME_STATE", stage.state().display())
        .start();
    let failed = proxy.logged("certificate not obtained");
    assert!(
        failed["error"].as_str().unwrap().contains("too many"),
        "{failed}"
    );
    wait_until("both in the metrics", || {
        proxy.metric("proxy_acme_orders_total", &["outcome=\"rate_limited\""]) == 2
    });
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    for name in ["example.org", "www.example.org"] {
        let label = format!("name=\"{name}\"");
        let next = proxy.metric("proxy_acme_next_attempt_time_seconds", &[&label]);
        let wait = next - i64::try_from(now.as_secs()).unwrap();
        assert!((7000..=7200).contains(&wait), "{wait}");
    }
}

/// An ACME server that opens no account before two hours have passed.
fn refusing_directory() -> (SocketAddr, Authority) {
    let authority = Authority::new();
    let listener = TcpListener::bind(free_address()).unwrap();
    let address = listener.local_addr().unwrap();
    let host = address.ip().to_string();
    let (chain, key) = authority.issue(&[&host], &tls_kit::PKCS_ECDSA_P256_SHA256);
    let chain = CertificateDer::pem_slice_iter(chain.as_bytes())
        .map(Result::unwrap)
        .collect();
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
    let config = ServerConfig::builder().with_no_client_auth();
    let config = Arc::new(config.with_single_cert(chain, key).unwrap());
    thread::spawn(move || {
        for tcp in listener.incoming().flatten() {
            let session = ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut client = BufReader::new(StreamOwned::new(session, tcp));
            let mut request = String::new();
            if client.read_line(&mut request).is_err() {
                continue;
            }
            let (status, kind, body) = if request.starts_with("GET /directory ") {
                let url = |path: &str| format!("https://{address}/{path}");
                let (nonce, account, order) = (url("nonce"), url("account"), url("order"));
                let all = json!({ "newNonce": nonce, "newAccount": account, "newOrder": order });
                ("200 OK", "json", all)
            } else if request.starts_with("HEAD ") {
                ("200 OK", "json", json!({}))
            } else {
                let kind = "urn:ietf:params:acme:error:rateLimited";
                let problem = json!({ "type": kind, "detail": "too many of you" });
                ("429 Too Many Requests", "problem+json", problem)
            };
            let body = if request.starts_with("HEAD ") {
                String::new()
            } else {
                body.to_string()
            };
            let answer = format!(
                "HTTP/1.1 {status}\r\nContent-Type: application/{kind}\r\nContent-Length: {}\r\n\
                 Replay-Nonce: nonce\r\nRetry-After: 7200\r\nConnection: close\r\n\r\n{body}",
                body.len(),
            );
            let _gone = client.get_mut().write_all(answer.as_bytes());
            client.get_mut().conn.send_close_notify();
            let _gone = client.get_mut().flush();
        }
    });
    (address, authority)
}

#[test]
fn a_state_that_cannot_be_used_is_named_and_the_proxy_serves() {
    let stage = Stage::new();
    fs::write(stage.state(), "a file").unwrap();
    let pebble = stage.pebble().start();
    let proxy = stage.proxy(&pebble, "example.org").start();
    let broken = proxy.logged("ACME state can't be used: no certificate is got or renewed");
    let error = broken["error"].as_str().unwrap();
    assert!(error.contains(stage.state().to_str().unwrap()), "{error}");
    assert!(error.contains("Not a directory"), "{error}");
    assert_eq!(broken["level"], "ERROR");
    assert_eq!(proxy.get("/").text(), "served");
    wait_until("the failure in the metrics", || {
        proxy.metric("proxy_acme_failures", &[]) == 1
    });
    fs::remove_file(stage.state()).unwrap();
    stage.wait_for_certificate("example.org");
    proxy.logged("ACME state can be used again");
}

#[test]
fn another_directory_gets_an_account_of_its_own() {
    let stage = Stage::new();
    let (first, second) = (stage.pebble().start(), stage.pebble().start());
    let proxy = stage.proxy(&first, "example.org").start();
    let before = stage.wait_for_certificate("example.org");
    drop(proxy);
    let _proxy = stage.proxy(&second, "example.org").start();
    until("a certificate by the other directory", || {
        stage
            .certificate("example.org")
            .filter(|now| *now != before)
    });
    assert_eq!(stage.list("accounts").len(), 2);
    assert_eq!([first.accounts(), second.accounts()], [1, 1]);
}
