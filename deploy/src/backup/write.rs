//! From the stream of a dump to the bytes of the archive.

use std::io::{self, BufRead, Read, Write};
use std::time::SystemTime;

use dump_stream::{Documents, FORMAT, Header, LONGEST_LINE, Malformed, Summary};
use engine::error::{Error, Result};
use flate2::Compression;
use flate2::write::DeflateEncoder;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use rawzip::time::UtcDateTime;
use rawzip::{CompressionMethod, ZipArchiveWriter};
use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256};

use super::{Done, MANIFEST, Manifest, Part};

/// Of 0 to 9: more of it costs a processor's time that the writers need, and gains little.
const LEVEL: u32 = 3;
/// What stands in the names of `mongodump`'s files as it is (`url.PathEscape` of Go).
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~')
    .remove(b'$')
    .remove(b'&')
    .remove(b'+')
    .remove(b'=')
    .remove(b':')
    .remove(b'@');

/// What the manifest says that isn't in the stream.
pub(crate) struct Source {
    pub(crate) project: String,
    pub(crate) begun: SystemTime,
    /// The file's name, for errors.
    pub(crate) target: String,
}

/// Why the documents end early.
enum Stop {
    Malformed(Malformed),
    Out(io::Error),
}

impl From<Malformed> for Stop {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed)
    }
}

/// Writes what a dump gives as an archive.
///
/// # Errors
/// When the stream isn't one, or was broken off; or when `out` takes no more.
pub(crate) fn write(
    mut stream: impl BufRead,
    out: impl Write,
    source: &Source,
    done: &Done,
) -> Result<(Manifest, u64)> {
    let unwritable = |err: io::Error| source.unwritable(&err);
    let header: Header = line(&mut stream)?;
    if header.format != FORMAT {
        return Err(misunderstood(&format!(
            "its format is {}, and this deploy knows {FORMAT}",
            header.format
        )));
    }
    let encoded = |name: &str| utf8_percent_encode(name, PLAIN).to_string();
    let folder = format!("dump/{}", encoded(&header.database));
    let name = encoded(&header.collection);
    let mut zip = Zip {
        archive: ZipArchiveWriter::new(Counted { out, bytes: 0 }),
        time: source.begun,
    };
    let metadata = format!("{folder}/{name}.metadata.json");
    let metadata = zip
        .file(&metadata, header.metadata.as_bytes())
        .map_err(unwritable)?;

    let mut documents = Documents::default();
    let path = format!("{folder}/{name}.bson");
    let mut written = Ok(());
    let data = zip.stream(&path, |entry| {
        written = copy(&mut stream, &mut documents, entry, done);
        match &written {
            Err(Copying::Out(err)) => Err(io::Error::new(err.kind(), err.to_string())),
            _ => Ok(()),
        }
    });
    // What is wrong with the stream comes before what that leads to.
    if let Err(Copying::In(err)) = written {
        return Err(err);
    }
    let data = data.map_err(unwritable)?;
    let summary: Summary = line(&mut stream)?;
    if (summary.documents, summary.bytes, &summary.sha256)
        != (documents.count(), data.bytes, &data.sha256)
    {
        return Err(misunderstood(&format!(
            "{} documents, {} bytes and SHA-256 {} came, {}, {} and {} were sent",
            documents.count(),
            data.bytes,
            data.sha256,
            summary.documents,
            summary.bytes,
            summary.sha256
        )));
    }
    let manifest = Manifest {
        format: FORMAT,
        created: humantime::format_rfc3339_seconds(source.begun).to_string(),
        project: source.project.clone(),
        deploy: env!("CARGO_PKG_VERSION").to_owned(),
        database: header.database,
        collection: header.collection,
        documents: summary.documents,
        first_id: summary.first_id,
        last_id: summary.last_id,
        data,
        metadata,
    };
    let text = serde_json::to_vec_pretty(&manifest).map_err(io::Error::from);
    let size = text.and_then(|text| {
        zip.file(MANIFEST, &text)?;
        zip.finish()
    });
    Ok((manifest, size.map_err(unwritable)?))
}

enum Copying {
    /// What the stream has.
    In(Error),
    Out(io::Error),
}

