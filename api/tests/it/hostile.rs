//! The API alone, with hostile clients on raw sockets: what could be read in two ways is refused
//! and ends its connection, and what looks like an order to the database is data.

use mongodb::bson::doc;
use testkit::table::rows;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::support::{
    Connection, Process, TestApp, requests_in, shared_mongo_uri, spawn_app, spawn_app_with,
    unique_database,
};

/// Comes after what has to be refused, and must never be a request of its own.
const SMUGGLED: &[u8] = b"GET /?smuggled HTTP/1.1\r\nHost: a\r\n\r\n";

/// Ends a connection in order.
const LAST: &[u8] = b"GET /?last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

/// A POST with this after its `Host`.
fn post(rest: impl AsRef<[u8]>) -> Vec<u8> {
    [b"POST / HTTP/1.1\r\nHost: a\r\n", rest.as_ref()].concat()
}

/// Sends these bytes over a connection of their own; the statuses of all answers, once the server
/// has closed.
async fn statuses(app: &TestApp, bytes: &[u8]) -> Vec<u16> {
    let mut stream = Connection::open(app.address).await;
    // The server may refuse and close before all is written.
    let _ = stream.write_all(bytes).await;
    let mut answers = Vec::new();
    let read = stream.read_to_end(&mut answers);
    let closed = tokio::time::timeout(std::time::Duration::from_secs(20), read).await;
    // Closed in order, or reset because the client had sent more: both will do.
    drop(closed.expect("the server should close"));
    String::from_utf8_lossy(&answers)
        .split("HTTP/1.1 ")
        .skip(1)
        .map(|answer| answer[..3].parse().unwrap())
        .collect()
}

