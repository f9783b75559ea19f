//! Settings from defaults, file and environment; and what is said of bad ones.

use crate::support::{
    Backend, Signal, TestProxy, assert_within, free_address, ok, run_proxy, serving,
};
use std::net::TcpListener;
use testkit::process::help_of;

/// Asserts that the proxy refuses to start, and that it says each of `mentions`.
#[track_caller]
fn assert_refused(arguments: &[&str], environment: &[(&str, &str)], mentions: &[&str]) {
    let output = run_proxy(arguments, environment);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let context = format!("{arguments:?} {environment:?}: {said:?}");
    assert_eq!(output.status.code(), Some(2), "{context}");
    for mention in mentions {
        let mentioned = said.to_lowercase().contains(&mention.to_lowercase());
        assert!(mentioned, "{mention:?} isn't mentioned; {context}");
    }
    assert!(!said.contains("panicked"), "{context}");
    assert!(
        output.stdout.is_empty(),
        "errors belong on stderr; {context}"
    );
}

#[test]
fn help_lists_every_key_with_its_default() {
    insta::assert_snapshot!(help_of(env!("CARGO_BIN_EXE_proxy")));
}

#[test]
fn version_is_told() {
    let output = run_proxy(&["--version"], &[]);
    assert_eq!(output.status.code(), Some(0));
    let version = String::from_utf8(output.stdout).unwrap();
    assert!(version.contains(env!("CARGO_PKG_VERSION")), "{version}");
}

#[test]
fn a_bad_value_is_named_with_its_key_and_what_is_expected() {
    let too_long = format!("{}:1", "x".repeat(64));
    for (key, value, expected) in [
        ("PROXY_LISTEN", "nonsense", ":"),
        ("PROXY_LISTEN", "127.0.0.1:99999", ":"),
        ("PROXY_ADMIN_LISTEN", "0.0.0.0", ":"),
        ("PROXY_UPSTREAM", "no-port", "port"),
        ("PROXY_UPSTREAM", "host:0", "port"),
        ("PROXY_UPSTREAM", "host:99999", "port"),
        ("PROXY_UPSTREAM", "http://host:1", "port"),
        ("PROXY_UPSTREAM", "a..b:1", "name"),
        ("PROXY_UPSTREAM", "-x:1", "hyphen"),
        ("PROXY_UPSTREAM", "300.1.1.1:1", "address"),
        ("PROXY_UPSTREAM", &too_long, "63"),
        ("PROXY_WORKERS", "0", "1"),
        ("PROXY_WORKERS", "many", "number"),
        ("PROXY_RESOLVE_INTERVAL", "soon", "duration"),
        ("PROXY_RESOLVE_INTERVAL", "0s", "0s"),
        ("PROXY_CONNECT_TIMEOUT", "-1s", "s"),
        ("PROXY_READ_TIMEOUT", "5 parsecs", "s"),
        ("PROXY_HEADER_TIMEOUT", "5", "s"),
        ("PROXY_DRAIN_TIMEOUT", "later", "s"),
        ("PROXY_MAX_BODY", "an apple", "MiB"),
        ("PROXY_MAX_BODY", "-1", "MiB"),
        ("PROXY_TRUSTED_PROXIES", "10.0.0.0/33", "CIDR"),
        ("PROXY_TRUSTED_PROXIES", "10.0.0.0/8,nonsense", "CIDR"),
        ("PROXY_TRUSTED_PROXIES", "Gateway", "gateway"),
        ("PROXY_EARLY_HINTS", "103", "off"),
        ("PROXY_ACCESS_LOG", "maybe", "off"),
    ] {
        // In the environment the key is said as it was set; in the file, as it is spelt there.
        assert_refused(&[], &[(key, value)], &[key, value, expected]);
    }
}

#[test]
fn unknown_keys_are_errors() {
    assert_refused(&[], &[("PROXY_LISTN", "127.0.0.1:1")], &["PROXY_LISTN"]);
    assert_refused(&[], &[("PROXY_", "x")], &["PROXY_"]);
    assert_refused(&[], &[("PROXY_LISTEN_", "x")], &["PROXY_LISTEN_"]);

    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("proxy.toml");
    let path = file.to_str().unwrap();
    std::fs::write(&file, "listn = \"127.0.0.1:1\"\n").unwrap();
    assert_refused(&["--config", path], &[], &["listn"]);
    std::fs::write(&file, "[http]\nlisten = \"127.0.0.1:1\"\n").unwrap();
    assert_refused(&["--config", path], &[], &["http"]);
}

