//! A request as it was recorded: api/src/record/document.rs has the document's fields. Documents that
//! Flask wrote have neither `received_at` nor `remote_addr`.

use mongodb::bson::oid::ObjectId;
use mongodb::bson::raw::{RawBsonRef, RawDocument};
use mongodb::bson::{DateTime, Document, doc};
use serde::Serialize;

/// What a list shows of a request.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// 24 hex digits.
    #[serde(serialize_with = "hex")]
    pub id: ObjectId,
    /// When its head was read; of a document without it, when its id was made.
    #[serde(serialize_with = "rfc3339")]
    pub received_at: DateTime,
    pub method: String,
    /// The full URL.
    pub url: String,
    /// Empty where it isn't known.
    pub remote_addr: String,
    /// How many bytes the recorded body has.
    pub body_bytes: u64,
}

/// All of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Recorded {
    pub summary: Summary,
    /// By name, as recorded.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Whether `body` is what came, byte for byte: not where a byte that isn't UTF-8 was replaced.
    pub is_exact: bool,
    /// What all these can't tell.
    pub original: Original,
}

/// A document's `original`: api/src/record/original.rs says what is in it, and when.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Original {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// All lines of fields of which `headers` tells less.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(String, String)>,
}

impl Original {
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Recorded {
    /// The method as it was sent.
    pub(crate) fn method(&self) -> &str {
        let sent = self.original.method.as_deref();
        sent.unwrap_or(&self.summary.method)
    }

    /// The header fields as they were sent, a line each; those of one name are in their order.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (&str, &str)> {
        let is_in_full = |name: &str| self.original.headers.iter().any(|(it, _)| it == name);
        let whole = self.headers.iter();
        let whole = whole.filter(move |(name, _)| !is_in_full(name));
        let lines = whole.chain(&self.original.headers);
        lines.map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The value of a header field.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        let found = headers.find(|(it, _)| it.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// Whether its body is said to be a form's fields.
    pub(crate) fn is_form(&self) -> bool {
        self.field("Content-Type").is_some_and(|kind| {
            let essence = kind.split(';').next().unwrap_or_default().trim();
            essence.eq_ignore_ascii_case("application/x-www-form-urlencoded")
        })
    }
}

impl Summary {
    /// What to have of a document for [`Self::from_document`]: all but what may be large.
    pub fn projection() -> Document {
        let size = |kind, field, operator| {
            doc! { "$cond": [{ "$eq": [{ "$type": field }, kind] }, { operator: field }, 0] }
        };
        doc! {
            "method": 1,
            "url": 1,
            "received_at": 1,
            "remote_addr": 1,
            "body_bytes": { "$cond": [
                { "$eq": [{ "$type": "$body" }, "binData"] },
                { "$binarySize": "$body" },
                size("string", "$data", "$strLenBytes"),
            ] },
        }
    }

    /// What it takes in memory, about.
    pub(crate) fn bytes(&self) -> usize {
        size_of::<Self>() + self.method.len() + self.url.len() + self.remote_addr.len()
    }

    /// Reads a document, or its [`Self::projection`]; what it lacks, or has in another type, is as if
    /// it were empty.
    pub fn from_document(document: &RawDocument) -> Self {
        let body_bytes = match value(document, "body_bytes") {
            Some(RawBsonRef::Int32(bytes)) => u64::try_from(bytes).unwrap_or_default(),
            Some(RawBsonRef::Int64(bytes)) => u64::try_from(bytes).unwrap_or_default(),
            _ => body(document).0.len() as u64,
        };
        let id = match value(document, "_id") {
            Some(RawBsonRef::ObjectId(id)) => id,
            _ => ObjectId::from_bytes([0; 12]),
        };
        let received_at = match value(document, "received_at") {
            Some(RawBsonRef::DateTime(at)) => at,
            _ => id.timestamp(),
        };
        Self {
            id,
            received_at,
            method: text(document, "method").to_owned(),
            url: text(document, "url").to_owned(),
            remote_addr: text(document, "remote_addr").to_owned(),
            body_bytes,
        }
    }
}

impl Recorded {
    /// Reads a document; what it lacks, or has in another type, is as if it were empty.
    pub fn from_document(document: &RawDocument) -> Self {
        let (body, is_exact) = body(document);
        let headers = match value(document, "headers") {
            Some(RawBsonRef::Document(headers)) => headers
                .iter()
                .map_while(Result::ok)
                .map(|(name, value)| {
                    let value = value.as_str().unwrap_or_default();
                    (name.as_str().to_owned(), value.to_owned())
                })
                .collect(),
            _ => Vec::new(),
        };
        let original = match value(document, "original") {
            Some(RawBsonRef::Document(original)) => Original::from_document(original),
            _ => Original::default(),
        };
        Self {
            summary: Summary::from_document(document),
            headers,
            body: body.to_owned(),
            is_exact,
            original,
        }
    }
}

impl Original {
    fn from_document(original: &RawDocument) -> Self {
        let text = |field| value(original, field).and_then(RawBsonRef::as_str);
        let lines = match value(original, "headers") {
            Some(RawBsonRef::Array(lines)) => lines.into_iter().map_while(Result::ok),
            _ => return Self::new(text("method"), text("target"), Vec::new()),
        };
        let line = |line: RawBsonRef<'_>| {
            let mut parts = line.as_array()?.into_iter().map_while(Result::ok);
            let (name, value) = (parts.next()?.as_str()?, parts.next()?.as_str()?);
            Some((name.to_owned(), value.to_owned()))
        };
        Self::new(
            text("method"),
            text("target"),
            lines.filter_map(line).collect(),
        )
    }

    fn new(method: Option<&str>, target: Option<&str>, headers: Vec<(String, String)>) -> Self {
        Self {
            method: method.map(str::to_owned),
            target: target.map(str::to_owned),
            headers,
        }
    }
}

/// The body, and whether it is exact: `body` has the bytes where `data`, which is text, can't.
fn body(document: &RawDocument) -> (&[u8], bool) {
    if let Some(RawBsonRef::Binary(body)) = value(document, "body") {
        return (body.bytes, true);
    }
    let data = text(document, "data");
    (data.as_bytes(), !data.contains(char::REPLACEMENT_CHARACTER))
}

fn text<'a>(document: &'a RawDocument, field: &str) -> &'a str {
    let value = value(document, field);
    value.and_then(RawBsonRef::as_str).unwrap_or_default()
}

