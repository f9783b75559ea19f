//! Looking at the parts again and again.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use futures_util::future::join_all;
use tokio::time::{sleep_until, timeout};

use crate::observe::{PartLabels, ScrapeFailures};
use crate::settings::Settings;
use crate::stack::Board;
use crate::stack::alerts::Prometheus;
use crate::stack::figures::{
    Clients, Database, Figures, Part, ReplicaFigures, Upstream, WANTED, Writes,
};
use crate::stack::history::{History, Moment, STEP};
use crate::stack::replica::{Condition, Replica, State, WINDOW};
use crate::stack::scrape::{Endpoint, scrape};
use crate::store::Store;

/// How often it looks while somebody wants to see; otherwise once a [`STEP`] of the history.
const OFTEN: Duration = Duration::from_secs(1);
/// How long one that went is shown, unless nobody is there in its place.
const GONE_FOR: Duration = Duration::from_secs(60);
/// Most addresses of a name that are asked, and that are known: those that went make room first.
const MAX_REPLICAS: usize = 32;
/// The name that the listener has in compose.yaml. It has no metrics: all that can be seen is where
/// it is.
const LISTENER: &str = "listener:80";
/// Longest time for the look at the database.
const READ_LIMIT: Duration = Duration::from_secs(1);

/// All that is looked at.
#[derive(Debug)]
pub(crate) struct Watch {
    listener: Group,
    proxy: Group,
    api: Group,
    mongo: Mongo,
    prometheus: Option<Prometheus>,
    history: History,
    failures: ScrapeFailures,
}

impl Watch {
    pub(crate) fn new(settings: &Settings, store: Store, failures: ScrapeFailures) -> Self {
        let server = store.server().map(|name| Endpoint::new(name.to_owned()));
        Self {
            listener: Group::new(LISTENER),
            proxy: Group::new(&settings.proxy_admin),
            api: Group::new(&settings.api_admin),
            mongo: Mongo {
                store,
                server,
                address: None,
                documents: None,
                condition: Condition {
                    state: State::Away,
                    reason: None,
                    since: SystemTime::now(),
                },
            },
            prometheus: settings.prometheus.clone().map(Prometheus::new),
            history: History::default(),
            failures,
        }
    }

    /// Looks until dropped.
    pub(crate) async fn run(mut self, board: Arc<Board>) {
        loop {
            let begun = tokio::time::Instant::now();
            self.look().await;
            board.put_up(self.figures());
            if !board.is_watched() {
                tokio::select! {
                    () = sleep_until(begun + STEP) => {}
                    () = board.look.notified() => {}
                }
            }
            sleep_until(begun + OFTEN).await;
        }
    }

    async fn look(&mut self) {
        let prometheus = &mut self.prometheus;
        let alerts = async move {
            if let Some(prometheus) = prometheus {
                prometheus.look().await;
            }
        };
        let ((), proxies, apis, (), ()) = tokio::join!(
            self.listener.find(),
            self.proxy.ask(),
            self.api.ask(),
            self.mongo.look(),
            alerts
        );
        for (part, failed) in [("proxy", proxies), ("api", apis)] {
            let failures = self.failures.get_or_create(&PartLabels { part });
            failures.inc_by(failed);
        }
    }

    fn figures(&mut self) -> Figures {
        let (proxies, apis) = (&self.proxy.replicas, &self.api.replicas);
        let at = SystemTime::now();
        let (clients, writes) = (Clients::of(proxies), Writes::of(apis));
        let moment = Moment::of(at, &clients, &writes);
        self.history.record(Instant::now(), moment);
        let api = self.api.figures();
        let up_for_apis = api.replicas.iter();
        let up_for_apis = up_for_apis.filter(|api| api.mongo_up == Some(true)).count();
        Figures {
            at: Some(at),
            window_seconds: WINDOW.as_secs(),
            listener: self.listener.figures(),
            proxy: self.proxy.figures(),
            mongo: self.mongo.figures(up_for_apis),
            clients,
            upstream: Upstream::of(proxies, apis),
            writes,
            alerts: self.prometheus.as_ref().and_then(Prometheus::alerts),
            history: self.history.moments(),
            api,
        }
    }
}

/// The processes that a name leads to.
#[derive(Debug)]
struct Group {
    endpoint: Endpoint,
    problem: Option<String>,
    replicas: Vec<Replica>,
}

impl Group {
    fn new(name: &str) -> Self {
        Self {
            endpoint: Endpoint::new(name.to_owned()),
            problem: None,
            replicas: Vec::new(),
        }
    }

    /// Asks all of them. Says how many didn't answer.
    async fn ask(&mut self) -> u64 {
        let found = self.addresses().await;
        let name = &self.endpoint.host;
        let asked = self.replicas.iter_mut().map(|replica| {
            let is_there = found.contains(&replica.address);
            async move {
                if !is_there {
                    replica.gone();
                    return false;
                }
                let answer = scrape(replica.address, name, WANTED).await;
                let failed = answer.is_err();
                replica.found(Instant::now(), answer);
                failed
            }
        });
        let failed = join_all(asked).await;
        failed.into_iter().filter(|failed| *failed).count() as u64
    }

