//! Server-sent events (HTML standard, §9.2).

use std::convert::Infallible;
use std::fmt::{self, Write as _};
use std::time::Duration;

use actix_web::http::Method;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse};
use futures_util::stream::{empty, once, unfold};
use futures_util::{Stream, StreamExt as _};
use tokio::time::timeout;

use crate::api::Problem;
use crate::live::follower::newest;
use crate::live::holes::NotAnId;
use crate::live::{After, Event, Live};
use crate::requests::filter::{BadFilter, Filter};

/// A comment after so long without an event shows whether the client is still there, and keeps
/// proxies from giving up.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// How long a client waits before it comes back.
const RETRY: &str = "retry: 1000\n\n";

/// Where one goes on.
const AFTER: &str = "after";
const FIELDS: &str = "id, since, until, method, path, header, address, body or after";

/// A text of events.
#[derive(Debug, Default)]
pub(crate) struct Text(String);

impl Text {
    /// An event with this data, which may have several lines.
    pub(crate) fn event(&mut self, kind: Option<&str>, id: Option<&dyn fmt::Display>, data: &str) {
        if let Some(kind) = kind {
            self.line("event", kind);
        }
        if let Some(id) = id {
            // Nothing that is written to a string fails.
            let _ = writeln!(self.0, "id: {id}");
        }
        // Each of these ends a line there.
        for line in data.replace("\r\n", "\n").split(['\n', '\r']) {
            self.line("data", line);
        }
        self.0.push('\n');
    }

    fn line(&mut self, field: &str, value: &str) {
        for part in [field, ": ", value, "\n"] {
            self.0.push_str(part);
        }
    }
}

/// Answers a request to follow, whose query string is a filter; `tell` puts each event into text. One
/// who comes back says with `Last-Event-ID`, as browsers do by themselves, or with `after=` what the
/// `id:` of the last event was. Of what comes at once it gets the newest `most`, if that is set.
pub(crate) async fn serve(
    request: &HttpRequest,
    live: &Live,
    most: Option<usize>,
    tell: impl Fn(Event, &mut Text) + 'static,
) -> Result<HttpResponse, Problem> {
    let (filter, others) = Filter::from_query(request.query_string())?;
    if let Some((name, _)) = others.iter().find(|(name, _)| name != AFTER) {
        return Err(Problem::UnknownField {
            name: name.clone(),
            expected: FIELDS,
        });
    }
    let after = after(request, others)?;
    let mut answer = HttpResponse::Ok();
    answer
        .insert_header((CONTENT_TYPE, "text/event-stream"))
        .insert_header((CACHE_CONTROL, "no-store"));
    if request.method() == Method::HEAD {
        return Ok(answer.streaming(empty::<Result<Bytes, Infallible>>()));
    }
    let events = live.follow(filter, after).await?;
    Ok(match most {
        Some(most) => answer.streaming(text(newest(events, most), tell)),
        None => answer.streaming(text(events, tell)),
    })
}

fn after(request: &HttpRequest, others: Vec<(String, String)>) -> Result<Option<After>, BadFilter> {
    // The address stays the same when a browser reconnects: what it says was so at the beginning.
    let header = request.headers().get("last-event-id");
    let header = header.and_then(|value| value.to_str().ok());
    let header = header.map(|value| ("Last-Event-ID".to_owned(), value.to_owned()));
    match header.or(others.into_iter().next()) {
        Some((field, value)) if !value.is_empty() => match value.parse() {
            Ok(after) => Ok(Some(after)),
            Err(NotAnId) => Err(BadFilter {
                field,
                value,
                expected: "the id of an event",
            }),
        },
        _ => Ok(None),
    }
}

/// What is sent.
fn text(
    events: impl Stream<Item = Event> + 'static,
    tell: impl Fn(Event, &mut Text) + 'static,
) -> impl Stream<Item = Result<Bytes, Infallible>> + 'static {
    let beginning = once(async { Bytes::from_static(RETRY.as_bytes()) });
    let events = Box::pin(events);
    let text = unfold((events, tell), |(mut events, tell)| async move {
        let text = match timeout(HEARTBEAT, events.next()).await {
            Ok(event) => {
                let mut text = Text::default();
                tell(event?, &mut text);
                Bytes::from(text.0)
            }
            Err(_) => Bytes::from_static(b":\n\n"),
        };
        Some((text, (events, tell)))
    });
    beginning.chain(text).map(Ok)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_of_the_data_has_a_field_of_its_own() {
        let mut text = Text::default();
        text.event(Some("kind"), Some(&7), "a\nb\rc\r\nd");
        text.event(None, None, "");
        assert_eq!(
            text.0,
            "event: kind\nid: 7\ndata: a\ndata: b\ndata: c\ndata: d\n\ndata: \n\n"
        );
    }
}
