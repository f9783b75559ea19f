//! What was recorded, the oldest first, a page at a time from the console.
//!
//! Each page is an export of its own that goes on after the last request of the one before, so that none
//! is held open while requests wait for their time, and the console may be restarted meanwhile.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use engine::error::{Error, Result, chain};
use http_body_util::BodyExt as _;
use hyper::Method;
use hyper::header::HeaderMap;
use serde::Deserialize;
use serde_json::{Map, Value};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use crate::commands::requests::{PAGE, Page};
use crate::console::{Console, SERVICE};
use crate::output::text;

/// Requests of a page, and bytes of it as JSON after which the rest of it is left for the next.
const REQUESTS: usize = 200;
const BYTES: usize = 4 << 20;
/// How often a page is asked for that didn't come, and how far apart.
const TRIES: u32 = 10;
const PAUSE: Duration = Duration::from_secs(1);
/// How long the console may send nothing of a page that has begun: a search takes a minute at most.
const SILENCE: Duration = Duration::from_secs(65);

/// A request as the console tells it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Recorded {
    pub(super) id: String,
    pub(super) received_at: String,
    pub(super) method: String,
    pub(super) url: String,
    pub(super) headers: Map<String, Value>,
    pub(super) body: Option<String>,
    pub(super) body_base64: Option<String>,
    pub(super) body_exact: bool,
    pub(super) original: Original,
}

/// What the other fields can't tell.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Original {
    pub(super) method: Option<String>,
    pub(super) target: Option<String>,
    pub(super) headers: Vec<(String, String)>,
}

/// All that match, of those that there were at the beginning.
pub(super) struct Source {
    console: Arc<Console>,
    /// Fields of the query, each after a `&`.
    query: String,
    /// The last that was read; before there is one, what comes before the first.
    after: Option<String>,
    is_at_end: bool,
}

impl Source {
    /// `limit` is how many of the newest there are at most.
    pub(super) async fn new(
        console: Arc<Console>,
        mut query: String,
        limit: Option<u32>,
    ) -> Result<Self> {
        let newest: Page = console.json(Method::GET, "/api/requests?limit=1").await?;
        let newest = newest.requests.first().and_then(|it| it["id"].as_str());
        // What is sent to the stack itself is recorded as well, and doesn't come again.
        if let Some(before) = newest.and_then(|id| beside(id, true)) {
            query.push_str("&before=");
            query.push_str(&before);
        }
        let first = match limit {
            Some(limit) if newest.is_some() => first_of(&console, &query, limit).await?,
            _ => None,
        };
        Ok(Self {
            is_at_end: newest.is_none() || (limit.is_some() && first.is_none()),
            after: first.and_then(|id| beside(&id, false)),
            console,
            query,
        })
    }

    /// The pages, of which one is read while another is sent. After an error there is no more.
    pub(super) fn pages(mut self) -> mpsc::Receiver<Result<Vec<Recorded>>> {
        let (sender, pages) = mpsc::channel(1);
        tokio::spawn(async move {
            while !self.is_at_end {
                let page = self.page().await;
                let has_failed = page.is_err();
                // Where nobody wants it any more, that is all.
                if sender.send(page).await.is_err() || has_failed {
                    break;
                }
            }
        });
        pages
    }

    /// The next one. What the console can't answer now is asked for again.
    async fn page(&mut self) -> Result<Vec<Recorded>> {
        let mut tried = 0;
        loop {
            let mut page = Vec::new();
            let read = self.read(&mut page).await;
            if let Some(last) = page.last() {
                self.after = Some(last.id.clone());
            }
            match read {
                Ok(is_at_end) => {
                    self.is_at_end = is_at_end;
                    return Ok(page);
                }
                // What came of it has come.
                Err(_) if !page.is_empty() => return Ok(page),
                Err(err) => {
                    tried += 1;
                    // What was asked for wrongly stays wrong.
                    if tried == TRIES || err.exit == terminal::error::Exit::Usage {
                        return Err(err);
                    }
                    sleep(PAUSE).await;
                }
            }
        }
    }

