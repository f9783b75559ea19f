//! Generated secrets whose files are gone, or are others, while their data is there.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::stack::{Stack, docker};

/// `db` has its password in its data, as a file there: `tell` sets it, given the one in force.
const SERVICES: &str = "
services:
  db:
    <<: *app
    secrets: [root, app_password]
    volumes: ['data:/data', './tell:/tell:ro']
  app: {<<: *app, secrets: [app_password, token]}
  peer: {<<: *app, secrets: [token]}
secrets:
  root:
    file: ./secrets/root
    x-generate: password
    x-rotate: {service: db, command: [sh, /tell/root]}
  app_password:
    file: ./secrets/app_password
    x-generate: password
    x-rotate: {service: db, command: ['true']}
  token: {file: ./secrets/token, x-generate: password}
volumes: {data: }
";

/// Accepts the first value of `root` if any of them is what /data/root has, or if there is nothing.
const TELL: &str = r#"
read -r input
values=${input#*'"root":["'} values=${values%%']'*} values=${values%'"'}
first=${values%%'"'*}
if test -e /data/root; then
  case "\"$values\"" in *"\"$(cat /data/root)\""*) ;; *) echo "not accepted: $first"; exit 1 ;; esac
fi
echo "$first" > /data/root
"#;

fn stack(test: &str) -> Stack {
    let stack = Stack::new(test);
    stack.write("tell/root", TELL);
    stack.compose(SERVICES);
    stack.ok(&["up"]);
    stack
}

fn secret(stack: &Stack, name: &str) -> String {
    fs::read_to_string(stack.path().join("secrets").join(name)).unwrap()
}

fn lose(stack: &Stack) {
    fs::remove_dir_all(stack.path().join("secrets")).unwrap();
}

#[test]
fn a_secret_that_data_was_made_with_is_never_generated_anew() {
    let stack = stack("lost");
    let volume = format!("{}_data", stack.project);
    let before = stack.containers();
    lose(&stack);
    for command in ["plan", "up"] {
        let outcome = stack.fails(1, &[command]);
        outcome.assert_says(&[
            "nothing was changed",
            "secret root: ",
            "secret app_password: ",
            &format!("is gone, and volume {volume} was made with what it held"),
            "Put the file back",
            "which runs (`deploy secrets recover`)",
            "`deploy down --volumes`",
        ]);
        assert!(!outcome.text.contains("secret token: "), "{}", outcome.text);
        assert!(!stack.path().join("secrets").exists(), "nothing was made");
    }
    // What is stopped may be the last one to have it.
    stack
        .fails(1, &["restart", "db", "--in-place"])
        .assert_says(&["secret root: ", "nothing was changed"]);
    assert_eq!(stack.containers(), before);

    // The data outlives the containers, and so does the answer.
    stack.ok(&["down"]);
    stack.fails(1, &["up"]).assert_says(&[
        "secret root: ",
        "a running container, of which there is none",
    ]);
    stack.fails(1, &["secrets", "recover"]).assert_says(&[
        "secret root: there is no container that reads it",
        "down --volumes",
    ]);
    // What no data was made with may be another one, and so may all when the data is gone.
    stack.ok(&["down", "--volumes"]);
    stack.ok(&["up"]);
}

/// A second checkout goes on with the stack of a first one that is gone, and has secrets of its own.
#[test]
fn a_secret_that_data_was_not_made_with_is_never_put_in_its_place() {
    let stack = Stack::new("exchanged");
    stack.write("first/tell/root", TELL);
    stack.compose(SERVICES);
    let first = stack.path().join("first");
    fs::copy(
        stack.path().join("compose.yaml"),
        first.join("compose.yaml"),
    )
    .unwrap();
    stack.ok(&["-f", "first/compose.yaml", "up", "--no-verify"]);
    let old = fs::read_to_string(first.join("secrets/app_password")).unwrap();
    let before = stack.containers();
    fs::remove_dir_all(first.join("secrets")).unwrap();
    fs::remove_file(first.join("compose.yaml")).unwrap();

    stack.write("tell/root", TELL);
    for name in ["root", "app_password", "token"] {
        stack.write(&format!("secrets/{name}"), "of the second checkout");
    }
    let says = [
        "nothing was changed",
        "secret app_password: ",
        &format!(
            "holds another value than volume {}_data was made with",
            stack.project
        ),
        &format!(
            "that of container {}, brought up from {}, which was given {}",
            stack.name("app-1"),
            first.join("compose.yaml").display(),
            first.join("secrets/app_password").display(),
        ),
        "Put the old value back",
        "which runs (`deploy secrets recover`)",
        "`deploy down --volumes`",
        "`deploy up --rotate-secrets app_password`",
    ];
    let commands: [&[&str]; 5] = [
        &["plan"],
        &["up"],
        &["up", "--rotate-secrets"],
        &["restart", "app"],
        &["restart", "app", "--in-place"],
    ];
    for command in commands {
        let outcome = stack.fails(1, command);
        outcome.assert_says(&says);
        assert!(!outcome.text.contains("secret token: "), "{}", outcome.text);
        assert_eq!(stack.containers(), before, "{command:?}");
    }

    // One of the ways out. What no data was made with takes its place.
    for name in ["root", "app_password"] {
        fs::remove_file(stack.path().join("secrets").join(name)).unwrap();
    }
    stack.ok(&["secrets", "recover"]);
    assert_eq!(secret(&stack, "app_password"), old);
    stack.ok(&["up"]);
    let seen = docker(&["exec", &stack.name("peer-1"), "cat", "/run/secrets/token"]);
    assert_eq!(seen, "of the second checkout");
    stack.ok(&["up", "--rotate-secrets"]);
    assert_ne!(secret(&stack, "app_password"), old);

    // Here too, and of what doesn't run.
    stack.write("secrets/app_password", "by hand");
    docker(&["kill", &stack.name("app-1"), &stack.name("db-1")]);
    stack.fails(1, &["up"]).assert_says(&[
        "secret app_password: ",
        "a running container, of which there is none",
    ]);
}

