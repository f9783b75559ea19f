//! `/live`: what is recorded now. `/live/rows` are its rows, as server-sent events:
//!
//! | event | data |
//! |---|---|
//! | (without a name) | a row, as HTML |
//! | `skipped` | a number: so many came before what follows, more than anybody can read |
//! | `missed` | empty: some couldn't be told any more |
//! | `away` | why MongoDB can't be read now |
//! | `back` | empty: it can be read again |
//!
//! A browser reconnects by itself where the connection ends, but not after a 503: the script does.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;

use super::form::Form;
use super::rows::Rows;
use crate::api::Problem;
use crate::app::Console;
use crate::live::sse::{self, Text};
use crate::live::{Event, Item};
use crate::requests::filter::Filter;

/// Rows that a page is sent at once, every half second.
const AT_ONCE: usize = 100;
/// Bytes of them: more where there are marks in all of them, which have to wait for a slow client.
const AT_ONCE_BYTES: usize = 96 << 10;

pub(super) fn configure(app: &mut web::ServiceConfig) {
    app.route("/live", web::get().to(page))
        .route("/live/rows", web::get().to(rows));
}

#[derive(Template)]
#[template(path = "live.html")]
struct Live {
    form: Form,
    /// Where the rows come from; none without a filter.
    stream: Option<String>,
}

async fn page(request: HttpRequest) -> HttpResponse {
    let (form, read) = Form::read("/live", request.query_string());
    let status = match read {
        Some(_) => StatusCode::OK,
        None => StatusCode::BAD_REQUEST,
    };
    let stream = read.map(|(filter, _)| format!("/live/rows{}", super::rows::question(&filter)));
    super::render(status, &Live { form, stream })
}

async fn rows(request: HttpRequest, console: web::Data<Console>) -> Result<HttpResponse, Problem> {
    sse::serve(&request, &console.live, Some(AT_ONCE), tell).await
}

fn tell(event: Event, text: &mut Text) {
    match event {
        Event::Recorded(items) => {
            let rows = newest(&items);
            if rows.len() < items.len() {
                let skipped = items.len() - rows.len();
                text.event(Some("skipped"), None, &skipped.to_string());
            }
            for (item, row) in rows.iter().rev() {
                text.event(None, Some(&item.after()), row);
            }
        }
        Event::Skipped(requests) => text.event(Some("skipped"), None, &requests.to_string()),
        Event::Missed => text.event(Some("missed"), None, ""),
        Event::Away(reason) => text.event(Some("away"), None, &reason),
        Event::Back => text.event(Some("back"), None, ""),
    }
}

/// As many of them as there is room for, the newest first.
fn newest(items: &[Arc<Item>]) -> Vec<(&Item, String)> {
    let mut room = AT_ONCE_BYTES;
    let rows = items.iter().rev().map_while(|item| {
        let row = row(item);
        room = room.checked_sub(row.len())?;
        Some((&**item, row))
    });
    rows.collect()
}

/// Its link is without the filter, which the page has: it would be sent with each row.
fn row(item: &Item) -> String {
    let row = Rows::of([item.summary()], &Filter::default()).render();
    // Writing to a string doesn't fail.
    row.unwrap_or_default().trim_start().to_owned()
}
