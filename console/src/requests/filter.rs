//! Which requests one wants to see: the fields of a query string.
//!
//! The rule is written twice, as a query of the collection ([`condition`]) and for a request that is
//! here ([`Matcher`]); tests hold the two against each other.

mod condition;
mod matcher;
mod path;

use std::fmt::Write as _;
use std::net::IpAddr;
use std::time::SystemTime;

use mongodb::bson::oid::ObjectId;
use mongodb::bson::{DateTime, Document};
use service::field_name::title_case;

pub use self::matcher::Matcher;
use crate::requests::recorded::Recorded;

/// Longest text that is searched for.
const LONGEST_TEXT: usize = 1000;
/// Header fields that are searched for at once: each has its own way to look at a value.
const MOST_HEADERS: usize = 32;
/// Longest filter, as a query string: each row of a list links to its request with it.
const LONGEST: usize = 4 << 10;

/// Each that is set has to hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filter {
    /// `id=`: this one.
    pub id: Option<ObjectId>,
    /// `since=`, `until=`: when it was received, from and before. A time, or how long ago.
    pub since: Option<DateTime>,
    pub until: Option<DateTime>,
    /// `method=`: one, or several separated by commas. In capitals, as they are recorded.
    pub methods: Vec<String>,
    /// `path=`: how the URL's path and query begin or, without a slash at its beginning, what is in
    /// them. `*` stands for anything.
    pub path: Option<String>,
    /// `header=`, repeatable: `Name` (there is one) or `Name: text` (its value has the text in it;
    /// capitals don't matter).
    pub headers: Vec<(String, Option<String>)>,
    /// `address=`: whose request, an IP address.
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
    pub fn from_query(query: &str) -> Result<(Self, Vec<(String, String)>), BadFilter> {
        let mut filter = Self::default();
        let mut others = Vec::new();
        for (field, value) in form_urlencoded::parse(query.as_bytes()).into_owned() {
            match filter.set(&field, value.trim()) {
                Ok(true) => {}
                Ok(false) => others.push((field, value)),
                Err(expected) => {
                    return Err(BadFilter {
                        field,
                        value,
                        expected,
                    });
                }
            }
        }
        filter.check_length()?;
        Ok((filter, others))
    }

    fn check_length(&self) -> Result<(), BadFilter> {
        if self.to_query().len() <= LONGEST {
            return Ok(());
        }
        let fields = self.fields().into_iter();
        let longest = fields.max_by_key(|(_, value)| value.len());
        let (field, value) = longest.unwrap_or_default();
        Err(BadFilter {
            field: field.to_owned(),
            value,
            expected: "less: a filter has 4096 bytes at most, as a query string",
        })
    }

    /// Sets a field, if it is one of a filter's; else says what was expected.
    fn set(&mut self, field: &str, value: &str) -> Result<bool, &'static str> {
        let is_empty = value.is_empty();
        match field {
            "id" | "since" | "until" | "method" | "path" | "header" | "address" | "body"
                if is_empty => {}
            "id" => {
                let id = ObjectId::parse_str(value).map_err(|_| "24 hexadecimal digits")?;
                once(&mut self.id, id)?;
            }
            "since" => once(&mut self.since, time(value)?)?,
            "until" => once(&mut self.until, time(value)?)?,
            "method" => {
                for method in value.split(',').map(str::trim) {
                    if !is_token(method) {
                        return Err("methods separated by commas, such as GET,POST");
                    }
                    let method = method.to_ascii_uppercase();
                    if !self.methods.contains(&method) {
                        self.methods.push(method);
                    }
                }
            }
            "path" => once(&mut self.path, text(value)?)?,
            "header" if self.headers.len() >= MOST_HEADERS => {
                return Err("32 header fields at most");
            }
            "header" => self.headers.push(header(value)?),
            "address" => {
                let address: IpAddr = value
                    .parse()
                    .map_err(|_| "an IP address such as 192.0.2.7 or 2001:db8::7")?;
                once(&mut self.address, address.to_canonical().to_string())?;
            }
            "body" => once(&mut self.body, text(value)?)?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// The fields that are set, and their values.
    pub fn fields(&self) -> Vec<(&'static str, String)> {
        let mut fields = Vec::new();
        let mut push =
            |name, value: Option<String>| fields.extend(value.map(|value| (name, value)));
        push("id", self.id.map(ObjectId::to_hex));
        push("since", self.since.map(rfc3339));
        push("until", self.until.map(rfc3339));
        push(
            "method",
            (!self.methods.is_empty()).then(|| self.methods.join(",")),
        );
        push("path", self.path.clone());
        for (name, text) in &self.headers {
            let mut value = name.clone();
            if let Some(text) = text {
                let _ = write!(value, ": {text}");
            }
            push("header", Some(value));
        }
        push("address", self.address.clone());
        push("body", self.body.clone());
        fields
    }

    /// As a query string, without `?`; [`Self::from_query`] reads it back.
    pub fn to_query(&self) -> String {
        form_urlencoded::Serializer::new(String::new())
            .extend_pairs(self.fields())
            .finish()
    }

    /// As a query of the collection.
    pub fn to_document(&self) -> Document {
        condition::condition(self)
    }

    /// Between which ids such requests are: from the first, and before the second.
    pub(crate) fn ids(&self) -> (ObjectId, Option<ObjectId>) {
        condition::ids(self)
    }

    /// The same rule without the database, for many requests.
    pub fn matcher(&self) -> Matcher {
        Matcher::new(self)
    }

    /// Whether it lets a request through: the same rule as [`Self::to_document`], without the
    /// database. Use a [`Matcher`] for many.
    pub fn matches(&self, recorded: &Recorded) -> bool {
        self.matcher().matches(recorded)
    }

    /// Whether that takes the header fields or the body.
    pub fn needs_content(&self) -> bool {
        !self.headers.is_empty() || self.body.is_some()
    }
}

