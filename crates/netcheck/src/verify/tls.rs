//! A published port that TLS is spoken at: the handshake, the certificate, and a request.
//!
//! There is no TLS in here, since it would take longer to compile than all the rest. The file names a
//! client (`x-verify`), which runs in a container that can reach the port and speaks JSON.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use compose_file::model::{ServiceName, TlsEntry};
use engine::Engine;
use engine::exec;
use hyper::StatusCode;
use serde::{Deserialize, Serialize};

use super::check::{Check, check};
use super::link::{HOST, Verdict};
use super::ports::metric_names;
use super::request::Silence;
use crate::inspect::model::Sandbox;
use crate::probe::request::Target;

const DAY: u64 = 24 * 60 * 60;
/// When less is left, somebody should know: renewal comes long before.
const SOON: Duration = Duration::from_secs(14 * DAY);

/// An authority answers within this time, or doesn't.
const ORDER: Duration = Duration::from_secs(60);
/// Between two looks for what it answered.
const PAUSE: Duration = Duration::from_secs(2);

/// The client, and what it is to reach.
pub(super) struct Client<'a> {
    pub(super) engine: &'a Engine,
    pub(super) tls: &'a TlsEntry,
    /// Where it runs.
    pub(super) container: &'a Sandbox,
    /// Who has the port.
    pub(super) service: &'a ServiceName,
    /// Where it is published.
    pub(super) target: &'a Target,
}

/// What the client reads.
#[derive(Serialize)]
struct Question<'a> {
    /// Name and port, as other containers reach them.
    address: String,
    /// Whom the certificate has to be for; `None`: whom it says.
    name: Option<&'a str>,
    /// In PEM, trusted beside the public authorities.
    authority: Option<&'a str>,
    /// The field of the request.
    host: String,
    /// Of the request.
    path: &'a str,
}

/// The last line that the client writes.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Reply {
    Answer(Answer),
    /// Why there is none.
    Error {
        error: String,
    },
}

/// What came of a handshake and a request.
#[derive(Debug, Deserialize)]
pub(super) struct Answer {
    /// Such as `TLS 1.3`.
    protocol: String,
    cipher: String,
    /// Whom the certificate is for.
    names: Vec<String>,
    /// Seconds since 1970.
    not_before: u64,
    not_after: u64,
    /// Why the certificate isn't trusted.
    #[serde(default)]
    untrusted: Option<String>,
    status: u16,
    body: String,
}