/// Kubernetes and Docker's links put what a service called `proxy` has into every environment.
#[test]
fn variables_that_describe_a_service_are_passed_over_and_named() {
    let (_backend, proxy) = serving(&[
        ("PORT", "tcp://10.0.0.11:80"),
        ("PORT_80_TCP_ADDR", "10.0.0.11"),
        ("SERVICE_HOST", "10.0.0.11"),
    ]);
    assert_eq!(proxy.get("/").status, 200);
    for name in [
        "PROXY_PORT ",
        "PROXY_PORT_80_TCP_ADDR",
        "PROXY_SERVICE_HOST",
    ] {
        assert!(proxy.log().contains(name), "{name}");
    }
    assert_refused(&[], &[("PROXY_PORT", "80")], &["PROXY_PORT"]);
}

/// A variable of ours can't be lost for its bytes.
#[test]
fn variables_that_are_not_utf_8_are_errors() {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt};
    let refused = |name: &[u8], value: &[u8]| {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_proxy"))
            .env(OsStr::from_bytes(name), OsStr::from_bytes(value))
            .output()
            .unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{said}");
        said
    };
    let said = refused(b"PROXY_LISTEN_FROM", b"/run/\xff.sock");
    assert!(
        said.contains("PROXY_LISTEN_FROM") && said.contains("UTF-8"),
        "{said}"
    );
    assert!(refused(b"PROXY_LIST\xffN", b"x").contains("PROXY_LIST"));
    // Of others one doesn't care.
    let healthcheck = std::process::Command::new(env!("CARGO_BIN_EXE_proxy"))
        .arg("healthcheck")
        .env("PROXY_ADMIN_LISTEN", free_address().to_string())
        .env(OsStr::from_bytes(b"OTHER\xff"), OsStr::from_bytes(b"\xff"))
        .output()
        .unwrap();
    assert_eq!(healthcheck.status.code(), Some(1), "{healthcheck:?}");
}

/// The word for the terminator on the host, whose address is another one each time.
#[test]
fn the_gateway_can_be_trusted() {
    let route = std::fs::read_to_string("/proc/net/route").unwrap();
    let backend = Backend::answering(|_| ok("served"));
    let default = |line: &str| {
        let columns: Vec<_> = line.split_whitespace().collect();
        (columns[1] == "00000000" && columns[2] != "00000000").then(|| columns[2].to_owned())
    };
    let Some(gateway) = route.lines().skip(1).find_map(default) else {
        let environment = [("PROXY_TRUSTED_PROXIES", "gateway")];
        return assert_refused(&[], &environment, &["gateway", "no default"]);
    };
    let gateway = u32::from_str_radix(&gateway, 16).unwrap().to_ne_bytes();
    let gateway = std::net::Ipv4Addr::from(gateway).to_string();
    let proxy = TestProxy::with(&backend, &[("TRUSTED_PROXIES", "192.0.2.0/24,gateway")]);
    assert!(proxy.log().contains(&gateway), "{gateway}");
}

#[test]
fn no_limit_is_written_as_0() {
    let backend = Backend::answering(|request| ok(&request.body.len().to_string()));
    let proxy = TestProxy::with(&backend, &[("MAX_BODY", "0")]);
    let body = "x".repeat(5 << 20);
    let response = proxy.client().exchange("POST", "/", "", &body);
    assert_eq!(response.text(), body.len().to_string());
}

#[test]
fn bad_files_are_named() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("proxy.toml");
    let path = file.to_str().unwrap();
    assert_refused(&["--config", path], &[], &[path]);
    std::fs::write(&file, "listen = \n").unwrap();
    assert_refused(&["--config", path], &[], &["proxy.toml", "line 1"]);
    std::fs::write(&file, "max_body = \"an apple\"\n").unwrap();
    assert_refused(&["--config", path], &[], &["max_body", "an apple", "MiB"]);
    std::fs::write(&file, "workers = \"many\"\n").unwrap();
    assert_refused(&["--config", path], &[], &["workers", "many"]);
}

/// The token isn't shown with what is wrong with it.
#[test]
fn a_bad_token_file_is_named_and_not_shown() {
    let key = "PROXY_UPSTREAM_TOKEN_FILE";
    assert_refused(
        &[],
        &[(key, "/no/such/file")],
        &[key, "/no/such/file", "No such file"],
    );
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().to_str().unwrap();
    for content in ["", "hunter2", "hunter2 with a few spaces"] {
        std::fs::write(path, content).unwrap();
        assert_refused(&[], &[(key, path)], &[key, path, "16 to 256"]);
        let said = run_proxy(&[], &[(key, path)]).stderr;
        assert!(!String::from_utf8_lossy(&said).contains("hunter2"));
    }
}

