//! Beginning spans, and what a receiver gets of them. `proxy/tests/it/trace.rs` and `api/tests/it/trace.rs`
//! have the rest.

use std::net::TcpListener;

use super::*;
use crate::settings::{Table, Values};

/// Of a service that exports traces.
pub(super) static TABLE: Table = Table {
    prefix: "WEB_",
    keys: &[
        ENDPOINT,
        PROTOCOL,
        SAMPLER,
        SAMPLER_ARG,
        service_name("web"),
    ],
};

/// A receiver that never answers; and what sends to it.
fn tracer(sampler: &str, share: &str) -> (TcpListener, Tracer, SpanCounts) {
    let receiver = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", receiver.local_addr().unwrap());
    let environment = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
        ("OTEL_TRACES_SAMPLER", sampler),
        ("OTEL_TRACES_SAMPLER_ARG", share),
    ];
    let values = Values::from_environment(&TABLE, environment).unwrap();
    let settings = TraceSettings::read(&values).unwrap().unwrap();
    let counts = SpanCounts::default();
    let tracer = Tracer::start(&settings, "web", "1", counts.clone()).unwrap();
    (receiver, tracer, counts)
}

fn parent(sampled: bool) -> TraceContext {
    TraceContext {
        trace_id: TraceId::from_bytes([7; 16]),
        span_id: SpanId::from_bytes([8; 8]),
        sampled,
    }
}

#[test]
fn a_span_is_its_parents_child_and_of_the_same_trace() {
    let (_receiver, tracer, _) = tracer("parentbased_always_on", "1");
    let root = tracer.begin(None);
    assert!(root.parent.is_none() && root.context.sampled);
    for sampled in [true, false] {
        let span = tracer.begin(Some(parent(sampled)));
        assert_eq!(span.context.trace_id, parent(sampled).trace_id);
        assert_ne!(span.context.span_id, parent(sampled).span_id);
        assert_eq!(span.parent, Some(parent(sampled).span_id));
        assert_eq!(span.context.sampled, sampled);
        let child = tracer.child(&span);
        assert_eq!(child.parent, Some(span.context.span_id));
        assert_eq!(child.context.sampled, sampled);
    }
}

#[test]
fn texts_are_cut_between_characters() {
    for (text, limit, expected) in [
        ("abc", 3, "abc"),
        ("abcd", 3, "abc"),
        ("aé", 2, "a"),
        ("é", 0, ""),
    ] {
        assert_eq!(cut(text, limit), expected);
    }
}

#[test]
fn the_sampler_decides_which_are_exported() {
    for (name, share, root, sampled, unsampled) in [
        ("always_on", "1", true, true, true),
        ("always_off", "1", false, false, false),
        ("traceidratio", "0", false, false, false),
        ("parentbased_traceidratio", "0", false, true, false),
        ("parentbased_always_off", "1", false, true, false),
    ] {
        let (_receiver, tracer, _) = tracer(name, share);
        let decided = [None, Some(parent(true)), Some(parent(false))];
        let decided = decided.map(|parent| tracer.begin(parent).context.sampled);
        assert_eq!(decided, [root, sampled, unsampled], "{name} {share}");
    }
}

/// Whatever the receiver does, whoever ends a span goes on, and memory is bounded.
#[test]
fn spans_beyond_the_bound_are_dropped_and_counted() {
    let (_receiver, tracer, counts) = tracer("always_on", "1");
    let text = "x".repeat(2000);
    for _ in 0..20_000 {
        tracer.end(&tracer.begin(None), || Told {
            name: "GET".to_owned(),
            kind: SpanKind::Server,
            start: SystemTime::now(),
            took: Duration::ZERO,
            attributes: vec![KeyValue::new("url.path", text.clone())],
            failed: false,
        });
    }
    // 3 MiB of them wait, and a batch may be with the receiver.
    let kept = 20_000 - counts.dropped.get();
    assert!((700..=2500).contains(&kept), "{kept}");
    assert_eq!(counts.exported.get(), 0);
}
