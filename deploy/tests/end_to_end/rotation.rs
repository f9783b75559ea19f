//! Every secret gets a new value while clients send all the time: each of their requests is answered
//! 200 and stored once. Afterwards the old values open nothing. About a minute.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use crate::container::{Container, by_service, text};
use crate::load::Load;
use crate::secrets::Secrets;
use crate::stack::{Stack, both, label_filter};

/// An id that the API gives to nobody by itself.
const ID: &str = "0123456789abcdef01234567";
/// Longest wait for one answer.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn no_request_fails_while_secrets_are_rotated(stack: &Stack, secrets: &mut Secrets) {
    let events = tempfile::NamedTempFile::new().unwrap();
    let mut listening = stack
        .command("docker")
        .args(["events", "--filter", &label_filter()])
        .stdout(events.reopen().unwrap())
        .spawn()
        .unwrap();
    let before = by_service(stack);
    let load = Load::start(stack, "rotation");
    let printed = both(stack.deploy_command().args(["up", "--rotate-secrets"]));
    load.end(stack);

    let after = by_service(stack);
    for service in ["mongo", "listener"] {
        assert_eq!(before[service], after[service], "{printed}");
    }
    for service in ["api", "console", "keeper", "proxy"] {
        assert!(before[service].is_disjoint(&after[service]), "{printed}");
    }
    secrets.were_replaced(stack);
    mongod_accepts_the_new_passwords_alone(secrets, stack);
    the_api_believes_the_new_token_alone(secrets, stack);

    // Of what else there is to look at, the part on leaks sees both old and new values.
    secrets.are_not_in("deploy up --rotate-secrets", &printed);
    listening.kill().unwrap();
    listening.wait().unwrap();
    let events = fs::read_to_string(events.path()).unwrap();
    assert!(events.contains("exec_create: mongosh"), "{events}");
    secrets.are_not_in("docker events", &events);
}

fn mongod_accepts_the_new_passwords_alone(secrets: &Secrets, stack: &Stack) {
    let users = [
        ("root", "mongo_root_password"),
        ("causeway-api", "mongo_api_password"),
        ("causeway-console", "mongo_console_password"),
        ("causeway-keeper", "mongo_keeper_password"),
    ];
    let tries = users.iter().flat_map(|(user, secret)| {
        let passwords = [secrets.earlier(secret), secrets.value(secret)];
        passwords.map(|it| format!("accepts('{user}', '{it}');"))
    });
    let said = stack.mongo_shell(&format!(
        "function accepts(user, password) {{ let ok; \
         try {{ ok = Boolean(new Mongo('mongodb://localhost/').getDB('admin').auth(user, password)); }} \
         catch (refused) {{ ok = false; }} print('accepts ' + user + ' ' + ok); }} {}",
        tries.collect::<Vec<_>>().concat()
    ));
    let accepted = said.lines().filter_map(|line| line.split_once("accepts "));
    let accepted: Vec<&str> = accepted.map(|(_, it)| it).collect();
    let expected = users
        .iter()
        .flat_map(|(user, _)| [format!("{user} false"), format!("{user} true")]);
    assert_eq!(accepted, expected.collect::<Vec<_>>());
}

/// Asked directly: who has the token chooses the id.
fn the_api_believes_the_new_token_alone(secrets: &Secrets, stack: &Stack) {
    let containers = Container::all(stack);
    let api = containers.iter().find(|it| it.service == "api").unwrap();
    let networks = &api.settings["NetworkSettings"]["Networks"];
    let address = text(&networks["public-net-1"]["IPAddress"]);
    let believes = |token: &str| {
        let mut stream = TcpStream::connect((address.as_str(), 9090)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let fields = format!("X-Proxy-Token: {token}\r\nX-Request-Id: {ID}");
        write!(stream, "GET / HTTP/1.0\r\nHost: a\r\n{fields}\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.contains(" 200 "), "{answer}");
        answer.contains(ID)
    };
    assert!(!believes(secrets.earlier("proxy_token")));
    assert!(believes(secrets.value("proxy_token")));
}
