//! `/stack`: how the parts are.

mod alerts;
mod charts;
mod picture;
mod words;

use std::time::SystemTime;

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use askama::Template;
use mongodb::bson::DateTime;

use crate::app::Console;
use crate::pages::figures::Moment;
use crate::pages::render;
use crate::pages::stack::alerts::Firing;
use crate::pages::stack::charts::{Charts, Table};
use crate::pages::stack::picture::Picture;
use crate::pages::stack::words::Told;
use crate::stack::figures::{Figures, Part, ReplicaFigures};
use crate::stack::replica::State;

pub(super) fn configure(app: &mut web::ServiceConfig) {
    app.route("/stack", web::get().to(page))
        .route("/stack/picture", web::get().to(picture))
        .route("/stack/alerts", web::get().to(alerts))
        .route("/stack/parts", web::get().to(parts))
        .route("/stack/charts", web::get().to(charts))
        .route("/stack/table", web::get().to(table));
}

#[derive(Template)]
#[template(path = "stack.html")]
struct Page<'a> {
    picture: Now<'a>,
    alerts: Firing<'a>,
    parts: Parts,
    charts: Charts,
    table: Table,
}

async fn page(console: web::Data<Console>) -> HttpResponse {
    let figures = console.stack.figures();
    ok(&Page {
        picture: Now::of(&figures),
        alerts: Firing::of(&figures),
        parts: Parts::of(&figures),
        charts: Charts::of(&figures),
        table: Table::of(&figures),
    })
}

async fn picture(console: web::Data<Console>) -> HttpResponse {
    ok(&Now::of(&console.stack.figures()))
}

async fn alerts(console: web::Data<Console>) -> HttpResponse {
    ok(&Firing::of(&console.stack.figures()))
}

async fn parts(console: web::Data<Console>) -> HttpResponse {
    ok(&Parts::of(&console.stack.figures()))
}

async fn charts(console: web::Data<Console>) -> HttpResponse {
    ok(&Charts::of(&console.stack.figures()))
}

async fn table(console: web::Data<Console>) -> HttpResponse {
    ok(&Table::of(&console.stack.figures()))
}

fn ok(template: &impl Template) -> HttpResponse {
    render(StatusCode::OK, template)
}

/// How things are at this moment.
#[derive(Template)]
#[template(path = "stack/picture.html")]
struct Now<'a> {
    figures: &'a Figures,
    /// When the parts were asked.
    at: Option<Moment>,
    pictures: [Picture; 2],
    summary: String,
    problems: Vec<Problem>,
}

/// What isn't as it should be.
struct Problem {
    who: String,
    state: Told,
    since: Option<Since>,
    reason: Option<String>,
}

struct Since {
    at: Moment,
    ago: String,
}

/// All processes, each a row of a table.
#[derive(Template)]
#[template(path = "stack/parts.html")]
struct Parts {
    rows: Vec<Row>,
}

struct Row {
    part: &'static str,
    address: String,
    state: Told,
    /// None where there are no metrics.
    figures: Vec<String>,
}

impl<'a> Now<'a> {
    fn of(figures: &'a Figures) -> Self {
        Self {
            figures,
            at: figures.at.map(moment),
            pictures: [picture::across(figures), picture::down(figures)],
            summary: summary(figures),
            problems: problems(figures),
        }
    }

    /// Whether nothing has been found yet: there is nothing to draw.
    fn is_empty(&self) -> bool {
        self.figures.proxy.replicas.is_empty() && self.figures.api.replicas.is_empty()
    }

    /// Why the database can't be read.
    fn mongo_problem(&self) -> Option<&str> {
        let mongo = &self.figures.mongo;
        let reason = mongo.reason.as_deref();
        reason.filter(|_| mongo.state != State::Ready)
    }
}

impl Parts {
    fn of(figures: &Figures) -> Self {
        let rows = figures.parts().into_iter().flat_map(|(part, all)| {
            all.replicas.iter().map(move |replica| Row {
                part,
                address: replica.address.to_string(),
                state: words::told(part, replica.state),
                figures: match part {
                    "listener" => Vec::new(),
                    _ => cells(replica),
                },
            })
        });
        Self {
            rows: rows.collect(),
        }
    }
}

fn cells(replica: &ReplicaFigures) -> Vec<String> {
    vec![
        words::number(replica.requests_per_second),
        words::number(replica.errors_per_second),
        words::number(replica.connections),
        words::bytes(replica.memory_bytes),
        words::percent(replica.cpus),
        replica.started_at.map(words::ago).unwrap_or_default(),
        replica.restarts.to_string(),
        replica.version.clone().unwrap_or_default(),
    ]
}

fn problems(figures: &Figures) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (name, part) in figures.parts() {
        let is_found = part.replicas.iter().any(|it| it.state != State::Gone);
        let state = if is_found {
            // It leads to more than can be looked at.
            let not_understood = words::told(name, State::NotUnderstood);
            part.problem.is_some().then_some(not_understood)
        } else {
            // The listener is only there where the stack is as compose.yaml has it.
            let is_missing = part.replicas.is_empty() && name != "listener";
            is_missing.then_some(Told {
                word: "not found",
                ..words::told(name, State::Away)
            })
        };
        problems.extend(state.map(|state| Problem {
            who: format!("{name} {}", part.name),
            state,
            since: None,
            reason: part.problem.clone(),
        }));
        let unwell = part.replicas.iter();
        let unwell = unwell.filter(|replica| replica.state != State::Ready);
        problems.extend(unwell.map(|replica| Problem {
            who: format!("{name} {}", replica.address),
            state: words::told(name, replica.state),
            since: Some(since(replica.since)),
            reason: replica.reason.clone(),
        }));
    }
    let mongo = &figures.mongo;
    if mongo.state != State::Ready {
        problems.push(Problem {
            who: format!("mongo {}", mongo.name.as_deref().unwrap_or_default()),
            state: words::told("mongo", mongo.state),
            since: Some(since(mongo.since)),
            reason: mongo.reason.clone(),
        });
    }
    problems
}

fn since(at: SystemTime) -> Since {
    Since {
        ago: words::ago(at),
        at: moment(at),
    }
}

fn moment(at: SystemTime) -> Moment {
    DateTime::from_system_time(at).into()
}

/// The picture in a few sentences.
fn summary(figures: &Figures) -> String {
    let (clients, writes) = (&figures.clients, &figures.writes);
    let part = |part: &Part, one: &str, more: &str| {
        let all = part.replicas.len();
        let name = if all == 1 { one } else { more };
        format!("{} of {all} {name} ready", part.ready())
    };
    format!(
        "{}, {}, MongoDB {}. Clients ask {} requests a second, with {} errors a second; half are \
         answered within {}, 99 % within {}. {} documents a second are written, {} wait.",
        part(&figures.proxy, "proxy", "proxies"),
        part(&figures.api, "API", "APIs"),
        words::told("mongo", figures.mongo.state).word,
        words::number(clients.requests_per_second),
        words::number(clients.errors_per_second),
        words::seconds(clients.p50_seconds),
        words::seconds(clients.p99_seconds),
        words::number(writes.documents_per_second),
        words::number(writes.queue_documents),
    )
}
