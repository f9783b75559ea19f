//! Following the upstream's name through DNS.
//!
//! The name is resolved at every interval, and at once when a connection failed or no backend is
//! known. Nothing is cached: behind Docker's embedded DNS an address is right until it changes,
//! whatever its TTL says. A failure keeps the backends that are known; only when the name is
//! repeatedly said not to exist (NXDOMAIN) are they let go.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use hickory_resolver::{
    TokioResolver,
    config::{LookupIpStrategy, ServerOrderingStrategy},
    net::NetError,
};
use tokio::{
    runtime::Builder,
    time::{Instant, sleep, timeout_at},
};
use tracing::{info, warn};

use super::Upstream;
use crate::config::{Settings, UpstreamName};

/// NXDOMAIN answers in a row until the known addresses are let go. A name can vanish for a moment
/// while its only container is replaced.
const NOT_FOUND_GRACE: u32 = 3;
/// Wait for one DNS server's answer.
const QUERY_TIMEOUT: Duration = Duration::from_secs(2);
/// Least time between two resolutions, however many requests ask for one.
const MIN_INTERVAL: Duration = Duration::from_millis(100);

/// Longest wait for the first resolution.
const FIRST_WAIT: Duration = Duration::from_secs(1);

/// Resolves once, before the proxy listens: where it replaces another on the same address, nobody
/// should get a 503 from it only because its first resolution hasn't happened yet.
///
/// A name that doesn't exist isn't waited for, and one that can't be resolved no longer than
/// [`FIRST_WAIT`]; [`run`] goes on from there.
pub fn resolve_first(upstream: &Upstream) -> io::Result<()> {
    let UpstreamName { host, port } = &upstream.name;
    if let Ok(address) = host.parse::<IpAddr>() {
        upstream.set_addresses(&[SocketAddr::new(address, *port)]);
        return Ok(());
    }
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let deadline = Instant::now() + FIRST_WAIT;
    runtime.block_on(async {
        while let Ok(outcome) = timeout_at(deadline, resolve(&mut None, host, *port)).await {
            match outcome {
                Ok(addresses) => return upstream.set_addresses(&addresses),
                Err(error) if error.is_nx_domain() => return,
                Err(_) => sleep(MIN_INTERVAL).await,
            }
        }
    });
    Ok(())
}

/// Resolves until dropped.
pub async fn run(upstream: Arc<Upstream>, settings: Arc<Settings>) {
    let UpstreamName { host, port } = &upstream.name;
    if host.parse::<IpAddr>().is_ok() {
        // Set by `resolve_first`, and right for ever.
        return std::future::pending().await;
    }
    let mut resolver = None;
    let mut failures = Failures::default();
    loop {
        let started = Instant::now();
        match resolve(&mut resolver, host, *port).await {
            Ok(addresses) => {
                upstream.resolutions.resolved.fetch_add(1, Relaxed);
                failures.end(host);
                upstream.set_addresses(&addresses);
            }
            Err(error) => {
                let not_found = error.is_nx_domain();
                let counters = &upstream.resolutions;
                let counter = if not_found {
                    &counters.not_found
                } else {
                    &counters.failed
                };
                counter.fetch_add(1, Relaxed);
                if failures.note(host, &error, not_found) {
                    upstream.set_addresses(&[]);
                }
                // The configuration of DNS may be what is wrong: read it again.
                resolver = None;
            }
        }
        upstream.resolved.notify_waiters();
        sleep(MIN_INTERVAL).await;
        let _ = timeout_at(
            started + settings.resolve_interval,
            upstream.resolve.notified(),
        )
        .await;
    }
}

/// Failures in a row; logs the first and the last, not each.
#[derive(Debug, Default)]
struct Failures {
    total: u32,
    not_found: u32,
}

impl Failures {
    /// Returns whether the known addresses should be let go.
    fn note(&mut self, host: &str, error: &NetError, not_found: bool) -> bool {
        if self.total == 0 {
            warn!(host, %error, "upstream can't be resolved");
        }
        self.total = self.total.saturating_add(1);
        self.not_found = if not_found {
            self.not_found.saturating_add(1)
        } else {
            0
        };
        self.not_found >= NOT_FOUND_GRACE
    }

    fn end(&mut self, host: &str) {
        if self.total > 0 {
            info!(
                host,
                failures = self.total,
                "upstream can be resolved again"
            );
        }
        *self = Self::default();
    }
}

async fn resolve(
    resolver: &mut Option<TokioResolver>,
    host: &str,
    port: u16,
) -> Result<Vec<SocketAddr>, NetError> {
    let resolver = match resolver {
        Some(resolver) => resolver,
        None => resolver.insert(system_resolver()?),
    };
    let found = resolver.lookup_ip(host).await?;
    let mut addresses: Vec<_> = found
        .iter()
        .map(|address| SocketAddr::new(address.to_canonical(), port))
        .collect();
    addresses.sort_unstable();
    addresses.dedup();
    Ok(addresses)
}

/// A resolver set up as `/etc/resolv.conf` and `/etc/hosts` say, without a cache.
fn system_resolver() -> Result<TokioResolver, NetError> {
    let mut builder = TokioResolver::builder_tokio()?;
    let options = builder.options_mut();
    options.cache_size = 0;
    options.timeout = QUERY_TIMEOUT;
    options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
    options.server_ordering_strategy = ServerOrderingStrategy::UserProvidedOrder;
    builder.build()
}
