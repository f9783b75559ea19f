//! The picture of the stack: who is there, and what goes from one to the next.
//!
//! It is laid out twice: from left to right, and from top to bottom for narrow windows. The style sheet
//! shows the one that fits.

use std::net::SocketAddr;
use std::time::SystemTime;

use crate::pages::stack::words::{self, Told};
use crate::stack::figures::{Figures, Part, ReplicaFigures};
use crate::stack::replica::State;

/// Most of a part that are drawn; the table has all.
const MOST: usize = 6;
const BOX_HEIGHT: f64 = 96.0;
/// Between boxes of the same part.
const SPACING: f64 = 14.0;
/// Between parts, where figures are written.
const ROOM: f64 = 148.0;
/// Between the listener and the proxies, where there are none.
const NARROW: f64 = 64.0;
/// How far lines run together at either end of it.
const FAN: f64 = 26.0;
/// Around the boxes of a network.
const PAD: f64 = 18.0;

/// Everything that is drawn.
pub(crate) struct Picture {
    pub(crate) class: &'static str,
    pub(crate) width: f64,
    pub(crate) height: f64,
    pub(crate) networks: Vec<Network>,
    pub(crate) wires: Vec<Wire>,
    pub(crate) boxes: Vec<PartBox>,
    pub(crate) labels: Vec<Label>,
}

/// A network: an area with its name.
pub(crate) struct Network {
    pub(crate) name: &'static str,
    pub(crate) class: &'static str,
    pub(crate) area: Area,
    pub(crate) label: (f64, f64),
    pub(crate) anchor: &'static str,
}

#[derive(Clone, Copy)]
pub(crate) struct Area {
    pub(crate) x: f64,
    pub(crate) y: f64,
    pub(crate) width: f64,
    pub(crate) height: f64,
}

/// A line along which something goes.
pub(crate) struct Wire {
    pub(crate) path: String,
    pub(crate) class: &'static str,
    /// Thicker where more goes.
    pub(crate) width: String,
    /// How fast its dots move; empty where nothing does.
    pub(crate) flow: &'static str,
}

/// A process.
pub(crate) struct PartBox {
    pub(crate) area: Area,
    pub(crate) name: String,
    /// None of what isn't a part, such as the clients.
    pub(crate) state: Option<Told>,
    pub(crate) lines: Vec<String>,
    /// All that there is to say, for those who point at it.
    pub(crate) title: String,
}

/// A figure beside a line.
pub(crate) struct Label {
    pub(crate) x: f64,
    pub(crate) y: f64,
    pub(crate) text: String,
    pub(crate) class: &'static str,
    pub(crate) anchor: &'static str,
}

/// What goes from a stage to the next: as much as is known.
struct Edge {
    /// What each box of either side has of it; empty where there is one that has all.
    from: Vec<Share>,
    to: Vec<Share>,
    total: Option<f64>,
    is_down: bool,
    /// Figures, the most important first, and whether they are bad news.
    figures: Vec<(String, bool)>,
}

/// What a process has of an edge.
#[derive(Clone, Copy)]
struct Share {
    rate: Option<f64>,
    is_down: bool,
}

/// The same part, however many of it there are.
struct Stage {
    /// Of a box, where it goes from left to right.
    width: f64,
    boxes: Vec<Content>,
    /// What comes in from the stage before; the first has none.
    edge: Option<Edge>,
    is_public: bool,
    is_private: bool,
}

struct Content {
    name: String,
    state: Option<State>,
    lines: Vec<String>,
    title: String,
}

/// From left to right.
pub(crate) fn across(figures: &Figures) -> Picture {
    draw(stages(figures), &Layout::Across)
}

/// From top to bottom.
pub(crate) fn down(figures: &Figures) -> Picture {
    draw(stages(figures), &Layout::Down)
}

