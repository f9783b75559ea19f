//! The same raw requests to Flask and to the API leave equal documents in the same MongoDB, but for the
//! fields that Flask's don't have: what its own can't tell stands in `body` and `original`.

use mongodb::bson::Document;

use crate::support::{Flask, send, shared_mongo_uri, spawn_app_with};

/// A request with these lines after the request line, and this body.
fn request(line: &str, fields: &[u8], body: &[u8]) -> Vec<u8> {
    [
        line.as_bytes(),
        b" HTTP/1.1\r\nHost: localhost:8080\r\n",
        fields,
        b"\r\n",
        body,
    ]
    .concat()
}

fn get(target: &str) -> Vec<u8> {
    request(&format!("GET {target}"), b"", b"")
}

fn field(fields: &[u8]) -> Vec<u8> {
    request("GET /", &[fields, b"\r\n"].concat(), b"")
}

fn host(host: &str) -> Vec<u8> {
    format!("GET /?q HTTP/1.1\r\nHost: {host}\r\n\r\n").into_bytes()
}

fn body(fields: &str, body: &[u8]) -> Vec<u8> {
    let fields = format!("{fields}Content-Length: {}\r\n", body.len());
    request("POST /", fields.as_bytes(), body)
}

fn requests() -> Vec<Vec<u8>> {
    let mut requests = Vec::new();
    for method in [
        "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "BREW",
        "M-SEARCH", "get", "Post",
    ] {
        requests.push(request(&format!("{method} /"), b"", b""));
    }
    requests.extend(
        [
            "/?a=b",
            "/?",
            "/??",
            "/?a=b&a=c&&=&d",
            "/?a=b?c/d",
            "/?%20+%2B%2b%26%3d%3D%23%25",
            "/?%00%01%1f%7f%80%FF",
            "/?%C3%A9=%E2%98%83&x=%c3%a9",
            "/?%C3",
            "/?%C3%C3%A9%E2%98",
            "/?%ED%A0%80%F0%9F%98%80%F4%90%80%80",
            "/?%zz%%41%4",
            "/?%%20%2",
            "/?a|b^c`d{e}f\\g[h]",
            "/?a=b#fragment",
            "/?$where=1&a.b[$gt]=",
            "/?%22%3C%3E%5B%5D%7C%7b",
            "//",
            "//?a=b",
            "///",
            "http://other.example:81/?a=b",
            "http://Other.Example/",
        ]
        .map(get),
    );
    requests.extend(
        [
            "localhost",
            "LocalHost:80",
            "example.com:443",
            "EXAMPLE.com:8080",
            "[::1]:9090",
            "[2001:DB8::1]",
            "127.0.0.1:1",
            "my_app:9090",
            "a b",
            "xn--n3h.net",
            "XN--BCHER-KVA.example:8080",
            "a:0",
            "a:080",
            "a:65535",
            "a:65536",
            "a:",
            "user@host",
            "-a.-b-",
        ]
        .map(host),
    );
    requests.extend(
        [
            &b"X-Foo: 1\r\nx-foo: 2\r\nX-FOO:3"[..],
            b"x-foo2bar: 1\r\nX.Dotted.Name: 2\r\n$set: 3\r\nX-$where: 4\r\na'b: 5",
            b"!#$%&'*+-.^`|~: all the token characters",
            b"X_Under_Score: dropped\r\nX-Under-Score: kept",
            b"1st: 2nd\r\nETag: x\r\nWWW-Thing: y\r\nsec-ch-ua-platform: \"Linux\"",
            b"X-Empty:\r\nX-Space:    a  b",
            b"X-Tab:\ta\tb",
            b"X-Latin: caf\xe9\r\nX-Utf8: caf\xc3\xa9\r\nX-All: \x80\x85\xa0\xff",
            b"Content-Type: a/b\r\nContent-Type: c/d",
            b"Content-Type:",
            b"Accept: a\r\nAccept: b, c\r\nAccept:",
            b"X-Forwarded-Proto: https\r\nX-Forwarded-Host: evil\r\nForwarded: host=evil",
            b"Connection: keep-alive\r\nTE: trailers\r\nKeep-Alive: 5",
            b"Connection: Upgrade\r\nUpgrade: h2c",
            b"If-None-Match: *\r\nRange: bytes=0-1",
            b"User-Agent: curl/8\r\nAccept-Language: de\r\nDNT: 1",
        ]
        .map(field),
    );
    requests.extend([
        body("", b"hello"),
        body("", b""),
        body("", b"line\r\nline\n\0nul"),
        body("", "é☃😀".as_bytes()),
        body("", b"\xff\xfe \xc3 \xc3\xa9 \xe2\x98 \xf0\x9f\x98 \xed\xa0\x80 \xc0\xaf \xf4\x90\x80\x80 \xe2"),
        body("", &(0..=255).collect::<Vec<u8>>()),
        body("Content-Type: application/json\r\n", br#"{"$where": "1", "a.b": [null]}"#),
        body("Content-Type: application/x-www-form-urlencoded\r\n", b"a=b&c=%C3%A9"),
        body(
            "Content-Type: multipart/form-data; boundary=x\r\n",
            b"--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nb\r\n--x--\r\n",
        ),
        body("Content-Type: text/plain; charset=latin1\r\n", b"caf\xe9"),
        body("Content-Encoding: gzip\r\n", b"\x1f\x8b not really"),
        body("Expect: 100-continue\r\n", b"expected"),
        body("", &vec![b'x'; 300_000]),
        request("DELETE /", b"Content-Length: 3\r\n", b"why"),
        request("GET /", b"Content-Length: 3\r\n", b"odd"),
        request("POST /", b"Transfer-Encoding: chunked\r\n", b"3\r\nabc\r\n4\r\n\xff\xc3\xa9d\r\n0\r\n\r\n"),
        request("POST /", b"Transfer-Encoding: Chunked\r\n", b"0\r\n\r\n"),
        b"GET /?old HTTP/1.0\r\nHost: localhost\r\n\r\n".to_vec(),
        b"POST / HTTP/1.0\r\nHost: localhost\r\nContent-Length: 2\r\n\r\nhi".to_vec(),
    ]);
    requests
}

/// The fields that both write. Order within `headers` is each one's own.
fn comparable(mut document: Document) -> Document {
    for field in ["_id", "received_at", "remote_addr", "body", "original"] {
        document.remove(field);
    }
    let headers = document.get_document_mut("headers").unwrap();
    let mut sorted: Vec<_> = std::mem::take(headers).into_iter().collect();
    sorted.sort_by(|a, b| a.0.cmp(&b.0));
    headers.extend(sorted);
    document
}

#[tokio::test]
async fn documents_are_equal_to_flasks() {
    let uri = shared_mongo_uri().await;
    let app = spawn_app_with(&uri, &[("API_REDACT_HEADERS", "none")]).await;
    let flask = Flask::start(&uri, &app.collection.namespace().db);
    let mut differences = Vec::new();
    for request in requests() {
        let shown = String::from_utf8_lossy(&request[..request.len().min(300)]).into_owned();
        let theirs = send(flask.address, &request).await;
        let ours = send(app.address, &request).await;
        if theirs.status != 200 || ours.status != 200 {
            differences.push(format!(
                "{shown:?}\n  {} and {}",
                theirs.status, ours.status
            ));
            continue;
        }
        // HEAD has no body that would tell the id: it is the latest document.
        let (theirs, ours) = if request.starts_with(b"HEAD") {
            let mut documents = Vec::new();
            for ours in [false, true] {
                let filter = mongodb::bson::doc! {
                    "method": "HEAD", "received_at": { "$exists": ours },
                };
                documents.push(app.collection.find_one(filter).await.unwrap().unwrap());
            }
            (documents.remove(0), documents.remove(0))
        } else {
            (
                app.document(theirs.id()).await,
                app.document(ours.id()).await,
            )
        };
        let mut order: Vec<&str> = theirs.keys().map(String::as_str).collect();
        order.extend(["received_at", "remote_addr"]);
        order.extend(
            ["body", "original"]
                .into_iter()
                .filter(|it| ours.contains_key(it)),
        );
        assert_eq!(ours.keys().collect::<Vec<_>>(), order, "{shown:?}");
        let (theirs, ours) = (comparable(theirs), comparable(ours));
        if theirs != ours {
            differences.push(format!("{shown:?}\n  Flask {theirs}\n  ours  {ours}"));
        }
    }
    assert!(
        differences.is_empty(),
        "{} differ:\n{}",
        differences.len(),
        differences.join("\n")
    );
}
