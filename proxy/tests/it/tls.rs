//! TLS: what is offered, what goes over it, and how it ends.

use crate::support::*;
use rustls::{ClientConfig, HandshakeKind};
use std::io::Write;
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use testkit::tls::PKCS_RSA_SHA256;

/// A proxy that speaks TLS as `a.test`, and somebody who trusts it.
pub(crate) struct Tls {
    pub(crate) authority: Authority,
    pub(crate) certificates: TempDir,
    pub(crate) proxy: TestProxy,
    pub(crate) backend: Backend,
}

impl Tls {
    pub(crate) fn start(settings: &[(&str, &str)]) -> Self {
        Self::before(Backend::answering(|_| ok("served")), settings)
    }

    pub(crate) fn before(backend: Backend, settings: &[(&str, &str)]) -> Self {
        let authority = Authority::new();
        let certificates = TempDir::new().unwrap();
        let names = ["a.test", "example.test"];
        authority.write(certificates.path(), "a", &names, &PKCS_ECDSA_P256_SHA256);
        let mut builder = TestProxy::builder(backend.address()).tls(certificates.path());
        for (key, value) in settings {
            builder = builder.set(key, value);
        }
        let proxy = builder.start();
        Self {
            authority,
            certificates,
            proxy,
            backend,
        }
    }

    pub(crate) fn config(&self) -> Arc<ClientConfig> {
        Arc::new(self.authority.client())
    }

    /// A client that asks for `a.test`, and resumes nothing.
    pub(crate) fn client(&self) -> RawClient {
        client(&self.proxy, &self.config(), "a.test")
    }

    /// Runs OpenSSL's client, which asks for no name, with these arguments and this input, and returns what it says.
    pub(crate) fn openssl(&self, arguments: &[&str], input: &[u8]) -> String {
        let mut process = Command::new("openssl")
            .args(["s_client", "-connect", &self.proxy.tls_address.to_string()])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let _gone_already = process.stdin.take().unwrap().write_all(input);
        let output = process.wait_with_output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        String::from_utf8_lossy(&said).into_owned()
    }
}

/// A client that asks for `name`.
pub(crate) fn client(proxy: &TestProxy, config: &Arc<ClientConfig>, name: &str) -> RawClient {
    let tcp = TcpStream::connect(proxy.tls_address).unwrap();
    RawClient::over(tls_kit::client(tcp, config, name))
}

/// How many handshakes have failed for this reason.
pub(crate) fn failures(proxy: &TestProxy, reason: &str) -> i64 {
    let label = format!("reason=\"{reason}\"");
    proxy.metric("proxy_tls_handshake_failures_total", &[&label])
}

#[test]
fn requests_are_served_and_the_backend_is_told() {
    let tls = Tls::before(
        Backend::answering(|request| ok(request.head.get("x-forwarded-proto").unwrap_or("none"))),
        &[],
    );
    let mut client = tls.client();
    for _ in 0..3 {
        client.get("/").assert_is(200, "https");
    }
    assert_eq!(tls.proxy.get("/").text(), "http");
    let response = client.get_with("/", "Connection: close\r\n");
    assert_eq!(response.head.get("connection"), Some("close"));
    let (rest, end) = client.drain(Duration::from_secs(10));
    assert_eq!((rest.len(), end), (0, End::Eof));
    let id = response.head.get("x-request-id").unwrap();
    let entry = tls.proxy.access_entry(id);
    assert_eq!(entry["tls_version"], "1.3");
    assert_eq!(entry["tls_cipher"], "TLS13_AES_128_GCM_SHA256");
    assert_eq!(entry["tls_server_name"], "a.test");
    assert_eq!(entry["tls_resumed"], "no");
    assert_eq!(entry["protocol"], "HTTP/1.1");
}

