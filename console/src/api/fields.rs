//! The fields of a query string that are no filter's.

use mongodb::bson::oid::ObjectId;

use super::Problem;
use crate::requests::filter::BadFilter;

/// What is expected of an id.
pub(super) const AN_ID: &str = "24 hexadecimal digits";

/// To be taken one by one.
pub(crate) struct Fields(Vec<(String, String)>);

impl Fields {
    pub(crate) fn of(query: &str) -> Self {
        Self(
            form_urlencoded::parse(query.as_bytes())
                .into_owned()
                .collect(),
        )
    }

    /// The value of a field; an empty one is as good as none.
    pub(crate) fn take<T>(
        &mut self,
        name: &str,
        expected: &'static str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>, BadFilter> {
        let mut found = None;
        while let Some(at) = self.0.iter().position(|(it, _)| it == name) {
            let (field, value) = self.0.remove(at);
            if value.is_empty() {
                continue;
            }
            let read = if found.is_some() {
                Err("it once")
            } else {
                read(&value).ok_or(expected)
            };
            found = Some(read.map_err(|expected| BadFilter {
                field,
                value,
                expected,
            })?);
        }
        Ok(found)
    }

    /// `on` or `off`.
    pub(crate) fn switch(&mut self, name: &str) -> Result<bool, BadFilter> {
        let read = |value: &str| match value {
            "on" => Some(true),
            "off" => Some(false),
            _ => None,
        };
        Ok(self.take(name, "on or off", read)?.unwrap_or_default())
    }

    /// The id before which a page of a list begins.
    pub(crate) fn before(&mut self) -> Result<Option<ObjectId>, BadFilter> {
        let read = |value: &str| ObjectId::parse_str(value).ok();
        self.take("before", AN_ID, read)
    }

    /// Refuses what nobody took; `known` is what there is.
    pub(crate) fn none_left(self, known: &'static str) -> Result<(), Problem> {
        match self.0.into_iter().next() {
            None => Ok(()),
            Some((name, _)) => Err(Problem::UnknownField {
                name,
                expected: known,
            }),
        }
    }
}

impl From<Vec<(String, String)>> for Fields {
    fn from(fields: Vec<(String, String)>) -> Self {
        Self(fields)
    }
}
