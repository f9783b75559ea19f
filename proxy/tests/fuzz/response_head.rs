//! A response head that passes is rewritten into one whose body ends where we think it ends.

use std::time::UNIX_EPOCH;

use proxy::http1::head::Side;
use proxy::http1::{BodyLength, HeadScanner, Method, Reframe, Version};
use proxy::rewrite::request::RequestFacts;
use proxy::rewrite::request_id::RequestId;
use proxy::rewrite::response::{Persistence, rewrite};

use testkit::{fuzz, table::words};

use crate::{WORDS, lines, values};

#[test]
fn response_head() {
    fuzz::run("response_head", &words(WORDS), 20_000, check);
}

fn check(input: &[u8]) -> String {
    let length = match HeadScanner::default().scan(input, Side::Response) {
        Ok(Some(length)) => length,
        other => return format!("{other:?}"),
    };
    let mut outcome = Vec::new();
    for (method, version) in [
        (Method::Get, Version::Http11),
        (Method::Head, Version::Http11),
        (Method::Get, Version::Http10),
    ] {
        let request = RequestFacts {
            method,
            version,
            ..RequestFacts::default()
        };
        let id = RequestId::mint(UNIX_EPOCH);
        let mut out = Vec::new();
        let date = b"Thu, 01 Jan 1970 00:00:00 GMT";
        let done = rewrite(
            &input[..length],
            &request,
            &id,
            Persistence::Keep,
            date,
            &mut out,
        );
        let facts = match done {
            Ok(facts) => facts,
            Err(error) => return format!("{error:?}"),
        };
        let lines = lines(&out);
        let status = format!("HTTP/1.1 {} ", facts.status);
        assert!(lines[0].starts_with(&status), "{:?}", lines[0]);
        let codings = values(&lines, "transfer-encoding");
        let lengths = values(&lines, "content-length");
        assert!(codings.len() + lengths.len() < 2, "{lines:?}");
        if facts.status == 204 || facts.status < 200 {
            assert!(codings.is_empty() && lengths.is_empty(), "{lines:?}");
        }
        if method != Method::Head && facts.status >= 200 && ![204, 304].contains(&facts.status) {
            match (facts.body, facts.reframe) {
                (BodyLength::Fixed(length), Reframe::Plain) => {
                    assert_eq!(lengths, [length.to_string()]);
                }
                (_, Reframe::Chunked) => assert_eq!(codings, ["chunked"]),
                (_, Reframe::Plain) => {
                    assert!(codings.is_empty() && lengths.is_empty() && !facts.delimited);
                    let told = values(&lines, "connection").join(",");
                    assert!(told.starts_with("close"), "{told}");
                }
            }
        }
        let shape = (facts.status / 100, facts.reframe, facts.delimited);
        outcome.push(format!("{shape:?}"));
    }
    outcome.concat()
}
