//! The directory that all proxies of a stack share. Only the one that holds the lock writes; whatever
//! it writes is there whole or not at all, and for nobody else to read.
//!
//! ```text
//! lock                          held by the proxy that orders, and given up with its process
//! accounts/DIRECTORY.json       the account, with its key, at each directory
//! orders/NAME.json              an order that isn't over, and what there is of its certificate
//! attempts/NAME.json            what became of the attempts to get a certificate
//! challenges/…                  proofs that are asked for now
//! certificates/NAME.crt .key    the certificates
//! ```

use std::{
    fmt,
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    time::SystemTime,
};

use instant_acme::AccountCredentials;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use thiserror::Error;

use super::{certificate::Issued, challenges, schedule::Attempts};

#[derive(Debug, Clone)]
pub(super) struct State {
    root: PathBuf,
}

/// A file or directory that can't be used.
#[derive(Debug, Error)]
pub(super) struct StateError {
    path: PathBuf,
    error: io::Error,
}

impl StateError {
    pub(super) fn new(path: PathBuf, error: io::Error) -> Self {
        Self { path, error }
    }
}

impl fmt::Display for StateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.error)?;
        let denied = matches!(
            self.error.kind(),
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem
        );
        if denied {
            let user = fs::metadata("/proc/self").map_or(0, |process| process.uid());
            write!(
                f,
                "; PROXY_ACME_STATE has to be a directory that user {user} can write to"
            )?;
        }
        Ok(())
    }
}

/// An account, as it was opened.
#[derive(Serialize, Deserialize)]
pub(super) struct StoredAccount {
    pub(super) directory: String,
    pub(super) contact: Vec<String>,
    pub(super) credentials: AccountCredentials,
}

/// An order that isn't over.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct StoredOrder {
    pub(super) directory: String,
    /// Where the order is, once it was made.
    pub(super) url: Option<String>,
    /// The key of the certificate to be, in PEM.
    pub(super) key: String,
    /// The certificate, with its chain, once it was made.
    #[serde(default)]
    pub(super) chain: Option<String>,
}

impl State {
    pub(super) fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
        }
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Makes what isn't there yet.
    pub(super) fn prepare(&self) -> Result<(), StateError> {
        let [http, tls] = challenges::directories(&self.root);
        let below = ["accounts", "orders", "attempts", "certificates"];
        let below = below.map(|name| self.root.join(name));
        for path in below.into_iter().chain([http, tls]) {
            let made = DirBuilder::new().recursive(true).mode(0o700).create(&path);
            made.map_err(|error| StateError { path, error })?;
        }
        Ok(())
    }

    /// Takes the lock, unless another process has it; it is held as long as the file is open.
    pub(super) fn try_lock(&self) -> Result<Option<File>, StateError> {
        let path = self.root.join("lock");
        let opened = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&path);
        let locked = opened.and_then(|file| match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        });
        locked.map_err(|error| StateError { path, error })
    }

    pub(super) fn account(&self, directory: &str) -> Result<Option<StoredAccount>, StateError> {
        let path = self.account_file(directory);
        let read = read_json::<StoredAccount>(&path);
        // Two directories may have the same name for a file.
        let account = read.map(|read| read.filter(|account| account.directory == directory));
        account.map_err(|error| StateError { path, error })
    }

    pub(super) fn save_account(&self, account: &StoredAccount) -> Result<(), StateError> {
        save_json(self.account_file(&account.directory), account)
    }

    pub(super) fn forget_account(&self, directory: &str) -> Result<(), StateError> {
        remove(self.account_file(directory))
    }

    fn account_file(&self, directory: &str) -> PathBuf {
        let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
        let name: String = directory
            .trim_start_matches("https://")
            .chars()
            .map(plain)
            .collect();
        let name = &name[..name.len().min(200)];
        self.root.join("accounts").join(format!("{name}.json"))
    }

    /// The order for `name` that isn't over; one that can't be read isn't worth an error.
    pub(super) fn order(&self, name: &str) -> Option<StoredOrder> {
        read_json(&self.file("orders", name)).ok().flatten()
    }

    pub(super) fn save_order(&self, name: &str, order: &StoredOrder) -> Result<(), StateError> {
        save_json(self.file("orders", name), order)
    }

    pub(super) fn forget_order(&self, name: &str) -> Result<(), StateError> {
        remove(self.file("orders", name))
    }

    pub(super) fn attempts(&self, name: &str) -> Attempts {
        let read = read_json(&self.file("attempts", name));
        read.ok().flatten().unwrap_or_default()
    }

    pub(super) fn save_attempts(&self, name: &str, attempts: &Attempts) -> Result<(), StateError> {
        save_json(self.file("attempts", name), attempts)
    }

    fn file(&self, kind: &str, name: &str) -> PathBuf {
        self.root.join(kind).join(format!("{name}.json"))
    }

    /// The certificate of `name`, if there is one.
    pub(super) fn certificate(&self, name: &str) -> Option<Issued> {
        let [certificate, key] = self.pair(name);
        let there = key.exists().then(|| fs::read(certificate))?;
        Issued::read(&there.ok()?).ok()
    }

    /// Puts the certificate of an order into use. The order is there until the caller forgets it: a
    /// process that dies between the two files leaves what it takes to do this again.
    pub(super) fn install(&self, name: &str, order: &StoredOrder) -> Result<(), StateError> {
        let Some(chain) = &order.chain else {
            return Ok(());
        };
        let [certificate, key] = self.pair(name);
        write(key, order.key.as_bytes())?;
        write(certificate, chain.as_bytes())
    }

    /// Removes what has expired of names that aren't asked for any more.
    pub(super) fn prune(&self, names: &[String], now: SystemTime) -> Result<(), StateError> {
        let path = self.certificates();
        let entries = path
            .read_dir()
            .and_then(Iterator::collect::<io::Result<Vec<_>>>);
        for entry in entries.map_err(|error| StateError { path, error })? {
            let file = entry.file_name();
            let name = file.to_str().and_then(|file| file.strip_suffix(".crt"));
            let Some(name) = name.filter(|name| !names.iter().any(|wanted| wanted == name)) else {
                continue;
            };
            if self
                .certificate(name)
                .is_some_and(|issued| issued.not_after < now)
            {
                self.pair(name).into_iter().try_for_each(remove)?;
            }
        }
        Ok(())
    }

    fn pair(&self, name: &str) -> [PathBuf; 2] {
        ["crt", "key"].map(|kind| self.certificates().join(format!("{name}.{kind}")))
    }

    pub(super) fn certificates(&self) -> PathBuf {
        self.root.join("certificates")
    }
}

fn read_json<T: DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    match fs::read(path) {
        Ok(text) => Ok(Some(serde_json::from_slice(&text)?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn save_json(path: PathBuf, value: &impl Serialize) -> Result<(), StateError> {
    match serde_json::to_vec_pretty(value) {
        Ok(text) => write(path, &text),
        Err(error) => Err(StateError::new(path, error.into())),
    }
}

/// Writes a file so that there is the whole of it or what was there before, even after a crash.
pub(super) fn write(path: PathBuf, content: &[u8]) -> Result<(), StateError> {
    let mut new = path.clone().into_os_string();
    new.push(".new");
    let written = || {
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(true)
            .write(true)
            .mode(0o600)
            .open(&new)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&new, &path)?;
        let directory = path.parent().map(File::open).transpose()?;
        directory.map_or(Ok(()), |directory| directory.sync_all())
    };
    written().map_err(|error| StateError { path, error })
}

fn remove(path: PathBuf) -> Result<(), StateError> {
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(StateError { path, error }),
        _ => Ok(()),
    }
}
