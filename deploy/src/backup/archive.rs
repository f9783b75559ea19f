//! A backup that is there: is it whole, and what is in it?

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use dump_stream::{Documents, FORMAT, LONGEST_LINE, Malformed};
use engine::error::{Error, Result};
use flate2::read::DeflateDecoder;
use hyper::body::Bytes;
use rawzip::{
    CompressionMethod, FileReader, RECOMMENDED_BUFFER_SIZE, ZipArchive, ZipArchiveEntryWayfinder,
};
use sha2::{Digest as _, Sha256};

use super::{Done, MANIFEST, Manifest, Part};

/// Ours have three.
const MOST_FILES: usize = 16;
/// Bytes of the documents that are read at a time.
const PIECE: usize = 64 << 10;
/// What to do about one that can't be used.
const ANOTHER: &str = "take another copy or another backup; nothing was stored";

/// An open backup.
pub(crate) struct Archive {
    zip: ZipArchive<FileReader>,
    path: PathBuf,
    files: Vec<(String, ZipArchiveEntryWayfinder)>,
    pub(crate) manifest: Manifest,
    /// As `mongodump` writes it.
    pub(crate) metadata: String,
    /// The file's size.
    pub(crate) size: u64,
}

impl Archive {
    /// Opens one and reads all of it but the documents.
    ///
    /// # Errors
    /// When it isn't a backup, or not whole.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let unreadable = |err: &dyn std::error::Error| {
            Error::usage(
                format!("can't read {}: {err}", path.display()),
                "name a file that `deploy backup` wrote",
            )
        };
        let file = File::open(path).map_err(|err| unreadable(&err))?;
        let found = file.metadata().map_err(|err| unreadable(&err))?;
        if !found.is_file() {
            return Err(Error::usage(
                format!("{} is no regular file", path.display()),
                "a backup is checked as a whole before anything of it is stored: name the file that it is in",
            ));
        }
        let broken = |why: &str| broken(path, why);
        let mut buffer = vec![0; RECOMMENDED_BUFFER_SIZE];
        let zip = ZipArchive::from_file(file, &mut buffer);
        let zip = zip.map_err(|err| broken(&format!("it is no archive, or was cut off: {err}")))?;
        if zip.end_offset() != found.len() {
            return Err(broken("there is something else after its end"));
        }
        let mut files = Vec::new();
        let mut entries = zip.entries(&mut buffer);
        loop {
            let entry = entries
                .next_entry()
                .map_err(|err| broken(&err.to_string()))?;
            let Some(entry) = entry else { break };
            let name = String::from_utf8_lossy(entry.file_path().as_bytes()).into_owned();
            if entry.compression_method() != CompressionMethod::DEFLATE {
                return Err(broken(&format!(
                    "{name} isn't compressed as deploy does it"
                )));
            }
            if files.len() == MOST_FILES || files.iter().any(|(it, _)| *it == name) {
                return Err(broken("there is more in it than deploy writes"));
            }
            files.push((name, entry.wayfinder()));
        }
        let mut archive = Self {
            zip,
            path: path.to_owned(),
            files,
            manifest: Manifest::default(),
            metadata: String::new(),
            size: found.len(),
        };
        let manifest = archive.small(MANIFEST)?;
        let format = serde_json::from_slice(&manifest)
            .ok()
            .and_then(|it: serde_json::Value| it.get("format")?.as_u64());
        if let Some(format) = format.filter(|it| *it != u64::from(FORMAT)) {
            return Err(Error::failed(
                format!(
                    "{} has the format {format}, and this deploy knows {FORMAT}",
                    path.display()
                ),
                "restore it with the version of deploy that wrote it",
            ));
        }
        archive.manifest = serde_json::from_slice(&manifest)
            .map_err(|err| broken(&format!("its {MANIFEST} isn't one: {err}")))?;
        let part = archive.manifest.metadata.clone();
        let metadata = archive.small(&part.path)?;
        let sha256 = hex::encode(Sha256::digest(&metadata));
        archive.agrees(&part, metadata.len() as u64, &sha256)?;
        archive.metadata = String::from_utf8(metadata)
            .map_err(|_| broken(&format!("{} isn't text", part.path)))?;
        Ok(archive)
    }

    /// Reads all the documents, a piece at a time; `each` says whether to go on.
    ///
    /// # Errors
    /// When they aren't those that the manifest tells of, which for what was altered or damaged shows at
    /// the end.
    pub(crate) fn documents(&self, done: &Done, mut each: impl FnMut(Bytes) -> bool) -> Result<()> {
        let part = &self.manifest.data;
        let mut reader = self.reader(&part.path)?;
        let mut documents = Documents::default();
        let mut sha256 = Sha256::new();
        let mut buffer = vec![0; PIECE];
        let broken = |why: &str| broken(&self.path, &format!("{}: {why}", part.path));
        loop {
            let length = match reader.read(&mut buffer) {
                Ok(0) => break,
                Ok(length) => length,
                Err(err) if err.kind() == io::ErrorKind::Interrupted => continue,
                Err(err) => return Err(broken(&err.to_string())),
            };
            let piece = &buffer[..length];
            sha256.update(piece);
            let end = documents.advance(piece, |_| Ok::<_, Malformed>(()));
            match end {
                Err(malformed) => return Err(broken(&malformed.to_string())),
                Ok(Some(_)) => return Err(broken("a document without a length")),
                Ok(None) => {}
            }
            done.set(documents.count(), documents.bytes());
            if documents.bytes() > part.bytes {
                return Err(broken("it is longer than its manifest says"));
            }
            if !each(Bytes::copy_from_slice(piece)) {
                return Ok(());
            }
        }
        if !documents.is_whole() {
            return Err(broken("it ends within a document"));
        }
        self.agrees(part, documents.bytes(), &hex::encode(sha256.finalize()))?;
        if documents.count() != self.manifest.documents {
            return Err(broken(&format!(
                "it has {} documents, {} by its manifest",
                documents.count(),
                self.manifest.documents
            )));
        }
        Ok(())
    }

    /// Whether what was read is what the manifest tells of.
    fn agrees(&self, part: &Part, bytes: u64, sha256: &str) -> Result<()> {
        if (part.bytes, part.sha256.as_str()) == (bytes, sha256) {
            return Ok(());
        }
        Err(broken(
            &self.path,
            &format!(
                "{} was altered or damaged: it has {bytes} bytes with the SHA-256 {sha256}, by its manifest \
                 {} with {}",
                part.path, part.bytes, part.sha256
            ),
        ))
    }

    fn reader(&self, name: &str) -> Result<impl Read> {
        let found = self.files.iter().find(|(it, _)| it == name);
        let missing = || {
            broken(
                &self.path,
                &format!("there is no {name} in it: it isn't from `deploy backup`"),
            )
        };
        let (_, way) = found.ok_or_else(missing)?;
        let entry = self.zip.get_entry(*way);
        let entry = entry.map_err(|err| broken(&self.path, &format!("{name}: {err}")))?;
        Ok(entry.verifying_reader(DeflateDecoder::new(entry.reader())))
    }

    /// A file of the archive that fits into memory.
    fn small(&self, name: &str) -> Result<Vec<u8>> {
        let mut content = Vec::new();
        let limit = LONGEST_LINE as u64;
        let read = self.reader(name)?.take(limit).read_to_end(&mut content);
        let read = read.map_err(|err| broken(&self.path, &format!("{name}: {err}")))?;
        if read == LONGEST_LINE {
            return Err(broken(&self.path, &format!("{name} is longer than 1 MiB")));
        }
        Ok(content)
    }
}

fn broken(path: &Path, why: &str) -> Error {
    Error::failed(
        format!("{} isn't a whole backup: {why}", path.display()),
        ANOTHER,
    )
}