/// Mozilla's intermediate level, as OpenSSL sees it.
#[test]
fn what_is_offered() {
    let tls = Tls::start(&[]);
    tls.authority.write(
        tls.certificates.path(),
        "rsa",
        &["a.test"],
        &PKCS_RSA_SHA256,
    );
    until("the second certificate", || {
        let rsa = tls.openssl(&["-tls1_3", "-sigalgs", "RSA-PSS+SHA256"], b"");
        rsa.contains("Peer signature type: RSA-PSS").then_some(())
    });
    let before = failures(&tls.proxy, "incompatible");
    // Ciphers that OpenSSL offers at once have to be asked for one by one: the server chooses.
    let tls12 = |cipher| vec!["-tls1_2", "-cipher", cipher];
    let tls13 = |cipher| vec!["-tls1_3", "-ciphersuites", cipher];
    let group = |version, group| vec![version, "-groups", group];
    let any = "ALL:@SECLEVEL=0";
    for (arguments, expected) in [
        (
            tls13("TLS_AES_128_GCM_SHA256"),
            "TLSv1.3, Cipher is TLS_AES_128_GCM_SHA256",
        ),
        (
            tls13("TLS_AES_256_GCM_SHA384"),
            "TLSv1.3, Cipher is TLS_AES_256_GCM_SHA384",
        ),
        (
            tls13("TLS_CHACHA20_POLY1305_SHA256"),
            "TLSv1.3, Cipher is TLS_CHACHA20_POLY1305_SHA256",
        ),
        (
            tls13("TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256"),
            "TLSv1.3, Cipher is TLS_AES_128_GCM_SHA256",
        ),
        (tls13("TLS_AES_128_CCM_SHA256"), "Cipher is (NONE)"),
        (
            tls12("ECDHE-ECDSA-AES128-GCM-SHA256"),
            "TLSv1.2, Cipher is ECDHE-ECDSA-AES128-GCM-SHA256",
        ),
        (
            tls12("ECDHE-ECDSA-AES256-GCM-SHA384"),
            "TLSv1.2, Cipher is ECDHE-ECDSA-AES256-GCM-SHA384",
        ),
        (
            tls12("ECDHE-ECDSA-CHACHA20-POLY1305"),
            "TLSv1.2, Cipher is ECDHE-ECDSA-CHACHA20-POLY1305",
        ),
        (
            tls12("ECDHE-RSA-AES128-GCM-SHA256"),
            "TLSv1.2, Cipher is ECDHE-RSA-AES128-GCM-SHA256",
        ),
        (
            tls12("ECDHE-RSA-AES256-GCM-SHA384"),
            "TLSv1.2, Cipher is ECDHE-RSA-AES256-GCM-SHA384",
        ),
        (
            tls12("ECDHE-RSA-CHACHA20-POLY1305"),
            "TLSv1.2, Cipher is ECDHE-RSA-CHACHA20-POLY1305",
        ),
        (tls12("AES128-GCM-SHA256"), "Cipher is (NONE)"),
        (tls12("DHE-RSA-AES128-GCM-SHA256"), "Cipher is (NONE)"),
        (tls12("ECDHE-RSA-AES128-SHA256"), "Cipher is (NONE)"),
        (tls12("ECDHE-RSA-AES128-SHA"), "Cipher is (NONE)"),
        (tls12("aNULL:@SECLEVEL=0"), "Cipher is (NONE)"),
        (vec!["-tls1_1", "-cipher", any], "Cipher is (NONE)"),
        (vec!["-tls1", "-cipher", any], "Cipher is (NONE)"),
        (group("-tls1_3", "X25519"), "Server Temp Key: X25519"),
        (
            group("-tls1_3", "P-256"),
            "Server Temp Key: ECDH, prime256v1",
        ),
        (
            group("-tls1_3", "P-384"),
            "Server Temp Key: ECDH, secp384r1",
        ),
        (
            group("-tls1_2", "P-384"),
            "Server Temp Key: ECDH, secp384r1",
        ),
        (group("-tls1_3", "P-521"), "Cipher is (NONE)"),
        (group("-tls1_3", "X448"), "Cipher is (NONE)"),
        (
            vec!["-tls1_2", "-sigalgs", "RSA+SHA256"],
            "Cipher is ECDHE-RSA-AES128-GCM",
        ),
        (vec!["-tls1_2", "-sigalgs", "RSA+SHA1"], "Cipher is (NONE)"),
        (vec![], "Compression: NONE"),
        (vec!["-alpn", "spdy/3,http/1.1"], "ALPN protocol: http/1.1"),
    ] {
        let said = tls.openssl(&arguments, b"");
        assert!(said.contains(expected), "{arguments:?}: {said}");
    }
    // Some of these OpenSSL doesn't even begin.
    let refused = failures(&tls.proxy, "incompatible") - before;
    assert!((8..=11).contains(&refused), "{refused}");
    // And what OpenSSL 3.0 doesn't have yet.
    let mut client = tls.client();
    client.get("/");
    let group = client.tls().negotiated_key_exchange_group().unwrap();
    assert_eq!(format!("{:?}", group.name()), "X25519MLKEM768");
}