fn stages(figures: &Figures) -> Vec<Stage> {
    let (clients, upstream, writes) = (&figures.clients, &figures.upstream, &figures.writes);
    let proxies = contents("proxy", &figures.proxy, |proxy| {
        vec![
            format!("{} req/s", words::number(proxy.requests_per_second)),
            format!("{} open", words::number(proxy.connections)),
        ]
    });
    let apis = contents("api", &figures.api, |api| {
        vec![
            format!("{} req/s", words::number(api.requests_per_second)),
            format!("{} queued", words::number(api.queue_documents)),
        ]
    });
    let mut stages = vec![Stage {
        width: 124.0,
        boxes: vec![Content {
            name: "clients".to_owned(),
            state: None,
            lines: vec![format!(
                "{} connections",
                words::number(clients.connections)
            )],
            title: "Whoever connects to the published ports".to_owned(),
        }],
        edge: None,
        is_public: false,
        is_private: false,
    }];
    let mut from_clients = Edge {
        from: Vec::new(),
        to: Vec::new(),
        total: clients.requests_per_second,
        is_down: figures.proxy.ready() == 0,
        figures: figures_of([
            (Some(rate(clients.requests_per_second, "req/s")), false),
            (Some(times("p50", clients.p50_seconds)), false),
            (Some(times("p99", clients.p99_seconds)), false),
            (
                Some(format!(
                    "{}/s in",
                    words::bytes(clients.received_bytes_per_second)
                )),
                false,
            ),
            (
                Some(format!(
                    "{}/s out",
                    words::bytes(clients.sent_bytes_per_second)
                )),
                false,
            ),
            (some(clients.errors_per_second, "errors/s"), true),
        ]),
    };
    let proxy_shares = shares(&figures.proxy, |_| false);
    if figures.listener.replicas.is_empty() {
        // The proxies listen themselves, or nobody can say.
        from_clients.to.clone_from(&proxy_shares);
        stages.push(Stage {
            width: 184.0,
            boxes: proxies,
            edge: Some(from_clients),
            is_public: true,
            is_private: false,
        });
    } else {
        stages.push(Stage {
            width: 172.0,
            boxes: contents("listener", &figures.listener, |_| {
                vec!["holds the ports".to_owned()]
            }),
            edge: Some(from_clients),
            is_public: true,
            is_private: false,
        });
        stages.push(Stage {
            width: 184.0,
            boxes: proxies,
            edge: Some(Edge {
                from: Vec::new(),
                to: proxy_shares.clone(),
                total: clients.requests_per_second,
                is_down: figures.proxy.ready() == 0,
                figures: Vec::new(),
            }),
            is_public: true,
            is_private: false,
        });
    }
    stages.push(Stage {
        width: 184.0,
        boxes: apis,
        edge: Some(Edge {
            from: proxy_shares,
            to: shares(&figures.api, |api| is_out(api, &figures.proxy)),
            total: upstream.requests_per_second,
            is_down: figures.proxy.ready() == 0 || figures.api.ready() == 0,
            figures: figures_of([
                (Some(rate(upstream.requests_per_second, "req/s")), false),
                (Some(times("p50", upstream.p50_seconds)), false),
                (Some(times("p99", upstream.p99_seconds)), false),
                (
                    Some(format!("{} open", words::number(upstream.connections))),
                    false,
                ),
                (some(upstream.waiting, "in line"), false),
                (some(upstream.errors_per_second, "errors/s"), true),
            ]),
        }),
        is_public: true,
        is_private: true,
    });
    stages.push(Stage {
        width: 184.0,
        boxes: vec![mongo(figures)],
        edge: Some(Edge {
            from: shares(&figures.api, |api| api.mongo_up == Some(false)),
            to: Vec::new(),
            total: writes.documents_per_second,
            is_down: figures.mongo.state != State::Ready,
            figures: figures_of([
                (Some(rate(writes.documents_per_second, "docs/s")), false),
                (Some(times("p50", writes.p50_seconds)), false),
                (Some(times("p99", writes.p99_seconds)), false),
                (
                    Some(format!(
                        "batches of {}",
                        words::number(writes.batch_documents)
                    )),
                    false,
                ),
                (
                    Some(format!("{} queued", words::number(writes.queue_documents))),
                    false,
                ),
                (some(writes.errors_per_second, "errors/s"), true),
            ]),
        }),
        is_public: false,
        is_private: true,
    });
    stages
}

fn rate(value: Option<f64>, unit: &str) -> String {
    format!("{} {unit}", words::number(value))
}

fn times(name: &str, value: Option<f64>) -> String {
    format!("{name} {}", words::seconds(value))
}

/// Only where there are any.
fn some(value: Option<f64>, unit: &str) -> Option<String> {
    let value = value.filter(|value| *value > 0.0)?;
    Some(rate(Some(value), unit))
}

