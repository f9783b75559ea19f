//! Recorded requests as other programs take them: what is sent again equals what was recorded, and
//! nothing in it does more than that.

use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::{fs, thread};

use console::export::{curl, fetch, har, http, ndjson};
use console::requests::recorded::{Original, Recorded, Summary};
use mongodb::bson::DateTime;
use mongodb::bson::oid::ObjectId;
use serde_json::{Value, json};
use testkit::http::{Request, Wire};

/// What a shell, a terminal, a parser or a template may take for its own.
const NASTY: [&str; 18] = [
    "it's",
    "'; touch pwned; '",
    "$(touch pwned)`touch pwned`${IFS}",
    "\"$(touch pwned)\"",
    "a!b !! !$ \"!1\"",
    "\\' \\\\ \\n \\\n",
    "-n",
    "@/etc/passwd",
    "%s%n%d%%",
    "\0",
    "\t\r\n\u{b}\u{7f}",
    "\u{1b}[2J\u{1b}]0;pwned\u{7}\u{9b}31m",
    "\u{1b}[201~touch pwned\n",
    "\u{202e}txt.exe\u{2066}\u{200b}\u{2028}\u{feff}",
    "</script><!--<script>",
    "é 日本語 🦀",
    "*?[a-z]{1,2}~ # ; & | < > ( )",
    "x\n",
];

fn request(url: &str, headers: &[(&str, &str)], body: &[u8]) -> Recorded {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    Recorded {
        summary: Summary {
            id: ObjectId::parse_str("65a1b2c3d4e5f60718293a4b").unwrap(),
            received_at: DateTime::from_millis(1_700_000_000_123),
            method: if body.is_empty() { "GET" } else { "POST" }.to_owned(),
            url: url.to_owned(),
            remote_addr: "192.0.2.7".to_owned(),
            body_bytes: body.len() as u64,
        },
        headers: headers.iter().map(owned).collect(),
        body: body.to_vec(),
        is_exact: true,
        original: Original::default(),
    }
}

/// A server of one request: where it is, and what it was sent.
fn server() -> (SocketAddr, thread::JoinHandle<Request>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let serving = thread::spawn(move || {
        let mut wire = Wire::new(listener.accept().unwrap().0);
        let request = wire.request().unwrap();
        wire.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        request
    });
    (address, serving)
}

/// What a line does in a shell, in a directory of its own where nothing may be left.
fn run_in(shell: &str, line: &str, path: Option<&Path>) {
    let directory = tempfile::tempdir().unwrap();
    let mut command = Command::new(shell);
    command.arg("-s").current_dir(directory.path());
    if let Some(path) = path {
        command.env("PATH", path);
    }
    let input = directory.path().join("line");
    fs::write(&input, line).unwrap();
    let input = fs::File::open(input).unwrap();
    let output = command.stdin(Stdio::from(input)).output().unwrap();
    assert!(output.status.success(), "{shell}: {line}\n{output:?}");
    let left: Vec<_> = fs::read_dir(directory.path()).unwrap().collect();
    assert_eq!(left.len(), 1, "{shell}: {line}\n{left:?}");
}

/// Whether each character of it can be seen.
fn is_visible(text: &str) -> bool {
    let hidden = |c: char| {
        c != '\n'
            && (c.is_control()
                || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}'))
    };
    !text.contains(hidden)
}

/// The fields of a request, by name, but for those of its framing.
fn fields(fields: &[(String, String)]) -> Vec<(String, String)> {
    let mut all: Vec<_> = fields.to_vec();
    all.retain(|(name, _)| !["Content-Length", "Connection"].contains(&name.as_str()));
    all.sort();
    all
}

/// Sends it again by curl, in a shell, and compares.
fn assert_sent_again(shell: &str, make: impl Fn(SocketAddr) -> Recorded) {
    let (address, serving) = server();
    let recorded = make(address);
    let line = curl::command(&recorded);
    assert!(is_visible(&line), "{line:?}");
    run_in(shell, &line, None);
    let received = serving.join().unwrap();
    assert_eq!(received.method, recorded.summary.method, "{line}");
    assert_eq!(
        fields(&received.head.fields),
        fields(&recorded.headers),
        "{line}"
    );
    assert_eq!(received.body, recorded.body, "{line}");
}

