//! A body, shown in one of several ways.

mod coding;
mod hex;
mod json;

use askama::Template;
use mongodb::bson::oid::ObjectId;

pub(crate) use self::coding::Decoded;
use self::coding::Outcome;
use self::json::Node;
use super::figures;
use super::visible as filters;
use crate::requests::filter::Filter;
use crate::requests::recorded::Recorded;

/// Bytes of a body that are shown as text.
const TEXT: usize = 256 << 10;
/// Bytes of a body that are looked at as JSON. It isn't JSON any more once it is cut.
const JSON: usize = 1 << 20;
/// Bytes of a body that are shown as a form's fields, and how many of these.
const FORM: usize = 256 << 10;
const FIELDS: usize = 1000;

/// How a body is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum View {
    Json,
    Form,
    Text,
    Hex,
}

impl View {
    /// As `view=` has it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Form => "form",
            Self::Text => "text",
            Self::Hex => "hex",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        let all = [Self::Json, Self::Form, Self::Text, Self::Hex];
        all.into_iter().find(|view| view.name() == name)
    }

    fn label(self) -> &'static str {
        match self {
            Self::Json => "JSON",
            Self::Form => "Form",
            Self::Text => "Text",
            Self::Hex => "Hex",
        }
    }
}

#[derive(Template)]
#[template(path = "body.html")]
pub(crate) struct Body<'a> {
    id: ObjectId,
    /// What stands before `view=` in a link.
    filter: String,
    views: Vec<View>,
    view: View,
    content: Content<'a>,
    is_exact: bool,
    /// Of its `Content-Encoding`.
    coding: Option<&'a (String, Outcome)>,
    size: String,
}

enum Content<'a> {
    Empty,
    Json(Node<'a>),
    Form {
        fields: Vec<(String, String)>,
        is_cut: bool,
    },
    Text {
        text: String,
        is_cut: bool,
    },
    Hex {
        text: String,
        is_cut: bool,
    },
}

impl<'a> Body<'a> {
    /// As asked for, where it can be shown so, else in the way that says most.
    pub(crate) fn of(
        recorded: &Recorded,
        decoded: &'a Decoded<'_>,
        filter: &Filter,
        asked: Option<View>,
    ) -> Self {
        let body = &*decoded.bytes;
        let json = json::document(body);
        let mut views = Vec::new();
        if json.is_some() {
            views.push(View::Json);
        }
        if recorded.is_form() {
            views.push(View::Form);
        }
        views.extend([View::Text, View::Hex]);
        if !is_text(body) {
            // It says more of what isn't text.
            views.rotate_right(1);
        }
        let view = asked.filter(|view| views.contains(view));
        let view = view.or(views.first().copied()).unwrap_or(View::Hex);
        views.sort_by_key(|view| *view as u8);
        let content = match (view, json) {
            _ if body.is_empty() => Content::Empty,
            (View::Json, Some(document)) => Content::Json(Node::of(document)),
            (View::Form, _) => {
                let (fields, is_cut) = fields(body);
                Content::Form { fields, is_cut }
            }
            (View::Hex, _) => Content::Hex {
                text: hex::dump(body),
                is_cut: body.len() > hex::LIMIT,
            },
            _ => Content::Text {
                text: String::from_utf8_lossy(cut(body)).into_owned(),
                is_cut: body.len() > TEXT,
            },
        };
        let mut filter = filter.to_query();
        if !filter.is_empty() {
            filter.push('&');
        }
        Self {
            id: recorded.summary.id,
            filter,
            views,
            view,
            content,
            is_exact: recorded.is_exact,
            coding: decoded.coding.as_ref(),
            size: figures::size(recorded.summary.body_bytes),
        }
    }
}

/// The fields of a query or a form, up to a bound, and whether there are more.
pub(crate) fn fields(encoded: &[u8]) -> (Vec<(String, String)>, bool) {
    let shown = &encoded[..encoded.len().min(FORM)];
    let mut fields = form_urlencoded::parse(shown).into_owned();
    let first = fields.by_ref().take(FIELDS).collect();
    (
        first,
        shown.len() < encoded.len() || fields.next().is_some(),
    )
}

/// What is shown as text: no half of a character at its end.
fn cut(body: &[u8]) -> &[u8] {
    if body.len() <= TEXT {
        return body;
    }
    let is_inside = |byte: &u8| byte & 0b1100_0000 == 0b1000_0000;
    let inside = body[..=TEXT]
        .iter()
        .rev()
        .take(4)
        .take_while(|byte| is_inside(byte));
    &body[..TEXT - inside.count()]
}

/// Whether it reads as text: UTF-8, and hardly any controls.
fn is_text(body: &[u8]) -> bool {
    let beginning = &body[..body.len().min(4 << 10)];
    let controls = |byte: &&u8| **byte < b' ' && !matches!(byte, b'\t' | b'\n' | b'\r' | 0x1b);
    let few = beginning.len() / 10;
    let is_utf8 = match std::str::from_utf8(beginning) {
        Ok(_) => true,
        Err(error) => error.error_len().is_none(),
    };
    is_utf8 && beginning.iter().filter(controls).count() <= few
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_is_between_characters() {
        for lead in 0..4 {
            let mut text = "a".repeat(lead);
            text.push_str(&"𝄞".repeat(TEXT / 4 + 1));
            let shown = std::str::from_utf8(cut(text.as_bytes())).unwrap();
            assert!(
                shown.len() > TEXT - 4 && shown.len() <= TEXT,
                "{}",
                shown.len()
            );
        }
        assert_eq!(cut(&vec![0x80; TEXT + 10]).len(), TEXT - 4);
    }

    #[test]
    fn text_is_told_from_bytes() {
        for text in ["", "hello\r\n", "{\"a\": 1}", "שלום", "\u{1b}[1mbold"] {
            assert!(is_text(text.as_bytes()), "{text:?}");
        }
        for bytes in [b"\x89PNG\r\n\x1a\n\0\0".as_slice(), b"\xff\xfe", &[0; 64]] {
            assert!(!is_text(bytes), "{bytes:?}");
        }
    }
}
