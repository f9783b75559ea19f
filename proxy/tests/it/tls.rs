//! TLS: what is offered, what goes over it, and how it ends.

use crate::support::*;
use rustls::{ClientConfig, HandshakeKind, ProtocolVersion};
use std::net::TcpStream;
use std::sync::Arc;
use tempfile::TempDir;
use testkit::tls::{PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256};

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

    /// A client that asks for `name`.
    pub(crate) fn client(&self, config: &Arc<ClientConfig>, name: &str) -> RawClient {
        client(&self.proxy, config, name)
    }
}

pub(crate) fn client(proxy: &TestProxy, config: &Arc<ClientConfig>, name: &str) -> RawClient {
    let tcp = TcpStream::connect(proxy.tls_address).unwrap();
    RawClient::over(tls_kit::client(tcp, config, name))
}

#[test]
fn requests_are_served_and_the_backend_is_told() {
    let tls = Tls::before(
        Backend::answering(|request| ok(request.head.get("x-forwarded-proto").unwrap_or("none"))),
        &[],
    );
    let mut client = tls.client(&tls.config(), "a.test");
    for _ in 0..3 {
        client.get("/").assert_is(200, "https");
    }
    assert_eq!(client.tls().alpn_protocol(), None);
    assert_eq!(tls.proxy.get("/").text(), "http");
    let response = client.get_with("/", "Connection: close\r\n");
    assert_eq!(response.head.get("connection"), Some("close"));
    // With close_notify: without, it would be an error.
    client.assert_closed();
    let id = response.head.get("x-request-id").unwrap();
    let entry = tls.proxy.access_entry(id);
    assert_eq!(entry["tls_version"], "1.3");
    assert_eq!(entry["tls_cipher"], "TLS13_AES_128_GCM_SHA256");
    assert_eq!(entry["tls_server_name"], "a.test");
    assert_eq!(entry["tls_resumed"], "no");
    assert_eq!(entry["protocol"], "HTTP/1.1");
}

#[test]
fn sessions_are_resumed_with_either_version_and_by_another_process() {
    let directory = TempDir::new().unwrap();
    let keys = directory.path().join("keys");
    std::fs::write(&keys, "0123456789abcdef\n").unwrap();
    let settings = [("TLS_TICKET_KEY_FILE", keys.to_str().unwrap())];
    let tls = Tls::start(&settings);
    let second = TestProxy::builder(tls.backend.address())
        .tls(tls.certificates.path())
        .set("TLS_TICKET_KEY_FILE", keys.display())
        .start();
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let config = ClientConfig::builder_with_protocol_versions(&[version]);
        let config = Arc::new(with_roots(config, &tls.authority));
        for (number, proxy) in [&tls.proxy, &tls.proxy, &second].into_iter().enumerate() {
            let mut client = client(proxy, &config, "a.test");
            let response = client.get("/");
            response.assert_is(200, "served");
            let resumed = client.tls().handshake_kind() == Some(HandshakeKind::Resumed);
            assert_eq!(resumed, number > 0, "{version:?} {number}");
            let id = response.head.get("x-request-id").unwrap();
            let expected = if resumed { "yes" } else { "no" };
            assert_eq!(proxy.access_entry(id)["tls_resumed"], expected);
        }
    }
    for (version, resumed, count) in [("1.2", "yes", 1), ("1.3", "yes", 1), ("1.3", "no", 1)] {
        let labels = [
            format!("version=\"{version}\""),
            format!("resumed=\"{resumed}\""),
        ];
        let labels = [labels[0].as_str(), labels[1].as_str()];
        assert_eq!(
            tls.proxy.metric("proxy_tls_handshakes_total", &labels),
            count
        );
    }
}

fn with_roots(
    builder: rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>,
    authority: &Authority,
) -> ClientConfig {
    builder
        .with_root_certificates(authority.roots())
        .with_no_client_auth()
}

#[test]
fn plain_http_is_told_so() {
    let tls = Tls::start(&[]);
    let mut client = RawClient::connect(tls.proxy.tls_address);
    let response = client.get("/");
    assert_eq!(response.status, 400);
    assert!(response.text().contains("this port speaks TLS"));
    client.assert_closed();
    wait_until("the failure in the metrics", || {
        let labels = ["reason=\"plain_http\""];
        tls.proxy
            .metric("proxy_tls_handshake_failures_total", &labels)
            == 1
    });
}

#[test]
fn the_first_certificate_serves_who_asks_for_another_name() {
    let tls = Tls::start(&[]);
    tls.authority
        .write(tls.certificates.path(), "b", &["b.test"], &PKCS_RSA_SHA256);
    let config = tls.config();
    until("the new certificate", || {
        let mut client = tls.client(&config, "b.test");
        client
            .try_send("GET / HTTP/1.1\r\nHost: b.test\r\n\r\n")
            .ok()?;
        client.response("GET").ok()
    });
    assert_eq!(tls.client(&config, "a.test").get("/").status, 200);
    let mut unknown = tls.client(&config, "unknown.test");
    let error = unknown.try_send("GET / HTTP/1.1\r\n\r\n").unwrap_err();
    assert!(error.to_string().contains("not valid for name"), "{error}");
    assert_eq!(tls.client(&config, "a.test").tls().protocol_version(), None);
    let mut client = tls.client(&config, "a.test");
    client.get("/");
    assert_eq!(
        client.tls().protocol_version(),
        Some(ProtocolVersion::TLSv1_3)
    );
}
