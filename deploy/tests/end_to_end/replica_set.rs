//! The database of a stack that ran before becomes a replica set, and a standalone again: a file more, a
//! file less.

use crate::stack::Stack;

/// The document of this `id` is there all the time.
pub(crate) fn it_becomes_one_and_goes_back(stack: &Stack, id: &str) {
    let set = ["-f", "compose.yaml", "-f", "compose.replica-set.yaml"];
    stack.deploy(&[&set[..], &["up"]].concat());
    let name = || stack.ask_mongo("print('set ' + db.runCommand({hello: 1}).setName);");
    assert!(name().contains("set rs0"), "{}", name());
    serves(stack, id);

    stack.deploy(&["up"]);
    assert!(name().contains("set undefined"), "{}", name());
    serves(stack, id);
}

fn serves(stack: &Stack, id: &str) {
    let (status, body) = stack.request("GET", "/", "");
    assert_eq!(status, 200, "{body}");
    let document = stack.find_document(id);
    assert!(document.contains(id), "{document}");
}
