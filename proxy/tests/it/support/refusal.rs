//! Requests that have to be refused, and what refusing means: a status, a closed connection, and
//! nothing upstream that could pass for a request.

use super::proxy::{TestProxy, serving};
use std::time::Duration;
use testkit::http::End;
use testkit::table::rows;

/// Follows every case on the wire: what a smuggler would like the backend to run.
const SMUGGLED: &[u8] = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";

/// The start of a request with a body, and of one whose body is chunked.
pub(crate) const POST: &str = "POST / HTTP/1.1\r\nHost: a\r\n";
pub(crate) const CHUNKED: &str = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";

/// A request that has to be refused, with one of these statuses.
#[derive(Clone)]
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) bytes: Vec<u8>,
    pub(crate) allowed: &'static [u16],
}

/// The cases of a table, between these bytes.
pub(crate) fn table(
    before: &str,
    text: &'static str,
    after: &str,
    allowed: &'static [u16],
) -> Vec<Case> {
    let case = |(name, bytes)| Case {
        name,
        bytes,
        allowed,
    };
    rows(before, text, after).into_iter().map(case).collect()
}

/// A chunked POST with this as its body.
pub(crate) fn chunked(name: &'static str, body: impl AsRef<[u8]>) -> Case {
    Case {
        name,
        bytes: [CHUNKED.as_bytes(), body.as_ref()].concat(),
        allowed: &[400],
    }
}

/// Sends the case; says what is wrong with the answer, if anything is.
fn refused(proxy: &TestProxy, case: &Case) -> Result<(), String> {
    let mut client = proxy.client();
    let bytes = [case.bytes.as_slice(), SMUGGLED].concat();
    let response = client
        .provoke(&bytes)
        .map_err(|error| format!("no answer: {error:?}"))?;
    if !case.allowed.contains(&response.status) {
        return Err(format!(
            "status {}, expected {:?}",
            response.status, case.allowed
        ));
    }
    if response.head.get("connection") != Some("close") {
        return Err("the refusal does not say Connection: close".to_owned());
    }
    match client.drain(Duration::from_secs(10)) {
        (_, End::StillOpen) => Err("the connection stays open".to_owned()),
        (rest, _) if rest.is_empty() => Ok(()),
        (rest, _) => Err(format!("more after the refusal: {}", rest.escape_ascii())),
    }
}

/// Runs every case against one proxy, and reports all that fail.
#[track_caller]
fn assert_all_refused(proxy: &TestProxy, cases: &[Case]) {
    let failures: Vec<_> = cases
        .iter()
        .filter_map(|case| refused(proxy, case).err().map(|why| (case.name, why)))
        .collect();
    assert!(
        failures.is_empty(),
        "{} of {}: {failures:#?}",
        failures.len(),
        cases.len()
    );
    assert_eq!(proxy.get("/after").status, 200, "the proxy still serves");
}

/// For faults in the head: the backend must not see a single byte.
#[track_caller]
pub(crate) fn assert_refused_unseen(cases: &[Case]) {
    let (backend, proxy) = serving(&[]);
    assert_all_refused(&proxy, cases);
    assert_eq!(backend.only_request().target, "/after");
    assert_eq!(
        backend.connections(),
        1,
        "the backend got bytes of a refused request"
    );
}

/// For faults in the body: the backend may have begun to read, but never sees a whole request.
#[track_caller]
pub(crate) fn assert_refused_unfinished(cases: &[Case]) {
    let (backend, proxy) = serving(&[]);
    assert_all_refused(&proxy, cases);
    assert_eq!(backend.only_request().target, "/after");
    for received in backend.received() {
        let received = String::from_utf8_lossy(&received).into_owned();
        assert!(!received.contains("/smuggled"), "{received}");
    }
}
