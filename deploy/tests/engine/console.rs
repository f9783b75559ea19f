//! `deploy console`: the link that logs a browser in. A shell script answers for the console here.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use testkit::wait::until;

use crate::stack::{Stack, local_port, outcome_of};

const SERVICE: &str = "
services:
  console:
    <<: *app
    # Like the console, it reads the token when it starts.
    command: [sh, -c, 'read -r TOKEN </run/secrets/console_token; export TOKEN; exec busybox nc -ll -p 8081 -e /bin/sh /answer']
    ports: ['127.0.0.1:PORT:8081']
    secrets: [console_token]
    volumes: ['./answer:/answer:ro']
secrets:
  console_token: {file: ./secrets/console_token, x-generate: token}
";

/// Gives a link to whoever asks for one with the token.
const ANSWER: &str = r#"
read -r request
while read -r line; do
  line=${line%?}
  [ -n "$line" ] || break
  case $line in authorization:*) given=${line#*: } ;; esac
done
case "$request $given" in
  "POST /api/login-links HTTP/1.1"*" Bearer $TOKEN")
    status='201 Created' body='{"path": "/login/link?code=abc", "expires_in": 60}' ;;
  *) status='401 Unauthorized' body='{"error": "not logged in"}' ;;
esac
printf 'HTTP/1.1 %s\r\nContent-Length: %s\r\n\r\n%s' "$status" "${#body}" "$body"
"#;

#[test]
fn a_link_is_printed_and_opened_where_there_is_a_display() {
    let stack = Stack::new("console");
    let port = local_port();
    stack.write("answer", ANSWER);
    stack.compose(&SERVICE.replace("PORT", &port.to_string()));
    let url = format!("http://localhost:{port}/login/link?code=abc");
    stack.refuses(1, "console --no-open", &["no token in", "deploy up"]);
    stack.says(
        "up",
        &[&format!(
            "http://127.0.0.1:{port}/, which `make console` opens"
        )],
    );
    let token = fs::read_to_string(stack.path().join("secrets/console_token")).unwrap();

    // What opens pages here writes down which.
    let pages = stack.path().join("opened");
    stack.write(
        "bin/xdg-open",
        &format!("#!/bin/sh\necho \"$@\" >>{}\n", pages.display()),
    );
    let opener = stack.path().join("bin/xdg-open");
    fs::set_permissions(&opener, Permissions::from_mode(0o755)).unwrap();
    let path = format!(
        "{}:{}",
        opener.parent().unwrap().display(),
        std::env::var("PATH").unwrap()
    );
    let console = |options: &[&str], display: &str| {
        let mut command = stack.command(&[&["console"], options].concat());
        command
            .env("PATH", &path)
            .env("DISPLAY", display)
            .env_remove("WAYLAND_DISPLAY");
        let outcome = outcome_of(&mut command);
        outcome.assert_code(0);
        assert!(!outcome.text.contains(token.trim()), "{}", outcome.text);
        outcome
    };
    for (options, display) in [(&[][..], ""), (&["--no-open"], ":0")] {
        console(options, display).assert_says(&[&url, "60 seconds", "secrets/console_token"]);
    }
    let json: serde_json::Value = serde_json::from_str(&console(&["--json"], ":0").stdout).unwrap();
    assert_eq!(
        (&json["url"], &json["expires_in"]),
        (&url.as_str().into(), &60.into())
    );
    console(&[], ":0");
    let seen = until("the page to be opened", || {
        fs::read_to_string(&pages)
            .ok()
            .filter(|it| it.ends_with('\n'))
    });
    assert_eq!(seen, format!("{url}\n"), "once, by the last of these");
}

#[test]
fn what_keeps_one_from_the_console_is_said() {
    let stack = Stack::new("noconsole");
    stack.write("answer", ANSWER);
    stack.compose(&SERVICE.replace("PORT", &local_port().to_string()));
    stack.ok(&["up"]);
    fs::write(
        stack.path().join("secrets/console_token"),
        "another-token-0123456789\n",
    )
    .unwrap();
    let refused = stack.fails(1, &["console"]);
    refused.assert_says(&[
        "refuses the token in",
        "secrets/console_token",
        "`deploy up` gives it",
    ]);
    assert!(!refused.text.contains("another-token"), "{}", refused.text);

    // Nothing listens.
    let silent = SERVICE.replace("-p 8081", "-p 8082");
    stack.compose(&silent.replace("PORT", &local_port().to_string()));
    stack.ok(&["up"]);
    stack.refuses(
        1,
        "console",
        &[
            "can't reach the console at 127.0.0.1:",
            "deploy logs console",
        ],
    );

    stack.ok(&["down"]);
    stack.refuses(1, "console", &["no console of", "deploy up"]);
}