#[test]
fn bad_arguments_are_named() {
    assert_refused(&["--no-such-flag"], &[], &["--no-such-flag"]);
    assert_refused(&["no-such-command"], &[], &["no-such-command"]);
}

#[test]
fn the_environment_wins_over_the_file() {
    let backend = Backend::answering(|request| ok(&request.body.len().to_string()));
    let proxy = TestProxy::builder(backend.address())
        .file("max_body = \"10B\"\nread_timeout = \"50s\"\naccess_log = \"off\"\nworkers = 3\n")
        .set("MAX_BODY", "20B")
        .start();
    let mut client = proxy.client();
    assert_eq!(
        client.exchange("POST", "/", "", &"x".repeat(20)).text(),
        "20"
    );
    assert_eq!(
        client.exchange("POST", "/", "", &"x".repeat(21)).status,
        413
    );
    assert!(
        proxy.access_entries().is_empty(),
        "the file's access_log = off holds"
    );
}

#[test]
fn the_file_wins_over_the_defaults() {
    let backend = Backend::answering(|request| ok(&request.body.len().to_string()));
    let proxy = TestProxy::builder(backend.address())
        .file("max_body = \"10B\"\n")
        .start();
    let mut client = proxy.client();
    assert_eq!(
        client.exchange("POST", "/", "", &"x".repeat(10)).text(),
        "10"
    );
    assert_eq!(
        client.exchange("POST", "/", "", &"x".repeat(11)).status,
        413
    );
}

/// Not a mistake in the settings, but the address has to be named all the same.
#[test]
fn a_taken_address_is_named() {
    let taken = TcpListener::bind(free_address()).unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let free = free_address().to_string();
    for (listen, admin) in [(&address, &free), (&free, &address)] {
        let environment = [
            ("PROXY_LISTEN", listen.as_str()),
            ("PROXY_ADMIN_LISTEN", admin.as_str()),
            ("PROXY_UPSTREAM", "127.0.0.1:1"),
        ];
        let output = run_proxy(&[], &environment);
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert!(
            output.status.code().is_some_and(|code| code != 0),
            "{:?}: {said}",
            output.status
        );
        assert!(said.contains(&address), "{said}");
        assert!(!said.contains("panicked"), "{said}");
    }
}

#[test]
fn healthcheck_asks_the_admin_listener() {
    let (_backend, mut proxy) = serving(&[]);
    let admin = proxy.admin.to_string();
    let environment = [("PROXY_ADMIN_LISTEN", admin.as_str())];
    for arguments in [&["healthcheck"][..], &["healthcheck", "--ready"]] {
        let output = run_proxy(arguments, &environment);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
    }

    let idle = TestProxy::builder("no-such-host.invalid:1").start_alive();
    let admin = idle.admin.to_string();
    let environment_of_idle = [("PROXY_ADMIN_LISTEN", admin.as_str())];
    assert_eq!(
        run_proxy(&["healthcheck"], &environment_of_idle)
            .status
            .code(),
        Some(0)
    );
    let output = run_proxy(&["healthcheck", "--ready"], &environment_of_idle);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(!output.stderr.is_empty(), "the reason is told");

    proxy.signal(Signal::KILL);
    proxy.ended();
    let output = run_proxy(&["healthcheck"], &environment);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains(&proxy.admin.to_string()), "{said}");
}

/// The default listens on every address, which is none that one can connect to by name.
#[test]
fn healthcheck_of_a_wildcard_listener() {
    let backend = Backend::answering(|_| ok("served"));
    for everywhere in ["0.0.0.0", "[::]"] {
        let port = crate::support::free_port();
        let admin = format!("{everywhere}:{port}");
        let _proxy = TestProxy::builder(backend.address())
            .admin_on(admin.parse().unwrap())
            .start();
        let output = run_proxy(&["healthcheck"], &[("PROXY_ADMIN_LISTEN", &admin)]);
        assert_eq!(output.status.code(), Some(0), "{admin}: {output:?}");
    }
}

/// A healthcheck must not hang for as long as its server does.
#[test]
fn healthcheck_has_a_time_limit() {
    let silent = TcpListener::bind(free_address()).unwrap();
    let admin = silent.local_addr().unwrap().to_string();
    let started = std::time::Instant::now();
    let output = run_proxy(&["healthcheck"], &[("PROXY_ADMIN_LISTEN", &admin)]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_within(std::time::Duration::from_secs(10), started);
}
