//! The directory: an account there, and what its refusals mean.

use std::time::Duration;

use instant_acme::{
    Account, CertificateIdentifier, Error, ExternalAccountKey, NewAccount, Problem, SuggestedWindow,
};
use tracing::info;

use super::{
    client::{Client, with_sources},
    config::AcmeSettings,
    schedule::Proof,
    state::{State, StateError, StoredAccount},
};

/// How often a request is made with another nonce; of three, the library makes each.
const NONCES: u32 = 5;

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub(super) enum OrderError {
    #[error("ACME state {0}")]
    State(#[from] StateError),
    /// The directory can't be asked, or the account isn't good for anything: no name gets one.
    #[error("{0}")]
    Directory(String),
    /// Refused for this name.
    #[error("{0}")]
    Refused(String),
    /// Too much was asked for lately.
    #[error("{0}")]
    RateLimited(String),
    /// The directory didn't find the proof.
    #[error("{0}: {1}")]
    Unproven(Proof, String),
    /// It takes longer; the order stands.
    #[error("{0}")]
    Slow(&'static str),
}

impl OrderError {
    /// Whether other names would fare no better.
    pub(super) fn concerns_all(&self) -> bool {
        matches!(self, Self::State(_) | Self::Directory(_))
    }

    /// Whether the order it is about is over.
    pub(super) fn is_final(&self) -> bool {
        matches!(self, Self::Refused(_) | Self::Unproven(..))
    }
}

impl From<Error> for OrderError {
    fn from(error: Error) -> Self {
        let Error::Api(problem) = error else {
            return Self::Directory(with_sources(&error));
        };
        let text = describe(&problem);
        match kind(&problem) {
            "rateLimited" => Self::RateLimited(text),
            "accountDoesNotExist"
            | "externalAccountRequired"
            | "serverInternal"
            | "userActionRequired"
            | "badNonce" => Self::Directory(text),
            _ if problem.status.is_some_and(|status| status >= 500) => Self::Directory(text),
            _ => Self::Refused(text),
        }
    }
}

pub(super) fn kind(problem: &Problem) -> &str {
    let kind = problem.r#type.as_deref().unwrap_or_default();
    kind.strip_prefix("urn:ietf:params:acme:error:")
        .unwrap_or(kind)
}

pub(super) fn describe(problem: &Problem) -> String {
    let text = problem.to_string();
    text.strip_prefix("API error: ").unwrap_or(&text).to_owned()
}

/// The directory, with an account there.
pub(super) struct Session<'s> {
    pub(super) settings: &'s AcmeSettings,
    pub(super) state: &'s State,
    pub(super) client: &'s Client,
    pub(super) account: Account,
}

impl<'s> Session<'s> {
    /// With the account of the state, or a new one.
    pub(super) async fn open(
        settings: &'s AcmeSettings,
        state: &'s State,
        client: &'s Client,
    ) -> Result<Self, OrderError> {
        let builder = || Account::builder_with_http(Box::new(client.clone()));
        let contact: Vec<&str> = settings.contact.iter().map(String::as_str).collect();
        let directory = &settings.directory;
        let account = if let Some(stored) = state.account(directory)? {
            let account = builder().from_credentials(stored.credentials).await?;
            if stored.contact != settings.contact {
                insist(async || account.update_contacts(&contact).await).await?;
                if let Some(stored) = state.account(directory)? {
                    let contact = settings.contact.clone();
                    state.save_account(&StoredAccount { contact, ..stored })?;
                }
            }
            account
        } else {
            let external = settings.external_account.as_ref();
            let external = external.and_then(|account| {
                let key = account.mac_key()?;
                Some(ExternalAccountKey::new(account.key_id.clone(), &key))
            });
            let account = NewAccount {
                contact: &contact,
                terms_of_service_agreed: true,
                only_return_existing: false,
            };
            let created = insist(async || {
                let directory = directory.clone();
                builder()
                    .create(&account, directory, external.as_ref())
                    .await
            });
            // Refused as an account, nobody gets anything.
            let (account, credentials) = created.await.map_err(|error| match error.into() {
                OrderError::Refused(text) => OrderError::Directory(format!("account: {text}")),
                error => error,
            })?;
            info!(account = account.id(), directory, "ACME account opened");
            state.save_account(&StoredAccount {
                directory: directory.clone(),
                contact: settings.contact.clone(),
                credentials,
            })?;
            account
        };
        Ok(Self {
            settings,
            state,
            client,
            account,
        })
    }

    /// When the directory would have a certificate renewed, and how soon it wants to be asked again;
    /// `None` where it has no opinion.
    pub(super) async fn suggestion(
        &self,
        certificate: &CertificateIdentifier<'_>,
    ) -> Result<Option<(SuggestedWindow, Duration)>, OrderError> {
        match self.account.renewal_info(certificate).await {
            Ok((info, again)) => Ok(Some((info.suggested_window, again))),
            Err(Error::Unsupported(_) | Error::Api(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// Makes a request again whose nonce was no good: nothing has come of it.
pub(super) async fn insist<T>(
    mut request: impl AsyncFnMut() -> Result<T, Error>,
) -> Result<T, Error> {
    let mut nonces = 1;
    loop {
        match request().await {
            Err(Error::Api(problem)) if kind(&problem) == "badNonce" && nonces < NONCES => {
                nonces += 1;
            }
            done => return done,
        }
    }
}
