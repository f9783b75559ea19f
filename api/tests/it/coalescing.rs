//! Properties of the coalescer, whatever the store does, in virtual time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use api::coalescer::{Coalescer, Limits, Rejection, Store, StoreError, WriteError};
use api::metrics::WriteMetrics;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::raw::RawDocumentBuf;
use mongodb::bson::rawdoc;
use proptest::prelude::*;
use tokio::time::{Instant, sleep};

const TIMEOUT: Duration = Duration::from_millis(100);

/// What the store does with one batch.
#[derive(Clone, Debug)]
enum Behaviour {
    Acknowledge,
    /// Rejects each document whose position has its bit set.
    Reject(u64),
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
    documents: HashMap<ObjectId, Document>,
}

impl Scripted {
    fn new(script: Vec<(u64, Behaviour)>) -> Arc<Self> {
        Arc::new(Self {
            script,
            seen: Mutex::default(),
        })
    }
}

/// What happened to a document.
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
    async fn insert(&self, batch: &[RawDocumentBuf]) -> Result<Vec<Rejection>, StoreError> {
        let ids: Vec<_> = batch
            .iter()
            .map(|d| d.get_object_id("_id").unwrap())
            .collect();
        let (latency, behaviour) = {
            let mut seen = self.seen.lock().unwrap();
            seen.in_flight += 1;
            seen.most_in_flight = seen.most_in_flight.max(seen.in_flight);
            for id in &ids {
                let document = seen.documents.entry(*id).or_default();
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
            Behaviour::Fail => return Err(StoreError("no primary".to_owned())),
            Behaviour::Hang => std::future::pending().await,
        };
        let mut rejections = Vec::new();
        let mut seen = self.seen.lock().unwrap();
        for (index, id) in ids.into_iter().enumerate() {
            if rejected >> (index % 64) & 1 == 1 {
                rejections.push(Rejection {
                    index,
                    reason: "no".to_owned(),
                });
            } else {
                seen.documents.get_mut(&id).unwrap().acknowledged = Some(Instant::now());
            }
        }
        Ok(rejections)
    }
}

fn document(id: ObjectId, size: usize) -> RawDocumentBuf {
    rawdoc! { "_id": id, "data": "x".repeat(size) }
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
        requests in prop::collection::vec((0..200_u64, 0..1_500_usize), 1..150),
        script in prop::collection::vec(behaviour(), 1..12),
        drain_after in 0..400_u64,
    ) {
        in_virtual_time(async {
            let store = Scripted::new(script);
            let coalescer =
                Arc::new(Coalescer::start(&store, TIMEOUT, limits, WriteMetrics::default()));
            let writers: Vec<_> = requests
                .into_iter()
                .map(|(delay, size)| {
                    let coalescer = Arc::clone(&coalescer);
                    tokio::spawn(async move {
                        sleep(Duration::from_millis(delay)).await;
                        let id = ObjectId::new();
                        let started = Instant::now();
                        let fate = coalescer.write(id, document(id, size)).await;
                        (id, fate, started, Instant::now())
                    })
                })
                .collect();
            sleep(Duration::from_millis(drain_after)).await;
            coalescer.drain().await;
            let drained = Instant::now();

            for writer in writers {
                let (id, fate, started, ended) = writer.await.unwrap();
                let seen = store.seen.lock().unwrap();
                let Document { times_handed_over, handed_over, acknowledged } =
                    seen.documents.get(&id).copied().unwrap_or_default();
                prop_assert!(times_handed_over <= 1, "written twice");
                prop_assert!(
                    handed_over.is_none_or(|at| at < started + TIMEOUT),
                    "written after its request had timed out"
                );
                // Timers are good to a millisecond.
                prop_assert!(ended - started <= TIMEOUT + Duration::from_millis(1), "answered late");
                match &fate {
                    Ok(()) => prop_assert!(
                        acknowledged.is_some_and(|at| at <= ended),
                        "answered before it was acknowledged"
                    ),
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
                    prop_assert_eq!(&fate, &Ok(()), "acknowledged in time and not answered so");
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
async fn write_at_once(coalescer: &Arc<Coalescer>, count: usize) -> Vec<Result<(), WriteError>> {
    let writers: Vec<_> = (0..count)
        .map(|_| {
            let coalescer = Arc::clone(coalescer);
            tokio::spawn(async move {
                let id = ObjectId::new();
                coalescer.write(id, document(id, 10)).await
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
        let limits = Limits {
            lanes: 1,
            ..Limits::default()
        };
        let coalescer = Arc::new(Coalescer::start(
            &store,
            TIMEOUT,
            limits,
            WriteMetrics::default(),
        ));
        let started = Instant::now();
        assert_eq!(write_at_once(&coalescer, 1).await, [Ok(())]);
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
            ..Limits::default()
        };
        let coalescer = Arc::new(Coalescer::start(
            &store,
            TIMEOUT,
            limits,
            WriteMetrics::default(),
        ));
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
            coalescer.write(id, document(id, 10)).await,
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
            ..Limits::default()
        };
        let coalescer = Arc::new(Coalescer::start(
            &store,
            TIMEOUT,
            limits,
            WriteMetrics::default(),
        ));
        for _ in 0..100 {
            let fates = write_at_once(&coalescer, 5).await;
            assert!(!fates.contains(&Err(WriteError::QueueFull)), "{fates:?}");
        }
    });
}
