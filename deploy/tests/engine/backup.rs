//! `deploy backup` and `deploy restore`, with a service that gives and takes a stream from files: what
//! `deploy` makes of it. What a database gives and takes is tested with the keeper, and all together end to end.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use dump_stream::{END, FORMAT, Header, Progress, Summary};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use testkit::process::{Process, Signal, run};

use crate::stack::{Stack, docker, eventually};

/// The service, and the commands that the test says.
fn stack(test: &str, dump: &str, load: &str) -> Stack {
    let stack = Stack::with(
        test,
        &format!(
            "services:\n  keeper: {{<<: *app, volumes: ['./data:/data']}}\n\
             x-backup: {{service: keeper, dump: [sh, -c, '{dump}'], restore: [sh, -c, '{load}']}}\n"
        ),
    );
    fs::create_dir(stack.path().join("data")).unwrap();
    stack
}

/// Documents as a keeper would dump them, in a file of the stack's: their bytes.
fn give(stack: &Stack, count: usize) -> Vec<u8> {
    // {"a": "…"}
    let document = [&b"\x17\0\0\0\x02a\0\x0a\0\0\0"[..], b"123456789\0", b"\0"].concat();
    let mut document = document;
    let length = u32::try_from(document.len()).unwrap();
    document[..4].copy_from_slice(&length.to_le_bytes());
    let documents = document.repeat(count);
    let header = Header {
        format: FORMAT,
        database: "myDatabase".to_owned(),
        collection: "requests".to_owned(),
        metadata: json!({"indexes": []}).to_string(),
        documents: count as u64,
    };
    let summary = Summary {
        documents: count as u64,
        bytes: documents.len() as u64,
        sha256: hex::encode(Sha256::digest(&documents)),
        ..Summary::default()
    };
    let mut file = fs::File::create(stack.path().join("data/stream")).unwrap();
    writeln!(file, "{}", serde_json::to_string(&header).unwrap()).unwrap();
    file.write_all(&documents).unwrap();
    file.write_all(&END).unwrap();
    writeln!(file, "{}", serde_json::to_string(&summary).unwrap()).unwrap();
    documents
}

/// What a keeper answers in the end.
fn answer(stack: &Stack, progress: &Progress) {
    let line = serde_json::to_string(progress).unwrap();
    stack.write("data/answer", &(line + "\n"));
}

fn done(stored: u64, already: u64) -> Progress {
    Progress {
        stored,
        already,
        done: true,
        ..Progress::default()
    }
}

