//! Properties of the coalescer, whatever the store does, in virtual time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use api::budget::Budget;
use api::observe::metrics::WriteMetrics;
use api::record::document_id::DocumentId;
use api::write::coalescer::{Coalescer, Limits, Rejection, Store, StoreError};
use api::write::fate::{Acknowledged, Fate, WriteError};
use mongodb::bson::oid::ObjectId;
use mongodb::bson::raw::RawDocumentBuf;
use mongodb::bson::rawdoc;
use proptest::prelude::*;
use tokio::time::{Instant, sleep};

const TIMEOUT: Duration = Duration::from_millis(100);

/// The limits under the memory that compose.yaml grants.
fn usual() -> Limits {
    Limits::of(&Budget::derive(256 << 20, 10_000, 2, 1 << 20).unwrap())
}

/// What the store does with one batch.
#[derive(Clone, Debug)]
enum Behaviour {
    Acknowledge,
    /// Rejects each document whose position has its bit set.
    Reject(u64),
    /// Stores everything and can't say so.
    Fail,
    Hang,
}

/// A store that does what a script says, and writes down what it was given.
#[derive(Debug)]
struct Scripted {
    script: Vec<(u64, Behaviour)>,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    batches: Vec<(usize, usize)>,
    in_flight: usize,
    most_in_flight: usize,
    /// By the number of the request.
    documents: HashMap<i64, Document>,
    /// Which request's document is stored under an id.
    stored: HashMap<ObjectId, i64>,
}

impl Scripted {
    fn new(script: Vec<(u64, Behaviour)>) -> Arc<Self> {
        Arc::new(Self {
            script,
            seen: Mutex::default(),
        })
    }
}

/// What happened to the document of a request.
#[derive(Clone, Copy, Debug, Default)]
struct Document {
    times_handed_over: u32,
    handed_over: Option<Instant>,
    acknowledged: Option<Instant>,
}

/// Counts a batch out again, also when it is given up.
struct InFlight<'a>(&'a Mutex<Seen>);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.lock().unwrap().in_flight -= 1;
    }
}

impl Store for Scripted {
    async fn insert(&self, batch: Vec<RawDocumentBuf>) -> Result<Vec<Rejection>, StoreError> {
        let sent: Vec<_> = batch
            .iter()
            .map(|d| {
                (
                    d.get_object_id("_id").unwrap(),
                    d.get_i64("request").unwrap(),
                )
            })
            .collect();
        let (latency, behaviour) = {
            let mut seen = self.seen.lock().unwrap();
            seen.in_flight += 1;
            seen.most_in_flight = seen.most_in_flight.max(seen.in_flight);
            for (_, request) in &sent {
                let document = seen.documents.entry(*request).or_default();
                document.times_handed_over += 1;
                document.handed_over = Some(Instant::now());
            }
            let bytes = batch.iter().map(|document| document.as_bytes().len()).sum();
            seen.batches.push((batch.len(), bytes));
            self.script[(seen.batches.len() - 1) % self.script.len()].clone()
        };
        let _in_flight = InFlight(&self.seen);
        sleep(Duration::from_millis(latency)).await;
        let rejected = match behaviour {
            Behaviour::Acknowledge => 0,
            Behaviour::Reject(mask) => mask,
            Behaviour::Fail => {
                let mut seen = self.seen.lock().unwrap();
                for (id, request) in sent {
                    seen.stored.entry(id).or_insert(request);
                }
                return Err(StoreError("no primary".to_owned()));
            }
            Behaviour::Hang => std::future::pending().await,
        };
        let mut rejections = Vec::new();
        let mut seen = self.seen.lock().unwrap();
        for (index, (id, request)) in sent.into_iter().enumerate() {
            let reject = |duplicate_id| Rejection {
                index,
                duplicate_id,
                reason: "no".to_owned(),
            };
            if rejected >> (index % 64) & 1 == 1 {
                rejections.push(reject(false));
                continue;
            }
            if *seen.stored.entry(id).or_insert(request) != request {
                rejections.push(reject(true));
            }
            seen.documents.get_mut(&request).unwrap().acknowledged = Some(Instant::now());
        }
        Ok(rejections)
    }
}

fn document(id: ObjectId, request: i64, size: usize) -> RawDocumentBuf {
    rawdoc! { "_id": id, "request": request, "data": "x".repeat(size) }
}

/// One of a few ids, as the proxy gives it to each attempt at a request; or none.
fn given_id() -> impl Strategy<Value = Option<ObjectId>> {
    prop::option::of((0..8_u8).prop_map(|number| ObjectId::from_bytes([number; 12])))
}