#[test]
fn curl_sends_what_was_recorded() {
    let every_byte: Vec<u8> = (0..=255).collect();
    // As Latin-1, which is how values are recorded.
    let every_value: String = ('\u{20}'..='\u{ff}').filter(|c| *c != '\u{7f}').collect();
    for shell in ["sh", "bash"] {
        for body in NASTY
            .iter()
            .map(|text| text.as_bytes())
            .chain([&every_byte[..], b"\xff"])
        {
            assert_sent_again(shell, |address| {
                let host = address.to_string();
                let url = format!("http://{host}/");
                request(
                    &url,
                    &[
                        ("Accept", "*/*"),
                        ("Content-Type", "text/plain"),
                        ("Host", &host),
                    ],
                    body,
                )
            });
        }
        assert_sent_again(shell, |address| {
            let host = address.to_string();
            let fields = [
                ("Accept-Encoding", "gzip"),
                ("Host", &host),
                ("User-Agent", ""),
                ("X-Every", every_value.trim()),
                ("X-It's!", "$(touch pwned)"),
                ("X-Tab", "a\tb"),
            ];
            request(&format!("http://{host}/"), &fields, b"")
        });
    }
}

#[test]
fn curl_asks_for_the_url_that_was_asked_for() {
    let url = |address: SocketAddr| {
        // Decoded for reading, as it is recorded.
        format!("http://{address}/?a='b'&q=é 日\"<>|^`{{}}[1-9]&back\\slash&p=%20%23$(touch pwned)")
    };
    let expected = "/?a='b'&q=%C3%A9%20%E6%97%A5%22%3C%3E|^`{}[1-9]&back\\slash\
                    &p=%20%23$(touch%20pwned)";
    for shell in ["sh", "bash"] {
        let (address, serving) = server();
        let host = address.to_string();
        run_in(
            shell,
            &curl::command(&request(&url(address), &[("Host", &host)], b"")),
            None,
        );
        assert_eq!(serving.join().unwrap().target, expected);
    }
}

#[test]
fn curl_sends_a_body_with_any_method_and_a_large_one() {
    for (method, body) in [
        ("GET", &b"a body"[..]),
        ("DELETE", b""),
        ("POST", b""),
        ("HEAD", b""),
        ("PROPFIND", b"<a/>"),
        ("HEAD", b"a body"),
        ("POST", &vec![b'x'; 1 << 20]),
        ("POST", &vec![0xfe; 200 << 10]),
    ] {
        assert_sent_again("sh", |address| {
            let host = address.to_string();
            let mut recorded = request(&format!("http://{host}/"), &[("Host", &host)], body);
            method.clone_into(&mut recorded.summary.method);
            recorded
        });
    }
}

#[test]
fn curl_leaves_out_what_the_next_connection_has_of_its_own() {
    let recorded = request(
        "http://localhost:8080/?a=b",
        &[
            ("Accept", "*/*"),
            ("Authorization", "[redacted]"),
            ("Connection", "keep-alive"),
            ("Content-Length", "2"),
            ("Content-Type", "application/json"),
            ("Host", "localhost:8080"),
            ("User-Agent", "curl/8.14.1"),
            ("Via", "1.1 causeway"),
            ("X-Forwarded-For", "192.0.2.7"),
            ("X-Request-Id", "65a1b2c3d4e5f60718293a4b"),
        ],
        b"{}",
    );
    let expected = "# left out, because their values were not recorded or can not be sent: Authorization\n\
                    curl 'http://localhost:8080/?a=b' \\\n  \
                      -H 'Accept: */*' \\\n  \
                      -H 'Content-Type: application/json' \\\n  \
                      -H 'User-Agent: curl/8.14.1' \\\n  \
                      --data-raw '{}'\n";
    assert_eq!(curl::command(&recorded), expected);
}

