//! Certificates by ACME (RFC 8555): got, renewed and, for the directory's sake, answered for.
//!
//! The proxies of a stack share a directory, the state. The one that has its lock orders, one
//! certificate after the other; what it is asked to prove, any of them answers from files there
//! ([`challenges`]); and all of them serve what it puts into `certificates/`, where the certificate
//! store looks. With its process, the lock goes to another. Whatever goes wrong, the certificates
//! that are there stay.
//!
//! ```text
//! tick ──► schedule: what is due? ──► order: account, order, proof, certificate ──► state
//!                 ▲                                      │
//!                 └──────────── attempts ◄───────────────┘
//! ```

mod certificate;
pub(crate) mod challenges;
mod client;
mod config;
mod directory;
mod order;
pub(crate) mod progress;
mod schedule;
mod state;

use std::{
    fs::File,
    io,
    sync::Arc,
    thread,
    time::{Duration, SystemTime},
};

use humantime::format_rfc3339_seconds;
use instant_acme::SuggestedWindow;
use tokio::{runtime::Builder, time::sleep};
use tracing::{debug, error, info, warn};

pub(crate) use self::config::AcmeSettings;
use self::{
    certificate::Issued,
    client::Client,
    directory::{OrderError, Session},
    progress::{NameProgress, Outcome, Progress},
    schedule::{Attempts, Proof, next_attempt},
    state::{State, StateError},
};
use crate::worker::drain::Drain;

/// How often it is looked whether anything is due: the time of day may jump, and another process end.
const TICK: Duration = Duration::from_secs(2);
/// Bounds of the time after which a directory is asked again when it would have a certificate renewed.
const ASK_AGAIN: [Duration; 2] = [Duration::from_secs(60), Duration::from_secs(24 * 60 * 60)];
/// The same where it has no opinion, or can't be asked.
const ASK_LATER: Duration = Duration::from_secs(6 * 60 * 60);
/// Longest that a directory may have us wait.
const MAX_REFUSAL: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// The orders of this process.
pub(crate) struct Acme {
    settings: AcmeSettings,
    state: State,
    subjects: Vec<Subject>,
    lock: Option<File>,
    /// Why the state can't be used, once that was said.
    broken: Option<String>,
    drain: Arc<Drain>,
    progress: Arc<Progress>,
}

/// A name, and what is known of its certificate.
struct Subject {
    name: String,
    certificate: Option<Issued>,
    /// Whether there is an order that isn't over.
    ordered: bool,
    attempts: Attempts,
    suggestion: Suggestion,
}

/// When the directory would have a certificate renewed.
#[derive(Default)]
struct Suggestion {
    window: Option<SuggestedWindow>,
    /// Chosen from the window.
    moment: Option<SystemTime>,
    /// When to ask again.
    again: Option<SystemTime>,
}

impl Acme {
    /// Orders for these settings, until draining begins.
    pub(crate) fn new(settings: AcmeSettings, drain: Arc<Drain>, progress: Arc<Progress>) -> Self {
        let subject = |name: &String| Subject {
            name: name.clone(),
            certificate: None,
            ordered: false,
            attempts: Attempts::default(),
            suggestion: Suggestion::default(),
        };
        Self {
            state: State::new(&settings.state),
            subjects: settings.names.iter().map(subject).collect(),
            lock: None,
            broken: None,
            settings,
            drain,
            progress,
        }
    }

