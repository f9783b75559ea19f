//! Requests for people to read. Whoever sent one chose what is in it: control characters are made
//! visible.

use std::io::{self, IsTerminal as _, stdout};

use rustix::termios::tcgetwinsize;
use serde_json::Value;

use crate::output::Output;
use crate::output::style::{Style, Tone};
use crate::output::text;

/// What is left for the path before another column gives way.
const NARROWEST_PATH: usize = 24;

/// What a list shows of a request.
pub(super) struct Summary {
    time: String,
    method: String,
    address: String,
    bytes: String,
    id: String,
    path: String,
}

impl Summary {
    /// As the console tells it; what it doesn't tell stays empty.
    pub(super) fn of(request: &Value) -> Self {
        let text = |name: &str| visible(request[name].as_str().unwrap_or_default());
        Self {
            time: time(&text("received_at")),
            method: text("method"),
            address: text("remote_addr"),
            bytes: request["body_bytes"]
                .as_u64()
                .unwrap_or_default()
                .to_string(),
            id: text("id"),
            path: path(&text("url")).to_owned(),
        }
    }
}

/// Lines of a table that has no end: the columns have a width of their own, and the last one the rest.
pub(super) struct Rows<'a> {
    output: &'a Output,
    /// Of the terminal, if it is one.
    width: Option<usize>,
}

impl<'a> Rows<'a> {
    pub(super) fn new(output: &'a Output) -> Self {
        let size = stdout().is_terminal().then(|| tcgetwinsize(stdout()));
        let columns = size
            .and_then(Result::ok)
            .map(|size| usize::from(size.ws_col));
        Self {
            output,
            width: columns.filter(|columns| *columns > 0),
        }
    }

    pub(super) fn heading(&self) {
        let names = ["TIME", "METHOD", "ADDRESS", "BYTES", "ID", "PATH"].map(str::to_owned);
        let [time, method, address, bytes, id, path] = names;
        let heading = self.line(&Summary {
            time,
            method,
            address,
            bytes,
            id,
            path,
        });
        self.output
            .line(&self.output.style().paint(Tone::Strong, &heading));
    }

    /// # Errors
    /// When nobody reads it any more.
    pub(super) fn row(&self, request: &Summary) -> io::Result<()> {
        self.output.stream(&self.line(request))
    }

    fn line(&self, request: &Summary) -> String {
        let time = format!("{:19}", request.time);
        let method = format!("{:7}", request.method);
        let address = format!("{:15}", request.address);
        let bytes = format!("{:>7}", request.bytes);
        let id = format!("{:24}", request.id);
        let mut columns = vec![time, method, address, bytes, id];
        let Some(width) = self.width else {
            columns.push(request.path.clone());
            return columns.join("  ");
        };
        // On a narrow terminal the size gives way, and then the address.
        for given_up in [3, 2] {
            let taken: usize = columns.iter().map(|it| it.chars().count() + 2).sum();
            if taken + NARROWEST_PATH > width {
                columns.remove(given_up);
            }
        }
        columns.push(request.path.clone());
        text::shorten(&columns.join("  "), width - 1).into_owned()
    }
}

/// One request, all of it.
pub(super) fn whole(request: &Value, style: Style) -> String {
    let text = |name: &str| visible(request[name].as_str().unwrap_or_default());
    let mut lines = vec![
        style.paint(Tone::Strong, &format!("{} {}", text("method"), text("url"))),
        style.paint(
            Tone::Faint,
            &format!(
                "{}, received {} from {}",
                text("id"),
                time(&text("received_at")),
                text("remote_addr")
            ),
        ),
    ];
    let original = &request["original"];
    for (what, sent) in [
        ("method", &original["method"]),
        ("target", &original["target"]),
    ] {
        if let Some(sent) = sent.as_str() {
            let remark = format!("{what} as sent: {}", visible(sent));
            lines.push(style.paint(Tone::Faint, &remark));
        }
    }
    lines.push(String::new());
    let in_full = original["headers"].as_array().into_iter().flatten();
    let in_full = in_full.filter_map(|line| Some((line[0].as_str()?, line[1].as_str()?)));
    let headers = request["headers"].as_object().into_iter().flatten();
    let headers = headers
        .map(|(name, value)| (name.as_str(), value.as_str().unwrap_or_default()))
        .filter(|(name, _)| !in_full.clone().any(|(it, _)| it == *name));
    for (name, value) in headers.chain(in_full.clone()) {
        lines.push(format!("{}: {}", visible(name), visible(value)));
    }
    match (request["body"].as_str(), &request["body_bytes"]) {
        (Some(""), _) => {}
        (Some(body), _) => lines.extend([String::new(), text::escape_lines(body)]),
        (None, bytes) => {
            let coding = request["headers"]["Content-Encoding"].as_str();
            let coding = coding.map_or_else(String::new, |coding| {
                format!(" ({}, which the console shows decoded)", visible(coding))
            });
            let remark =
                format!("{bytes} bytes that aren't text{coding}: --json and --curl have them");
            lines.extend([String::new(), style.paint(Tone::Faint, &remark)]);
        }
    }
    lines.join("\n")
}

fn visible(text: &str) -> String {
    text::escape(text).replace('\t', "\\t")
}

/// To the second, in UTC as the console has it.
fn time(rfc3339: &str) -> String {
    let seconds = rfc3339.split(['.', 'Z']).next().unwrap_or_default();
    seconds.replace('T', " ")
}

fn path(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.find(['/', '?']).map_or(rest, |at| &rest[at..])
}