    /// Reads one, and says whether it is the last.
    async fn read(&self, page: &mut Vec<Recorded>) -> Result<bool> {
        let after = self.after.as_ref();
        let after = after.map_or_else(String::new, |id| format!("&after={id}"));
        let path = format!(
            "/api/requests?format=ndjson&order=oldest&limit={REQUESTS}{after}{}",
            self.query
        );
        let no_fields = HeaderMap::new();
        let answer = self.console.send(Method::GET, &path, &no_fields);
        let mut body = answer.await?.into_body();
        let mut lines = Lines::default();
        let mut bytes = 0;
        loop {
            let frame = timeout(SILENCE, body.frame()).await;
            let frame = frame.map_err(|_| broken("it is silent"))?;
            let Some(frame) = frame else {
                return Ok(page.len() < REQUESTS);
            };
            let frame = frame.map_err(|err| broken(&text::escape(&chain(&err))))?;
            let part = frame.into_data().unwrap_or_default();
            bytes += part.len();
            lines.push(&part);
            while let Some(line) = lines.next() {
                page.push(serde_json::from_slice(&line).map_err(|err| {
                    Error::failed(
                        format!("the console told of a request in another way than expected: {err}"),
                        "see that console and deploy are of one version: `deploy up` brings up this \
                         checkout's",
                    )
                })?);
            }
            if bytes > BYTES && !page.is_empty() {
                return Ok(false);
            }
        }
    }
}

fn broken(why: &str) -> Error {
    Error::failed(
        format!("the console broke off while it told what was recorded: {why}"),
        format!("see `deploy logs {SERVICE}`"),
    )
}

/// The oldest of the newest `limit`, if there are any.
async fn first_of(console: &Console, query: &str, limit: u32) -> Result<Option<String>> {
    let (mut first, mut left) = (None, limit);
    // The query has a `before` of its own, which the next page's is earlier than.
    let mut query = query.to_owned();
    while left > 0 {
        let size = PAGE.min(left);
        let path = format!("/api/requests?format=json&limit={size}{query}");
        let page: Page = console.json(Method::GET, &path).await?;
        left -= u32::try_from(page.requests.len()).unwrap_or(left).min(left);
        let last = page.requests.last().and_then(|it| it["id"].as_str());
        first = last.map(str::to_owned).or(first);
        let Some(next) = page.next else { break };
        let (rest, _) = query.split_once("&before=").unwrap_or((&query, ""));
        query = format!("{rest}&before={next}");
    }
    Ok(first)
}

/// The id right after another or right before it, if there can be one.
fn beside(id: &str, after: bool) -> Option<String> {
    let number = u128::from_str_radix(id, 16).ok()?;
    let number = if after {
        number.checked_add(1).filter(|it| it >> 96 == 0)
    } else {
        number.checked_sub(1)
    };
    number.map(|number| format!("{number:024x}"))
}

/// Lines of what comes in parts. A line that hasn't ended is kept in these, so that a large one is put
/// together once.
#[derive(Default)]
struct Lines {
    whole: VecDeque<Vec<u8>>,
    rest: Vec<u8>,
}

impl Lines {
    fn push(&mut self, mut part: &[u8]) {
        while let Some(end) = part.iter().position(|byte| *byte == b'\n') {
            self.rest.extend_from_slice(&part[..end]);
            self.whole.push_back(std::mem::take(&mut self.rest));
            part = &part[end + 1..];
        }
        self.rest.extend_from_slice(part);
    }

    fn next(&mut self) -> Option<Vec<u8>> {
        self.whole.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_beside_another() {
        let id = "65a1b2c3d4e5f60718293aff";
        assert_eq!(beside(id, true).unwrap(), "65a1b2c3d4e5f60718293b00");
        assert_eq!(beside(id, false).unwrap(), "65a1b2c3d4e5f60718293afe");
        assert_eq!(beside(&"f".repeat(24), true), None);
        assert_eq!(beside(&"0".repeat(24), false), None);
    }

    #[test]
    fn lines_are_whole_however_they_come() {
        let mut lines = Lines::default();
        for part in ["a", "b\n", "\nc\nd"] {
            lines.push(part.as_bytes());
        }
        let whole: Vec<_> = std::iter::from_fn(|| lines.next()).collect();
        assert_eq!(whole, [&b"ab"[..], b"", b"c"]);
    }
}