fn value<'a>(document: &'a RawDocument, field: &str) -> Option<RawBsonRef<'a>> {
    document.get(field).ok().flatten()
}

fn hex<S: serde::Serializer>(id: &ObjectId, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&id.to_hex())
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde passes it")]
fn rfc3339<S: serde::Serializer>(at: &DateTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&at.try_to_rfc3339_string().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use mongodb::bson::spec::BinarySubtype;
    use mongodb::bson::{Binary, Bson, RawDocumentBuf};

    use super::*;

    fn recorded(document: &Document) -> Recorded {
        Recorded::from_document(&RawDocumentBuf::try_from(document).unwrap())
    }

    #[test]
    fn a_document_of_flask_has_the_time_of_its_id() {
        let id = ObjectId::parse_str("65a1b2c3d4e5f60718293a4b").unwrap();
        let recorded = recorded(&doc! {
            "_id": id, "endpoint": "home", "method": "POST", "url": "http://h/?a",
            "headers": { "Host": "h", "X-A": "é" }, "data": "é!",
        });
        assert_eq!(recorded.summary.id, id);
        assert_eq!(recorded.summary.received_at, id.timestamp());
        assert_eq!(recorded.summary.method, "POST");
        assert_eq!(recorded.summary.url, "http://h/?a");
        assert_eq!(recorded.summary.remote_addr, "");
        assert_eq!(recorded.summary.body_bytes, 3);
        assert_eq!(recorded.body, "é!".as_bytes());
        assert!(recorded.is_exact);
        let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(recorded.headers, [header("Host", "h"), header("X-A", "é")]);
    }

    #[test]
    fn exact_bytes_come_before_text() {
        let text = doc! { "_id": ObjectId::new(), "data": "\u{fffd}" };
        assert!(!recorded(&text).is_exact);
        let mut both = text.clone();
        let bytes = vec![0xff, 0, 0xfe];
        both.insert(
            "body",
            Binary {
                subtype: BinarySubtype::Generic,
                bytes: bytes.clone(),
            },
        );
        let both = recorded(&both);
        assert!(both.is_exact);
        assert_eq!((both.body, both.summary.body_bytes), (bytes, 3));
    }

    #[test]
    fn what_has_another_type_is_as_if_it_were_empty() {
        for value in [
            Bson::Null,
            Bson::Int32(1),
            Bson::Array(vec!["x".into()]),
            doc! { "a": 1 }.into(),
        ] {
            let mut document = doc! { "_id": value.clone() };
            for field in [
                "method",
                "url",
                "data",
                "body",
                "received_at",
                "remote_addr",
            ] {
                document.insert(field, value.clone());
            }
            document.insert("headers", doc! { "A": value });
            let recorded = recorded(&document);
            assert_eq!(recorded.summary.method, "");
            assert_eq!(recorded.summary.received_at.timestamp_millis(), 0);
            assert_eq!(recorded.body, b"");
            assert_eq!(recorded.headers, [("A".to_owned(), String::new())]);
        }
    }
}
