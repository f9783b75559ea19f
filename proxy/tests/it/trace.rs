//! W3C Trace Context, and what is exported of requests as OTLP.

use crate::support::http2::{Session, get, with};
use crate::support::{Backend, Signal, TestProxy, free_address, ok, serving, wait_until};
use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use testkit::otlp::{Manner, Receiver, Span};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";
const VALID: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// What exports to `receiver`, before a backend that answers `served`.
fn exporting(receiver: &Receiver) -> (Backend, TestProxy) {
    let backend = Backend::answering(|_| ok("served"));
    let proxy = TestProxy::builder(backend.address())
        .variable("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint())
        .start();
    (backend, proxy)
}

/// What `field` the backend got with the request for `target`.
fn sent(backend: &Backend, target: &str, field: &str) -> Vec<String> {
    let requests = backend.requests();
    let mut requests = requests.iter().filter(|request| request.target == target);
    let values = requests
        .next()
        .expect("the request")
        .head
        .all(field)
        .into_iter();
    values.map(str::to_owned).collect()
}

/// The trace and the span of the `traceparent` that the backend got.
fn carried(backend: &Backend, target: &str) -> (String, String) {
    let fields = sent(backend, target, "traceparent");
    let [field] = &fields[..] else {
        panic!("one traceparent: {fields:?}");
    };
    let parts: Vec<_> = field.split('-').collect();
    let ["00", trace, span, "00" | "01"] = parts[..] else {
        panic!("{field}");
    };
    (trace.to_owned(), span.to_owned())
}

fn of<'s>(spans: &'s [Span], path: &str) -> &'s Span {
    let span = spans.iter().find(|span| span.get("url.path") == path);
    span.unwrap_or_else(|| panic!("{path}: {spans:#?}"))
}

#[test]
fn without_an_endpoint_a_traceparent_passes_as_it_is_and_none_is_begun() {
    let (backend, proxy) = serving(&[]);
    let mut client = proxy.client();
    client.get("/none");
    assert!(sent(&backend, "/none", "traceparent").is_empty());
    for (target, value) in [("/valid", VALID), ("/invalid", "00-0-0-0")] {
        let lines = format!("traceparent: {value}\r\ntracestate: a=1, b=2\r\ntracestate: c=3\r\n");
        let response = client.get_with(target, &lines);
        assert_eq!(sent(&backend, target, "traceparent"), [value]);
        assert_eq!(sent(&backend, target, "tracestate"), ["a=1, b=2", "c=3"]);
        let logged = proxy.access_entry(response.request_id());
        let expected = if value == VALID { Some(TRACE) } else { None };
        assert_eq!(logged["trace_id"].as_str(), expected);
    }
    client.get_with("/twice", &format!("traceparent: {VALID}\r\n").repeat(2));
    assert_eq!(sent(&backend, "/twice", "traceparent"), [VALID, VALID]);
}

#[test]
fn a_clients_trace_goes_on_through_our_span() {
    let receiver = Receiver::start();
    let (backend, proxy) = exporting(&receiver);
    let lines = format!(
        "TraceParent: {VALID}\r\ntracestate: a=1, b=2\r\ntracestate: c=3\r\nUser-Agent: me/1\r\n"
    );
    let response = proxy.client().get_with("/a?password=hunter2", &lines);
    let (trace, span) = carried(&backend, "/a?password=hunter2");
    assert_eq!(trace, TRACE);
    assert_ne!(span, PARENT);
    let state = sent(&backend, "/a?password=hunter2", "tracestate");
    assert_eq!(state, ["a=1, b=2", "c=3"]);
    let logged = proxy.access_entry(response.request_id());
    assert_eq!(logged["trace_id"], TRACE);

    let spans = receiver.wait_for(1);
    let [told] = &spans[..] else {
        panic!("{spans:#?}");
    };
    assert_eq!((&*told.trace_id, &*told.span_id), (TRACE, &*span));
    assert_eq!((&*told.parent, &*told.service), (PARENT, "causeway-proxy"));
    assert!(told.name == "GET" && !told.failed && told.end > told.start);
    for (name, value) in [
        ("http.request.method", "GET"),
        ("url.path", "/a"),
        ("server.address", "example.test"),
        ("http.response.status_code", "200"),
        ("user_agent.original", "me/1"),
        ("causeway.request.id", response.request_id()),
        ("causeway.upstream.address", &backend.address().to_string()),
        ("error.type", ""),
        ("http.request.resend_count", ""),
    ] {
        assert_eq!(told.get(name), value, "{name}");
    }
    assert!(!format!("{told:?}").contains("hunter2"), "{told:?}");
    assert_eq!(proxy.metric("proxy_trace_spans_exported_total", &[]), 1);
}

