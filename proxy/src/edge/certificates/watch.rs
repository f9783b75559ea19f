//! Directories of certificates, looked at all the time.
//!
//! A pair is read when it looks the same at two looks, so that one that is being replaced, file by
//! file, isn't read in between. What can't be used changes nothing: the certificate before stays, and
//! the log says why, once.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::time::sleep;
use tracing::{info, warn};

use super::{
    Certificates, PairState, Table,
    pair::{Certificate, Files, Stamp, seconds},
};

/// Pause between two looks.
const INTERVAL: Duration = Duration::from_millis(500);
/// Pause between two warnings of the same certificate's end.
const REMINDER: Duration = Duration::from_secs(24 * 60 * 60);

/// Keeps certificates up to date.
#[derive(Debug)]
pub(crate) struct Watch {
    certificates: Arc<Certificates>,
    directories: Vec<Directory>,
    /// When a certificate next ceases to be valid, which changes who is preferred.
    next_end: Option<i64>,
}

#[derive(Debug)]
struct Directory {
    path: PathBuf,
    /// By name.
    pairs: BTreeMap<String, Pair>,
    /// Why it can't be read, as the log says.
    error: Option<String>,
}

#[derive(Debug)]
struct Pair {
    files: Files,
    /// What the files looked like at the last look.
    seen: Stamp,
    /// What they looked like when they were read.
    read: Option<Stamp>,
    certificate: Option<Arc<Certificate>>,
    /// Whether the certificate is what the files hold.
    usable: bool,
    /// Whether the files were there at the last look.
    there: bool,
    reminded: Option<SystemTime>,
}

impl Watch {
    pub(super) fn new(certificates: Arc<Certificates>, directories: &[PathBuf]) -> Self {
        let directories = directories.iter().map(|path| Directory {
            path: path.clone(),
            pairs: BTreeMap::new(),
            error: None,
        });
        Self {
            certificates,
            directories: directories.collect(),
            next_end: None,
        }
    }

    /// Looks until dropped.
    pub(crate) async fn run(mut self) {
        loop {
            sleep(INTERVAL).await;
            self.look();
        }
    }

    /// Reads what is new.
    pub(super) fn look(&mut self) {
        let now = SystemTime::now();
        let mut changed = false;
        for (place, directory) in self.directories.iter_mut().enumerate() {
            changed |= directory.look(place);
            for (name, pair) in &mut directory.pairs {
                pair.remind(name, now);
            }
        }
        let now_seconds = seconds(now);
        if changed || self.next_end.is_some_and(|end| end < now_seconds) {
            self.publish(now, now_seconds);
        }
    }

    fn publish(&mut self, now: SystemTime, now_seconds: i64) {
        let (mut all, mut states) = (Vec::new(), Vec::new());
        for directory in &self.directories {
            for (name, pair) in &directory.pairs {
                states.push(PairState {
                    directory: directory.path.display().to_string(),
                    name: name.clone(),
                    usable: pair.usable,
                    not_after: pair.certificate.as_ref().map(|it| it.not_after),
                });
                all.extend(pair.certificate.clone());
            }
        }
        let ends = all.iter().map(|certificate| certificate.not_after);
        self.next_end = ends.filter(|end| *end >= now_seconds).min();
        if all.is_empty() && !self.certificates.is_empty() {
            warn!("no certificate is left: TLS handshakes are refused");
        }
        let table = Table::new(all, states, now);
        self.certificates.0.store(Arc::new(table));
    }
}

impl Directory {
    /// Whether anything is new.
    fn look(&mut self, place: usize) -> bool {
        let found = match names(&self.path) {
            Ok(found) => {
                self.error = None;
                found
            }
            Err(error) => {
                let error = error.to_string();
                if self.error.as_ref() != Some(&error) {
                    warn!(directory = %self.path.display(), error, "directory of certificates can't be read");
                    self.error = Some(error);
                }
                return false;
            }
        };
        let mut changed = false;
        for (name, path) in &found {
            if let Some(pair) = self.pairs.get_mut(name) {
                changed |= pair.look(place);
                continue;
            }
            let files = Files::of(path);
            // One without a key is somebody's authority.
            if files.key.exists() {
                let mut pair = Pair::new(files);
                pair.read(place);
                self.pairs.insert(name.clone(), pair);
                changed = true;
            }
        }
        let before = self.pairs.len();
        self.pairs.retain(|name, pair| {
            let there = found.contains_key(name);
            // One that is missing may be on its way.
            let keep = there || pair.there;
            if !keep {
                warn!(certificate = %pair.files.certificate.display(), "certificate is gone");
            }
            pair.there = there;
            keep
        });
        changed || self.pairs.len() != before
    }
}

/// The certificates in a directory, by name.
fn names(directory: &Path) -> io::Result<BTreeMap<String, PathBuf>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "crt")
            && let Some(name) = path.file_stem().and_then(|name| name.to_str())
        {
            found.insert(name.to_owned(), path);
        }
    }
    Ok(found)
}

impl Pair {
    fn new(files: Files) -> Self {
        Self {
            seen: files.stamp(),
            files,
            read: None,
            certificate: None,
            usable: false,
            there: true,
            reminded: None,
        }
    }

    /// Whether anything is new.
    fn look(&mut self, place: usize) -> bool {
        let stamp = self.files.stamp();
        let at_rest = std::mem::replace(&mut self.seen, stamp) == stamp;
        if !at_rest || self.read == Some(stamp) {
            return false;
        }
        self.read(place);
        true
    }

    fn read(&mut self, place: usize) {
        let certificate = self.files.certificate.display().to_string();
        self.read = Some(self.seen);
        match self.files.read(place) {
            Ok(new) => {
                info!(
                    certificate,
                    names = new.names.join(","),
                    not_after = new.end(),
                    "certificate"
                );
                self.certificate = Some(Arc::new(new));
                self.usable = true;
                self.reminded = None;
            }
            Err(error) => {
                let before = if self.certificate.is_some() {
                    "the one before stays in use"
                } else {
                    "there was none before"
                };
                warn!(certificate, error, "certificate can't be used: {before}");
                self.usable = false;
            }
        }
        if self.files.key_is_open() {
            warn!(key = %self.files.key.display(), "key can be read by everybody on the machine");
        }
    }

    /// Warns of the certificate's end, once a day.
    fn remind(&mut self, name: &str, now: SystemTime) {
        let Some(certificate) = &self.certificate else {
            return;
        };
        let lately = |reminded: SystemTime| {
            now.duration_since(reminded)
                .is_ok_and(|since| since < REMINDER)
        };
        if !certificate.ends_soon(now) || self.reminded.is_some_and(lately) {
            return;
        }
        self.reminded = Some(now);
        let not_after = certificate.end();
        if certificate.has_expired(now) {
            warn!(certificate = name, not_after, "certificate has expired");
        } else {
            warn!(certificate = name, not_after, "certificate expires soon");
        }
    }
}
