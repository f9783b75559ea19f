//! How long requests are kept is changed while the stack runs.

use testkit::process::outcome_of;

use crate::container::{assert_only_replaced, by_service};
use crate::stack::Stack;

pub(crate) fn changing_it_replaces_the_keeper_and_nothing_else(stack: &Stack) {
    let (status, answer) = stack.request("POST", "/", "kept");
    assert_eq!(status, 200, "{answer}");
    let id = answer.trim_end().rsplit(' ').next().unwrap();
    let up = |retention: &str| {
        let mut command = stack.deploy_command();
        outcome_of(command.env("CAUSEWAY_RETENTION", retention).arg("up"))
    };

    let before = by_service(stack);
    up("30d").assert_code(0);
    let after = by_service(stack);
    assert_only_replaced("keeper", &before, &after);
    assert!(stack.find_document(id).contains("kept"));

    let refused = up("30");
    refused.assert_code(1);
    refused.assert_says(&["KEEPER_RETENTION", "such as 30d"]);
    // As it was: what comes after is compared with that.
    up("").assert_code(0);
    let (status, _) = stack.request("GET", "/", "");
    assert_eq!(status, 200);
}
