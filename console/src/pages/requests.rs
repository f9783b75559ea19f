//! `/`, `/requests/{id}`: what was recorded.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_DISPOSITION, CONTENT_SECURITY_POLICY, ContentType};
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use mongodb::bson::oid::ObjectId;

use super::body::{self, Body, Decoded, View};
use super::error::PageError;
use super::figures::{self, Moment};
use super::form::Form;
use super::rows::{self, Rows};
use super::visible as filters;
use crate::api::Fields;
use crate::app::Console;
use crate::requests::filter::Filter;
use crate::requests::recorded::Recorded;
use crate::requests::search::{self, Count};
use crate::store::{LARGEST, Store};

/// Requests of one page of the list.
const PAGE: usize = 50;

/// How much longer than for its rows a page waits for their count. After that it is without, and the
/// script asks for it.
const COUNT_PATIENCE: Duration = Duration::from_millis(150);

pub(super) fn configure(app: &mut web::ServiceConfig) {
    app.route("/", web::get().to(list))
        .route("/requests", web::get().to(list))
        .route("/requests/rows", web::get().to(more))
        .route("/requests/count", web::get().to(count))
        .route("/requests/older", web::get().to(older))
        .route("/requests/{id}", web::get().to(one))
        .route("/requests/{id}/body", web::get().to(download));
}

#[derive(Template)]
#[template(path = "requests.html")]
struct List {
    form: Form,
    /// None where the filter is none.
    rows: Option<Rows>,
    /// The filter, as a query string.
    query: String,
    count: Option<String>,
    /// Whether these aren't the newest.
    is_further: bool,
}

async fn list(
    console: web::Data<Console>,
    request: HttpRequest,
) -> Result<HttpResponse, PageError> {
    let (form, read) = Form::read("/", request.query_string());
    let Some((filter, mut others)) = read else {
        let page = List {
            form,
            rows: None,
            query: String::new(),
            count: None,
            is_further: false,
        };
        return Ok(super::render(StatusCode::BAD_REQUEST, &page));
    };
    let store = &console.store;
    let before = others.before()?;
    let mut counting = std::pin::pin!(search::count(store, &filter));
    let mut listing = std::pin::pin!(search::page(store, &filter, before, PAGE));
    let mut count = None;
    let page = loop {
        tokio::select! {
            found = &mut listing => break found,
            counted = &mut counting, if count.is_none() => count = Some(counted),
        }
    };
    let page = page.map_err(|error| PageError::of_store(store, &error))?;
    if count.is_none() {
        count = tokio::time::timeout(COUNT_PATIENCE, counting).await.ok();
    }
    let list = List {
        rows: Some(Rows::of_page(&page, &filter)),
        query: filter.to_query(),
        count: count.and_then(Result::ok).map(in_words),
        is_further: before.is_some(),
        form,
    };
    Ok(super::render(StatusCode::OK, &list))
}

/// More rows, for the script.
async fn more(
    console: web::Data<Console>,
    request: HttpRequest,
) -> Result<HttpResponse, PageError> {
    let (filter, others) = Filter::from_query(request.query_string())?;
    let before = Fields::from(others).before()?;
    let page = search::page(&console.store, &filter, before, PAGE).await;
    let page = page.map_err(|error| PageError::of_store(&console.store, &error))?;
    Ok(super::render(
        StatusCode::OK,
        &Rows::of_page(&page, &filter),
    ))
}

#[derive(Template)]
#[template(
    ext = "html",
    source = "{% extends \"base.html\" %}{% block title %}{{ count }}{% endblock %}\
              {% block main %}<p id=\"count\">{{ count }}</p>{% endblock %}"
)]
struct CountPage {
    count: String,
}

async fn count(
    console: web::Data<Console>,
    request: HttpRequest,
) -> Result<HttpResponse, PageError> {
    let (filter, _) = Filter::from_query(request.query_string())?;
    let count = search::count(&console.store, &filter).await;
    let count = count.map_err(|error| PageError::of_store(&console.store, &error))?;
    let page = CountPage {
        count: in_words(count),
    };
    Ok(super::render(StatusCode::OK, &page))
}

