//! What came can be had back from the documents, by a reader of another making.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::support::{read_with_pymongo, send, shared_mongo_uri, spawn_app_with};

/// Request line, fields, body.
const REQUESTS: [(&str, &[u8], &[u8]); 12] = [
    ("GET /?a=b", b"", b""),
    ("gEt /?q=caf%C3%A9&x=%2f", b"", b""),
    ("POST //", b"", b""),
    ("POST /?", b"", b"text"),
    ("M-SEARCH /?a|b^c`{}", b"Content-Type: \r\n", b"\xff\xfe\0"),
    ("POST /?%zz%%41%4", b"", b"\xef\xbf\xbd came so"),
    (
        "PUT /",
        b"X-A: 1\r\nX-B: b\r\nx-a: 2,3\r\n",
        b"\x1f\x8b\x08\0",
    ),
    (
        "GET /",
        b"X_Under: 1\r\nX-Under: 2\r\nAccept:\r\nAccept: a\r\n",
        b"",
    ),
    (
        "GET /",
        b"X-Latin: caf\xe9 \x80\xff\r\n!#$%&'*+.^`|~: odd\r\n",
        b"",
    ),
    (
        "GET /",
        b"Content-Type: a/b\r\nContent-Type: c/d\r\n",
        b"\xc3",
    ),
    (
        "GET http://Other.Example:81/?a=%41",
        b"Content-Length: 0\r\n",
        b"",
    ),
    ("POST /?%C3%C3%A9%00", b"", &[0x80; 70_000]),
];

#[tokio::test]
async fn a_request_is_rebuilt_from_its_document_byte_for_byte() {
    let uri = shared_mongo_uri().await;
    let app = spawn_app_with(&uri, &[]).await;
    let mut expected = BTreeMap::new();
    for (line, fields, body) in REQUESTS {
        let mut head = [line.as_bytes(), b" HTTP/1.1\r\nHost: A.test\r\n", fields].concat();
        if !body.is_empty() {
            head.extend(format!("Content-Length: {}\r\n", body.len()).bytes());
        }
        let id = send(app.address, [&head, &b"\r\n"[..], body].concat())
            .await
            .id();
        let (method, target) = line.split_once(' ').unwrap();
        let lines = head.split(|byte| *byte == b'\n').skip(1);
        let mut lines: Vec<_> = lines
            .filter_map(|line| {
                let colon = line.iter().position(|byte| *byte == b':')?;
                let name = String::from_utf8_lossy(&line[..colon]).to_lowercase();
                Some(json!([name, hex::encode(line[colon + 1..].trim_ascii())]))
            })
            .collect();
        lines.sort_by_key(|line| line[0].to_string());
        expected.insert(
            id.to_hex(),
            json!([method, target, lines, hex::encode(body)]),
        );
    }
    let read = read_with_pymongo(&uri, &app.collection.namespace().db);
    let mut read: BTreeMap<String, Value> = serde_json::from_str(&read).unwrap();
    for message in read.values_mut() {
        let lines = message[2].as_array_mut().unwrap();
        // Lines of one name stay in their order.
        lines.sort_by_key(|line| line[0].to_string());
    }
    assert_eq!(read, expected);
}

#[tokio::test]
async fn what_flasks_fields_tell_takes_no_further_field() {
    let app = spawn_app_with(&shared_mongo_uri().await, &[]).await;
    let request = "POST /?a=b&c=%20 HTTP/1.1\r\nHost: test\r\nCookie: secret\r\nCookie: secret\r\n\
                   Content-Type: text/plain\r\nContent-Length: 5\r\n\r\ncaf\u{e9}";
    let document = app.document(send(app.address, request).await.id()).await;
    assert_eq!(document.keys().last().unwrap(), "remote_addr");
    assert_eq!(document.get_str("data").unwrap(), "café");
}
