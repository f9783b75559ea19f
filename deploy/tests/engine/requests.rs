//! `deploy requests` against a console of the test's own, which says what a real one might and what it
//! hardly would. The real one is asked in the end-to-end tests.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use serde_json::Value;
use testkit::process::{Process, Signal};

use crate::stack::Stack;

const TOKEN: &str = "the-newest-token";
const ID: &str = "65a1b2c3d4e5f60718293a4b";

/// A server of HTTP: answers one request.
const ANSWER: &str = r#"
read -r method target version
while read -r line && line=${line%?} && test -n "$line"; do
  case $line in
    authorization:*) token=${line#*: };;
    last-event-id:*) last=${line#*: };;
  esac
done
answer() { printf 'HTTP/1.1 %s\r\nConnection: close\r\n\r\n%s' "$1" "$2"; }
one='{"id":"65a1b2c3d4e5f60718293a4b","received_at":"2026-11-27T16:00:00.5Z","method":"POST",
  "url":"http://h:8080/?\u001b[2J\u202e","remote_addr":"192.0.2.7","body_bytes":5'
if test "$token" != 'Bearer the-newest-token'; then
  answer '401 Unauthorized' '{"error":"no such token"}'
  exit
fi
case $target in
  *method=BREW*) answer '400 Bad Request' '{"error":"method = \"BREW\": expected another"}';;
  *nothing*) answer '200 OK' '{"requests":[],"next":null}';;
  */65a1b2c3d4e5f60718293a4b?format=json)
    answer '200 OK' "$one"',"headers":{"X-A":"a\u001b]0;b\u0007"},"body":"\u009b1m\nb","body_exact":true}';;
  */65a1b2c3d4e5f60718293a4d?format=json)
    answer '200 OK' "$one"',"headers":{"Content-Encoding":"gzip","X-A":"1,2"},"body_base64":"H4s=","body_exact":true,
      "original":{"method":"Post","target":"/?%1b","headers":[["X-A","1"],["X-A","2"]]}}';;
  */65a1b2c3d4e5f60718293a4c*) answer '404 Not Found' '{"error":"there is no such request"}';;
  *format=json*before=*) answer '200 OK' '{"requests":['"$one"'}],"next":null}';;
  *format=json*) answer '200 OK' '{"requests":['"$one"'}],"next":"65a1b2c3d4e5f60718293a4b","searched_to":"t"}';;
  *format=har*) answer '200 OK' '{"log":{}}';;
  *format=curl*limit=1*) answer '200 OK' 'curl http://h/';;
  *format=ndjson*)
    printf 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{}\n\r\n';;
  *stream*)
    event() { printf 'id: %s\ndata: {"id":"%s","url":"http://h/?%s"}\n\n' "$1" "$1" "$2"; }
    answer '200 OK' 'retry: 1000

:
'
    case $last in
      65a1b2c3d4e5f60718293a4b) event 2 second; printf 'event: missed\ndata: {}\n\n';;
      2) event 3 third; sleep 1000;;
      *) event 0 "$last";;
    esac;;
esac
"#;

fn stack(test: &str) -> Stack {
    let stack = Stack::with_console(test, ANSWER);
    // In the middle of a rotation: the console knows one of them.
    stack.write("secrets/console_token", &format!("unknown-yet\n{TOKEN}\n"));
    stack
}

#[test]
fn requests_are_shown_from_the_console_and_do_nothing_to_the_terminal() {
    let stack = stack("requests");
    let none = stack.fails(1, &["requests"]);
    none.assert_says(&["no console of", "deploy up"]);
    stack.ok(&["up"]);

    let list = stack.ok(&["requests", "--limit", "2"]);
    let row = format!(
        "2026-11-27 16:00:00  POST     192.0.2.7              5  {ID}  /?\\u{{1b}}[2J\\u{{202e}}"
    );
    let lines: Vec<_> = list.stdout.lines().collect();
    assert!(
        lines[0].starts_with("TIME                 METHOD   ADDRESS"),
        "{}",
        list.stdout
    );
    assert_eq!(lines[1..], [&row, &row]);
    list.assert_says(&["searched back to t"]);
    stack.says("requests --where body=nothing", &["no requests with that"]);

    let whole = stack.ok(&["requests", ID]).stdout;
    assert_eq!(
        whole,
        format!(
            "POST http://h:8080/?\\u{{1b}}[2J\\u{{202e}}\n{ID}, received 2026-11-27 16:00:00 from 192.0.2.7\n\n\
             X-A: a\\u{{1b}}]0;b\\u{{7}}\n\n\\u{{9b}}1m\nb\n"
        )
    );
    let odd = stack.ok(&["requests", "65a1b2c3d4e5f60718293a4d"]).stdout;
    assert!(
        odd.ends_with(
            "method as sent: Post\ntarget as sent: /?%1b\n\nContent-Encoding: gzip\nX-A: 1\nX-A: 2\n\n5 bytes \
             that aren't text (gzip, which the console shows decoded): --json and --curl have them\n"
        ),
        "{odd}"
    );
    assert_eq!(stack.ok(&["requests", "--har"]).stdout, "{\"log\":{}}");
    assert_eq!(stack.ok(&["requests", "--curl"]).stdout, "curl http://h/");
    let json: Value = serde_json::from_str(&stack.ok(&["requests", "--json"]).stdout).unwrap();
    assert_eq!(json[1]["url"], "http://h:8080/?\u{1b}[2J\u{202e}");
    let json = stack.ok(&["requests", ID, "--json"]).stdout;
    assert!(!json.contains(['\u{1b}', '\u{9b}', '\u{202e}']), "{json}");
    assert_eq!(serde_json::from_str::<Value>(&json).unwrap()["id"], ID);
}

#[test]
fn what_the_console_refuses_says_what_to_do() {
    let stack = stack("refused");
    stack.ok(&["up"]);
    stack.refuses(
        2,
        "requests --where method=BREW",
        &["method = \"BREW\": expected another"],
    );
    for (arguments, expected) in [
        (
            ["requests", "--where=method"],
            "expected KEY=VALUE such as method=POST",
        ),
        (["requests", "65a1"], "expected 24 hexadecimal digits"),
    ] {
        let refused = stack.deploy(&arguments);
        refused.assert_code(2);
        refused.assert_says(&[expected]);
    }
    let both = stack.deploy(&["requests", "--json", "--curl"]);
    both.assert_code(2);
    both.assert_says(&["--json and --curl"]);
    stack.refuses(
        1,
        "requests 65a1b2c3d4e5f60718293a4c",
        &["there is no such request"],
    );
    let broken = stack.fails(1, &["requests", "--ndjson"]);
    assert_eq!(broken.stdout, "{}\n");
    broken.assert_says(&["isn't whole", "deploy logs console"]);
    stack.write("secrets/console_token", "another\n");
    stack.refuses(1, "requests", &["refuses the token", "deploy up"]);
}

#[test]
fn what_is_recorded_is_followed_without_gap_or_repetition() {
    let stack = stack("follow");
    stack.ok(&["up"]);
    let mut command = stack.command(&["requests", "--follow", "--limit", "1", "--json"]);
    let mut following = Process::start(command.stdout(Stdio::piped()));
    let mut lines = BufReader::new(following.stdout.take().unwrap()).lines();
    // The console ends after each, and is asked for what came after it.
    for id in [ID, "2", "3"] {
        let line: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        assert_eq!(
            (&line["event"], &line["id"]),
            (&"request".into(), &id.into())
        );
    }
    following.signal(Signal::INT);
    assert_eq!(following.ended().code(), Some(130));
}
