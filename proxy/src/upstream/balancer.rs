//! Which backend gets a request: the one with the fewest requests outstanding, and of several such
//! one that is no farther away than another ([`distance`](super::distance)).
//!
//! Least outstanding needs no weights and no measurements: a backend that is slow, or has just
//! come back, gets what it can cope with. The count is shared by all workers.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use super::{Backend, Upstream};

/// A request's claim on a backend; counts as outstanding until dropped.
#[derive(Debug)]
pub(crate) struct Lease(Arc<Backend>);

impl Lease {
    fn new(backend: Arc<Backend>) -> Self {
        backend.outstanding.fetch_add(1, Relaxed);
        Self(backend)
    }

    pub(crate) fn backend(&self) -> &Arc<Backend> {
        &self.0
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.0.outstanding.fetch_sub(1, Relaxed);
    }
}

/// Where the next search starts, so that ties go round.
static TURN: AtomicUsize = AtomicUsize::new(0);

impl Upstream {
    /// Claims a backend that isn't among `unreachable`.
    ///
    /// Ejected and `suspect` ones are taken when there is no other: a certain 502 helps nobody, and
    /// the attempt may succeed.
    pub(crate) fn choose(
        &self,
        unreachable: &[Arc<Backend>],
        suspect: &[Arc<Backend>],
    ) -> Option<Lease> {
        let backends = self.backends.load();
        if let [only] = backends.as_slice() {
            let usable = !contains(unreachable, only);
            return usable.then(|| Lease::new(Arc::clone(only)));
        }
        let turn = TURN.fetch_add(1, Relaxed) % backends.len().max(1);
        let (before, after) = backends.split_at(turn);
        after
            .iter()
            .chain(before)
            .filter(|candidate| !contains(unreachable, candidate))
            .min_by_key(|backend| {
                let (ejected, suspected) = (backend.is_ejected(), contains(suspect, backend));
                (ejected, suspected, backend.outstanding(), backend.is_far())
            })
            .map(|backend| Lease::new(Arc::clone(backend)))
    }
}

fn contains(backends: &[Arc<Backend>], wanted: &Arc<Backend>) -> bool {
    backends.iter().any(|backend| Arc::ptr_eq(backend, wanted))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::{settings::Settings, upstream::name_service::AddressFamily};

    fn set(upstream: &Upstream, family: AddressFamily, addresses: &[&str]) {
        let addresses: Vec<_> = addresses.iter().map(|text| text.parse().unwrap()).collect();
        upstream.set_addresses(family, &addresses);
    }

    fn upstream(addresses: &[&str]) -> Upstream {
        let upstream = Upstream::new(&Settings::load(None, []).unwrap());
        set(&upstream, AddressFamily::V4, addresses);
        upstream
    }

    #[test]
    fn requests_in_flight_spread_evenly() {
        let upstream = upstream(&["127.0.0.1", "127.0.0.2"]);
        set(&upstream, AddressFamily::V6, &["::1"]);
        let leases: Vec<_> = (0..30)
            .map(|_| upstream.choose(&[], &[]).unwrap())
            .collect();
        assert!(
            upstream
                .backends()
                .iter()
                .all(|backend| backend.outstanding() == 10)
        );
        drop(leases);
        assert!(
            upstream
                .backends()
                .iter()
                .all(|backend| backend.outstanding() == 0)
        );
    }

    #[test]
    fn ties_go_round() {
        let upstream = upstream(&["127.0.0.1", "127.0.0.2"]);
        let mut counts = HashMap::new();
        for _ in 0..10 {
            let lease = upstream.choose(&[], &[]).unwrap();
            *counts.entry(lease.backend().address).or_insert(0) += 1;
        }
        assert!(counts.values().all(|count| *count == 5), "{counts:?}");
    }

    #[test]
    fn ejected_backends_are_the_last_resort() {
        let upstream = upstream(&["127.0.0.1", "127.0.0.2"]);
        let backends = upstream.backends();
        backends[0].connect_failed(&"refused");
        let leases: Vec<_> = (0..4).map(|_| upstream.choose(&[], &[]).unwrap()).collect();
        assert!(
            leases
                .iter()
                .all(|lease| Arc::ptr_eq(lease.backend(), &backends[1]))
        );
        let last = upstream.choose(&[Arc::clone(&backends[1])], &[]).unwrap();
        assert!(Arc::ptr_eq(last.backend(), &backends[0]));
        assert!(upstream.choose(&backends, &[]).is_none());
        backends[0].connected();
        let next = upstream.choose(&[], &[]).unwrap();
        assert!(Arc::ptr_eq(next.backend(), &backends[0]));
    }

    #[test]
    fn the_nearer_one_of_those_that_are_as_idle_goes_first() {
        let upstream = upstream(&["127.0.0.1", "127.0.0.2", "127.0.0.3"]);
        let backends = upstream.backends();
        for (backend, round_trip) in backends.iter().zip([400, 40, 400]) {
            (0..3).for_each(|_| backend.distance.note(round_trip));
        }
        upstream.compare_distances();
        let is_near = |lease: &Lease| Arc::ptr_eq(lease.backend(), &backends[1]);
        assert!((0..6).all(|_| is_near(&upstream.choose(&[], &[]).unwrap())));
        // The load is shared all the same.
        let leases: Vec<_> = (0..9).map(|_| upstream.choose(&[], &[]).unwrap()).collect();
        assert!(is_near(&leases[0]) && !is_near(&leases[1]));
        assert!(backends.iter().all(|backend| backend.outstanding() == 3));
        drop(leases);
        // Without it, the others are as far away as each other.
        set(&upstream, AddressFamily::V4, &["127.0.0.1", "127.0.0.3"]);
        let leases: Vec<_> = (0..4).map(|_| upstream.choose(&[], &[]).unwrap()).collect();
        assert!(leases.iter().all(|it| !it.backend().is_far()));
        let left = upstream.backends();
        assert!(left.iter().all(|backend| backend.outstanding() == 2));
    }

    #[test]
    fn suspects_are_taken_for_lack_of_others() {
        let upstream = upstream(&["127.0.0.1", "127.0.0.2"]);
        let backends = upstream.backends();
        let suspect = [Arc::clone(&backends[0])];
        let leases: Vec<_> = (0..4)
            .map(|_| upstream.choose(&[], &suspect).unwrap())
            .collect();
        assert!(
            leases
                .iter()
                .all(|lease| Arc::ptr_eq(lease.backend(), &backends[1]))
        );
        let last = upstream.choose(&[Arc::clone(&backends[1])], &suspect);
        assert!(Arc::ptr_eq(last.unwrap().backend(), &backends[0]));
    }

    #[test]
    fn backends_keep_their_state_when_others_come_and_go() {
        let upstream = upstream(&["127.0.0.1", "127.0.0.2"]);
        let before = upstream.backends();
        before[0].connect_failed(&"refused");
        set(&upstream, AddressFamily::V6, &["::1"]);
        set(&upstream, AddressFamily::V4, &["127.0.0.1", "127.0.0.3"]);
        let after = upstream.backends();
        let kept = after.iter().find(|backend| backend.is_ejected());
        assert!(Arc::ptr_eq(&before[0], kept.unwrap()) && after.len() == 3);
        assert!(before[1].is_retired() && !before[0].is_retired());
        set(&upstream, AddressFamily::V6, &[]);
        assert!(
            upstream
                .backends()
                .iter()
                .all(|backend| backend.address.is_ipv4())
        );
        set(&upstream, AddressFamily::V4, &[]);
        assert!(upstream.choose(&[], &[]).is_none() && !upstream.is_available());
    }
}