/// And what belongs to it, `tracestate`, goes with it.
#[test]
fn in_place_of_what_is_invalid_a_trace_is_begun() {
    let receiver = Receiver::start();
    let (backend, proxy) = exporting(&receiver);
    let twice = format!("{VALID}\r\ntraceparent: {VALID}");
    let invalid = [
        "",
        "00",
        "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
        "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
        &format!("{VALID}-00"),
        &"0".repeat(4000),
        &twice,
    ];
    let mut client = proxy.client();
    let mut traces = HashSet::new();
    for (number, value) in invalid.iter().enumerate() {
        let target = format!("/{number}");
        client.get_with(
            &target,
            &format!("traceparent: {value}\r\ntracestate: a=1\r\n"),
        );
        assert!(sent(&backend, &target, "tracestate").is_empty());
        traces.insert(carried(&backend, &target).0);
    }
    client.get("/none");
    traces.insert(carried(&backend, "/none").0);
    assert!(!traces.contains(TRACE));
    assert_eq!(traces.len(), invalid.len() + 1);
    let spans = receiver.wait_for(traces.len());
    assert!(spans.iter().all(|span| span.parent.is_empty()));
    assert!(spans.iter().all(|span| traces.contains(&span.trace_id)));
}

#[test]
fn a_later_version_and_other_flags_are_taken_over_as_far_as_they_are_known() {
    let receiver = Receiver::start();
    let (backend, proxy) = exporting(&receiver);
    let mut client = proxy.client();
    for (target, value, flags) in [
        ("/later", VALID.replacen("00", "cc", 1) + "-more", "01"),
        ("/flags", VALID.replace("-01", "-ff"), "01"),
        ("/unsampled", VALID.replace("-01", "-00"), "00"),
    ] {
        client.get_with(target, &format!("traceparent: {value}\r\n"));
        assert_eq!(carried(&backend, target).0, TRACE);
        assert!(sent(&backend, target, "traceparent")[0].ends_with(flags));
    }
    // What the client doesn't want sampled isn't exported.
    client.get("/last");
    let spans = receiver.wait_for(3);
    let mut paths: Vec<_> = spans.iter().map(|span| span.get("url.path")).collect();
    paths.sort_unstable();
    assert_eq!(paths, ["/flags", "/last", "/later"]);
}

