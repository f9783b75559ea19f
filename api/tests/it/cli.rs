//! The command line: exit codes and messages.

use std::process::{Command, Output};

use testkit::process::{assert_refused, help_of, output_of};

use crate::support::{Process, get, shared_mongo_uri};

fn api(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_api"));
    output_of(command.args(arguments).envs(environment.iter().copied()))
}

#[test]
fn help_lists_the_settings_with_their_defaults() {
    insta::assert_snapshot!(help_of(env!("CARGO_BIN_EXE_api")));
}

#[test]
fn settings_that_cannot_be_used_exit_with_2() {
    let missing = [
        ("API_MONGO_USERNAME", "api"),
        ("API_MONGO_PASSWORD_FILE", "/no/such/file"),
        ("API_LISTEN", "127.0.0.1:0"),
        ("API_ADMIN_LISTEN", "127.0.0.1:0"),
    ];
    for (environment, said) in [
        (
            &[("API_MAX_BODY", "lots")][..],
            &["API_MAX_BODY", "\"lots\"", "15MiB"][..],
        ),
        (&[("API_MAX_BODY", "0")], &["API_MAX_BODY", "from 1B"]),
        (&[("API_MAXBODY", "1")], &["API_MAXBODY", "API_MAX_BODY"]),
        (&[("API_PORT", "9090")], &["API_PORT"]),
        (&[("RUST_LOG", "a=b=c")], &["RUST_LOG", "a=b=c"]),
        (
            &missing,
            &["API_MONGO_PASSWORD_FILE", "/no/such/file", "No such file"],
        ),
    ] {
        assert_refused(&api(&[], environment), 2, said);
    }
    let no_file = api(&["--config", "/no/such.toml"], &[]);
    assert_refused(&no_file, 2, &["/no/such.toml"]);
    assert_refused(&api(&["--nonsense"], &[]), 2, &["--nonsense"]);
}

#[test]
fn the_keeper_is_another_service_in_the_same_binary() {
    let help = api(&["keeper", "--help"], &[]);
    assert!(help.status.success());
    let help = String::from_utf8(help.stdout).unwrap();
    assert!(
        help.contains("KEEPER_RETENTION") && !help.contains("API_LISTEN"),
        "{help}"
    );
    // Its health check fails for the same reason.
    for arguments in [&["keeper"][..], &["keeper", "healthcheck"]] {
        let refused = api(arguments, &[("KEEPER_RETENTION", "30")]);
        assert_refused(&refused, 2, &["KEEPER_RETENTION", "\"30\"", "such as 30d"]);
    }
    assert_refused(&api(&["keeper", "--nonsense"], &[]), 2, &["--nonsense"]);
}

#[test]
fn a_connection_string_is_refused_without_its_password() {
    for uri in [
        "mongodb://user:pl4nted@host:port",
        "mongodb://user:pl/4nted@host",
        "mongodb://user:pl4nted@host/?nonsense",
        "mongo://user:pl4nted@host",
        "user:pl4nted@host",
        "mongodb://user:pl4nted",
        "mongodb://user:pl4nted/?w=1",
    ] {
        let refused = api(&[], &[("API_MONGO_URI", uri)]);
        assert_refused(&refused, 2, &["API_MONGO_URI"]);
        let said = [refused.stdout, refused.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert!(!said.contains("4nted"), "{uri}: {said}");
    }
}

#[test]
fn a_taken_port_exits_with_1() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let refused = api(&[], &[("API_LISTEN", &address)]);
    assert_refused(&refused, 1, &["API_LISTEN", &address]);
}

#[tokio::test]
async fn healthcheck_asks_the_running_api() {
    let away = Process::start(&[("API_MONGO_URI", "mongodb://127.0.0.1:1")]);
    let admin = away.admin.to_string();
    let environment = [("API_ADMIN_LISTEN", admin.as_str())];
    assert!(api(&["healthcheck"], &environment).status.success());
    let not_ready = api(&["healthcheck", "--ready"], &environment);
    assert_refused(&not_ready, 1, &["503", "not ready"]);
    drop(away);
    let gone = api(&["healthcheck"], &environment);
    assert_refused(&gone, 1, &["no answer from", &admin]);

    let uri = shared_mongo_uri().await;
    let here = Process::start(&[("API_MONGO_URI", &uri)]);
    // Every address of the machine includes the loopback one.
    let everywhere = here.admin.to_string().replace("127.0.0.1", "0.0.0.0");
    let environment = [("API_ADMIN_LISTEN", everywhere.as_str())];
    let ready = api(&["healthcheck", "--ready"], &environment);
    assert!(
        ready.status.success(),
        "{}",
        String::from_utf8_lossy(&ready.stderr)
    );
}

#[test]
fn too_few_files_are_refused_by_name() {
    let limited = ["-c", r#"ulimit -n 24 && exec "$0""#];
    let mut shell = Command::new("sh");
    let refused = output_of(shell.args(limited).arg(env!("CARGO_BIN_EXE_api")));
    let said = ["24 files may be open", "ulimit -n", "at least"];
    assert_refused(&refused, 1, &said);
}

#[test]
fn variables_that_describe_a_service_are_no_settings() {
    let service = [
        ("API_SERVICE_HOST", "10.0.0.1"),
        ("API_PORT", "tcp://10.0.0.1:9090"),
        ("API_MONGO_URI", "mongodb://127.0.0.1:1"),
    ];
    let process = Process::start(&service);
    let note = process.log.iter().find(|line| line.contains("passed over"));
    assert!(note.expect("a note").contains("API_PORT API_SERVICE_HOST"));
}

/// Every address is both families', where there are two.
#[tokio::test]
async fn the_default_is_every_address() {
    let process = Process::start(&[
        ("API_LISTEN", "[::]:0"),
        ("API_ADMIN_LISTEN", "[::]:0"),
        ("API_MONGO_URI", "mongodb://127.0.0.1:1"),
    ]);
    let port = process.admin.port();
    for address in ["127.0.0.1", "::1"] {
        let address = std::net::SocketAddr::new(address.parse().unwrap(), port);
        if address.is_ipv4() || process.admin.is_ipv6() {
            assert_eq!(get(address, "/healthz").await.status, 200, "{address}");
        }
    }
    let admin = process.admin.to_string();
    let asked = api(&["healthcheck"], &[("API_ADMIN_LISTEN", admin.as_str())]);
    assert!(asked.status.success());
}
