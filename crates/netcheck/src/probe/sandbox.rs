//! The answering side: runs inside the sandbox and reports on it.

mod files;
mod interfaces;
mod listening;
mod masquerading;
mod mtu;
mod names;
mod reach;
mod routes;

use std::net::IpAddr;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt};

use super::CONCURRENCY;
use super::namespace;
use super::report::{Connection, Echo, Report, Resolution};
use super::request::Request;

/// Answers every question of the request. What can't be found out is part of the answer.
pub async fn report(request: &Request) -> Report {
    let timeout = Duration::from_millis(request.timeout_ms.max(1));
    let mut report = Report::default();
    let mut incomplete = Vec::new();

    report.hostname = take(&mut incomplete, "the host name", hostname());
    report.namespace = take(
        &mut incomplete,
        "its network namespace",
        namespace::current().map(Some),
    );
    report.resolver = take(&mut incomplete, "/etc/resolv.conf", files::resolver());
    report.hosts = take(&mut incomplete, "/etc/hosts", files::hosts());
    report.listening = take(&mut incomplete, "the listening ports", listening::tcp());
    if request.masquerading {
        match masquerading::ipv4() {
            Ok(rules) => report.masquerading = rules,
            Err(error) => {
                let unread = format!("the rules for masquerading: {error}");
                report.masquerading_unread = Some(unread);
            }
        }
    }
    match interfaces::handle() {
        Ok(handle) => {
            report.interfaces = take(
                &mut incomplete,
                "the interfaces",
                interfaces::all(&handle).await,
            );
            report.routes = take(
                &mut incomplete,
                "the routes",
                routes::main_tables(&handle, &report.interfaces).await,
            );
        }
        Err(error) => incomplete.push(format!("the interfaces and routes: {error}")),
    }
    report.incomplete = incomplete;

    let names = names::Names::new(&report.resolver, &report.hosts, timeout);
    let pinger = reach::Pinger::new(timeout);
    let (names, pinger) = (&names, &pinger);
    let (interfaces, routes) = (&report.interfaces, &report.routes);
    (
        report.resolved,
        report.connected,
        report.pinged,
        report.fetched,
        report.paths,
    ) = tokio::join!(
        each(&request.resolve, |name| names.resolve(name)),
        each(&request.connect, |target| async move {
            let (resolution, addresses) = addresses(names, &target.host).await;
            let attempts = addresses
                .into_iter()
                .map(|to| reach::connect(to, target.port, timeout));
            Connection {
                target: target.clone(),
                resolution,
                attempts: join_all(attempts).await,
            }
        }),
        each(&request.ping, |host| async move {
            let (resolution, addresses) = addresses(names, host).await;
            let attempts = addresses.into_iter().map(|to| pinger.ping(to));
            Echo {
                host: host.clone(),
                resolution,
                attempts: join_all(attempts).await,
            }
        }),
        each(&request.get, |resource| async move {
            let started = Instant::now();
            let (resolution, addresses) = addresses(names, &resource.host).await;
            reach::get(
                resource,
                resolution,
                addresses.first().copied(),
                timeout,
                started,
            )
            .await
        }),
        each(&request.path_mtu, |to| mtu::longest(
            *to, interfaces, routes, timeout
        )),
    );
    report
}

/// Runs `ask` on all of `questions`, side by side; the answers are in the order of the questions.
async fn each<'a, Q, A, F>(questions: &'a [Q], ask: impl Fn(&'a Q) -> F) -> Vec<A>
where
    F: Future<Output = A>,
{
    stream::iter(questions)
        .map(ask)
        .buffered(CONCURRENCY)
        .collect()
        .await
}

/// The addresses of a host that is given by name or by address.
async fn addresses(names: &names::Names<'_>, host: &str) -> (Option<Resolution>, Vec<IpAddr>) {
    if let Ok(address) = host.parse() {
        return (None, vec![address]);
    }
    let resolution = names.resolve(host).await;
    let addresses = resolution.addresses.clone();
    (Some(resolution), addresses)
}

fn hostname() -> Result<String, nix::Error> {
    Ok(nix::unistd::gethostname()?.to_string_lossy().into_owned())
}

fn take<T: Default, E: std::fmt::Display>(
    incomplete: &mut Vec<String>,
    what: &str,
    result: Result<T, E>,
) -> T {
    result.unwrap_or_else(|error| {
        incomplete.push(format!("{what}: {error}"));
        T::default()
    })
}

/// Microseconds since `started`.
fn elapsed_us(started: Instant) -> u64 {
    u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX)
}
