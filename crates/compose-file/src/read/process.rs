//! How a service's process is treated: `restart`, `ulimits`, `logging`, capabilities, security
//! options, image and swap.

use std::collections::BTreeMap;

use super::forms::parse_size;
use crate::cursor::Cursor;
use crate::fields::Fields;
use crate::model::{Logging, RestartPolicy, Ulimit};

/// The reference of an image. The engine checks the finer points.
pub(super) fn image(cursor: &Cursor<'_>) -> Option<String> {
    let reference = cursor.filled()?;
    let valid = |c: char| c.is_ascii_alphanumeric() || "._-/:@[]".contains(c);
    if !reference.chars().all(valid) {
        cursor.expected("an image such as mongo:7.0 or registry.example:5000/team/app:1.2");
        return None;
    }
    Some(reference.to_owned())
}

pub(super) fn restart(cursor: &Cursor<'_>) -> Option<RestartPolicy> {
    cursor.parse(
        "\"no\", always, unless-stopped or on-failure[:N]",
        |text| match text {
            "no" => Some(RestartPolicy::No),
            "always" => Some(RestartPolicy::Always),
            "unless-stopped" => Some(RestartPolicy::UnlessStopped),
            "on-failure" => Some(RestartPolicy::OnFailure { max_retries: None }),
            _ => {
                let retries = text.strip_prefix("on-failure:")?.parse().ok()?;
                Some(RestartPolicy::OnFailure {
                    max_retries: Some(retries),
                })
            }
        },
    )
}

/// `ulimits`: a number for both limits, or `soft` and `hard`.
pub(super) fn ulimits(cursor: &Cursor<'_>) -> BTreeMap<String, Ulimit> {
    const NAMES: [&str; 16] = [
        "as",
        "core",
        "cpu",
        "data",
        "fsize",
        "locks",
        "memlock",
        "msgqueue",
        "nice",
        "nofile",
        "nproc",
        "rss",
        "rtprio",
        "rttime",
        "sigpending",
        "stack",
    ];
    let mut ulimits = BTreeMap::new();
    for (name, limit) in cursor.entries().unwrap_or_default() {
        if !NAMES.contains(&name) {
            limit.problem(format!(
                "no limit is called {name}; expected one of {}",
                NAMES.join(", ")
            ));
        }
        if let Some(ulimit) = ulimit(&limit) {
            ulimits.insert(name.to_owned(), ulimit);
        }
    }
    ulimits
}

fn ulimit(cursor: &Cursor<'_>) -> Option<Ulimit> {
    const RANGE: std::ops::RangeInclusive<i64> = -1..=i64::MAX;
    if cursor.is_scalar() {
        let both = cursor.integer(RANGE)?;
        return Some(Ulimit {
            soft: both,
            hard: both,
        });
    }
    let fields = Fields::of(cursor)?;
    let soft = fields.required("soft").and_then(|c| c.integer(RANGE));
    let hard = fields.required("hard").and_then(|c| c.integer(RANGE));
    fields.finish(&[]);
    let (soft, hard) = (soft?, hard?);
    if hard != -1 && (soft == -1 || soft > hard) {
        cursor.problem(format!(
            "the soft limit {soft} is above the hard limit {hard}"
        ));
    }
    Some(Ulimit { soft, hard })
}

pub(super) fn logging(cursor: &Cursor<'_>) -> Option<Logging> {
    let fields = Fields::of(cursor)?;
    let logging = Logging {
        driver: fields
            .get("driver")
            .and_then(|c| c.filled())
            .map(str::to_owned),
        options: fields
            .get("options")
            .and_then(|c| c.options())
            .unwrap_or_default(),
    };
    fields.finish(&[]);
    Some(logging)
}

/// One of `cap_add` or `cap_drop`: `NET_ADMIN`, `CAP_NET_ADMIN` or `ALL`.
pub(super) fn capability(cursor: &Cursor<'_>) -> Option<String> {
    let name = cursor.filled()?;
    if !name.chars().all(|c| c.is_ascii_uppercase() || c == '_') {
        cursor.expected("a capability in capitals, such as NET_BIND_SERVICE, or ALL");
        return None;
    }
    Some(name.to_owned())
}

/// One of `security_opt`, as `KEY=VALUE`: `KEY:VALUE` is Docker's old spelling, which newer engines
/// refuse. Options that name a file of this host would have to be sent along.
pub(super) fn security_option(cursor: &Cursor<'_>) -> Option<String> {
    let mut option = cursor.filled()?.to_owned();
    if !option.contains('=') {
        option = option.replacen(':', "=", 1);
    }
    let profile = option.strip_prefix("seccomp=");
    if profile.is_some_and(|profile| !matches!(profile, "unconfined" | "builtin")) {
        cursor.problem("seccomp profiles from files aren't supported; unconfined and builtin are");
        return None;
    }
    Some(option)
}

/// Memory and swap together, in bytes; -1 for unlimited swap.
pub(super) fn memswap_limit(cursor: &Cursor<'_>) -> Option<i64> {
    cursor.parse(
        "a size such as 64m, or -1 for unlimited swap",
        |text| match text {
            "-1" => Some(-1),
            _ => parse_size(text).filter(|size| *size > 0)?.try_into().ok(),
        },
    )
}