/// What there is beside the Compose file, hidden files too.
fn files(stack: &Stack) -> Vec<String> {
    let entries = fs::read_dir(stack.path()).unwrap();
    let names = entries.map(|it| it.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.filter(|it| it.contains("backup")).collect();
    names.sort();
    names
}

const DUMP: &str = "cat /data/stream";
const LOAD: &str = "cat >/data/got && cat /data/answer";

#[test]
fn what_a_service_gives_is_one_file_that_others_read_and_is_given_back() {
    let stack = stack("backup", DUMP, LOAD);
    let documents = give(&stack, 100_000);
    stack.ok(&["up"]);

    let told = stack.ok(&["backup", "backup.zip", "--json"]).events();
    let told = told.last().unwrap();
    assert_eq!(told["event"], "backup");
    assert_eq!(told["manifest"]["documents"], 100_000);
    let path = stack.path().join("backup.zip");
    let found = fs::metadata(&path).unwrap();
    assert_eq!(found.permissions().mode() & 0o777, 0o600);
    assert_eq!(told["size"], found.len());
    assert_eq!(files(&stack), ["backup.zip"]);

    // As another implementation reads it.
    let program = "import sys, zipfile\nz = zipfile.ZipFile(sys.argv[1])\nassert z.testzip() is None\n\
                   print(*z.namelist(), sep='\\n')\nz.extractall(sys.argv[2])";
    let out = stack.path().join("out");
    let python = run(Command::new("python3")
        .args(["-c", program])
        .arg(&path)
        .arg(&out));
    let names: Vec<&str> = python.lines().collect();
    assert_eq!(
        names,
        [
            "dump/myDatabase/requests.metadata.json",
            "dump/myDatabase/requests.bson",
            "manifest.json"
        ]
    );
    assert!(fs::read(out.join(names[1])).unwrap() == documents);
    let manifest = fs::read(out.join("manifest.json")).unwrap();
    assert_eq!(
        serde_json::from_slice::<Value>(&manifest).unwrap(),
        told["manifest"]
    );

    // There is one already.
    stack.refuses(2, "backup backup.zip", &["already", "--force"]);
    give(&stack, 10);
    stack.ok(&["backup", "backup.zip", "--force"]);
    stack.says("restore --check backup.zip", &["10 documents"]);

    // To standard output, which then has nothing else.
    let documents = give(&stack, 20);
    let output = stack.command(&["backup", "-"]).output().unwrap();
    fs::write(&path, &output.stdout).unwrap();
    answer(&stack, &done(15, 5));
    stack.says(
        "restore backup.zip",
        &["20 documents: 15 stored, 5 there already"],
    );
    let got = fs::read(stack.path().join("data/got")).unwrap();
    let line = got.iter().position(|byte| *byte == b'\n').unwrap();
    let header: Header = serde_json::from_slice(&got[..line]).unwrap();
    assert_eq!(
        (header.documents, header.collection.as_str()),
        (20, "requests")
    );
    assert!(got[line + 1..] == [&documents[..], &END].concat());
}

#[test]
fn what_fails_half_way_leaves_no_file_and_says_why() {
    let said = "echo \"error: no database\" >&2; exit 1";
    let stack = stack("backupfails", DUMP, &format!("cat /data/answer; {said}"));
    give(&stack, 1_000);
    stack.refuses(1, "backup backup.zip", &["no keeper", "deploy up"]);
    stack.ok(&["up"]);
    stack.ok(&["backup", "backup.zip"]);
    stack.refuses(2, "backup nowhere/backup", &["nowhere/backup", "directory"]);

    answer(&stack, &Progress::default());
    let failed = ["the load in", "no database", "run the same command again"];
    stack.refuses(1, "restore backup.zip", &failed);
    let text = fs::read_to_string(stack.path().join("compose.yaml")).unwrap();
    let dump = format!("[sh, -c, '{DUMP}']");
    for (dumps, says) in [
        (format!("cat /data/stream; {said}"), "no database"),
        ("exec nothing".to_owned(), "no such program"),
        ("cat /data/answer".to_owned(), "one version"),
        ("true".to_owned(), "before the last document"),
    ] {
        let dumps = text.replace(&dump, &format!("[sh, -c, '{dumps}']"));
        stack.write("compose.yaml", &dumps);
        stack.refuses(1, "backup backup.2", &[says]);
        assert_eq!(files(&stack), ["backup.zip"]);
    }

    // A document that is there and another one.
    stack.write("compose.yaml", &text.replace(&format!("; {said}"), ""));
    let different = Progress {
        different: 12,
        different_ids: vec!["6b04c51a304709b098d5d827".to_owned()],
        notes: vec!["an index is missing".to_owned()],
        ..done(988, 0)
    };
    answer(&stack, &different);
    let told = [
        "12 documents",
        "6b04c51a304709b098d5d827",
        "and 11 more",
        "an index is missing",
    ];
    stack.refuses(1, "restore backup.zip", &told);

    // Cut off: nothing of it gets to the service.
    let whole = fs::read(stack.path().join("backup.zip")).unwrap();
    fs::write(stack.path().join("backup.cut"), &whole[..whole.len() - 9]).unwrap();
    stack.write("data/got", "untouched");
    stack.refuses(
        1,
        "restore backup.cut",
        &["isn't a whole backup", "nothing was stored"],
    );
    stack.refuses(2, "restore data", &["no regular file"]);
    assert_eq!(
        fs::read(stack.path().join("data/got")).unwrap(),
        b"untouched"
    );
}

#[test]
fn who_is_ended_takes_the_dump_along_and_leaves_no_file() {
    // Goes on for as long as its input is open, as the keeper's does.
    let stack = stack(
        "backupended",
        &format!("{DUMP}; cat >/dev/null; echo end >/data/ended"),
        LOAD,
    );
    give(&stack, 1_000);
    stack.ok(&["up"]);
    let ended = stack.path().join("data/ended");
    let container = stack.name("keeper-1");
    for (signal, left) in [(Signal::TERM, 0), (Signal::KILL, 1)] {
        let mut backup = Process::start(&mut stack.command(&["backup", "backup.zip"]));
        eventually("the dump waits", || {
            docker(&["top", &container]).contains("cat") && has_bytes(stack.path())
        });
        backup.signal(signal);
        assert!(!backup.ended().success());
        eventually("the dump ends", || ended.exists());
        fs::remove_file(&ended).unwrap();
        assert_eq!(files(&stack).len(), left, "{:?}", files(&stack));
    }
    // Not taken for a backup.
    assert!(files(&stack)[0].ends_with(".partial"));
}

/// Whether the file that isn't whole yet is there.
fn has_bytes(directory: &Path) -> bool {
    let mut entries = fs::read_dir(directory).unwrap().map(Result::unwrap);
    entries.any(|it| it.file_name().to_string_lossy().ends_with(".partial"))
}
