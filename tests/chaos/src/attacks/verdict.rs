//! What an attack did, held against what is promised.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::Attack;
use super::peak::Peak;
use super::process::Seen;
use crate::audit::Findings;
use crate::ledger::Entry;
use crate::load;
use crate::memory::Levels;
use crate::verdict::{optional_seconds, otherwise, seconds};

/// A container's peak stays below this share of its limit, in per cent.
pub(crate) const SHARE: u64 = 80;
/// Of a hundred requests of the bystander, 99 are answered within this.
pub(crate) const P99: Duration = Duration::from_secs(1);
/// After the attack's end the first write is answered 200 within this.
pub(crate) const FIRST_WRITE: Duration = Duration::from_secs(2);
/// How far above the idle level memory may stay.
pub(crate) const TOLERANCE: u64 = 32 << 20;
/// How long memory may take to fall, and the first write is tried.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Services whose memory clients could fill. The database keeps what it has read and written in its
/// cache on purpose.
const JUDGED: [&str; 3] = ["listener", "proxy", "api"];

/// One line of the report.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Verdict {
    /// The attack.
    pub(crate) attack: &'static str,
    /// From its beginning to its end.
    #[serde(serialize_with = "seconds")]
    pub(crate) lasted: Duration,
    /// What the attackers saw.
    pub(crate) seen: Seen,
    /// The containers.
    pub(crate) peaks: Vec<Peak>,
    /// What the bystander saw meanwhile.
    pub(crate) bystander: Bystander,
    /// What the database says of the bystander's requests.
    pub(crate) findings: Findings,
    /// From the end until a write was answered 200; `None`: none was.
    #[serde(serialize_with = "optional_seconds")]
    pub(crate) first_write: Option<Duration>,
    /// Bytes by container, after.
    pub(crate) memory_after: Levels,
    /// From the end until memory had fallen; `None`: it hadn't.
    #[serde(serialize_with = "optional_seconds")]
    pub(crate) fell: Option<Duration>,
    /// Promises that were broken; empty: none.
    pub(crate) broken: Vec<String>,
}

/// Another client, beside the attack.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Bystander {
    /// Requests sent.
    pub(crate) sent: usize,
    /// Those that weren't answered 200, by how they ended.
    pub(crate) otherwise: BTreeMap<String, usize>,
    /// The shortest time within which 99 of 100 ended.
    #[serde(serialize_with = "seconds")]
    pub p99: Duration,
    /// The longest wait.
    #[serde(serialize_with = "seconds")]
    pub(crate) longest: Duration,
}

/// What a round knows, before it is judged.
#[derive(Debug)]
pub(crate) struct Evidence {
    /// From the attack's beginning to its end.
    pub(crate) lasted: Duration,
    /// What the attackers saw.
    pub(crate) seen: Seen,
    /// The containers.
    pub(crate) peaks: Vec<Peak>,
    /// What the bystander sent meanwhile.
    pub(crate) beside: Vec<Entry>,
    /// The database's side, compared.
    pub(crate) findings: Findings,
    /// Until the first write was answered 200.
    pub(crate) first_write: Option<Duration>,
    /// Bytes by container, after.
    pub(crate) memory_after: Levels,
    /// Until memory had fallen.
    pub(crate) fell: Option<Duration>,
    /// Containers that aren't as they should be after all.
    pub(crate) unwell: Vec<String>,
}

impl Bystander {
    fn of(entries: &[Entry]) -> Self {
        let mut waits: Vec<Duration> = entries.iter().map(wait).collect();
        waits.sort_unstable();
        let rank = (waits.len() * 99).div_ceil(100).saturating_sub(1);
        Self {
            sent: entries.len(),
            otherwise: otherwise(entries),
            p99: waits.get(rank).copied().unwrap_or_default(),
            longest: waits.last().copied().unwrap_or_default(),
        }
    }
}

