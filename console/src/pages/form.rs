//! The form of a filter, as it was filled in.

use crate::api::Fields;
use crate::requests::filter::{BadFilter, Filter};

/// Fields of which some are behind "More": shown where one of them is set.
const MORE: [&str; 5] = ["header", "address", "id", "since", "until"];

/// Shown by `form.html`.
#[derive(Debug)]
pub(crate) struct Form {
    /// The page that it leads to.
    action: &'static str,
    /// Name and value, as they came.
    fields: Vec<(String, String)>,
    error: Option<BadFilter>,
}

impl Form {
    /// From a query string, with the filter and the other fields. What is no filter
    /// is in the form, with the reason, and there is no filter.
    pub(crate) fn read(action: &'static str, query: &str) -> (Self, Option<(Filter, Fields)>) {
        let (read, error) = match Filter::from_query(query) {
            Ok((filter, others)) => (Some((filter, others.into())), None),
            Err(error) => (None, Some(error)),
        };
        let fields = form_urlencoded::parse(query.as_bytes()).into_owned();
        let form = Self {
            action,
            fields: fields.filter(|(_, value)| !value.is_empty()).collect(),
            error,
        };
        (form, read)
    }

    pub(crate) fn action(&self) -> &'static str {
        self.action
    }

    pub(crate) fn value(&self, name: &str) -> &str {
        self.values(name).next().unwrap_or_default()
    }

    fn values(&self, name: &str) -> impl Iterator<Item = &str> {
        self.fields
            .iter()
            .filter(move |(field, _)| field == name)
            .map(|(_, value)| value.as_str())
    }

    /// Those that are set, and room for one more.
    pub(crate) fn headers(&self) -> impl Iterator<Item = &str> {
        self.values("header").chain([""])
    }

    /// What is wrong with a field.
    pub(crate) fn error(&self, name: &str) -> Option<&BadFilter> {
        self.error.as_ref().filter(|error| error.field == name)
    }

    pub(crate) fn is_set(&self) -> bool {
        self.fields
            .iter()
            .any(|(name, _)| matches!(name.as_str(), "method" | "path" | "body"))
            || self.shows_more()
    }

    pub(crate) fn shows_more(&self) -> bool {
        self.fields
            .iter()
            .any(|(name, _)| MORE.contains(&name.as_str()))
    }
}
