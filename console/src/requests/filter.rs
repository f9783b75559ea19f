//! Which requests one wants to see.

use mongodb::bson::oid::ObjectId;
use mongodb::bson::{DateTime, Document, doc};

use crate::requests::recorded::Recorded;

/// Each that is set has to hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filter {
    /// `id=`: this one.
    pub id: Option<ObjectId>,
    /// `since=`, `until=`: when it was received, from and before. RFC 3339, or a duration back from
    /// now such as `10m`.
    pub since: Option<DateTime>,
    pub until: Option<DateTime>,
    /// `method=`: one, or several separated by commas.
    pub methods: Vec<String>,
    /// `path=`: how the URL's path and query begin, or what is in them: `*` stands for anything.
    pub path: Option<String>,
    /// `header=`, repeatable: `Name` (there is one) or `Name: text` (its value has the text in it).
    pub headers: Vec<(String, Option<String>)>,
    /// `address=`: whose request, an address.
    pub address: Option<String>,
    /// `body=`: text that the body has in it; capitals don't matter.
    pub body: Option<String>,
}

/// Why a query string is no filter: names the field, its value, and what was expected.
#[derive(Debug, thiserror::Error)]
#[error("{field} = {value:?}: expected {expected}")]
pub struct BadFilter {
    pub field: String,
    pub value: String,
    pub expected: &'static str,
}

impl Filter {
    /// From the fields of a query string. An empty one is as good as none; fields that aren't a
    /// filter's (`before`, `limit`, `format`, …) are `others`, in order.
    pub fn from_query(_query: &str) -> Result<(Self, Vec<(String, String)>), BadFilter> {
        Ok((Self::default(), Vec::new()))
    }

    /// As a query string, without `?`; [`Self::from_query`] reads it back.
    pub fn to_query(&self) -> String {
        String::new()
    }

    /// As a query of the collection.
    pub fn to_document(&self) -> Document {
        doc! {}
    }

    /// Whether it lets a request through: the same rule as [`Self::to_document`], without the database.
    pub fn matches(&self, _recorded: &Recorded) -> bool {
        true
    }

    /// Whether that takes the header fields or the body.
    pub fn needs_content(&self) -> bool {
        !self.headers.is_empty() || self.body.is_some()
    }
}
