//! The pages, as a browser gets them. scripts/try-console.py looks at them in one.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use mongodb::bson::spec::BinarySubtype;
use mongodb::bson::{Binary, doc};

use crate::support::{TestApp, request, spawn_app};

/// Records a form with these fields, which its query has too, and returns its page.
async fn page_of(app: &TestApp, fields: &str) -> String {
    let mut form = request("POST", &format!("/?{fields}"), fields);
    let kind = "application/x-www-form-urlencoded";
    form.insert("headers", doc! { "Content-Type": kind });
    let id = form.get_object_id("_id").unwrap();
    app.database.record([form]).await;
    app.get(&format!("/requests/{id}?view=form")).text()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_or_a_query_of_which_not_all_is_shown_says_so() {
    let app = spawn_app().await;
    let fields = |count: usize| vec!["name=value"; count].join("&");
    let note = "These are the first 1,000 fields, or those of the first 256 KiB.";
    let all = page_of(&app, &fields(1000)).await;
    assert_eq!(all.matches("<bdi>value</bdi>").count(), 2000);
    assert!(!all.contains(note), "{all}");
    let too_many = page_of(&app, &fields(1001)).await;
    assert_eq!(too_many.matches("<bdi>value</bdi>").count(), 2000);
    let too_long = page_of(&app, &format!("name={}", "x".repeat(256 << 10))).await;
    for page in [too_many, too_long] {
        assert_eq!(
            page.matches(note).count(),
            2,
            "in the query and in the form"
        );
        assert!(page.contains("Download all of it"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_is_shown_decoded_and_downloaded_as_it_was_sent() {
    let app = spawn_app().await;
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(b"{\"a\": \"in <b>gzip\"}").unwrap();
    let bytes = encoder.finish().unwrap();
    let mut sent = request("POST", "/?é", &String::from_utf8_lossy(&bytes));
    sent.insert("headers", doc! { "Content-Encoding": "gzip", "X-A": "1,2" });
    let (subtype, bytes_sent) = (BinarySubtype::Generic, bytes.clone());
    sent.insert(
        "body",
        Binary {
            subtype,
            bytes: bytes_sent,
        },
    );
    let lines = [["X-A", "first line"], ["X-A", "second line"]];
    let lines: Vec<_> = lines.iter().map(|line| line.to_vec()).collect();
    sent.insert(
        "original",
        doc! { "method": "Post", "target": "/?%c3%A9", "headers": lines },
    );
    let id = sent.get_object_id("_id").unwrap();
    app.database.record([sent]).await;

    let page = app.get(&format!("/requests/{id}")).text();
    for shown in [
        "in &#60;b&#62;gzip",
        "This is what <bdi>gzip</bdi> decodes to",
        "aria-label=\"Body as JSON\"",
        "<bdi>Post</bdi>",
        "<bdi>/?%c3%A9</bdi>",
        "first line",
        "second line",
    ] {
        assert!(page.contains(shown), "{shown}: {page}");
    }
    assert_eq!(app.get(&format!("/requests/{id}/body")).body, bytes);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_a_page_cant_begin_it_says_why() {
    let app = spawn_app().await;
    for target in ["/?before=5", "/requests/rows?before=5"] {
        let answer = app.ask("GET", target);
        assert_eq!(answer.status, 400, "{target}");
        let said = "before = &#34;5&#34;: expected 24 hexadecimal digits";
        assert!(answer.text().contains(said), "{}", answer.text());
    }
}
