//! The stages of the picture, from the clients to the database: the processes of each, and what goes from
//! one to the next.

use std::net::SocketAddr;
use std::time::SystemTime;

use crate::pages::stack::words;
use crate::stack::figures::{Figures, Part, ReplicaFigures};
use crate::stack::replica::State;

/// Most of a part that are drawn; the table has all.
const MOST: usize = 6;

/// The same part, however many of it there are.
pub(super) struct Stage {
    /// Of a box, where it goes from left to right.
    pub(super) width: f64,
    pub(super) boxes: Vec<Content>,
    /// What comes in from the stage before; the first has none.
    pub(super) edge: Option<Edge>,
    pub(super) is_public: bool,
    pub(super) is_private: bool,
}

/// What is in a box.
pub(super) struct Content {
    pub(super) name: String,
    pub(super) state: Option<State>,
    pub(super) lines: Vec<String>,
    pub(super) title: String,
}

/// What goes from a stage to the next: as much as is known.
pub(super) struct Edge {
    /// What each box of either side has of it; empty where there is one that has all.
    pub(super) from: Vec<Share>,
    pub(super) to: Vec<Share>,
    pub(super) all: Share,
    /// Figures, the most important first.
    pub(super) figures: Vec<Figure>,
}

/// What a process has of an edge.
#[derive(Clone, Copy)]
pub(super) struct Share {
    /// Each second.
    pub(super) rate: Option<f64>,
    pub(super) is_down: bool,
}

/// Something to say of an edge.
pub(super) struct Figure {
    pub(super) text: String,
    /// Whether it is bad news.
    pub(super) is_bad: bool,
}

pub(super) fn stages(figures: &Figures) -> Vec<Stage> {
    let clients = Stage {
        width: 124.0,
        boxes: vec![clients(figures)],
        edge: None,
        is_public: false,
        is_private: false,
    };
    let has_listener = !figures.listener.replicas.is_empty();
    // Else the proxies listen themselves, or nobody can say.
    let listener = has_listener.then(|| Stage {
        width: 172.0,
        boxes: contents("listener", &figures.listener, |_| {
            vec!["holds the ports".to_owned()]
        }),
        edge: Some(from_clients(figures)),
        is_public: true,
        is_private: false,
    });
    let mut to_proxies = from_clients(figures);
    to_proxies.to = shares(&figures.proxy, |_| false);
    if has_listener {
        to_proxies.figures.clear();
    }
    let proxies = Stage {
        width: 184.0,
        boxes: contents("proxy", &figures.proxy, |proxy| {
            vec![
                amount(proxy.requests_per_second, "req/s"),
                amount(proxy.connections, "open"),
            ]
        }),
        edge: Some(to_proxies),
        is_public: true,
        is_private: false,
    };
    let apis = Stage {
        width: 184.0,
        boxes: contents("api", &figures.api, |api| {
            vec![
                amount(api.requests_per_second, "req/s"),
                amount(api.queue_documents, "queued"),
            ]
        }),
        edge: Some(to_apis(figures)),
        is_public: true,
        is_private: true,
    };
    let mongo = Stage {
        width: 184.0,
        boxes: vec![mongo(figures)],
        edge: Some(to_mongo(figures)),
        is_public: false,
        is_private: true,
    };
    let front = [Some(clients), listener].into_iter().flatten();
    front.chain([proxies, apis, mongo]).collect()
}

/// What the clients ask, and get.
fn from_clients(figures: &Figures) -> Edge {
    let clients = &figures.clients;
    let per_second = |bytes, way| format!("{}/s {way}", words::bytes(bytes));
    Edge {
        from: Vec::new(),
        to: Vec::new(),
        all: Share {
            rate: clients.requests_per_second,
            is_down: figures.proxy.ready() == 0,
        },
        figures: told(
            [
                amount(clients.requests_per_second, "req/s"),
                time("p50", clients.p50_seconds),
                time("p99", clients.p99_seconds),
                per_second(clients.received_bytes_per_second, "in"),
                per_second(clients.sent_bytes_per_second, "out"),
            ],
            clients.errors_per_second,
        ),
    }
}

fn to_apis(figures: &Figures) -> Edge {
    let upstream = &figures.upstream;
    let always = [
        amount(upstream.requests_per_second, "req/s"),
        time("p50", upstream.p50_seconds),
        time("p99", upstream.p99_seconds),
        amount(upstream.connections, "open"),
    ];
    let waiting = some(upstream.waiting, "in line");
    Edge {
        from: shares(&figures.proxy, |_| false),
        to: shares(&figures.api, |api| is_out(api, &figures.proxy)),
        all: Share {
            rate: upstream.requests_per_second,
            is_down: figures.proxy.ready() == 0 || figures.api.ready() == 0,
        },
        figures: told(
            always.into_iter().chain(waiting),
            upstream.errors_per_second,
        ),
    }
}

fn to_mongo(figures: &Figures) -> Edge {
    let writes = &figures.writes;
    Edge {
        from: shares(&figures.api, |api| api.mongo_up == Some(false)),
        to: Vec::new(),
        all: Share {
            rate: writes.documents_per_second,
            is_down: figures.mongo.state != State::Ready,
        },
        figures: told(
            [
                amount(writes.documents_per_second, "docs/s"),
                time("p50", writes.p50_seconds),
                time("p99", writes.p99_seconds),
                format!("batches of {}", words::number(writes.batch_documents)),
                amount(writes.queue_documents, "queued"),
            ],
            writes.errors_per_second,
        ),
    }
}