fn once<T>(field: &mut Option<T>, value: T) -> Result<(), &'static str> {
    match field.replace(value) {
        None => Ok(()),
        Some(_) => Err("it once"),
    }
}

fn text(value: &str) -> Result<String, &'static str> {
    match value.len() {
        ..=LONGEST_TEXT => Ok(value.to_owned()),
        _ => Err("at most 1000 bytes"),
    }
}

fn header(value: &str) -> Result<(String, Option<String>), &'static str> {
    let (name, sought) = match value.split_once(':') {
        Some((name, sought)) => (name.trim_end(), sought.trim_start()),
        None => (value, ""),
    };
    if !is_token(name) {
        return Err("the name of a header field, or Name: text");
    }
    let sought = (!sought.is_empty()).then(|| text(sought)).transpose()?;
    Ok((title_case(&text(name)?).collect(), sought))
}

/// A moment: of RFC 3339, in UTC unless it says otherwise, with or without its time of day; or how
/// long ago.
fn time(value: &str) -> Result<DateTime, &'static str> {
    if let Ok(age) = humantime::parse_duration(value) {
        let at = SystemTime::now().checked_sub(age);
        let at = at.unwrap_or(SystemTime::UNIX_EPOCH);
        return Ok(at.max(SystemTime::UNIX_EPOCH).into());
    }
    let value = value.replacen(' ', "T", 1);
    ["", "Z", ":00Z", "T00:00:00Z"]
        .iter()
        .find_map(|rest| DateTime::parse_rfc3339_str(format!("{value}{rest}")).ok())
        .ok_or("a time such as 2026-11-27T16:00:00Z, or how long ago, such as 10m")
}

fn rfc3339(at: DateTime) -> String {
    at.try_to_rfc3339_string().unwrap_or_default()
}

