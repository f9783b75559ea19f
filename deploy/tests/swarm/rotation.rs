//! Secrets get new values while clients send all the time.

use std::fs;

use crate::bed::Bed;
use crate::load::Load;

const ROOT: &str = "mongo_root_password";
const API: &str = "mongo_api_password";

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
    for (user, secret, old) in [("root", ROOT, &root), ("causeway-api", API, &api)] {
        let new = bed.secret(secret);
        assert!(new != *old && new.lines().count() == 1, "{secret}");
        assert!(!told.contains(&new) && !told.contains(old), "{secret}");
        assert!(
            accepts(bed, user, &new) && !accepts(bed, user, old),
            "{user}"
        );
    }
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

/// As it is left by one that was killed after its first step.
pub(crate) fn begun_is_finished_by_the_next_up(bed: &Bed) {
    let old = bed.secret(API);
    let new: String = old.chars().rev().collect();
    let file = bed.path().join("secrets").join(API);
    fs::write(&file, format!("{new}\n{old}\n")).unwrap();
    let planned = bed.ok(&["plan"]);
    assert!(
        planned.contains("a rotation is under way of mongo_api_password"),
        "{planned}"
    );
    bed.ok(&["up"]);
    assert_eq!(bed.secret(API), new);
    assert!(accepts(bed, "causeway-api", &new) && !accepts(bed, "causeway-api", &old));
    assert!(bed.nodes().iter().all(|node| bed.answers(node)));
}

fn accepts(bed: &Bed, user: &str, password: &str) -> bool {
    let said = bed.mongo_shell(&format!(
        "let ok; try {{ ok = Boolean(db.getSiblingDB('admin').auth('{user}', '{password}')); }} \
         catch (refused) {{ ok = false; }} print('accepts ' + ok);"
    ));
    match said.as_str() {
        "accepts true" => true,
        "accepts false" => false,
        other => panic!("{other}"),
    }
}
