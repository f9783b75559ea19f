//! What the short and long syntaxes mean, and that a resolved project is stable.

use serde_json::{Value, json};

use crate::support::{Fixture, service};

/// The key of the service `s`, once its file is loaded.
fn resolved(keys: &str, pointer: &str) -> Value {
    let fixture = service(keys);
    let json = fixture.json();
    let value = json
        .pointer(&format!("/services/s/{pointer}"))
        .cloned()
        .unwrap_or_default();
    // Absolute paths are relative to a directory that is new each time.
    let directory = fixture.directory.path().to_str().unwrap();
    serde_json::from_str(&value.to_string().replace(directory, "DIR")).unwrap()
}

/// Keys of a service, a pointer into it, and what is there.
const SYNTAXES: &str = r#"
# ports
ports: ["80"] | ports/0 | {"target": 80, "protocol": "tcp"}
ports: [8080:80] | ports/0 | {"target": 80, "published": 8080, "protocol": "tcp"}
ports: [80] | ports/0/target | 80
ports: ["[::1]:53:5353/udp"] | ports/0 | {"target": 5353, "published": 53, "host_ip": "::1", "protocol": "udp"}
ports: ["9000-9001:80-81"] | ports | [{"target": 80, "published": 9000, "protocol": "tcp"}, {"target": 81, "published": 9001, "protocol": "tcp"}]
ports: ["0:80"] | ports/0 | {"target": 80, "protocol": "tcp"}
ports: [{target: 80, published: 8080, mode: host}] | ports/0 | {"target": 80, "published": 8080, "protocol": "tcp"}
ports: [{target: 80, published: "8080"}] | ports/0 | {"target": 80, "published": 8080, "protocol": "tcp"}
expose: [9090, "53/udp", "7-8"] | expose | ["9090/tcp", "53/udp", "7/tcp", "8/tcp"]
# volumes
volumes: [./a/../b:/c] | volumes/0 | {"type": "bind", "source": "DIR/b", "target": "/c", "bind": {"create_host_path": true}}
volumes: [/a:/c:rw] | volumes/0 | {"type": "bind", "source": "/a", "target": "/c", "bind": {"create_host_path": true}}
volumes: [/a:/c:ro] | volumes/0/read_only | true
volumes: [/c] | volumes/0 | {"type": "volume", "target": "/c", "volume": {"nocopy": false}}
volumes: ['v:/c:ro,nocopy']\n---\nvolumes: {v: }\n | volumes/0 | {"type": "volume", "source": "v", "target": "/c", "read_only": true, "volume": {"nocopy": true}}
volumes: [{type: bind, source: a, target: /c, bind: {create_host_path: false}}] | volumes/0 | {"type": "bind", "source": "DIR/a", "target": "/c", "bind": {"create_host_path": false}}
volumes: [{type: tmpfs, target: /t, tmpfs: {size: 1m, mode: 01777}}] | volumes/0 | {"type": "tmpfs", "target": "/t", "tmpfs": {"size": 1048576, "mode": "1777"}}
tmpfs: /run | tmpfs | ["/run"]
tmpfs: [/run, '/tmp:size=64m,mode=1777'] | tmpfs | ["/run", "/tmp:size=64m,mode=1777"]
# secrets
secrets: [a]\n---\nsecrets: {a: {file: ./a}}\n | secrets/0 | {"source": "a", "target": "/run/secrets/a"}
secrets: [{source: a, target: b, uid: '1', gid: 2, mode: 0440}]\n---\nsecrets: {a: {file: a}}\n | secrets/0 | {"source": "a", "target": "/run/secrets/b", "uid": "1", "gid": "2", "mode": "0440"}
secrets: [{source: a, target: /etc/b, mode: "400"}]\n---\nsecrets: {a: {file: a}}\n | secrets/0 | {"source": "a", "target": "/etc/b", "mode": "0400"}
# build
build: web | build | {"context": "DIR/web", "dockerfile": "DIR/web/Dockerfile"}
build: {context: ., dockerfile: ../D, target: t, args: [A=1, B=], labels: {l: 1}} | build/args | {"A": "1", "B": ""}
# environment
environment: [A=1, B=x=y, C=] | environment | {"A": "1", "B": "x=y", "C": ""}
environment: {A: 1.10, B: true, C: no, D: 0x10, E: '', F: 1e3} | environment | {"A": "1.10", "B": "true", "C": "no", "D": "0x10", "E": "", "F": "1e3"}
labels: [a=b, c] | labels | {"a": "b", "c": ""}
labels: {a: 1, c: } | labels | {"a": "1", "c": ""}
sysctls: {net.core.somaxconn: 1024} | sysctls | {"net.core.somaxconn": "1024"}
# commands
command: a 'b c' "d" | command | ["a", "b c", "d"]
command: [a, b c] | command | ["a", "b c"]
command: [] | command | []
command: '' | command | []
command: | command | null
entrypoint: /e -x | entrypoint | ["/e", "-x"]
# health
healthcheck: {test: curl x} | healthcheck/test | ["CMD-SHELL", "curl x"]
healthcheck: {test: [CMD, curl, x]} | healthcheck/test | ["CMD", "curl", "x"]
healthcheck: {test: [NONE]} | healthcheck/test | ["NONE"]
healthcheck: {disable: true} | healthcheck/test | ["NONE"]
healthcheck: {interval: 1m30s, retries: 3} | healthcheck | {"interval": "1m30s", "retries": 3}
# networks
networks: [a, b]\n---\nnetworks: {a: , b: }\n | networks | {"a": {}, "b": {}}
networks: {a: {aliases: [x], ipv4_address: 10.0.0.2}}\n---\nnetworks: {a: }\n | networks/a | {"aliases": ["x"], "ipv4_address": "10.0.0.2"}
hostname: h | networks | {"default": {}}
network_mode: none | networks | null
extra_hosts: ['h:1.2.3.4', 'g=host-gateway', 'v6=[::1]'] | extra_hosts | ["h:1.2.3.4", "g:host-gateway", "v6:::1"]
extra_hosts: {h: [1.2.3.4, 5.6.7.8]} | extra_hosts | ["h:1.2.3.4", "h:5.6.7.8"]
dns: 9.9.9.9 | dns | ["9.9.9.9"]
security_opt: ['no-new-privileges:true', 'label:disable', seccomp=unconfined] | security_opt | ["no-new-privileges=true", "label=disable", "seccomp=unconfined"]
# limits
ulimits: {nofile: 5, nproc: {soft: 1, hard: -1}} | ulimits | {"nofile": {"soft": 5, "hard": 5}, "nproc": {"soft": 1, "hard": -1}}
mem_limit: 64m\ncpus: 0.25\npids_limit: 9\nmem_reservation: 32m\nscale: 2 | deploy | {"replicas": 2, "update_config": {"parallelism": 1, "delay": "0s", "order": "stop-first", "failure_action": "rollback", "monitor": "0s"}, "resources": {"limits": {"cpus": "0.25", "memory": "67108864", "pids": 9}, "reservations": {"memory": "33554432"}}}
deploy: {resources: {limits: {cpus: '1.5', memory: 1gb, pids: -1}}} | deploy/resources/limits | {"cpus": "1.5", "memory": "1073741824", "pids": -1}
deploy: {update_config: {order: start-first, delay: 10s, failure_action: rollback, parallelism: 0}} | deploy/update_config | {"parallelism": 0, "delay": "10s", "order": "start-first", "failure_action": "rollback", "monitor": "0s"}
shm_size: 64m | shm_size | 67108864
memswap_limit: -1 | memswap_limit | -1
cpu_shares: 73 | cpu_shares | 73
cpu_shares: '262144' | cpu_shares | 262144
# the rest
restart: on-failure:3 | restart | "on-failure:3"
restart: no | restart | "no"
stop_grace_period: 1.5s | stop_grace_period | "1s500ms"
init: true | init | true
cap_drop: [ALL] | cap_drop | ["ALL"]
logging: {driver: json-file, options: {max-size: 10m, max-file: 3}} | logging/options | {"max-size": "10m", "max-file": "3"}
x-anything: {goes: [here]} | image | "i"
"#;

