//! What a stack has to show while it runs. It is brought up once, because that takes a minute, and
//! each part is in the file that bears its name.

use std::time::Instant;

use crate::secrets::Secrets;
use crate::stack::{PROJECT, Stack, both};
use crate::{
    api_redeploy, backup, hardening, proxy_redeploy, recorded, replay, retention, rotation, secrets,
};

#[test]
fn a_running_stack_keeps_its_promises() {
    let stack = Stack::fresh_checkout();
    let mut planted = Secrets::plant(&stack);
    let deployed = both(
        stack
            .command("make")
            .args(["deploy", &format!("PROJECT={PROJECT}")]),
    );
    planted.are_not_in("make deploy", &deployed);
    let mut since = Instant::now();
    let mut took = |part: &str| {
        println!("{part}: {:.1} s", since.elapsed().as_secs_f64());
        since = Instant::now();
    };

    hardening::every_container_is_confined(&stack);
    took("hardening");
    recorded::a_request_is_found_and_sent_again(&stack);
    took("recorded");
    retention::changing_it_replaces_the_keeper_and_nothing_else(&stack);
    took("retention");
    replay::what_was_recorded_is_sent_again_byte_for_byte(&stack);
    took("replay");
    proxy_redeploy::no_request_fails_while_the_proxy_is_replaced(&stack);
    took("proxy_redeploy");
    api_redeploy::no_request_fails_while_the_api_is_replaced_and_scaled(&stack);
    took("api_redeploy");
    rotation::no_request_fails_while_secrets_are_rotated(&stack, &mut planted);
    took("rotation");
    backup::what_was_recorded_is_backed_up_and_restored(&stack);
    took("backup");
    // After these, so that there is something for a secret to have leaked into.
    secrets::planted_secrets_are_found_in_their_files_and_nowhere_else(&stack, &planted);
    took("secrets");

    stack.deploy(&["down", "--volumes"]);
}
