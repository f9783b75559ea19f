//! One order: from the account to the certificate (RFC 8555 §7.4).
//!
//! An order that was begun is finished, by this process or by the next, unless the directory says that
//! nothing will come of it.

use std::{
    fmt,
    time::{Duration, SystemTime},
};

use instant_acme::{
    AuthorizationHandle, AuthorizationStatus, Authorizations, CertificateIdentifier,
    ChallengeStatus, ChallengeType, Error, Identifier, KeyAuthorization, NewOrder, Order,
    OrderStatus,
};
use rcgen::{CertificateParams, DistinguishedName, KeyPair};
use tokio::time::{Instant, sleep};
use tracing::info;

use super::{
    certificate::{self, Issued},
    challenges,
    directory::{OrderError, Session, describe, insist, kind},
    schedule::{Attempts, Proof},
    state::StoredOrder,
};

/// Longest wait for the directory to look at a proof, or to make a certificate.
const PATIENCE: Duration = Duration::from_secs(120);
const PAUSE: Duration = Duration::from_millis(250);
const MAX_PAUSE: Duration = Duration::from_secs(10);

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http => "http-01",
            Self::TlsAlpn => "tls-alpn-01",
        })
    }
}

impl Proof {
    const fn challenge(self) -> ChallengeType {
        match self {
            Self::Http => ChallengeType::Http01,
            Self::TlsAlpn => ChallengeType::TlsAlpn01,
        }
    }

    const fn other(self) -> Self {
        match self {
            Self::Http => Self::TlsAlpn,
            Self::TlsAlpn => Self::Http,
        }
    }
}

/// Which proofs to offer in the next attempt: both in the first, and then one at a time, since
/// directories limit how often a name may fail.
fn proofs(attempts: &Attempts, tls: bool) -> Vec<Proof> {
    if !tls {
        return vec![Proof::Http];
    }
    let first = attempts.proof.unwrap_or(Proof::Http);
    match attempts.failures {
        0 => vec![first, first.other()],
        odd if odd % 2 == 1 => vec![first],
        _ => vec![first.other()],
    }
}

/// An order and the key of its certificate.
struct Begun {
    order: Order,
    key: KeyPair,
    stored: StoredOrder,
}