#[test]
fn a_session_is_never_negotiated_anew() {
    let tls = Tls::start(&[("HEADER_TIMEOUT", "1s")]);
    let said = tls.openssl(&["-tls1_2"], b"R\nGET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(said.contains("no renegotiation"), "{said}");
    assert_eq!(tls.backend.requests().len(), 0);
}

#[test]
fn clients_that_others_wrote_are_served() {
    let tls = Tls::start(&[]);
    let ca = tls.certificates.path().join("ca.pem");
    std::fs::write(&ca, tls.authority.pem()).unwrap();
    let address = tls.proxy.tls_address;
    for version in ["--tlsv1.3", "--tlsv1.2"] {
        let output = Command::new("curl")
            .args([
                "-sS",
                version,
                "--tls-max",
                &version[6..],
                "--http1.1",
                "--cacert",
            ])
            .arg(&ca)
            .args(["--connect-to", &format!("a.test:443:{address}")])
            .args([
                "-w",
                " %{http_code} %{ssl_verify_result}",
                "https://a.test/",
            ])
            .args(["https://a.test/again"])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(said, "served 200 0served 200 0", "{error}");
    }
}

#[test]
fn sessions_are_resumed_with_either_version_and_by_another_process() {
    let directory = TempDir::new().unwrap();
    let keys = directory.path().join("keys");
    std::fs::write(&keys, "an-old-secret-0123\n").unwrap();
    let tls = Tls::start(&[("TLS_TICKET_KEY_FILE", keys.to_str().unwrap())]);
    // Rotation: whoever has the next secret opens what the one before has sealed.
    std::fs::write(&keys, "a-new-secret-01234\nan-old-secret-0123\n").unwrap();
    let second = TestProxy::builder(tls.backend.address())
        .tls(tls.certificates.path())
        .set("TLS_TICKET_KEY_FILE", keys.display())
        .start();
    let third = TestProxy::builder(tls.backend.address())
        .tls(tls.certificates.path())
        .start();
    assert!(third.log().contains("no PROXY_TLS_TICKET_KEY_FILE"));
    assert!(!second.log().contains("TICKET_KEY_FILE") && !second.log().contains("secret-0123"));
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let config = ClientConfig::builder_with_protocol_versions(&[version])
            .with_root_certificates(tls.authority.roots())
            .with_no_client_auth();
        let config = Arc::new(config);
        let visits = [
            (&tls.proxy, false),
            (&tls.proxy, true),
            (&second, true),
            (&third, false),
            (&third, true),
        ];
        for (visit, (proxy, expected)) in visits.into_iter().enumerate() {
            let mut client = client(proxy, &config, "a.test");
            let response = client.get("/");
            response.assert_is(200, "served");
            let resumed = client.tls().handshake_kind() == Some(HandshakeKind::Resumed);
            assert_eq!(resumed, expected, "{version:?}, visit {visit}");
            let id = response.head.get("x-request-id").unwrap();
            let expected = if resumed { "yes" } else { "no" };
            assert_eq!(proxy.access_entry(id)["tls_resumed"], expected);
        }
        // A second one, whose client kept what the first one sealed, goes on as well.
    }
    for (version, resumed) in [("1.2", "yes"), ("1.3", "yes"), ("1.2", "no"), ("1.3", "no")] {
        let version = format!("version=\"{version}\"");
        let resumed = format!("resumed=\"{resumed}\"");
        let labels = [version.as_str(), resumed.as_str()];
        let count = tls.proxy.metric("proxy_tls_handshakes_total", &labels);
        assert_eq!(count, 1, "{labels:?}");
    }
}

/// Gives the session of any name to whoever asks, as no honest client would.
#[derive(Debug)]
struct OneSession(Arc<dyn rustls::client::ClientSessionStore>);

impl OneSession {
    fn name() -> rustls::pki_types::ServerName<'static> {
        "one.test".try_into().unwrap()
    }
}

impl rustls::client::ClientSessionStore for OneSession {
    fn set_kx_hint(&self, _: rustls::pki_types::ServerName<'static>, group: rustls::NamedGroup) {
        self.0.set_kx_hint(Self::name(), group);
    }

    fn kx_hint(&self, _: &rustls::pki_types::ServerName<'_>) -> Option<rustls::NamedGroup> {
        self.0.kx_hint(&Self::name())
    }