/// Leads to the next that the filter lets through.
async fn older(
    console: web::Data<Console>,
    request: HttpRequest,
) -> Result<HttpResponse, PageError> {
    let (filter, others) = Filter::from_query(request.query_string())?;
    let before = Fields::from(others).before()?;
    let page = search::page(&console.store, &filter, before, 1).await;
    let page = page.map_err(|error| PageError::of_store(&console.store, &error))?;
    let found = page.requests.first().ok_or_else(|| {
        PageError::NotFound("No older request is like that, or none was found in time.".to_owned())
    })?;
    let to = format!("/requests/{}{}", found.id, rows::question(&filter));
    Ok(HttpResponse::SeeOther()
        .insert_header(("location", to))
        .finish())
}

#[derive(Template)]
#[template(path = "request.html")]
struct Detail<'a> {
    id: ObjectId,
    at: Moment,
    class: &'static str,
    recorded: &'a Recorded,
    target: &'a str,
    query: Vec<(String, String)>,
    is_query_cut: bool,
    size: String,
    body: Body<'a>,
    /// What leads back to the list, with a `?` before it.
    filter: String,
    older: String,
}

async fn one(
    console: web::Data<Console>,
    id: web::Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, PageError> {
    let store = console.store.with_room(LARGEST).await?;
    let recorded = recorded(&store, &id).await?;
    // Whoever shortened an address by hand isn't told off for what is left of its filter.
    let (filter, _) = Filter::from_query(request.query_string()).unwrap_or_default();
    let view = form_urlencoded::parse(request.query_string().as_bytes())
        .find_map(|(name, value)| (name == "view").then(|| View::named(&value))?);
    let summary = &recorded.summary;
    let target = rows::target(&summary.url);
    let query = target.split_once('?').map_or("", |(_, query)| query);
    let (query, is_query_cut) = body::fields(query.as_bytes());
    let decoded = Decoded::of(&recorded);
    let page = Detail {
        id: summary.id,
        at: summary.received_at.into(),
        class: rows::method_class(&summary.method),
        target,
        query,
        is_query_cut,
        size: figures::size(summary.body_bytes),
        body: Body::of(&recorded, &decoded, &filter, view),
        older: rows::with(&filter.to_query(), "before", &summary.id.to_hex()),
        filter: rows::question(&filter),
        recorded: &recorded,
    };
    Ok(super::render(StatusCode::OK, &page))
}

/// The body, byte for byte, for nothing but saving it.
async fn download(
    console: web::Data<Console>,
    id: web::Path<String>,
) -> Result<HttpResponse, PageError> {
    let store = console.store.with_room(LARGEST).await?;
    let recorded = recorded(&store, &id).await?;
    let name = format!("attachment; filename=\"{}.bin\"", recorded.summary.id);
    Ok(HttpResponse::Ok()
        .insert_header(ContentType::octet_stream())
        .insert_header((CONTENT_DISPOSITION, name))
        .insert_header((CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox"))
        .body(recorded.body))
}

async fn recorded(store: &Store, id: &str) -> Result<Recorded, PageError> {
    let missing = || PageError::NotFound(format!("No request with the id {id} is recorded."));
    let parsed = ObjectId::parse_str(id).map_err(|_| missing())?;
    let found = search::one(store, parsed).await;
    let found = found.map_err(|error| PageError::of_store(store, &error))?;
    found.ok_or_else(missing)
}

fn in_words(Count { count, at_least }: Count) -> String {
    let number = figures::grouped(count);
    match (at_least, count) {
        (true, _) => format!("more than {number} requests"),
        (false, 0) => "no requests".to_owned(),
        (false, 1) => "1 request".to_owned(),
        (false, _) => format!("{number} requests"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_said_in_words() {
        for (count, at_least, words) in [
            (0, false, "no requests"),
            (1, false, "1 request"),
            (1204, false, "1,204 requests"),
            (10_000, true, "more than 10,000 requests"),
        ] {
            assert_eq!(in_words(Count { count, at_least }), words);
        }
    }
}
