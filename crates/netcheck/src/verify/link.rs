//! What is tried between two ends: what is expected of it, and what was seen.

use std::fmt;
use std::net::IpAddr;

use serde::{Serialize, Serializer};
use terminal::text::escape;

use crate::probe::report::{Answer, Attempt, Reach};

/// One end of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum End {
    /// The engine's host.
    Host,
    /// A container, by its position in `Topology::sandboxes`.
    Sandbox(usize),
    /// What lies behind the host: its default gateway and name servers.
    Outside,
}

/// How a target is tried.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(tag = "by", rename_all = "lowercase")]
pub(super) enum By {
    /// The name resolves to the target; for what is outside, a name server there answers.
    Name {
        /// The service's name or an alias, or one of the outside.
        name: String,
    },
    /// A TCP port takes a connection.
    Tcp {
        /// A name or an address.
        host: String,
        /// The port.
        port: u16,
    },
    /// An ICMP echo request is answered.
    Ping {
        /// The address.
        host: String,
    },
}

/// One thing that the file implies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Expectation {
    /// Where it is tried from.
    pub(super) from: End,
    /// What is tried.
    pub(super) to: End,
    /// How.
    pub(super) by: By,
    /// Whether it must be possible, or must not.
    pub(super) open: bool,
    /// What it rests on.
    pub(super) basis: Basis,
}

/// What an expectation rests on, which decides how an answer is understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Basis {
    /// The file decides it.
    File,
    /// The file doesn't declare the port, so it may be one that this service doesn't use: a refusal
    /// proves the way as well.
    Undeclared,
    /// The file leaves it to the engine: where it is open, that is no failure, it remains.
    Engine,
    /// Neither the source nor the host has a route to the target. Nothing is asked: what answers at
    /// that address is somebody out there.
    NoRoute,
}

impl Expectation {
    /// What the file decides.
    pub(super) fn new((from, to): (End, End), by: By, open: bool) -> Self {
        Self {
            from,
            to,
            by,
            open,
            basis: Basis::File,
        }
    }
}

/// How the engine's host is called.
pub(super) const HOST: &str = "host";
/// How everything behind the host is called.
pub(super) const OUTSIDE: &str = "outside";

/// The comparison's result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Verdict {
    /// As expected.
    Pass,
    /// Not as expected.
    Fail,
    /// Open, and the file doesn't close it: told, and no failure.
    Remains,
    /// It couldn't be seen.
    Unjudged,
}

/// What was seen of one expectation; in the document, and for people, a word or two.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Seen {
    /// Nobody could look from there.
    NotLookedAt,
    /// The question wasn't among those of the look.
    NotAsked,
    /// It isn't there for the host itself, so it proves nothing.
    SilentToHost,
    /// The kernel can't ask.
    Impossible(String),
    /// There is no route, so nothing was asked.
    NoRoute,
    /// The name, or that of a port's host, came to this.
    Answer(Answer),
    /// A name server out there answered so.
    Told(Answer),
    /// The name led to these addresses.
    Addresses {
        /// All of them.
        all: Vec<IpAddr>,
        /// The first that no container of the stack has, where that matters.
        stranger: Option<IpAddr>,
    },
    /// The name has no address.
    NoAddress,
    /// A try ended so, with the error's words where its kind doesn't tell.
    Tried(Reach, Option<String>),
    /// There was nothing to try.
    Nothing,
}

impl Seen {
    /// How a try ended.
    pub(super) fn of(attempt: &Attempt) -> Self {
        let told = matches!(
            attempt.reach,
            Reach::Reached | Reach::Refused | Reach::Timeout
        );
        Self::Tried(attempt.reach, attempt.error.clone().filter(|_| !told))
    }

    /// Whether an answer may only have come too late.
    fn is_late(&self) -> bool {
        matches!(
            self,
            Self::Tried(Reach::Timeout, _) | Self::Answer(Answer::Timeout)
        )
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotLookedAt => f.write_str("not looked at"),
            Self::NotAsked => f.write_str("not asked"),
            Self::SilentToHost => f.write_str("doesn't answer the host itself"),
            Self::Impossible(why) => write!(f, "isn't possible: {why}"),
            Self::NoRoute => f.write_str("no route"),
            Self::Answer(answer) => f.write_str(answer.as_str()),
            Self::Told(answer) => write!(f, "answered ({})", answer.as_str()),
            Self::Addresses { all, stranger } => {
                let all: Vec<String> = all.iter().map(IpAddr::to_string).collect();
                f.write_str(&all.join(" "))?;
                match stranger {
                    Some(stranger) => {
                        write!(f, ", of which {stranger} is no container of the stack")
                    }
                    None => Ok(()),
                }
            }
            Self::NoAddress => f.write_str("no address"),
            Self::Tried(reach, None) => f.write_str(reach.as_str()),
            Self::Tried(reach, Some(error)) => write!(f, "{} ({})", reach.as_str(), escape(error)),
            Self::Nothing => Ok(()),
        }
    }
}

impl Serialize for Seen {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// One expectation, and what was seen.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Link {
    /// Where it was tried from.
    pub(super) from: String,
    /// What was tried.
    pub(super) to: String,
    /// How.
    #[serde(flatten)]
    pub(super) by: By,
    /// Whether the file implies that it is possible.
    pub(super) open: bool,
    /// What was seen.
    pub(super) seen: Seen,
    /// Whether they agree.
    pub(super) verdict: Verdict,
    #[serde(skip)]
    pub(super) ends: (End, End),
    /// Under which heading it is counted: on a Swarm, one for all of a service's tasks.
    #[serde(skip)]
    pub(super) column: String,
}

impl Link {
    /// Whether it may have been a passing state: a busy machine that answers late; or a way that is
    /// open although it shouldn't be, because the engine takes the jump to its isolation rules out
    /// and puts it back in whenever a network is created somewhere.
    pub(super) fn deserves_a_second_look(&self) -> bool {
        self.verdict == Verdict::Fail && (!self.open || self.seen.is_late())
    }
}