    fn set_tls12_session(
        &self,
        _: rustls::pki_types::ServerName<'static>,
        session: rustls::client::Tls12ClientSessionValue,
    ) {
        self.0.set_tls12_session(Self::name(), session);
    }

    fn tls12_session(
        &self,
        _: &rustls::pki_types::ServerName<'_>,
    ) -> Option<rustls::client::Tls12ClientSessionValue> {
        self.0.tls12_session(&Self::name())
    }

    fn remove_tls12_session(&self, _: &rustls::pki_types::ServerName<'static>) {
        self.0.remove_tls12_session(&Self::name());
    }

    fn insert_tls13_ticket(
        &self,
        _: rustls::pki_types::ServerName<'static>,
        ticket: rustls::client::Tls13ClientSessionValue,
    ) {
        self.0.insert_tls13_ticket(Self::name(), ticket);
    }

    fn take_tls13_ticket(
        &self,
        _: &rustls::pki_types::ServerName<'static>,
    ) -> Option<rustls::client::Tls13ClientSessionValue> {
        self.0.take_tls13_ticket(&Self::name())
    }
}

#[test]
fn a_session_is_only_resumed_for_its_own_name() {
    let tls = Tls::start(&[]);
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let mut config = ClientConfig::builder_with_protocol_versions(&[version])
            .with_root_certificates(tls.authority.roots())
            .with_no_client_auth();
        let store = rustls::client::ClientSessionMemoryCache::new(8);
        config.resumption =
            rustls::client::Resumption::store(Arc::new(OneSession(Arc::new(store))));
        let config = Arc::new(config);
        for (name, expected) in [
            ("a.test", HandshakeKind::Full),
            ("a.test", HandshakeKind::Resumed),
            ("example.test", HandshakeKind::Full),
        ] {
            let mut client = client(&tls.proxy, &config, name);
            client.get("/").assert_is(200, "served");
            assert_eq!(
                client.tls().handshake_kind(),
                Some(expected),
                "{version:?} {name}"
            );
        }
    }
}

#[test]
fn plain_http_is_told_so() {
    let tls = Tls::start(&[]);
    let mut client = RawClient::connect(tls.proxy.tls_address);
    let response = client.get("/");
    assert_eq!(response.status, 400);
    assert!(response.text().contains("this port speaks TLS"));
    client.assert_closed();
    drop(client);
    wait_until("the failure in the metrics", || {
        failures(&tls.proxy, "plain_http") == 1
    });
}

/// To an HTTP/1.0 client the end of the connection is the end of the body: one that is complete ends
/// with `close_notify`, and one that isn't without.
#[test]
fn only_a_complete_body_ends_in_order() {
    const LENGTH: usize = 3_000_000;
    for complete in [true, false] {
        let backend = Backend::start(move |connection| {
            connection.head().ok();
            connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
            let body = vec![b'x'; LENGTH];
            connection.send(format!("{LENGTH:x}\r\n"));
            connection.send(body);
            connection.send(if complete {
                "\r\n0\r\n\r\n"
            } else {
                "\r\n5\r\nxx"
            });
        });
        let tls = Tls::before(backend, &[]);
        let mut client = tls.client();
        client.send("GET / HTTP/1.0\r\nHost: a\r\n\r\n");
        let head = client.head().unwrap();
        assert_eq!(head.get("content-length"), None);
        let (body, end) = client.drain(Duration::from_secs(10));
        if complete {
            assert_eq!((body.len(), end), (LENGTH, End::Eof));
        } else {
            assert_eq!(end, End::Reset);
        }
    }
}

/// A client that is slow to take it gets all of a large answer, and the proxy's memory stays small.
#[test]
fn a_slow_reader_gets_it_all() {
    const LENGTH: usize = 8_000_000;
    let backend = Backend::answering(|_| ok(&"x".repeat(LENGTH)));
    let tls = Tls::before(backend, &[]);
    let mut client = tls.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    client.head().unwrap();
    for _ in 0..LENGTH / 1_000_000 {
        std::thread::sleep(Duration::from_millis(20));
        client.skip(1_000_000).unwrap();
    }
    client.assert_closed();
}

