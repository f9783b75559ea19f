//! The API as programs use it, and as `openapi.json` describes it.

use std::collections::BTreeSet;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use actix_web::{App, HttpResponse, HttpServer, web};
use console::export::{self, Format};
use console::requests::recorded::Recorded;
use futures_util::stream;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::raw::RawDocumentBuf;
use mongodb::bson::{Binary, DateTime, Document, doc, spec::BinarySubtype};
use serde_json::{Value, json};
use testkit::http::{RawClient, WireError};
use testkit::wait::wait_within;

use crate::support::{TestApp, spawn_app, spawn_app_with};

/// One that finds these documents.
async fn console_of(documents: Vec<Document>) -> TestApp {
    let console = spawn_app().await;
    console.database.record(documents).await;
    console
}

/// One whose database is away.
async fn console_alone() -> TestApp {
    let settings = [
        ("CONSOLE_MONGO_URI", "mongodb://127.0.0.1:1"),
        ("CONSOLE_QUERY_TIMEOUT", "500ms"),
    ];
    spawn_app_with(&settings).await
}

impl TestApp {
    fn json(&self, target: &str) -> Value {
        serde_json::from_str(&self.get(target).text()).unwrap()
    }

    fn error(&self, target: &str, status: u16) -> String {
        let answer = self.ask("GET", target);
        assert_eq!(answer.status, status, "{target}: {}", answer.text());
        assert_eq!(answer.head.get("content-type"), Some("application/json"));
        let error: Value = serde_json::from_str(&answer.text()).unwrap();
        error["error"].as_str().unwrap().to_owned()
    }
}

/// As the API records it, the newer the higher its number.
fn document(number: u32, method: &str, body: &str) -> Document {
    let at = 1_700_000_000 + number;
    let mut id = [0; 12];
    id[..4].copy_from_slice(&at.to_be_bytes());
    id[8..].copy_from_slice(&number.to_be_bytes());
    doc! {
        "_id": ObjectId::from_bytes(id),
        "endpoint": "home",
        "method": method,
        "url": format!("http://localhost:8080/?number={number}"),
        "headers": {"Host": "localhost:8080", "X-Number": number.to_string()},
        "data": body,
        "received_at": DateTime::from_millis(i64::from(at) * 1000),
        "remote_addr": "192.0.2.7",
    }
}

fn ids(page: &Value) -> Vec<String> {
    let requests = page["requests"].as_array().unwrap().iter();
    requests
        .map(|it| it["url"].as_str().unwrap().to_owned())
        .collect()
}

