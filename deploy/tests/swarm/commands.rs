//! What is done in a container, and the lock over all managers.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::process::Stdio;

use serde_json::json;
use testkit::http::Wire;
use testkit::process::outcome_of;

use crate::bed::Bed;

pub(crate) fn run_where_the_tasks_are(bed: &Bed) {
    let told = bed.ok(&["backup", "all.zip"]);
    assert!(told.contains("documents"), "{told}");
    bed.ok(&["restore", "all.zip"]);
    let newest = &bed.rows(&["requests", "--limit", "1"])[0];
    let whole = bed.ok(&["requests", newest["id"].as_str().unwrap()]);
    assert!(whole.contains("GET"), "{whole}");
    let to = format!("http://{}:8080", bed.nodes()[1]);
    let again = bed.ok(&["replay", "--limit", "1", "--to", &to]);
    assert!(again.contains("200"), "{again}");
    leads_a_browser_to_the_console(bed);

    let file = bed.path().join("secrets/mongo_root_password");
    let password = fs::read(&file).unwrap();
    fs::remove_file(&file).unwrap();
    bed.ok(&["secrets", "recover"]);
    assert!(fs::read(&file).unwrap() == password, "another password");

    // A worker, which has none of these.
    let outcome = outcome_of(&mut bed.at("n2", &["backup", "never.zip"]));
    outcome.assert_code(1);
    let expected = "no task of keeper runs on this engine";
    assert!(outcome.text.contains(expected), "{}", outcome.text);
    assert!(!bed.path().join("never.zip").exists());
}

fn leads_a_browser_to_the_console(bed: &Bed) {
    let mut command = bed.at("n1", &["console", "--no-open"]);
    let mut console = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(console.stdout.take().unwrap()).lines();
    let link = lines.next().unwrap().unwrap();
    let (host, path) = link
        .strip_prefix("http://")
        .unwrap()
        .split_once('/')
        .unwrap();
    let port = host.strip_prefix("localhost:").unwrap().parse().unwrap();
    let mut browser = Wire::new(TcpStream::connect(("127.0.0.1", port)).unwrap());
    browser
        .try_send(format!("GET /{path} HTTP/1.1\r\nHost: {host}\r\n\r\n"))
        .unwrap();
    let page = browser.response("GET").unwrap();
    assert_eq!(page.status, 303, "{page:?}");
    console.kill().unwrap();
    console.wait().unwrap();
}

pub(crate) fn one_deploy_at_a_time(bed: &Bed) {
    // As another manager's `deploy` leaves it, that was killed.
    let mut holder = json!({
        "pid": 1, "command": "deploy up", "since": "2026-11-01T02:03:04Z", "user": "root", "host": "n9",
        "place": "elsewhere",
    });
    hold(bed, &holder.to_string());
    let refused = bed.fails(&["up", "--no-wait"]);
    for expected in [
        "is being changed by `deploy up` (pid 1, root on n9, since 2026-11-01T02:03:04Z)",
        "`docker config rm causeway_deploy.lock` frees the lock",
    ] {
        assert!(refused.contains(expected), "{refused}");
    }
    bed.docker(&["config", "rm", "causeway_deploy.lock"]);

    // As one of this machine's does.
    let engine = bed.docker(&["info", "--format", "{{.ID}}"]);
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let mounts = fs::read_link("/proc/self/ns/mnt").unwrap();
    holder["place"] = json!(format!("{engine} {} {}", boot.trim(), mounts.display()));
    hold(bed, &holder.to_string());
    let again = bed.ok(&["up", "--no-wait"]);
    assert!(again.contains("its lock on the Swarm is freed"), "{again}");
    let locks = bed.docker(&[
        "config",
        "ls",
        "--quiet",
        "--filter",
        "name=causeway_deploy.lock",
    ]);
    assert_eq!(locks, "", "it is free");
}

fn hold(bed: &Bed, holder: &str) {
    let labels = [
        "dev.causeway.project=causeway".to_owned(),
        "dev.causeway.resource=deploy.lock".to_owned(),
        format!("dev.causeway.lock={holder}"),
    ];
    let mut arguments = vec!["config", "create"];
    arguments.extend(labels.iter().flat_map(|label| ["--label", label]));
    arguments.extend(["causeway_deploy.lock", "/etc/hostname"]);
    bed.docker(&arguments);
}
