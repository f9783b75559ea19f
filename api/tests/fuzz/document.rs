//! Whatever the request, its document is valid BSON of the known shape, and holds the request.

use std::collections::BTreeMap;

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use actix_web::http::{Method, Uri};
use api::record::document::Received;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{DateTime, Document};
use testkit::{fuzz, table::words};

const WORDS: &str = r#"
\n \n\n :\s host:\sa:80\n host:\sXN--N3H.net\n x-real-ip:\s::1\n content-type:\s
$set:\s a.b:\s __proto__:\s x_y:\s x-proxy-token:\ss\n cookie:\sc\n %00 %c3%a9 %ff %25
? & $where= [$ne] http://b/ // Post X_Cookie:\s x:\s1\nx:\s2\n \xef\xbf\xbd \xff \xc3\xa9 \xe2\x80\xae \0 {"$gt":""}
"#;

#[test]
fn document() {
    fuzz::run("document", &words(WORDS), 10_000, check);
}

/// The input's lines: method, target, fields, an empty line; then the body.
fn check(input: &[u8]) -> String {
    let (head, body) = match input.windows(2).position(|pair| pair == b"\n\n") {
        Some(end) => (&input[..end], &input[end + 2..]),
        None => (input, &b""[..]),
    };
    let mut lines = head.split(|byte| *byte == b'\n');
    let (Some(method), Some(target)) = (lines.next(), lines.next()) else {
        return "no request".to_owned();
    };
    let (Ok(method), Ok(target)) = (Method::from_bytes(method), Uri::try_from(target)) else {
        return "no request".to_owned();
    };
    let mut headers = HeaderMap::new();
    for line in lines {
        let mut parts = line.splitn(2, |byte| *byte == b':');
        let (name, value) = (
            parts.next().unwrap_or_default(),
            parts.next().unwrap_or_default(),
        );
        let name = HeaderName::from_bytes(name);
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(value.trim_ascii())) {
            headers.append(name, value);
        }
    }
    let received = Received {
        method: &method,
        target: &target,
        headers: &headers,
        body,
        peer: Some([192, 0, 2, 1].into()),
        believes_real_ip: input.len().is_multiple_of(2),
        is_from_proxy: input.len().is_multiple_of(3),
        local: ([0, 0, 0, 0], 9090).into(),
        at: DateTime::from_millis(0),
    };
    let id = ObjectId::from_bytes([7; 12]);
    let raw = received
        .document(id, &[HeaderName::from_static("cookie")])
        .unwrap();
    let document = Document::try_from(raw.clone()).expect("valid BSON");
    // Duplicate keys would be lost on the way back.
    let mut again = Vec::new();
    document.to_writer(&mut again).unwrap();
    assert_eq!(again, raw.as_bytes());

    let keys: Vec<_> = document.keys().map(String::as_str).collect();
    let mut ours = vec![
        "_id",
        "endpoint",
        "method",
        "url",
        "headers",
        "data",
        "received_at",
        "remote_addr",
    ];
    ours.extend(
        ["body", "original", "trace"]
            .into_iter()
            .filter(|it| document.contains_key(it)),
    );
    assert_eq!(keys, ours);
    assert_eq!(rebuilt(&document), sent(&method, &target, &headers, body));
    assert_eq!(document.get_object_id("_id").unwrap(), id);
    assert_eq!(
        document.get_str("method").unwrap(),
        method.as_str().to_ascii_uppercase()
    );
    assert_eq!(
        document.get_str("data").unwrap(),
        String::from_utf8_lossy(body)
    );
    let url = document.get_str("url").unwrap();
    assert!(
        url.starts_with("http://") && !url.contains(|c: char| c.is_ascii_control()),
        "{url:?}"
    );
    let stored = document.get_document("headers").unwrap();
    assert!(!stored.contains_key("X-Proxy-Token"));
    for name in headers
        .keys()
        .filter(|name| name.as_str().contains(['$', '.']))
    {
        let found = stored
            .keys()
            .any(|key| key.eq_ignore_ascii_case(name.as_str()));
        assert!(found || name.as_str().contains('_'), "{name} in {stored}");
    }
    if let Ok(secret) = stored.get_str("Cookie") {
        assert_eq!(secret, "[redacted]");
    }
    let query = target.query().is_some();
    let original = document.get_document("original").map_or(0, Document::len);
    format!(
        "{query} {} {} {original} {}",
        stored.len(),
        target.authority().is_some(),
        url.len().min(8)
    )
}

/// A request: method, target, the lines of each field by its name, and the body.
type Message = (String, String, BTreeMap<String, Vec<Vec<u8>>>, Vec<u8>);

/// What came, less what isn't recorded.
fn sent(method: &Method, target: &Uri, headers: &HeaderMap, body: &[u8]) -> Message {
    let is_secret = |name: &str| ["cookie", "x-proxy-token", "x_proxy_token"].contains(&name);
    let mut fields = BTreeMap::new();
    for name in headers.keys().filter(|name| !is_secret(name.as_str())) {
        let values = headers.get_all(name).map(|value| value.as_bytes().to_vec());
        fields.insert(name.as_str().to_owned(), values.collect());
    }
    let target = match target.path_and_query() {
        Some(target_sent) if target.authority().is_none() => target_sent.to_string(),
        _ => target.to_string(),
    };
    (method.to_string(), target, fields, body.to_vec())
}

/// What a document says came: what `api::record::original` says of it, and nothing else.
fn rebuilt(document: &Document) -> Message {
    let empty = Document::new();
    let original = document.get_document("original").unwrap_or(&empty);
    let method = original
        .get_str("method")
        .unwrap_or_else(|_| document.get_str("method").unwrap());
    let url = document.get_str("url").unwrap();
    let (_, rest) = url.split_once("://").unwrap();
    let target = original
        .get_str("target")
        .unwrap_or_else(|_| &rest[rest.find('/').unwrap()..]);
    let bytes = |value: &str| value.chars().map(|it| u8::try_from(it).unwrap()).collect();
    let mut fields: BTreeMap<String, Vec<Vec<u8>>> = BTreeMap::new();
    for line in original.get_array("headers").into_iter().flatten() {
        let [name, value] = line.as_array().unwrap().as_slice() else {
            panic!("{line} should be a name and a value");
        };
        let lines = fields.entry(name.as_str().unwrap().to_ascii_lowercase());
        lines.or_default().push(bytes(value.as_str().unwrap()));
    }
    for (name, value) in document.get_document("headers").unwrap() {
        let value = value.as_str().unwrap();
        if value != "[redacted]" {
            let lines = fields.entry(name.to_ascii_lowercase());
            lines.or_insert_with(|| vec![bytes(value)]);
        }
    }
    let body = match document.get_binary_generic("body") {
        Ok(body) => body.clone(),
        Err(_) => document.get_str("data").unwrap().as_bytes().to_vec(),
    };
    (method.to_owned(), target.to_owned(), fields, body)
}