fn figures_of<const N: usize>(all: [(Option<String>, bool); N]) -> Vec<(String, bool)> {
    let all = all.into_iter();
    all.filter_map(|(text, is_bad)| Some((text?, is_bad)))
        .collect()
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
            format!("{} documents", words::number(documents)),
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

/// Which way it goes. "Along" is the way from the clients to the database, "beside" is across it.
enum Layout {
    Across,
    Down,
}

impl Layout {
    /// Places the boxes of a stage that begins `along`: their areas, and how long the stage is.
    fn place(&self, stage: &Stage, along: f64, middle: f64) -> (Vec<Area>, f64) {
        let count = stage.boxes.len();
        match self {
            Self::Across => {
                let height = size(count, BOX_HEIGHT);
                let areas = (0..count).map(|at| Area {
                    x: along,
                    y: middle - height / 2.0 + position(at) * (BOX_HEIGHT + SPACING),
                    width: stage.width,
                    height: BOX_HEIGHT,
                });
                (areas.collect(), stage.width)
            }
            Self::Down => {
                let width = if count == 1 { 184.0 } else { 148.0 };
                let rows = count.div_ceil(2);
                let areas = (0..count).map(|at| {
                    let in_row = if at + 1 == count && count % 2 == 1 {
                        1
                    } else {
                        2
                    };
                    let left = middle - size(in_row, width) / 2.0;
                    Area {
                        x: left + position(at % 2) * (width + SPACING),
                        y: along + position(at / 2) * (BOX_HEIGHT + SPACING),
                        width,
                        height: BOX_HEIGHT,
                    }
                });
                (areas.collect(), size(rows, BOX_HEIGHT))
            }
        }
    }

    /// A point, by how far it is along and beside.
    fn point(&self, along: f64, beside: f64) -> (f64, f64) {
        match self {
            Self::Across => (along, beside),
            Self::Down => (beside, along),
        }
    }

    fn beside(&self, area: &Area) -> f64 {
        match self {
            Self::Across => area.y + area.height / 2.0,
            Self::Down => area.x + area.width / 2.0,
        }
    }

    fn path(&self, from: (f64, f64), to: (f64, f64)) -> String {
        let half = f64::midpoint(from.0, to.0);
        let [(ax, ay), (bx, by), (cx, cy), (dx, dy)] = [
            self.point(from.0, from.1),
            self.point(half, from.1),
            self.point(half, to.1),
            self.point(to.0, to.1),
        ];
        if (from.1 - to.1).abs() < 0.1 {
            format!("M{ax:.1} {ay:.1}L{dx:.1} {dy:.1}")
        } else {
            format!("M{ax:.1} {ay:.1}C{bx:.1} {by:.1} {cx:.1} {cy:.1} {dx:.1} {dy:.1}")
        }
    }
}

fn position(at: usize) -> f64 {
    f64::from(u32::try_from(at).unwrap_or(u32::MAX))
}

/// Of so many boxes beside each other.
fn size(count: usize, each: f64) -> f64 {
    position(count) * (each + SPACING) - SPACING
}

fn draw(stages: Vec<Stage>, layout: &Layout) -> Picture {
    let most = stages.iter().map(|stage| stage.boxes.len()).max();
    let (class, middle) = match layout {
        // Figures are written above and below the lines: there is room for three at least.
        Layout::Across => {
            let height = size(most.unwrap_or(1), BOX_HEIGHT).max(150.0);
            ("across", height / 2.0 + 62.0)
        }
        Layout::Down => ("down", 172.0),
    };
    let mut along = match layout {
        Layout::Across => 4.0,
        Layout::Down => 2.0,
    };
    let mut picture = Picture {
        class,
        width: 0.0,
        height: 0.0,
        networks: Vec::new(),
        wires: Vec::new(),
        boxes: Vec::new(),
        labels: Vec::new(),
    };
    let (mut public, mut private) = (Vec::new(), Vec::new());
    let mut before: Vec<f64> = Vec::new();
    for stage in stages {
        if let Some(edge) = &stage.edge {
            let gap = if edge.figures.is_empty() {
                NARROW
            } else {
                ROOM
            };
            let (areas, _) = layout.place(&stage, along + gap, middle);
            let to: Vec<_> = areas.iter().map(|area| layout.beside(area)).collect();
            connect(
                &mut picture,
                layout,
                edge,
                (along, along + gap),
                middle,
                &before,
                &to,
            );
            along += gap;
        }
        let (areas, length) = layout.place(&stage, along, middle);
        along += length;
        before = areas.iter().map(|area| layout.beside(area)).collect();
        if stage.is_public {
            public.extend(&areas);
        }
        if stage.is_private {
            private.extend(&areas);
        }
        let boxes = stage.boxes.into_iter().zip(areas);
        picture.boxes.extend(boxes.map(|(content, area)| PartBox {
            area,
            state: content.state.map(|state| words::told(&content.name, state)),
            name: content.name,
            lines: content.lines,
            title: content.title,
        }));
    }
    (picture.width, picture.height) = match layout {
        Layout::Across => (along + PAD + 4.0, 2.0 * middle),
        Layout::Down => (2.0 * middle, along + PAD + 32.0),
    };
    picture.networks = networks(layout, &public, &private, picture.width, picture.height);
    picture
}

/// The areas of both networks. The APIs are on both: there they overlap.
fn networks(
    layout: &Layout,
    public: &[Area],
    private: &[Area],
    width: f64,
    height: f64,
) -> Vec<Network> {
    let around = |areas: &[Area], inset: f64| {
        let [left, top] = [|area: &Area| area.x, |area: &Area| area.y]
            .map(|edge| areas.iter().map(edge).fold(f64::MAX, f64::min));
        let right = areas
            .iter()
            .map(|area| area.x + area.width)
            .fold(0.0, f64::max);
        let bottom = areas
            .iter()
            .map(|area| area.y + area.height)
            .fold(0.0, f64::max);
        match layout {
            Layout::Across => Area {
                x: left - PAD,
                y: 2.0 + inset,
                width: right - left + 2.0 * PAD,
                height: height - 16.0,
            },
            Layout::Down => Area {
                x: 2.0 + inset,
                y: top - PAD - 12.0,
                width: width - 16.0,
                height: bottom - top + 2.0 * PAD + 24.0,
            },
        }
    };
    let (public, private) = (around(public, 0.0), around(private, 12.0));
    let private_label = match layout {
        Layout::Across => (private.x + private.width - 14.0, private.y + 24.0),
        Layout::Down => (
            private.x + private.width - 14.0,
            private.y + private.height - 10.0,
        ),
    };
    vec![
        Network {
            name: "public-net-1",
            class: "public",
            area: public,
            label: (public.x + 14.0, public.y + 22.0),
            anchor: "start",
        },
        Network {
            name: "private-net-1",
            class: "private",
            area: private,
            label: private_label,
            anchor: "end",
        },
    ]
}

/// Draws what goes from one stage to the next: lines that run together, figures beside them.
fn connect(
    picture: &mut Picture,
    layout: &Layout,
    edge: &Edge,
    (begin, end): (f64, f64),
    middle: f64,
    from: &[f64],
    to: &[f64],
) {
    let mut wire = |path, share: Share| {
        picture.wires.push(Wire {
            path,
            class: if share.is_down {
                "down"
            } else if edge.figures.is_empty() {
                "handed"
            } else {
                ""
            },
            width: format!("{:.1}", thickness(share.rate)),
            flow: if share.is_down { "" } else { flow(share.rate) },
        });
    };
    let all = Share {
        rate: edge.total,
        is_down: edge.is_down,
    };
    let share = |shares: &[Share], at: usize| shares.get(at).copied().unwrap_or(all);
    let (join, part) = if edge.figures.is_empty() {
        (begin, begin)
    } else {
        (begin + FAN, end - FAN)
    };
    if join < part {
        for (at, beside) in from.iter().enumerate() {
            let path = layout.path((begin, *beside), (join, middle));
            wire(path, share(&edge.from, at));
        }
        wire(layout.path((join, middle), (part, middle)), all);
    }
    for (at, beside) in to.iter().enumerate() {
        let path = layout.path((part, middle), (end, *beside));
        wire(path, share(&edge.to, at));
    }
    let center = f64::midpoint(begin, end);
    for (at, (text, is_bad)) in edge.figures.iter().enumerate() {
        let row = position(at);
        let (x, y, anchor) = match layout {
            // Three above the line, the first on top, the others below it.
            Layout::Across if at < 3 => (center, middle - 50.0 + 18.0 * row, "middle"),
            Layout::Across => (center, middle + 24.0 + 18.0 * (row - 3.0), "middle"),
            Layout::Down if at < 3 => (middle - 12.0, center - 14.0 + 18.0 * row, "end"),
            Layout::Down => (middle + 12.0, center - 14.0 + 18.0 * (row - 3.0), "start"),
        };
        picture.labels.push(Label {
            x,
            y,
            text: text.clone(),
            class: match (is_bad, at) {
                (true, _) => "bad",
                (false, 0) => "main",
                _ => "",
            },
            anchor,
        });
    }
}

/// How thick the line is along which so many go each second.
fn thickness(rate: Option<f64>) -> f64 {
    1.5 + (1.0 + rate.unwrap_or(0.0).max(0.0)).log10() * 1.2
}

/// How fast so many each second move.
fn flow(rate: Option<f64>) -> &'static str {
    match rate.unwrap_or(0.0) {
        rate if rate <= 0.0 => "",
        rate if rate < 10.0 => "flow-1",
        rate if rate < 100.0 => "flow-2",
        rate if rate < 1000.0 => "flow-3",
        _ => "flow-4",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::figures::{Backend, Clients, Database};
    use crate::stack::replica::Replica;

    fn replica(address: &str, state: State) -> ReplicaFigures {
        let replica = Replica::new(format!("{address}:9180").parse().unwrap());
        ReplicaFigures {
            state,
            requests_per_second: (state == State::Ready).then_some(60.0),
            connections: Some(4.0),
            ..ReplicaFigures::of(&replica)
        }
    }

    fn part(replicas: Vec<ReplicaFigures>) -> Part {
        Part {
            replicas,
            ..Part::default()
        }
    }

    fn figures() -> Figures {
        let mut refused = replica("172.18.0.5", State::Away);
        refused.reason = Some("Connection refused by the peer, of all things".to_owned());
        Figures {
            listener: part(vec![replica("172.18.0.2", State::Ready)]),
            proxy: part(vec![
                replica("172.18.0.3", State::Ready),
                replica("172.18.0.4", State::Ready),
            ]),
            api: part(vec![refused, replica("172.18.0.6", State::Ready)]),
            mongo: Database {
                name: Some("mongo:27017".to_owned()),
                state: State::Ready,
                documents: Some(1_234_567),
                up_for_apis: 1,
                ..Database::default()
            },
            clients: Clients {
                requests_per_second: Some(120.0),
                errors_per_second: Some(0.5),
                p50_seconds: Some(0.002),
                ..Clients::default()
            },
            ..Figures::default()
        }
    }

    #[test]
    fn the_picture_says_who_is_there_and_what_goes_from_one_to_the_next() {
        let picture = across(&figures());
        let boxes = picture.boxes.iter().map(|part| {
            let state = part.state.map_or("", |state| state.word);
            format!("{} {state}: {}", part.name, part.lines.join(", "))
        });
        assert_eq!(
            boxes.collect::<Vec<_>>(),
            [
                "clients : – connections",
                "listener running: 172.18.0.2, holds the ports",
                "proxy ready: 172.18.0.3, 60 req/s, 4 open",
                "proxy ready: 172.18.0.4, 60 req/s, 4 open",
                "api no answer: 172.18.0.5, Connection refused by t…, for 0 s",
                "api ready: 172.18.0.6, 60 req/s, – queued",
                "mongo ready: mongo:27017, 1,234,567 documents, up for 1 of 0 APIs",
            ]
        );
        let first: Vec<_> = picture.labels.iter().take(6).collect();
        let texts: Vec<_> = first.iter().map(|label| label.text.as_str()).collect();
        assert_eq!(
            texts,
            [
                "120 req/s",
                "p50 2 ms",
                "p99 –",
                "–/s in",
                "–/s out",
                "0.5 errors/s"
            ]
        );
        assert_eq!((first[0].class, first[5].class), ("main", "bad"));
    }

    #[test]
    fn both_layouts_draw_the_same_within_their_bounds() {
        let pictures = [across(&figures()), down(&figures())];
        for picture in &pictures {
            assert_eq!(picture.boxes.len(), 7);
            for Area {
                x,
                y,
                width,
                height,
            } in picture.boxes.iter().map(|part| part.area)
            {
                assert!(x >= 0.0 && y >= 0.0);
                assert!(x + width <= picture.width && y + height <= picture.height);
            }
        }
        let [wide, narrow] = pictures;
        assert!(wide.width > 3.0 * wide.height);
        assert!(narrow.width < 360.0 && narrow.height > narrow.width);
        assert_eq!(wide.wires.len(), narrow.wires.len());
    }

    #[test]
    fn nothing_moves_to_where_nothing_goes() {
        let down_wires = |figures: &Figures| {
            let picture = across(figures);
            let wires = picture.wires.iter().filter(|wire| wire.class == "down");
            assert!(wires.clone().all(|wire| wire.flow.is_empty()));
            wires.count()
        };
        let mut figures = figures();
        // To the API that is away, and from it.
        assert_eq!(down_wires(&figures), 2);
        figures.proxy.replicas[0].backends = vec![Backend {
            address: "172.18.0.6:9090".to_owned(),
            up: false,
            outstanding: 0.0,
        }];
        assert_eq!(down_wires(&figures), 3);
        figures.mongo.state = State::Away;
        assert_eq!(down_wires(&figures), 5);
    }
}