/// Copies the documents, up to their end.
fn copy(
    stream: &mut impl BufRead,
    documents: &mut Documents,
    out: &mut dyn Write,
    done: &Done,
) -> Result<(), Copying> {
    loop {
        let piece = stream.fill_buf().map_err(Copying::Out)?;
        if piece.is_empty() {
            return Err(Copying::In(broken_off()));
        }
        let end = documents.advance(piece, |part| out.write_all(part).map_err(Stop::Out));
        let end = end.map_err(|stop| match stop {
            Stop::Malformed(malformed) => Copying::In(misunderstood(&malformed.to_string())),
            Stop::Out(err) => Copying::Out(err),
        })?;
        let used = end.unwrap_or(piece.len());
        stream.consume(used);
        done.set(documents.count(), documents.bytes());
        if end.is_some() {
            return Ok(());
        }
    }
}

/// The archive that is being written.
struct Zip<W> {
    archive: ZipArchiveWriter<Counted<W>>,
    time: SystemTime,
}

impl<W: Write> Zip<W> {
    fn file(&mut self, path: &str, content: &[u8]) -> io::Result<Part> {
        self.stream(path, |out| out.write_all(content))
    }

    fn stream(
        &mut self,
        path: &str,
        content: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> io::Result<Part> {
        let since = self.time.duration_since(SystemTime::UNIX_EPOCH);
        let seconds = since.map_or(0, |it| it.as_secs());
        let time = UtcDateTime::from_unix(seconds.try_into().unwrap_or_default());
        let file = self.archive.new_file(path).last_modified(time);
        let file = file.compression_method(CompressionMethod::DEFLATE);
        let (mut entry, config) = file
            .unix_permissions(0o600)
            .start()
            .map_err(io::Error::other)?;
        let (part, descriptor) = {
            let encoder = DeflateEncoder::new(&mut entry, Compression::new(LEVEL));
            let mut hashed = Hashed {
                out: config.wrap(encoder),
                sha256: Sha256::new(),
                bytes: 0,
            };
            content(&mut hashed)?;
            let part = Part {
                path: path.to_owned(),
                bytes: hashed.bytes,
                sha256: hex::encode(hashed.sha256.finalize()),
            };
            let (encoder, descriptor) = hashed.out.finish().map_err(io::Error::other)?;
            encoder.finish()?;
            (part, descriptor)
        };
        entry.finish(descriptor).map_err(io::Error::other)?;
        Ok(part)
    }

    /// The archive's size.
    fn finish(self) -> io::Result<u64> {
        let mut counted = self.archive.finish().map_err(io::Error::other)?;
        counted.flush()?;
        Ok(counted.bytes)
    }
}

/// What is written is part of a digest.
struct Hashed<W> {
    out: W,
    sha256: Sha256,
    bytes: u64,
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        let written = self.out.write(piece)?;
        self.sha256.update(&piece[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

struct Counted<W> {
    out: W,
    bytes: u64,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        let written = self.out.write(piece)?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl Source {
    pub(crate) fn unwritable(&self, err: &io::Error) -> Error {
        let target = &self.target;
        let next = match err.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                "make room there, or name a file on another disk"
            }
            io::ErrorKind::BrokenPipe => "whoever reads it has to read to the end",
            _ => "name a file that can be written",
        };
        Error::failed(format!("can't write {target}: {err}"), next)
    }
}

/// The next line, as JSON.
fn line<T: DeserializeOwned>(stream: &mut impl BufRead) -> Result<T> {
    let mut line = Vec::new();
    let limit = LONGEST_LINE as u64;
    let read = stream.by_ref().take(limit).read_until(b'\n', &mut line);
    read.map_err(|err| misunderstood(&err.to_string()))?;
    if line.last() != Some(&b'\n') && line.len() < LONGEST_LINE {
        return Err(broken_off());
    }
    serde_json::from_slice(&line).map_err(|err| {
        let said = crate::output::text::printable(&line[..line.len().min(200)]);
        misunderstood(&format!("{err} in {said:?}"))
    })
}

fn broken_off() -> Error {
    Error::failed(
        "the dump ended before the last document",
        "run the backup again",
    )
}

fn misunderstood(why: &str) -> Error {
    Error::failed(
        format!("what the dump writes isn't what was expected: {why}"),
        "see that the stack and deploy are of one version: `deploy up` brings up this checkout's",
    )
}
