//! `deploy requests`: what was recorded, as the console tells it.

mod follow;
mod rows;

use engine::Engine;
use engine::error::{Error, Result, chain};
use http_body_util::BodyExt as _;
use hyper::Method;
use hyper::header::HeaderMap;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::Value;

use self::rows::{Rows, Summary};
use crate::cli::{RequestFormat, Requests};
use crate::console::{Console, SERVICE};
use crate::context::Context;
use crate::output::text;

/// How many are listed where nothing is said, and how many before those that come.
const LISTED: u32 = 20;
const BEFORE: u32 = 10;
/// The largest page that the console answers.
pub(super) const PAGE: u32 = 100;

/// A page of the list.
#[derive(Deserialize)]
pub(super) struct Page {
    pub(super) requests: Vec<Value>,
    pub(super) next: Option<String>,
    searched_to: Option<String>,
}

pub(super) async fn run(context: &Context, args: Requests) -> Result<()> {
    if context.output.is_json() && args.format.curl {
        return Err(Error::usage(
            "--json and --curl ask for different things",
            "take one of them",
        ));
    }
    let project = context.project()?;
    let engine = Engine::connect().await?;
    let console = Console::find(&engine, &project).await?;
    let query = query(&args.filter.wanted);
    let RequestFormat { ndjson, har, curl } = args.format;
    let format = [("ndjson", ndjson), ("har", har), ("curl", curl)];
    let format = format.into_iter().find(|(_, wanted)| *wanted);
    match (args.id, format) {
        (Some(id), None) => one(context, &console, &id).await,
        (Some(id), Some((format, _))) => {
            copy(
                context,
                &console,
                &format!("/api/requests/{id}?format={format}"),
            )
            .await
        }
        (None, Some((format, _))) => {
            let limit = args.limit.or((format == "curl").then_some(1));
            let limit = limit.map_or_else(String::new, |limit| format!("&limit={limit}"));
            let path = format!("/api/requests?format={format}{limit}{query}");
            copy(context, &console, &path).await
        }
        (None, None) if args.follow => {
            let before = args.limit.unwrap_or(BEFORE);
            follow::run(context, &engine, &project, console, &query, before).await
        }
        (None, None) => list(context, &console, &query, args.limit.unwrap_or(LISTED)).await,
    }
}

/// The fields of a query, each after a `&`.
pub(super) fn query(wanted: &[(String, String)]) -> String {
    let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let pair = |(key, value): &(String, String)| format!("&{}={}", encoded(key), encoded(value));
    wanted.iter().map(pair).collect::<Vec<_>>().concat()
}

/// The newest, as they are found.
async fn list(context: &Context, console: &Console, query: &str, limit: u32) -> Result<()> {
    let output = &context.output;
    let rows = Rows::new(output);
    let mut found: Vec<Value> = Vec::new();
    let mut listed = 0;
    let mut before = String::new();
    while listed < limit {
        let size = PAGE.min(limit - listed);
        let path = format!("/api/requests?format=json&limit={size}{before}{query}");
        let page: Page = console.json(Method::GET, &path).await?;
        for request in page.requests {
            if output.is_json() {
                found.push(request);
            } else {
                if listed == 0 {
                    rows.heading();
                }
                if rows.row(&Summary::of(&request)).is_err() {
                    // The reader left (`deploy requests | head`).
                    return Ok(());
                }
            }
            listed += 1;
        }
        let Some(next) = page.next else { break };
        if let Some(searched_to) = page.searched_to {
            output.note(&format!("searched back to {searched_to}; going on"));
        }
        before = format!("&before={next}");
    }
    output.document(&found);
    if listed == 0 && limit > 0 {
        output.line(if query.is_empty() {
            "no requests were recorded"
        } else {
            "no requests with that were recorded"
        });
    }
    Ok(())
}

/// One, whole.
async fn one(context: &Context, console: &Console, id: &str) -> Result<()> {
    let output = &context.output;
    let path = format!("/api/requests/{id}?format=json");
    let request: Value = console.json(Method::GET, &path).await?;
    output.document(&request);
    if !output.is_json() {
        output.line(&rows::whole(&request, output.style()));
    }
    Ok(())
}

/// What the console answers, as it comes. All its formats are harmless to terminals.
async fn copy(context: &Context, console: &Console, path: &str) -> Result<()> {
    let answer = console.send(Method::GET, path, &HeaderMap::new()).await?;
    let mut body = answer.into_body();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|err| {
            Error::failed(
                format!(
                    "the console broke off, and what was printed isn't whole: {}",
                    text::escape(&chain(&err))
                ),
                format!("see `deploy logs {SERVICE}`"),
            )
        })?;
        let part = frame.into_data().unwrap_or_default();
        if context.output.part(&part).is_err() {
            return Ok(());
        }
    }
    Ok(())
}
