//! Who gets in, and what browsers are told.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;

use console::app::Application;
use console::settings::Settings;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use tempfile::NamedTempFile;
use testkit::http::{RawClient, Response};
use testkit::process;

const TOKEN: &str = "the-token-of-the-console";
const OTHER: &str = "another-token-0123456789";
/// What a browser says of what it does.
const NAVIGATES: &str =
    "Sec-Fetch-Site: none\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\n";
const FOLLOWS: &str =
    "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\n";

struct Console {
    address: SocketAddr,
    tokens: NamedTempFile,
}

impl Console {
    fn start() -> Self {
        Self::with(&format!("{TOKEN}\n"))
    }

    /// One that accepts these tokens, one a line. It needs no database to decide who gets in.
    fn with(tokens: &str) -> Self {
        let file = token_file(tokens);
        let settings = Settings::load(None, environment(&file)).unwrap();
        let (tell, told) = mpsc::channel();
        thread::spawn(move || {
            actix_web::rt::System::new().block_on(async move {
                let application = Application::build(settings).await.unwrap();
                tell.send(application.addresses().unwrap()[0]).unwrap();
                application.run_until_stopped(std::future::pending()).await
            })
        });
        Self {
            address: told.recv().unwrap(),
            tokens: file,
        }
    }

    fn host(&self) -> String {
        format!("Host: localhost:{}\r\n", self.address.port())
    }

    /// With these header lines and no others.
    fn raw(&self, method: &str, target: &str, lines: &str, body: &str) -> Response {
        let mut client = RawClient::connect(self.address);
        let length = body.len();
        client.send(format!(
            "{method} {target} HTTP/1.1\r\n{lines}Content-Length: {length}\r\n\r\n{body}"
        ));
        client.response(method).unwrap()
    }

    fn get(&self, target: &str, lines: &str) -> Response {
        self.raw("GET", target, &format!("{}{lines}", self.host()), "")
    }

    fn post(&self, target: &str, lines: &str, form: &str) -> Response {
        let kind = "Content-Type: application/x-www-form-urlencoded\r\n";
        self.raw(
            "POST",
            target,
            &format!("{}{kind}{lines}", self.host()),
            form,
        )
    }

    /// The cookie of a new log-in, as a header line.
    fn log_in(&self) -> String {
        cookie(&self.post("/login", "", &format!("token={TOKEN}")))
    }

    fn link(&self) -> String {
        let made = self.post("/api/login-links", &bearer(TOKEN), "");
        assert_eq!(made.status, 201, "{}", made.text());
        let made: serde_json::Value = serde_json::from_slice(&made.body).unwrap();
        assert_eq!(made["expires_in"], 60);
        made["path"].as_str().unwrap().to_owned()
    }

    fn lets_in(&self, lines: &str) -> bool {
        match self.get("/nowhere", lines).status {
            404 => true,
            401 => false,
            other => panic!("{other}"),
        }
    }
}

fn token_file(tokens: &str) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(tokens.as_bytes()).unwrap();
    file
}

fn environment(tokens: &NamedTempFile) -> [(String, String); 5] {
    let path = tokens.path().to_str().unwrap();
    [
        ("LISTEN", "127.0.0.1:0"),
        ("ADMIN_LISTEN", "127.0.0.1:0"),
        ("CLIENTS", "any"),
        ("MONGO_URI", "mongodb://127.0.0.1:1"),
        ("TOKEN_FILE", path),
    ]
    .map(|(key, value)| (format!("CONSOLE_{key}"), value.to_owned()))
}

fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}\r\n")
}

fn cookie(response: &Response) -> String {
    assert_eq!(response.status, 303, "{}", response.text());
    let set = response.head.get("set-cookie").unwrap();
    format!("Cookie: {}\r\n", set.split(';').next().unwrap())
}

/// The cookie of a session that ends then, signed with a token.
fn session(expires: u64, token: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(token.as_bytes()).unwrap();
    mac.update(format!("causeway console session\n{expires}").as_bytes());
    let mac = hex::encode(mac.finalize().into_bytes());
    format!("Cookie: causeway_console={expires}.{mac}\r\n")
}

