//! What goes, and what stays.

use std::time::Duration;

use mongodb::bson::{Bson, Document, doc};

use crate::support::{Requests, ago, id, request};

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const BY_AGE: &str = r#"keeper_documents_removed_total{reason="age"}"#;
const BY_SIZE: &str = r#"keeper_documents_removed_total{reason="size"}"#;

fn ids(documents: &[Document]) -> Vec<Bson> {
    let mut ids: Vec<_> = documents.iter().map(|it| it["_id"].clone()).collect();
    ids.sort_by_key(ToString::to_string);
    ids
}

async fn assert_there(requests: &Requests, documents: &[Document]) {
    let mut there = requests.ids().await;
    there.sort_by_key(ToString::to_string);
    assert_eq!(there, ids(documents));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_old_goes_and_nothing_that_is_younger() {
    let requests = Requests::new().await;
    // More than a batch; none is more than an hour older than it may be.
    let old: Vec<_> = (0..130).map(|n| request((62 + n % 50) * MINUTE)).collect();
    let young: Vec<_> = (0..30).map(|n| request((2 * n) * MINUTE)).collect();
    // As the Flask application has stored them.
    let old_without = doc! { "_id": id(90 * MINUTE) };
    let young_without = doc! { "_id": id(MINUTE) };
    let others = [
        young_without,
        // The younger of the two counts.
        doc! { "_id": id(90 * MINUTE), "received_at": ago(MINUTE) },
        doc! { "_id": id(MINUTE), "received_at": ago(2 * DAY) },
        // No time in it.
        doc! { "_id": "of its own", "received_at": ago(2 * DAY) },
        doc! { "_id": 7, "received_at": ago(2 * DAY) },
    ];
    let stays = [&young[..], &others].concat();
    requests
        .insert(&[&old[..], &[old_without], &stays].concat())
        .await;

    let keeper = requests.keeper(&[("KEEPER_RETENTION", "1h")]).await;
    keeper.wait_for(BY_AGE, 131.0);
    assert_there(&requests, &stays).await;
    keeper.wait_for("keeper_collection_documents", 35.0);
    assert_eq!(keeper.value(BY_AGE), Some(131.0));
    assert_eq!(keeper.value(BY_SIZE), Some(0.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_oldest_go_until_the_size_is_kept_and_no_more() {
    let requests = Requests::new().await;
    let text = "a".repeat(30 << 10);
    let large = |n: u32| {
        let mut request = request((200 - n) * MINUTE);
        request.insert("data", &text);
        request
    };
    let all: Vec<_> = (0..160).map(large).collect();
    requests.insert(&all).await;
    let each = mongodb::bson::serialize_to_vec(&all[0]).unwrap().len();
    let fit = (1 << 20) / each;

    let keeper = requests.keeper(&[("KEEPER_MAX_SIZE", "1MiB")]).await;
    let gone = all.len() - fit;
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    keeper.wait_for(BY_SIZE, gone as f64);
    assert_there(&requests, &all[gone..]).await;
    assert_eq!(keeper.value(BY_AGE), Some(0.0));

    // One more in, one more out.
    requests.insert(&[large(170)]).await;
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    keeper.wait_for(BY_SIZE, (gone + 1) as f64);
    let newest = requests.ids().await;
    assert_eq!(newest.len(), fit);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_new_retention_or_clock_makes_too_old_waits_and_can_be_taken_back() {
    let requests = Requests::new().await;
    let all = [request(3 * DAY), request(2 * DAY), request(MINUTE)];
    requests.insert(&all).await;
    let keeper = requests.keeper(&[("KEEPER_RETENTION", "1d")]).await;
    keeper.wait_for("keeper_retention_waits", 1.0);
    keeper.wait_for("keeper_retention_seconds", 24.0 * 3600.0);
    keeper.stop().await;
    assert_there(&requests, &all).await;

    // Another setting is another keeper.
    let keeper = requests.keeper(&[("KEEPER_RETENTION", "off")]).await;
    keeper.wait_for("keeper_collection_documents", 3.0);
    assert_eq!(keeper.value("keeper_retention_seconds"), Some(0.0));
    assert_eq!(keeper.value("keeper_retention_waits"), Some(0.0));
    keeper.stop().await;
    assert_there(&requests, &all).await;

    let now = [("KEEPER_RETENTION", "60h"), ("KEEPER_GRACE", "0s")];
    let keeper = requests.keeper(&now).await;
    keeper.wait_for(BY_AGE, 1.0);
    assert_there(&requests, &all[1..]).await;
    // It has to stand while the keeper looks on, too.
    assert_eq!(keeper.value("keeper_retention_waits"), Some(0.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retention_of_seconds_goes_on_while_requests_come_in() {
    let requests = Requests::new().await;
    let keeper = requests.keeper(&[("KEEPER_RETENTION", "1s")]).await;
    for round in 1..=2 {
        requests.insert(&[request(Duration::ZERO)]).await;
        keeper.wait_for(BY_AGE, f64::from(round));
    }
    keeper.wait_for("keeper_collection_documents", 0.0);
    assert!(keeper.value("keeper_oldest_document_seconds").is_none());
}
