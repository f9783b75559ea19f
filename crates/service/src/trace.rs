//! Traces: whose trace a request belongs to (W3C Trace Context), what is told of it (spans), and their
//! export as OTLP over HTTP.
//!
//! Whoever answers a request only puts its span into a queue, and never waits: a thread of its own takes
//! batches out and sends them. What there is no room for is dropped and counted.

mod context;
mod exporter;
mod post;
mod queue;
mod settings;

use std::{
    io,
    sync::Arc,
    thread::JoinHandle,
    time::{Duration, SystemTime},
};

use opentelemetry::{
    Context, InstrumentationScope,
    trace::{SpanContext, Status, TraceContextExt as _, TraceFlags, TraceState},
};
pub use opentelemetry::{
    KeyValue,
    trace::{SpanId, SpanKind, TraceId},
};
use opentelemetry_sdk::trace::{
    IdGenerator as _, RandomIdGenerator, Sampler, SamplingDecision, ShouldSample as _, SpanData,
    SpanEvents, SpanLinks,
};

pub use self::{
    context::TraceContext,
    queue::SpanCounts,
    settings::{ENDPOINT, PROTOCOL, SAMPLER, SAMPLER_ARG, TraceSettings, service_name},
};
use self::{exporter::Exporter, queue::Queue};

/// The most memory that spans take: those that wait, the batch that is being sent, and its copies as
/// they are put into words.
pub const MEMORY: u64 = 5 << 20;

/// How long the end of a process may take for the last spans.
const FINAL_FLUSH: Duration = Duration::from_secs(2);

/// A span that has begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Which one it is. As `traceparent` of the requests that it makes, it is their parent.
    pub context: TraceContext,
    /// Whose child it is.
    parent: Option<SpanId>,
    /// Whether that one is another process's.
    remote: bool,
}

impl Span {
    /// Somebody else's, as it came with a request, where nothing is told of it here.
    pub const fn of_others(context: TraceContext) -> Self {
        Self {
            context,
            parent: None,
            remote: true,
        }
    }
}

/// What is told of a span when it ends.
#[derive(Debug)]
pub struct Told {
    /// Its name: of few values.
    pub name: String,
    /// Whether it answers a request, or makes one.
    pub kind: SpanKind,
    /// When it began.
    pub start: SystemTime,
    /// How long it took.
    pub took: Duration,
    /// By OpenTelemetry's semantic conventions.
    pub attributes: Vec<KeyValue>,
    /// Whether it failed.
    pub failed: bool,
}

/// Begins spans, and hands those that end on to be exported.
#[derive(Debug)]
pub struct Tracer {
    sampler: Sampler,
    ids: RandomIdGenerator,
    scope: InstrumentationScope,
    queue: Arc<Queue>,
    exporter: JoinHandle<()>,
}

impl Tracer {
    /// Starts the thread that exports, for `program` in this `version`.
    pub fn start(
        settings: &TraceSettings,
        program: &'static str,
        version: &'static str,
        counts: SpanCounts,
    ) -> io::Result<Self> {
        let queue = Arc::new(Queue::new(counts));
        let instance = RandomIdGenerator::default().new_trace_id();
        let exporter = Exporter::new(settings, version, instance, Arc::clone(&queue));
        let scope = InstrumentationScope::builder(program).with_version(version);
        Ok(Self {
            sampler: settings.sampler.clone(),
            ids: RandomIdGenerator::default(),
            scope: scope.build(),
            exporter: exporter.start()?,
            queue,
        })
    }

    /// A span of the trace of `parent`, or the first one of a new trace.
    pub fn begin(&self, parent: Option<TraceContext>) -> Span {
        let (around, trace_id) = match &parent {
            Some(parent) => (
                Context::new().with_remote_span_context(span_context(parent, true)),
                parent.trace_id,
            ),
            None => (Context::new(), self.ids.new_trace_id()),
        };
        let (around, kind) = (Some(&around), &SpanKind::Server);
        let sampling = self
            .sampler
            .should_sample(around, trace_id, "", kind, &[], &[]);
        Span {
            context: TraceContext {
                trace_id,
                span_id: self.ids.new_span_id(),
                sampled: sampling.decision == SamplingDecision::RecordAndSample,
            },
            parent: parent.map(|parent| parent.span_id),
            remote: parent.is_some(),
        }
    }

    /// A part of `span`.
    pub fn child(&self, span: &Span) -> Span {
        Span {
            context: TraceContext {
                span_id: self.ids.new_span_id(),
                ..span.context
            },
            parent: Some(span.context.span_id),
            remote: false,
        }
    }

    /// Hands a span that ends on to be exported, if it is among those that are.
    pub fn end(&self, span: &Span, told: impl FnOnce() -> Told) {
        if !span.context.sampled {
            return;
        }
        let told = told();
        self.queue.push(SpanData {
            span_context: span_context(&span.context, false),
            parent_span_id: span.parent.unwrap_or(SpanId::INVALID),
            parent_span_is_remote: span.remote,
            span_kind: told.kind,
            name: told.name.into(),
            start_time: told.start,
            end_time: told.start + told.took,
            attributes: told.attributes,
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: if told.failed {
                Status::error("")
            } else {
                Status::Unset
            },
            instrumentation_scope: self.scope.clone(),
        });
    }

    /// Has what waits exported before the process ends, within two seconds.
    pub fn finish(&self) {
        self.queue.close(&self.exporter, FINAL_FLUSH);
    }
}

/// As much of a text that a client chose as `limit` bytes have room for.
pub fn cut(text: &str, limit: usize) -> String {
    let mut ends = (0..=limit.min(text.len())).rev();
    let end = ends.find(|end| text.is_char_boundary(*end));
    text[..end.unwrap_or_default()].to_owned()
}

fn span_context(context: &TraceContext, remote: bool) -> SpanContext {
    SpanContext::new(
        context.trace_id,
        context.span_id,
        TraceFlags::default().with_sampled(context.sampled),
        remote,
        TraceState::NONE,
    )
}

#[cfg(test)]
mod tests;
