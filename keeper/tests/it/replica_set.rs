//! In a replica set.

use std::time::Duration;

use serde_json::json;
use testkit::mongo::ReplicaSet;

use crate::support::{Requests, request};

const MINUTE: Duration = Duration::from_secs(60);
const BY_AGE: &str = r#"keeper_documents_removed_total{reason="age"}"#;

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_is_counted_once_though_the_primary_is_lost() {
    let set = ReplicaSet::start(&json!({"electionTimeoutMillis": 2000})).await;
    let requests = Requests::at(&set.login_uri()).await;
    let old: Vec<_> = (0..200).map(|n| request((62 + n % 50) * MINUTE)).collect();
    requests.insert(&old).await;
    requests.insert(&[request(MINUTE)]).await;

    let keeper = requests.keeper(&[("KEEPER_RETENTION", "1h")]).await;
    // One batch of two: between them it rests.
    let begun = || keeper.value(BY_AGE).is_some_and(|gone| gone > 0.0);
    testkit::wait::wait_until("the first have gone", begun);
    set.kill(set.primary().await);
    keeper.wait_for(BY_AGE, 200.0);
    assert_eq!(requests.ids().await.len(), 1);
    let lags = keeper.metrics();
    assert!(
        lags.contains("keeper_replica_lag_seconds{member=\""),
        "{lags}"
    );
}