/// How long a request took to end; one that is open still has waited longest.
fn wait(entry: &Entry) -> Duration {
    let end = entry.end.as_ref().map(|(end, _)| *end);
    end.map_or(load::TIMEOUT, |end| end.saturating_sub(entry.sent))
}

impl Verdict {
    /// Judges the evidence.
    pub(crate) fn of(attack: &'static Attack, evidence: Evidence) -> Self {
        let bystander = Bystander::of(&evidence.beside);
        let broken = broken(attack, &evidence, &bystander);
        Self {
            attack: attack.name,
            lasted: evidence.lasted,
            seen: evidence.seen,
            peaks: evidence.peaks,
            bystander,
            findings: evidence.findings,
            first_write: evidence.first_write,
            memory_after: evidence.memory_after,
            fell: evidence.fell,
            broken,
        }
    }
}

/// Containers that use more than they should when nobody asks for anything.
pub(crate) fn excess(idle: &Levels, now: &Levels) -> Vec<String> {
    now.iter()
        .filter_map(|(name, now)| {
            let idle = idle.get(name)?;
            let judged = JUDGED
                .iter()
                .any(|service| name.contains(&format!("-{service}-")));
            (judged && *now > idle + TOLERANCE)
                .then(|| format!("{name} {} MiB, idle {} MiB", now >> 20, idle >> 20))
        })
        .collect()
}

