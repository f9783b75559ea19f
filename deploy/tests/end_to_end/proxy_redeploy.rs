//! The proxy is replaced, and then gone for a moment, while clients send all the time: each of their
//! requests is answered 200 and stored once. About ten seconds.

use crate::container::{assert_only_replaced, by_service};
use crate::load::Load;
use crate::stack::Stack;

pub(crate) fn no_request_fails_while_the_proxy_is_replaced(stack: &Stack) {
    let before = by_service(stack);
    let load = Load::start(stack, "proxy-redeploy");
    stack.edit(
        "compose.yaml",
        "PROXY_ACCESS_LOG: ${PROXY_ACCESS_LOG:-}",
        "PROXY_ACCESS_LOG: \"off\"",
    );
    stack.deploy(&["up"]);
    load.go_on();
    let after = by_service(stack);
    assert_only_replaced("proxy", &before, &after);

    // Nobody accepts for a moment: connections wait in the listener's queue.
    for proxy in &after["proxy"] {
        stack.docker(&["restart", proxy]);
    }
    load.end(stack);
}
