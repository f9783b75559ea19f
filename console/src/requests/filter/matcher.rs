//! A filter without the database.

use regex::{Regex, RegexBuilder};

use crate::requests::filter::Filter;
use crate::requests::filter::path::Pattern;
use crate::requests::recorded::Recorded;

/// A filter that is ready to be held against many requests.
#[derive(Clone, Debug)]
pub struct Matcher {
    filter: Filter,
    path: Option<Pattern>,
    headers: Vec<(String, Option<Text>)>,
    body: Option<Text>,
}

impl Matcher {
    pub(super) fn new(filter: &Filter) -> Self {
        let header = |(name, text): &(String, Option<String>)| {
            (name.clone(), text.as_deref().map(Text::new))
        };
        Self {
            path: filter.path.as_deref().map(Pattern::new),
            headers: filter.headers.iter().map(header).collect(),
            body: filter.body.as_deref().map(Text::new),
            filter: filter.clone(),
        }
    }

    /// Whether the filter lets this request through.
    pub fn matches(&self, recorded: &Recorded) -> bool {
        let filter = &self.filter;
        let summary = &recorded.summary;
        filter.id.is_none_or(|id| id == summary.id)
            && filter
                .since
                .is_none_or(|since| summary.received_at >= since)
            && filter.until.is_none_or(|until| summary.received_at < until)
            && (filter.methods.is_empty() || filter.methods.contains(&summary.method))
            && filter
                .address
                .as_ref()
                .is_none_or(|address| *address == summary.remote_addr)
            && self
                .path
                .as_ref()
                .is_none_or(|path| path.matches(&summary.url))
            && self.headers_match(&recorded.headers)
            && self
                .body
                .as_ref()
                .is_none_or(|text| text.is_in(&String::from_utf8_lossy(&recorded.body)))
    }

    fn headers_match(&self, headers: &[(String, String)]) -> bool {
        self.headers.iter().all(|(name, text)| {
            let found = headers.iter().find(|(found, _)| found == name);
            found.is_some_and(|(_, value)| text.as_ref().is_none_or(|text| text.is_in(value)))
        })
    }
}

/// Text that is searched for, whatever its capitals.
#[derive(Clone, Debug)]
struct Text(Option<Regex>);

impl Text {
    fn new(text: &str) -> Self {
        let regex = RegexBuilder::new(&regex::escape(text))
            .case_insensitive(true)
            .build();
        // It is short enough for any limit.
        Self(regex.ok())
    }

    fn is_in(&self, text: &str) -> bool {
        self.0.as_ref().is_some_and(|regex| regex.is_match(text))
    }
}
