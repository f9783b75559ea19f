//! The API is replaced, restarted, gets a second replica and loses it again while clients send all the time:
//! each of their requests is answered 200 and stored once. About half a minute.

use crate::container::{assert_only_replaced, by_service};
use crate::load::Load;
use crate::stack::Stack;

pub(crate) fn no_request_fails_while_the_api_is_replaced_and_scaled(stack: &Stack) {
    let before = by_service(stack);
    let load = Load::start(stack, "api-redeploy");
    let setting = "API_MAX_BODY: ${API_MAX_BODY:-${CAUSEWAY_MAX_BODY:-}}";
    stack.edit("compose.yaml", setting, "API_MAX_BODY: 1280KiB");
    stack.deploy(&["up"]);
    load.go_on();
    let one = by_service(stack);
    assert_only_replaced("api", &before, &one);

    stack.deploy(&["restart", "api"]);
    load.go_on();
    let (before, one) = (one, by_service(stack));
    assert_only_replaced("api", &before, &one);

    stack.deploy(&["scale", "api=2"]);
    load.go_on();
    let two = by_service(stack);
    assert!(
        two["api"].len() == 2 && two["api"].is_superset(&one["api"]),
        "{two:?}"
    );
    stack.deploy(&["scale", "api=1"]);
    load.end(stack);
    let left = by_service(stack);
    assert!(
        left["api"].len() == 1 && left["api"].is_subset(&two["api"]),
        "{left:?}"
    );
}
