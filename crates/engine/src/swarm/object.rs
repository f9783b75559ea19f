//! Secrets and configs of a Swarm. They can't be changed: another content is another object, with a name
//! of its own, which services are updated to.

use std::collections::HashMap;
use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bollard::models::{ConfigSpec, SecretSpec};
use bollard::query_parameters::{ListConfigsOptionsBuilder, ListSecretsOptionsBuilder};
use rand::distr::{Alphanumeric, SampleString};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::Engine;
use crate::error::{EngineContext, Result, unless_gone};
use crate::labels;

/// The engine's own limit on names.
const MAX_NAME: usize = 64;
/// So much of the hash is in a name.
const SHOWN: usize = 12;

/// What an object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Kept from whoever doesn't run a service that reads it.
    Secret,
    /// Not.
    Config,
}

impl Kind {
    /// As plans and messages name it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Secret => "secret",
            Self::Config => "config",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// A secret or config of the project.
#[derive(Debug, Clone)]
pub struct Object {
    /// Which of the two.
    pub kind: Kind,
    /// By which the engine knows it.
    pub id: String,
    /// On the engine: project, key and a part of the content's hash.
    pub name: String,
    /// What was written on it.
    pub labels: HashMap<String, String>,
    /// The Swarm's own count: of two, the one that was made later has the higher number.
    pub order: u64,
}

impl Object {
    /// The key in the file.
    pub fn key(&self) -> &str {
        self.labels.get(labels::RESOURCE).map_or("", String::as_str)
    }

    /// Whether it is a secret with this key.
    pub fn is_secret(&self, key: &str) -> bool {
        self.kind == Kind::Secret && self.key() == key
    }

    /// Whether it is one that services see, and not a record ([`create_record`]).
    pub fn is_content(&self) -> bool {
        self.labels.contains_key(labels::CONTENT)
    }

    /// Whether this is what is in it.
    pub fn holds(&self, content: &[u8]) -> bool {
        let (Some(salt), Some(hash)) = (
            self.labels.get(labels::SALT),
            self.labels.get(labels::CONTENT),
        ) else {
            return false;
        };
        self::hash(salt, content) == *hash
    }

    /// Whether this is what is in it, or one of several values.
    pub fn has(&self, value: &str) -> bool {
        let ends = ["", "\n", "\r\n"];
        if ends
            .iter()
            .any(|end| self.holds(format!("{value}{end}").as_bytes()))
        {
            return true;
        }
        let labels = (
            self.labels.get(labels::SALT),
            self.labels.get(labels::VALUES),
        );
        let (Some(salt), Some(hashes)) = labels else {
            return false;
        };
        let hashes: Vec<String> = serde_json::from_str(hashes).unwrap_or_default();
        hashes.contains(&hash(salt, value.as_bytes()))
    }

    /// Removes it. One that is gone already is removed.
    ///
    /// # Errors
    /// When a service uses it.
    pub async fn remove(&self, engine: &Engine) -> Result<()> {
        let docker = engine.docker();
        let removed = match self.kind {
            Kind::Secret => docker.delete_secret(&self.id).await,
            Kind::Config => docker.delete_config(&self.id).await,
        };
        unless_gone(removed).doing(|| format!("remove {} {}", self.kind, self.name))
    }
}

/// An object that is yet to be made: what it will be called, and what is in it.
pub struct New<'a> {
    kind: Kind,
    content: &'a [u8],
    name: String,
    labels: HashMap<String, String>,
}

impl<'a> New<'a> {
    /// Of the project's key. Its salt is drawn here.
    pub fn of(kind: Kind, project: &str, key: &str, content: &'a [u8]) -> Self {
        let salt = Alphanumeric.sample_string(&mut rand::rng(), 16);
        let hash = hash(&salt, content);
        let mut name = format!("{project}_{key}");
        name.truncate(MAX_NAME - SHOWN - 1);
        let name = format!("{name}_{}", &hash[..SHOWN]);
        let mut labels = of_project(project, key);
        labels.insert(labels::STACK.to_owned(), project.to_owned());
        labels.insert(labels::SALT.to_owned(), salt);
        labels.insert(labels::CONTENT.to_owned(), hash);
        Self {
            kind,
            content,
            name,
            labels,
        }
    }

    /// With several values in it, each of which it is known by ([`Object::has`]).
    #[must_use]
    pub fn with_values(mut self, values: &[&str]) -> Self {
        if let (Some(salt), true) = (self.labels.get(labels::SALT), values.len() > 1) {
            let hashes: Vec<String> = values.iter().map(|it| hash(salt, it.as_bytes())).collect();
            let hashes = json!(hashes).to_string();
            self.labels.insert(labels::VALUES.to_owned(), hashes);
        }
        self
    }

