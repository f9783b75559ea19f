//! A Compose file that nobody means well by is refused soon, in few words and little memory.

use std::process::Command;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// What `deploy config` says of the fixture with 512 MiB of address space: it ends, and with 2.
fn refused_within_memory(fixture: &Fixture) -> String {
    let began = Instant::now();
    let done = Command::new("sh")
        .args(["-c", "ulimit -v 524288; exec \"$0\" config"])
        .arg(env!("CARGO_BIN_EXE_deploy"))
        .current_dir(fixture.0.path())
        .env_clear()
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert_eq!(done.status.code(), Some(2), "{said}");
    assert!(
        began.elapsed() < Duration::from_secs(60),
        "{:?}",
        began.elapsed()
    );
    assert!(said.len() < 64 << 10, "{} bytes", said.len());
    said
}

/// A directory with a Compose file and what it reads.
struct Fixture(TempDir);

impl Fixture {
    fn new(compose: impl AsRef<[u8]>) -> Self {
        let fixture = Self(TempDir::new().unwrap());
        std::fs::write(fixture.0.path().join("compose.yaml"), compose).unwrap();
        fixture
    }

    fn file(self, name: &str, text: &str) -> Self {
        std::fs::write(self.0.path().join(name), text).unwrap();
        self
    }
}

fn service(keys: &str) -> Fixture {
    let lines = keys.lines().map(|line| format!("    {line}\n"));
    let keys: String = lines.collect();
    Fixture::new(format!("services:\n  s:\n    image: i\n{keys}"))
}

fn many(count: usize, line: impl Fn(usize) -> String) -> String {
    (0..count).map(line).collect()
}

/// Each made gigabytes of less than a megabyte.
#[test]
fn what_comes_of_variables_is_bounded() {
    let long = "x".repeat(250_000);
    let growing = [
        service("").file(
            ".env",
            &format!("A={long}\n{}", many(17_000, |n| format!("B{n}=$A\n"))),
        ),
        service("env_file: e").file(
            "e",
            &format!("A={long}\n{}", many(17_000, |n| format!("B{n}=$A\n"))),
        ),
        Fixture::new(format!(
            "services:\n{}",
            many(20_000, |n| format!("  s{n}: {{image: i, env_file: e}}\n"))
        ))
        .file("e", &format!("A='{long}{long}{long}'\n")),
        Fixture::new(format!(
            "services:\n{}",
            many(20_000, |n| format!(
                "  s{n}: {{image: i, environment: [A]}}\n"
            ))
        ))
        .file(".env", &format!("A={long}\n")),
        Fixture::new(format!(
            "services: {{s: {{image: i, command: [{}]}}}}",
            "$A, ".repeat(200_000)
        ))
        .file(".env", &format!("A={long}\n")),
    ];
    for fixture in growing {
        let said = refused_within_memory(&fixture);
        assert!(said.contains("grow beyond 8 MiB"), "{said}");
    }
}

#[test]
fn what_is_told_is_bounded() {
    let unknown = service(&many(40_000, |n| format!("unknown{n}: 1\n")));
    let said = refused_within_memory(&unknown);
    assert!(said.contains("services.s.unknown0"), "{said}");
    assert!(said.contains("and 39950 more like these"), "{said}");
    assert!(said.lines().count() < 60, "{said}");

    let unset = service("hostname: $").file(".env", &many(90_000, |n| format!("A{n}=$B{n}\n")));
    assert!(refused_within_memory(&unset).lines().count() < 60);

    let long = "k".repeat(400_000);
    let key = format!("services: {{s: {{image: i, {long}: {{}}}}}}");
    assert!(refused_within_memory(&Fixture::new(key)).contains("a key longer than"));
}