/// Such as methods and names of header fields are (RFC 9110 §5.6.2).
pub(crate) fn is_token(text: &str) -> bool {
    let is_special = |byte| b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || is_special(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(query: &str) -> Filter {
        let (filter, others) = Filter::from_query(query).unwrap();
        assert_eq!(others, [], "{query}");
        filter
    }

    #[test]
    fn a_filter_is_read_back_from_its_query_string() {
        let filter = filter(
            "id=65a1b2c3d4e5f60718293a4b&since=2026-11-27T16:00:00.25%2B02:00&until=2026-11-28\
             &method=get,POST&method=brew&path=/a*?b%3dc%26&header=x-foo2bar&header=ACCEPT:%20a:b\
             &address=::ffff:192.0.2.7&body=%22%C3%A9+%2B%00",
        );
        assert_eq!(filter.methods, ["GET", "POST", "BREW"]);
        assert_eq!(filter.path.as_deref(), Some("/a*?b=c&"));
        assert_eq!(filter.address.as_deref(), Some("192.0.2.7"));
        assert_eq!(filter.body.as_deref(), Some("\"é +\0"));
        let headers = [
            ("X-Foo2Bar".to_owned(), None),
            ("Accept".to_owned(), Some("a:b".to_owned())),
        ];
        assert_eq!(filter.headers, headers);
        let again = Filter::from_query(&filter.to_query()).unwrap();
        assert_eq!(again, (filter, Vec::new()));
    }

    #[test]
    fn what_is_empty_is_as_good_as_none() {
        let query = "id=&since=+&until=&method=&path=&header=&address=&body=";
        assert_eq!(filter(query), Filter::default());
        assert_eq!(filter("").to_query(), "");
        assert_eq!(filter("header=accept:").headers[0].1, None);
    }

    #[test]
    fn fields_that_are_no_filters_are_others() {
        let (filter, others) = Filter::from_query("limit=5&method=GET&Method=&x").unwrap();
        assert_eq!(filter.methods, ["GET"]);
        let names: Vec<_> = others.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["limit", "Method", "x"]);
        assert_eq!(others[0].1, "5");
    }

    #[test]
    fn times_are_utc_unless_they_say_otherwise() {
        let noon = filter("since=2026-11-27T12:00:00Z").since;
        for same in [
            "2026-11-27T14:00:00%2B02:00",
            "2026-11-27T12:00:00",
            "2026-11-27T12:00",
            "2026-11-27%2012:00",
        ] {
            assert_eq!(filter(&format!("since={same}")).since, noon, "{same}");
        }
        let since = filter("since=10m").since.unwrap();
        let age = DateTime::now().saturating_duration_since(since);
        assert!((600..660).contains(&age.as_secs()), "{age:?}");
        let begin = filter("until=1000y").until.unwrap();
        assert_eq!(begin.timestamp_millis(), 0);
    }

    #[test]
    fn what_is_wrong_is_named_with_what_was_expected() {
        let long = "é".repeat(501);
        for (query, said) in [
            ("id=65a1", "id = \"65a1\": expected 24 hexadecimal digits"),
            (
                "since=yesterday",
                "since = \"yesterday\": expected a time such as 2026-11-27T16:00:00Z, or how long ago, \
                 such as 10m",
            ),
            (
                "method=GET,",
                "method = \"GET,\": expected methods separated by commas, such as GET,POST",
            ),
            (
                "header=a+b",
                "header = \"a b\": expected the name of a header field, or Name: text",
            ),
            (
                "address=10.0.0.0/8",
                "address = \"10.0.0.0/8\": expected an IP address such as 192.0.2.7 or 2001:db8::7",
            ),
            ("path=/a&path=/b", "path = \"/b\": expected it once"),
            (
                &format!("body={long}"),
                &format!("body = \"{long}\": expected at most 1000 bytes"),
            ),
            (
                &format!(
                    "header=a:1{}&path=/a",
                    format!("&header=a:{}", &long[..160]).repeat(9)
                ),
                &format!(
                    "header = \"A: {}\": expected less: a filter has 4096 bytes at most, as a query string",
                    &long[..160]
                ),
            ),
        ] {
            let error = Filter::from_query(query).unwrap_err();
            assert_eq!(error.to_string(), said);
        }
    }
}
