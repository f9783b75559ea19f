//! Several files: what comes of them, here and with Docker Compose 2, and what can't come of them.

use serde_json::{Value, json};

use crate::beside_compose::by_compose;
use crate::support::Fixture;

/// Keys of a service in one file, in the file over it, a pointer into the service, and what is there.
const SERVICES: &str = r#"
# by key, one after the other, or in its place
hostname: a | hostname: b | hostname | "b"
hostname: a | user: u | hostname | "a"
hostname: a | hostname: ~ | hostname | "a"
healthcheck: {test: a, interval: 1s} | healthcheck: {interval: 2s, retries: 3} | healthcheck/interval | "2s"
healthcheck: {test: a, interval: 1s} | healthcheck: {interval: 2s, retries: 3} | healthcheck/retries | 3
deploy: {replicas: 2, resources: {limits: {memory: 1g}}} | deploy: {resources: {limits: {cpus: "0.5"}}} | deploy/replicas | 2
deploy: {update_config: {order: start-first}} | deploy: {update_config: {parallelism: 2}} | deploy/update_config/order | "start-first"
# commands
command: [a, b] | command: [c] | command | ["c"]
command: a b | command: [c] | command | ["c"]
command: [a, b] | command: ~ | command | null
command: [a, b] | command: [] | command | []
entrypoint: [a, b] | entrypoint: c d | entrypoint | ["c", "d"]
healthcheck: {test: [CMD, a, b]} | healthcheck: {test: [CMD, c]} | healthcheck/test | ["CMD", "c"]
healthcheck: {test: [CMD, a, b], interval: 1s} | healthcheck: {test: [CMD, c]} | healthcheck/interval | "1s"
ulimits: {nofile: 1, nproc: {soft: 1, hard: 2}} | ulimits: {nofile: {soft: 3, hard: 4}} | ulimits | {"nofile": {"soft": 3, "hard": 4}, "nproc": {"soft": 1, "hard": 2}}
# names with values, in either form
environment: {A: a, B: b} | environment: {B: c, D: d} | environment | {"A": "a", "B": "c", "D": "d"}
environment: [A=a, B=b] | environment: [B=c, D=d] | environment | {"A": "a", "B": "c", "D": "d"}
environment: {A: a, B: b} | environment: [B=c=d, D=] | environment | {"A": "a", "B": "c=d", "D": ""}
environment: [A=a, B=b] | environment: {B: c, D: 1} | environment | {"A": "a", "B": "c", "D": "1"}
environment: {OUTER: a} | environment: [OUTER] | environment | {"OUTER": "outer"}
environment: [OUTER=a] | environment: {OUTER: ~} | environment | {"OUTER": "outer"}
environment: {A: a} | environment: ~ | environment | {"A": "a"}
labels: [a=b, c] | labels: {c: d} | labels | {"a": "b", "c": "d"}
labels: {a: b} | labels: [a=c, d] | labels | {"a": "c", "d": ""}
sysctls: {net.core.somaxconn: 1} | sysctls: [net.core.somaxconn=2] | sysctls | {"net.core.somaxconn": "2"}
build: {context: ., args: {A: a}} | build: {args: [A=b, C=c]} | build/args | {"A": "b", "C": "c"}
build: {context: ., labels: [a=b]} | build: {labels: {a: c}} | build/labels | {"a": "c"}
build: {context: ., target: t} | build: /elsewhere | build/target | "t"
build: {context: ., target: t} | build: /elsewhere | build/context | "/elsewhere"
build: /elsewhere | build: {target: t} | build/context | "/elsewhere"
# names, maybe with settings
depends_on: [other] | depends_on: [third] | depends_on | {"other": {"condition": "service_started"}, "third": {"condition": "service_started"}}
depends_on: [other] | depends_on: {other: {condition: service_healthy}} | depends_on | {"other": {"condition": "service_healthy"}}
depends_on: {other: {condition: service_healthy}} | depends_on: [other] | depends_on | {"other": {"condition": "service_started"}}
networks: [front] | networks: [back] | networks | {"front": {}, "back": {}}
networks: {front: {aliases: [a]}} | networks: [front, back] | networks | {"front": {"aliases": ["a"]}, "back": {}}
networks: [front] | networks: {front: {aliases: [a]}} | networks | {"front": {"aliases": ["a"]}}
networks: {front: {aliases: [a, b]}} | networks: {front: {aliases: [b, c]}} | networks/front/aliases | ["a", "b", "c"]
networks: {front: {aliases: [a]}} | networks: {front: ~} | networks/front/aliases | ["a"]
extra_hosts: [one=10.0.0.1] | extra_hosts: {two: 10.0.0.2} | extra_hosts | ["one:10.0.0.1", "two:10.0.0.2"]
extra_hosts: {one: 10.0.0.1} | extra_hosts: ["two=10.0.0.2"] | extra_hosts | ["one:10.0.0.1", "two:10.0.0.2"]
# what occupies something in the container
ports: ["8080:80"] | ports: ["9090:80", "8080:80"] | ports | [{"target": 80, "published": 8080, "protocol": "tcp"}, {"target": 80, "published": 9090, "protocol": "tcp"}]
ports: ["7080:80"] | ports: [{target: 80, published: "7080"}] | ports | [{"target": 80, "published": 7080, "protocol": "tcp"}]
ports: ["127.0.0.1:6080:80/udp"] | ports: [{target: 80, published: "6080", host_ip: 127.0.0.1, protocol: udp}] | ports | [{"target": 80, "published": 6080, "host_ip": "127.0.0.1", "protocol": "udp"}]
ports: ["5000-5001:80-81"] | ports: ["5000-5001:80-81"] | ports | [{"target": 80, "published": 5000, "protocol": "tcp"}, {"target": 81, "published": 5001, "protocol": "tcp"}]
expose: [80, "81"] | expose: ["80", 82] | expose | ["80", "81", "82"]
volumes: ["data:/data", "logs:/logs"] | volumes: ["logs:/data:ro"] | volumes/0/source | "logs"
volumes: ["data:/data", "logs:/logs"] | volumes: ["logs:/data:ro"] | volumes/0/read_only | true
volumes: ["data:/data"] | volumes: [{type: bind, source: /host, target: /data}, "logs:/logs"] | volumes/0/source | "/host"
volumes: ["data:/data"] | volumes: [{type: bind, source: /host, target: /data}, "logs:/logs"] | volumes/1/target | "/logs"
secrets: [key] | secrets: [{source: token, target: /run/secrets/key}] | secrets | [{"source": "token", "target": "/run/secrets/key"}]
secrets: [key] | secrets: [token] | secrets | [{"source": "key", "target": "/run/secrets/key"}, {"source": "token", "target": "/run/secrets/token"}]
tmpfs: /run | tmpfs: [/tmp, /run] | tmpfs | ["/run", "/tmp"]
tmpfs: [/run] | tmpfs: /tmp | tmpfs | ["/run", "/tmp"]
# sets
cap_drop: [ALL] | cap_drop: [ALL, KILL] | cap_drop | ["ALL", "KILL"]
cap_add: [CHOWN] | cap_add: [KILL] | cap_add | ["CHOWN", "KILL"]
dns: 10.0.0.1 | dns: [10.0.0.2, 10.0.0.1] | dns | ["10.0.0.1", "10.0.0.2"]
dns_search: [a] | dns_search: b | dns_search | ["a", "b"]
dns_opt: [ndots:1] | dns_opt: [ndots:1, rotate] | dns_opt | ["ndots:1", "rotate"]
security_opt: [label=disable] | security_opt: ["no-new-privileges=true"] | security_opt | ["label=disable", "no-new-privileges=true"]
# options go with their driver
logging: {driver: local, options: {max-size: 1m}} | logging: {options: {max-file: "2"}} | logging/options | {"max-size": "1m", "max-file": "2"}
logging: {driver: local, options: {max-size: 1m}} | logging: {driver: local, options: {max-file: "2"}} | logging/options | {"max-size": "1m", "max-file": "2"}
logging: {driver: local, options: {max-size: 1m}} | logging: {driver: json-file, options: {max-file: "2"}} | logging/options | {"max-file": "2"}
# tags
ports: ["4080:80"] | ports: !reset [] | ports | null
ports: ["4081:80"] | ports: !override ["4082:80"] | ports | [{"target": 80, "published": 4082, "protocol": "tcp"}]
environment: {A: a, B: b} | environment: !reset {} | environment | null
environment: {A: a, B: b} | environment: {A: !reset null} | environment | {"B": "b"}
environment: {A: a, B: b} | environment: !override {C: c} | environment | {"C": "c"}
environment: {A: a} | environment: {B: !override b} | environment | {"A": "a", "B": "b"}
deploy: {replicas: 2, resources: {limits: {memory: 1g}}} | deploy: {resources: !reset null} | deploy/resources | null
deploy: {replicas: 2, resources: {limits: {memory: 1g}}} | deploy: !override {replicas: 3} | deploy/resources | null
networks: {front: {aliases: [a]}, back: ~} | networks: !override [back] | networks | {"back": {}}
hostname: !override a | user: u | hostname | "a"
user: u | hostname: !reset a | hostname | null
command: [a] | command: !override [b] | command | ["b"]
volumes: ["data:/data", "logs:/logs"] | volumes: !override ["data:/else"] | volumes/0/target | "/else"
"#;

