//! Which rule merges the values of which key.

use crate::read::identity;
use crate::yaml::Node;

/// What becomes of a value and the later one in its place.
#[derive(Clone, Copy)]
pub(super) enum Rule {
    /// Mappings are merged key by key, lists follow each other, and everything else is replaced.
    Deep,
    /// The later one, as a whole.
    Replace,
    /// Names with values, in a list of `NAME=value` or a mapping: by name.
    Values,
    /// Names with settings, in a mapping, or without in a list: by name. What a name in a list means.
    Names(Option<(&'static str, &'static str)>),
    /// Addresses of hosts, in a list of `HOST=address` or a mapping: all of them, each once.
    Hosts,
    /// A list: an item takes the place of the one that is the same thing.
    Unique(Identity),
    /// The same, where a single value is a list of one.
    OneOrMore(Identity),
    /// A mapping, or a directory: the `context`.
    Build,
    /// `options` are the driver's: those of another one are replaced.
    Logging,
    /// The later list, of which each pool is merged over the one with the same subnet.
    Pools,
}

/// What an item is, where two of that can't be together in a list. `None`: that can't be told, and the
/// reader will say so.
pub(super) type Identity = fn(&Node) -> Option<String>;

/// Keys with a rule of their own; `*` is any one.
#[rustfmt::skip]
const EXCEPTIONS: &[(&str, Rule)] = &[
    // "Shell commands" are replaced: half a command is none. The last five are of our
    // extensions.
    ("services.*.command",                        Rule::Replace),
    ("services.*.entrypoint",                     Rule::Replace),
    ("services.*.healthcheck.test",               Rule::Replace),
    ("secrets.*.x-rotate.command",                Rule::Replace),
    ("x-backup.dump",                             Rule::Replace),
    ("x-backup.restore",                          Rule::Replace),
    ("x-verify.entry_points.*.document.command",  Rule::Replace),
    ("x-verify.entry_points.*.tls.command",       Rule::Replace),
    // One number for both limits, or a number for each.
    ("services.*.ulimits.*",                      Rule::Replace),
    // What may be a list or a mapping is merged as a mapping.
    ("services.*.build.args",                     Rule::Values),
    ("services.*.build.labels",                   Rule::Values),
    ("services.*.deploy.labels",                  Rule::Values),
    ("services.*.environment",                    Rule::Values),
    ("services.*.labels",                         Rule::Values),
    ("services.*.sysctls",                        Rule::Values),
    ("networks.*.labels",                         Rule::Values),
    ("volumes.*.labels",                          Rule::Values),
    ("secrets.*.labels",                          Rule::Values),
    ("configs.*.labels",                          Rule::Values),
    ("services.*.depends_on",                     Rule::Names(Some(("condition", "service_started")))),
    ("services.*.networks",                       Rule::Names(None)),
    // But for these: a host may have several addresses.
    ("services.*.extra_hosts",                    Rule::Hosts),
    // "Unique resources": by what they occupy in the container.
    ("services.*.ports",                          Rule::Unique(identity::port)),
    ("services.*.volumes",                        Rule::Unique(identity::mount)),
    ("services.*.secrets",                        Rule::Unique(identity::secret)),
    ("services.*.configs",                        Rule::Unique(identity::config)),
    ("services.*.tmpfs",                          Rule::OneOrMore(identity::tmpfs)),
    ("services.*.env_file",                       Rule::OneOrMore(identity::env_file)),
    // Sets: what is there already isn't there twice. (Compose refuses a `security_opt` that is.) The last
    // two are of our extension.
    ("services.*.cap_add",                        Rule::OneOrMore(identity::text)),
    ("services.*.cap_drop",                       Rule::OneOrMore(identity::text)),
    ("services.*.dns",                            Rule::OneOrMore(identity::text)),
    ("services.*.dns_opt",                        Rule::Unique(identity::text)),
    ("services.*.dns_search",                     Rule::OneOrMore(identity::text)),
    ("services.*.expose",                         Rule::Unique(identity::text)),
    ("services.*.networks.*.aliases",             Rule::Unique(identity::text)),
    ("services.*.profiles",                       Rule::Unique(identity::text)),
    ("services.*.security_opt",                   Rule::OneOrMore(identity::text)),
    ("x-verify.no_way_out",                       Rule::Unique(identity::text)),
    ("x-verify.only_published",                   Rule::Unique(identity::text)),
    // A string and a mapping; what belongs together.
    ("services.*.build",                          Rule::Build),
    ("services.*.logging",                        Rule::Logging),
    ("networks.*.ipam.config",                    Rule::Pools),
];

impl Rule {
    /// For the value that the keys lead to.
    pub(super) fn at(keys: &[String]) -> Self {
        let found = EXCEPTIONS.iter().find(|(pattern, _)| {
            let mut parts = pattern.split('.');
            let known = keys.iter().all(|key| {
                let part = parts.next();
                part.is_some_and(|part| part == "*" || part == key)
            });
            known && parts.next().is_none()
        });
        found.map_or(Self::Deep, |(_, rule)| *rule)
    }
}
