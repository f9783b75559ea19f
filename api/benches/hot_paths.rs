//! The API's own work per request: building a document, and gathering documents into batches.

#![allow(missing_docs, clippy::unwrap_used, reason = "a benchmark")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header::{HeaderMap, HeaderValue};
use actix_web::http::{Method, Uri};
use api::budget::Budget;
use api::observe::metrics::WriteMetrics;
use api::record::document::Received;
use api::record::document_id::DocumentId;
use api::write::coalescer::{Coalescer, Limits, Rejection, Store, StoreError};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use mongodb::bson::DateTime;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::raw::RawDocumentBuf;
use mongodb::bson::rawdoc;

/// What a browser behind the proxy sends.
const FIELDS: &[(&str, &str)] = &[
    ("host", "localhost:8080"),
    (
        "user-agent",
        "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
    ),
    (
        "accept",
        "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    ),
    ("accept-language", "en-GB,en;q=0.5"),
    ("accept-encoding", "gzip, deflate, br, zstd"),
    ("cookie", "session=0123456789abcdef0123456789abcdef"),
    ("x-forwarded-for", "203.0.113.9"),
    ("x-forwarded-proto", "http"),
    ("x-forwarded-host", "localhost:8080"),
    ("x-real-ip", "203.0.113.9"),
    ("x-request-id", "65a1b2c3d4e5f60718293a4b"),
    ("via", "1.1 causeway"),
];

fn documents(criterion: &mut Criterion) {
    let mut headers = HeaderMap::new();
    for (name, value) in FIELDS {
        headers.append(name.parse().unwrap(), HeaderValue::from_static(value));
    }
    let target = Uri::from_static("/?q=caf%C3%A9&page=2");
    let redact = ["authorization", "cookie"].map(|name| name.parse().unwrap());
    let mut group = criterion.benchmark_group("document");
    for size in [0, 1 << 10, 1 << 20] {
        let body = vec![b'x'; size];
        let received = Received {
            method: &Method::POST,
            target: &target,
            headers: &headers,
            body: &body,
            peer: Some([192, 0, 2, 1].into()),
            believes_real_ip: true,
            is_from_proxy: true,
            local: ([0, 0, 0, 0], 9090).into(),
            at: DateTime::now(),
        };
        group.bench_with_input(
            BenchmarkId::new("body", size),
            &received,
            |bencher, received| {
                bencher.iter(|| {
                    black_box(received)
                        .document(ObjectId::new(), &redact)
                        .unwrap()
                });
            },
        );
    }
    group.finish();
}

/// Acknowledges everything at once.
struct Instantly;

impl Store for Instantly {
    async fn insert(&self, batch: Vec<RawDocumentBuf>) -> Result<Vec<Rejection>, StoreError> {
        black_box(batch);
        tokio::task::yield_now().await;
        Ok(Vec::new())
    }
}

fn batches(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let coalescer = {
        let _inside = runtime.enter();
        let store = Arc::new(Instantly);
        let timeout = Duration::from_secs(5);
        let limits = Limits::of(&Budget::derive(256 << 20, 10_000, 2, 1 << 20).unwrap());
        Coalescer::start(&store, timeout, limits, WriteMetrics::default())
    };
    let document = rawdoc! { "data": "x".repeat(600) };
    let mut group = criterion.benchmark_group("coalescer");
    for writers in [1_u32, 64, 512] {
        group.throughput(Throughput::Elements(writers.into()));
        group.bench_function(BenchmarkId::new("writers", writers), |bencher| {
            bencher.iter(|| {
                let writes = (0..writers).map(|_| {
                    coalescer.write(DocumentId::Minted(ObjectId::new()), document.clone())
                });
                let fates = runtime.block_on(futures_util::future::join_all(writes));
                assert!(fates.iter().all(Result::is_ok));
            });
        });
    }
    group.finish();
}

criterion_group!(benches, documents, batches);
criterion_main!(benches);
