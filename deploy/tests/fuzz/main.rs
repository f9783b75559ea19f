//! Properties of the Compose reader that hold for any input (see `tests/fuzz/driver.rs`).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout
)]

#[path = "../../../tests/fuzz/driver.rs"]
mod driver;

use std::collections::BTreeMap;
use std::path::Path;

use compose_file::{Error, LoadOptions, Project, load};

const WORDS: &[&[u8]] = &[
    b"\n",
    b"\n  ",
    b"\n    ",
    b": ",
    b"- ",
    b"[",
    b"]",
    b"{",
    b"}",
    b", ",
    b"\"",
    b"'",
    b"|\n",
    b">\n",
    b"*a",
    b"&a ",
    b"<<: *a",
    b"!!str ",
    b"~",
    b"# ",
    b"\t",
    b"\n---\n",
    b"$$",
    b"${X",
    b"${X:-",
    b"${X:?",
    b"${X:+",
    b"}",
    b"services:",
    b"networks:",
    b"volumes:",
    b"secrets:",
    b"name: ",
    b"image: i",
    b"build: .",
    b"ports: ",
    b"80:80",
    b"127.0.0.1:1-3:4-6/udp",
    b"environment: ",
    b"command: ",
    b"command: a 'b c' \\; #d && e",
    b"env_file: [.env, .env]",
    b"'it\\'s' # c",
    b"export ",
    b"A=$A$A #",
    b"entrypoint: ",
    b"healthcheck: ",
    b"test: ",
    b"interval: 1s",
    b"depends_on: ",
    b"condition: service_healthy",
    b"deploy: ",
    b"replicas: 2",
    b"update_config: ",
    b"order: start-first",
    b"resources: ",
    b"limits: ",
    b"memory: 1g",
    b"ulimits: ",
    b"tmpfs: ",
    b"network_mode: ",
    b"service:s",
    b"extra_hosts: ",
    b"read_only: true",
    b"restart: always",
    b"labels: ",
    b"external: true",
    b"internal: true",
    b"ipam: ",
    b"subnet: 10.0.0.0/8",
    b"aliases: ",
    b"x-a: ",
    b"\xff",
    b"\xc2\x9b",
    b"\x1b",
    b"\xe2\x80\xae",
    b"-1",
    b"0x1",
    b"1e3",
    b"0440",
    b"1_000",
    b"yes",
    b"null",
    b".inf",
];

#[test]
fn compose() {
    let directory = tempfile::TempDir::new().unwrap();
    driver::run("compose", WORDS, 1_500, |input| {
        check(input, directory.path())
    });
}

fn read(text: &[u8], dot_env: &[u8], directory: &Path) -> Result<Project, Error> {
    let file = directory.join("compose.yaml");
    std::fs::write(&file, text).unwrap();
    std::fs::write(directory.join(".env"), dot_env).unwrap();
    load(&LoadOptions {
        file,
        project_name: None,
        env: BTreeMap::new(),
    })
}

/// The file, and after a line of `---` the `.env` beside it. What is understood is written back as
/// a file that is understood in the same way.
fn check(input: &[u8], directory: &Path) -> String {
    let separator = b"\n---\n";
    let end = input
        .windows(separator.len())
        .position(|part| part == separator);
    let (text, dot_env) = end.map_or((input, &b""[..]), |end| {
        (&input[..end], &input[end + separator.len()..])
    });
    let project = match read(text, dot_env, directory) {
        Ok(project) => project,
        Err(Error::Invalid { problems, .. }) => {
            assert!(!problems.is_empty());
            let first = &problems[0];
            let message: String = first
                .message
                .chars()
                .filter(char::is_ascii_alphabetic)
                .take(24)
                .collect();
            return format!(
                "{} {message}",
                first.path.split('.').next_back().unwrap_or_default()
            );
        }
        Err(error) => return error.to_string().chars().take(20).collect(),
    };
    let yaml = project.to_yaml().expect("a project has a YAML form");
    let again =
        read(yaml.as_bytes(), b"", directory).unwrap_or_else(|error| panic!("{error}\n{yaml}"));
    assert_eq!(again.name, project.name);
    assert_eq!(again.services, project.services, "{yaml}");
    assert_eq!(again.networks, project.networks, "{yaml}");
    assert_eq!(again.volumes, project.volumes, "{yaml}");
    format!(
        "ok {} {}",
        project.services.len(),
        yaml.lines().count().min(60)
    )
}
