//! The proxy's own pages: what they say, to whom, and what they don't repeat.

use crate::support::{Response, TestProxy};

/// The page says what happened and carries the id that the log has, and asks for no repetition
/// of a connection that is still good.
#[track_caller]
pub(crate) fn assert_error_page(response: &Response, status: u16) {
    assert_eq!(response.status, status, "{}", response.text());
    let id = response.request_id();
    assert_eq!(id.len(), 24, "{id}");
    let page = response.text();
    assert!(page.contains(id), "no request id on the page: {page}");
    assert!(
        page.contains(&status.to_string()),
        "no status on the page: {page}"
    );
    assert!(page.len() < 2000, "a short page");
    assert!(
        response
            .head
            .get("content-type")
            .is_some_and(|kind| kind.starts_with("text/"))
    );
}

#[test]
fn json_for_those_who_ask_for_it() {
    let proxy = TestProxy::builder("no-such-host.invalid:9090").start_alive();
    let response = proxy.client().get_with("/", "Accept: application/json\r\n");
    assert_eq!(response.status, 503);
    assert_eq!(response.head.get("content-type"), Some("application/json"));
    let page: serde_json::Value = serde_json::from_slice(&response.body).unwrap();
    assert_eq!(page["status"], 503);
    assert_eq!(page["request_id"], response.request_id());

    for accept in ["text/html,application/json;q=0.5", "*/*", "text/html"] {
        let response = proxy
            .client()
            .get_with("/", &format!("Accept: {accept}\r\n"));
        assert_error_page(&response, 503);
    }
}

#[test]
fn an_error_page_for_head_has_no_body() {
    let proxy = TestProxy::builder("no-such-host.invalid:9090").start_alive();
    let mut client = proxy.client();
    for _ in 0..2 {
        let response = client.exchange("HEAD", "/", "", "");
        assert_eq!(response.status, 503);
    }
}

/// What the client sent must not come back as markup.
#[test]
fn an_error_page_repeats_nothing_of_the_request() {
    let proxy = TestProxy::builder("no-such-host.invalid:9090").start_alive();
    let response = proxy.client().get_with(
        "/?%3Cscript%3E'planted'",
        "X-Request-Id: <script>planted\r\nUser-Agent: <script>planted\r\n",
    );
    assert_error_page(&response, 503);
    assert!(!response.text().contains("planted"), "{}", response.text());
}