/// So many of something.
fn amount(value: Option<f64>, unit: &str) -> String {
    format!("{} {unit}", words::number(value))
}

/// Only where there are any.
fn some(value: Option<f64>, unit: &str) -> Option<String> {
    value
        .filter(|value| *value > 0.0)
        .map(|value| amount(Some(value), unit))
}

fn time(name: &str, value: Option<f64>) -> String {
    format!("{name} {}", words::seconds(value))
}

/// Figures, and errors where there are any.
fn told(figures: impl IntoIterator<Item = String>, errors_per_second: Option<f64>) -> Vec<Figure> {
    let good = figures.into_iter().map(|text| (text, false));
    let bad = some(errors_per_second, "errors/s").map(|text| (text, true));
    let all = good.chain(bad);
    all.map(|(text, is_bad)| Figure { text, is_bad }).collect()
}

fn clients(figures: &Figures) -> Content {
    Content {
        name: "clients".to_owned(),
        state: None,
        lines: vec![amount(figures.clients.connections, "connections")],
        title: "Whoever connects to the published ports".to_owned(),
    }
}

/// What each box of a part has of the requests.
fn shares(part: &Part, is_down: impl Fn(&ReplicaFigures) -> bool) -> Vec<Share> {
    let replicas = part.replicas.iter().take(MOST);
    let shares = replicas.map(|replica| Share {
        rate: replica.requests_per_second,
        is_down: replica.state != State::Ready || is_down(replica),
    });
    shares.collect()
}

/// Whether no proxy that answers sends requests to this API.
fn is_out(api: &ReplicaFigures, proxies: &Part) -> bool {
    let backends = proxies.replicas.iter().flat_map(|proxy| &proxy.backends);
    let mut seen = backends.filter(|backend| {
        let address = backend.address.parse::<SocketAddr>();
        address.is_ok_and(|address| address.ip() == api.address)
    });
    let first = seen.next();
    first.is_some_and(|first| !first.up) && !seen.any(|backend| backend.up)
}

fn contents(
    name: &str,
    part: &Part,
    figures: impl Fn(&ReplicaFigures) -> Vec<String>,
) -> Vec<Content> {
    let replicas = part.replicas.iter().take(MOST).map(|replica| {
        let address = replica.address.to_string();
        let condition = condition(
            name,
            replica.state,
            replica.reason.as_deref(),
            replica.since,
        );
        let lines = match replica.state {
            State::Ready => figures(replica),
            _ => trouble(replica.reason.as_deref(), replica.since),
        };
        Content {
            name: name.to_owned(),
            state: Some(replica.state),
            title: format!("{name} {address}: {condition}"),
            lines: [vec![address], lines].concat(),
        }
    });
    let mut all: Vec<_> = replicas.collect();
    if all.is_empty() {
        let problem = part.problem.as_deref().unwrap_or("no address");
        all.push(Content {
            name: name.to_owned(),
            state: Some(State::Away),
            lines: vec![part.name.clone(), short(problem)],
            title: format!("{name} {}: {problem}", part.name),
        });
    }
    all
}

fn mongo(figures: &Figures) -> Content {
    let mongo = &figures.mongo;
    let address = mongo.address.map(|address| address.to_string());
    let address = address.or_else(|| mongo.name.clone()).unwrap_or_default();
    let condition = condition("mongo", mongo.state, mongo.reason.as_deref(), mongo.since);
    let lines = if mongo.state == State::Ready {
        #[expect(clippy::cast_precision_loss, reason = "it is an estimate")]
        let documents = mongo.documents.map(|documents| documents as f64);
        let apis = figures.api.replicas.iter();
        let apis = apis.filter(|api| api.mongo_up.is_some()).count();
        vec![
            amount(documents, "documents"),
            format!("up for {} of {apis} APIs", mongo.up_for_apis),
        ]
    } else {
        trouble(mongo.reason.as_deref(), mongo.since)
    };
    Content {
        name: "mongo".to_owned(),
        state: Some(mongo.state),
        title: format!("mongo {address}: {condition}"),
        lines: [vec![address], lines].concat(),
    }
}

fn condition(name: &str, state: State, reason: Option<&str>, since: SystemTime) -> String {
    let reason = reason
        .map(|reason| format!(": {reason}"))
        .unwrap_or_default();
    let (state, ago) = (words::told(name, state).word, words::ago(since));
    format!("{state} for {ago}{reason}")
}

fn trouble(reason: Option<&str>, since: SystemTime) -> Vec<String> {
    let reason = reason.map(short);
    let since = format!("for {}", words::ago(since));
    reason.into_iter().chain([since]).collect()
}

/// As much as a box has room for.
fn short(text: &str) -> String {
    const ROOM: usize = 24;
    if text.chars().count() <= ROOM {
        return text.to_owned();
    }
    let cut: String = text.chars().take(ROOM - 1).collect();
    format!("{}…", cut.trim_end())
}