#[test]
fn a_drain_finishes_what_is_in_flight_and_says_good_bye() {
    let (backend, answer) = Backend::held_at(free_address(), "finished");
    let mut tls = Tls::before(backend, &[("DRAIN_TIMEOUT", "30s")]);
    let mut idle = tls.client();
    idle.send("\r\n");
    let mut client = tls.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    tls.backend.wait_for_requests(1);
    let silent = TcpStream::connect(tls.proxy.tls_address).unwrap();
    // In the middle of a handshake.
    let mut handshaking = TcpStream::connect(tls.proxy.tls_address).unwrap();
    handshaking.write_all(&[22, 3, 1]).unwrap();
    tls.proxy.signal(Signal::TERM);
    let (rest, end) = idle.drain(Duration::from_secs(10));
    assert_eq!((rest.len(), end), (0, End::Eof));
    answer.send(()).unwrap();
    let response = client.response("GET").unwrap();
    response.assert_is(200, "finished");
    assert_eq!(response.head.get("connection"), Some("close"));
    let (rest, end) = client.drain(Duration::from_secs(10));
    assert_eq!((rest.len(), end), (0, End::Eof));
    drop(handshaking);
    let answered = Instant::now();
    assert_eq!(tls.proxy.ended().code(), Some(0));
    assert_within(Duration::from_secs(5), answered);
    drop(silent);
}

#[test]
fn plain_requests_are_redirected() {
    for (setting, port) in [("on", ""), ("8443", ":8443")] {
        let tls = Tls::start(&[
            ("REDIRECT_HTTPS", setting),
            ("TRUSTED_PROXIES", "127.0.0.0/8"),
        ]);
        for (target, host, expected) in [
            ("/", "a.test", "a.test{}/"),
            ("/a/b?c=d&e", "a.test:80", "a.test{}/a/b?c=d&e"),
            ("http://b.test?c", "a.test", "b.test{}/?c"),
            ("/", "[::1]:8080", "[::1]{}/"),
            ("/", "[::1]", "[::1]{}/"),
        ] {
            let mut client = tls.proxy.client();
            client.send(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
            let response = client.response("GET").unwrap();
            assert_eq!(response.status, 308);
            let expected = format!("https://{}", expected.replace("{}", port));
            assert_eq!(response.head.get("location"), Some(expected.as_str()));
        }
        let mut client = tls.proxy.client();
        let posted = client.exchange("POST", "/", "", "body");
        assert_eq!(posted.status, 308);
        let mut client = tls.proxy.client();
        client.send("GET / HTTP/1.0\r\n\r\n");
        assert_eq!(client.response("GET").unwrap().status, 400);
        assert_eq!(tls.backend.requests().len(), 0);
        // What has come with TLS, here or to the proxy in front, and what an authority asks.
        tls.client().get("/").assert_is(200, "served");
        let mut client = tls.proxy.client();
        client
            .get_with("/", "X-Forwarded-Proto: https\r\n")
            .assert_is(200, "served");
        client
            .get("/.well-known/acme-challenge/token")
            .assert_is(200, "served");
        assert_eq!(client.get("/").status, 308);
    }
}

#[test]
fn hsts_is_only_said_over_tls_and_the_backend_wins() {
    let backend = Backend::answering(|request| {
        if request.target == "/own" {
            let head = "HTTP/1.1 200 OK\r\nstrict-transport-security: max-age=5\r\n";
            return format!("{head}Content-Length: 2\r\n\r\nok").into_bytes();
        }
        ok("served")
    });
    let tls = Tls::before(backend, &[("HSTS", "max-age=31536000; includeSubDomains")]);
    let ours = Some("max-age=31536000; includeSubDomains");
    let hsts = |response: Response| {
        let all = response.head.fields.iter();
        let all = all.filter(|(name, _)| name.eq_ignore_ascii_case("strict-transport-security"));
        assert!(all.count() <= 1);
        response
            .head
            .get("strict-transport-security")
            .map(str::to_owned)
    };
    let mut client = tls.client();
    assert_eq!(hsts(client.get("/")).as_deref(), ours);
    assert_eq!(hsts(client.get("/own")).as_deref(), Some("max-age=5"));
    let options = client.exchange("OPTIONS", "*", "Max-Forwards: 0\r\n", "");
    assert_eq!(hsts(options).as_deref(), ours);
    client.send("GET / HTTP/9.9\r\n\r\n");
    let refused = client.response("GET").unwrap();
    assert_eq!((refused.status, hsts(refused).as_deref()), (505, ours));
    assert_eq!(hsts(tls.proxy.get("/")), None);
}