fn broken(attack: &Attack, evidence: &Evidence, bystander: &Bystander) -> Vec<String> {
    let mut broken = Vec::new();
    if evidence.seen.lacking > 0 {
        broken.push(format!(
            "not the attack that it should be: {} connections lacked a port, a descriptor or memory \
             on the attackers' side",
            evidence.seen.lacking
        ));
    }
    if evidence.seen.opened < attack.clients() {
        broken.push(format!(
            "not the attack that it should be: {} of {} connections were opened",
            evidence.seen.opened,
            attack.clients()
        ));
    }
    for peak in &evidence.peaks {
        if let Some(how) = &peak.killed {
            broken.push(format!("{} was killed ({how})", peak.container));
        }
        if JUDGED.contains(&peak.service.as_str()) && peak.share() >= SHARE {
            broken.push(format!(
                "{} used {} MiB, {} % of what it may",
                peak.container,
                peak.bytes >> 20,
                peak.share()
            ));
        }
    }
    if attack.spares_bystander {
        let failed: usize = bystander.otherwise.values().sum();
        if failed > 0 {
            broken.push(format!(
                "{failed} of {} requests of the bystander failed",
                bystander.sent
            ));
        }
        if bystander.p99 >= P99 {
            broken.push(format!(
                "the bystander's p99 was {:.1} s",
                bystander.p99.as_secs_f64()
            ));
        }
        if bystander.sent == 0 {
            broken.push("there was no bystander".to_owned());
        }
    }
    for (what, promise) in [
        (&evidence.findings.lost, "acknowledged and lost"),
        (&evidence.findings.duplicated, "stored more than once"),
        (&evidence.findings.altered, "not stored as sent and said"),
    ] {
        if let Some(first) = what.first() {
            broken.push(format!("{} {promise} (such as {first})", what.len()));
        }
    }
    match evidence.first_write {
        None => broken.push(format!(
            "no write was answered 200 within {} s of the end",
            PATIENCE.as_secs()
        )),
        Some(time) if time >= FIRST_WRITE => broken.push(format!(
            "the first write was answered 200 only after {:.1} s",
            time.as_secs_f64()
        )),
        Some(_) => {}
    }
    if evidence.fell.is_none() {
        broken.push("memory stays up".to_owned());
    }
    broken.extend(evidence.unwell.iter().cloned());
    broken
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::Outcome;
    use crate::load::request::{Kind, Request};

    fn entry(took: Option<u64>, outcome: Outcome) -> Entry {
        Entry {
            request: Request::over_tcp("t", Kind::Post, 0),
            sent: Duration::from_secs(1),
            end: took.map(|ms| (Duration::from_millis(1_000 + ms), outcome)),
        }
    }

    const OK: Outcome = Outcome::Acknowledged(None);

    fn well(attack: &Attack) -> Evidence {
        let peak = |service: &str, mib: u64| Peak {
            container: format!("x-{service}-1"),
            service: service.to_owned(),
            bytes: mib << 20,
            limit: 256 << 20,
            killed: None,
        };
        Evidence {
            lasted: Duration::from_secs(20),
            seen: Seen {
                opened: attack.clients(),
                ..Seen::default()
            },
            peaks: vec![peak("proxy", 100), peak("mongo", 250)],
            beside: vec![entry(Some(20), OK); 100],
            findings: Findings::default(),
            first_write: Some(Duration::from_millis(40)),
            memory_after: Levels::new(),
            fell: Some(Duration::ZERO),
            unwell: Vec::new(),
        }
    }

    /// How many promises an attack broke whose evidence was otherwise well.
    fn breaks(name: &str, change: impl FnOnce(&mut Evidence)) -> usize {
        let attack = Attack::named(name).unwrap();
        let mut evidence = well(attack);
        change(&mut evidence);
        Verdict::of(attack, evidence).broken.len()
    }

    #[test]
    fn each_promise_can_be_broken() {
        assert_eq!(breaks("heads", |_| {}), 0);
        assert_eq!(breaks("heads", |it| it.seen.lacking = 1), 1);
        assert_eq!(breaks("heads", |it| it.seen.opened -= 1), 1);
        let killed = |it: &mut Evidence| it.peaks[1].killed = Some("ended".to_owned());
        assert_eq!(breaks("heads", killed), 1);
        assert_eq!(breaks("heads", |it| it.peaks[0].bytes = 205 << 20), 1);
        let slow = |it: &mut Evidence| it.beside[..2].fill(entry(Some(1_000), OK));
        assert_eq!(breaks("heads", slow), 1);
        let failed = |it: &mut Evidence| it.beside[0] = entry(Some(9), Outcome::Refused(503));
        assert_eq!(breaks("heads", failed), 1);
        assert_eq!(breaks("heads", |it| it.beside.clear()), 1);
        let lost = |it: &mut Evidence| it.findings.lost.push("a".to_owned());
        assert_eq!(breaks("heads", lost), 1);
        assert_eq!(breaks("heads", |it| it.first_write = None), 1);
        assert_eq!(breaks("heads", |it| it.first_write = Some(FIRST_WRITE)), 1);
        assert_eq!(breaks("heads", |it| it.fell = None), 1);
        assert_eq!(breaks("heads", |it| it.unwell.push("x".to_owned())), 1);
    }

    #[test]
    fn in_a_rush_the_bystander_is_one_of_many_but_the_first_write_afterwards_counts() {
        let failed = |it: &mut Evidence| it.beside.fill(entry(Some(9_000), Outcome::Refused(503)));
        assert_eq!(breaks("rush-hello", failed), 0);
        assert_eq!(breaks("rush-hello", |it| it.first_write = None), 1);
    }

    #[test]
    fn of_a_hundred_requests_one_may_take_long() {
        let mut entries = vec![entry(Some(20), OK); 100];
        entries[7] = entry(None, OK);
        let one = Bystander::of(&entries);
        assert_eq!(one.p99, Duration::from_millis(20));
        assert_eq!(one.longest, load::TIMEOUT);
        entries[8] = entry(None, OK);
        assert_eq!(Bystander::of(&entries).p99, load::TIMEOUT);
    }

    #[test]
    fn memory_is_judged_where_clients_could_fill_it() {
        let levels = |api: u64, mongo: u64| {
            Levels::from([
                ("x-api-1".to_owned(), api << 20),
                ("x-mongo-1".to_owned(), mongo << 20),
            ])
        };
        let idle = levels(16, 300);
        assert!(excess(&idle, &levels(48, 900)).is_empty());
        assert_eq!(excess(&idle, &levels(49, 300)).len(), 1);
    }
}
