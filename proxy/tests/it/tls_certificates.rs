//! Certificates: which one is served, and their replacement.

use super::tls::{Tls, client, failures};
use crate::support::*;
use rustls::ClientConfig;
use rustls::pki_types::CertificateDer;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tempfile::TempDir;
use testkit::tls::write_pair;

/// The certificate that a client gets which asks for `name`.
fn served(proxy: &TestProxy, config: &Arc<ClientConfig>, name: &str) -> Option<Vec<u8>> {
    let mut client = client(proxy, config, name);
    client.try_send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").ok()?;
    client.response("GET").ok()?;
    let chain = client.tls().peer_certificates().unwrap();
    Some(chain[0].to_vec())
}

fn der(pem: &str) -> Vec<u8> {
    use rustls::pki_types::pem::PemObject;
    CertificateDer::from_pem_slice(pem.as_bytes())
        .unwrap()
        .to_vec()
}

fn gauge(proxy: &TestProxy, name: &str, pair: &str) -> i64 {
    proxy.metric(name, &[&format!("name=\"{pair}\"")])
}

#[test]
fn the_name_decides_and_the_first_serves_all_others() {
    let tls = Tls::start(&[]);
    let (certificate, key) = tls
        .authority
        .issue(&["b.test", "*.b.test"], &PKCS_ECDSA_P256_SHA256);
    write_pair(tls.certificates.path(), "b", &certificate, &key);
    let (a, b) = (
        fs::read_to_string(tls.certificates.path().join("a.crt")).unwrap(),
        certificate,
    );
    let config = tls.config();
    wait_until("the new certificate", || {
        served(&tls.proxy, &config, "b.test").is_some()
    });
    for (name, expected) in [
        ("a.test", &a),
        ("b.test", &b),
        ("B.TEST", &b),
        ("x.b.test", &b),
    ] {
        let got = served(&tls.proxy, &config, name);
        assert_eq!(got, Some(der(expected)), "{name}");
    }
    for name in ["y.x.b.test", "unknown.test"] {
        let mut unknown = client(&tls.proxy, &config, name);
        let error = unknown.try_send("GET / HTTP/1.1\r\n\r\n").unwrap_err();
        assert!(error.to_string().contains("not valid for name"), "{error}");
    }
    wait_until("the clients' refusals", || {
        failures(&tls.proxy, "client_alert") >= 2
    });
    // Without a name.
    let said = tls.openssl(&["-showcerts"], b"");
    assert!(said.contains(a.trim()), "{said}");
}

#[test]
fn a_replacement_is_used_by_the_next_and_open_connections_stay() {
    let tls = Tls::start(&[]);
    let config = tls.config();
    let mut open = client(&tls.proxy, &config, "a.test");
    open.get("/").assert_is(200, "served");
    let (certificate, key) = tls.authority.issue(&["a.test"], &PKCS_ECDSA_P256_SHA256);
    write_pair(tls.certificates.path(), "a", &certificate, &key);
    let new = der(&certificate);
    wait_until("the new certificate", || {
        let fresh = tls.config();
        served(&tls.proxy, &fresh, "a.test").as_ref() == Some(&new)
    });
    open.get("/").assert_is(200, "served");
    assert_eq!(open.tls().peer_certificates().unwrap().len(), 1);
}

#[test]
fn one_that_cannot_be_used_changes_nothing_and_is_told() {
    let tls = Tls::start(&[]);
    let directory = tls.certificates.path();
    let read = |name: &str| fs::read_to_string(directory.join(name)).unwrap();
    let (certificate, key) = (read("a.crt"), read("a.key"));
    let (other, other_key) = tls.authority.issue(&["a.test"], &PKCS_ECDSA_P256_SHA256);
    let usable = || gauge(&tls.proxy, "proxy_tls_certificate_usable", "a");
    let said = |text: &str| tls.proxy.log().matches(text).count();
    assert_eq!(usable(), 1);
    for (broken, broken_key, reason) in [
        (
            "no certificate\n",
            key.as_str(),
            "no certificate in it, expected PEM",
        ),
        (&certificate, "no key\n", "key: "),
        (&certificate, &other_key, "KeyMismatch"),
        (&certificate[..certificate.len() / 2], &key, "certificate: "),
    ] {
        let before = said("certificate can't be used");
        write_pair(directory, "a", broken, broken_key);
        wait_until("the failure", || usable() == 0);
        wait_until(reason, || said(reason) > 0);
        assert_eq!(said("certificate can't be used"), before + 1);
        let config = tls.config();
        assert_eq!(
            served(&tls.proxy, &config, "a.test"),
            Some(der(&certificate))
        );
        write_pair(directory, "a", &certificate, &key);
        wait_until("the good one", || usable() == 1);
    }
    fs::remove_file(directory.join("a.key")).unwrap();
    wait_until("the failure", || usable() == 0);
    wait_until("the reason", || said("a.key: No such file") > 0);
    assert_eq!(
        served(&tls.proxy, &tls.config(), "a.test"),
        Some(der(&certificate))
    );
    assert_eq!(said("PRIVATE KEY"), 0);
    write_pair(directory, "a", &other, &other_key);
    wait_until("the other one", || {
        served(&tls.proxy, &tls.config(), "a.test") == Some(der(&other))
    });
}