#[test]
fn a_request_of_http_2_is_one_as_any() {
    let receiver = Receiver::start();
    let backend = Backend::answering(|_| ok("served"));
    let proxy = TestProxy::builder(backend.address())
        .set("HTTP2", "prior-knowledge")
        .variable("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint())
        .start();
    let mut session = Session::open(proxy.address);
    let fields = with(get("/"), &[("traceparent", VALID), ("tracestate", "a=1")]);
    session.send_fields(1, &fields);
    assert_eq!(session.answer(1).status(), 200);
    let (trace, span) = carried(&backend, "/");
    assert_eq!(
        (&*trace, sent(&backend, "/", "tracestate")),
        (TRACE, vec!["a=1".to_owned()])
    );
    let told = &receiver.wait_for(1)[0];
    assert_eq!((&told.span_id, &*told.parent), (&span, PARENT));
    assert_eq!(told.get("network.protocol.version"), "2");
}

/// The last spans aren't lost when the process ends.
#[test]
fn what_went_wrong_is_told_and_so_are_repetitions() {
    let receiver = Receiver::start();
    let broken = AtomicBool::new(false);
    let backend = Backend::start(move |connection| {
        while let Ok(request) = connection.request() {
            match request.target.as_str() {
                "/broken" if !broken.swap(true, Relaxed) => return,
                "/always" => return,
                _ => connection.send(ok("served")),
            }
        }
    });
    let mut proxy = TestProxy::builder(backend.address())
        .set("MAX_BODY", "10B")
        .variable("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint())
        .variable("OTEL_SERVICE_NAME", "edge")
        .start();
    assert_eq!(proxy.get("/broken").status, 200);
    assert_eq!(proxy.get("/always").status, 502);
    assert_eq!(proxy.client().exchange("BREW", "/pot", "", "").status, 200);
    let large = "x".repeat(11);
    assert_eq!(
        proxy.client().exchange("POST", "/large", "", &large).status,
        413
    );
    proxy.signal(Signal::TERM);
    assert_eq!(proxy.ended().code(), Some(0));

    let spans = receiver.spans();
    assert_eq!(spans.len(), 4, "{spans:#?}");
    assert!(spans.iter().all(|span| span.service == "edge"));
    let broken = of(&spans, "/broken");
    assert!(
        broken.get("http.request.resend_count") == "1" && !broken.failed,
        "{broken:?}"
    );
    let always = of(&spans, "/always");
    assert!(
        always.failed && always.get("error.type") == "upstream_broken",
        "{always:?}"
    );
    assert_eq!(always.get("http.response.status_code"), "502");
    let pot = of(&spans, "/pot");
    assert_eq!(
        (&*pot.name, pot.get("http.request.method")),
        ("HTTP", "_OTHER")
    );
    assert_eq!(pot.get("http.request.method_original"), "BREW");
    let large = of(&spans, "/large");
    assert!(
        !large.failed && large.get("http.response.status_code") == "413",
        "{large:?}"
    );
}

/// Said once, and once that it is over; and nothing is lost that there was room for.
#[test]
fn a_receiver_that_is_away_or_busy_is_waited_for_and_clients_do_not_notice() {
    let address = free_address();
    let backend = Backend::answering(|_| ok("served"));
    let proxy = TestProxy::builder(backend.address())
        .variable("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{address}"))
        .start();
    let mut client = proxy.client();
    let said = |text: &str| proxy.log().matches(text).count();
    assert_eq!(client.get("/away").status, 200);
    wait_until("the outage in the log", || said("takes no spans") == 1);
    let receiver = Receiver::start_at(address, Manner::Says(503));
    wait_until("another attempt", || receiver.requests() > 0);
    assert_eq!(client.get("/busy").status, 200);
    receiver.set(Manner::Takes);
    let spans = receiver.wait_for(2);
    assert!(of(&spans, "/away").start < of(&spans, "/busy").start);
    wait_until("the end of the outage in the log", || {
        said("takes spans again") == 1
    });
    assert_eq!(said("takes no spans"), 1);

    receiver.set(Manner::Says(400));
    assert_eq!(client.get("/refused").status, 200);
    wait_until("the refusal in the metrics", || {
        proxy.metric("proxy_trace_spans_refused_total", &[]) == 1
    });
    assert_eq!(said("refuses spans"), 1);
    assert_eq!(proxy.metric("proxy_trace_spans_exported_total", &[]), 2);
}

#[test]
fn a_receiver_that_hangs_keeps_neither_clients_nor_the_end_waiting() {
    let receiver = Receiver::start_at(free_address(), Manner::Hangs);
    let (_backend, mut proxy) = exporting(&receiver);
    let mut client = proxy.client();
    assert_eq!(client.get("/").status, 200);
    wait_until("spans on their way", || receiver.requests() == 1);
    for _ in 0..100 {
        assert_eq!(client.get("/").status, 200);
    }
    proxy.signal(Signal::TERM);
    assert_eq!(proxy.ended().code(), Some(0));
    assert!(proxy.log().contains("ended before all spans were exported"));
}
