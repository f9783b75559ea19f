//! What was recorded is backed up while the stack serves, and restored.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use serde_json::Value;
use testkit::process::Process;
use testkit::wait::wait_within;

use crate::container::by_service;
use crate::load::Load;
use crate::stack::Stack;

/// Documents that are there before.
const DOCUMENTS: usize = 10_000;

/// All that is acknowledged before is in a backup; and in the database again after a restore that was killed
/// and run again, the same to the byte.
pub(crate) fn what_was_recorded_is_backed_up_and_restored(stack: &Stack) {
    stack.ask_mongo(&format!(
        "for (let n = 0; n < {}; n++) requests.insertMany(Array.from({{length: 1000}}, (_, i) => \
         ({{method: 'POST', url: 'seed', data: 'x'.repeat(i)}})));",
        DOCUMENTS / 1000
    ));
    let load = Load::start(stack, "backup");
    let before = ids(stack);
    assert!(before.len() > DOCUMENTS);
    let told: Value =
        serde_json::from_str(last(&stack.deploy(&["--json", "backup", "all.zip"]))).unwrap();
    load.end(stack);
    let documents = told["manifest"]["documents"].as_u64().unwrap();

    let mut kept = BTreeSet::new();
    stack.shell("python3 -m zipfile -e all.zip unpacked");
    let all = fs::read(stack.path().join("unpacked/dump/myDatabase/requests.bson")).unwrap();
    let mut rest = &all[..];
    while let Some(length) = rest.first_chunk() {
        let (document, further) = rest.split_at(u32::from_le_bytes(*length) as usize);
        assert_eq!(document[4..9], *b"\x07_id\0");
        let id = hex::encode(&document[9..21]);
        assert!(kept.insert(id), "none twice");
        rest = further;
    }
    assert_eq!(kept.len() as u64, documents);
    assert!(before.is_subset(&kept));

    // What is recorded meanwhile has nothing to do with it.
    stack.ask_mongo("requests.deleteMany({});");
    let load = Load::start(stack, "restore");
    let keeper = by_service(stack)["keeper"].first().unwrap().clone();
    let mut restore = Process::start(stack.deploy_command().args(["restore", "all.zip"]));
    wait_within(Duration::from_secs(60), "the load runs", || {
        stack.docker(&["top", &keeper]).contains("keeper load") || !restore.is_running()
    });
    // Killed.
    drop(restore);
    let restored: Value =
        serde_json::from_str(last(&stack.deploy(&["--json", "restore", "all.zip"]))).unwrap();
    let count = |key: &str| restored[key].as_u64().unwrap();
    assert_eq!(
        (count("stored") + count("already"), count("different")),
        (documents, 0)
    );
    load.end(stack);
    assert!(kept.is_subset(&ids(stack)));
    let again: Value =
        serde_json::from_str(last(&stack.deploy(&["--json", "restore", "all.zip"]))).unwrap();
    assert_eq!(again["already"], documents);
}

/// The last line.
fn last(text: &str) -> &str {
    text.lines().next_back().unwrap_or_default()
}

/// Of all documents.
fn ids(stack: &Stack) -> BTreeSet<String> {
    let printed = stack
        .ask_mongo("requests.find({}, {_id: 1}).forEach(found => print('stored ' + found._id));");
    let ids = printed
        .lines()
        .filter_map(|line| line.split_once("stored "));
    ids.map(|(_, id)| id.to_owned()).collect()
}
