//! pingora-proxy as it comes: the smallest `ProxyHttp` that does what the other peers do. Plain on
//! port 80, TLS with HTTP/2 on port 443.
//!
//! `ACCESS_LOG=off` leaves the access log out.

use std::io::Write as _;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::thread::available_parallelism;

use async_trait::async_trait;
use pingora_core::listeners::tls::TlsSettings;
use pingora_core::server::Server;
use pingora_core::server::configuration::ServerConf;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_core::{Error, Result};
use pingora_http::RequestHeader;
use pingora_proxy::{ProxyHttp, Session, http_proxy_service};

// As the product has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

struct Peer {
    upstream: SocketAddr,
    log: bool,
}

#[async_trait]
impl ProxyHttp for Peer {
    type CTX = ();

    fn new_ctx(&self) {}

    async fn upstream_peer(&self, _: &mut Session, (): &mut ()) -> Result<Box<HttpPeer>> {
        Ok(Box::new(HttpPeer::new(self.upstream, false, String::new())))
    }

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        request: &mut RequestHeader,
        (): &mut (),
    ) -> Result<()> {
        let client = session
            .client_addr()
            .and_then(|address| address.as_inet())
            .map(|address| address.ip().to_string())
            .unwrap_or_default();
        let tls = session
            .digest()
            .is_some_and(|digest| digest.ssl_digest.is_some());
        request.insert_header("X-Real-IP", &client)?;
        request.insert_header("X-Forwarded-For", client)?;
        request.insert_header("X-Forwarded-Proto", if tls { "https" } else { "http" })?;
        Ok(())
    }

    async fn logging(&self, session: &mut Session, _: Option<&Error>, (): &mut ()) {
        if self.log {
            let status = session
                .response_written()
                .map_or(0, |response| response.status.as_u16());
            // A line that can't be written is no reason to end.
            let _ = writeln!(std::io::stdout(), "{} {status}", session.request_summary());
        }
    }
}

fn main() {
    let threads = available_parallelism().map_or(1, usize::from);
    let configuration = ServerConf {
        threads,
        upstream_keepalive_pool_size: 512,
        ..ServerConf::default()
    };
    let mut server = Server::new_with_opt_and_conf(None, configuration);
    server.bootstrap();
    let upstream = "flask-app:9090"
        .to_socket_addrs()
        .expect("flask-app resolves")
        .next()
        .expect("flask-app has an address");
    let log = std::env::var("ACCESS_LOG").is_ok_and(|value| value == "on");
    let mut service = http_proxy_service(&server.configuration, Peer { upstream, log });
    service.threads = Some(threads);
    service.add_tcp("0.0.0.0:80");
    let mut tls = TlsSettings::intermediate("/certificates/bench.crt", "/certificates/bench.key")
        .expect("the certificate is there");
    tls.enable_h2();
    service.add_tls_with_settings("0.0.0.0:443", None, tls);
    server.add_service(service);
    server.run_forever();
}