/// Documents that the API doesn't write, but that may lie in the collection.
#[test]
fn no_document_makes_a_shell_do_more_than_run_curl() {
    let path = tempfile::tempdir().unwrap();
    let stub = path.path().join("curl");
    fs::write(&stub, "#!/bin/sh\nexec /bin/cat >/dev/null\n").unwrap();
    fs::set_permissions(&stub, fs::Permissions::from_mode(0o755)).unwrap();
    for text in NASTY {
        let mut recorded = request(
            text,
            &[(text, text), ("Host", text), ("X-A", text)],
            text.as_bytes(),
        );
        recorded
            .headers
            .push((text.to_owned(), "[redacted]".to_owned()));
        recorded.is_exact = false;
        text.clone_into(&mut recorded.summary.method);
        let line = curl::command(&recorded);
        assert!(is_visible(&line), "{line:?}");
        let first = line.lines().find(|line| !line.starts_with('#')).unwrap();
        assert!(
            first.starts_with("curl ") || first.starts_with("printf '"),
            "{line}"
        );
        for shell in ["/bin/sh", "/bin/bash"] {
            run_in(shell, &line, Some(path.path()));
        }
        let call = fetch::call(&recorded);
        assert!(is_visible(&call), "{call:?}");
        for text in [ndjson::line(&recorded), har::document(&recorded)] {
            assert!(is_visible(&text), "{text:?}");
            serde_json::from_str::<Value>(&text).unwrap();
        }
        http::text(&recorded);
    }
}

#[test]
fn the_message_of_http_is_the_recorded_one() {
    let body = [&b"\xff\0"[..], b"\r\n\r\n"].concat();
    let mut recorded = request(
        "https://localhost:8443/?q=é",
        &[
            ("Content-Length", "1"),
            ("Host", "localhost:8443"),
            ("Transfer-Encoding", "chunked"),
            ("X-Bad", "a\r\nX-Injected: b"),
            ("X-Latin", "\u{e9}"),
        ],
        &body,
    );
    let head = b"POST /?q=%C3%A9 HTTP/1.1\r\nHost: localhost:8443\r\nX-Latin: \xe9\r\nContent-Length: 6\r\n\r\n";
    assert_eq!(http::text(&recorded), [&head[..], &body].concat());
    recorded.body.clear();
    recorded.headers.clear();
    "GET".clone_into(&mut recorded.summary.method);
    assert_eq!(http::text(&recorded), b"GET /?q=%C3%A9 HTTP/1.1\r\n\r\n");
}

#[test]
fn a_line_of_ndjson_has_all_of_a_request() {
    let line = |body: &[u8]| -> Value {
        let line = ndjson::line(&request(
            "http://h/?a=b",
            &[("Host", "h"), ("X-A", "1,2")],
            body,
        ));
        assert_eq!(line.find('\n'), Some(line.len() - 1));
        serde_json::from_str(&line).unwrap()
    };
    assert_eq!(
        line("é\n\u{2028}".as_bytes()),
        json!({
            "id": "65a1b2c3d4e5f60718293a4b",
            "received_at": "2023-11-14T22:13:20.123Z",
            "method": "POST",
            "url": "http://h/?a=b",
            "remote_addr": "192.0.2.7",
            "body_bytes": 6,
            "headers": {"Host": "h", "X-A": "1,2"},
            "body": "é\n\u{2028}",
            "body_exact": true,
        })
    );
    let binary = line(b"\xff\xfe");
    assert_eq!(
        (&binary["body"], &binary["body_base64"]),
        (&Value::Null, &json!("//4="))
    );
}

/// Header fields, a body, and the `postData` that they make.
type Case<'a> = (&'a [(&'a str, &'a str)], &'a [u8], Value);