    /// What it will be called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Which of the two.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Makes it.
    ///
    /// # Errors
    /// When the engine refuses, as it does beyond 500 kB.
    pub async fn create(self, engine: &Engine) -> Result<Object> {
        let Self {
            kind,
            content,
            name,
            labels,
        } = self;
        let data = Some(BASE64_STANDARD.encode(content));
        let id = match kind {
            Kind::Secret => {
                let spec = SecretSpec {
                    name: Some(name.clone()),
                    labels: Some(labels.clone()),
                    data,
                    ..SecretSpec::default()
                };
                let made = engine.docker().create_secret(spec).await;
                made.doing(|| format!("create secret {name}"))?.id
            }
            Kind::Config => {
                let spec = ConfigSpec {
                    name: Some(name.clone()),
                    labels: Some(labels.clone()),
                    data,
                    ..ConfigSpec::default()
                };
                let made = engine.docker().create_config(spec).await;
                made.doing(|| format!("create config {name}"))?.id
            }
        };
        Ok(Object {
            kind,
            id,
            name,
            labels,
            order: u64::MAX,
        })
    }
}

/// Makes a config that no service reads: what it says is on its labels. It isn't the stack's to Docker's
/// own tools, and so outlives `docker stack rm`.
///
/// # Errors
/// When the engine refuses.
pub async fn create_record<const N: usize>(
    engine: &Engine,
    project: &str,
    key: &str,
    facts: [(&str, &str); N],
) -> Result<()> {
    let name = format!("{project}_{key}");
    let mut labels = of_project(project, key);
    labels.extend(facts.map(|(key, value)| (key.to_owned(), value.to_owned())));
    let spec = ConfigSpec {
        name: Some(name.clone()),
        labels: Some(labels),
        data: Some(BASE64_STANDARD.encode("its labels say it")),
        ..ConfigSpec::default()
    };
    let made = engine.docker().create_config(spec).await;
    made.doing(|| format!("create config {name}"))?;
    Ok(())
}

pub(super) fn of_project(project: &str, key: &str) -> HashMap<String, String> {
    HashMap::from([
        (labels::PROJECT.to_owned(), project.to_owned()),
        (labels::RESOURCE.to_owned(), key.to_owned()),
    ])
}

/// The project's secrets and configs.
///
/// # Errors
/// When the engine isn't a manager, or doesn't answer.
pub async fn all(engine: &Engine, project: &str) -> Result<Vec<Object>> {
    let label = format!("{}={project}", labels::PROJECT);
    let filters = HashMap::from([("label", vec![label.as_str()])]);
    let secrets = ListSecretsOptionsBuilder::new().filters(&filters).build();
    let configs = ListConfigsOptionsBuilder::new().filters(&filters).build();
    let docker = engine.docker();
    let (secrets, configs) = tokio::try_join!(
        docker.list_secrets(Some(secrets)),
        docker.list_configs(Some(configs))
    )
    .doing(|| "list the Swarm's secrets and configs".into())?;
    let secrets = secrets.into_iter().filter_map(|it| {
        let spec = it.spec?;
        Some((Kind::Secret, it.id?, spec.name?, spec.labels, it.version))
    });
    let configs = configs.into_iter().filter_map(|it| {
        let spec = it.spec?;
        Some((Kind::Config, it.id?, spec.name?, spec.labels, it.version))
    });
    let objects = secrets.chain(configs);
    let objects = objects.map(|(kind, id, name, labels, version)| Object {
        kind,
        id,
        name,
        labels: labels.unwrap_or_default(),
        order: version.and_then(|it| it.index).unwrap_or_default(),
    });
    Ok(objects.collect())
}

/// Of the secrets with this key, the one that was made last: it has the value that is in force, in the
/// middle of a rotation beside another one.
pub fn in_force<'a>(objects: &'a [Object], key: &str) -> Option<&'a Object> {
    let secrets = objects.iter().filter(|it| it.is_secret(key));
    secrets.max_by_key(|it| it.order)
}

/// Salted, since whoever may list objects may not read secrets.
fn hash(salt: &str, content: &[u8]) -> String {
    hex::encode(
        Sha256::new()
            .chain_update(salt)
            .chain_update(content)
            .finalize(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_content_is_another_object_and_the_same_one_is_known_again() {
        let new = New::of(Kind::Secret, "shop", "token", b"one");
        assert!(new.name().starts_with("shop_token_") && new.name().len() <= MAX_NAME);
        let object = Object {
            kind: new.kind,
            id: String::new(),
            name: new.name,
            labels: new.labels,
            order: 0,
        };
        assert!(object.holds(b"one") && !object.holds(b"two"));
        assert_eq!(object.key(), "token");
        let long = New::of(Kind::Config, &"p".repeat(40), &"k".repeat(40), b"one");
        assert_eq!(long.name().len(), MAX_NAME);
    }
    #[test]
    fn one_that_holds_several_values_is_known_by_each() {
        let object = |content: &str, values: &[&str]| {
            let new = New::of(Kind::Secret, "shop", "token", content.as_bytes());
            Object {
                kind: Kind::Secret,
                id: String::new(),
                name: String::new(),
                labels: new.with_values(values).labels,
                order: 0,
            }
        };
        let both = object("new\nold\n", &["new", "old"]);
        assert!(both.has("new") && both.has("old") && !both.has("other"));
        let one = object("own\n", &["own"]);
        assert!(one.has("own") && !one.has("ow"));
    }
}