#[test]
fn it_answers_under_its_own_names_only() {
    let console = Console::start();
    for (host, status) in [
        ("Host: localhost", 200),
        ("Host: localhost:8081", 200),
        ("Host: LocalHost:1", 200),
        ("Host: 127.0.0.1:8081", 200),
        ("Host: [::1]:8081", 200),
        ("Host: [::1]", 200),
        ("Host: evil.example:8081", 421),
        ("Host: localhost.evil.example", 421),
        ("Host: evil.example/localhost", 421),
        ("Host: evil.example@localhost", 421),
        ("Host: localhost:8081@evil.example", 421),
        ("Host: localhost:evil", 421),
        ("Host: [::2]:8081", 421),
        ("Host: 0.0.0.0:8081", 421),
        ("Host:", 421),
        ("X-Forwarded-Host: localhost", 400),
        ("Host: localhost\r\nHost: localhost", 400),
        ("Host: evil.example\r\nX-Forwarded-Host: localhost", 421),
    ] {
        let response = console.raw("GET", "/login", &format!("{host}\r\n"), "");
        assert_eq!(response.status, status, "{host}: {}", response.text());
        if status == 421 {
            assert!(
                response.text().contains("localhost, 127.0.0.1, [::1]"),
                "{host}"
            );
            assert!(response.text().contains("CONSOLE_HOSTS"), "{host}");
        }
    }
    let target = console.get("http://evil.example/login", "");
    assert_eq!(target.status, 421);
    let target = console.get("http://127.0.0.1/login", "");
    assert_eq!(target.status, 200);
}

#[test]
fn no_other_site_sends_anything_through_a_browser() {
    let console = Console::start();
    let (host, mode) = (console.host(), "Sec-Fetch-Mode");
    let ours = format!(
        "Origin: http://{}",
        host.trim_end().strip_prefix("Host: ").unwrap()
    );
    let cookie = console.log_in();
    for (method, lines, refused) in [
        ("POST", "", false),
        ("POST", ours.as_str(), false),
        ("POST", "Sec-Fetch-Site: same-origin", false),
        ("POST", "Sec-Fetch-Site: same-origin\r\nOrigin: null", false),
        ("POST", "Sec-Fetch-Site: none", false),
        ("POST", "Origin: http://evil.example", true),
        ("POST", "Origin: http://localhost:3000", true),
        ("POST", "Origin: null", true),
        ("POST", "Origin: localhost", true),
        ("POST", "Sec-Fetch-Site: cross-site", true),
        ("POST", "Sec-Fetch-Site: same-site", true),
        ("POST", FOLLOWS.trim_end(), true),
        ("GET", "Origin: http://evil.example", false),
        ("GET", "Sec-Fetch-Site: same-origin", false),
        ("GET", FOLLOWS.trim_end(), false),
        ("GET", "Sec-Fetch-Site: same-site", true),
        (
            "GET",
            &format!("Sec-Fetch-Site: cross-site\r\n{mode}: no-cors"),
            true,
        ),
        (
            "GET",
            &format!("Sec-Fetch-Site: cross-site\r\n{mode}: cors"),
            true,
        ),
        (
            "GET",
            &format!("Sec-Fetch-Site: same-site\r\n{mode}: navigate\r\nSec-Fetch-Dest: iframe"),
            true,
        ),
    ] {
        let lines = if lines.is_empty() {
            cookie.clone()
        } else {
            format!("{cookie}{lines}\r\n")
        };
        let response = console.raw(method, "/nowhere", &format!("{host}{lines}"), "");
        let expected = if refused { 403 } else { 404 };
        assert_eq!(response.status, expected, "{method} {lines}");
    }
}