    /// Only finds out where they are.
    async fn find(&mut self) {
        let found = self.addresses().await;
        for replica in &mut self.replicas {
            if found.contains(&replica.address) {
                replica.condition.becomes(State::Ready, None);
            } else {
                replica.gone();
            }
        }
    }

    /// Where the name leads, with a replica for each address; those that went long ago are forgotten.
    async fn addresses(&mut self) -> Vec<SocketAddr> {
        let found = self.endpoint.resolve().await;
        self.leads_to(found)
    }

    fn leads_to(&mut self, found: Result<Vec<SocketAddr>, String>) -> Vec<SocketAddr> {
        self.problem = found.as_ref().err().cloned();
        let mut found = found.unwrap_or_default();
        if found.len() > MAX_REPLICAS {
            self.problem = Some(format!(
                "it has {} addresses, of which the first {MAX_REPLICAS} are looked at",
                found.len()
            ));
            found.truncate(MAX_REPLICAS);
        }
        for &address in &found {
            if !self.replicas.iter().any(|known| known.address == address) {
                self.replicas.push(Replica::new(address));
            }
        }
        let is_away = found.is_empty();
        let newest = self
            .replicas
            .iter()
            .map(|known| known.condition.since)
            .max();
        self.replicas.retain(|replica| {
            let Condition { state, since, .. } = replica.condition;
            let lately = since.elapsed().is_ok_and(|since| since < GONE_FOR);
            state != State::Gone
                || lately
                || found.contains(&replica.address)
                || (is_away && Some(since) == newest)
        });
        let mut surplus = self.replicas.len().saturating_sub(MAX_REPLICAS);
        self.replicas.sort_by_key(|replica| replica.condition.since);
        self.replicas.retain(|replica| {
            let makes_room = surplus > 0 && !found.contains(&replica.address);
            surplus -= usize::from(makes_room);
            !makes_room
        });
        self.replicas.sort_by_key(|replica| replica.address);
        found
    }

    fn figures(&self) -> Part {
        Part {
            name: self.endpoint.host.clone(),
            problem: self.problem.clone(),
            replicas: self.replicas.iter().map(ReplicaFigures::of).collect(),
        }
    }
}

/// The database, by reads of our own.
#[derive(Debug)]
struct Mongo {
    store: Store,
    server: Option<Endpoint>,
    address: Option<SocketAddr>,
    documents: Option<u64>,
    condition: Condition,
}

impl Mongo {
    async fn look(&mut self) {
        if let Some(server) = &mut self.server {
            let found = server.resolve().await.ok();
            self.address = found.and_then(|found| found.first().copied());
        }
        let counting = self.store.read(|collection| async move {
            let counting = collection.estimated_document_count();
            counting.max_time(READ_LIMIT).await
        });
        match timeout(READ_LIMIT, counting).await {
            Ok(Ok(documents)) => {
                self.documents = Some(documents);
                self.condition.becomes(State::Ready, None);
            }
            Ok(Err(error)) => {
                let reason = self.store.describe(&error);
                self.condition.becomes(State::Away, Some(reason));
            }
            Err(_) => {
                let reason = format!("no answer within {READ_LIMIT:?}");
                self.condition.becomes(State::Away, Some(reason));
            }
        }
    }

    fn figures(&self, up_for_apis: usize) -> Database {
        let Condition {
            state,
            reason,
            since,
        } = self.condition.clone();
        Database {
            name: self.server.as_ref().map(|server| server.host.clone()),
            address: self.address.map(|address| address.ip()),
            state,
            reason,
            since,
            documents: self.documents,
            up_for_apis,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn addresses(numbers: std::ops::Range<u8>) -> Vec<SocketAddr> {
        let address = |n| SocketAddr::from((Ipv4Addr::new(192, 0, 2, n), 9180));
        numbers.map(address).collect()
    }

    #[test]
    fn of_too_many_addresses_the_first_are_asked_and_that_is_said() {
        let mut group = Group::new("proxy:9180");
        assert_eq!(group.leads_to(Ok(addresses(0..32))).len(), 32);
        assert_eq!(group.figures().problem, None);
        assert_eq!(group.leads_to(Ok(addresses(0..40))), addresses(0..32));
        let said = "it has 40 addresses, of which the first 32 are looked at";
        assert_eq!(group.figures().problem.as_deref(), Some(said));
        assert_eq!(group.replicas.len(), 32);
    }

    #[test]
    fn addresses_that_come_and_go_dont_pile_up() {
        let mut group = Group::new("proxy:9180");
        for first in 0..200 {
            let found = group.leads_to(Ok(addresses(first..first + 3)));
            assert!(group.replicas.len() <= MAX_REPLICAS);
            for replica in &mut group.replicas {
                if found.contains(&replica.address) {
                    replica.condition.becomes(State::Ready, None);
                } else {
                    replica.gone();
                }
            }
        }
        let known: Vec<_> = group.replicas.iter().map(|it| it.address).collect();
        assert_eq!(known, addresses(170..202));
    }
}