impl Session<'_> {
    /// Gets a certificate for `name` and puts it into use; tells what proved the name to be ours, if
    /// that was asked. The order is over once the caller forgets it.
    pub(super) async fn obtain(
        &self,
        name: &str,
        attempts: &Attempts,
        replaces: Option<&CertificateIdentifier<'static>>,
    ) -> Result<Option<Proof>, OrderError> {
        let mut proofs = proofs(attempts, self.settings.tls);
        let mut refusals = Vec::new();
        loop {
            let begun = match self.resume(name).await? {
                Some(begun) => begun,
                None => self.begin(name, replaces).await?,
            };
            let error = match self.complete(name, begun, &proofs).await {
                Ok(proof) => return Ok(proof),
                Err(error) => error,
            };
            if error.is_final() {
                self.state.forget_order(name)?;
            }
            let OrderError::Unproven(proof, _) = error else {
                return Err(error);
            };
            refusals.push(error.to_string());
            proofs.retain(|left| *left != proof);
            if proofs.is_empty() {
                return Err(OrderError::Refused(refusals.join("; ")));
            }
        }
    }

    /// The order that a process before this one, or an attempt, has left behind.
    async fn resume(&self, name: &str) -> Result<Option<Begun>, OrderError> {
        let Some(stored) = self.state.order(name) else {
            return Ok(None);
        };
        let key = KeyPair::from_pem(&stored.key);
        if let (Ok(key), Some(url)) = (key, stored.url.clone())
            && stored.directory == self.settings.directory
        {
            match insist(async || self.account.order(url.clone()).await).await {
                Ok(mut order) => {
                    if order.state().status != OrderStatus::Invalid {
                        info!(name, order = url, "ACME order goes on");
                        return Ok(Some(Begun { order, key, stored }));
                    }
                }
                // It isn't known any more, for one.
                Err(Error::Api(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.state.forget_order(name)?;
        Ok(None)
    }

    /// Makes a new order. That it will be remembered is made sure of before.
    async fn begin(
        &self,
        name: &str,
        replaces: Option<&CertificateIdentifier<'static>>,
    ) -> Result<Begun, OrderError> {
        let key = KeyPair::generate().map_err(|error| OrderError::Directory(error.to_string()))?;
        let mut stored = StoredOrder {
            directory: self.settings.directory.clone(),
            url: None,
            key: key.serialize_pem(),
            chain: None,
        };
        self.state.save_order(name, &stored)?;
        let names = [Identifier::Dns(name.to_owned())];
        let order = async |replaces: Option<&CertificateIdentifier<'static>>| {
            let mut order = NewOrder::new(&names);
            if let Some(certificate) = replaces {
                order = order.replaces(certificate.clone());
            }
            insist(async || self.account.new_order(&order).await).await
        };
        let made = match order(replaces).await {
            // Whether it replaces one is the directory's business: it has replaced it already, doesn't
            // know it any more, or nothing of the kind.
            Err(error) if replaces.is_some() && !is_about_us(&error) => order(None).await,
            made => made,
        };
        let order = match made {
            Err(Error::Api(problem)) if kind(&problem) == "accountDoesNotExist" => {
                self.state.forget_account(&self.settings.directory)?;
                let text = describe(&problem);
                return Err(OrderError::Directory(format!(
                    "{text}: a new account is opened with the next attempt"
                )));
            }
            made => made?,
        };
        stored.url = Some(order.url().to_owned());
        self.state.save_order(name, &stored)?;
        Ok(Begun { order, key, stored })
    }

    async fn complete(
        &self,
        name: &str,
        mut begun: Begun,
        proofs: &[Proof],
    ) -> Result<Option<Proof>, OrderError> {
        let order = &mut begun.order;
        let mut proof = None;
        if order.state().status == OrderStatus::Pending {
            proof = self.prove(name, order, proofs).await?;
        }
        let mut patience = Patience::new("the directory takes long over the certificate");
        loop {
            match insist(async || order.refresh().await.map(|state| state.status)).await? {
                OrderStatus::Valid => break,
                OrderStatus::Ready => {
                    let csr = signing_request(name, &begun.key);
                    let csr = csr.map_err(|error| OrderError::Refused(error.to_string()))?;
                    insist(async || order.finalize_csr(&csr).await).await?;
                }
                OrderStatus::Pending | OrderStatus::Processing => {}
                OrderStatus::Invalid => {
                    let problem = order.state().error.as_ref().map(describe);
                    let problem = problem.unwrap_or_else(|| "the order is invalid".to_owned());
                    return Err(OrderError::Refused(problem));
                }
            }
            patience.wait(self.client.retry_after()).await?;
        }
        let chain = insist(async || order.certificate().await).await?;
        let chain = chain.ok_or(OrderError::Slow("the certificate isn't there yet"))?;
        let mut stored = begun.stored;
        let usable = certificate::fits(&chain, &stored.key, name)
            .and_then(|()| Issued::read(chain.as_bytes()).map(drop));
        usable
            .map_err(|why| OrderError::Refused(format!("the certificate is of no use: {why}")))?;
        stored.chain = Some(chain);
        self.state.save_order(name, &stored)?;
        self.state.install(name, &stored)?;
        Ok(proof)
    }

    /// Proves the name to be ours, unless the directory knows.
    async fn prove(
        &self,
        name: &str,
        order: &mut Order,
        proofs: &[Proof],
    ) -> Result<Option<Proof>, OrderError> {
        let Some(task) = choose(order, proofs).await? else {
            return Ok(None);
        };
        let (proof, key, root) = (task.proof, &task.key, self.state.root());
        match proof {
            Proof::Http => challenges::publish_http(root, &task.token, key.as_str())?,
            Proof::TlsAlpn => challenges::publish_tls(root, name, key.digest().as_ref())?,
        }
        if task.status == ChallengeStatus::Pending {
            let asked = insist(async || {
                let mut authorizations = order.authorizations();
                let mut authorization = only(&mut authorizations).await?;
                let challenge = authorization.challenge(proof.challenge());
                challenge.ok_or(Error::Str("challenge"))?.set_ready().await
            });
            asked.await.map_err(|error| match error.into() {
                OrderError::Refused(text) => OrderError::Unproven(proof, text),
                error => error,
            })?;
        }
        let mut patience = Patience::new("the directory takes long to look at the proof");
        loop {
            patience.wait(self.client.retry_after()).await?;
            let looked = insist(async || {
                let mut authorizations = order.authorizations();
                let mut authorization = only(&mut authorizations).await?;
                let state = authorization.refresh().await?;
                let mut errors = state.challenges.iter().filter_map(|c| c.error.as_ref());
                Ok((state.status, errors.next().map(describe)))
            });
            match looked.await? {
                (AuthorizationStatus::Pending, _) => {}
                (AuthorizationStatus::Valid, _) => return Ok(Some(proof)),
                (status, error) => {
                    let error = error.unwrap_or_else(|| format!("the authorization is {status:?}"));
                    return Err(OrderError::Unproven(proof, error));
                }
            }
        }
    }
}

/// What a directory is to find.
struct Task {
    proof: Proof,
    token: String,
    key: KeyAuthorization,
    status: ChallengeStatus,
}

/// The first of these proofs that the directory takes; `None` if it needs none.
async fn choose(order: &mut Order, proofs: &[Proof]) -> Result<Option<Task>, OrderError> {
    insist(async || only(&mut order.authorizations()).await.map(drop)).await?;
    // From here on, it is at hand.
    let mut authorizations = order.authorizations();
    let mut authorization = only(&mut authorizations).await?;
    match authorization.status {
        AuthorizationStatus::Pending => {}
        AuthorizationStatus::Valid => return Ok(None),
        status => {
            let text = format!("the authorization is {status:?}");
            return Err(OrderError::Refused(text));
        }
    }
    let offered: Vec<_> = authorization.challenges.iter().map(|c| &c.r#type).collect();
    let proof = proofs
        .iter()
        .find(|proof| offered.contains(&&proof.challenge()));
    let proof = *proof.ok_or_else(|| {
        OrderError::Refused(format!(
            "of the proofs, the directory takes {offered:?} only"
        ))
    })?;
    let challenge = authorization.challenge(proof.challenge());
    let challenge = challenge.ok_or(Error::Str("challenge"))?;
    Ok(Some(Task {
        proof,
        token: challenge.token.clone(),
        key: challenge.key_authorization(),
        status: challenge.status,
    }))
}

/// The one that an order for one name has.
async fn only<'a>(
    authorizations: &'a mut Authorizations<'_>,
) -> Result<AuthorizationHandle<'a>, Error> {
    let first = authorizations.next().await.transpose()?;
    first.ok_or(Error::Str("the order has no authorization"))
}

/// Whether a new order was refused whatever it asks for.
fn is_about_us(error: &Error) -> bool {
    let Error::Api(problem) = error else {
        return false;
    };
    let kinds = [
        "rateLimited",
        "accountDoesNotExist",
        "unauthorized",
        "badNonce",
    ];
    kinds.contains(&kind(problem))
}

fn signing_request(name: &str, key: &KeyPair) -> Result<Vec<u8>, rcgen::Error> {
    let mut parameters = CertificateParams::new([name.to_owned()])?;
    parameters.distinguished_name = DistinguishedName::new();
    Ok(parameters.serialize_request(key)?.der().to_vec())
}

/// A wait for the directory, in growing steps.
struct Patience {
    what: &'static str,
    pause: Duration,
    end: Instant,
}

impl Patience {
    fn new(what: &'static str) -> Self {
        Self {
            what,
            pause: PAUSE,
            end: Instant::now() + PATIENCE,
        }
    }

    /// Waits until it is worth asking again; an error once it has taken too long.
    async fn wait(&mut self, retry_after: Option<SystemTime>) -> Result<(), OrderError> {
        if Instant::now() >= self.end {
            return Err(OrderError::Slow(self.what));
        }
        let wanted = retry_after.and_then(|time| time.duration_since(SystemTime::now()).ok());
        sleep(wanted.unwrap_or(self.pause).min(MAX_PAUSE)).await;
        self.pause = self.pause.mul_f64(1.5).min(MAX_PAUSE);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_proofs_are_offered_first_and_then_one_at_a_time() {
        use Proof::{Http, TlsAlpn};
        let after = |failures, proof| {
            let attempts = Attempts {
                proof,
                failures,
                ..Attempts::default()
            };
            proofs(&attempts, true)
        };
        assert_eq!(after(0, None), [Http, TlsAlpn]);
        assert_eq!(after(0, Some(TlsAlpn)), [TlsAlpn, Http]);
        assert_eq!([after(1, None), after(2, None)], [[Http], [TlsAlpn]]);
        assert_eq!(proofs(&Attempts::default(), false), [Http]);
    }
}