fn behaviour() -> impl Strategy<Value = (u64, Behaviour)> {
    let behaviour = prop_oneof![
        6 => Just(Behaviour::Acknowledge),
        2 => any::<u64>().prop_map(Behaviour::Reject),
        1 => Just(Behaviour::Fail),
        1 => Just(Behaviour::Hang),
    ];
    (0..150_u64, behaviour)
}

prop_compose! {
    fn limits()(
        lanes in 1..4_usize,
        batch_documents in 1..20_usize,
        batch_bytes in 100..3_000_usize,
        queue_documents in 1..60_usize,
        queue_bytes in 1_000..20_000_usize,
    ) -> Limits {
        Limits { lanes, batch_documents, batch_bytes, queue_documents, queue_bytes }
    }
}

fn started(store: &Arc<Scripted>, limits: Limits) -> Arc<Coalescer> {
    let metrics = WriteMetrics::default();
    Arc::new(Coalescer::start(store, TIMEOUT, limits, metrics))
}

fn in_virtual_time<T>(test: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap()
        .block_on(test)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..Default::default() })]

    #[test]
    fn every_request_is_answered_once_and_truly(
        limits in limits(),
        requests in prop::collection::vec((given_id(), 0..200_u64, 0..1_500_usize), 1..150),
        script in prop::collection::vec(behaviour(), 1..12),
        drain_after in 0..400_u64,
    ) {
        in_virtual_time(async {
            let store = Scripted::new(script);
            let coalescer =
                started(&store, limits);
            let writers: Vec<_> = (0..)
                .zip(requests)
                .map(|(number, (given, delay, size))| {
                    let coalescer = Arc::clone(&coalescer);
                    tokio::spawn(async move {
                        sleep(Duration::from_millis(delay)).await;
                        let id = given
                            .map_or_else(|| DocumentId::Minted(ObjectId::new()), DocumentId::Given);
                        let started = Instant::now();
                        let document = document(id.object_id(), number, size);
                        let fate = coalescer.write(id, document).await;
                        (number, id, fate, started, Instant::now())
                    })
                })
                .collect();
            sleep(Duration::from_millis(drain_after)).await;
            coalescer.drain().await;
            let drained = Instant::now();

            for writer in writers {
                let (number, id, fate, started, ended) = writer.await.unwrap();
                let seen = store.seen.lock().unwrap();
                let Document { times_handed_over, handed_over, acknowledged } =
                    seen.documents.get(&number).copied().unwrap_or_default();
                let stored = seen.stored.get(&id.object_id());
                prop_assert!(times_handed_over <= 1, "written twice");
                prop_assert!(
                    handed_over.is_none_or(|at| at < started + TIMEOUT),
                    "written after its request had timed out"
                );
                // Timers are good to a millisecond.
                prop_assert!(ended - started <= TIMEOUT + Duration::from_millis(1), "answered late");
                match &fate {
                    Ok(how) => {
                        prop_assert!(
                            acknowledged.is_some_and(|at| at <= ended),
                            "answered before it was acknowledged"
                        );
                        match how {
                            Acknowledged::Written => prop_assert_eq!(stored, Some(&number)),
                            Acknowledged::AlreadyStored => {
                                prop_assert!(matches!(id, DocumentId::Given(_)));
                                prop_assert!(stored.is_some_and(|other| *other != number));
                            }
                        }
                    }
                    Err(WriteError::QueueFull | WriteError::ShuttingDown) => {
                        prop_assert!(handed_over.is_none(), "refused and written");
                    }
                    Err(WriteError::TimedOut) => {
                        prop_assert!(ended - started >= TIMEOUT, "gave up early");
                    }
                    Err(WriteError::Rejected(_) | WriteError::Failed(_)) => {
                        prop_assert!(handed_over.is_some() && acknowledged.is_none());
                    }
                }
                if acknowledged.is_some_and(|at| at < started + TIMEOUT) {
                    prop_assert!(fate.is_ok(), "acknowledged in time and not answered so");
                }
                if started > drained {
                    prop_assert_eq!(fate, Err(WriteError::ShuttingDown));
                } else if fate != Err(WriteError::ShuttingDown) {
                    prop_assert!(ended <= drained.max(started + TIMEOUT) + Duration::from_millis(1));
                }
            }
            let seen = store.seen.lock().unwrap();
            prop_assert!(seen.most_in_flight <= limits.lanes);
            for (documents, bytes) in &seen.batches {
                prop_assert!((1..=limits.batch_documents).contains(documents));
                prop_assert!(*bytes <= limits.batch_bytes || *documents == 1);
            }
            Ok(())
        })?;
    }
}