#[test]
fn a_browser_logs_in_with_the_token() {
    let console = Console::start();
    let page = console.get("/login?next=/live", NAVIGATES);
    assert_eq!(page.status, 200);
    assert!(page.text().contains("secrets/console_token") && page.text().contains("make console"));
    assert!(page.text().contains(r#"value="/live""#), "{}", page.text());

    let wrong = console.post("/login", "", &format!("token={OTHER}&next=/live"));
    assert_eq!(wrong.status, 403);
    assert!(wrong.text().contains("is not the token") && wrong.text().contains(r#"value="/live""#));
    assert!(!wrong.head.has("set-cookie") && !wrong.text().contains(OTHER));

    let right = console.post("/login", "", &format!("token=+{TOKEN}%0A&next=/live"));
    assert_eq!(right.head.get("location"), Some("/live"));
    let set = right.head.get("set-cookie").unwrap();
    for attribute in [
        "; HttpOnly",
        "; SameSite=Strict",
        "; Path=/",
        "; Max-Age=2592000",
    ] {
        assert!(set.contains(attribute), "{set}");
    }
    assert!(!set.contains(TOKEN) && !set.contains("Domain"), "{set}");
    assert!(console.lets_in(&cookie(&right)));

    let again = console.get("/login?next=/live", &cookie(&right));
    assert_eq!(
        (again.status, again.head.get("location")),
        (303, Some("/live"))
    );
}

#[test]
fn a_cookie_is_good_until_it_ends_and_as_long_as_its_token() {
    let console = Console::start();
    let good = console.log_in();
    let value = good
        .trim_end()
        .strip_prefix("Cookie: causeway_console=")
        .unwrap();
    let (expires, mac) = value.split_once('.').unwrap();
    let end: u64 = expires.parse().unwrap();
    assert_eq!(good, session(end, TOKEN));

    assert!(console.lets_in(&good));
    let last = if mac.ends_with('0') { "1" } else { "0" };
    for bad in [
        String::new(),
        "Cookie: causeway_console=\r\n".to_owned(),
        format!("Cookie: causeway_console={expires}\r\n"),
        format!("Cookie: causeway_console={expires}.\r\n"),
        format!("Cookie: causeway_console={}.{mac}\r\n", end + 1),
        format!(
            "Cookie: causeway_console={expires}.{}{last}\r\n",
            &mac[..mac.len() - 1]
        ),
        format!(
            "Cookie: causeway_console={expires}.{}\r\n",
            mac.to_uppercase()
        ),
        format!("Cookie: causeway_console={TOKEN}\r\n"),
        format!("Cookie: causeway_konsole={value}\r\n"),
        session(end - 2_592_000 - 60, TOKEN),
        session(end, OTHER),
    ] {
        assert!(!console.lets_in(&bad), "{bad}");
    }
    // What other programs on this machine have set.
    let among =
        format!("Cookie: =; x; \"a=b; causeway_console=1.2; a=b; causeway_console={value}; z\r\n");
    assert!(console.lets_in(&among));

    // A restart, a rotation that goes on, and its end.
    assert!(Console::start().lets_in(&good));
    assert!(Console::with(&format!("{OTHER}\n{TOKEN}\n")).lets_in(&good));
    assert!(!Console::with(OTHER).lets_in(&good));
}

#[test]
fn a_log_in_leads_to_pages_of_this_site_only() {
    let console = Console::start();
    for (next, location) in [
        ("/", "/"),
        ("/live?method=GET", "/live?method=GET"),
        ("/requests/0123?a=//b", "/requests/0123?a=//b"),
        ("", "/"),
        ("live", "/"),
        ("//evil.example", "/"),
        ("///evil.example", "/"),
        ("/\\evil.example", "/"),
        ("/a\\..\\\\evil.example", "/"),
        ("/\t/evil.example", "/"),
        ("/\n/evil.example", "/"),
        ("/\r\nSet-Cookie: a=b", "/"),
        ("\t//evil.example", "/"),
        ("https://evil.example/", "/"),
        ("javascript:alert(1)", "/"),
        ("/über", "/"),
    ] {
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair("token", TOKEN)
            .append_pair("next", next)
            .finish();
        let response = console.post("/login", "", &form);
        assert_eq!(response.head.get("location"), Some(location), "{next:?}");
    }
    let long = format!("/{}", "x".repeat(3000));
    let response = console.post("/login", "", &format!("token={TOKEN}&next={long}"));
    assert_eq!(response.head.get("location"), Some("/"));
    let page = console.get("/login?next=%22%3E%3Cscript%3E", "");
    assert!(!page.text().contains("<script>"));
}

#[test]
fn who_is_not_logged_in_is_told_how() {
    let console = Console::start();
    let page = console.get("/requests/abc?x=1&y=2", NAVIGATES);
    let location = page.head.get("location");
    assert_eq!(
        (page.status, location),
        (303, Some("/login?next=%2Frequests%2Fabc%3Fx%3D1%26y%3D2"))
    );
    let old = console.get("/", "Accept: text/html,application/xhtml+xml\r\n");
    assert_eq!(
        (old.status, old.head.get("location")),
        (303, Some("/login?next=%2F"))
    );

    let script = "Sec-Fetch-Site: same-origin\r\nSec-Fetch-Mode: cors\r\nAccept: text/html\r\n";
    for (path, lines) in [
        ("/requests/rows", script),
        ("/live/rows", "Accept: text/event-stream\r\n"),
        ("/", ""),
    ] {
        let refused = console.get(path, lines);
        assert_eq!(refused.status, 401, "{path}");
        assert!(
            refused
                .head
                .get("www-authenticate")
                .unwrap()
                .starts_with("Bearer")
        );
    }
    for (lines, says) in [
        (String::new(), "Authorization: Bearer"),
        (bearer(OTHER), "isn't one"),
    ] {
        let refused = console.get("/api/requests", &lines);
        assert_eq!(refused.status, 401);
        let error: serde_json::Value = serde_json::from_slice(&refused.body).unwrap();
        assert!(error["error"].as_str().unwrap().contains(says), "{error}");
    }
}

#[test]
fn programs_get_in_with_the_token() {
    let console = Console::with(&format!("{TOKEN}\n{OTHER}\n"));
    for good in [
        bearer(TOKEN),
        bearer(OTHER),
        format!("Authorization: bearer {TOKEN}\r\n"),
    ] {
        assert!(console.lets_in(&good), "{good}");
    }
    for bad in [
        bearer(""),
        bearer("the-token-of-the-consol"),
        bearer(&format!("{TOKEN}x")),
        format!("Authorization: Basic {TOKEN}\r\n"),
        format!("Authorization: {TOKEN}\r\n"),
        format!("X-Token: {TOKEN}\r\n"),
    ] {
        assert!(!console.lets_in(&bad), "{bad}");
    }
}

#[test]
fn a_link_logs_one_browser_in_once() {
    let console = Console::start();
    let link = console.link();
    let (path, code) = link.split_once("?code=").unwrap();
    assert!(path == "/login/link" && code.len() == 32, "{link}");

    let ahead = console.get(
        &link,
        &format!("Sec-Purpose: prefetch;prerender\r\n{NAVIGATES}"),
    );
    assert!(ahead.status == 503 && !ahead.head.has("set-cookie"));
    let used = console.get(&link, NAVIGATES);
    assert_eq!(used.head.get("location"), Some("/"));
    assert!(console.lets_in(&cookie(&used)));

    let other = console.link();
    for spent in [
        link.as_str(),
        "/login/link?code=",
        "/login/link",
        "/login/link?code=x",
    ] {
        let refused = console.get(spent, NAVIGATES);
        assert!(
            refused.status == 403 && !refused.head.has("set-cookie"),
            "{spent}"
        );
        assert!(
            refused.text().contains("has been used") && refused.text().contains("make console")
        );
    }
    assert_eq!(console.get(&other, NAVIGATES).status, 303);

    let cookie = console.log_in();
    for (lines, status) in [(cookie, 403), (String::new(), 401), (bearer(OTHER), 401)] {
        assert_eq!(
            console.post("/api/login-links", &lines, "").status,
            status,
            "{lines}"
        );
    }
}

#[test]
fn a_link_on_another_site_is_followed_with_the_cookie() {
    let console = Console::start();
    // The first time the browser keeps the cookie back.
    let again = console.get("/requests/abc?a=1&b=%22", FOLLOWS);
    assert_eq!(again.status, 200);
    assert!(
        again
            .text()
            .contains("0; url=/requests/abc?a=1&#38;b=%22\""),
        "{}",
        again.text()
    );
    let second =
        "Sec-Fetch-Site: same-origin\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\n";
    assert_eq!(console.get("/requests/abc?a=1", second).status, 303);
    assert_eq!(
        console
            .get("/nowhere", &format!("{second}{}", console.log_in()))
            .status,
        404
    );
}

#[test]
fn wrong_tokens_are_few_and_never_keep_the_owner_out() {
    let console = Console::start();
    let cookie = console.log_in();
    for n in 0..10 {
        let status = if n % 2 == 0 {
            console.post("/login", "", &format!("token={OTHER}")).status
        } else {
            console.get("/api/requests", &bearer(OTHER)).status
        };
        assert_eq!(status, if n % 2 == 0 { 403 } else { 401 }, "{n}");
    }
    for refused in [
        console.post("/login", "", &format!("token={OTHER}")),
        console.get("/api/requests", &bearer(OTHER)),
    ] {
        assert_eq!(refused.status, 429);
        let wait: u64 = refused.head.get("retry-after").unwrap().parse().unwrap();
        assert!((1..=61).contains(&wait), "{wait}");
    }
    assert!(console.lets_in(&cookie) && console.lets_in(&bearer(TOKEN)));
    assert_eq!(
        console.post("/login", "", &format!("token={TOKEN}")).status,
        303
    );
    assert_eq!(console.get(&console.link(), NAVIGATES).status, 303);
}

#[test]
fn a_wrong_token_counts_wherever_it_is_tried() {
    let console = Console::start();
    // The log-in page is there for everybody; a guess is a guess there, too.
    for n in 0..10 {
        assert_eq!(console.get("/login", &bearer(OTHER)).status, 401, "{n}");
    }
    for path in ["/login", "/assets/console.css", "/api/requests"] {
        assert_eq!(console.get(path, &bearer(OTHER)).status, 429, "{path}");
    }
    assert_eq!(console.get("/login", "").status, 200);
    assert!(console.lets_in(&bearer(TOKEN)));
}

#[test]
fn logging_out_takes_the_cookie_back() {
    let console = Console::start();
    let cookie = console.log_in();
    let out = console.post("/logout", &cookie, "");
    assert_eq!(out.status, 200);
    assert!(out.text().contains("Logged out"));
    let set = out.head.get("set-cookie").unwrap();
    assert!(
        set.starts_with("causeway_console=;") && set.contains("Max-Age=0"),
        "{set}"
    );
    assert!(set.contains("Path=/"), "{set}");
    assert_eq!(console.get("/logout", &cookie).status, 405);
}

#[test]
fn every_answer_says_what_a_browser_may_do() {
    let console = Console::start();
    let cookie = console.log_in();
    let used = console.link();
    for (kind, response) in [
        ("page", console.get("/login", NAVIGATES)),
        ("redirect", console.get("/", NAVIGATES)),
        ("again", console.get("/", FOLLOWS)),
        ("401", console.get("/api/requests", "")),
        ("403", console.post("/login", "Origin: null\r\n", "")),
        ("404", console.get("/nowhere", &cookie)),
        ("405", console.raw("DELETE", "/login", &console.host(), "")),
        (
            "421",
            console.raw("GET", "/login", "Host: evil.example\r\n", ""),
        ),
        ("bad form", console.post("/login", "", "nothing")),
        (
            "log-in",
            console.post("/login", "", &format!("token={TOKEN}")),
        ),
        ("link", console.get(&used, NAVIGATES)),
        ("log-out", console.post("/logout", &cookie, "")),
        ("no asset", console.get("/assets/nothing", "")),
    ] {
        let head = &response.head;
        let policy = head
            .get("content-security-policy")
            .unwrap_or_else(|| panic!("{kind}"));
        assert!(
            policy.starts_with("default-src 'none'; script-src 'self'; "),
            "{kind}: {policy}"
        );
        assert!(
            policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"),
            "{kind}"
        );
        for (field, value) in [
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("referrer-policy", "same-origin"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
            ("cache-control", "no-store"),
        ] {
            assert_eq!(head.get(field), Some(value), "{kind}");
        }
        assert!(
            head.get("permissions-policy")
                .unwrap()
                .contains("camera=()"),
            "{kind}"
        );
        assert!(!head.has("access-control-allow-origin"), "{kind}");
    }
}

#[test]
fn what_is_too_long_is_refused() {
    let console = Console::start();
    let form = format!("token={}", "x".repeat(5000));
    assert_eq!(console.post("/login", "", &form).status, 413);
    let json = console.raw(
        "POST",
        "/login",
        &format!("{}Content-Type: application/json\r\n", console.host()),
        "{}",
    );
    assert_eq!(json.status, 415);
}

#[test]
fn the_log_says_what_was_refused_and_no_secret() {
    let tokens = token_file(TOKEN);
    let mut command = Command::new(env!("CARGO_BIN_EXE_console"));
    command
        .envs(environment(&tokens))
        .env("RUST_LOG", "debug,hyper=info")
        .stdout(Stdio::piped());
    let mut running = process::Process::start(&mut command);
    let mut lines = BufReader::new(running.stdout.take().unwrap()).lines();
    let mut log = Vec::new();
    let mut wait_for = |text: &str| loop {
        let line = lines.next().unwrap_or_else(|| panic!("{text}")).unwrap();
        log.push(line.clone());
        if line.contains(text) {
            break line;
        }
    };
    let ready: serde_json::Value = serde_json::from_str(&wait_for("\"ready\"")).unwrap();
    // A list, of one here.
    let listen = ready["listen"].as_str().unwrap().trim_matches(['[', ']']);
    let console = Console {
        address: listen.parse().unwrap(),
        tokens: token_file(""),
    };

    let cookie = console.log_in();
    let link = console.link();
    console.get(&link, NAVIGATES);
    console.post("/login", "", &format!("token={OTHER}"));
    console.get("/api/requests", &bearer(OTHER));
    console.raw("GET", "/", "Host: evil\x01.example\r\n", "");
    console.raw("GET", "/", "Host: evil.example\r\n", "");
    console.post("/login", "Origin: null\r\n", "");
    wait_for("wrong token");
    wait_for("\"refused\":\"host\"");
    wait_for("\"refused\":\"origin\"");
    console.get("/", "");
    wait_for("\"refused\":\"log-in\"");
    let log = log.join("\n");
    let session = cookie.trim_end().rsplit('.').next().unwrap();
    for secret in [TOKEN, OTHER, session, link.split('=').nth(1).unwrap()] {
        assert!(!log.contains(secret), "{log}");
    }
}

/// Where its port is published nowhere: who may run something in its container asks it from there.
#[test]
fn a_relay_is_a_connection_from_this_machine() {
    let console = Console::start();
    let relay = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_console"));
        command
            .arg("relay")
            .envs(environment(&console.tokens))
            .env("CONSOLE_LISTEN", console.address.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        command.spawn().unwrap()
    };
    let request = format!(
        "POST /api/login-links HTTP/1.1\r\n{}{}Content-Length: 0\r\n\r\n",
        console.host(),
        bearer(TOKEN)
    );
    let mut running = relay();
    let mut to = running.stdin.take().unwrap();
    let mut from = BufReader::new(running.stdout.take().unwrap());
    for _ in 0..2 {
        to.write_all(request.as_bytes()).unwrap();
        let mut status = String::new();
        // The body before it has no line of its own.
        while !status.contains("HTTP/1.1") {
            status.clear();
            assert!(from.read_line(&mut status).unwrap() > 0);
        }
        assert!(status.ends_with("HTTP/1.1 201 Created\r\n"), "{status}");
    }
    // It ends with whoever started it.
    drop(to);
    assert!(running.wait().unwrap().success());

    let mut running = relay();
    let close = request.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n");
    let mut to = running.stdin.take().unwrap();
    to.write_all(close.as_bytes()).unwrap();
    let ended = running.wait_with_output().unwrap();
    assert!(ended.status.success(), "with the connection");
    drop(to);
}
