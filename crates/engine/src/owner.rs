//! Whose an object on the engine is, by what its maker wrote on that very object.
//!
//! A container also bears the labels of its image, and an image may bring any: that of a
//! project that built it, or all of a container that it was committed from. So a container
//! is a tool's only if the tool's configuration hash on it isn't the image's. The hash that
//! `deploy` writes covers the image's content, labels included, so no image can bring the
//! hash of a container that is made from it.

use std::collections::HashMap;
use std::fmt;

use crate::labels;

/// Labels of an object, as the engine reports them.
pub type Labels = HashMap<String, String>;

/// What Docker Compose writes on containers and on nothing else.
const COMPOSE_MARKS: [&str; 3] = [
    labels::COMPOSE_HASH,
    labels::COMPOSE_ONEOFF,
    labels::COMPOSE_NUMBER,
];

/// Who made an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    /// `deploy`.
    Deploy {
        /// Its name.
        project: String,
    },
    /// Docker Compose.
    Compose {
        /// Its name.
        project: String,
        /// Where it was started; known of containers.
        directory: Option<String>,
        /// Made by `docker compose run`, beside the project's services.
        one_off: bool,
    },
    /// Docker Swarm.
    Swarm {
        /// Its name.
        stack: String,
    },
    /// No label says.
    Unknown,
}

/// What the object is, for the command that removes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A container.
    Container,
    /// A network.
    Network,
}

impl Owner {
    /// The owner of a container. `image` are the labels of the image it was created from;
    /// none where that is gone.
    pub fn of_container(labels: &Labels, image: &Labels) -> Self {
        let own = |key: &str| labels.get(key).is_some_and(|it| image.get(key) != Some(it));
        let project = labels.get(labels::PROJECT);
        if let Some(project) = project.filter(|_| own(labels::CONFIG_HASH)) {
            let project = project.clone();
            return Self::Deploy { project };
        }
        let project = labels.get(labels::COMPOSE_PROJECT);
        if let Some(project) = project.filter(|_| COMPOSE_MARKS.into_iter().any(own)) {
            return Self::Compose {
                project: project.clone(),
                directory: labels.get(labels::COMPOSE_WORKING_DIR).cloned(),
                one_off: labels
                    .get(labels::COMPOSE_ONEOFF)
                    .is_some_and(|it| it.eq_ignore_ascii_case("true")),
            };
        }
        match labels.get(labels::STACK) {
            Some(stack) if own(labels::STACK) => Self::Swarm {
                stack: stack.clone(),
            },
            _ => Self::Unknown,
        }
    }

    /// The owner of a network or volume, which inherits no label.
    pub fn of_resource(labels: &Labels) -> Self {
        if let Some(project) = labels.get(labels::PROJECT) {
            let project = project.clone();
            Self::Deploy { project }
        } else if let Some(project) = labels.get(labels::COMPOSE_PROJECT) {
            Self::Compose {
                project: project.clone(),
                directory: None,
                one_off: false,
            }
        } else if let Some(stack) = labels.get(labels::STACK) {
            let stack = stack.clone();
            Self::Swarm { stack }
        } else {
            Self::Unknown
        }
    }

    /// Whether `deploy` made it for this project.
    pub fn is_deploy(&self, name: &str) -> bool {
        matches!(self, Self::Deploy { project } if project == name)
    }

    /// Whether Docker Compose made it as a part of this project.
    pub fn is_compose(&self, name: &str) -> bool {
        matches!(self, Self::Compose { project, one_off: false, .. } if project == name)
    }

    /// The command that takes the object away the way its owner would.
    pub fn removal(&self, kind: Kind, name: &str) -> String {
        match self {
            Self::Deploy { project } if is_plain(project) => format!("`deploy -p {project} down`"),
            Self::Compose {
                project,
                directory,
                one_off: false,
            } if is_plain(project) => {
                let place = directory.as_ref().map(|it| format!(" in {it:?}"));
                let place = place.unwrap_or_default();
                format!("`docker compose -p {project} down`{place}")
            }
            Self::Swarm { stack } if is_plain(stack) => format!("`docker stack rm {stack}`"),
            _ => match kind {
                Kind::Container => format!("`docker rm -f {name}`"),
                Kind::Network => format!("`docker network rm {name}`"),
            },
        }
    }
}

/// Labels are anybody's text: what a shell would read as more than a word is in no command.
fn is_plain(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    !name.starts_with('-') && !name.is_empty() && name.chars().all(plain)
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deploy { project } => write!(f, "deploy project {project:?}"),
            Self::Compose { project, .. } => write!(f, "Docker Compose project {project:?}"),
            Self::Swarm { stack } => write!(f, "Docker stack {stack:?}"),
            Self::Unknown => f.write_str("unknown (it has no label that says)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        pairs.iter().map(owned).collect()
    }

    const OURS: [(&str, &str); 4] = [
        (labels::PROJECT, "shop"),
        (labels::CONFIG_HASH, "1"),
        (labels::COMPOSE_PROJECT, "shop"),
        (labels::COMPOSE_HASH, "1"),
    ];

    #[test]
    fn what_an_image_brings_makes_nobody_an_owner() {
        let inherited = labels(&OURS);
        assert_eq!(Owner::of_container(&inherited, &inherited), Owner::Unknown);
        // An image that was built by an earlier `deploy`, and one that Docker Compose built.
        for built in [
            &[(labels::PROJECT, "shop")][..],
            &[
                (labels::COMPOSE_PROJECT, "shop"),
                (labels::COMPOSE_SERVICE, "web"),
            ],
        ] {
            let built = labels(built);
            assert_eq!(Owner::of_container(&built, &built), Owner::Unknown);
        }
    }

    #[test]
    fn a_container_of_a_committed_image_is_its_makers() {
        let image = labels(&OURS);
        let mut container = image.clone();
        container.insert(labels::CONFIG_HASH.to_owned(), "2".to_owned());
        assert!(Owner::of_container(&container, &image).is_deploy("shop"));
        let mut container = image.clone();
        container.insert(labels::COMPOSE_HASH.to_owned(), "2".to_owned());
        assert!(Owner::of_container(&container, &image).is_compose("shop"));
    }

    #[test]
    fn the_command_is_the_owners_and_no_more_than_a_command() {
        let compose = |project: &str| Owner::Compose {
            project: project.to_owned(),
            directory: Some("/srv/shop".to_owned()),
            one_off: false,
        };
        assert_eq!(
            compose("shop").removal(Kind::Network, "front"),
            "`docker compose -p shop down` in \"/srv/shop\""
        );
        assert_eq!(
            compose("x; reboot").removal(Kind::Network, "front"),
            "`docker network rm front`"
        );
        assert_eq!(
            Owner::Unknown.removal(Kind::Container, "web"),
            "`docker rm -f web`"
        );
    }
}
