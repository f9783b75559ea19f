//! What is recorded from now on: the console's server-sent events.

use std::collections::HashSet;
use std::io;
use std::time::Duration;

use compose_file::Project;
use engine::Engine;
use engine::error::{Result, chain};
use http_body_util::BodyExt as _;
use hyper::Method;
use hyper::body::Incoming;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;
use tokio::time::{sleep, timeout};

use super::rows::{Rows, Summary};
use super::{PAGE, Page};
use crate::console::Console;
use crate::context::Context;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// Between one try to reach the console again and the next.
const PAUSE: Duration = Duration::from_secs(1);
/// The console sends something each 15 seconds.
const SILENCE: Duration = Duration::from_secs(60);

/// Shows the newest `before`, and then what comes, for as long as somebody reads it. The console may be
/// replaced meanwhile.
pub(super) async fn run(
    context: &Context,
    engine: &Engine,
    project: &Project,
    console: Console,
    query: &str,
    before: u32,
) -> Result<()> {
    let output = &context.output;
    let mut shown = Shown::new(context);
    if shown.newest(&console, query, before).await?.is_err() {
        return Ok(());
    }
    let mut console = Ok(console);
    let mut is_first = true;
    loop {
        let ended = match &console {
            Ok(console) => match shown.events(console, query, &mut is_first).await {
                Ok(why) => why,
                // What was never there isn't waited for.
                Err(err) if is_first => return Err(err),
                Err(err) => Some(err.message),
            },
            Err(err) => Some(format!("{err}")),
        };
        let Some(why) = ended else { return Ok(()) };
        if !std::mem::replace(&mut shown.is_away, true) {
            output.note(&format!("{why}; trying again"));
        }
        sleep(PAUSE).await;
        console = Console::find(engine, project).await;
    }
}

fn id_of(request: &Value) -> Option<&str> {
    request["id"].as_str()
}

struct Shown<'a> {
    context: &'a Context,
    rows: Rows<'a>,
    /// The last event's; at first, that of the newest request of all, so that none is left out between the
    /// list and the first event.
    id: Option<HeaderValue>,
    /// Those that were shown before the first event, and may come with it as well.
    listed: HashSet<String>,
    /// Whether the user was told so.
    is_away: bool,
}

impl<'a> Shown<'a> {
    fn new(context: &'a Context) -> Self {
        let rows = Rows::new(&context.output);
        rows.heading();
        Self {
            context,
            rows,
            id: None,
            listed: HashSet::new(),
            is_away: false,
        }
    }

    /// Those before, the oldest first.
    async fn newest(
        &mut self,
        console: &Console,
        query: &str,
        limit: u32,
    ) -> Result<io::Result<()>> {
        let limit = limit.min(PAGE);
        if limit == 0 {
            return Ok(Ok(()));
        }
        let path = "/api/requests?format=json&limit=1";
        let newest: Page = console.json(Method::GET, path).await?;
        let newest = newest.requests.first().and_then(id_of);
        self.id = newest.and_then(|id| id.parse().ok());
        let path = format!("/api/requests?format=json&limit={limit}{query}");
        let page: Page = console.json(Method::GET, &path).await?;
        for request in page.requests.iter().rev() {
            self.listed.extend(id_of(request).map(str::to_owned));
            if let Err(closed) = self.show(request) {
                return Ok(Err(closed));
            }
        }
        Ok(Ok(()))
    }

    /// Shows events until there are no more, and says why; none: nobody reads them.
    async fn events(
        &mut self,
        console: &Console,
        query: &str,
        is_first: &mut bool,
    ) -> Result<Option<String>> {
        let query = query.trim_start_matches('&');
        let mut headers = HeaderMap::new();
        headers.extend(self.id.clone().map(|id| (LAST_EVENT_ID, id)));
        let path = format!("/api/requests/stream?{query}");
        let answer = console.send(Method::GET, &path, &headers).await?;
        *is_first = false;
        self.is_away = false;
        let mut events = Events::of(answer.into_body());
        loop {
            let event = match events.next().await {
                Ok(event) => event,
                Err(why) => return Ok(Some(why)),
            };
            if self.tell(&event).is_err() {
                return Ok(None);
            }
            if let Some(id) = event.id {
                self.id = id.parse().ok();
            }
        }
    }

    fn tell(&self, event: &Event) -> io::Result<()> {
        let output = &self.context.output;
        let data: Value = serde_json::from_str(&event.data).unwrap_or_default();
        match event.kind.as_str() {
            "" if id_of(&data).is_some_and(|id| self.listed.contains(id)) => {}
            "" => self.show(&data)?,
            "missed" => output.note("some that were recorded meanwhile can't be shown any more"),
            "away" => {
                let why = data["error"].as_str().unwrap_or_default();
                output.note(&format!(
                    "the console can't read what is recorded now: {why}"
                ));
            }
            "back" => output.note("the console can read what is recorded again"),
            // Of a later console.
            _ => {}
        }
        Ok(())
    }

    fn show(&self, request: &Value) -> io::Result<()> {
        if self.context.output.is_json() {
            let mut event = serde_json::json!({"event": "request"});
            if let (Some(event), Some(request)) = (event.as_object_mut(), request.as_object()) {
                event.extend(request.clone());
            }
            self.context.output.stream_event(&event)
        } else {
            self.rows.row(&Summary::of(request))
        }
    }
}

/// A server-sent event.
#[derive(Default)]
struct Event {
    kind: String,
    id: Option<String>,
    data: String,
}

/// The events of an answer, as the console writes them.
struct Events {
    body: Incoming,
    /// What came and wasn't read yet.
    rest: Vec<u8>,
}

impl Events {
    fn of(body: Incoming) -> Self {
        Self {
            body,
            rest: Vec::new(),
        }
    }

    /// The next one; else why there is none.
    async fn next(&mut self) -> Result<Event, String> {
        let mut event = Event::default();
        loop {
            let line = self.line().await?;
            let (field, value) = line.split_once(':').unwrap_or((&line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "" if line.is_empty() && !event.data.is_empty() => return Ok(event),
                "event" => value.clone_into(&mut event.kind),
                "id" => event.id = Some(value.to_owned()),
                "data" => event.data.push_str(value),
                // A comment, or when to come back.
                _ => {}
            }
        }
    }

    async fn line(&mut self) -> Result<String, String> {
        loop {
            if let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.rest.drain(..=end).collect();
                return Ok(String::from_utf8_lossy(&line[..end]).into_owned());
            }
            let frame = timeout(SILENCE, self.body.frame()).await;
            let frame = frame.map_err(|_| "the console is silent".to_owned())?;
            let frame = frame.ok_or("the console ended")?;
            let frame = frame.map_err(|err| format!("the console broke off: {}", chain(&err)))?;
            self.rest.extend(frame.into_data().unwrap_or_default());
        }
    }
}
