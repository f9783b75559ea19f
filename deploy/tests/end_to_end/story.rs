//! A newcomer's day: `make deploy`, a request, some load, `make deploy` again, `make down`, and the
//! same file under Docker's own Compose. One test, because its steps are one story.

use std::time::{Duration, Instant};

use crate::load::Load;
use crate::replica_set;
use crate::stack::{PROJECT, Stack, label_filter};

#[test]
fn deploy_use_redeploy_and_take_down() {
    let stack = Stack::fresh_checkout();

    let first = stack.make(&["deploy"]);
    assert!(
        first.contains(&stack.url()),
        "the deploy ends with the URL:\n{first}"
    );

    // The request that shows it works, and its document in the database.
    let (status, body) = stack.request("GET", "/?a=b", "");
    assert_eq!(status, 200, "{body}");
    let id = body
        .strip_prefix("Request information stored successfully: ")
        .unwrap_or_else(|| panic!("unexpected body: {body}"))
        .trim_end();
    assert!(
        id.len() == 24 && id.bytes().all(|byte| byte.is_ascii_hexdigit()),
        "{id}"
    );
    let document = stack.find_document(id);
    assert!(
        document.contains(&format!("{}/?a=b", stack.url())),
        "the document bears the request's URL: {document}"
    );

    // The same with TLS, and a certificate that whoever trusts the stack's authority accepts.
    let answer = stack.request_with_tls("/?with=tls");
    let document = stack.find_document(answer.trim_end().rsplit(' ').next().unwrap());
    let url = format!("https://localhost:{}/?with=tls", stack.tls_port());
    assert!(document.contains(&url), "{document}");

    Load::start(&stack, "story").end(&stack);

    // Nothing changed: the same containers, in seconds.
    let before = stack.container_ids();
    assert_eq!(before.lines().count(), 6, "{before}");
    let started = Instant::now();
    let second = stack.make(&["deploy"]);
    assert!(second.to_lowercase().contains("no changes"), "{second}");
    assert!(
        started.elapsed() < Duration::from_secs(60),
        "took {:?}",
        started.elapsed()
    );
    assert_eq!(stack.container_ids(), before);

    // Down leaves the volume; the next deploy finds the data in it.
    stack.make(&["down"]);
    assert_eq!(stack.container_ids(), "");
    assert_eq!(
        stack.docker(&["network", "ls", "-q", "--filter", &label_filter()]),
        ""
    );
    assert_eq!(
        stack
            .docker(&["volume", "ls", "-q", "--filter", &label_filter()])
            .trim(),
        format!("{PROJECT}_acme-state\n{PROJECT}_listener-socket\n{PROJECT}_mongo-data")
    );
    stack.make(&["deploy"]);
    assert!(
        stack.find_document(id).contains(id),
        "data survives down and deploy"
    );
    replica_set::it_becomes_one_and_goes_back(&stack, id);
    stack.deploy(&["down", "--volumes"]);
    assert_eq!(
        stack.docker(&["volume", "ls", "-q", "--filter", &label_filter()]),
        ""
    );

    // Docker's own Compose takes the same file.
    stack.compose(&["config", "--quiet"]);
    stack.compose(&["up", "--detach", "--no-build"]);
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let (status, body) = stack.request("GET", "/", "");
        if status == 200 {
            break;
        }
        assert!(
            Instant::now() < deadline,
            "under Docker Compose: {status} {body}"
        );
        std::thread::sleep(Duration::from_millis(200));
    }
    stack.compose(&["down", "--volumes"]);
}
