//! `/api/requests`, `/api/requests/{id}`: what was recorded, a page at a time, one of them, or all that
//! match.

use std::convert::Infallible;

use actix_web::http::{Method, header};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, web};
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::future::try_join;
use futures_util::stream::empty;
use mongodb::bson::oid::ObjectId;
use serde::Serialize;
use tokio::time::timeout;

use super::fields::{AN_ID, Fields};
use super::{Problem, reads};
use crate::app::Console;
use crate::export::{self, Format};
use crate::requests::filter::Filter;
use crate::requests::search::{self, Count, Order, Page, Span};
use crate::store::{GRACE, LARGEST};

/// The largest page, and what one has that wasn't asked for.
const LARGEST_PAGE: usize = 100;
const PAGE: usize = 50;

/// What a whole list can be had as.
const OF_LISTS: [Format; 4] = [Format::Json, Format::Ndjson, Format::Har, Format::Curl];
const FIELDS_OF_LIST: &str = "id, since, until, method, path, header, address, body, before, after, \
                              order, limit, count, format or download";
/// Pages lead back from the newest.
const NOT_OF_PAGES: &str = "it with format=ndjson, har or curl only";
const FIELDS_OF_ONE: &str = "format or download";

pub(super) fn configure(app: &mut web::ServiceConfig) {
    app.service(reads("/api/requests", list))
        .service(reads("/api/requests/{id}", one));
}

#[derive(Serialize)]
struct Answer {
    #[serde(flatten)]
    page: Page,
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<Count>,
}

async fn list(request: HttpRequest, console: web::Data<Console>) -> Result<HttpResponse, Problem> {
    let (filter, others) = Filter::from_query(request.query_string())?;
    let mut fields = Fields::from(others);
    let format = |name: &str| Format::parse(name).filter(|it| OF_LISTS.contains(it));
    let format = fields.take("format", "json, ndjson, har or curl", format)?;
    let format = format.unwrap_or(Format::Json);
    let is_page = format == Format::Json;
    let (largest, expected) = if is_page {
        (LARGEST_PAGE, "a number from 1 to 100")
    } else {
        (usize::MAX, "a number from 1 on")
    };
    let within = |limit: &usize| (1..=largest).contains(limit);
    let limit = fields.take("limit", expected, |it| it.parse().ok().filter(within))?;
    let before = fields.before()?;
    let (an_id, an_order) = if is_page {
        (NOT_OF_PAGES, NOT_OF_PAGES)
    } else {
        (AN_ID, "newest or oldest")
    };
    let id = |text: &str| ObjectId::parse_str(text).ok().filter(|_| !is_page);
    let after = fields.take("after", an_id, id)?;
    let order = fields.take("order", an_order, |it| order(it).filter(|_| !is_page))?;
    let counts = fields.switch("count")?;
    let download = fields.switch("download")?;
    fields.none_left(FIELDS_OF_LIST)?;

    let mut answer = answer(format, "requests", download);
    let of_store = |error| Problem::of_store(&console.store, &error);
    if is_page {
        let page = search::page(&console.store, &filter, before, limit.unwrap_or(PAGE));
        let count = async {
            if !counts {
                return Ok(None);
            }
            search::count(&console.store, &filter).await.map(Some)
        };
        let (page, count) = try_join(page, count).await.map_err(of_store)?;
        return Ok(answer.body(export::json::line(&Answer { page, count }) + "\n"));
    }
    if request.method() == Method::HEAD {
        return Ok(answer.streaming(empty::<Result<Bytes, Infallible>>()));
    }
    let under_way = console.replies.export()?;
    let span = Span {
        after,
        before,
        order: order.unwrap_or_default(),
    };
    let found = search::all(&console.store, filter, span).take(limit.unwrap_or(usize::MAX));
    let mut found = Box::pin(found.peekable());
    // An error that comes by then can still be told by the status: the store being away is.
    let begin = console.store.query_timeout() + GRACE;
    let first = timeout(begin, found.as_mut().peek()).await;
    if let Ok(Some(Err(error))) = first {
        return Err(of_store(error.clone()));
    }
    let text = export::stream(found, format).map(move |text| {
        let _ended_with_it = &under_way;
        text.inspect_err(|error| {
            tracing::warn!(error = %console.store.describe(error), "an export broke off");
        })
    });
    Ok(answer.streaming(text))
}

fn order(name: &str) -> Option<Order> {
    match name {
        "newest" => Some(Order::Newest),
        "oldest" => Some(Order::Oldest),
        _ => None,
    }
}

async fn one(
    request: HttpRequest,
    id: web::Path<String>,
    console: web::Data<Console>,
) -> Result<HttpResponse, Problem> {
    let mut fields = Fields::of(request.query_string());
    let format = fields.take(
        "format",
        "json, ndjson, har, curl, http or fetch",
        Format::parse,
    )?;
    let format = format.unwrap_or(Format::Json);
    let download = fields.switch("download")?;
    fields.none_left(FIELDS_OF_ONE)?;

    let Ok(object_id) = ObjectId::parse_str(&*id) else {
        return Err(Problem::NoRequest(id.into_inner()));
    };
    let store = console.store.with_room(LARGEST).await?;
    let found = search::one(&store, object_id).await;
    let found = found.map_err(|error| Problem::of_store(&store, &error))?;
    let recorded = found.ok_or_else(|| Problem::NoRequest(id.into_inner()))?;
    let name = format!("request-{}", object_id.to_hex());
    Ok(answer(format, &name, download).body(export::one(&recorded, format)))
}

/// An answer in this format, which a browser is to save as a file where `download` says so.
fn answer(format: Format, name: &str, download: bool) -> HttpResponseBuilder {
    let mut answer = HttpResponse::Ok();
    answer.content_type(format.media_type());
    // Nobody keeps it: what was recorded isn't everybody's.
    answer.insert_header((header::CACHE_CONTROL, "no-store"));
    if download {
        let file = format!("causeway-{name}.{}", format.extension());
        let disposition = format!("attachment; filename=\"{file}\"");
        answer.insert_header((header::CONTENT_DISPOSITION, disposition));
    }
    answer
}
