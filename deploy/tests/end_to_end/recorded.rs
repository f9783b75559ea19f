//! What was recorded comes out again, on the terminal.

use serde_json::Value;

use crate::stack::Stack;

/// A request's last one is found, shown whole, and sent again by the command that is printed.
pub(crate) fn a_request_is_found_and_sent_again(stack: &Stack) {
    let body = "it's a body: \u{e9}\n";
    let (status, answer) = stack.request("POST", "/?found=again", body);
    assert_eq!(status, 200, "{answer}");
    let id = &answer.trim_end()[answer.trim_end().len() - 24..];
    let found = || -> Vec<String> {
        let wanted = ["requests", "--where", "path=/?found=again", "--json"];
        let found: Value = serde_json::from_str(&stack.deploy(&wanted)).unwrap();
        let ids = found
            .as_array()
            .unwrap()
            .iter()
            .map(|it| it["id"].as_str().unwrap());
        ids.map(ToOwned::to_owned).collect()
    };
    assert_eq!(found(), [id]);
    let whole: Value = serde_json::from_str(&stack.deploy(&["requests", id, "--json"])).unwrap();
    assert_eq!(
        (&whole["method"], &whole["body"]),
        (&"POST".into(), &body.into())
    );

    let again = stack.shell(&stack.deploy(&["requests", id, "--curl"]));
    let again = &again.trim_end()[again.trim_end().len() - 24..];
    assert_eq!(found(), [again, id]);
    let whole: Value = serde_json::from_str(&stack.deploy(&["requests", again, "--json"])).unwrap();
    assert_eq!(
        (&whole["method"], &whole["body"]),
        (&"POST".into(), &body.into())
    );
}
