//! Proofs that a name is this proxy's: files, which the proxy that orders writes and all of them
//! answer from.

use std::{
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use rcgen::{CertificateParams, CustomExtension, KeyPair};
use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    server::ClientHello,
    sign::{CertifiedKey, SingleCertAndKey},
};

use super::{
    certificate,
    state::{self, StateError},
};
use crate::{http1::Method, rewrite::request::RequestFacts};

/// The protocol of a handshake that asks for a proof (RFC 8737 §6.2).
pub(crate) const ALPN: &[u8] = b"acme-tls/1";
pub(crate) const WELL_KNOWN: &str = "/.well-known/acme-challenge/";
/// Longest token; 22 characters are what RFC 8555 §8.3 asks for at least.
const MAX_TOKEN: usize = 128;
/// Largest file that is read for an answer.
const MAX_ANSWER: u64 = 16 * 1024;

/// What is answered to a request that asks for the proof of an order that is under way (RFC 8555
/// §8.3). Any other is for the upstream.
pub(crate) fn http_answer(state: &Path, request: &RequestFacts<'_>) -> Option<Vec<u8>> {
    let token = request.target.strip_prefix(WELL_KNOWN)?;
    if !matches!(request.method, Method::Get | Method::Head) || !is_token(token) {
        return None;
    }
    read(&http_file(state, token)).ok()
}

/// How a handshake goes on that asks for nothing but the proof of an order that is under way (RFC 8737
/// §3); what comes after it isn't HTTP.
pub(crate) fn tls_answer(state: &Path, hello: &ClientHello<'_>) -> Option<Arc<ServerConfig>> {
    let mut protocols = hello.alpn()?;
    if protocols.next() != Some(ALPN) || protocols.next().is_some() {
        return None;
    }
    let certified = tls_certificate(state, hello.server_name()?)?;
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder =
        ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let resolver = SingleCertAndKey::from(certified);
    let mut config = builder
        .ok()?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(resolver));
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.send_tls13_tickets = 0;
    Some(Arc::new(config))
}

fn tls_certificate(state: &Path, name: &str) -> Option<CertifiedKey> {
    let pem = read(&tls_file(state, &name.to_ascii_lowercase())?).ok()?;
    certificate::certified_key(&pem, &pem).ok()
}

/// Has `token` answered with this.
pub(super) fn publish_http(state: &Path, token: &str, answer: &str) -> Result<(), StateError> {
    let file = http_file(state, token);
    if !is_token(token) {
        let error = io::Error::other("the directory's token isn't in base64url");
        return Err(StateError::new(file, error));
    }
    state::write(file, answer.as_bytes())
}

/// Has handshakes for `name` answered with a certificate that bears this digest (RFC 8737 §3).
pub(super) fn publish_tls(state: &Path, name: &str, digest: &[u8]) -> Result<(), StateError> {
    let file = tls_file(state, name).unwrap_or_default();
    let made = KeyPair::generate().and_then(|key| {
        let mut parameters = CertificateParams::new([name.to_owned()])?;
        parameters.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
        let certificate = parameters.self_signed(&key)?;
        Ok(certificate.pem() + &key.serialize_pem())
    });
    match made {
        Ok(pem) => state::write(file, pem.as_bytes()),
        Err(error) => Err(StateError::new(file, io::Error::other(error))),
    }
}

/// Takes all proofs back.
pub(super) fn clear(state: &Path) -> Result<(), StateError> {
    for directory in directories(state) {
        let cleared = directory
            .read_dir()
            .and_then(|mut files| files.try_for_each(|file| std::fs::remove_file(file?.path())));
        cleared.map_err(|error| StateError::new(directory, error))?;
    }
    Ok(())
}

pub(super) fn directories(state: &Path) -> [PathBuf; 2] {
    ["http-01", "tls-alpn-01"].map(|kind| state.join("challenges").join(kind))
}

fn http_file(state: &Path, token: &str) -> PathBuf {
    let [http, _] = directories(state);
    http.join(token)
}

/// A client names it, so it has to be a name and nothing else.
fn tls_file(state: &Path, name: &str) -> Option<PathBuf> {
    let is_name = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'.';
    let [_, tls] = directories(state);
    (!name.starts_with('.') && name.bytes().all(is_name)).then(|| tls.join(format!("{name}.pem")))
}

fn is_token(text: &str) -> bool {
    let is_base64url = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    (1..=MAX_TOKEN).contains(&text.len()) && text.bytes().all(is_base64url)
}

fn read(file: &Path) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    File::open(file)?
        .take(MAX_ANSWER)
        .read_to_end(&mut content)?;
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> tempfile::TempDir {
        let state = tempfile::tempdir().unwrap();
        for directory in directories(state.path()) {
            std::fs::create_dir_all(directory).unwrap();
        }
        state
    }

    fn get(state: &Path, target: &str) -> Option<Vec<u8>> {
        let request = RequestFacts {
            method: Method::Get,
            target,
            ..RequestFacts::default()
        };
        http_answer(state, &request)
    }

    #[test]
    fn only_tokens_that_are_there_are_answered() {
        let state = state();
        std::fs::write(state.path().join("challenges/secret"), "x").unwrap();
        publish_http(state.path(), "abc-DEF_123", "abc.thumb").unwrap();
        let answer = |token: &str| get(state.path(), &format!("{WELL_KNOWN}{token}"));
        assert_eq!(answer("abc-DEF_123").unwrap(), b"abc.thumb");
        let long = "a".repeat(MAX_TOKEN + 1);
        for token in [
            "",
            ".",
            "..",
            "../secret",
            "abc",
            "abc-DEF_123?a",
            "a%2fb",
            &long,
        ] {
            assert_eq!(answer(token), None, "{token}");
        }
        assert_eq!(get(state.path(), "/.well-known/acme-challenge"), None);
        let posted = RequestFacts {
            method: Method::Post,
            target: "/.well-known/acme-challenge/abc-DEF_123",
            ..RequestFacts::default()
        };
        assert_eq!(http_answer(state.path(), &posted), None);
        assert!(publish_http(state.path(), "../escaped", "x").is_err());
        clear(state.path()).unwrap();
        assert_eq!(answer("abc-DEF_123"), None);
    }

    #[test]
    fn a_name_has_a_certificate_that_bears_its_digest() {
        let state = state();
        publish_tls(state.path(), "example.org", &[7; 32]).unwrap();
        let certified = tls_certificate(state.path(), "EXAMPLE.org").unwrap();
        let (_, parsed) = x509_parser::parse_x509_certificate(&certified.cert[0]).unwrap();
        let names = parsed.subject_alternative_name().unwrap().unwrap();
        assert_eq!(names.value.general_names.len(), 1);
        // id-pe-acmeIdentifier
        let bears = parsed.extensions().iter().find(|extension| {
            extension.oid.to_id_string() == "1.3.6.1.5.5.7.1.31" && extension.critical
        });
        assert!(bears.unwrap().value.ends_with(&[7; 32]));
        for name in ["example.com", "", "..", "../http-01/x", "example.org.pem"] {
            assert!(tls_certificate(state.path(), name).is_none(), "{name}");
        }
    }
}