#[test]
fn short_and_long_syntaxes() {
    for line in SYNTAXES.lines().filter(|line| line.contains(" | ")) {
        let [keys, pointer, expected] = line.split(" | ").collect::<Vec<_>>()[..] else {
            panic!("{line}");
        };
        let keys = keys.replace("\\n", "\n");
        let expected: Value = serde_json::from_str(expected).unwrap();
        assert_eq!(resolved(&keys, pointer), expected, "{keys}");
    }
}

#[test]
fn depends_on_takes_a_list_or_conditions() {
    let file = "
services:
  a: {image: i, depends_on: [b]}
  b: {image: i, depends_on: {c: {condition: service_healthy, required: true}}}
  c: {image: i}
";
    let json = Fixture::new(file).json();
    assert_eq!(
        json["services"]["a"]["depends_on"],
        json!({"b": {"condition": "service_started"}})
    );
    assert_eq!(
        json["services"]["b"]["depends_on"],
        json!({"c": {"condition": "service_healthy"}})
    );
}

#[test]
fn default_names_contain_the_project() {
    let file = "
name: shop
services: {web: {build: .}}
networks: {inner: , named: {name: exact}, theirs: {external: true}}
volumes: {data: , theirs: {external: true, name: exact}}
";
    let json = Fixture::new(file).json();
    assert_eq!(json["services"]["web"]["image"], "shop-web");
    assert_eq!(json["networks"]["default"]["name"], "shop_default");
    assert_eq!(json["networks"]["inner"]["name"], "shop_inner");
    assert_eq!(json["networks"]["named"]["name"], "exact");
    assert_eq!(
        json["networks"]["theirs"],
        json!({"name": "theirs", "external": true})
    );
    assert_eq!(json["volumes"]["data"]["name"], "shop_data");
    assert_eq!(
        json["volumes"]["theirs"],
        json!({"name": "exact", "external": true})
    );
}

