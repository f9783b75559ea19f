//! The rows of a list, the same on every page and in every fragment of one.

use askama::Template;
use mongodb::bson::oid::ObjectId;

use super::figures::{self, Moment};
use super::visible as filters;
use crate::requests::filter::Filter;
use crate::requests::recorded::Summary;
use crate::requests::search::Page;

/// Characters of a path and of a method in a row. The request's own page has all of them.
const TARGET: usize = 300;
const METHOD: usize = 30;

#[derive(Template)]
#[template(path = "rows.html")]
pub(crate) struct Rows {
    list: Vec<Row>,
    /// The filter with a `?` before it; empty where there is none.
    query: String,
    on: Option<On>,
}

/// Where the list goes on.
struct On {
    /// A query string.
    query: String,
    /// How far it has searched, where its time was up.
    searched_to: Option<String>,
}

struct Row {
    id: ObjectId,
    at: Moment,
    method: String,
    class: &'static str,
    target: String,
    address: String,
    size: String,
}

impl Rows {
    /// Of one page of a list, with the way on.
    pub(crate) fn of_page(page: &Page, filter: &Filter) -> Self {
        let on = page.next.as_ref().map(|next| On {
            query: with(&filter.to_query(), "before", next),
            searched_to: page.searched_to.clone(),
        });
        Self {
            on,
            ..Self::of(&page.requests, filter)
        }
    }

    /// Of some requests.
    pub(crate) fn of<'a>(requests: impl IntoIterator<Item = &'a Summary>, filter: &Filter) -> Self {
        Self {
            list: requests.into_iter().map(Row::from).collect(),
            query: question(filter),
            on: None,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty() && self.on.is_none()
    }
}

impl From<&Summary> for Row {
    fn from(summary: &Summary) -> Self {
        Self {
            id: summary.id,
            at: summary.received_at.into(),
            method: short(&summary.method, METHOD),
            class: method_class(&summary.method),
            target: short(target(&summary.url), TARGET),
            address: summary.remote_addr.clone(),
            size: figures::size(summary.body_bytes),
        }
    }
}

fn short(text: &str, most: usize) -> String {
    let mut short: String = text.chars().take(most).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

/// Path and query of a URL.
pub(crate) fn target(url: &str) -> &str {
    let after_scheme = url.split_once("://").map_or(url, |(_, rest)| rest);
    match after_scheme.find(['/', '?']) {
        Some(at) => &after_scheme[at..],
        None => "/",
    }
}

/// The class that gives a method's badge its colour.
pub(crate) fn method_class(method: &str) -> &'static str {
    match method {
        "GET" | "HEAD" | "OPTIONS" => "reads",
        "POST" => "posts",
        "PUT" | "PATCH" => "changes",
        "DELETE" => "deletes",
        _ => "other",
    }
}

/// A filter as what is appended to a path: nothing, or a query string with its `?`.
pub(crate) fn question(filter: &Filter) -> String {
    let query = filter.to_query();
    if query.is_empty() {
        query
    } else {
        format!("?{query}")
    }
}

/// A query string with one more field.
pub(crate) fn with(query: &str, name: &str, value: &str) -> String {
    let mut fields = form_urlencoded::Serializer::new(query.to_owned());
    fields.append_pair(name, value).finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_target_is_what_follows_the_host() {
        for (url, expected) in [
            ("http://localhost:8080/a?b=c", "/a?b=c"),
            ("http://localhost", "/"),
            ("http://localhost?x", "?x"),
            ("http://[::1]:80/", "/"),
            ("/only/a/path", "/only/a/path"),
            ("", "/"),
        ] {
            assert_eq!(target(url), expected, "{url}");
        }
    }
}