#[test]
fn without_a_certificate_it_waits_for_one() {
    let certificates = TempDir::new().unwrap();
    let directory = certificates.path().join("mounted/later");
    let backend = Backend::answering(|_| ok("served"));
    let proxy = TestProxy::builder(backend.address())
        .tls(&directory)
        .start_alive();
    let ready = proxy.admin_get("/readyz");
    assert_eq!(ready.status, 503);
    assert!(
        ready
            .text()
            .contains("no certificate: see PROXY_TLS_CERTIFICATES")
    );
    assert!(
        proxy
            .log()
            .contains("directory of certificates can't be read")
    );
    // Plain HTTP is served all the same, and TLS refused with an alert.
    assert_eq!(proxy.get("/").status, 200);
    let authority = Authority::new();
    let config = Arc::new(authority.client());
    let error = client(&proxy, &config, "a.test").try_send("G").unwrap_err();
    assert!(error.to_string().contains("AccessDenied"), "{error}");
    wait_until("the failure in the metrics", || {
        failures(&proxy, "no_certificate") == 1
    });
    fs::create_dir_all(&directory).unwrap();
    authority.write(&directory, "a", &["a.test"], &PKCS_ECDSA_P256_SHA256);
    wait_until("the proxy to be ready", || {
        proxy.admin_get("/readyz").status == 200
    });
    assert_eq!(client(&proxy, &config, "a.test").get("/").status, 200);
}

#[test]
fn the_end_is_announced_and_open_keys_are_too() {
    let tls = Tls::start(&[]);
    let directory = tls.certificates.path();
    let now = SystemTime::now();
    let days = |days: u64| Duration::from_secs(days * 24 * 60 * 60);
    for (name, from, to) in [
        ("fine", now - days(75), now + days(15)),
        ("soon", now - days(85), now + days(5)),
        ("over", now - days(90), now - days(1)),
    ] {
        let (certificate, key) =
            tls.authority
                .issue_for(&["a.test"], &PKCS_ECDSA_P256_SHA256, |params| {
                    params.not_before = from.into();
                    params.not_after = to.into();
                });
        write_pair(directory, name, &certificate, &key);
        wait_until("the certificate", || {
            gauge(&tls.proxy, "proxy_tls_certificate_usable", name) == 1
        });
        let end = to.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        let told = gauge(&tls.proxy, "proxy_tls_certificate_not_after_seconds", name);
        assert_eq!(told, i64::try_from(end).unwrap());
    }
    let warnings = |text: &str, name: &str| {
        let events = tls.proxy.events().into_iter();
        let told = events.filter(|event| event["message"] == text);
        told.filter(|event| event["certificate"] == name).count()
    };
    wait_until("the warnings", || {
        warnings("certificate expires soon", "soon") == 1
            && warnings("certificate has expired", "over") == 1
    });
    // "a" and the three: the key of one is open.
    assert!(!tls.proxy.log().contains("can be read by everybody"));
    fs::set_permissions(directory.join("fine.key"), Permissions::from_mode(0o644)).unwrap();
    let key = fs::read_to_string(directory.join("fine.key")).unwrap();
    fs::write(directory.join("fine.key"), key + "\n").unwrap();
    wait_until("the warning of the open key", || {
        tls.proxy.log().contains("key can be read by everybody")
    });
    assert_eq!(warnings("certificate expires soon", "soon"), 1);
    assert_eq!(warnings("certificate expires soon", "fine"), 0);
}
