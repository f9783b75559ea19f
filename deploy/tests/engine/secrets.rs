//! Generated secrets.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use crate::stack::{Stack, docker};

const SERVICES: &str = "
services:
  db: {<<: *app, user: '4711:4712', secrets: [password]}
  app: {<<: *app, user: '4711:4712', secrets: [password]}
  free: {<<: *app}
secrets:
  password: {file: ./secrets/password, x-generate: password}
";

#[test]
fn generated_once_private_and_never_shown() {
    let stack = Stack::with("secret", SERVICES);
    let up = stack.ok(&["up"]);
    let file = stack.path().join("secrets/password");
    let password = fs::read_to_string(&file).unwrap();
    assert!(password.len() >= 32 && password.chars().all(|c| c.is_ascii_alphanumeric()));
    let directory = fs::metadata(file.parent().unwrap()).unwrap();
    assert_eq!(directory.permissions().mode() & 0o777, 0o700);
    let meta = fs::metadata(&file).unwrap();
    if directory.uid() == 0 {
        // As root the file can be given to its readers.
        assert_eq!(
            (meta.permissions().mode() & 0o777, meta.uid(), meta.gid()),
            (0o600, 4711, 4712)
        );
    } else {
        assert_eq!(meta.permissions().mode() & 0o777, 0o644);
        up.assert_says(&["note: ", "0644"]);
    }
    let seen = docker(&["exec", &stack.name("db-1"), "cat", "/run/secrets/password"]);
    assert_eq!(seen, password);

    let everything = format!(
        "{}{}{}{}{}",
        up.text,
        stack.inspect("db-1"),
        stack.ok(&["plan", "--json"]).text,
        stack.ok(&["config"]).text,
        stack.ok(&["logs"]).text
    );
    assert!(
        !everything.contains(&password),
        "the password is nowhere to be read"
    );

    stack.ok(&["down", "--volumes"]);
    stack.ok(&["up"]);
    assert_eq!(fs::read_to_string(&file).unwrap(), password, "kept");
}

#[test]
fn a_changed_secret_recreates_its_readers() {
    let stack = Stack::with("rotated", SERVICES);
    stack.ok(&["up"]);
    let (db, app, free) = (stack.id("db-1"), stack.id("app-1"), stack.id("free-1"));
    fs::write(stack.path().join("secrets/password"), "another").unwrap();
    let up = stack.ok(&["up"]);
    up.assert_says(&["secret_contents.password: (old value, hidden) → (new value, hidden)"]);
    assert_ne!(stack.id("db-1"), db);
    assert_ne!(stack.id("app-1"), app);
    assert_eq!(stack.id("free-1"), free);
}

#[test]
fn a_missing_secret_that_may_not_be_generated_is_an_error() {
    let stack = Stack::with("nosecret", &SERVICES.replace(", x-generate: password", ""));
    stack.refuses(1, "up", &["secret password", "x-generate"]);
    assert!(stack.containers().is_empty());
}

/// Read by a service that doesn't say which user it is, so that everybody has to be let read it.
#[test]
fn none_is_generated_where_others_could_read_it() {
    let stack = Stack::with("openkeys", &SERVICES.replace("user: '4711:4712', ", ""));
    let directory = stack.path().join("secrets");
    let let_in = |mode| fs::set_permissions(&directory, fs::Permissions::from_mode(mode)).unwrap();
    fs::create_dir(&directory).unwrap();
    let_in(0o755);
    for command in ["plan", "up"] {
        stack.fails(1, &[command]).assert_says(&[
            "nothing was changed",
            "secret password: ",
            "has mode 0755",
            "`chmod 700 ",
        ]);
    }
    assert_eq!(fs::read_dir(&directory).unwrap().count(), 0);
    assert!(stack.containers().is_empty());

    let_in(0o700);
    let up = stack.ok(&["up"]);
    up.assert_says(&["0644", "nobody but its owner and root may enter"]);
    let password = fs::read_to_string(directory.join("password")).unwrap();
    assert!(
        !stack
            .ok(&["plan"])
            .text
            .contains("nothing keeps other users")
    );

    // Opened since, or made by somebody else.
    let_in(0o711);
    let exposed = ["secret password: nothing keeps other users", "`chmod 700 "];
    stack.ok(&["plan"]).assert_says(&exposed);
    stack.ok(&["up"]).assert_says(&exposed);
    stack
        .fails(1, &["up", "--rotate-secrets", "password"])
        .assert_says(&["has mode 0711", "`chmod 700 "]);
    let now = fs::read_to_string(directory.join("password")).unwrap();
    assert_eq!(now, password);
}
