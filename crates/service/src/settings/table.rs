//! The keys of a service.

use std::fmt::Write as _;

/// A key.
#[derive(Debug)]
pub struct Key {
    /// Its name in a file; the environment has it in upper case after the prefix.
    pub name: &'static str,
    /// Whether the environment has it without the prefix: others have defined it.
    pub standard: bool,
    /// The value where nothing else is said, as one would write it.
    pub default: &'static str,
    /// What it does, for `--help`.
    pub help: &'static str,
}

/// A row of a [`Table`].
pub const fn key(name: &'static str, default: &'static str, help: &'static str) -> Key {
    Key {
        name,
        standard: false,
        default,
        help,
    }
}

/// A row for a variable that others have defined, such as `OTEL_SERVICE_NAME`.
pub const fn standard(name: &'static str, default: &'static str, help: &'static str) -> Key {
    Key {
        standard: true,
        ..key(name, default, help)
    }
}

/// Every key of a service.
#[derive(Debug)]
pub struct Table {
    /// What its environment variables begin with, such as `API_`.
    pub prefix: &'static str,
    /// The keys, in the order in which `--help` has them.
    pub keys: &'static [Key],
}

impl Table {
    /// The environment variable of a key.
    pub fn variable(&self, name: &str) -> String {
        let standard = self.find(name).is_some_and(|key| key.standard);
        let prefix = if standard { "" } else { self.prefix };
        format!("{prefix}{}", name.to_uppercase())
    }

    /// Every key with its meaning and its default, for `--help`.
    pub fn help(&self) -> String {
        let mut help = String::new();
        for key in self.keys {
            let default = match key.default {
                "" => "none",
                default => default,
            };
            let variable = self.variable(key.name);
            // Writing to a String can't fail.
            let _ = writeln!(
                help,
                "  {variable}\n      {} [default: {default}]",
                key.help
            );
        }
        help
    }

    pub(super) fn find(&self, name: &str) -> Option<&'static Key> {
        let mut keys = self.keys.iter();
        keys.find(|key| key.name.eq_ignore_ascii_case(name))
    }

    /// The key that others have defined as this variable.
    pub(super) fn find_standard(&self, variable: &str) -> Option<&'static Key> {
        let mut keys = self.keys.iter().filter(|key| key.standard);
        keys.find(|key| key.name.to_uppercase() == variable)
    }

    pub(super) fn default(&self, name: &str) -> &'static str {
        self.find(name).map_or("", |key| key.default)
    }
}
