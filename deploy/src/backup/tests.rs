//! What is written is read again; and what happened to a file meanwhile is seen.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use dump_stream::{END, FORMAT, Header, Summary};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use super::*;

/// Documents of a backup.
const COUNT: u64 = 2_000;

/// Documents that don't compress to nothing, of many lengths.
fn documents() -> Vec<u8> {
    let mut all = Vec::new();
    for number in 0..u32::try_from(COUNT).unwrap() {
        let text: Vec<u8> = Sha256::digest(number.to_le_bytes())[..].repeat(number as usize % 9);
        let length = 4 + 1 + 2 + 4 + text.len() + 1 + 1;
        all.extend_from_slice(&u32::try_from(length).unwrap().to_le_bytes());
        // One field "a", a string.
        all.extend_from_slice(b"\x02a\0");
        all.extend_from_slice(&u32::try_from(text.len() + 1).unwrap().to_le_bytes());
        all.extend_from_slice(&text);
        all.extend_from_slice(b"\0\0");
    }
    all
}

/// What a dump writes, of `count` documents.
fn stream(documents: &[u8], count: u64) -> Vec<u8> {
    let header = Header {
        format: FORMAT,
        database: "my Database".to_owned(),
        collection: "a/b".to_owned(),
        metadata: r#"{"indexes":[]}"#.to_owned(),
        documents: count,
    };
    let summary = Summary {
        documents: count,
        bytes: documents.len() as u64,
        sha256: hex::encode(Sha256::digest(documents)),
        first_id: Some("first".to_owned()),
        last_id: None,
    };
    let line = |it: serde_json::Result<Vec<u8>>| [it.unwrap(), b"\n".to_vec()].concat();
    let header = line(serde_json::to_vec(&header));
    let summary = line(serde_json::to_vec(&summary));
    [&header[..], documents, &END, &summary].concat()
}

fn archived(stream: &[u8]) -> Result<(Manifest, Vec<u8>)> {
    let source = Source {
        project: "it".to_owned(),
        begun: SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_795_000_000),
        target: "nowhere".to_owned(),
    };
    let mut out = Vec::new();
    let (manifest, size) = write(stream, &mut out, &source, &Done::default())?;
    assert_eq!(size, out.len() as u64);
    Ok((manifest, out))
}

fn file(directory: &TempDir, content: &[u8]) -> PathBuf {
    let path = directory.path().join("backup.zip");
    fs::write(&path, content).unwrap();
    path
}

fn read(path: &Path) -> Result<(Manifest, Vec<u8>)> {
    let archive = Archive::open(path)?;
    let mut all = Vec::new();
    archive.documents(&Done::default(), |piece| {
        all.extend_from_slice(&piece);
        true
    })?;
    Ok((archive.manifest, all))
}

#[test]
fn what_was_written_is_read_again() {
    let directory = TempDir::new().unwrap();
    let documents = documents();
    let (manifest, content) = archived(&stream(&documents, COUNT)).unwrap();
    assert!(content.len() < documents.len(), "it is compressed");
    assert_eq!(manifest.data.path, "dump/my%20Database/a%2Fb.bson");
    let (read, all) = read(&file(&directory, &content)).unwrap();
    assert_eq!(read, manifest);
    assert_eq!(all, documents);
    let (_, none) = archived(&stream(&[], 0)).unwrap();
    assert!(Archive::open(&file(&directory, &none)).is_ok());
}

