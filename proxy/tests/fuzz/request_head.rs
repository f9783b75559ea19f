//! A request head that passes is rewritten into one that means the same, to anybody and for ever.

use std::time::UNIX_EPOCH;

use proxy::http1::head::Side;
use proxy::http1::{BodyLength, HeadScanner, SyntaxError};
use proxy::rewrite::hop::Hop;
use proxy::rewrite::request::{Origin, RequestFacts, rewrite};
use proxy::rewrite::request_id::RequestId;
use proxy::rewrite::trusted_proxies::TrustedProxies;

use testkit::{fuzz, table::words};

use crate::{WORDS, lines, values};

#[test]
fn request_head() {
    fuzz::run("request_head", &words(WORDS), 20_000, check);
}

fn rewritten(head: &[u8], trusted: bool) -> Result<(Vec<u8>, RequestFacts<'_>), SyntaxError> {
    let upstream = "flask-app:9090".parse().unwrap();
    let proxies = TrustedProxies::parse("192.0.2.0/24").unwrap();
    let origin = Origin {
        peer: "192.0.2.1",
        proxies: trusted.then_some(&proxies),
        upstream: &upstream,
        token: None,
        hop: Hop::default(),
        tracer: None,
    };
    let id = RequestId::mint(UNIX_EPOCH);
    let (mut out, mut facts) = (Vec::new(), RequestFacts::default());
    rewrite(head, origin, &id, &mut facts, &mut out)?;
    Ok((out, facts))
}

fn check(input: &[u8]) -> String {
    let whole = HeadScanner::default().scan(input, Side::Request);
    // However the bytes arrive, the verdict is the same; a refusal may only come earlier.
    let mut scanner = HeadScanner::default();
    let early = scanner.scan(&input[..input.len() / 2], Side::Request);
    match early {
        Ok(None) => assert_eq!(scanner.scan(input, Side::Request), whole),
        Ok(found) => assert_eq!(Ok(found), whole),
        Err(_) => {}
    }
    let length = match whole {
        Ok(Some(length)) => length,
        Ok(None) => return "incomplete".to_owned(),
        Err(error) => return format!("{error:?}"),
    };
    let head = &input[..length];
    let (out, facts) = match rewritten(head, false) {
        Ok(done) => done,
        Err(error) => {
            assert!((400..=505).contains(&error.status()));
            return format!("{error:?}");
        }
    };
    assert!(early.is_ok(), "refused early and passed late");

    let lines = lines(&out);
    let words: Vec<_> = lines[0].split(' ').collect();
    let [method, target, "HTTP/1.1"] = words[..] else {
        panic!("request line {:?}", lines[0])
    };
    assert_eq!(method.as_bytes(), facts.method_token.as_bytes());
    let sent = facts.target;
    assert!(
        sent.ends_with(target.trim_start_matches('/')) || target == "*",
        "{sent} {target}"
    );
    assert_eq!(values(&lines, "host").len(), 1);
    assert_eq!(values(&lines, "x-forwarded-for"), ["192.0.2.1"]);
    assert_eq!(values(&lines, "x-real-ip"), ["192.0.2.1"]);
    assert_eq!(values(&lines, "x-request-id").len(), 1);
    for removed in [
        "forwarded",
        "keep-alive",
        "proxy-connection",
        "x-proxy-token",
        "content_length",
    ] {
        assert!(values(&lines, removed).is_empty(), "{removed}");
    }
    let framing = (
        values(&lines, "transfer-encoding"),
        values(&lines, "content-length"),
    );
    match (facts.body, &framing) {
        (BodyLength::Chunked, (codings, lengths)) => {
            assert_eq!((codings.as_slice(), lengths.len()), (&["chunked"][..], 0));
        }
        (BodyLength::Fixed(length), (codings, lengths)) => {
            let told = lengths.first().map_or(0, |text| text.parse().unwrap());
            assert_eq!((told, codings.len(), lengths.len() < 2), (length, 0, true));
        }
        (BodyLength::UntilClose, _) => panic!("a request until close"),
    }

    // A second proxy of our kind changes nothing that matters.
    match rewritten(&out, true) {
        Ok((_, again)) => {
            let told = |facts: &RequestFacts<'_>| {
                (
                    facts.body,
                    facts.upgrade,
                    facts.expects_continue,
                    facts.method,
                )
            };
            assert_eq!(told(&facts), told(&again));
            assert_eq!(again.target, target);
        }
        // What we add may reach the limits.
        Err(SyntaxError::TooManyFields | SyntaxError::HeadTooLarge) => {}
        Err(error) => panic!("{error:?} on {}", out.escape_ascii()),
    }
    let fields = lines.len().min(16);
    format!(
        "ok {:?} {:?} {:?} {} {} {fields}",
        facts.method, facts.body, facts.version, facts.upgrade, facts.keep_alive
    )
}
