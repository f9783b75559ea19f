//! What oha can't do over TLS: a connection for each request with a handshake that is known to be
//! full, or known to be resumed, and thousands of connections that are held.
//!
//! ```text
//! tls-load full    CLIENTS SECONDS ADDRESS   a connection a request, no session is offered
//! tls-load resumed CLIENTS SECONDS ADDRESS   a connection a request, each resumes the one before
//! tls-load hold    CONNECTIONS ADDRESS       answers a request on each, says so, holds them until
//!                                            its standard input ends
//! ```
//!
//! TLS 1.3 with AES-128-GCM and X25519, whatever else a server has. Certificates aren't checked:
//! that would be this side's time, of which servers get the less. Results are JSON of oha's shape.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, HandshakeKind, SignatureScheme, StreamOwned, version::TLS13,
};
use rustls::{DigitallySignedStruct, Error};

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: bench.test\r\n\r\n";
const LAST_REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: bench.test\r\nConnection: close\r\n\r\n";
const PATIENCE: Duration = Duration::from_secs(30);
/// Clients that open the connections that are held.
const OPENERS: usize = 8;

type Failure = Box<dyn std::error::Error + Send + Sync>;
type Stream = StreamOwned<ClientConnection, TcpStream>;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        [kind @ ("full" | "resumed"), clients, seconds, address] => {
            let resumed = kind == "resumed";
            let time = Duration::try_from_secs_f64(seconds.parse()?)?;
            println!("{}", requests(resumed, clients.parse()?, time, address));
            Ok(())
        }
        ["hold", connections, address] => hold(connections.parse()?, address),
        _ => Err("usage: tls-load full|resumed CLIENTS SECONDS ADDRESS, or tls-load hold CONNECTIONS ADDRESS".into()),
    }
}

/// Has as many clients as asked for make requests for that long, and says what came of them.
fn requests(resumed: bool, clients: usize, time: Duration, address: &str) -> String {
    let begun = Instant::now();
    let tally = thread::scope(|scope| {
        let clients: Vec<_> = (0..clients)
            .map(|_| scope.spawn(|| client(resumed, begun + time, address)))
            .collect();
        clients.into_iter().fold(Tally::default(), |tally, client| {
            tally.with(client.join().expect("a client doesn't panic"))
        })
    });
    tally.json(begun.elapsed())
}

/// One client: a connection after the other.
fn client(resumed: bool, end: Instant, address: &str) -> Tally {
    // Sessions are this client's own, as a browser's are.
    let config = Arc::new(config(resumed));
    let expected = if resumed {
        HandshakeKind::Resumed
    } else {
        HandshakeKind::Full
    };
    let mut tally = Tally::default();
    // A session to resume. Whether it is one the first request will show.
    if resumed && let Err(error) = exchange(&config, address) {
        tally.failed(&error);
    }
    while Instant::now() < end {
        let begun = Instant::now();
        match exchange(&config, address) {
            Ok((status, kind)) if kind == Some(expected) => tally.answered(status, begun.elapsed()),
            Ok((_, kind)) => tally.failed(&format!("the handshake was {kind:?}").into()),
            Err(error) => tally.failed(&error),
        }
    }
    tally
}

/// A connection with one request, until the server has closed it.
fn exchange(
    config: &Arc<ClientConfig>,
    address: &str,
) -> Result<(u16, Option<HandshakeKind>), Failure> {
    let mut stream = connect(config, address)?;
    stream.write_all(LAST_REQUEST)?;
    let mut answer = Vec::with_capacity(1024);
    stream.read_to_end(&mut answer)?;
    let kind = stream.conn.handshake_kind();
    Ok((status(&answer)?, kind))
}

