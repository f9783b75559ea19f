//! The proxy's own work per request, without the sockets: finding the end of a head, rewriting
//! the request's and the response's, and re-framing a chunked body.

#![allow(missing_docs, clippy::unwrap_used, reason = "a benchmark")]

use std::{hint::black_box, str::FromStr, time::UNIX_EPOCH};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use proxy::{
    http1::{ChunkedDecoder, HeadScanner, Reframe, head::Side},
    rewrite::{
        hop::Hop,
        request::{self, Origin, RequestFacts},
        request_id::RequestId,
        response::{self, Persistence},
    },
    upstream::name::UpstreamName,
};

/// What load generators send.
const PLAIN: &str = "GET / HTTP/1.1\r\nHost: localhost:8080\r\nAccept: */*\r\n\r\n";

/// What a browser sends.
const BROWSER: &str = "GET /?q=caf%C3%A9&page=2 HTTP/1.1\r\n\
    Host: localhost:8080\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0\r\n\
    Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n\
    Accept-Language: en-GB,en;q=0.5\r\n\
    Accept-Encoding: gzip, deflate, br, zstd\r\n\
    Connection: keep-alive\r\n\
    Cookie: session=0123456789abcdef0123456789abcdef\r\n\
    Upgrade-Insecure-Requests: 1\r\n\
    Sec-Fetch-Dest: document\r\n\
    Sec-Fetch-Mode: navigate\r\n\
    Sec-Fetch-Site: none\r\n\
    Priority: u=0, i\r\n\r\n";

/// What the API answers.
const RESPONSE: &str = "HTTP/1.1 200 OK\r\n\
    content-length: 66\r\n\
    content-type: text/html; charset=utf-8\r\n\
    date: Tue, 24 Nov 2026 12:00:00 GMT\r\n\r\n";

const DATE: &[u8] = b"Tue, 24 Nov 2026 12:00:00 GMT";

fn heads(criterion: &mut Criterion) {
    let upstream = UpstreamName::from_str("flask-app:9090").unwrap();
    let origin = Origin {
        peer: "203.0.113.9",
        proxies: None,
        upstream: &upstream,
        token: None,
        hop: Hop::default(),
        tracer: None,
    };
    let id = RequestId::mint(UNIX_EPOCH);
    let mut out = Vec::with_capacity(4096);

    let mut group = criterion.benchmark_group("request head");
    for (name, head) in [("plain", PLAIN), ("browser", BROWSER)] {
        group.throughput(Throughput::Bytes(head.len() as u64));
        group.bench_with_input(BenchmarkId::new("scan", name), head, |bencher, head| {
            bencher.iter(|| {
                let end = HeadScanner::default().scan(black_box(head.as_bytes()), Side::Request);
                assert!(matches!(end, Ok(Some(_))));
            });
        });
        group.bench_with_input(BenchmarkId::new("rewrite", name), head, |bencher, head| {
            bencher.iter(|| {
                out.clear();
                let mut facts = RequestFacts::default();
                let head = black_box(head.as_bytes());
                request::rewrite(head, origin, &id, &mut facts, &mut out).unwrap();
                black_box(&out);
            });
        });
    }
    group.finish();

    let mut facts = RequestFacts::default();
    request::rewrite(PLAIN.as_bytes(), origin, &id, &mut facts, &mut out).unwrap();
    criterion.bench_function("response head/rewrite", |bencher| {
        bencher.iter(|| {
            out.clear();
            let head = black_box(RESPONSE.as_bytes());
            response::rewrite(head, &facts, &id, Persistence::Keep, DATE, &mut out).unwrap();
            black_box(&out);
        });
    });
}

fn chunked(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("chunked body");
    for size in [16, 1 << 10, 16 << 10] {
        let chunk = "x".repeat(size);
        let body = format!("{size:x}\r\n{chunk}\r\n").repeat((64 << 10) / size) + "0\r\n\r\n";
        let mut out = Vec::with_capacity(body.len() * 2);
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_with_input(BenchmarkId::new("chunk", size), &body, |bencher, body| {
            bencher.iter(|| {
                out.clear();
                let mut decoder = ChunkedDecoder::new(u64::MAX);
                let body = black_box(body.as_bytes());
                decoder.decode(body, &mut out, Reframe::Chunked).unwrap();
                assert!(decoder.is_done());
            });
        });
    }
    group.finish();
}

criterion_group!(benches, heads, chunked);
criterion_main!(benches);
