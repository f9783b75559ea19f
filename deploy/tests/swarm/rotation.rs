//! Secrets get new values while clients send all the time.

use std::fs;

use crate::bed::Bed;
use crate::load::Load;

const ROOT: &str = "mongo_root_password";
const API: &str = "mongo_api_password";
const CONSOLE: &str = "mongo_console_password";

pub(crate) fn loses_no_request(bed: &Bed) {
    let (root, api) = (bed.secret(ROOT), bed.secret(API));
    let version = |versions: &str| {
        let mut lines = versions.lines();
        let line = lines.find(|it| it.starts_with("causeway_mongo ")).unwrap();
        line.to_owned()
    };
    let before = version(&bed.versions());
    let load = Load::start(bed.nodes(), "rotation");
    let told = bed.ok(&["up", "--rotate-secrets", ROOT, API]);
    let answered = load.end();
    assert!(told.contains("known to mongo"), "{told}");
    assert_eq!(version(&bed.versions()), before, "the database goes on");
    let (new_root, new_api) = (bed.secret(ROOT), bed.secret(API));
    for value in [&root, &api, &new_root, &new_api] {
        assert!(!told.contains(value.as_str()), "a value is shown");
    }
    assert_eq!((new_root.lines().count(), new_api.lines().count()), (1, 1));
    let logins = [
        ("root", &*root),
        ("root", &*new_root),
        ("causeway-api", &*api),
        ("causeway-api", &*new_api),
    ];
    assert_eq!(accepts(bed, logins), [false, true, false, true]);
    assert_eq!(bed.documents("rotation"), answered);
    let again = bed.ok(&["up"]);
    assert!(again.contains("no changes"), "{again}");

    // The value before opens nothing any more.
    let file = bed.path().join("secrets").join(API);
    let new = fs::read(&file).unwrap();
    fs::write(&file, &api).unwrap();
    let refused = bed.fails(&["up"]);
    let expected = "secret mongo_api_password: ";
    assert!(refused.contains(expected), "{refused}");
    assert!(refused.contains("holds another value"), "{refused}");
    fs::write(&file, new).unwrap();
}

/// As it is left by one that was killed: after its first step, and while the database was told.
pub(crate) fn begun_is_finished_by_the_next_up(bed: &Bed) {
    let old = bed.secret(CONSOLE);
    let new: String = old.chars().rev().collect();
    let file = bed.path().join("secrets").join(CONSOLE);
    fs::write(&file, format!("{new}\n{old}\n")).unwrap();
    leave_a_job(bed);
    let planned = bed.ok(&["plan"]);
    assert!(
        planned.contains("a rotation is under way of mongo_console_password"),
        "{planned}"
    );
    bed.ok(&["up"]);
    assert_eq!(
        bed.docker(&[
            "service",
            "ls",
            "--quiet",
            "--filter",
            "name=causeway_x-rotate"
        ]),
        ""
    );
    assert_eq!(
        bed.docker(&[
            "secret",
            "ls",
            "--quiet",
            "--filter",
            "name=causeway_x-rotate"
        ]),
        ""
    );
    assert_eq!(bed.secret(CONSOLE), new);
    let logins = [("causeway-console", &*new), ("causeway-console", &*old)];
    assert_eq!(accepts(bed, logins), [true, false]);
    assert!(bed.nodes().iter().all(|node| bed.answers(node)));
}

fn leave_a_job(bed: &Bed) {
    let (job, input) = ("causeway_x-rotate", "causeway_x-rotate_input");
    let project = "dev.causeway.project=causeway";
    let mut secret = vec!["secret", "create", "--label", project];
    secret.extend(["--label", "dev.causeway.resource=x-rotate"]);
    secret.extend([
        "--label",
        "dev.causeway.content=another",
        input,
        "/etc/hostname",
    ]);
    bed.docker(&secret);
    let mut service = vec![
        "service", "create", "--detach", "--quiet", "--label", project,
    ];
    service.extend([
        "--name",
        job,
        "--mode",
        "replicated-job",
        "--restart-condition",
        "none",
    ]);
    service.extend(["--secret", input, "causeway/api:latest", "--help"]);
    bed.docker(&service);
}

/// Whether the database takes these passwords.
fn accepts<const N: usize>(bed: &Bed, logins: [(&str, &str); N]) -> [bool; N] {
    let tries = logins.map(|(user, password)| format!("accepts('{user}', '{password}')"));
    let said = bed.mongo_shell(&format!(
        "function accepts(user, password) {{ \
         try {{ return Boolean(new Mongo('mongodb://localhost/').getDB('admin').auth(user, password)); }} \
         catch (refused) {{ return false; }} }} print(JSON.stringify([{}]));",
        tries.join(", ")
    ));
    let accepted: Vec<bool> = serde_json::from_str(&said).unwrap();
    accepted.try_into().unwrap()
}
