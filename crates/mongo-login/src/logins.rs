//! Which of several passwords MongoDB accepts.
//!
//! A password is replaced without a gap by giving a service both, the new one first: whichever is
//! accepted is used, and once it is refused, because the password has been changed meanwhile, the
//! next. The driver's client keeps its password for life, so there is a client for each. Connections
//! that are authenticated stay so; it is only new ones that can be refused.

use std::sync::atomic::{AtomicUsize, Ordering};

use mongodb::error::{Error, ErrorKind, Result};

use crate::settings::MongoSettings;
use crate::uri::MongoUri;

/// A login (a client, and what is made of it) for each password, and which of them is in use.
#[derive(Debug)]
pub struct Logins<L> {
    all: Vec<L>,
    current: AtomicUsize,
    /// Whom we log in as, and where that user is kept.
    whom: String,
    /// The key that names the file of the passwords.
    password_key: String,
}

impl<L> Logins<L> {
    /// `all` has a login for each of [`MongoSettings::uris`], in that order: at least one.
    pub fn new(settings: &MongoSettings, all: Vec<L>) -> Self {
        Self {
            all,
            current: AtomicUsize::new(0),
            whom: settings
                .uris()
                .first()
                .map(MongoUri::whom)
                .unwrap_or_default(),
            password_key: settings.password_key.clone(),
        }
    }

    /// Runs `operation` with the password in use and, where MongoDB refuses that, with the others:
    /// once with each. An operation whose connection was refused has never been sent, so trying it
    /// again can't do anything twice.
    ///
    /// Never drop this half way: while it waits for a connection, the driver (3.9) keeps its place in
    /// the queue of those who wait, and passes over one such place at a time, every half a second
    /// where nothing else happens. Spawn it, and have it run to its end.
    pub async fn run<'a, T, F>(&'a self, operation: impl Fn(&'a L) -> F) -> Result<T>
    where
        F: IntoFuture<Output = Result<T>>,
    {
        for _ in 1..self.all.len() {
            let used = self.current.load(Ordering::Relaxed);
            match operation(&self.all[used]).await {
                Err(error) if self.switch_from(used, &error) => {}
                result => return result,
            }
        }
        operation(&self.all[self.current.load(Ordering::Relaxed)]).await
    }

    /// Whether there is another password to try after this error of the one that was `used`.
    fn switch_from(&self, used: usize, error: &Error) -> bool {
        match *error.kind {
            ErrorKind::Authentication { .. } => {
                let next = (used + 1) % self.all.len();
                // Of all the operations that are refused at once, one switches.
                let switched =
                    self.current
                        .compare_exchange(used, next, Ordering::Relaxed, Ordering::Relaxed);
                if switched.is_ok() {
                    tracing::info!(
                        refused = used + 1,
                        next = next + 1,
                        of = self.all.len(),
                        "MongoDB refuses a password: trying the next line of {}",
                        self.password_key
                    );
                }
                true
            }
            // It waited for a connection when another operation was refused one. By the time that
            // the driver gives up on it, that other one has switched.
            ErrorKind::ConnectionPoolCleared { .. } => self.current.load(Ordering::Relaxed) != used,
            _ => false,
        }
    }

    /// What to say of an error that [`Self::run`] ended with.
    pub fn describe(&self, error: &Error) -> String {
        match *error.kind {
            ErrorKind::Authentication { .. } => {
                let passwords = match self.all.len() {
                    1 => "authentication failed".to_owned(),
                    several => format!(
                        "none of the {several} passwords in {} is accepted",
                        self.password_key
                    ),
                };
                format!("{passwords} for {}: {}", self.whom, error.kind)
            }
            _ => error.to_string(),
        }
    }
}