fn urls(numbers: impl IntoIterator<Item = u32>) -> Vec<String> {
    let url = |number| format!("http://localhost:8080/?number={number}");
    numbers.into_iter().map(url).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_for_wrongly_is_named() {
    let console = console_alone().await;
    let known = "expected id, since, until, method, path, header, address, body, before, after, order, \
                 limit, count, format or download";
    for (target, status, said) in [
        (
            "/api/requests?id=xyz",
            400,
            "id = \"xyz\": expected 24 hexadecimal digits",
        ),
        (
            "/api/requests?limit=0",
            400,
            "limit = \"0\": expected a number from 1 to 100",
        ),
        (
            "/api/requests?limit=101",
            400,
            "limit = \"101\": expected a number from 1 to 100",
        ),
        (
            "/api/requests?format=ndjson&limit=-1",
            400,
            "limit = \"-1\": expected a number from 1 on",
        ),
        (
            "/api/requests?limit=1&limit=2",
            400,
            "limit = \"2\": expected it once",
        ),
        (
            "/api/requests?before=5",
            400,
            "before = \"5\": expected 24 hexadecimal digits",
        ),
        (
            "/api/requests?order=oldest",
            400,
            "order = \"oldest\": expected it with format=ndjson, har or curl only",
        ),
        (
            "/api/requests?format=har&order=random",
            400,
            "order = \"random\": expected newest or oldest",
        ),
        (
            "/api/requests?count=yes",
            400,
            "count = \"yes\": expected on or off",
        ),
        (
            "/api/requests?format=xml",
            400,
            "format = \"xml\": expected json, ndjson, har or curl",
        ),
        (
            "/api/requests?format=fetch",
            400,
            "format = \"fetch\": expected json, ndjson, har or curl",
        ),
        (
            "/api/requests?metod=GET",
            400,
            &format!("\"metod\" is not a field here: {known}"),
        ),
        (
            "/api/requests?%1b%5b2J=",
            400,
            &format!("\"\\u{{1b}}[2J\" is not a field here: {known}"),
        ),
        (
            "/api/requests/65a1b2c3d4e5f60718293a4b?format=xml",
            400,
            "format = \"xml\": expected json, ndjson, har, curl, http or fetch",
        ),
        (
            "/api/requests/65a1b2c3d4e5f60718293a4b?method=GET",
            400,
            "\"method\" is not a field here: expected format or download",
        ),
        (
            "/api/requests/nonsense",
            404,
            "there is no request \"nonsense\"",
        ),
        (
            "/api/nonsense",
            404,
            "there is no \"/api/nonsense\": see /api/openapi.json",
        ),
    ] {
        assert_eq!(console.error(target, status), said);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_read_answers_head_and_options_and_is_not_written() {
    let console = console_of(vec![document(1, "GET", "")]).await;
    let description = console.json("/api/openapi.json");
    let paths = description["paths"].as_object().unwrap().iter();
    let read = paths.filter(|(_, operations)| operations.get("get").is_some());
    for (path, _) in read {
        let target = path.replace("{id}", &first_id(1).to_hex());
        for method in ["POST", "PUT", "DELETE", "PATCH"] {
            let refused = console.ask(method, &target);
            assert_eq!(refused.status, 405, "{method} {target}");
            assert_eq!(refused.head.get("allow"), Some("GET, HEAD, OPTIONS"));
        }
        let options = console.ask("OPTIONS", &target);
        assert_eq!(
            (options.status, options.head.get("allow")),
            (204, Some("GET, HEAD, OPTIONS"))
        );
        // A stream has no end.
        let get = console.begin("GET", &target).head().unwrap();
        let head = console.ask("HEAD", &target);
        assert!(get.start_line.starts_with("HTTP/1.1 200 "), "{target}");
        assert_eq!(head.status, 200, "{target}");
        for field in ["content-type", "content-length", "cache-control"] {
            assert_eq!(head.head.get(field), get.get(field), "{field} of {target}");
        }
    }
    let head = console.ask("HEAD", "/api/requests?format=har");
    assert_eq!(head.head.get("content-type"), Some("application/json"));
    assert_eq!(head.head.get("content-length"), None, "it isn't known");
    for wrong in ["/api/requests?since=x", "/api/requests/stream?since=x"] {
        assert_eq!(console.ask("HEAD", wrong).status, 400, "{wrong}");
    }
}

fn first_id(number: u32) -> ObjectId {
    document(number, "", "").get_object_id("_id").unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_is_read_a_page_at_a_time() {
    let console = console_of((0..250).map(|n| document(n, "GET", "")).collect()).await;
    assert_eq!(ids(&console.json("/api/requests")), urls((200..250).rev()));
    let (mut found, mut next) = (Vec::new(), String::new());
    loop {
        let page = console.json(&format!("/api/requests?limit=100&count=on{next}"));
        assert_eq!(page["count"], json!({"count": 250, "at_least": false}));
        found.extend(ids(&page));
        match &page["next"] {
            Value::Null => break,
            id => next = format!("&before={}", id.as_str().unwrap()),
        }
    }
    assert_eq!(found, urls((0..250).rev()));
}

#[tokio::test(flavor = "multi_thread")]
async fn all_that_match_come_whole_in_each_format() {
    let method = |n: u32| if n.is_multiple_of(3) { "POST" } else { "GET" };
    let documents = (0..300).map(|n| document(n, method(n), &format!("body {n}")));
    let console = console_of(documents.collect()).await;
    let posts = urls((0..300).rev().filter(|n| n % 3 == 0));

    let ndjson = console.get("/api/requests?method=POST&format=ndjson");
    assert_eq!(
        ndjson.head.get("content-type"),
        Some("application/x-ndjson")
    );
    assert_eq!(ndjson.head.get("content-disposition"), None);
    let lines: Vec<Value> = ndjson
        .text()
        .lines()
        .map(|it| serde_json::from_str(it).unwrap())
        .collect();
    let found: Vec<_> = lines.iter().map(|it| it["url"].as_str().unwrap()).collect();
    assert_eq!(found, posts);
    assert_eq!(
        lines[0],
        json!({
            "id": first_id(297).to_hex(),
            "received_at": "2023-11-14T22:18:17Z",
            "method": "POST",
            "url": "http://localhost:8080/?number=297",
            "remote_addr": "192.0.2.7",
            "body_bytes": 8,
            "headers": {"Host": "localhost:8080", "X-Number": "297"},
            "body": "body 297",
            "body_exact": true,
        })
    );

    let har = console.get("/api/requests?method=POST&format=har&download=on");
    let disposition = "attachment; filename=\"causeway-requests.har\"";
    assert_eq!(har.head.get("content-disposition"), Some(disposition));
    let har: Value = serde_json::from_str(&har.text()).unwrap();
    let entries = har["log"]["entries"].as_array().unwrap().iter();
    let found: Vec<_> = entries
        .map(|it| it["request"]["url"].as_str().unwrap())
        .collect();
    assert_eq!(found, posts);
    let none = console.json("/api/requests?method=BREW&format=har");
    assert_eq!(none["log"]["entries"], json!([]));

    let before = first_id(6).to_hex();
    let curl = console.get(&format!(
        "/api/requests?method=POST&format=curl&before={before}&limit=1"
    ));
    assert_eq!(
        curl.head.get("content-type"),
        Some("text/plain; charset=utf-8")
    );
    assert!(
        curl.text()
            .starts_with("curl 'http://localhost:8080/?number=3' \\\n"),
        "{}",
        curl.text()
    );
    assert!(
        curl.text().ends_with("--data-raw 'body 3'\n"),
        "{}",
        curl.text()
    );
    let two = console.get("/api/requests?format=curl&limit=2").text();
    assert_eq!(two.matches("\n\ncurl ").count(), 1, "{two}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_request_comes_in_each_format() {
    let mut exact = document(1, "POST", "\u{fffd}");
    let body = Binary {
        subtype: BinarySubtype::Generic,
        bytes: vec![0xff],
    };
    exact.insert("body", body);
    let inexact = document(2, "POST", "\u{fffd}");
    let console = console_of(vec![exact, inexact]).await;
    let id = first_id(1).to_hex();
    for (format, media_type, begin) in [
        ("", "application/json", format!("{{\"id\":\"{id}\",")),
        (
            "?format=json",
            "application/json",
            format!("{{\"id\":\"{id}\","),
        ),
        (
            "?format=ndjson",
            "application/x-ndjson",
            format!("{{\"id\":\"{id}\","),
        ),
        (
            "?format=har",
            "application/json",
            "{\"log\":{\"version\":\"1.2\",".to_owned(),
        ),
        (
            "?format=curl",
            "text/plain; charset=utf-8",
            "printf '\\377' | curl 'http://".to_owned(),
        ),
        (
            "?format=http",
            "message/http",
            "POST /?number=1 HTTP/1.1\r\n".to_owned(),
        ),
        (
            "?format=fetch",
            "text/plain; charset=utf-8",
            "await fetch(\"http://".to_owned(),
        ),
    ] {
        let answer = console.get(&format!("/api/requests/{id}{format}"));
        assert_eq!(answer.head.get("content-type"), Some(media_type));
        assert!(answer.text().starts_with(&begin), "{}", answer.text());
    }
    let json = console.json(&format!("/api/requests/{id}"));
    assert_eq!(
        (&json["body_base64"], &json["body_exact"]),
        (&json!("/w=="), &json!(true))
    );
    let inexact = console.json(&format!("/api/requests/{}", first_id(2).to_hex()));
    assert_eq!(
        (&inexact["body"], &inexact["body_exact"]),
        (&json!("\u{fffd}"), &json!(false))
    );

    let saved = console.get(&format!("/api/requests/{id}?format=http&download=on"));
    let disposition = format!("attachment; filename=\"causeway-request-{id}.http\"");
    assert_eq!(
        saved.head.get("content-disposition"),
        Some(disposition.as_str())
    );
    let unknown = first_id(9).to_hex();
    let said = console.error(&format!("/api/requests/{unknown}"), 404);
    assert_eq!(said, format!("there is no request \"{unknown}\""));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_oldest_come_first_where_that_is_asked_for() {
    let console = console_of((1..=5).map(|n| document(n, "POST", "")).collect()).await;
    let after = first_id(2).to_hex();
    let target = format!("/api/requests?format=ndjson&order=oldest&after={after}&limit=2");
    let lines = console.get(&target).text();
    let found: Vec<Value> = lines
        .lines()
        .map(|it| serde_json::from_str(it).unwrap())
        .collect();
    let found: Vec<_> = found.iter().map(|it| it["url"].as_str().unwrap()).collect();
    assert_eq!(found, urls([3, 4]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_flasks_fields_can_not_tell_is_in_every_format() {
    let mut odd = document(1, "POST", "");
    odd.insert("url", "http://localhost:8080/?é");
    odd.insert("headers", doc! { "Host": "localhost:8080", "X-A": "1,2" });
    odd.insert(
        "original",
        doc! {
            "method": "Post",
            "target": "/?%C3%A9&u=http://x/",
            "headers": [["X-A", "1"], ["X-A", "2"], ["X_B", "b"]],
        },
    );
    let console = console_of(vec![odd]).await;
    let path = format!("/api/requests/{}", first_id(1).to_hex());
    let original = json!({
        "method": "Post",
        "target": "/?%C3%A9&u=http://x/",
        "headers": [["X-A", "1"], ["X-A", "2"], ["X_B", "b"]],
    });
    let json = console.json(&path);
    assert_eq!(
        (&json["original"], &json["method"]),
        (&original, &json!("POST"))
    );
    assert_eq!(
        console.get(&format!("{path}?format=http")).text(),
        "Post /?%C3%A9&u=http://x/ HTTP/1.1\r\nHost: localhost:8080\r\nX-A: 1\r\nX-A: 2\r\nX_B: b\r\n\r\n"
    );
    let curl = console.get(&format!("{path}?format=curl")).text();
    assert!(
        curl.starts_with(
            "curl 'http://localhost:8080/?%C3%A9&u=http://x/' \\\n  -X Post \\\n  -H 'X-A: 1' \\\n  -H 'X-A: 2' \\\n  -H 'X_B: b'"
        ),
        "{curl}"
    );
    let har = console.json(&format!("{path}?format=har"));
    let request = &har["log"]["entries"][0]["request"];
    assert_eq!(request["method"], "Post");
    assert_eq!(request["url"], "http://localhost:8080/?%C3%A9&u=http://x/");
    assert_eq!(request["headers"].as_array().unwrap().len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_database_the_answer_says_so() {
    let console = console_alone().await;
    for target in [
        "/api/requests",
        "/api/requests?format=ndjson",
        "/api/requests?format=har",
        "/api/requests/65a1b2c3d4e5f60718293a4b",
    ] {
        let answer = console.ask("GET", target);
        assert_eq!(
            (answer.status, answer.head.get("retry-after")),
            (503, Some("5")),
            "{target}"
        );
        let error: Value = serde_json::from_str(&answer.text()).unwrap();
        assert!(
            error["error"].as_str().is_some_and(|it| !it.is_empty()),
            "{error}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn few_exports_are_under_way_at_a_time_and_those_whose_client_left_are_not() {
    // More than the sockets between take.
    let body = "x".repeat(1 << 20);
    let console = console_of((0..40).map(|n| document(n, "POST", &body)).collect()).await;
    let export = || {
        let mut client = console.begin("GET", "/api/requests?format=ndjson");
        let head = client.head().unwrap();
        (client, head)
    };
    let mut under_way: Vec<_> = (0..4).map(|_| export()).collect();
    assert!(
        under_way
            .iter()
            .all(|(_, head)| head.start_line.contains("200"))
    );
    let said = console.error("/api/requests?format=har", 503);
    assert_eq!(
        said,
        "4 exports are under way: try again when one has ended"
    );
    assert_eq!(
        console.json("/api/requests?limit=1")["requests"]
            .as_array()
            .unwrap()
            .len(),
        1
    );

    under_way.pop();
    wait_within(Duration::from_secs(20), "room for another export", || {
        export().1.start_line.contains("200")
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn what_slow_clients_leave_untaken_is_bounded_in_bytes() {
    // More than the sockets between take.
    let large = document(1, "POST", &"x".repeat(15 << 20));
    let console = console_of(vec![large, document(2, "GET", "")]).await;
    let (large, small) = (first_id(1).to_hex(), first_id(2).to_hex());
    let begin = |target: &str| {
        let mut client = console.begin("GET", target);
        let head = client.head().unwrap();
        assert!(head.start_line.contains("200"), "{}", head.start_line);
        client
    };
    let by_api = begin(&format!("/api/requests/{large}?format=har"));
    let download = begin(&format!("/requests/{large}/body"));
    let expected = "too much is on its way to clients that take it slowly: try again in a moment";
    let said = console.error(&format!("/api/requests/{large}"), 503);
    assert_eq!(said, expected);
    let refused = console.ask("GET", &format!("/requests/{large}/body"));
    assert_eq!(
        (refused.status, refused.head.get("retry-after")),
        (503, Some("5"))
    );
    assert!(refused.text().contains(expected), "{}", refused.text());
    // What is small has its place all the same.
    console.get(&format!("/api/requests/{small}"));
    console.get(&format!("/requests/{small}"));
    console.get("/api/requests");

    drop(by_api);
    let mut third = None;
    wait_within(Duration::from_secs(20), "room for another", || {
        let mut client = console.begin("GET", &format!("/requests/{large}/body"));
        let is_sent = client
            .head()
            .is_ok_and(|head| head.start_line.contains("200"));
        third = is_sent.then_some(client);
        is_sent
    });
    drop((third, download));
    // What has been sent takes no room, though its connection is still there.
    let idle: Vec<_> = (0..4)
        .map(|_| {
            let mut client = console.begin("GET", &format!("/requests/{large}/body"));
            let response = client.response("GET").unwrap();
            assert_eq!((response.status, response.body.len()), (200, 15 << 20));
            client
        })
        .collect();
    drop(idle);
}

#[tokio::test(flavor = "multi_thread")]
async fn long_urls_make_pages_shorter_and_none_is_left_out() {
    let long = |n: u32| {
        let mut document = document(n, "GET", "");
        document.insert("url", format!("http://h/{n}?{}", "x".repeat(60 << 10)));
        document
    };
    let console = console_of((0..20).map(long).collect()).await;
    let (mut found, mut next) = (Vec::new(), String::new());
    loop {
        let answer = console.get(&format!("/api/requests?limit=100&before={next}"));
        assert!(answer.body.len() < 256 << 10, "{}", answer.body.len());
        let page: Value = serde_json::from_str(&answer.text()).unwrap();
        let requests = page["requests"].as_array().unwrap();
        found.extend(requests.iter().map(|it| it["id"].clone()));
        let Some(on) = page["next"].as_str() else {
            break;
        };
        next = on.to_owned();
    }
    let expected: Vec<_> = (0..20).rev().map(|n| json!(first_id(n).to_hex())).collect();
    assert_eq!(found, expected);
}

/// A document that isn't whole must not look so: neither as JSON nor as an answer.
#[tokio::test(flavor = "multi_thread")]
async fn an_export_that_fails_midway_breaks_off() {
    let recorded =
        Recorded::from_document(&RawDocumentBuf::try_from(&document(1, "GET", "")).unwrap());
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        let server = HttpServer::new(move || {
            let recorded = recorded.clone();
            App::new().default_service(web::to(move || {
                let found = [Ok(recorded.clone()), Err("gone"), Ok(recorded.clone())];
                let text = export::stream(stream::iter(found), Format::Har);
                async { HttpResponse::Ok().streaming(text) }
            }))
        });
        let server = server.workers(1).disable_signals();
        let server = server.bind("127.0.0.1:0").unwrap();
        tell.send(server.addrs()[0]).unwrap();
        actix_web::rt::System::new().block_on(server.run())
    });
    let address = told.recv().unwrap();

    let mut client = RawClient::connect(address);
    client.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let broken = client.response("GET").unwrap_err();
    assert!(
        matches!(broken, WireError::Truncated(_) | WireError::Closed),
        "{broken:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_as_openapi_describes_them() {
    let documents = vec![document(1, "POST", "text"), document(2, "GET", "")];
    let console = console_of(documents).await;
    let description = console.json("/api/openapi.json");
    let id = first_id(1).to_hex();
    // A path of the description, what is asked for, and the status.
    let asked = [
        (
            "/api/requests",
            "GET",
            "/api/requests?limit=1&count=on".to_owned(),
            200,
        ),
        (
            "/api/requests",
            "GET",
            "/api/requests?format=har".to_owned(),
            200,
        ),
        (
            "/api/requests",
            "GET",
            "/api/requests?format=curl".to_owned(),
            200,
        ),
        (
            "/api/requests",
            "GET",
            "/api/requests?format=ndjson&limit=1".to_owned(),
            200,
        ),
        (
            "/api/requests",
            "GET",
            "/api/requests?limit=x".to_owned(),
            400,
        ),
        (
            "/api/requests/{id}",
            "GET",
            format!("/api/requests/{id}"),
            200,
        ),
        (
            "/api/requests/{id}",
            "GET",
            format!("/api/requests/{id}?format=har"),
            200,
        ),
        (
            "/api/requests/{id}",
            "GET",
            format!("/api/requests/{id}?format=http"),
            200,
        ),
        (
            "/api/requests/{id}",
            "GET",
            "/api/requests/none".to_owned(),
            404,
        ),
        (
            "/api/requests/stream",
            "GET",
            "/api/requests/stream?since=x".to_owned(),
            400,
        ),
        ("/api/stats", "GET", "/api/stats".to_owned(), 200),
        (
            "/api/login-links",
            "POST",
            "/api/login-links".to_owned(),
            201,
        ),
        (
            "/api/openapi.json",
            "GET",
            "/api/openapi.json".to_owned(),
            200,
        ),
    ];
    for (path, method, target, status) in &asked {
        let answer = console.ask(method, target);
        assert_eq!(answer.status, *status, "{target}: {}", answer.text());
        let operation = &description["paths"][path][method.to_lowercase()];
        let described = resolve(&description, &operation["responses"][status.to_string()]);
        let media_type = answer.head.get("content-type").unwrap();
        let media_type = media_type.split(';').next().unwrap();
        let schema = &described["content"][media_type]["schema"];
        assert!(schema.is_object(), "{target}: {media_type} isn't described");
        if media_type.ends_with("json") {
            let value: Value = serde_json::from_str(&answer.text()).unwrap();
            let schema = json!({"allOf": [schema], "components": description["components"]});
            let errors: Vec<_> = jsonschema::options()
                .build(&schema)
                .unwrap()
                .iter_errors(&value)
                .map(|error| error.to_string())
                .collect();
            assert_eq!(errors, Vec::<String>::new(), "{target}: {value}");
        }
    }
    let tried: BTreeSet<_> = asked.iter().map(|(path, ..)| (*path).to_owned()).collect();
    let described: BTreeSet<_> = description["paths"]
        .as_object()
        .unwrap()
        .keys()
        .cloned()
        .collect();
    assert_eq!(tried, described, "a path that isn't tried");
}

/// Every field that a list takes is described, and none that it doesn't.
#[tokio::test(flavor = "multi_thread")]
async fn fields_of_a_query_are_as_openapi_describes_them() {
    let console = console_alone().await;
    let description = console.json("/api/openapi.json");
    for (path, target) in [
        ("/api/requests", "/api/requests"),
        (
            "/api/requests/{id}",
            "/api/requests/65a1b2c3d4e5f60718293a4b",
        ),
        ("/api/requests/stream", "/api/requests/stream"),
    ] {
        let said = console.error(&format!("{target}?nonsense=1"), 400);
        let said = said
            .split("expected ")
            .nth(1)
            .unwrap()
            .replace(" or ", ", ");
        let taken: BTreeSet<_> = said.split(", ").map(ToOwned::to_owned).collect();
        let parameters = description["paths"][path]["get"]["parameters"]
            .as_array()
            .unwrap();
        let in_query = parameters
            .iter()
            .map(|it| resolve(&description, it))
            .filter(|it| it["in"] == "query");
        let described: BTreeSet<_> = in_query
            .map(|it| it["name"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(taken, described, "{path}");
    }
}

fn resolve<'a>(description: &'a Value, part: &'a Value) -> &'a Value {
    match part["$ref"].as_str() {
        Some(reference) => description.pointer(&reference[1..]).unwrap(),
        None => part,
    }
}
