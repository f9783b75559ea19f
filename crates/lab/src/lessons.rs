//! The lessons, one file each: fixed text, what to make and look at, and for each
//! question a function from the evidence to the answer and its checks.

mod default_bridge;
mod dns;
#[cfg(test)]
mod fixtures;
mod host;
mod hostname;
mod ipam;
mod none;
mod overlay;
mod publish;
mod self_check;
mod user_defined_bridge;

use engine::error::{Error, Result};

use super::lesson::Lesson;

/// Every lesson, in the order in which they are best read.
pub const ALL: [Lesson; 10] = [
    self_check::LESSON,
    default_bridge::LESSON,
    user_defined_bridge::LESSON,
    host::LESSON,
    none::LESSON,
    overlay::LESSON,
    publish::LESSON,
    dns::LESSON,
    hostname::LESSON,
    ipam::LESSON,
];

/// The lessons of these names, in their usual order; all of them where no name is given.
///
/// # Errors
/// A name that no lesson has; the names there are follow as advice.
pub fn named(names: &[String]) -> Result<Vec<Lesson>> {
    let unknown: Vec<&str> = names
        .iter()
        .map(String::as_str)
        .filter(|name| ALL.iter().all(|lesson| lesson.name != *name))
        .collect();
    if !unknown.is_empty() {
        let known: Vec<&str> = ALL.iter().map(|lesson| lesson.name).collect();
        return Err(Error::usage(
            format!("no such lesson: {}", unknown.join(", ")),
            format!("choose among {}", known.join(", ")),
        ));
    }
    let wanted = |lesson: &Lesson| names.is_empty() || names.iter().any(|name| name == lesson.name);
    Ok(ALL.into_iter().filter(wanted).collect())
}

/// What every lesson uses.
mod prelude {
    pub(super) use crate::bench::{Bench, NetworkSetup, Setup};
    pub(super) use crate::lesson::{Lesson, Step};
    pub(super) use crate::needs::{DEFAULT_BRIDGE, Need};
    pub(super) use crate::{show, view};
    pub(super) use engine::error::Result;
    pub(super) use netcheck::probe::report::Report;
    pub(super) use netcheck::probe::request::{Request, Resource, Target};

    /// Evidence from the Engine API.
    pub(super) const ENGINE: &str = "the engine";
    /// Evidence from the network namespace of the engine's host.
    pub(super) const HOST: &str = "the host";
    /// Where Docker's embedded DNS server listens inside a sandbox.
    pub(super) const EMBEDDED_DNS: &str = "127.0.0.11";
    /// The port that a lesson's servers listen on.
    pub(super) const PORT: u16 = 8000;

    /// Evidence from inside a container's sandbox.
    pub(super) fn inside_of(name: &str) -> String {
        format!("inside {name}")
    }

    /// A [`PORT`] at a name or an address.
    pub(super) fn target(host: &str) -> Target {
        Target {
            host: host.to_owned(),
            port: PORT,
        }
    }

    /// A request to resolve names.
    pub(super) fn resolving(names: &[&str]) -> Request {
        let resolve = names.iter().map(|&name| name.to_owned()).collect();
        Request {
            resolve,
            ..Request::default()
        }
    }

    /// A request to reach hosts, by name or address, by TCP at [`PORT`].
    pub(super) fn connecting<H: ToString>(hosts: &[H]) -> Request {
        let connect = hosts.iter().map(|host| target(&host.to_string())).collect();
        Request {
            connect,
            ..Request::default()
        }
    }

    /// A request to send ICMP echo requests.
    pub(super) fn pinging<H: ToString>(hosts: &[H]) -> Request {
        let ping = hosts.iter().map(ToString::to_string).collect();
        Request {
            ping,
            ..Request::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::error::Exit;

    #[test]
    fn names_are_unique_and_selectable() {
        for lesson in ALL {
            let found = named(&[lesson.name.to_owned()]).unwrap();
            assert_eq!(found.len(), 1);
            assert_eq!(found[0].name, lesson.name);
        }
        assert_eq!(named(&[]).unwrap().len(), ALL.len());
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_known_ones() {
        let error = named(&["dns".to_owned(), "dsn".to_owned()]).unwrap_err();
        assert_eq!(error.exit, Exit::Usage);
        assert!(error.message.ends_with(": dsn"));
        assert!(ALL.iter().all(|lesson| error.next.contains(lesson.name)));
    }
}
