//! `proxy look`: a TLS client, for `deploy verify`, which has none of its own. It makes a handshake and a
//! request as standard input says, and writes what came of it, in JSON.

use std::{
    fmt::Display,
    io::{self, Read as _, Write as _},
    net::{IpAddr, TcpStream, ToSocketAddrs as _},
    process::ExitCode,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error, ProtocolVersion, RootCertStore,
    SignatureScheme, StreamOwned,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::aws_lc_rs::default_provider,
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject as _},
};
use serde::{Deserialize, Serialize};
use service::cli::fail;
use x509_parser::{extensions::GeneralName, prelude::FromDer as _};

/// For each step.
const TIME_LIMIT: Duration = Duration::from_secs(10);
/// More of an answer than anybody looks at.
const MAX_ANSWER: u64 = 256 * 1024;
/// Whom a server is asked for that may be anybody.
const ANYBODY: &str = "localhost";

/// What is asked.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    /// Name and port.
    address: String,
    /// Whom the certificate has to be for; without, whom it says itself.
    name: Option<String>,
    /// Certificates in PEM of authorities that are trusted beside the public ones.
    authority: Option<String>,
    /// The request's `Host`.
    host: String,
    /// Its path and query.
    path: String,
}

/// What is found.
#[derive(Debug, Serialize)]
struct Answer {
    protocol: String,
    cipher: String,
    names: Vec<String>,
    /// Seconds since 1970.
    not_before: i64,
    not_after: i64,
    /// Why the certificate isn't trusted, if it isn't.
    untrusted: Option<String>,
    status: u16,
    body: String,
}

/// Why there is no answer.
#[derive(Debug, Serialize)]
struct Failure {
    error: String,
}

/// Reads a question and answers it. That a server can't be reached is an answer.
pub(crate) fn run() -> ExitCode {
    let question = match serde_json::from_reader(io::stdin().lock()) {
        Ok(question) => question,
        Err(error) => return fail(service::cli::USAGE, format!("standard input: {error}")),
    };
    let answer = match look(&question) {
        Ok(answer) => serde_json::to_string(&answer),
        Err(error) => serde_json::to_string(&Failure { error }),
    };
    let written = answer.map_err(io::Error::from).and_then(|answer| {
        let mut out = io::stdout().lock();
        writeln!(out, "{answer}")
    });
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(1, error),
    }
}

fn look(question: &Question) -> Result<Answer, String> {
    let roots = roots(question.authority.as_deref())?;
    let provider = Arc::new(default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(roots.into(), Arc::clone(&provider));
    let observer = Arc::new(Observer {
        verifier: verifier.build().map_err(text)?,
        anybody: question.name.is_none(),
        seen: Mutex::default(),
    });
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(text)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::clone(&observer) as _)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];

    let name = question.name.as_deref().unwrap_or(ANYBODY).to_owned();
    let name = ServerName::try_from(name).map_err(text)?;
    let session = ClientConnection::new(Arc::new(config), name).map_err(text)?;
    let mut stream = StreamOwned::new(session, connect(&question.address)?);
    let (status, body) = exchange(&mut stream, question).map_err(text)?;

    let session = &stream.conn;
    let seen = observer.seen.lock().unwrap_or_else(PoisonError::into_inner);
    let (leaf, untrusted) = seen.clone().ok_or("the server showed no certificate")?;
    let (names, not_before, not_after) = facts(&leaf)?;
    Ok(Answer {
        protocol: match session.protocol_version() {
            Some(ProtocolVersion::TLSv1_3) => "TLS 1.3".to_owned(),
            Some(ProtocolVersion::TLSv1_2) => "TLS 1.2".to_owned(),
            other => other.map_or_else(String::new, debug),
        },
        cipher: session
            .negotiated_cipher_suite()
            .map_or_else(String::new, |suite| debug(suite.suite())),
        names,
        not_before,
        not_after,
        untrusted,
        status,
        body,
    })
}