/// Starts `count` writes of small documents at once and returns their fates.
async fn write_at_once(coalescer: &Arc<Coalescer>, count: i64) -> Vec<Fate> {
    let writers: Vec<_> = (0..count)
        .map(|number| {
            let coalescer = Arc::clone(coalescer);
            tokio::spawn(async move {
                let id = ObjectId::new();
                let document = document(id, number, 10);
                coalescer.write(DocumentId::Minted(id), document).await
            })
        })
        .collect();
    let mut fates = Vec::new();
    for writer in writers {
        fates.push(writer.await.unwrap());
    }
    fates
}

#[test]
fn a_lone_request_is_written_at_once_and_a_crowd_together() {
    in_virtual_time(async {
        let store = Scripted::new(vec![(10, Behaviour::Acknowledge)]);
        let lanes = 1;
        let limits = Limits { lanes, ..usual() };
        let coalescer = started(&store, limits);
        let started = Instant::now();
        assert_eq!(
            write_at_once(&coalescer, 1).await,
            [Ok(Acknowledged::Written)]
        );
        assert!(
            started.elapsed() <= Duration::from_millis(11),
            "{:?}",
            started.elapsed()
        );
        // The lane wakes when the first of them is queued, and by then all are.
        assert!(
            write_at_once(&coalescer, 500)
                .await
                .iter()
                .all(Result::is_ok)
        );
        let batches = store.seen.lock().unwrap().batches.len();
        assert!(batches <= 3, "{batches} batches for 501 documents");
    });
}

#[test]
fn a_full_queue_refuses_at_once() {
    in_virtual_time(async {
        let store = Scripted::new(vec![(0, Behaviour::Hang)]);
        let limits = Limits {
            lanes: 1,
            batch_documents: 5,
            queue_documents: 10,
            ..usual()
        };
        let coalescer = started(&store, limits);
        let first = {
            let coalescer = Arc::clone(&coalescer);
            tokio::spawn(async move { write_at_once(&coalescer, 5).await })
        };
        sleep(Duration::from_millis(1)).await;
        let started = Instant::now();
        let waiting = {
            let coalescer = Arc::clone(&coalescer);
            tokio::spawn(async move { write_at_once(&coalescer, 10).await })
        };
        sleep(Duration::from_millis(1)).await;
        let id = ObjectId::new();
        assert_eq!(
            coalescer
                .write(DocumentId::Minted(id), document(id, 0, 10))
                .await,
            Err(WriteError::QueueFull)
        );
        assert!(
            started.elapsed() <= Duration::from_millis(2),
            "{:?}",
            started.elapsed()
        );
        for fates in [first.await.unwrap(), waiting.await.unwrap()] {
            assert!(
                fates.iter().all(|fate| *fate == Err(WriteError::TimedOut)),
                "{fates:?}"
            );
        }
    });
}

#[test]
fn room_in_the_queue_is_given_back() {
    in_virtual_time(async {
        let store = Scripted::new(vec![
            (1, Behaviour::Acknowledge),
            (1, Behaviour::Fail),
            (0, Behaviour::Hang),
            (1, Behaviour::Reject(u64::MAX)),
        ]);
        let limits = Limits {
            lanes: 1,
            queue_documents: 5,
            queue_bytes: 500,
            ..usual()
        };
        let coalescer = started(&store, limits);
        for _ in 0..100 {
            let fates = write_at_once(&coalescer, 5).await;
            assert!(!fates.contains(&Err(WriteError::QueueFull)), "{fates:?}");
        }
    });
}

/// The proxy may repeat a request; whoever else has the id of another document has a problem.
#[test]
fn a_stored_id_is_success_for_the_proxy_only() {
    in_virtual_time(async {
        let store = Scripted::new(vec![(1, Behaviour::Acknowledge)]);
        let coalescer = Coalescer::start(&store, TIMEOUT, usual(), WriteMetrics::default());
        let id = ObjectId::new();
        let mut fates = Vec::new();
        for (number, as_given) in (0..).zip([
            DocumentId::Given as fn(ObjectId) -> DocumentId,
            DocumentId::Given,
            DocumentId::Minted,
        ]) {
            fates.push(
                coalescer
                    .write(as_given(id), document(id, number, 10))
                    .await,
            );
        }
        assert_eq!(
            fates,
            [
                Ok(Acknowledged::Written),
                Ok(Acknowledged::AlreadyStored),
                Err(WriteError::Rejected("no".to_owned())),
            ]
        );
    });
}