fn hold(connections: usize, address: &str) -> Result<(), Failure> {
    let config = Arc::new(config(false));
    let open = |count: usize| -> Result<Vec<Stream>, Failure> {
        (0..count)
            .map(|_| {
                let mut stream = connect(&config, address)?;
                stream.write_all(REQUEST)?;
                let mut answer = Vec::new();
                // The backend's answer is a line.
                while !whole(&answer) {
                    let mut part = [0; 4096];
                    let read = stream.read(&mut part)?;
                    if read == 0 {
                        return Err("an answer that ends early".into());
                    }
                    answer.extend_from_slice(&part[..read]);
                }
                match status(&answer)? {
                    200 => Ok(stream),
                    other => Err(format!("an answer of {other}").into()),
                }
            })
            .collect()
    };
    let held: Vec<_> = thread::scope(|scope| {
        let openers: Vec<_> = (0..OPENERS)
            .map(|opener| {
                scope.spawn(move || {
                    open(connections * (opener + 1) / OPENERS - connections * opener / OPENERS)
                })
            })
            .collect();
        openers
            .into_iter()
            .map(|opener| opener.join().expect("an opener doesn't panic"))
            .collect::<Result<_, _>>()
    })?;
    println!("{}", held.iter().map(Vec::len).sum::<usize>());
    std::io::stdin().read_to_end(&mut Vec::new())?;
    // A connection that the server has closed meanwhile wasn't held.
    let mut closed = 0;
    for stream in held.into_iter().flatten() {
        stream.sock.set_nonblocking(true)?;
        if !matches!(stream.sock.peek(&mut [0; 1]), Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
        {
            closed += 1;
        }
    }
    println!("{closed}");
    Ok(())
}

fn whole(answer: &[u8]) -> bool {
    let head = answer.windows(4).position(|four| four == b"\r\n\r\n");
    head.is_some_and(|head| answer.len() > head + 4 && answer.ends_with(b"\n"))
}

fn connect(config: &Arc<ClientConfig>, address: &str) -> Result<Stream, Failure> {
    let socket = TcpStream::connect(address)?;
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.set_write_timeout(Some(PATIENCE))?;
    let name = ServerName::try_from("bench.test")?;
    Ok(StreamOwned::new(
        ClientConnection::new(config.clone(), name)?,
        socket,
    ))
}

fn config(resumed: bool) -> ClientConfig {
    let mut provider = ring::default_provider();
    provider
        .cipher_suites
        .retain(|suite| *suite == ring::cipher_suite::TLS13_AES_128_GCM_SHA256);
    provider.kx_groups = vec![ring::kx_group::X25519];
    let provider = Arc::new(provider);
    let mut config = ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&TLS13])
        .expect("TLS 1.3 has that suite and that group")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody(provider)))
        .with_no_client_auth();
    config.resumption = if resumed {
        Resumption::in_memory_sessions(32)
    } else {
        Resumption::disabled()
    };
    config
}

/// Believes every server.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

fn status(answer: &[u8]) -> Result<u16, Failure> {
    let text = answer
        .get(9..12)
        .and_then(|digits| std::str::from_utf8(digits).ok());
    Ok(text
        .ok_or("no answer before the end of the connection")?
        .parse()?)
}

/// What came of requests.
#[derive(Default)]
struct Tally {
    statuses: BTreeMap<u16, u64>,
    errors: BTreeMap<String, u64>,
    latencies: Vec<Duration>,
}

impl Tally {
    fn answered(&mut self, status: u16, latency: Duration) {
        *self.statuses.entry(status).or_default() += 1;
        self.latencies.push(latency);
    }

    fn failed(&mut self, error: &Failure) {
        *self.errors.entry(error.to_string()).or_default() += 1;
    }

    fn with(mut self, other: Self) -> Self {
        for (status, count) in other.statuses {
            *self.statuses.entry(status).or_default() += count;
        }
        for (error, count) in other.errors {
            *self.errors.entry(error).or_default() += count;
        }
        self.latencies.extend(other.latencies);
        self
    }

    fn json(mut self, total: Duration) -> String {
        self.latencies.sort_unstable();
        let percentile = |part: f64| {
            #[allow(
                clippy::cast_possible_truncation,
                clippy::cast_precision_loss,
                clippy::cast_sign_loss
            )]
            let place = (self.latencies.len() as f64 * part) as usize;
            self.latencies
                .get(place)
                .map_or("null".to_owned(), |latency| {
                    latency.as_secs_f64().to_string()
                })
        };
        let mut errors = String::new();
        for (error, count) in &self.errors {
            let comma = if errors.is_empty() { "" } else { "," };
            write!(
                errors,
                "{comma}\"{}\":{count}",
                error.replace(['"', '\\'], "'")
            )
            .expect("a string takes it");
        }
        let statuses: Vec<_> = self
            .statuses
            .iter()
            .map(|(status, count)| format!("\"{status}\":{count}"))
            .collect();
        format!(
            r#"{{"summary":{{"total":{}}},"latencyPercentiles":{{"p50":{},"p99":{},"p99.9":{}}},"statusCodeDistribution":{{{}}},"errorDistribution":{{{errors}}}}}"#,
            total.as_secs_f64(),
            percentile(0.5),
            percentile(0.99),
            percentile(0.999),
            statuses.join(","),
        )
    }
}