/// As the specification has it, and as Chromium's importer asks for it: it refuses dates and numbers
/// that it can't read, and takes everything else as text.
#[test]
fn a_har_document_is_one() {
    let form = (
        "Content-Type",
        "application/x-www-form-urlencoded; charset=utf-8",
    );
    let bodies: [Case<'_>; 4] = [
        (&[], b"", Value::Null),
        (
            &[form],
            b"a=1&b=%26+c",
            json!({
                "mimeType": form.1, "text": "a=1&b=%26+c",
                "params": [{"name": "a", "value": "1"}, {"name": "b", "value": "& c"}],
            }),
        ),
        (
            &[("Content-Type", "application/json")],
            b"{}",
            json!({"mimeType": "application/json", "params": [], "text": "{}"}),
        ),
        (
            &[],
            b"\xff",
            json!({
                "mimeType": "application/octet-stream", "params": [], "text": "/w==", "encoding": "base64",
            }),
        ),
    ];
    for (headers, body, post_data) in bodies {
        let recorded = request("http://h/?q=a b&r", headers, body);
        let document: Value = serde_json::from_str(&har::document(&recorded)).unwrap();
        let log = &document["log"];
        assert_eq!(
            (&log["version"], &log["creator"]["name"]),
            (&json!("1.2"), &json!("Causeway"))
        );
        let entry = &log["entries"][0];
        assert!(humantime::parse_rfc3339(entry["startedDateTime"].as_str().unwrap()).is_ok());
        let (request, response, timings) =
            (&entry["request"], &entry["response"], &entry["timings"]);
        assert_eq!(request["url"], "http://h/?q=a%20b&r");
        let query = json!([{"name": "q", "value": "a b"}, {"name": "r", "value": ""}]);
        assert_eq!(request["queryString"], query);
        assert_eq!(request["headers"].as_array().unwrap().len(), headers.len());
        assert_eq!(request["postData"], post_data);
        assert_eq!(request["bodySize"], body.len());
        for (object, names) in [
            (entry, &["time"][..]),
            (request, &["headersSize", "bodySize"]),
            (response, &["status", "headersSize", "bodySize"]),
            (&response["content"], &["size"]),
            (timings, &["send", "wait", "receive"]),
        ] {
            for name in names {
                assert!(object[*name].is_i64(), "{name}: {object}");
            }
        }
        for (object, names) in [
            (request, &["method", "url", "httpVersion"][..]),
            (response, &["statusText", "httpVersion", "redirectURL"]),
            (&response["content"], &["mimeType"]),
        ] {
            for name in names {
                assert!(object[*name].is_string(), "{name}: {object}");
            }
        }
        assert!(entry["cache"].is_object());
        assert!(
            [request, response]
                .iter()
                .all(|it| it["cookies"].is_array() && it["headers"].is_array())
        );
    }
}

#[test]
fn fetch_is_called_with_what_was_recorded() {
    let recorded = request(
        "http://localhost:8080/?a='\"",
        &[
            ("Accept-Encoding", "gzip"),
            ("Authorization", "[redacted]"),
            ("Content-Type", "text/plain"),
            ("Sec-Fetch-Mode", "cors"),
            ("X-A", "\u{e9}\"\\"),
        ],
        "it's \"\u{2028}\\".as_bytes(),
    );
    let expected = r#"// left out, because their values were not recorded or can not be sent: Authorization
await fetch("http://localhost:8080/?a='%22", {
  method: "POST",
  headers: {
    "Content-Type": "text/plain",
    "X-A": "é\"\\",
  },
  body: "it's \"\u2028\\",
});
"#;
    assert_eq!(fetch::call(&recorded), expected);
}

/// Where Node.js is there; the text of a call is what the test above has.
#[test]
fn node_sends_what_was_recorded() {
    if Command::new("node").arg("--version").output().is_err() {
        return;
    }
    let every_byte: Vec<u8> = (0..=255).collect();
    let every_value: String = ('\u{20}'..='\u{ff}').filter(|c| *c != '\u{7f}').collect();
    let bodies = NASTY.iter().map(|text| text.as_bytes());
    for body in bodies.chain([&every_byte[..]]) {
        let (address, serving) = server();
        let headers = [
            ("Accept", "a/b"),
            ("User-Agent", "x"),
            ("X-Every", every_value.trim()),
        ];
        let recorded = request(&format!("http://{address}/?q=é"), &headers, body);
        let call = fetch::call(&recorded);
        let module = ["--input-type=module", "--eval", &call];
        let output = Command::new("node").args(module).output().unwrap();
        assert!(output.status.success(), "{call}\n{output:?}");
        let received = serving.join().unwrap();
        assert_eq!(received.target, "/?q=%C3%A9");
        assert_eq!(received.body, body);
        assert!(!received.head.has("content-type"));
        for (name, value) in headers {
            assert_eq!(received.head.get(name), Some(value), "{call}");
        }
    }
}