#[test]
fn merge_keys_keep_what_is_there() {
    let file = "
x-one: &one {init: true, hostname: one, labels: {a: '1'}}
x-two: &two {hostname: two, user: two}
services:
  merged:
    <<: [*one, *two]
    image: i
    labels: {b: '2'}
  nested:
    image: i
    environment: &env {A: '1'}
  again:
    image: i
    environment:
      <<: *env
      B: '2'
";
    let json = Fixture::new(file).json();
    let merged = &json["services"]["merged"];
    assert_eq!(merged["init"], true);
    assert_eq!(merged["hostname"], "one");
    assert_eq!(merged["user"], "two");
    assert_eq!(merged["labels"], json!({"b": "2"}));
    assert_eq!(
        json["services"]["again"]["environment"],
        json!({"A": "1", "B": "2"})
    );
}

#[test]
fn generated_secrets_are_marked() {
    let file = "
services: {a: {image: i}}
secrets: {p: {file: ./p, x-generate: password}, q: {file: /q}}
";
    let fixture = Fixture::new(file);
    let project = fixture.load().unwrap();
    assert_eq!(project.secrets["p"].file, fixture.path("p"));
    assert!(project.secrets["p"].generate.is_some());
    assert!(project.secrets["q"].generate.is_none());
}

#[test]
fn a_certificate_and_its_key_are_found_by_their_files() {
    let file = "
services: {a: {image: i}}
secrets:
  k: {file: ./secrets/web.key, x-generate: certificate}
  c: {file: ./secrets/web.crt, x-generate: certificate, x-names: '*.Example.org,,::1, ::1'}
  own: {file: ./secrets/own.crt}
";
    let fixture = Fixture::new(file);
    let project = fixture.load().unwrap();
    let pairs: Vec<_> = project.certificates().collect();
    assert_eq!(pairs.len(), 1);
    assert_eq!(
        (pairs[0].name.as_str(), pairs[0].key_name.as_str()),
        ("c", "k")
    );
    let names: Vec<_> = pairs[0]
        .certificate
        .names
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(names, ["*.example.org", "::1"]);
    let authority = (
        fixture.path("secrets/ca.pem"),
        fixture.path("secrets/ca.key"),
    );
    assert_eq!(pairs[0].authority(), authority);
}

#[test]
fn who_is_told_of_a_new_value_and_how() {
    let file = "
services: {db: {image: i, secrets: [p, q]}}
secrets:
  p: {file: ./p, x-generate: password, x-rotate: {service: db, command: [tell, it, \"$$now\"], by: q}}
  q: {file: ./q, x-generate: password}
";
    let project = Fixture::new(file).load().unwrap();
    let rotate = project.secrets["p"].rotate.as_ref().unwrap();
    assert_eq!(rotate.service.as_str(), "db");
    assert_eq!(rotate.command, ["tell", "it", "$now"]);
    assert_eq!(rotate.by.as_deref(), Some("q"));
    assert!(project.secrets["p"].is_told_to("db"));
    assert!(!project.secrets["q"].is_told_to("db"));
}

/// Every file of `valid/` loads without a warning, and its rendering loads to the same project.
#[test]
fn rendering_loads_to_the_same() {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/compose/valid");
    let own = concat!(env!("CARGO_MANIFEST_DIR"), "/../../compose.yaml");
    let files = std::fs::read_dir(corpus)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut count = 0;
    for file in files.chain([own.into()]) {
        let mut fixture = Fixture::new(std::fs::read(&file).unwrap());
        // What is disabled isn't rendered.
        fixture.options.profiles = vec!["*".to_owned()];
        let project = fixture
            .load()
            .unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        assert_eq!(project.warnings, [], "{}", file.display());

        let yaml = project.to_yaml().unwrap();
        std::fs::write(fixture.path("compose.yaml"), &yaml).unwrap();
        let again = fixture
            .load()
            .unwrap_or_else(|error| panic!("{error}\n{yaml}"));
        assert_eq!(again, project, "{yaml}");
        count += 1;
    }
    assert!(count > 3, "only {count} files in the corpus");
}

/// The canonical form doesn't depend on how the file is written.
#[test]
fn equal_meaning_is_equal_form() {
    let one =
        service("environment: {B: 2, A: 1}\nstop_grace_period: 90s\nmem_limit: 1g\n---\nname: n\n")
            .json();
    let other = service(
        "mem_limit: 1024m\nenvironment:\n  - A=1\n  - B=2\nstop_grace_period: 1m30s\n---\nname: n\n",
    );
    assert_eq!(one.to_string(), other.json().to_string());
}
