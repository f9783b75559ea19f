//! Following the upstream's name.
//!
//! A look-up begins at every interval, and at once when a connection failed or no backend is
//! known, whatever has become of those before it: one that gets no answer holds up none. IPv4 and
//! IPv6 are looked up and kept apart: a family keeps the addresses that it has until it is told
//! others, or that there are none. A failure tells nothing; that the name doesn't exist (NXDOMAIN)
//! has to be said repeatedly. Nothing is cached: behind Docker's embedded DNS an address is right
//! until it changes, whatever its TTL says.

use std::{cell::RefCell, io, net::IpAddr, sync::Arc, thread, time::Duration};

use hickory_resolver::{net::NetError, proto::rr::Name};
use tokio::{
    runtime::Builder,
    task::JoinSet,
    time::{Instant, sleep_until, timeout, timeout_at},
};
use tracing::{info, warn};

use super::{
    Upstream,
    name::Host,
    name_service::{AddressFamily, Answer, SystemFiles},
    resolutions::Outcome,
};

/// NXDOMAIN answers in a row until the known addresses are let go. A name can vanish for a moment
/// while its only container is replaced.
const NOT_FOUND_GRACE: u32 = 3;
/// Least time between two look-ups, however many requests ask for one.
const MIN_INTERVAL: Duration = Duration::from_millis(100);
/// Most look-ups of one family that wait for an answer. Each may have six sockets open: two servers
/// are asked at a time, three times; and each asks again after `timeout`, so that there is always one
/// that has just asked.
const MAX_LOOK_UPS: usize = 4;
/// Longest wait for the first answer.
const FIRST_WAIT: Duration = Duration::from_secs(1);

/// Follows the upstream's name from now on, on a thread of its own, if it is a name.
pub(crate) fn start(upstream: &Arc<Upstream>, interval: Duration) -> io::Result<()> {
    let Host::Name(name) = upstream.name.host.clone() else {
        return Ok(());
    };
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let upstream = Arc::clone(upstream);
    thread::Builder::new()
        .name("resolver".to_owned())
        .spawn(move || {
            runtime.block_on(async {
                let files = RefCell::new(SystemFiles::read());
                let [v4, v6] = AddressFamily::ALL
                    .map(|family| follow(&upstream, &name, family, &files, interval));
                tokio::join!(v4, v6);
            });
        })?;
    Ok(())
}

/// Waits, after [`start`], for the first backends: where the proxy replaces another on the same
/// address, nobody should get a 503 from it only because it hasn't looked the name up yet.
///
/// A name that doesn't exist isn't waited for, and one that nobody can tell anything about no longer
/// than [`FIRST_WAIT`].
pub(crate) async fn first_answer(upstream: &Upstream) {
    let Host::Name(_) = upstream.name.host else {
        return;
    };
    let resolutions = &upstream.resolutions;
    let answered = async {
        // Every look-up began after this.
        let mut asked = *resolutions.wanted.borrow();
        loop {
            resolutions.ended_since(asked).await;
            if !upstream.backends().is_empty() || resolutions.nothing_there() {
                return;
            }
            asked = resolutions.ask();
        }
    };
    // What came of it, requests will show.
    let _ = timeout(FIRST_WAIT, answered).await;
}

/// Looks the name up in one family until dropped.
async fn follow(
    upstream: &Upstream,
    name: &Name,
    family: AddressFamily,
    files: &RefCell<SystemFiles>,
    interval: Duration,
) {
    let mut known = Known::new(family);
    let mut wanted = upstream.resolutions.wanted.subscribe();
    let mut service = files.borrow_mut().refresh();
    let mut look_ups = JoinSet::new();
    loop {
        let begun = Instant::now();
        let current = files.borrow_mut().refresh();
        if !Arc::ptr_eq(&current, &service) {
            look_ups.abort_all();
            service = current;
        }
        if look_ups.len() < MAX_LOOK_UPS {
            let (service, name) = (Arc::clone(&service), name.clone());
            look_ups.spawn(async move { (begun, service.look_up(&name, family).await) });
        }
        let next = async {
            sleep_until(begun + MIN_INTERVAL).await;
            let asked = wanted.wait_for(|asked| *asked > begun);
            let _ = timeout_at(begun + interval, asked).await;
        };
        tokio::pin!(next);
        loop {
            tokio::select! {
                () = &mut next => break,
                // An error is a look-up that was given up.
                Some(ended) = look_ups.join_next() => if let Ok((begun, answer)) = ended {
                    known.take(upstream, begun, &answer);
                }
            }
        }
    }
}

/// What one family has been told.
#[derive(Debug)]
struct Known {
    family: AddressFamily,
    /// When the look-up began that was answered last.
    answered: Option<Instant>,
    /// What came of the last look-up; it is logged when that changes.
    last: Option<Outcome>,
    /// NXDOMAIN answers since it was told anything else.
    not_found: u32,
}

impl Known {
    const fn new(family: AddressFamily) -> Self {
        Self {
            family,
            answered: None,
            last: None,
            not_found: 0,
        }
    }

    fn take(&mut self, upstream: &Upstream, begun: Instant, answer: &Result<Answer, NetError>) {
        if self.answered.is_some_and(|answered| begun < answered) {
            // A later one was quicker.
            return;
        }
        let (outcome, told): (_, Option<&[IpAddr]>) = match answer {
            Ok(Answer::Addresses(addresses)) => (Outcome::Resolved, Some(addresses)),
            Ok(Answer::NoAddress) => (Outcome::NoAddress, Some(&[])),
            Ok(Answer::NotFound) => {
                let believed = self.not_found + 1 >= NOT_FOUND_GRACE;
                (Outcome::NotFound, believed.then_some(&[]))
            }
            Err(_) => (Outcome::Failed, None),
        };
        self.log(upstream, outcome, answer.as_ref().err());
        if outcome != Outcome::Failed {
            self.answered = Some(begun);
        }
        match told {
            Some(addresses) => {
                self.not_found = 0;
                upstream.set_addresses(self.family, addresses);
            }
            None => self.not_found += u32::from(outcome == Outcome::NotFound),
        }
        upstream.resolutions.end(self.family, begun, outcome);
    }

    fn log(&mut self, upstream: &Upstream, outcome: Outcome, error: Option<&NetError>) {
        let before = self.last.replace(outcome);
        if before == Some(outcome) {
            return;
        }
        let (upstream, family) = (&upstream.name, self.family.label());
        match (outcome, error) {
            (Outcome::Failed, Some(error)) => {
                warn!(%upstream, family, %error, "upstream can't be resolved");
            }
            (Outcome::NotFound, _) => warn!(%upstream, family, "upstream's name doesn't exist"),
            (Outcome::NoAddress, _) => {
                info!(%upstream, family, "upstream has no address of this family");
            }
            _ if before.is_some() => info!(%upstream, family, "upstream can be resolved again"),
            _ => {}
        }
    }
}
