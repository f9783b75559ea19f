//! What it tells of itself and of the collection.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use testkit::http::RawClient;

use crate::support::{Requests, request};

#[tokio::test(flavor = "multi_thread")]
async fn it_tells_how_much_there_is_since_when_and_on_which_disk() {
    let requests = Requests::new().await;
    let hour = Duration::from_secs(60 * 60);
    requests.insert(&[request(hour), request(2 * hour)]).await;
    let settings = [("KEEPER_RETENTION", "30d"), ("KEEPER_MAX_SIZE", "10GiB")];
    let keeper = requests.keeper(&settings).await;
    keeper.wait_for("keeper_collection_documents", 2.0);
    let value = |metric| keeper.value(metric).unwrap();
    assert!((50.0..500.0).contains(&value("keeper_collection_bytes")));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let age = now.as_secs_f64() - value("keeper_oldest_document_seconds");
    assert!((7200.0..7300.0).contains(&age), "{age}");
    let (used, disk) = (value("keeper_disk_used_bytes"), value("keeper_disk_bytes"));
    assert!(0.0 < used && used <= disk, "{used} of {disk}");
    assert!((value("keeper_mongo_up") - 1.0).abs() < 0.1);
    keeper.wait_for("keeper_retention_seconds", 30.0 * 24.0 * 3600.0);
    keeper.wait_for("keeper_max_size_bytes", 10.0 * 1024.0 * 1024.0 * 1024.0);
    let mut client = RawClient::connect(keeper.admin);
    client.get("/readyz").assert_is(200, "ready\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_mongodb_it_is_alive_and_not_ready() {
    let requests = Requests::at("mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=50").await;
    let keeper = requests.keeper(&[]).await;
    keeper.wait_for("keeper_mongo_up", 0.0);
    assert!(keeper.value("keeper_collection_bytes").is_none());
    assert_eq!(RawClient::connect(keeper.admin).get("/readyz").status, 503);
    let mut client = RawClient::connect(keeper.admin);
    client.get("/healthz").assert_is(200, "ok\n");
}
