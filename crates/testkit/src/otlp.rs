//! A receiver of traces: OTLP over HTTP, as a collector speaks it, and the spans that it got.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::thread;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1::{Span as Sent, span::SpanKind, status::StatusCode};
use prost::Message as _;
use socket2::SockRef;

use crate::http::Wire;
use crate::net::free_address;
use crate::wait::until;

/// A span as it came.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the fields are OTLP's words")]
pub struct Span {
    /// `service.name`
    pub service: String,
    pub name: String,
    pub kind: SpanKind,
    /// In lower-case hex, as the other ids.
    pub trace_id: String,
    pub span_id: String,
    /// Empty for a root.
    pub parent: String,
    /// As text, whatever their type.
    pub attributes: BTreeMap<String, String>,
    pub failed: bool,
    /// Since the epoch, in nanoseconds.
    pub start: u64,
    pub end: u64,
}

impl Span {
    /// An attribute; empty if it isn't there.
    pub fn get(&self, name: &str) -> &str {
        self.attributes.get(name).map_or("", String::as_str)
    }
}

/// How a receiver answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// It takes what comes.
    Takes,
    /// It answers with this status, and takes nothing.
    Says(u16),
    /// It never answers.
    Hangs,
}

/// A server on loopback; it ends with the value.
pub struct Receiver {
    address: SocketAddr,
    listener: Arc<TcpListener>,
    got: Arc<Got>,
}

struct Got {
    manner: Mutex<Manner>,
    spans: Mutex<Vec<Span>>,
    requests: Mutex<usize>,
}

impl Receiver {
    /// One that takes what comes.
    pub fn start() -> Self {
        Self::start_at(free_address(), Manner::Takes)
    }

    /// One at a chosen address, in a chosen manner.
    pub fn start_at(address: SocketAddr, manner: Manner) -> Self {
        let listener = Arc::new(TcpListener::bind(address).unwrap());
        let got = Arc::new(Got {
            manner: Mutex::new(manner),
            spans: Mutex::default(),
            requests: Mutex::default(),
        });
        let (accepting, kept) = (Arc::clone(&listener), Arc::clone(&got));
        thread::spawn(move || {
            while let Ok((stream, _)) = accepting.accept() {
                let kept = Arc::clone(&kept);
                thread::spawn(move || kept.serve(Wire::new(stream)));
            }
        });
        Self {
            address,
            listener,
            got,
        }
    }

    /// For `OTEL_EXPORTER_OTLP_ENDPOINT`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Has it answer in another manner from now on.
    pub fn set(&self, manner: Manner) {
        *self.got.manner.lock().unwrap() = manner;
    }

    /// How many times it was asked.
    pub fn requests(&self) -> usize {
        *self.got.requests.lock().unwrap()
    }

    /// Every span that it took.
    pub fn spans(&self) -> Vec<Span> {
        self.got.spans.lock().unwrap().clone()
    }

    /// Waits until it has taken `count` spans, and returns all.
    #[track_caller]
    pub fn wait_for(&self, count: usize) -> Vec<Span> {
        until(&format!("{count} spans at the receiver"), || {
            Some(self.spans()).filter(|spans| spans.len() >= count)
        })
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        // Wakes the accepting thread, which then ends.
        let _already_gone = SockRef::from(&*self.listener).shutdown(std::net::Shutdown::Both);
    }
}

impl Got {
    fn serve(&self, mut wire: Wire) {
        while let Ok(request) = wire.request() {
            *self.requests.lock().unwrap() += 1;
            assert_eq!((&*request.method, &*request.target), ("POST", "/v1/traces"));
            let kind = request.head.get("content-type");
            assert_eq!(kind, Some("application/x-protobuf"));
            let manner = *self.manner.lock().unwrap();
            let status = match manner {
                Manner::Takes => {
                    let sent = ExportTraceServiceRequest::decode(&*request.body);
                    let spans = spans_of(sent.expect("what is sent is OTLP"));
                    self.spans.lock().unwrap().extend(spans);
                    200
                }
                Manner::Says(status) => status,
                Manner::Hangs => {
                    wire.drain(crate::wait::PATIENCE);
                    return;
                }
            };
            let answer = format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n");
            if wire.try_send(answer).is_err() {
                return;
            }
        }
    }
}

fn spans_of(request: ExportTraceServiceRequest) -> Vec<Span> {
    let mut spans = Vec::new();
    for of_service in request.resource_spans {
        let resource = of_service.resource.expect("a resource");
        let service = texts(resource.attributes)["service.name"].clone();
        let scopes = of_service.scope_spans.into_iter();
        let sent = scopes.flat_map(|scope| scope.spans);
        spans.extend(sent.map(|sent| span(&service, sent)));
    }
    spans
}

fn span(service: &str, sent: Sent) -> Span {
    Span {
        service: service.to_owned(),
        kind: sent.kind(),
        name: sent.name,
        trace_id: hex(&sent.trace_id),
        span_id: hex(&sent.span_id),
        parent: hex(&sent.parent_span_id),
        attributes: texts(sent.attributes),
        failed: sent.status.is_some_and(|it| it.code() == StatusCode::Error),
        start: sent.start_time_unix_nano,
        end: sent.end_time_unix_nano,
    }
}

fn texts(attributes: Vec<KeyValue>) -> BTreeMap<String, String> {
    let text = |value: Option<AnyValue>| match value.and_then(|value| value.value) {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        other => panic!("no attribute has such a value: {other:?}"),
    };
    let texts = attributes.into_iter();
    let texts: Vec<_> = texts.map(|it| (it.key, text(it.value))).collect();
    let (count, texts) = (texts.len(), BTreeMap::from_iter(texts));
    assert_eq!(texts.len(), count, "an attribute is there twice");
    texts
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}
