//! Input that nobody means well by: never a panic, never without bounds.

use proptest::prelude::*;
use testkit::table::words;

use crate::support::{Fixture, service};

/// Errors of the reader, whatever the input; reaching the end is the point.
fn survives(compose: &[u8], dot_env: &str) {
    let fixture = Fixture::new(compose).file(".env", dot_env);
    if let Ok(project) = fixture.load() {
        project.to_yaml().unwrap();
    }
}

fn message(compose: impl AsRef<[u8]>) -> String {
    Fixture::new(compose).load().unwrap_err().to_string()
}

#[test]
fn sizes_are_bounded() {
    let large = format!("services: {{a: {{image: i}}}}\n#{}", "x".repeat(2 << 20));
    assert!(message(large).contains("larger than 1 MiB"));

    let deep = format!("services: {}{}", "[".repeat(10_000), "]".repeat(10_000));
    let text = message(deep);
    assert!(
        text.contains("nested deeper") || text.contains("recursion limit"),
        "{text}"
    );

    let mut laughs = vec!["x-0: &x0 [ha, ha, ha, ha, ha, ha, ha, ha, ha, ha]".to_owned()];
    for level in 1..12 {
        let alias = format!("*x{}, ", level - 1).repeat(10);
        laughs.push(format!("x-{level}: &x{level} [{alias}]"));
    }
    assert!(message(laughs.join("\n")).contains("beyond 8 MiB when its aliases"));

    let doubling: Vec<String> = (1..40).map(|n| format!("A{n}=$A{0}$A{0}", n - 1)).collect();
    let fixture = service("").file(".env", &format!("A0=xxxxxxxx\n{}", doubling.join("\n")));
    assert!(
        fixture
            .load()
            .unwrap_err()
            .to_string()
            .contains("longer than")
    );

    let ports = r#""1-60000", "#.repeat(10);
    assert!(message(service_text(&format!("ports: [{ports}]"))).contains("more than 10,000 ports"));
}

#[test]
fn what_is_looked_at_and_not_used_costs_nothing() {
    let unused = "${A:+}".repeat(150_000);
    let long = "x".repeat(250_000);
    let fixture = service(&format!("hostname: \"h{unused}\"")).file(".env", &format!("A={long}\n"));
    assert_eq!(fixture.json()["services"]["s"]["hostname"], "h");
}

#[test]
fn a_warning_is_bounded() {
    let long = "k".repeat(400_000);
    let name = service("env_file: e").file("e", &format!("{long}\n"));
    assert!(name.load().unwrap().warnings[0].message.len() < 2_000);
}

fn service_text(keys: &str) -> String {
    format!("services: {{s: {{image: i, {keys}}}}}")
}

#[test]
fn not_text_and_not_yaml() {
    assert!(message(b"services:\n  \xff\xfe").contains("not UTF-8 text (line 2)"));
    assert!(message("").contains("the file is empty"));
    assert!(message("# nothing\n").contains("the file is empty"));
    assert!(message("services: {a: {image: i}\n").contains("not valid YAML"));
    assert!(message("services:\n\ta: b\n").contains("not valid YAML"));
    assert!(message("a: 1\n---\nb: 2\n").contains("a second document"));
    assert!(message("- a\n").contains("expected a mapping, found a list"));
    assert!(message("a: &a [*a]\n").contains("alias"));
    assert!(message("a: *nowhere\n").contains("anchor"));
}

/// Pieces that get further into the reader than random bytes do.
const PIECES: &str = r#"
services: \n \n\s\s \n\s\s\s\s s: image:\s i build:\s ports:\s [ ] { } ,\s "80:80" -\s
volumes:\s ./a:/b networks:\s secrets:\s deploy:\s resources:\s healthcheck:\s test:\s
depends_on:\s environment:\s A=b $X ${X ${X:- : *a &a\s <<:\s*a !!str\s ' " |\n ~ \xef\xbb\xbf é
\t -1 1.5g 0440 10.0.0.0/8 name:\s ulimits:\s command:\s tmpfs:\s extra_hosts:\s
"#;

fn fragments() -> impl Strategy<Value = String> {
    let pieces = words(PIECES)
        .into_iter()
        .map(|it| String::from_utf8(it).unwrap());
    let pieces = prop::sample::select(pieces.collect::<Vec<_>>());
    prop::collection::vec(pieces, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        survives(&bytes, "");
    }

    #[test]
    fn arbitrary_text(text in ".{0,200}", dot_env in "(?s).{0,100}") {
        survives(text.as_bytes(), &dot_env);
    }

    #[test]
    fn arbitrary_fragments(text in fragments()) {
        survives(text.as_bytes(), "");
        survives(format!("services:\n  s:\n    image: i\n    {text}").as_bytes(), "");
    }

    /// A value for every key's reader. All problems of a file are collected, so one file does.
    #[test]
    fn arbitrary_values(value in "[-+:/.,=0-9a-z\\[\\]$~é ]{0,20}") {
        let lists = [
            "ports", "expose", "volumes", "tmpfs", "secrets", "networks", "extra_hosts", "dns",
            "environment", "env_file", "labels", "depends_on", "cap_add", "command",
        ];
        let scalars = [
            "image", "build", "command", "restart", "stop_grace_period", "mem_limit", "cpus",
            "shm_size", "network_mode", "user", "tmpfs", "memswap_limit", "pids_limit",
            "cpu_shares",
        ];
        let quoted = serde_json::to_string(&value).unwrap();
        let lists = lists.iter().map(|key| (key, format!("[{quoted}]")));
        let scalars = scalars.iter().map(|key| (key, quoted.clone()));
        let services: Vec<String> = lists
            .chain(scalars)
            .enumerate()
            .map(|(index, (key, value))| format!("  s{index}: {{{key}: {value}}}"))
            .collect();
        survives(format!("services:\n{}", services.join("\n")).as_bytes(), "");
    }

    /// Interpolation of what comes from a variable, and rendering of the result.
    #[test]
    fn values_survive_the_round_trip(value in "(?s)[^\0]{0,60}") {
        let fixture = service("environment: {A: \"$V\"}\ncommand: [\"$V\"]").env("V", &value);
        let project = fixture.load().unwrap();
        prop_assert_eq!(&project.services["s"].environment["A"], &value);

        let yaml = project.to_yaml().unwrap();
        let again = Fixture::new(&yaml).load();
        let again = again.map_err(|error| TestCaseError::fail(format!("{error}\n{yaml}")))?;
        prop_assert_eq!(&again.services["s"], &project.services["s"], "{}", yaml);
    }
}