#[test]
fn a_file_that_was_cut_off_or_altered_is_refused() {
    let directory = TempDir::new().unwrap();
    let (_, content) = archived(&stream(&documents(), COUNT)).unwrap();
    let refused = |content: &[u8], what: &str| {
        let found = read(&file(&directory, content));
        let err = found.err().unwrap_or_else(|| panic!("{what} is taken"));
        assert!(err.message.contains("backup.zip"), "{}", err.message);
        assert!(err.next.contains("nothing was stored"), "{}", err.next);
    };
    let length = content.len();
    for cut in [0, 1, 100, length / 2, length - 22, length - 1] {
        refused(&content[..cut], &format!("{cut} of {length} bytes"));
    }
    refused(
        &[&content[..], b"more"].concat(),
        "what has something after it",
    );
    // The first file's head is 30 bytes and its name; what follows is compressed.
    let begin = 30 + "dump/my%20Database/a%2Fb.metadata.json".len() + 9;
    let directory_at = content
        .windows(4)
        .position(|it| it == b"PK\x01\x02")
        .unwrap();
    for number in 0..60 {
        let at = begin + 60 + number * (directory_at - begin - 60) / 60;
        let mut altered = content.clone();
        altered[at] ^= 1 << (number % 8);
        if read(&file(&directory, &altered)).is_ok() {
            // What a local header repeats of the directory isn't read.
            let start = at.saturating_sub(120);
            let local = content[start..at + 4]
                .windows(3)
                .any(|it| it == b"PK\x03" || it == b"PK\x07");
            assert!(local, "byte {at} of {length}");
        }
    }
}

#[test]
fn a_stream_that_ends_early_or_says_another_number_becomes_no_backup() {
    let whole = stream(&documents(), COUNT);
    let end = whole.len();
    for cut in [0, 10, 500, end / 2, end - 10, end - 1] {
        assert!(archived(&whole[..cut]).is_err(), "{cut} of {end} bytes");
    }
    assert!(archived(&stream(&documents(), COUNT - 1)).is_err());
}

#[test]
fn a_file_of_the_name_is_not_replaced_unless_wanted() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("backup.zip");
    let names = || fs::read_dir(directory.path()).unwrap().count();

    let (target, out) = Target::create(&path, false).unwrap();
    std::io::Write::write_all(&mut &out, b"first").unwrap();
    assert!(!path.exists() && names() == 1);
    target.finish().unwrap();
    assert_eq!((fs::read(&path).unwrap(), names()), (b"first".to_vec(), 1));
    let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&path).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);

    assert!(Target::create(&path, false).is_err());
    let (target, _) = Target::create(&path, true).unwrap();
    drop(target);
    assert_eq!((fs::read(&path).unwrap(), names()), (b"first".to_vec(), 1));
    let (target, _) = Target::create(&path, true).unwrap();
    target.finish().unwrap();
    assert_eq!((fs::read(&path).unwrap(), names()), (b"".to_vec(), 1));

    // One that appears meanwhile.
    fs::remove_file(&path).unwrap();
    let (target, _) = Target::create(&path, false).unwrap();
    fs::write(&path, b"theirs").unwrap();
    assert!(target.finish().is_err());
    assert_eq!((fs::read(&path).unwrap(), names()), (b"theirs".to_vec(), 1));
    assert!(Target::create(Path::new("/dev/null"), true).is_err());
}

#[test]
fn what_a_killed_backup_left_is_removed_and_nothing_else() {
    let directory = TempDir::new().unwrap();
    let file = |name: &str| {
        let path = directory.path().join(name);
        fs::write(&path, b"").unwrap();
        path
    };
    let left = file(".monday.zip.0123456789abcdef.partial");
    let others = [
        ".monday.zip.partial",
        "monday.zip.0123456789abcdef.partial",
        ".0123456789abcdef",
    ];
    let others = others.map(file);
    let path = directory.path().join("tuesday.zip");
    let (written, _file) = Target::create(&path, false).unwrap();

    assert_eq!(remove_left(&path), [left]);
    assert!(others.iter().all(|it| it.exists()));
    written.finish().unwrap();
    assert_eq!(remove_left(&path), [] as [std::path::PathBuf; 0]);
}

#[test]
fn sizes_are_for_people() {
    let sizes = [0, 1023, 1024, 150 << 20, 3 << 29].map(size);
    assert_eq!(
        sizes,
        ["0 bytes", "1023 bytes", "1.0 KiB", "150 MiB", "1.5 GiB"]
    );
}