    /// Sees to the certificates from now on, on a thread of its own: files are written there, and that
    /// they are on the disk is waited for.
    pub(crate) fn start(self) -> io::Result<()> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        thread::Builder::new()
            .name("acme".to_owned())
            .spawn(move || runtime.block_on(self.run()))?;
        Ok(())
    }

    async fn run(mut self) {
        let client = match Client::new(self.settings.directory_ca.as_deref()) {
            Ok(client) => client,
            Err(error) => return error!(%error, "PROXY_ACME_DIRECTORY_CA_FILE can't be used"),
        };
        info!(
            names = self.settings.names.join(","),
            directory = self.settings.directory,
            state = %self.settings.state.display(),
            "certificates by ACME"
        );
        if !self.settings.tls {
            warn!("PROXY_ACME_DOMAINS without PROXY_TLS_LISTEN: nobody will see the certificates");
        }
        // An order that is under way when draining begins may end until the process does; the next
        // process goes on with it.
        while !self.drain.has_started() {
            let looked = match self.look() {
                Ok(true) => self.see_to(&client).await,
                looked => looked.map(drop),
            };
            self.note_state(looked.err());
            sleep(TICK).await;
        }
        self.lock = None;
        self.progress.set_leads(false);
    }

    /// Reads what the state has; tells whether it is for this process to act on it.
    fn look(&mut self) -> Result<bool, StateError> {
        self.state.prepare()?;
        let leads = self.lock.is_some();
        let lock = if leads { None } else { self.state.try_lock()? };
        for subject in &mut self.subjects {
            if !leads {
                subject.attempts = self.state.attempts(&subject.name);
            }
            if lock.is_some() {
                subject.take_over(&self.state, &self.settings.directory)?;
            }
            subject.certificate = self.state.certificate(&subject.name);
            subject.ordered = self.state.order(&subject.name).is_some();
        }
        if lock.is_some() {
            info!("ACME orders are made by this process");
            self.lock = lock;
        }
        self.progress.set_leads(self.lock.is_some());
        self.show();
        Ok(self.lock.is_some())
    }

    /// Does what is due.
    async fn see_to(&mut self, client: &Client) -> Result<(), StateError> {
        let now = SystemTime::now();
        let due: Vec<usize> = (0..self.subjects.len())
            .filter(|index| self.subjects[*index].next_attempt(&self.settings) <= now)
            .collect();
        let curious = self
            .subjects
            .iter()
            .any(|subject| subject.is_to_be_asked_about(now));
        if !due.is_empty() || curious {
            let (settings, state) = (self.settings.clone(), self.state.clone());
            match Session::open(&settings, &state, client).await {
                Ok(session) => {
                    self.order(&session, client, &due).await?;
                    self.ask(&session).await;
                }
                Err(error) => {
                    self.ask_later(now);
                    self.failed(&due, &error, client)?;
                }
            }
        }
        challenges::clear(self.state.root())?;
        self.state.prune(&self.settings.names, now)
    }

    /// Gets a certificate for each of these that are due.
    async fn order(
        &mut self,
        session: &Session<'_>,
        client: &Client,
        due: &[usize],
    ) -> Result<(), StateError> {
        for (done, index) in due.iter().enumerate() {
            if self.drain.has_started() {
                break;
            }
            let Subject {
                name,
                certificate,
                attempts,
                ..
            } = &self.subjects[*index];
            let replaces = certificate.as_ref().and_then(|known| known.id.as_ref());
            match session.obtain(name, attempts, replaces).await {
                Ok(proof) => self.succeeded(*index, proof)?,
                Err(error) if error.concerns_all() => {
                    return self.failed(&due[done..], &error, client);
                }
                Err(error) => self.failed(&[*index], &error, client)?,
            }
        }
        Ok(())
    }

    fn succeeded(&mut self, index: usize, proof: Option<Proof>) -> Result<(), StateError> {
        let subject = &mut self.subjects[index];
        subject.suggestion = Suggestion::default();
        subject.installed(&self.state, &self.settings.directory, proof)?;
        info!(
            name = subject.name,
            proof = proof.map(tracing::field::display),
            expires = subject.expires(),
            "certificate obtained"
        );
        self.progress.count(Outcome::Issued);
        self.show();
        Ok(())
    }

    /// Notes that an attempt for each of these has failed, and when the next one is.
    fn failed(
        &mut self,
        indices: &[usize],
        error: &OrderError,
        client: &Client,
    ) -> Result<(), StateError> {
        let now = SystemTime::now();
        let refused_until = match error {
            OrderError::State(_) => None,
            _ => client.retry_after().map(|time| time.min(now + MAX_REFUSAL)),
        };
        let outcome = match error {
            OrderError::RateLimited(_) => Outcome::RateLimited,
            _ => Outcome::Failed,
        };
        let text = error.to_string();
        for index in indices {
            let subject = &mut self.subjects[*index];
            let lifetime = subject.certificate.as_ref().map(Issued::lifetime);
            let (directory, error) = (&self.settings.directory, text.clone());
            let attempts = &mut subject.attempts;
            attempts.failed(
                directory,
                error,
                refused_until,
                lifetime,
                rand::random(),
                now,
            );
            warn!(
                name = subject.name,
                failures = subject.attempts.failures,
                next_attempt = %format_rfc3339_seconds(subject.next_attempt(&self.settings)),
                expires = subject.expires(),
                error = text,
                "certificate not obtained"
            );
            self.progress.count(outcome);
        }
        indices.iter().try_for_each(|index| self.remember(*index))
    }

    /// Writes down what became of the attempts, which this process knows in any case.
    fn remember(&self, index: usize) -> Result<(), StateError> {
        self.show();
        let Subject { name, attempts, .. } = &self.subjects[index];
        self.state.save_attempts(name, attempts)
    }

    /// Asks when the directory would have certificates renewed (RFC 9773).
    async fn ask(&mut self, session: &Session<'_>) {
        for subject in &mut self.subjects {
            let now = SystemTime::now();
            let id = subject
                .certificate
                .as_ref()
                .and_then(|known| known.id.as_ref());
            let Some(id) = id.filter(|_| subject.is_to_be_asked_about(now)) else {
                continue;
            };
            match session.suggestion(id).await {
                Ok(Some((window, again))) => {
                    let [soonest, latest] = ASK_AGAIN;
                    subject.suggestion.again = now.checked_add(again.clamp(soonest, latest));
                    subject.suggestion.take(window);
                }
                Ok(None) => subject.suggestion.again = now.checked_add(ASK_LATER),
                Err(error) => {
                    debug!(name = subject.name, %error, "no renewal information");
                    return self.ask_later(now);
                }
            }
        }
        self.show();
    }

    fn ask_later(&mut self, now: SystemTime) {
        for subject in &mut self.subjects {
            if subject.is_to_be_asked_about(now) {
                subject.suggestion.again = now.checked_add(ASK_LATER);
            }
        }
    }

    /// Says once what is wrong with the state, and once that it is right again.
    fn note_state(&mut self, error: Option<StateError>) {
        let error = error.map(|error| error.to_string());
        match &error {
            Some(error) if self.broken.as_ref() != Some(error) => {
                error!(
                    error,
                    "ACME state can't be used: no certificate is got or renewed"
                );
            }
            None if self.broken.is_some() => info!("ACME state can be used again"),
            _ => {}
        }
        self.broken = error;
        if self.broken.is_some() {
            self.show();
        }
    }

    fn show(&self) {
        let shown = self.subjects.iter().map(|subject| NameProgress {
            name: subject.name.clone(),
            failures: subject.attempts.failures.max(self.broken.is_some().into()),
            next_attempt: subject.next_attempt(&self.settings),
        });
        self.progress.set_names(shown.collect());
    }
}