#[test]
fn what_never_was_there_is_generated_whatever_data_there_is() {
    // Before the first `up`: a directory that somebody filled. After it: a secret that is new.
    let first = "
services:
  db: {<<: *app, volumes: ['./source:/source', 'data:/data'], secrets: [one]}
secrets:
  one: {file: ./secrets/one, x-generate: password}
  two: {file: ./secrets/two, x-generate: password}
volumes: {data: }
";
    let stack = Stack::with("newsecret", first);
    stack.write("source/main.c", "int main;");
    stack.ok(&["up"]);
    stack.compose(&first.replace("secrets: [one]", "secrets: [one, two]"));
    stack.ok(&["up"]);
    assert!(!secret(&stack, "two").is_empty());
    // Now it is known.
    lose(&stack);
    stack.refuses(1, "up", &["secret one: ", "secret two: "]);
    // Without containers a volume is all that tells.
    stack.ok(&["down"]);
    stack.fails(1, &["up"]).assert_says(&[
        "secret one: ",
        "if it never was there, write a value of your own",
    ]);
}

#[test]
fn it_says_where_the_containers_have_the_file_from() {
    let stack = stack("lostmoved");
    stack.compose(&SERVICES.replace("./secrets/", "./moved/"));
    let path = stack.path().join("secrets/root");
    stack.fails(1, &["plan"]).assert_says(&[&format!(
        "container {} was given {}",
        stack.name("db-1"),
        path.display()
    )]);
}

#[test]
fn what_is_gone_is_taken_from_the_running_containers_and_shown_nowhere() {
    let stack = stack("recover");
    let names = ["root", "app_password", "token"];
    let before = names.map(|name| secret(&stack, name));
    let containers = stack.containers();
    lose(&stack);

    let outcome = stack.ok(&["secrets", "recover"]);
    outcome.assert_says(&["secret root: taken from container", "/secrets/root"]);
    assert_eq!(names.map(|name| secret(&stack, name)), before);
    for value in &before {
        assert!(!outcome.text.contains(value), "{}", outcome.text);
    }
    let directory = fs::metadata(stack.path().join("secrets")).unwrap();
    assert_eq!(directory.permissions().mode() & 0o777, 0o700);
    stack.ok(&["up"]).assert_says(&["no changes"]);
    assert_eq!(stack.containers(), containers);

    // What is there is never overwritten.
    stack.says("secrets recover", &["nothing to recover"]);
    stack
        .fails(2, &["secrets", "recover", "root"])
        .assert_says(&["exists, and is not overwritten"]);
    stack.refuses(2, "secrets recover none", &["choose among"]);
}

#[test]
fn a_value_that_a_rotation_has_replaced_is_not_taken_for_the_one_in_force() {
    let stack = stack("recoverstale");
    stack.ok(&["up", "--rotate-secrets"]);
    let password = secret(&stack, "app_password");
    lose(&stack);
    // `db` isn't replaced by a rotation: what it has mounted is the old value of both. The new one
    // of `app_password` is in `app`, made with it; that of `root` is nowhere any more.
    let outcome = stack.fails(1, &["secrets", "recover"]);
    outcome.assert_says(&[
        "not every secret could be recovered",
        "secret root: the value that its container was started with isn't accepted by db",
    ]);
    assert_eq!(secret(&stack, "app_password"), password);
    assert!(!stack.path().join("secrets/root").exists());
    let told = docker(&["exec", &stack.name("db-1"), "cat", "/data/root"]);
    assert!(!outcome.text.contains(told.trim()));
}

#[test]
fn a_container_that_does_not_run_has_nothing_to_give() {
    let stack = stack("recoverstopped");
    lose(&stack);
    docker(&[
        "kill",
        &stack.name("db-1"),
        &stack.name("app-1"),
        &stack.name("peer-1"),
    ]);
    stack.fails(1, &["secrets", "recover"]).assert_says(&[
        &format!("container {}: it doesn't run", stack.name("db-1")),
        "put the files back from another copy",
        "No data was made with it",
    ]);
    assert!(!stack.path().join("secrets").exists());
}

/// Needs root: only root may look into a container's `/proc`.
#[test]
fn of_an_image_without_cat_the_file_is_read_through_proc() {
    let stack = Stack::new("recoverbare");
    let busybox = ["/bin/busybox", "/usr/bin/busybox"].map(fs::read);
    let busybox = busybox.into_iter().find_map(Result::ok).unwrap();
    let tools = stack.path().join("tools");
    fs::create_dir_all(stack.path().join("nothing")).unwrap();
    fs::create_dir_all(&tools).unwrap();
    fs::write(tools.join("busybox"), busybox).unwrap();
    fs::set_permissions(tools.join("busybox"), fs::Permissions::from_mode(0o755)).unwrap();
    stack.compose(
        "
services:
  bare:
    <<: *app
    command: [/tools/busybox, sleep, '1000']
    volumes: ['./tools:/tools:ro', './nothing:/bin:ro']
    secrets: [password]
secrets:
  password: {file: ./secrets/password, x-generate: password}
",
    );
    stack.ok(&["up"]);
    let password = secret(&stack, "password");
    lose(&stack);
    stack.ok(&["secrets", "recover"]);
    assert_eq!(secret(&stack, "password"), password);
}
