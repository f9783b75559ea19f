//! `/stack`: how the parts are.

mod charts;
mod picture;
mod words;

use std::time::SystemTime;

use actix_web::{HttpResponse, web};
use askama::Template;

use crate::app::Console;
use crate::pages::stack::charts::{Chart, Table};
use crate::pages::stack::picture::Picture;
use crate::pages::stack::words::Told;
use crate::stack::figures::{Figures, Part, ReplicaFigures};
use crate::stack::replica::State;

pub(super) fn configure(app: &mut web::ServiceConfig) {
    app.route("/stack", web::get().to(page))
        .route("/stack/picture", web::get().to(picture))
        .route("/stack/charts", web::get().to(charts))
        .route("/stack/table", web::get().to(table));
}

#[derive(Template)]
#[template(path = "stack.html")]
struct Page {
    now: Now,
    charts: Vec<Chart>,
    table: Table,
}

#[derive(Template)]
#[template(path = "stack/picture.html")]
struct PictureFragment {
    now: Now,
}

#[derive(Template)]
#[template(path = "stack/charts.html")]
struct ChartsFragment {
    charts: Vec<Chart>,
}

#[derive(Template)]
#[template(path = "stack/table.html")]
struct TableFragment {
    table: Table,
}

async fn page(console: web::Data<Console>) -> actix_web::Result<HttpResponse> {
    let figures = console.stack.figures();
    render(&Page {
        now: Now::of(&figures),
        charts: charts::charts(&figures),
        table: charts::table(&figures),
    })
}

async fn picture(console: web::Data<Console>) -> actix_web::Result<HttpResponse> {
    render(&PictureFragment {
        now: Now::of(&console.stack.figures()),
    })
}

async fn charts(console: web::Data<Console>) -> actix_web::Result<HttpResponse> {
    render(&ChartsFragment {
        charts: charts::charts(&console.stack.figures()),
    })
}

async fn table(console: web::Data<Console>) -> actix_web::Result<HttpResponse> {
    render(&TableFragment {
        table: charts::table(&console.stack.figures()),
    })
}

fn render(page: &impl Template) -> actix_web::Result<HttpResponse> {
    let html = page
        .render()
        .map_err(actix_web::error::ErrorInternalServerError)?;
    Ok(HttpResponse::Ok()
        .content_type("text/html; charset=utf-8")
        .body(html))
}

/// How things are at this moment.
struct Now {
    /// Nothing has been found yet: there is nothing to draw.
    is_empty: bool,
    /// When the parts were asked.
    at: Option<String>,
    proxy: Part,
    api: Part,
    /// Why the database can't be read.
    mongo: Option<String>,
    pictures: [Picture; 2],
    summary: String,
    problems: Vec<Problem>,
    rows: Vec<Row>,
}

/// What isn't as it should be.
struct Problem {
    who: String,
    state: Told,
    /// Since when and why.
    details: String,
}

/// A process, as a row of the table.
struct Row {
    part: &'static str,
    address: String,
    state: Told,
    /// None where there are no metrics.
    figures: Vec<String>,
}

impl Now {
    fn of(figures: &Figures) -> Self {
        let parts = [
            ("listener", &figures.listener),
            ("proxy", &figures.proxy),
            ("api", &figures.api),
        ];
        let rows = parts.into_iter().flat_map(|(part, all)| {
            all.replicas.iter().map(move |replica| Row {
                part,
                address: replica.address.to_string(),
                state: words::told(replica.state),
                figures: match part {
                    "listener" => Vec::new(),
                    _ => cells(replica),
                },
            })
        });
        let rows: Vec<_> = rows.collect();
        let problems = problems(figures);
        Self {
            is_empty: rows.is_empty(),
            at: figures.at.map(words::clock),
            proxy: figures.proxy.clone(),
            api: figures.api.clone(),
            mongo: figures
                .mongo
                .reason
                .clone()
                .filter(|_| figures.mongo.state != State::Ready),
            pictures: [picture::across(figures), picture::down(figures)],
            summary: summary(figures),
            problems,
            rows,
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
    for (name, part) in [
        ("listener", &figures.listener),
        ("proxy", &figures.proxy),
        ("api", &figures.api),
    ] {
        // The listener is only there where the stack is as compose.yaml has it.
        if part.replicas.is_empty() && name != "listener" {
            problems.push(Problem {
                who: format!("{name} {}", part.name),
                state: Told {
                    word: "not found",
                    ..words::told(State::Away)
                },
                details: part
                    .problem
                    .as_ref()
                    .map(|problem| format!(": {problem}"))
                    .unwrap_or_default(),
            });
        }
        let unwell = part.replicas.iter();
        let unwell = unwell.filter(|replica| replica.state != State::Ready);
        problems.extend(unwell.map(|replica| Problem {
            who: format!("{name} {}", replica.address),
            state: words::told(replica.state),
            details: details(replica.since, replica.reason.as_deref()),
        }));
    }
    let mongo = &figures.mongo;
    if mongo.state != State::Ready {
        problems.push(Problem {
            who: format!("mongo {}", mongo.name.as_deref().unwrap_or_default()),
            state: words::told(mongo.state),
            details: details(mongo.since, mongo.reason.as_deref()),
        });
    }
    problems
}

fn details(since: SystemTime, reason: Option<&str>) -> String {
    let (at, ago) = (words::clock(since), words::ago(since));
    let reason = reason.map(|reason| format!(": {reason}"));
    format!(" since {at} UTC ({ago}){}", reason.unwrap_or_default())
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
        words::told(figures.mongo.state).word,
        words::number(clients.requests_per_second),
        words::number(clients.errors_per_second),
        words::seconds(clients.p50_seconds),
        words::seconds(clients.p99_seconds),
        words::number(writes.documents_per_second),
        words::number(writes.queue_documents),
    )
}
