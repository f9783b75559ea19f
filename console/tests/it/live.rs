//! What is recorded is told at once, and once.

mod follower;
mod forwarder;

use std::collections::HashSet;
use std::time::{Duration, Instant};

use console::app::Application;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Document, doc};
use testkit::wait::{PATIENCE, eventually};
use tokio::sync::oneshot;

use crate::live::follower::{Follower, Told};
use crate::live::forwarder::Forwarder;
use crate::support::{TestApp, TestDatabase, request, spawn_app, spawn_app_with};

const STREAM: &str = "/api/requests/stream";

impl TestApp {
    async fn follow(&self, query: &str) -> Follower {
        Follower::start(self.address, &format!("{STREAM}?{query}"), "").await
    }

    /// Records a request, and returns its id.
    async fn record(&self, path: &str) -> ObjectId {
        let document = request("GET", path, "");
        let id = document.get_object_id("_id").unwrap();
        self.database.record([document]).await;
        id
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_told_within_half_a_second() {
    let app = spawn_app().await;
    app.record("/earlier").await;
    let mut follower = app.follow("").await;
    let mut took = Vec::new();
    for _ in 0..9 {
        let id = app.record("/now").await;
        let recorded = Instant::now();
        follower.expect(id).await;
        took.push(recorded.elapsed());
        tokio::time::sleep(Duration::from_millis(130)).await;
    }
    took.sort();
    // The machine may be busy with other tests, once or twice.
    assert!(took[6] < Duration::from_millis(500), "{took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_response_is_an_event_stream() {
    let app = spawn_app().await;
    let mut follower = app.follow("").await;
    assert_eq!(follower.head.get("content-type"), Some("text/event-stream"));
    assert_eq!(follower.head.get("cache-control"), Some("no-store"));
    let document = request("POST", "/foo?a=%22", "héllo");
    let id = document.get_object_id("_id").unwrap();
    app.database.record([document]).await;
    let event = follower.next().await;
    let Told::Event { id: told, data, .. } = event else {
        panic!("{event:?}");
    };
    assert_eq!(told.as_deref(), Some(id.to_hex().as_str()));
    let summary: serde_json::Value = serde_json::from_str(&data).unwrap();
    assert_eq!(summary["id"], id.to_hex());
    assert_eq!(summary["method"], "POST");
    assert_eq!(summary["url"], "http://localhost:8080/foo?a=%22");
    assert_eq!(summary["body_bytes"], 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_come_as_html_with_the_same_ids() {
    let app = spawn_app().await;
    let mut rows = Follower::start(app.address, "/live/rows", "").await;
    let id = app.record("/now").await;
    let event = rows.next().await;
    let Told::Event { id: told, data, .. } = event else {
        panic!("{event:?}");
    };
    assert_eq!(told, Some(id.to_hex()));
    assert!(data.contains(&format!("id=\"r-{id}\"")), "{data}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_as_long_whatever_the_filter() {
    let app = spawn_app().await;
    let sought = (0..30).map(|header| format!("&header=X-{header}"));
    let filter = format!("path=/now{}", sought.collect::<Vec<_>>().concat());
    let mut rows = Follower::start(app.address, &format!("/live/rows?{filter}"), "").await;
    let mut document = request("GET", "/now", "");
    let id = document.get_object_id("_id").unwrap();
    let headers = (0..30).map(|header| (format!("X-{header}"), "".into()));
    document.insert("headers", headers.collect::<Document>());
    app.database.record([document]).await;
    let event = rows.next().await;
    let Told::Event { data, .. } = &event else {
        panic!("{event:?}");
    };
    // The script adds the filter to the link.
    assert!(data.contains(&format!("href=\"/requests/{id}\"")), "{data}");
    assert!(!data.contains("X-1"), "{data}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_full_of_marks_are_fewer_at_once_and_the_others_are_counted() {
    // However slow the machine is, a poll gets through.
    let app = spawn_app_with(&[("CONSOLE_QUERY_TIMEOUT", "60s")]).await;
    let mut rows = Follower::start(app.address, "/live/rows", "").await;
    let marked = "\u{202e}a".repeat(150);
    let method = "M".repeat(10_000);
    let documents = (0..40).map(|n| request(&method, &format!("/{n}?{marked}"), ""));
    app.database.record(documents).await;
    let (mut told, mut skipped) = (0, 0);
    while told + skipped < 40 {
        match rows.next().await {
            Told::Event {
                kind: None, data, ..
            } => {
                told += 1;
                assert!((4000..10_000).contains(&data.len()), "{data}");
            }
            Told::Event {
                kind: Some(kind),
                data,
                ..
            } if kind == "skipped" => {
                skipped += data.parse::<usize>().unwrap();
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(skipped > 0 && told > 0, "{told} told, {skipped} skipped");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_lets_through_what_it_lets_through_in_a_search() {
    let app = spawn_app().await;
    let mut posts = app.follow("method=POST").await;
    let mut bodies = app.follow("body=needle").await;
    let mut headers = app.follow("header=X-Mark").await;
    let documents = [
        request("GET", "/1", ""),
        request("POST", "/2", "a NEEDLE in it"),
        request("GET", "/3", "needle"),
        {
            let mut marked = request("POST", "/4", "");
            marked.insert("headers", doc! { "X-Mark": "yes" });
            marked
        },
    ];
    let ids: Vec<_> = documents
        .iter()
        .map(|document| document.get_object_id("_id").unwrap())
        .collect();
    app.database.record(documents).await;
    for (follower, expected) in [
        (&mut posts, vec![ids[1], ids[3]]),
        (&mut bodies, vec![ids[1], ids[2]]),
        (&mut headers, vec![ids[3]]),
    ] {
        for id in expected {
            follower.expect(id).await;
        }
    }
    let refused = Follower::try_start(app.address, &format!("{STREAM}?since=x"), "").await;
    let refused = refused.err().unwrap();
    assert_eq!(refused.status, 400);
    assert!(refused.text().contains("since"), "{}", refused.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_back_goes_on_where_it_was() {
    let app = spawn_app().await;
    let mut follower = app.follow("").await;
    let first = app.record("/1").await;
    let last = follower.expect(first).await;
    drop(follower);
    let missed = [app.record("/2").await, app.record("/3").await];
    let mut by_field = app.follow(&format!("after={last}")).await;
    let line = format!("Last-Event-ID: {last}\r\n");
    let mut by_header = Follower::start(app.address, &format!("{STREAM}?after=0"), &line).await;
    let next = app.record("/4").await;
    for follower in [&mut by_field, &mut by_header] {
        for id in [missed[0], missed[1], next] {
            follower.expect(id).await;
        }
    }
    let unknown = ObjectId::new();
    let mut stranger = app.follow(&format!("after={unknown}")).await;
    assert_eq!(stranger.next().await, Told::named("missed"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_of_the_console_makes_no_gap() {
    let app = spawn_app().await;
    let mut follower = app.follow("").await;
    let mut by_body = app.follow("body=x").await;
    let first = request("GET", "/1", "x");
    let id = first.get_object_id("_id").unwrap();
    app.database.record([first]).await;
    let last = follower.expect(id).await;
    assert_eq!(by_body.expect(id).await, last);
    drop((follower, by_body));
    let with_x = request("GET", "/2", "x");
    let with_x_id = with_x.get_object_id("_id").unwrap();
    app.database.record([with_x]).await;
    let other = app.record("/3").await;
    let again = spawn_app_with(&[("CONSOLE_DATABASE", &app.database.name)]).await;
    let mut follower = again.follow(&format!("after={last}")).await;
    // The tail runs by now, and hasn't looked at bodies.
    let mut by_body = again.follow(&format!("body=x&after={last}")).await;
    let next = request("GET", "/4", "x");
    let next_id = next.get_object_id("_id").unwrap();
    app.database.record([next]).await;
    for id in [with_x_id, other, next_id] {
        follower.expect(id).await;
    }
    for id in [with_x_id, next_id] {
        by_body.expect(id).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_is_told_once_whoever_writes_and_comes_and_goes() {
    const WRITERS: usize = 4;
    const BATCHES: usize = 15;
    // However slow the machine is, a poll gets through.
    let app = spawn_app_with(&[("CONSOLE_QUERY_TIMEOUT", "60s")]).await;
    let steady = app.follow("").await;
    let by_body = app.follow("body=odd").await;
    // Some ids are made now and written at the end, as those of slow uploads.
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let requests = app.database.requests.clone();
            tokio::spawn(write(requests, writer, BATCHES))
        })
        .collect();
    let restless = (0..3).map(|every| {
        let address = app.address;
        tokio::spawn(follower::come_and_go(address, STREAM, 5 + every * 40))
    });
    let restless: Vec<_> = restless.collect();
    let mut written = Vec::new();
    for writer in writers {
        written.extend(writer.await.unwrap());
    }
    let last = app.record("/last").await;
    let mut all: Vec<_> = written.iter().map(|(id, _)| *id).collect();
    all.push(last);
    let odd = written.iter().filter(|(_, odd)| *odd);
    let odd: Vec<_> = odd.map(|(id, _)| *id).collect();
    assert_same("steady", steady.take(all.len()).await, &all);
    assert_same("by body", by_body.take(odd.len()).await, &odd);
    for restless in restless {
        // It doesn't know where it began: what it was told first is that.
        let part = restless.await.unwrap();
        let unique: HashSet<_> = part.iter().collect();
        assert_eq!(unique.len(), part.len(), "repeated");
    }
}

#[track_caller]
fn assert_same(who: &str, mut told: Vec<ObjectId>, expected: &[ObjectId]) {
    let count = told.len();
    told.sort();
    told.dedup();
    assert_eq!(told.len(), count, "{who} was told some twice");
    let mut expected: Vec<_> = expected.to_vec();
    expected.sort();
    let missing: Vec<_> = expected
        .iter()
        .filter(|id| told.binary_search(id).is_err())
        .collect();
    assert!(
        missing.is_empty(),
        "{who} wasn't told {} of {}: {missing:?}",
        missing.len(),
        expected.len()
    );
    assert_eq!(told, expected, "{who}");
}

/// Writes batches of all sizes, without order, whose ids are older and younger than others'. Returns
/// them, and whether each has an odd body.
async fn write(
    requests: mongodb::Collection<Document>,
    writer: usize,
    batches: usize,
) -> Vec<(ObjectId, bool)> {
    let mut old: Vec<ObjectId> = (0..batches).map(|_| ObjectId::new()).collect();
    let mut written = Vec::new();
    for batch in 0..batches {
        let size = 1 + (batch * 7 + writer * 13) % 90;
        let documents: Vec<_> = (0..size)
            .map(|place| {
                let odd = place % 2 == 1;
                let body = if odd { "odd" } else { "even" };
                let mut document = request("POST", &format!("/{writer}/{batch}"), body);
                if place == 0 {
                    document.insert("_id", old.pop().unwrap());
                }
                written.push((document.get_object_id("_id").unwrap(), odd));
                document
            })
            .collect();
        requests
            .insert_many(documents)
            .ordered(false)
            .await
            .unwrap();
    }
    written
}

#[tokio::test(flavor = "multi_thread")]
async fn while_mongodb_is_away_followers_are_told_and_go_on_afterwards() {
    let mongo = Forwarder::start(&testkit::mongo::shared_mongo_uri().await).await;
    let app = spawn_app_with(&[
        ("CONSOLE_MONGO_URI", &mongo.uri()),
        ("CONSOLE_QUERY_TIMEOUT", "500ms"),
    ])
    .await;
    let mut follower = app.follow("").await;
    let before = app.record("/1").await;
    follower.expect(before).await;
    mongo.cut();
    let away = follower.next().await;
    assert!(
        matches!(&away, Told::Event { kind: Some(kind), data, .. }
        if kind == "away" && data.contains("error")),
        "{away:?}"
    );
    // Recorded all the same: it is away for the console only.
    let meanwhile = app.record("/2").await;
    // Who comes meanwhile gets an answer too.
    let mut second = app.follow("").await;
    let told = second.next().await;
    assert!(
        matches!(&told, Told::Event { kind: Some(kind), .. } if kind == "away"),
        "{told:?}"
    );
    mongo.mend();
    for follower in [&mut follower, &mut second] {
        // The reason may change meanwhile, from a broken connection to a refused one.
        let event = follower.after("away").await;
        assert_eq!(event.id(), Some(meanwhile));
        assert_eq!(follower.next().await, Told::named("back"));
    }
    let afterwards = app.record("/3").await;
    follower.expect(afterwards).await;
    second.expect(afterwards).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_collection_may_be_missing_empty_or_dropped() {
    let app = spawn_app().await;
    let mut follower = app.follow("").await;
    let first = app.record("/1").await;
    follower.expect(first).await;
    app.database.requests.drop().await.unwrap();
    // Until a poll has seen it empty.
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let second = app.record("/2").await;
    follower.expect(second).await;
    app.database.requests.delete_many(doc! {}).await.unwrap();
    let third = app.record("/3").await;
    follower.expect(third).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_followers_cost_one_query_and_none_costs_none() {
    let app = spawn_app().await;
    app.record("/1").await;
    let database = app.database.requests.client().database(&app.database.name);
    database.run_command(doc! { "profile": 2 }).await.unwrap();
    let profile = database.collection::<Document>("system.profile");
    let polls = || async {
        let live = doc! { "command.comment": "the console's live view" };
        profile.count_documents(live).await.unwrap()
    };
    let mut followers = Vec::new();
    for _ in 0..100 {
        followers.push(app.follow("method=GET").await);
    }
    let (before, began) = (polls().await, Instant::now());
    tokio::time::sleep(Duration::from_secs(3)).await;
    let (after, took) = (polls().await, began.elapsed());
    let most = took.as_secs_f64() / 0.45 + 2.0;
    assert!(after > before, "{before} to {after}");
    assert!(
        f64::from(u32::try_from(after - before).unwrap()) <= most,
        "{before} to {after}"
    );
    let id = app.record("/2").await;
    for follower in &mut followers {
        follower.expect(id).await;
    }
    drop(followers);
    eventually("it reads no more", PATIENCE * 4, || async {
        let before = polls().await;
        tokio::time::sleep(Duration::from_secs(2)).await;
        (polls().await == before).then_some(())
    })
    .await;
    let mut follower = app.follow("").await;
    let id = app.record("/3").await;
    follower.expect(id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_followers_are_refused_until_one_leaves() {
    let app = spawn_app().await;
    let mut followers = Vec::new();
    for _ in 0..256 {
        followers.push(app.follow("").await);
    }
    let refused = Follower::try_start(app.address, STREAM, "").await;
    let refused = refused.err().unwrap();
    assert_eq!(refused.status, 503);
    assert_eq!(refused.head.get("retry-after"), Some("5"));
    followers.pop();
    eventually("there is room", PATIENCE * 2, || async {
        Follower::try_start(app.address, STREAM, "").await.ok()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_end_when_the_console_does() {
    let database = TestDatabase::new().await;
    let application = Application::build(database.settings(&[])).await.unwrap();
    let address = application.addresses().unwrap()[0];
    let (stop, stopped) = oneshot::channel::<()>();
    let running = tokio::spawn(application.run_until_stopped(async {
        let _ = stopped.await;
    }));
    let mut follower = Follower::start(address, STREAM, "").await;
    stop.send(()).unwrap();
    assert_eq!(follower.next().await, Told::End);
    running.await.unwrap().unwrap();
}