/// Sends each case, with something smuggled behind; each has to get one of these statuses and
/// nothing more, and to leave nothing in the database.
async fn assert_refused(cases: &[(&str, Vec<u8>)], allowed: &[u16]) {
    let app = spawn_app().await;
    let mut failures = Vec::new();
    for (name, bytes) in cases {
        let answers = statuses(&app, &[bytes.as_slice(), SMUGGLED].concat()).await;
        if !matches!(answers.as_slice(), [status] if allowed.contains(status)) {
            failures.push(format!("{name}: {answers:?}"));
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
    assert_eq!(app.count().await, 0);
}

#[tokio::test]
async fn ambiguous_framing_is_refused() {
    let cases = r#"
CL, TE | Content-Length: 5\r\nTransfer-Encoding: chunked
TE, CL | Transfer-Encoding: chunked\r\nContent-Length: 5
TE, CL 0 | Transfer-Encoding: chunked\r\nContent-Length: 0
CL twice | Content-Length: 5\r\nContent-Length: 5
CL twice, different | Content-Length: 5\r\nContent-Length: 0
CL a list | Content-Length: 5, 5
CL plus | Content-Length: +5
CL minus | Content-Length: -5
CL hexadecimal | Content-Length: 0x5
CL empty | Content-Length:
CL 2^64 + 5 | Content-Length: 18446744073709551621
CL a space before the colon | Content-Length : 5
TE twice | Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked
TE chunked twice | Transfer-Encoding: chunked, chunked
TE chunked, identity | Transfer-Encoding: chunked, identity
TE gzip, chunked | Transfer-Encoding: gzip, chunked
TE identity | Transfer-Encoding: identity
TE xchunked | Transfer-Encoding: xchunked
TE quoted | Transfer-Encoding: "chunked"
TE a comma after | Transfer-Encoding: chunked,
TE empty | Transfer-Encoding:
TE a vertical tab | Transfer-Encoding: \x0bchunked
TE a form feed | Transfer-Encoding: chunked\x0c
TE a NUL | Transfer-Encoding: chunked\0
TE folded | Transfer-Encoding:\r\n chunked
TE a space before the colon | Transfer-Encoding : chunked
TE a vertical tab before the colon | Transfer-Encoding\x0b: chunked
TE behind a bare CR | X: y\rTransfer-Encoding: chunked
TE a no-break space | Transfer-Encoding: \xc2\xa0chunked
TE NEL | Transfer-Encoding: chunked\x85
"#;
    let cases = rows("POST / HTTP/1.1\r\nHost: a\r\n", cases, "\r\n\r\n0\r\n\r\n");
    let old = b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    let old = [("TE on HTTP/1.0", old.to_vec())];
    assert_refused(&[&cases, &old[..]].concat(), &[400]).await;
}

#[tokio::test]
async fn broken_heads_are_refused() {
    let cases = r"
no Host | GET / HTTP/1.1\r\n\r\n
Host twice | GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n
a fold | GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n z\r\n\r\n
a bare CR | GET / HTTP/1.1\r\nHost: a\r\nX: y\rz\r\n\r\n
a NUL in a value | GET / HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n
ESC in a value | GET / HTTP/1.1\r\nHost: a\r\nX: \x1b[2J\r\n\r\n
a NUL in a name | GET / HTTP/1.1\r\nHost: a\r\nX\0: y\r\n\r\n
a space in a name | GET / HTTP/1.1\r\nHost: a\r\nX Y: z\r\n\r\n
no colon | GET / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n
no name | GET / HTTP/1.1\r\nHost: a\r\n: y\r\n\r\n
a space in the target | GET /a b HTTP/1.1\r\nHost: a\r\n\r\n
a NUL in the target | GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n
HTTP/0.9 | GET /\r\n
HTTP/1.2 | GET / HTTP/1.2\r\nHost: a\r\n\r\n
HTTP/2.0 | GET / HTTP/2.0\r\nHost: a\r\n\r\n
the preface of HTTP/2 | PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n
a bracket in the method | G(T / HTTP/1.1\r\nHost: a\r\n\r\n
a TLS ClientHello | \x16\x03\x01\x02\0\x01\0\x01\r\n\r\n
";
    let cases = rows("", cases, "");
    assert_refused(&cases, &[400]).await;
}

#[tokio::test]
async fn broken_chunks_are_refused() {
    let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let cases = r"
a letter for a size | x\r\nabc\r\n0\r\n\r\n
0x | 0x3\r\nabc\r\n0\r\n\r\n
a sign | +3\r\nabc\r\n0\r\n\r\n
a space before the size | \s3\r\nabc\r\n0\r\n\r\n
bare LF after a size | 3\nabc\r\n0\r\n\r\n
bare LF after the data | 3\r\nabc\n0\r\n\r\n
more data than the size | 3\r\nabcd\r\n0\r\n\r\n
2^64 + 3 | 10000000000000003\r\nabc\r\n0\r\n\r\n
a control byte in an extension | 3;\x01\r\nabc\r\n0\r\n\r\n
a bare LF in an extension | 3;a\nb\r\nabc\r\n0\r\n\r\n
a bare CR in an extension | 3;a\rb\r\nabc\r\n0\r\n\r\n
";
    let cases = rows(head, cases, "");
    assert_refused(&cases, &[400]).await;
}

/// What is legal, or harmless, is recorded once, with the body that it has.
#[tokio::test]
async fn what_is_recorded_has_one_meaning() {
    const INNER: &str = "GET /?smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    let app = spawn_app().await;
    let length = INNER.len();
    let inner = format!("Content-Length: {length}\r\n\r\n{INNER}");
    let in_a_chunk =
        format!("Transfer-Encoding: chunked\r\n\r\n{length:x}\r\n{INNER}\r\n0\r\n\r\n");
    let mut requests = vec![
        ("a request as a body", post(inner), INNER),
        ("a request as a chunk", post(in_a_chunk), INNER),
        ("no length", post("\r\n"), ""),
    ];
    let text = r#"
an extension | Transfer-Encoding: chunked\r\n\r\n3;a="b;5"\r\nabc\r\n0\r\n\r\n
zeros before a size | Transfer-Encoding: chunked\r\n\r\n0003\r\nabc\r\n0\r\n\r\n
zeros before a length | Content-Length: 0003\r\n\r\nabc
capitals | TRANSFER-ENCODING: CHUNKED\r\n\r\n3\r\nabc\r\n0\r\n\r\n
an underscore | Content_Length: 0\r\nContent-Length: 3\r\n\r\nabc
"#;
    for (name, bytes) in rows("", text, "") {
        requests.push((name, post(bytes), "abc"));
    }
    for (name, request, data) in requests {
        let before = app.count().await;
        let answers = statuses(&app, &[request, LAST.to_vec()].concat()).await;
        assert_eq!(answers, [200, 200], "{name}");
        assert_eq!(app.count().await, before + 2, "{name}");
        let found = app
            .collection
            .find_one(doc! { "method": "POST", "data": data })
            .await;
        assert!(found.unwrap().is_some(), "{name}");
        app.collection
            .delete_many(doc! { "method": "POST" })
            .await
            .unwrap();
    }
    let smuggled = app
        .collection
        .count_documents(doc! { "url": { "$regex": "smuggled" } });
    assert_eq!(smuggled.await.unwrap(), 0);
}

/// What MongoDB would take for operators, paths or prototypes in a query is data here: stored and
/// read back byte for byte, and nothing else is touched by it.
#[tokio::test]
async fn operators_are_data() {
    let uri = shared_mongo_uri().await;
    let app = spawn_app_with(&uri, &[("API_REDACT_HEADERS", "none")]).await;
    assert_eq!(statuses(&app, LAST).await, [200]);
    let bystander = app.collection.find_one(doc! {}).await.unwrap().unwrap();

    let names = [
        "$set",
        "$where",
        "$unset",
        "$expr",
        "$$root",
        "$",
        "a.b",
        "a..b",
        ".",
        "headers.host",
        "$set.a.$",
        "constructor",
        "tojson",
    ];
    let lines: Vec<_> = names
        .iter()
        .map(|name| format!("{name}: {{\"$gt\": \"\"}}\r\n"))
        .collect();
    let lines = lines.concat();
    let bodies = [
        r#"{"$gt": ""}"#,
        r#"{"$set": {"data": "changed"}, "$unset": {"url": 1}}"#,
        r#"{"$where": "sleep(10000)"}"#,
        r#"{"_id": {"$ne": null}, "__proto__": {"a": 1}}"#,
        r"'; db.requests.drop(); var a='",
        "a[$ne]=1&a.b=2&$where=1&__proto__[x]=1",
        "\0$set\0",
    ];
    for body in bodies {
        let length = format!("Content-Length: {}\r\n", body.len());
        let target = "/?a[$ne]=1&$where=sleep(10000)&a.b=%7B%22$gt%22:%22%22%7D&__proto__=1";
        let request = format!("POST {target} HTTP/1.1\r\nHost: a\r\n{lines}{length}\r\n{body}");
        assert_eq!(
            statuses(&app, &[request.as_bytes(), LAST].concat()).await,
            [200, 200]
        );
        let found = app
            .collection
            .find_one(doc! { "method": "POST", "data": body });
        let document = found.await.unwrap().expect(body);
        let headers = document.get_document("headers").unwrap();
        for name in names {
            // As Python's `str.title` has it: a letter is a capital unless it follows a letter.
            let title = headers.keys().find(|key| key.eq_ignore_ascii_case(name));
            let value = headers.get_str(title.expect(name)).unwrap();
            assert_eq!(value, r#"{"$gt": ""}"#, "{name}");
        }
        let url = document.get_str("url").unwrap();
        assert!(
            url.starts_with("http://a/?a[$ne]=1&$where=sleep(10000)"),
            "{url}"
        );
    }
    let again = app
        .collection
        .find_one(doc! { "_id": bystander.get_object_id("_id").unwrap() });
    assert_eq!(again.await.unwrap(), Some(bystander));
    assert_eq!(app.count().await, 1 + 2 * bodies.len() as u64);
}

/// Not even where everything is logged does a client get a control character into the log.
#[tokio::test]
async fn the_log_holds_no_control_characters() {
    let uri = shared_mongo_uri().await;
    let database = unique_database();
    let mut process = Process::start(&[
        ("API_MONGO_URI", &uri),
        ("API_DATABASE", &database),
        ("RUST_LOG", "trace,mongodb=info,hickory_proto=info"),
    ]);
    let collection = requests_in(&uri, &database).await;
    let app = TestApp {
        address: process.address,
        admin: process.admin,
        collection,
    };
    for bytes in [
        &b"GET /planted\x1b[31m HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"[..],
        b"GET /?planted=\xc2\x9b31m\xe2\x80\xae HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: \xc2\x9b31m\r\nConnection: close\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: \xc2\x9b\xe2\x80\xae\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \x9b\xe2\x80\xae\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nPlanted: \xc2\x9b\x9b\xe2\x80\xae\r\nConnection: close\r\n\r\n",
        b"\x1b[2J / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\nConnection: close\r\n\r\n\x1b[2J\xc2\x9b\xe2\x80\xae",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\x1b\xc2\x9b\r\n",
    ] {
        assert_eq!(statuses(&app, bytes).await.len(), 1, "{}", bytes.escape_ascii());
    }
    process.terminate();
    process.ended(std::time::Duration::from_secs(20)).await;
    let raw = |c: char| c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c);
    let line = process.log.iter().find(|line| line.contains(raw));
    assert!(line.is_none(), "{line:?}");
    assert!(
        process.log.iter().any(|line| line.contains("parse error")),
        "everything is logged"
    );
}
