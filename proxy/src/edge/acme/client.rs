//! HTTP to the directory: one connection for each of the few requests, so that none is found broken.

use std::{
    error::Error as StdError,
    future::Future,
    io,
    net::SocketAddr,
    pin::Pin,
    str::FromStr as _,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use hickory_resolver::proto::rr::Name;
use http::{HeaderMap, Request, Response, Uri, header, uri::PathAndQuery};
use http_body_util::{BodyExt as _, Full, Limited};
use httpdate::HttpDate;
use hyper::client::conn::http1::handshake;
use hyper_util::rt::TokioIo;
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, ServerName},
};
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::upstream::name_service::{AddressFamily, Answer, SystemFiles};

/// Limit on a request, from looking the name up to the last byte of the answer.
const TIME_LIMIT: Duration = Duration::from_secs(30);
/// Limit on connecting to one address.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
const MAX_ANSWER: usize = 1024 * 1024;

/// A client that trusts the directory's certificate.
#[derive(Clone)]
pub(super) struct Client(Arc<Inner>);

struct Inner {
    tls: TlsConnector,
    names: Mutex<SystemFiles>,
    /// When the last answer, if there was one, wants to be asked again.
    retry_after: Mutex<Option<SystemTime>>,
}

type AnyError = Box<dyn StdError + Send + Sync>;

impl Client {
    /// One that trusts these authorities, or the public ones.
    pub(super) fn new(authorities: Option<&[CertificateDer<'static>]>) -> Result<Self, AnyError> {
        let mut roots = RootCertStore::empty();
        match authorities {
            Some(certificates) => {
                for certificate in certificates {
                    roots.add(certificate.clone())?;
                }
            }
            None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        }
        let provider = Arc::new(aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self(Arc::new(Inner {
            tls: TlsConnector::from(Arc::new(config)),
            names: Mutex::new(SystemFiles::read()),
            retry_after: Mutex::default(),
        })))
    }

    /// When the last answer wanted to be asked again, where it said so.
    pub(super) fn retry_after(&self) -> Option<SystemTime> {
        *self
            .0
            .retry_after
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl HttpClient for Client {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let inner = Arc::clone(&self.0);
        Box::pin(async move {
            inner.note_retry_after(None);
            let uri = request.uri().clone();
            let late = |_| io::Error::from(io::ErrorKind::TimedOut).into();
            let answer = timeout(TIME_LIMIT, inner.ask(request)).await;
            let answer = answer.map_err(late).flatten();
            let answer = answer.and_then(|answer| inner.understood(answer));
            answer
                .map(BytesResponse::from)
                .map_err(|error| Error::Other(format!("{uri}: {}", with_sources(&*error)).into()))
        })
    }
}

impl Inner {
    async fn ask(&self, request: Request<BodyWrapper<Bytes>>) -> Result<Answered, AnyError> {
        let (mut parts, body) = request.into_parts();
        let authority = parts.uri.authority().ok_or("no host in the URL")?.clone();
        let stream = self.connect(&parts.uri).await?;
        parts
            .headers
            .insert(header::HOST, authority.as_str().parse()?);
        let target = parts.uri.path_and_query().map_or("/", PathAndQuery::as_str);
        parts.uri = target.parse()?;
        let (mut sender, connection) = handshake(TokioIo::new(stream)).await?;
        let exchange = async {
            let (head, body) = sender
                .send_request(Request::from_parts(parts, body))
                .await?
                .into_parts();
            let body = Limited::new(body, MAX_ANSWER).collect().await?;
            Ok(Response::from_parts(head, Full::new(body.to_bytes())))
        };
        tokio::pin!(exchange);
        tokio::select! {
            answer = &mut exchange => answer,
            // Its end, good or bad, leaves the exchange whatever has come.
            _ = connection => exchange.await,
        }
    }

    async fn connect(&self, uri: &Uri) -> Result<TlsStream<TcpStream>, AnyError> {
        if uri.scheme_str() != Some("https") {
            return Err("the directory has sent a URL that isn't https".into());
        }
        let host = uri.host().unwrap_or_default();
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(host)?.to_owned();
        let mut last = AnyError::from("the name has no address");
        for address in self.addresses(host, uri.port_u16().unwrap_or(443)).await? {
            let late = |_| io::ErrorKind::TimedOut.into();
            let connected = timeout(CONNECT_LIMIT, TcpStream::connect(address)).await;
            match connected.map_err(late).flatten() {
                Ok(stream) => return Ok(self.tls.connect(name, stream).await?),
                Err(error) => last = format!("{address}: {error}").into(),
            }
        }
        Err(last)
    }

    async fn addresses(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, AnyError> {
        if let Ok(address) = host.parse() {
            return Ok(vec![SocketAddr::new(address, port)]);
        }
        let name = Name::from_ascii(host)?;
        let service = self
            .names
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .refresh();
        let [v4, v6] = AddressFamily::ALL.map(|family| service.look_up(&name, family));
        let found = match tokio::join!(v4, v6) {
            (Err(error), Err(_)) => return Err(error.into()),
            (v4, v6) => [v4, v6],
        };
        let found = found
            .into_iter()
            .flatten()
            .filter_map(|answer| match answer {
                Answer::Addresses(addresses) => Some(addresses),
                Answer::NoAddress | Answer::NotFound => None,
            });
        Ok(found
            .flatten()
            .map(|address| SocketAddr::new(address, port))
            .collect())
    }

    fn note_retry_after(&self, time: Option<SystemTime>) {
        let known = self.retry_after.lock();
        *known.unwrap_or_else(PoisonError::into_inner) = time;
    }

    /// An error that isn't a problem document is from something in front of the directory.
    fn understood(&self, answer: Answered) -> Result<Answered, AnyError> {
        self.note_retry_after(retry_after(answer.headers(), SystemTime::now()));
        let kind = answer.headers().get(header::CONTENT_TYPE);
        let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let is_json = kind
            .split(';')
            .next()
            .is_some_and(|kind| kind.trim().ends_with("json"));
        let failed = answer.status().is_client_error() || answer.status().is_server_error();
        if failed && !is_json {
            return Err(format!("status {}", answer.status()).into());
        }
        Ok(answer)
    }
}

type Answered = Response<Full<Bytes>>;

fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<SystemTime> {
    let value = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    match value.parse() {
        Ok(seconds) => now.checked_add(Duration::from_secs(seconds)),
        Err(_) => HttpDate::from_str(value).ok().map(SystemTime::from),
    }
}

/// An error with what it comes from, which tells most.
pub(super) fn with_sources(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let cause = error.to_string();
        if !text.ends_with(&cause) {
            text = format!("{text}: {cause}");
        }
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_in_seconds_or_until_a_date() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_717);
        let read = |value: &str| {
            let headers = HeaderMap::from_iter([(header::RETRY_AFTER, value.parse().unwrap())]);
            retry_after(&headers, now)
        };
        assert_eq!(read("60"), Some(now + Duration::from_secs(60)));
        let date = read("Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(date, Some(now + Duration::from_secs(60)));
        for value in ["", "soon", "99999999999999999999", "18446744073709551615"] {
            assert_eq!(read(value), None, "{value}");
        }
    }
}