impl Subject {
    /// Begins where another process has ended, which may have put half of a certificate in place.
    fn take_over(&mut self, state: &State, directory: &str) -> Result<(), StateError> {
        if let Some(order) = state
            .order(&self.name)
            .filter(|order| order.chain.is_some())
        {
            state.install(&self.name, &order)?;
            self.installed(state, &order.directory, None)?;
        }
        self.attempts.resumed(directory);
        Ok(())
    }

    /// Notes that the certificate of an order is in place, with which the order is over.
    fn installed(
        &mut self,
        state: &State,
        directory: &str,
        proof: Option<Proof>,
    ) -> Result<(), StateError> {
        self.certificate = state.certificate(&self.name);
        self.ordered = false;
        let lifetime = self.certificate.as_ref().map(Issued::lifetime);
        let (lifetime, now) = (lifetime.unwrap_or_default(), SystemTime::now());
        self.attempts.succeeded(directory, proof, lifetime, now);
        state.save_attempts(&self.name, &self.attempts)?;
        state.forget_order(&self.name)
    }

    fn next_attempt(&self, settings: &AcmeSettings) -> SystemTime {
        let certificate = self.certificate.as_ref().filter(|_| !self.ordered);
        let (attempts, directory) = (&self.attempts, &settings.directory);
        next_attempt(certificate, self.suggestion.moment, attempts, directory)
    }

    fn is_to_be_asked_about(&self, now: SystemTime) -> bool {
        let known = self
            .certificate
            .as_ref()
            .is_some_and(|known| known.id.is_some());
        known && self.suggestion.again.is_none_or(|again| again <= now)
    }

    /// For the log.
    fn expires(&self) -> Option<String> {
        let certificate = self.certificate.as_ref()?;
        Some(format_rfc3339_seconds(certificate.not_after).to_string())
    }
}

impl Suggestion {
    /// The same window keeps the moment that was chosen from it.
    fn take(&mut self, window: SuggestedWindow) {
        let known = self.window.as_ref();
        if known.is_none_or(|known| (known.start, known.end) != (window.start, window.end)) {
            self.moment = Some(schedule::choose(&window, rand::random()));
            self.window = Some(window);
        }
    }
}
