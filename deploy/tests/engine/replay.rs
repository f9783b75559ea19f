//! `deploy replay` from a console of the test's own to a server of the test's own. From the real stack's
//! console, requests of every shape are sent again in the end-to-end tests.

use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc;
use std::thread;

use serde_json::{Value, json};
use testkit::http::{Request, Wire};

use crate::stack::Stack;

/// A server of HTTP: answers one request. The first page breaks off after its first request.
const ANSWER: &str = r#"
read -r method target version
while read -r line && line=${line%?} && test -n "$line"; do :; done
answer() { printf 'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n%s' "$1"; }
id=00000000000000000000000
first='{"id":"'$id'1","received_at":"2026-11-27T16:00:00Z","method":"POST","url":"http://h:8080/?\u00e9",
"headers":{"Authorization":"[redacted]","Host":"h:8080","Via":"1.1 causeway","X-A":"1,2"},
"body_base64":"/wA=","body_exact":true,
"original":{"method":"Post","target":"/?%C3%A9","headers":[["X-A","1"],["X-A","2"]]}}'
first=$(printf %s "$first" | tr -d '\n')
other() {
  printf '{"id":"%s%s","received_at":"2026-11-27T16:00:00Z","method":"GET","url":"http://h/%s","headers":{},"body":"","body_exact":%s}\n' \
    $id $1 "$2" $3
}
case $target in
  */api/requests\?limit=1) answer '{"requests":[{"id":"'$id'5"}],"next":null}';;
  *format=json*limit=2*method=GET*before=${id}6) answer '{"requests":[{"id":"'$id'5"},{"id":"'$id'4"}],"next":"'$id'4"}';;
  *format=ndjson*method=NONE*) answer '';;
  *format=ndjson*after=${id}3*before=${id}6*) answer "$(other 4 '\u001b[2J%1b' true)
";;
  *format=ndjson*after=${id}1*before=${id}6*) answer "$(other 2 '?missing' true)
$(other 3 '' false)
$(other 4 '?hang-up' true)
";;
  *format=ndjson*before=${id}6*)
    printf 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\n\r\n' $((${#first} + 1)) "$first";;
  *) printf 'HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n{"error":"not expected"}';;
esac
"#;

/// Where requests arrive, and those that did.
fn server() -> (SocketAddr, mpsc::Receiver<Request>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (tell, arrived) = mpsc::channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut wire = Wire::new(stream.unwrap());
            let tell = tell.clone();
            thread::spawn(move || {
                while let Ok(request) = wire.request() {
                    let status = match &*request.target {
                        "/?hang-up" => return,
                        "/?missing" => "404 Not Found",
                        _ => "200 OK",
                    };
                    if tell.send(request).is_err() {
                        return;
                    }
                    wire.send(format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n"));
                }
            });
        }
    });
    (address, arrived)
}

#[test]
fn what_was_recorded_is_sent_again_and_what_came_of_it_is_told() {
    let stack = Stack::with_console("replay", ANSWER);
    stack.ok(&["up"]);
    let (address, arrived) = server();
    let to = format!("http://{address}");

    let dry = stack.ok(&["replay", "--to", "http://127.0.0.1:1", "--dry-run"]);
    dry.assert_says(&[
        "000000000000000000000001  Post /?%C3%A9  3 fields, 2 bytes; without Authorization",
        "000000000000000000000003: not sent: its body's bytes weren't recorded",
        "3 requests would be sent; nothing was",
    ]);

    let done = stack.fails(1, &["replay", "--to", &to]);
    done.assert_says(&[
        "000000000000000000000002  GET /?missing: 404, 200 when it was recorded",
        "000000000000000000000004  GET /?hang-up: ",
        "3 requests sent in ",
        ": 2 answered, 1 failed",
        "answered with 200: 1, 404: 1; 1 otherwise than when recorded (200)",
        "left out, since they weren't recorded: 1 values (Authorization 1)",
        "not sent, since they weren't recorded whole: 1 request",
        "1 of 3 requests got no answer",
    ]);
    let first = arrived.recv().unwrap();
    assert_eq!((&*first.method, &*first.target), ("Post", "/?%C3%A9"));
    assert_eq!(first.body, [0xff, 0]);
    assert_eq!(first.head.all("x-a"), ["1", "2"]);
    assert_eq!(first.head.get("host"), Some(&*address.to_string()));
    assert_eq!(first.head.fields.len(), 4, "{first:?}");
    assert_eq!(arrived.recv().unwrap().target, "/?missing");

    let done = stack.deploy(&["replay", "--to", &to, "--json", "--rate", "1000"]);
    done.assert_code(1);
    let events: Vec<Value> = done
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let kinds: Vec<_> = events
        .iter()
        .map(|it| it["event"].as_str().unwrap())
        .collect();
    assert_eq!(kinds.last(), Some(&"error"));
    let replayed = &events[events.len() - 2];
    assert_eq!(replayed["statuses"], json!({"200": 1, "404": 1}));
    assert_eq!(replayed["left_out"], json!({"Authorization": 1}));
    for (kind, id) in [("skipped", 3), ("differs", 2), ("failed", 4)] {
        let id = format!("{id:024}");
        assert!(
            events
                .iter()
                .any(|it| it["event"] == kind && it["id"] == *id),
            "{kind}: {events:#?}"
        );
    }
}

#[test]
fn the_newest_that_match_are_sent_oldest_first_and_what_is_wrong_is_said() {
    let stack = Stack::with_console("replay-some", ANSWER);
    stack.ok(&["up"]);
    let newest = ["replay", "--to", "http://127.0.0.1:1", "--dry-run"];
    let newest = [&newest[..], &["--limit", "2", "--where", "method=GET"]].concat();
    let dry = stack.ok(&newest);
    dry.assert_says(&[
        "GET /%1B[2J%1b  1 fields, 0 bytes",
        "1 request would be sent",
    ]);
    let none = [
        "replay",
        "--to",
        "http://127.0.0.1:1",
        "--dry-run",
        "--where",
        "method=NONE",
    ];
    stack.ok(&none).assert_says(&["0 requests would be sent"]);

    let nobody = stack.fails(1, &["replay", "--to", "http://127.0.0.1:1"]);
    nobody.assert_says(&["can't reach http://127.0.0.1:1", "another --to"]);
    for (arguments, expected) in [
        ("replay", "--to"),
        ("replay --to https://a", "deploy has no TLS"),
        (
            "replay --to http://a/b",
            "paths are those that were recorded",
        ),
        ("replay --to http://a --rate 0", "from 0.001 to 100000"),
        (
            "replay --to http://a --rate 1 --as-recorded",
            "--as-recorded",
        ),
    ] {
        let refused = stack.deploy(&arguments.split(' ').collect::<Vec<_>>());
        refused.assert_code(2);
        refused.assert_says(&[expected]);
    }
}
