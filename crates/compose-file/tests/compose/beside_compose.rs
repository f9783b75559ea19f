//! What Docker Compose 2 makes of `.env`, `env_file` and command lines, and that it is the same
//! here. What is expected is written down, and Compose is asked, too.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::compose2;
use crate::support::{Fixture, service};

/// Values in an environment file. `OUTER` is set outside.
const VALUES: &[(&str, &str)] = &[
    ("A=b", "b"),
    ("  A = b  ", "b"),
    ("A=", ""),
    ("A=\nB=1", ""),
    ("A=#s3cret", "#s3cret"),
    ("A=# b", "# b"),
    ("A= #b # c", "#b"),
    ("A=b # c", "b"),
    ("A=b #c # d", "b"),
    ("A=b#c", "b#c"),
    ("A=b\t# c", "b\t# c"),
    ("A=x #", "x"),
    ("A=it's", "it's"),
    ("A=a\"b\"c", "a\"b\"c"),
    (r"A='it\'s'", "it's"),
    (r"A='a\'b\'c' # d", "a'b'c"),
    (r"A='a\\b'", r"a\\b"),
    (r"A='a\nb'", r"a\nb"),
    ("A='#b' # c", "#b"),
    ("A='$OUTER ${OUTER}'", "$OUTER ${OUTER}"),
    ("A='one\ntwo'", "one\ntwo"),
    ("A='x'#c", "x"),
    (r#"A="a\"b""#, "a\"b"),
    (
        r#"A="a\\b\n\t\r\a\v\f\b""#,
        "a\\b\n\t\r\u{7}\u{b}\u{c}\u{8}",
    ),
    (r#"A="a\'b\x\c""#, r"a\'b\x\c"),
    ("A=\"b\\\nc\"", "b\\\nc"),
    (r#"A="\$OUTER $$OUTER $OUTER""#, "$OUTER $OUTER outer"),
    (r"A=\$OUTER a\nb\ c", r"\outer a\nb\ c"),
    ("A=$$OUTER", "$OUTER"),
    ("A=p$", "p$"),
    ("A=p$!q$1$(r)", "p$!q$1$(r)"),
    ("A=${OUTER:-x}${B:-y z}", "outery z"),
    ("A=${B:-a#b}", "a#b"),
    ("B=1\nA=$B$B", "11"),
    ("OUTER=in\nA=$OUTER", "outer"),
    ("A=1\nA=2", "2"),
    ("A=1\nA", "1"),
    ("A: b", "b"),
    ("A:b=c", "b=c"),
    ("A==b", "=b"),
    ("export A=b", "b"),
    ("export\tA=b", "b"),
    ("A='b'\r\nB=1", "b"),
    ("A=b\r\nB=1", "b"),
    ("A='x\r\ny'", "x\r\ny"),
    ("A=\u{a0}b\u{a0}", "b"),
    ("\u{feff}A=b", "b"),
    ("# it's\nA=b # it's", "b"),
    ("A=a;b|c&&d", "a;b|c&&d"),
    ("A=`b`", "`b`"),
];

/// Command lines and their words.
const COMMANDS: &[(&str, &[&str])] = &[
    ("--requirepass #s3cret", &["--requirepass", "#s3cret"]),
    ("# a b#c d#", &["#", "a", "b#c", "d#"]),
    ("a 'b c' \"d e\" f\\ g", &["a", "b c", "d e", "f g"]),
    ("a '' \"\" x'y'\"z\"", &["a", "", "", "xyz"]),
    (r#"a "b\"c\d\n" 'e\f' g\n"#, &["a", "b\"cdn", r"e\f", "gn"]),
    ("a 'it'\\''s'", &["a", "it's"]),
    ("a ';' '&&' \"|\" \\; \\#", &["a", ";", "&&", "|", ";", "#"]),
    (
        "a $$B * ~ ! {b,c} x=y",
        &["a", "$B", "*", "~", "!", "{b,c}", "x=y"],
    ),
    ("a\tb\nc\r\nd", &["a", "b", "c", "d"]),
    ("sh -c 'a && b | c > d'", &["sh", "-c", "a && b | c > d"]),
];

/// What Compose makes of the fixture.
pub(crate) fn by_compose(fixture: &Fixture) -> Value {
    let files = fixture.options.files.iter();
    let profiles = fixture.options.profiles.iter();
    let output = Command::new(compose2::binary())
        .args(files.flat_map(|file| [Path::new("-f"), file]))
        .args(profiles.flat_map(|name| ["--profile", name]))
        .args(["config", "--format", "json"])
        .current_dir(fixture.directory.path())
        .env_clear()
        .envs(&fixture.options.env)
        .env("HOME", fixture.directory.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    // It prints what can be read again.
    let text = String::from_utf8(output.stdout).unwrap().replace("$$", "$");
    serde_json::from_str(&text).unwrap()
}

/// Services `s0`, `s1`, … with these keys.
fn services(keys: impl IntoIterator<Item = String>) -> Fixture {
    let services = keys.into_iter().enumerate();
    let services = services.map(|(index, keys)| format!("  s{index}: {{image: i, {keys}}}\n"));
    Fixture::new(format!("services:\n{}", services.collect::<String>())).env("OUTER", "outer")
}

/// That the services have these values at a pointer, here and with Compose.
fn assert_services(fixture: &Fixture, pointer: &str, expected: &[(String, Value)]) {
    let both = [
        ("here", fixture.json()),
        ("Docker Compose", by_compose(fixture)),
    ];
    for (whose, project) in both {
        for (index, (case, expected)) in expected.iter().enumerate() {
            let found = project.pointer(&format!("/services/s{index}/{pointer}"));
            assert_eq!(found, Some(expected), "{whose}: {case}");
        }
    }
}

#[test]
fn values_of_environment_files() {
    let keys = (0..VALUES.len()).map(|index| format!("env_file: e{index}"));
    let mut fixture = services(keys);
    for (index, (text, _)) in VALUES.iter().enumerate() {
        fixture = fixture.file(&format!("e{index}"), &format!("{text}\n"));
    }
    let expected: Vec<(String, Value)> = VALUES
        .iter()
        .map(|(text, value)| (format!("{text:?}"), json!(value)))
        .collect();
    assert_services(&fixture, "environment/A", &expected);
}

#[test]
fn values_of_dot_env() {
    for (text, expected) in VALUES {
        let dot_env = format!("{text}\n");
        let fixture = services(["environment: {X: $A}".to_owned()]).file(".env", &dot_env);
        let expected = [(format!("{text:?}"), json!(expected))];
        assert_services(&fixture, "environment/X", &expected);
    }
}

#[test]
fn words_of_command_lines() {
    let quoted = |line: &str| serde_json::to_string(line).unwrap();
    let keys = COMMANDS
        .iter()
        .map(|(line, _)| format!("command: {0}, entrypoint: {0}", quoted(line)));
    let fixture = services(keys);
    let expected: Vec<(String, Value)> = COMMANDS
        .iter()
        .map(|(line, words)| ((*line).to_owned(), json!(words)))
        .collect();
    assert_services(&fixture, "command", &expected);
    assert_services(&fixture, "entrypoint", &expected);
}

/// An earlier file's variables come before those outside, and these before the file's own.
#[test]
fn an_environment_file_sees_the_variables_of_those_before_it() {
    for (first, second, expected) in [
        ("A=1", "B=<$A>", json!({"A": "1", "B": "<1>"})),
        ("A=1", "A=2\nB=<$A>", json!({"A": "2", "B": "<1>"})),
        ("OUTER=1", "B=<$OUTER>", json!({"OUTER": "1", "B": "<1>"})),
        ("DOT=1", "B=<$DOT>", json!({"DOT": "1", "B": "<1>"})),
        (
            "OUTER",
            "B=<$OUTER>",
            json!({"OUTER": "outer", "B": "<outer>"}),
        ),
        ("A=1", "A", json!({"A": "1"})),
        ("OUTER=1", "OUTER", json!({"OUTER": "1"})),
        ("A=1\nC=<$A>", "C=<$C>", json!({"A": "1", "C": "<<1>>"})),
        ("A=${B:-none}\nB=1", "", json!({"A": "none", "B": "1"})),
        ("", "B=<$DOT>", json!({"B": "<dot>"})),
    ] {
        let fixture = services(["env_file: [one, two]".to_owned()])
            .file(".env", "DOT=dot\n")
            .file("one", &format!("{first}\n"))
            .file("two", &format!("{second}\n"));
        let case = format!("{first:?}, {second:?}");
        assert_services(&fixture, "environment", &[(case, expected)]);
    }
    // `environment` sees none of them.
    let fixture =
        services(["env_file: [one], environment: {B: <$A>}".to_owned()]).file("one", "A=1");
    let expected = json!({"A": "1", "B": "<>"});
    assert_services(&fixture, "environment", &[(String::new(), expected)]);
}

/// Compose drops the operator and all that follows; the words before it run.
#[test]
fn what_only_a_shell_understands_is_refused() {
    for (line, operator) in [
        ("run s3cret && stop", "&&"),
        ("run s3cret; stop", ";"),
        ("run s3cret | sort", "|"),
        ("run s3cret >file", ">"),
    ] {
        for key in ["command", "entrypoint"] {
            let fixture = service(&format!("{key}: \"{line}\""));
            let problem = fixture.problems()[0].to_string();
            let expected = format!("services.s.{key}: {operator} means something to a shell");
            assert!(problem.contains(&expected), "{problem}");
            assert!(problem.contains(r#"["sh", "-c", "#), "{problem}");
            assert!(!problem.contains("s3cret"), "{problem}");
        }
    }
}
