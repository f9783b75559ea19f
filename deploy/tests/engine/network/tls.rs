//! A port with TLS: what `verify` asks the client that the file names, and what it makes of its answers.
//! (The proxy's client has tests of its own.)

use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use testkit::net::local_port;

use super::stack::Stack;

const DAY: u64 = 24 * 60 * 60;

const FILE: &str = "
x-verify:
  entry_points:
    web:
      port: 80
      request: /path?{marker}
      tls:
        port: 443
        authority: ./ca.pem
        names: example.org
        service: web
        command: [/bin/busybox, sh, -c, 'cat > /client/question; cat /client/answer']
services:
  web:
    image: IMAGE
    init: true
    labels: {dev.causeway.test: '1'}
    command: [sh, -c, 'httpd -p 80 -h /www; exec httpd -f -p 443 -h /www']
    ports: ['127.0.0.1:PORT:80', '127.0.0.1:TLS:443']
    volumes: ['./client:/client']
";

struct Scene {
    stack: Stack,
    tls: u16,
}

impl Scene {
    fn up() -> Self {
        let tls = local_port();
        let stack = Stack::written(&FILE.replace("TLS", &tls.to_string()));
        fs::write(stack.path("ca.pem"), "the authority").unwrap();
        fs::create_dir(stack.path("client")).unwrap();
        let scene = Self { stack, tls };
        scene.answer(&good(100, 396));
        let up = scene.stack.command(&["up", "--no-verify"]).output();
        let up = String::from_utf8(up.unwrap().stdout).unwrap();
        assert!(up.contains(&format!("https://127.0.0.1:{tls}/")), "{up}");
        scene.stack.assert_green();
        scene
    }

    fn answer(&self, answer: &Value) {
        self.says(&answer.to_string());
    }

    fn says(&self, text: &str) {
        fs::write(self.stack.path("client/answer"), text).unwrap();
    }

    /// What is told of a stack in which nothing is wrong.
    fn green(&self) -> Value {
        let (code, document) = self.stack.verify();
        assert_eq!(code, 0, "{document:#}");
        document
    }
}

/// An answer with a certificate of this age and with so many days to go.
fn good(age: u64, left: u64) -> Value {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let now = now.as_secs();
    json!({
        "protocol": "TLS 1.3",
        "cipher": "TLS13_AES_128_GCM_SHA256",
        "names": ["localhost", "example.org"],
        "not_before": now - age * DAY,
        "not_after": now + left * DAY + DAY / 2,
        "untrusted": null,
        "status": 200,
        "body": "hello",
    })
}

#[test]
fn the_certificate_is_judged_and_the_answer_too() {
    let scene = Scene::up();
    let published = format!("web (127.0.0.1:{})", scene.tls);
    let document = scene.green();
    let checks = document["checks"].as_array().unwrap();
    let seen = |by: &str| -> Vec<String> {
        let of_kind = checks.iter().filter(|check| check["by"] == by);
        let text = |check: &Value, key| check[key].as_str().unwrap().to_owned();
        of_kind
            .map(|check| format!("{}: {}", text(check, "to"), text(check, "observed")))
            .collect()
    };
    assert_eq!(seen("https"), [format!("{published}: an answer: 200 OK")]);
    let certificate = "TLS 1.3, TLS13_AES_128_GCM_SHA256, localhost and 1 more, 396 days left";
    assert_eq!(
        seen("certificate"),
        [
            format!("{published}: {certificate}"),
            format!("example.org: {certificate}")
        ]
    );
    assert_eq!(document["notes"], json!([]));

    // It reads from standard input what it has to do; the last question was for the name.
    let question = fs::read_to_string(scene.stack.path("client/question")).unwrap();
    let question: Value = serde_json::from_str(&question).unwrap();
    let expected = json!({
        "address": "web:443",
        "name": "example.org",
        "authority": "the authority",
        "host": format!("127.0.0.1:{}", scene.tls),
        "path": "/",
    });
    assert_eq!(question, expected);

    scene.answer(&good(384, 13));
    let soon = format!("the certificate of {published} expires in 13 days");
    let notes = scene.green()["notes"].to_string();
    assert!(notes.contains(&soon), "{notes}");
}

#[test]
fn what_is_wrong_with_it_is_said() {
    let scene = Scene::up();
    let mut answer = good(100, 100);
    answer["untrusted"] = "UnknownIssuer".into();
    scene.answer(&answer);
    let parts = [
        "(certificate): expected a trusted certificate",
        "not trusted: UnknownIssuer",
        "ca.pem",
    ];
    scene.stack.assert_finds(&parts);

    let mut answer = good(100, 100);
    answer["not_after"] = (answer["not_before"].as_u64().unwrap() + 97 * DAY).into();
    scene.answer(&answer);
    scene
        .stack
        .assert_finds(&["(certificate)", "expired 3 days ago", "`deploy up` renews"]);

    scene.answer(&json!({"error": "Connection refused"}));
    scene.stack.assert_finds(&["(https)", "Connection refused"]);

    let mut answer = good(100, 100);
    answer["body"] = "# TYPE proxy_requests counter\n".into();
    scene.answer(&answer);
    scene
        .stack
        .assert_finds(&["(/metrics)", "forwards /metrics to an admin port"]);

    // A client that isn't one proves nothing.
    scene.says("look: not found");
    let (code, document) = scene.stack.verify();
    assert_eq!(code, 4, "{document:#}");
    let unjudged = document["unjudged"].to_string();
    assert!(unjudged.contains("the client said"), "{unjudged}");
}