/// The public authorities, and those of one's own.
fn roots(own: Option<&str>) -> Result<RootCertStore, String> {
    let public = webpki_roots::TLS_SERVER_ROOTS.iter().cloned();
    let mut roots: RootCertStore = public.collect();
    for certificate in CertificateDer::pem_slice_iter(own.unwrap_or_default().as_bytes()) {
        let certificate = certificate.map_err(|error| format!("the authority: {error}"))?;
        let added = roots.add(certificate);
        added.map_err(|error| format!("the authority: {error}"))?;
    }
    Ok(roots)
}

fn connect(address: &str) -> Result<TcpStream, String> {
    let mut reason = format!("{address} has no address");
    for address in address.to_socket_addrs().map_err(text)? {
        match TcpStream::connect_timeout(&address, TIME_LIMIT) {
            Err(error) => reason = error.to_string(),
            Ok(stream) => {
                stream.set_read_timeout(Some(TIME_LIMIT)).map_err(text)?;
                stream.set_write_timeout(Some(TIME_LIMIT)).map_err(text)?;
                return Ok(stream);
            }
        }
    }
    Err(reason)
}

fn exchange(
    stream: &mut StreamOwned<ClientConnection, TcpStream>,
    question: &Question,
) -> io::Result<(u16, String)> {
    let Question { path, host, .. } = question;
    let agent = concat!("proxy-look/", env!("CARGO_PKG_VERSION"));
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: {agent}\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = Vec::new();
    stream.take(MAX_ANSWER).read_to_end(&mut answer)?;
    let mut fields = [httparse::EMPTY_HEADER; 64];
    let mut head = httparse::Response::new(&mut fields);
    let unreadable = || io::Error::new(io::ErrorKind::InvalidData, "no answer in HTTP/1.1");
    let parsed = head.parse(&answer).map_err(|_| unreadable())?;
    let httparse::Status::Complete(end) = parsed else {
        return Err(unreadable());
    };
    let status = head.code.ok_or_else(unreadable)?;
    let body = answer.get(end..).unwrap_or_default();
    Ok((status, String::from_utf8_lossy(body).into_owned()))
}

/// Names and lifetime of a certificate.
fn facts(leaf: &CertificateDer<'_>) -> Result<(Vec<String>, i64, i64), String> {
    let (_, leaf) = x509_parser::certificate::X509Certificate::from_der(leaf)
        .map_err(|error| format!("its certificate: {error}"))?;
    let names = leaf.subject_alternative_name().ok().flatten();
    let names = names.map(|extension| &extension.value.general_names);
    let names = names.into_iter().flatten().filter_map(|name| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(address) => {
            let v4 = || <[u8; 4]>::try_from(*address).map(IpAddr::from);
            let v6 = || <[u8; 16]>::try_from(*address).map(IpAddr::from);
            v4().or_else(|_| v6()).ok().map(|it| it.to_string())
        }
        _ => None,
    });
    let validity = leaf.validity();
    let (from, to) = (&validity.not_before, &validity.not_after);
    Ok((names.collect(), from.timestamp(), to.timestamp()))
}

/// Takes every certificate, and remembers what is to be said of it.
#[derive(Debug)]
struct Observer {
    verifier: Arc<WebPkiServerVerifier>,
    /// Whether the certificate may be for anybody.
    anybody: bool,
    /// The certificate, and why it isn't trusted.
    seen: Mutex<Option<(CertificateDer<'static>, Option<String>)>>,
}

impl ServerCertVerifier for Observer {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        stapled: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let own = facts(leaf)
            .ok()
            .and_then(|(names, ..)| names.into_iter().next());
        // A wildcard stands for one label, whichever.
        let own = own.map(|name| name.replacen("*.", "any.", 1));
        let own = own.and_then(|name| ServerName::try_from(name).ok());
        let name = match &own {
            Some(own) if self.anybody => own,
            _ => name,
        };
        let verified = self
            .verifier
            .verify_server_cert(leaf, intermediates, name, stapled, now);
        let untrusted = verified.err().map(|error| match error {
            Error::InvalidCertificate(reason) => reason.to_string(),
            other => other.to_string(),
        });
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        *seen = Some((leaf.clone().into_owned(), untrusted));
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier
            .verify_tls12_signature(message, leaf, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier
            .verify_tls13_signature(message, leaf, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}

fn text(error: impl Display) -> String {
    error.to_string()
}

fn debug(value: impl std::fmt::Debug) -> String {
    format!("{value:?}")
}