impl Client<'_> {
    /// A request; and what is to be said of the certificate, with a note where its end is near.
    pub(super) async fn get(
        &self,
        path: &str,
    ) -> (Result<(StatusCode, String), Silence>, Check, Option<String>) {
        let answer = self.ask(None, path).await;
        let (check, note) = self.certificate(None, &answer);
        let answer = answer.and_then(|answer| {
            let status = StatusCode::from_u16(answer.status).ok();
            let status = status.ok_or_else(|| format!("status {}", answer.status))?;
            Ok((status, answer.body))
        });
        (answer, check, note)
    }

    /// The certificate that a client of this name is shown. One that is being got by ACME is waited for.
    pub(super) async fn named(&self, name: &str) -> (Check, Option<String>) {
        let deadline = Instant::now() + ORDER;
        loop {
            let answer = self.ask(Some(name), "/").await;
            let missing = answer.as_ref().is_ok_and(|it| !it.is_for(name));
            if !missing || Instant::now() > deadline {
                return self.certificate(Some(name), &answer);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// No metrics of an admin port come out.
    pub(super) async fn metrics(&self) -> Check {
        let to = format!("{} {}", self.service, self.target);
        let (result, verdict) = match self.ask(None, "/metrics").await {
            Ok(answer) if answer.status == 200 && !metric_names(&answer.body).is_empty() => {
                let cause = format!("{} forwards /metrics to an admin port", self.service);
                (Err(("metrics".to_owned(), cause)), None)
            }
            Ok(answer) => (Ok(answer.status.to_string()), None),
            // Told by the request before.
            Err(_) => (Ok("no answer".to_owned()), Some(Verdict::Unjudged)),
        };
        let mut check = check((HOST, &to, "/metrics"), "no admin port behind it", result);
        check.verdict = verdict.unwrap_or(check.verdict);
        check
    }

    async fn ask(&self, name: Option<&str>, path: &str) -> Result<Answer, Silence> {
        let authority = match self.tls.authority.as_ref().map(fs::read_to_string) {
            None => None,
            Some(Ok(pem)) => Some(pem),
            Some(Err(err)) if err.kind() == ErrorKind::NotFound => None,
            Some(Err(err)) => {
                let file = self.tls.authority.as_deref().unwrap_or("".as_ref());
                return Err(Silence::NotAsked(format!("{}: {err}", file.display())));
            }
        };
        let question = Question {
            address: format!("{}:{}", self.service, self.tls.port),
            name,
            authority: authority.as_deref(),
            host: self.target.to_string(),
            path,
        };
        let not_asked = |why: String| Silence::NotAsked(why);
        let input = serde_json::to_vec(&question).map_err(|err| not_asked(err.to_string()))?;
        let ended = exec::run(self.engine, self.container, &self.tls.command, &input).await;
        let said = ended.map_err(|err| not_asked(err.to_string()))?.said;
        let mut lines = said.lines().rev().map(str::trim);
        let last = lines.find(|line| !line.is_empty()).unwrap_or("nothing");
        match serde_json::from_str(last) {
            Ok(Reply::Answer(answer)) => Ok(answer),
            Ok(Reply::Error { error }) => Err(Silence::Seen(error)),
            Err(_) => Err(not_asked(format!("the client said {last:?}"))),
        }
    }

    fn certificate(
        &self,
        name: Option<&str>,
        answer: &Result<Answer, Silence>,
    ) -> (Check, Option<String>) {
        let to = match name {
            Some(name) => name.to_owned(),
            None => format!("{} ({})", self.service, self.target),
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.unwrap_or_default().as_secs();
        let (result, verdict) = match answer {
            Ok(answer) => (answer.judged(name, now, self.tls), None),
            Err(Silence::Seen(saw)) => {
                let cause = format!("`deploy logs {}` tells", self.tls.service);
                (Err((saw.clone(), cause)), None)
            }
            Err(Silence::NotAsked(why)) => {
                let saw = format!("not asked: {why}");
                (Err((saw, String::new())), Some(Verdict::Unjudged))
            }
        };
        let note = answer.as_ref().ok().and_then(|it| it.ends_soon(now));
        let note = note.map(|left| format!("the certificate of {to} expires in {left}"));
        let mut check = check((HOST, &to, "certificate"), "a trusted certificate", result);
        check.verdict = verdict.unwrap_or(check.verdict);
        (check, note)
    }
}

impl Answer {
    /// Whether the certificate is for this name.
    fn is_for(&self, name: &str) -> bool {
        let parent = name.split_once('.').map(|(_, parent)| parent);
        let covers = |own: &String| {
            let wildcard = own.strip_prefix("*.");
            own.eq_ignore_ascii_case(name) || wildcard.is_some() && wildcard == parent
        };
        self.names.iter().any(covers)
    }

    fn judged(
        &self,
        name: Option<&str>,
        now: u64,
        tls: &TlsEntry,
    ) -> Result<String, (String, String)> {
        let names: BTreeSet<&str> = self.names.iter().map(String::as_str).collect();
        let first = self.names.first().map_or("nobody", String::as_str);
        let names = match names.len() {
            0 | 1 => first.to_owned(),
            count => format!("{first} and {} more", count - 1),
        };
        let seen = format!("{}, {}, {names}", self.protocol, self.cipher);
        let cause = "`deploy up` renews what deploy generated, the proxy what it got by ACME; of your own, \
                     put a new one in its place";
        if self.not_after <= now {
            let ago = (now - self.not_after) / DAY;
            return Err((format!("{seen}, expired {ago} days ago"), cause.to_owned()));
        }
        if name.is_some_and(|name| !self.is_for(name)) {
            let cause = format!(
                "`deploy logs {}` tells why it has none for this name",
                tls.service
            );
            return Err((format!("{seen}: the certificate of another name"), cause));
        }
        if let Some(why) = &self.untrusted {
            let authority = tls.authority.as_ref();
            let authority = authority.map(|it| format!(" nor {}", it.display()));
            let cause = format!(
                "neither a public authority{} signed it, or a certificate between them is missing in \
                 its file",
                authority.unwrap_or_default()
            );
            return Err((format!("{seen}, not trusted: {why}"), cause));
        }
        Ok(format!(
            "{seen}, {} days left",
            (self.not_after - now) / DAY
        ))
    }

    /// What is left, where that is as little as the proxy warns of.
    fn ends_soon(&self, now: u64) -> Option<String> {
        let left = self.not_after.checked_sub(now)?;
        let lifetime = self.not_after.saturating_sub(self.not_before);
        let soon = left < SOON.as_secs() && left < lifetime / 10;
        soon.then(|| match left / DAY {
            0 => format!("{} hours", left / (60 * 60)),
            days => format!("{days} days"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(days: (u64, u64), untrusted: Option<&str>) -> Answer {
        Answer {
            protocol: "TLS 1.3".into(),
            cipher: "TLS13_AES_128_GCM_SHA256".into(),
            names: vec!["localhost".into(), "127.0.0.1".into()],
            not_before: days.0 * DAY,
            not_after: days.1 * DAY,
            untrusted: untrusted.map(str::to_owned),
            status: 200,
            body: String::new(),
        }
    }

    fn entry() -> TlsEntry {
        let file = "
services: {web: {image: i, ports: ['443:443']}}
x-verify: {entry_points: {web: {tls: {port: 443, service: web, command: [c], authority: ./ca}}}}
";
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("compose.yaml");
        fs::write(&path, file).unwrap();
        let mut options = compose_file::LoadOptions::from_process([path]);
        options.project_name = Some("test".to_owned());
        let project = compose_file::load(&options).unwrap();
        project.entry_point("web").unwrap().tls.clone().unwrap()
    }

    #[test]
    fn what_is_told_of_a_certificate() {
        let tls = entry();
        let good = answer((0, 400), None).judged(None, 4 * DAY, &tls).unwrap();
        assert_eq!(
            good,
            "TLS 1.3, TLS13_AES_128_GCM_SHA256, localhost and 1 more, 396 days left"
        );
        let (seen, cause) = answer((0, 400), Some("unknown issuer"))
            .judged(None, 0, &tls)
            .unwrap_err();
        assert!(seen.ends_with("not trusted: unknown issuer"), "{seen}");
        assert!(cause.contains("/ca signed it"), "{cause}");
        let expired = answer((0, 400), Some("expired")).judged(None, 403 * DAY, &tls);
        assert!(expired.unwrap_err().0.ends_with("expired 3 days ago"));
        let other = answer((0, 400), None).judged(Some("b.example"), 0, &tls);
        assert!(
            other
                .unwrap_err()
                .0
                .ends_with("the certificate of another name")
        );
    }

    #[test]
    fn a_wildcard_stands_for_one_label() {
        let mut answer = answer((0, 400), None);
        answer.names = vec!["*.example.org".into(), "Example.org".into()];
        assert!(answer.is_for("a.example.org") && answer.is_for("example.org"));
        assert!(!answer.is_for("a.b.example.org") && !answer.is_for("org"));
    }

    #[test]
    fn an_end_that_is_near_is_told_unless_lives_are_short() {
        let soon = |days, now| answer((0, days), None).ends_soon(now);
        assert_eq!(soon(90, 80 * DAY), None);
        assert_eq!(soon(365, 352 * DAY).unwrap(), "13 days");
        assert_eq!(soon(6, 5 * DAY), None);
        assert_eq!(soon(6, 5 * DAY + DAY / 2).unwrap(), "12 hours");
        assert_eq!(soon(6, 7 * DAY), None);
    }
}
