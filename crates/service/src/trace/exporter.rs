//! The thread that exports: batches of spans, as OTLP over HTTP.
//!
//! While the receiver is away, or asks to wait, the batch is kept, and others wait in the queue as long as
//! there is room. That it is away is logged once, and once that it is back.

use std::{
    io, mem,
    sync::Arc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use opentelemetry::{KeyValue, trace::TraceId};
use opentelemetry_proto::{
    tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse},
    transform::{
        common::tonic::ResourceAttributesWithSchema,
        trace::tonic::group_spans_by_resource_and_scope,
    },
};
use opentelemetry_sdk::{Resource, trace::SpanData};
use prost::Message as _;

use super::{
    TraceSettings,
    post::{Endpoint, Failed},
    queue::Queue,
};

/// How long a span waits for others at most.
const INTERVAL: Duration = Duration::from_secs(1);
/// Limit on sending a batch (`OTEL_EXPORTER_OTLP_TIMEOUT`, by its default).
const TIME_LIMIT: Duration = Duration::from_secs(10);
/// The waits between attempts at a batch.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// What is logged of an outage.
const AWAY: &str = "the receiver of traces takes no spans; they wait as long as there is room";
const REFUSED: &str = "the receiver of traces refuses spans";

pub(super) struct Exporter {
    endpoint: Endpoint,
    resource: ResourceAttributesWithSchema,
    queue: Arc<Queue>,
    /// Whether it was logged that spans aren't taken.
    troubled: bool,
}

impl Exporter {
    pub(super) fn new(
        settings: &TraceSettings,
        version: &'static str,
        instance: TraceId,
        queue: Arc<Queue>,
    ) -> Self {
        let resource = Resource::builder_empty()
            .with_service_name(settings.service_name.clone())
            .with_attributes([
                KeyValue::new("service.version", version),
                KeyValue::new("service.instance.id", instance.to_string()),
                KeyValue::new("telemetry.sdk.language", "rust"),
                KeyValue::new("telemetry.sdk.name", "opentelemetry"),
            ])
            .build();
        Self {
            endpoint: settings.endpoint.clone(),
            resource: (&resource).into(),
            queue,
            troubled: false,
        }
    }

    pub(super) fn start(self) -> io::Result<JoinHandle<()>> {
        let queue = Arc::clone(&self.queue);
        let thread = thread::Builder::new().name("traces".to_owned());
        let thread = thread.spawn(move || self.run())?;
        queue.taken_by(thread.thread().clone());
        Ok(thread)
    }

    fn run(mut self) {
        loop {
            // Asked first: what came before is taken below.
            let closing = self.queue.is_closing();
            if !closing {
                thread::park_timeout(INTERVAL);
            }
            loop {
                let batch = self.queue.take();
                if batch.is_empty() {
                    break;
                }
                let spans = batch.len();
                if !self.deliver(batch) {
                    return;
                }
                self.queue.settled(spans);
            }
            if closing {
                return;
            }
        }
    }

    /// Sends a batch, as often as that takes. False if the process ended meanwhile.
    fn deliver(&mut self, batch: Vec<SpanData>) -> bool {
        let spans = batch.len() as u64;
        let request = ExportTraceServiceRequest {
            resource_spans: group_spans_by_resource_and_scope(batch, &self.resource),
        };
        let request = request.encode_to_vec();
        let mut wait = FIRST_WAIT;
        loop {
            match self.endpoint.post(&request, TIME_LIMIT) {
                Ok(answer) => {
                    self.delivered(spans, &answer);
                    return true;
                }
                Err(Failed::Forever(reason)) => {
                    self.queue.counts.refused.inc_by(spans);
                    self.trouble(&reason, REFUSED);
                    return true;
                }
                Err(Failed::Now(reason, asked)) => {
                    self.trouble(&reason, AWAY);
                    if self.queue.is_closing() {
                        return false;
                    }
                    self.pause(asked.unwrap_or(wait));
                    wait = (wait * 2).min(LONGEST_WAIT);
                }
            }
        }
    }

    /// Counts what was taken: the answer may say that some of it wasn't.
    fn delivered(&mut self, spans: u64, answer: &[u8]) {
        let partial = ExportTraceServiceResponse::decode(answer)
            .ok()
            .and_then(|answer| answer.partial_success);
        let refused = partial.as_ref().map_or(0, |partial| partial.rejected_spans);
        let refused = u64::try_from(refused).unwrap_or_default().min(spans);
        self.queue.counts.exported.inc_by(spans - refused);
        self.queue.counts.refused.inc_by(refused);
        if let Some(partial) = partial.filter(|_| refused > 0) {
            self.trouble(&partial.error_message, REFUSED);
        } else if mem::take(&mut self.troubled) {
            tracing::info!(endpoint = %self.endpoint, "the receiver of traces takes spans again");
        }
    }

    fn trouble(&mut self, reason: &str, what: &str) {
        if !mem::replace(&mut self.troubled, true) {
            tracing::warn!(endpoint = %self.endpoint, reason, "{what}");
        }
    }

    /// Waits before the next attempt, unless the process ends.
    fn pause(&self, wait: Duration) {
        let end = Instant::now() + wait;
        while !self.queue.is_closing() {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            thread::park_timeout(left);
        }
    }
}