/// What the services of the table refer to.
const REST: &str = "
  other: {image: i}
  third: {image: i}
networks: {front: , back: }
volumes: {data: , logs: }
secrets: {key: {file: ./key}, token: {file: ./token}}
";

/// What is written in different ways for one thing, in one way.
fn normal(value: &Value) -> Value {
    let by_default = |key: &str| matches!(key, "mode" | "required");
    match value {
        Value::Object(map) => {
            let kept = map.iter().filter(|(key, _)| !by_default(key));
            let kept = kept.map(|(key, value)| match value {
                Value::Null => (key.clone(), json!({})),
                value => (key.clone(), normal(value)),
            });
            kept.collect()
        }
        Value::Array(items) => items.iter().map(normal).collect(),
        Value::Number(number) => json!(number.to_string()),
        // Of `expose` and `extra_hosts`.
        Value::String(text) => json!(text.trim_end_matches("/tcp").replacen('=', ":", 1)),
        other => other.clone(),
    }
}

fn at(project: &Value, pointer: &str) -> Value {
    let found = normal(project.pointer(pointer).unwrap_or(&Value::Null));
    if found == json!({}) {
        return Value::Null;
    }
    found
}

#[test]
fn of_services_what_compose_makes_of_them() {
    let rows: Vec<[&str; 4]> = SERVICES
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| {
            let parts: Vec<&str> = line.split(" | ").collect();
            parts.try_into().expect(line)
        })
        .collect();
    let file = |column: usize| -> String {
        let services = rows.iter().enumerate();
        let services = services.map(|(number, row)| {
            let image = if column == 0 { "image: i, " } else { "" };
            format!("  s{number}: {{{image}{}}}\n", row[column])
        });
        services.collect()
    };
    let fixture = Fixture::new(format!("services:\n{}{REST}", file(0)))
        .over("over.yaml", &format!("services:\n{}", file(1)))
        .env("OUTER", "outer");
    let (ours, theirs) = (fixture.json(), by_compose(&fixture));
    let mut differences = Vec::new();
    for (number, [base, over, pointer, expected]) in rows.into_iter().enumerate() {
        let expected: Value = serde_json::from_str(expected).expect(expected);
        for (whose, project) in [("here", &ours), ("Docker Compose", &theirs)] {
            let found = at(project, &format!("/services/s{number}/{pointer}"));
            if found != normal(&expected) {
                differences.push(format!("{whose}: {base} | {over} | {found}"));
            }
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

/// Several files, a pointer, and what is there.
const PROJECTS: &[(&[&str], &str, &str)] = &[
    (
        &["name: one", "name: two", "services: {}"],
        "/name",
        r#""two""#,
    ),
    (
        &["services: {b: {image: i}}", "services: {a: {image: j}}"],
        "/services/b/image",
        r#""i""#,
    ),
    (
        &["services: {b: {image: i}}", "services: {a: {image: j}}"],
        "/services/a/image",
        r#""j""#,
    ),
    (
        &[
            "services: {b: {logging: {driver: local, options: {a: b, c: d, e: f}}}}",
            "services: {b: {logging: {options: {c: g, e: f}}}}",
            "services: {b: {logging: {options: {e: !reset null, h: i}}}}",
        ],
        "/services/b/logging/options",
        r#"{"a": "b", "c": "g", "h": "i"}"#,
    ),
    (
        &[
            "services: {a: {image: i}}",
            "services: {a: !override {image: j}}",
            "services: {a: {hostname: h}}",
        ],
        "/services/a/image",
        r#""j""#,
    ),
    (
        &["services: {a: {image: i}}", "services: {a: !reset null}"],
        "/services/a",
        "null",
    ),
    (
        &[
            "networks: {default: {labels: [a=b], driver_opts: {x: y}}}",
            "networks: {default: {labels: {a: c}, internal: true}}",
        ],
        "/networks/default/labels",
        r#"{"a": "c"}"#,
    ),
    (
        &[
            "networks: {default: {ipam: {config: [{subnet: 10.1.0.0/16, gateway: 10.1.0.1}]}}}",
            "networks: {default: {ipam: {config: [{subnet: 10.1.0.0/16, ip_range: 10.1.2.0/24}]}}}",
        ],
        "/networks/default/ipam/config",
        r#"[{"subnet": "10.1.0.0/16", "gateway": "10.1.0.1", "ip_range": "10.1.2.0/24"}]"#,
    ),
    (
        &[
            "networks: {default: {ipam: {config: [{subnet: 10.1.0.0/16, gateway: 10.1.0.1}]}}}",
            "networks: {default: {ipam: {config: [{subnet: 10.2.0.0/16}]}}}",
        ],
        "/networks/default/ipam/config",
        r#"[{"subnet": "10.2.0.0/16"}]"#,
    ),
    (
        &["secrets: {s: {file: ./a}}", "secrets: {s: {file: /b}}"],
        "/secrets/s/file",
        r#""/b""#,
    ),
    (
        &[
            "services: {b: {image: '$OUTER-1'}}",
            "services: {b: {hostname: '${OUTER}-2'}}",
        ],
        "/services/b/hostname",
        r#""outer-2""#,
    ),
    (
        &[
            "x-a: &a {hostname: a}\nservices: {b: {<<: *a}}",
            "x-a: &a {user: u}\nservices: {b: {<<: *a, labels: [x=y]}}",
        ],
        "/services/b/hostname",
        r#""a""#,
    ),
];

#[test]
fn of_whole_files_what_compose_makes_of_them() {
    for (files, pointer, expected) in PROJECTS {
        // One that is used, and a network that is.
        let mut fixture = Fixture::new("services: {b: {image: i}}").env("OUTER", "outer");
        if !files[0].starts_with("name") {
            fixture = fixture.over("name.yaml", "name: p");
        }
        for (number, text) in files.iter().enumerate() {
            fixture = fixture.over(&format!("{number}.yaml"), text);
        }
        if pointer.starts_with("/secrets") {
            fixture = fixture.over("use.yaml", "services: {b: {secrets: [s]}}");
        }
        let expected: Value = serde_json::from_str(expected).unwrap();
        for (whose, project) in [
            ("here", fixture.json()),
            ("Docker Compose", by_compose(&fixture)),
        ] {
            assert_eq!(
                at(&project, pointer),
                at(&expected, ""),
                "{whose}: {files:?}"
            );
        }
    }
}

/// Extensions are merged like the rest (Docker Compose replaced them until 2.27), commands in them like
/// those of services.
#[test]
fn of_our_extensions() {
    let project = Fixture::new(
        "services: {web: {image: i, ports: [80], secrets: [key]}, job: {image: i}}
secrets: {key: {file: ./key, x-generate: token, x-rotate: {service: web, command: [tell, a]}}}
networks: {default: {internal: true}}
x-verify: {no_way_out: [web], entry_points: {web: {port: 80}}}",
    )
    .over(
        "over.yaml",
        "secrets: {key: {x-rotate: {command: [say]}}}
x-verify: {no_way_out: [job, web], entry_points: {web: {request: /r}}}",
    )
    .json();
    let rotate = &project["secrets"]["key"]["x-rotate"];
    assert_eq!(rotate, &json!({"service": "web", "command": ["say"]}));
    let verify = &project["x-verify"];
    assert_eq!(verify["no_way_out"], json!(["job", "web"]));
    assert_eq!(
        verify["entry_points"]["web"],
        json!({"port": 80, "request": "/r"})
    );
}

/// A name in a list can be removed by a mapping; Docker Compose leaves it.
#[test]
fn a_tag_reaches_what_a_list_has() {
    let project = Fixture::new("services: {s: {image: i, environment: [A=a, B=b]}}")
        .over(
            "over.yaml",
            "services: {s: {environment: {A: !reset null}}}",
        )
        .json();
    assert_eq!(project["services"]["s"]["environment"], json!({"B": "b"}));
}

/// All paths are the first file's directory's, with its `.env`.
#[test]
fn the_first_files_directory_is_the_projects() {
    let mut fixture = Fixture::new("")
        .file(".env", "A=beside the first\n")
        .file("env", "E=e\n");
    std::fs::create_dir_all(fixture.path("sub")).unwrap();
    fixture = fixture
        .file("compose.yaml", "services: {s: {image: i}}")
        .file("sub/.env", "A=beside the second\n")
        .over(
            "sub/over.yaml",
            "services: {s: {env_file: env, hostname: $A, volumes: [./data:/data]}}",
        );
    let expected = fixture.path("data").display().to_string();
    for project in [fixture.json(), by_compose(&fixture)] {
        let service = &project["services"]["s"];
        assert_eq!(service["hostname"], "beside the first");
        assert_eq!(service["environment"], json!({"E": "e"}));
        assert_eq!(service["volumes"][0]["source"], expected.as_str());
    }
    let project = fixture.load().unwrap();
    let files: Vec<_> = project.files.iter().collect();
    assert_eq!(
        files,
        [fixture.path("compose.yaml"), fixture.path("sub/over.yaml")]
    );
    assert_eq!(project.working_dir, fixture.directory.path());
}

/// What is said of two files, with DIR for their directory.
fn said(base: &str, over: &str) -> String {
    let fixture = Fixture::new(base).over("over.yaml", over);
    let directory = format!("{}/", fixture.directory.path().display());
    let said = fixture.load().unwrap_err().to_string();
    said.replace(&directory, "")
}

#[test]
fn what_does_not_go_together_is_told_with_both_places() {
    for (base, over, expected) in [
        (
            "services:\n  s:\n    image: i\n    healthcheck: {test: a}",
            "services:\n  s:\n    healthcheck: [b]",
            "over.yaml:3:18: services.s.healthcheck: a list can't be merged with the mapping at \
             compose.yaml:4:18; `!override` before it replaces that",
        ),
        (
            "services:\n  s: {image: i, environment: [A=a]}",
            "services:\n  s:\n    environment: s3cret",
            "over.yaml:3:18: services.s.environment: a single value can't be merged with the list at \
             compose.yaml:2:30; `!override` before it replaces that",
        ),
        (
            "services:\n  s: {image: i, ports: ['80']}",
            "services:\n  s:\n    ports: {a: b}",
            "over.yaml:3:12: services.s.ports: a mapping can't be merged with the list at \
             compose.yaml:2:24; `!override` before it replaces that",
        ),
        (
            "services: {s: {image: i}}",
            "- services",
            "over.yaml:1:1: a list can't be merged with the mapping at compose.yaml:1:1; `!override` \
             before it replaces that",
        ),
    ] {
        assert_eq!(said(base, over), expected);
    }
}

#[test]
fn each_mistake_is_told_in_the_file_that_has_it() {
    let base = "services:\n  s:\n    image: i\n    hostnam: a\n    ports: ['80']\n";
    let over = "services:\n  s:\n    ports: [http]\n    environment: ['A b', 'A b']\n    depends_on: [t]\n";
    assert_eq!(
        said(base, over),
        "compose.yaml:4:5: services.s.hostnam: the key hostnam isn't supported; did you mean hostname?\n\
         over.yaml:3:13: services.s.ports[1]: expected [HOST_IP:][HOST_PORT:]PORT[/tcp|udp|sctp], as in \
         8080:80 or 127.0.0.1:8080:80/tcp, found \"http\"\n\
         over.yaml:4:26: services.s.environment[1]: A b is in the list already\n\
         over.yaml:5:18: services.s.depends_on.t: the service t isn't defined; did you mean s?"
    );
    // Also where two lists are merged as mappings.
    let base = "services:\n  s:\n    image: i\n    environment: [A=1, B=1, 'B=s3cret']\n";
    let over = "services:\n  s:\n    environment: [A=2, '=s3cret']\n";
    assert_eq!(
        said(base, over),
        "compose.yaml:4:29: services.s.environment[2]: B is in the list already\n\
         over.yaml:3:24: services.s.environment.: expected a name before the ="
    );
    // A variable of one file, YAML of the other.
    let text = said(
        "services: {s: {image: '$1'}}",
        "services: {s: {hostname: '$2'}}",
    );
    let lines: Vec<&str> = text.lines().map(|line| &line[..20]).collect();
    assert_eq!(lines, ["compose.yaml:1:23: s", "over.yaml:1:26: serv"]);
    let text = said("services: {s: {image: i}}", "services: [");
    assert!(text.starts_with("over.yaml:2:1: not valid YAML"), "{text}");
}

#[test]
fn tags_stand_before_the_value_of_a_key_alone() {
    for text in [
        "!override\nservices: {s: {image: i}}",
        "services: {s: {image: i, ports: [!reset '80']}}",
        "x-a: &a !override {image: i}\nservices: {s: {<<: *a}}",
    ] {
        let problems = Fixture::new(text).problems();
        let told = "!reset and !override go before the value of a key";
        assert_eq!(problems[0].message, told, "{text}");
    }
}
