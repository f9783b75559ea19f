//! A plan as a diff for people and as JSON for machines.

use compose_file::Project;
use compose_file::model::UpdateOrder;
use engine::container;
use engine::image::Need;
use serde::Serialize;

use super::Output;
use super::style::{Style, Tone};
use crate::diff::Change;
use crate::plan::{Changes, NetworkAction, Step};

/// A plan, ready to be printed.
#[derive(Debug, Serialize)]
pub(crate) struct PlanView {
    /// The project's name.
    pub(crate) project: String,
    /// Everything that will be done.
    pub(crate) actions: Vec<Line>,
    /// How many of `units` stay as they are.
    pub(crate) unchanged: usize,
    /// Containers, or a Swarm's services.
    #[serde(skip)]
    pub(crate) units: &'static str,
    /// Beside the plan.
    pub(crate) notes: Vec<String>,
    /// Other Compose files, which the stack was brought up from.
    pub(crate) takes_over_from: Option<String>,
}

/// One action.
#[derive(Debug, Serialize)]
pub(crate) struct Line {
    /// `secret`, `image`, `network`, `volume` or `container`; of a Swarm `config`, `node` or `service`, too.
    pub(crate) kind: &'static str,
    /// Its name on the engine.
    pub(crate) name: String,
    /// `create`, `build`, `pull`, `push`, `load`, `renew`, `tell`, `start`, `recreate`, `restart` or `remove`; on a Swarm
    /// `update` or `label`, too.
    pub(crate) action: &'static str,
    /// Why, or how; may be empty.
    pub(crate) reason: String,
    /// The settings that differ.
    pub(crate) changes: Vec<Change>,
}

impl PlanView {
    /// A line for each of `plan`.
    pub(crate) fn new(project: &Project, plan: &Changes) -> Self {
        let mut actions = Vec::new();
        let mut unchanged = 0;
        let mut add = |kind, name: &str, action, reason: &str, changes: &[Change]| {
            let (name, reason) = (name.to_owned(), reason.to_owned());
            actions.push(Line {
                kind,
                name,
                action,
                reason,
                changes: changes.to_vec(),
            });
        };
        for name in &plan.secrets {
            match (plan.renewals.get(name), plan.told.get(name)) {
                (Some(why), _) => add("secret", name, "renew", why, &[]),
                (None, Some(service)) => {
                    let reason = format!("generated, and {service} is told of it");
                    add("secret", name, "create", &reason, &[]);
                }
                (None, None) => add("secret", name, "create", "generated", &[]),
            }
        }
        for (name, service) in &plan.told {
            if !plan.secrets.contains(name) {
                add("secret", name, "tell", &format!("to {service}"), &[]);
            }
        }
        for (image, _, need) in &plan.images {
            match need {
                Need::Build { reason, .. } => add("image", image, "build", reason, &[]),
                Need::Pull { reason } => add("image", image, "pull", reason, &[]),
            }
        }
        for orphan in &plan.orphans {
            add("container", &orphan.name, "remove", &orphan.reason, &[]);
        }
        let network = |key: &str| {
            project
                .networks
                .get(key)
                .map_or_else(|| key.to_owned(), |it| it.name.clone())
        };
        for action in &plan.networks {
            match action {
                NetworkAction::Create { key } => add("network", &network(key), "create", "", &[]),
                NetworkAction::Recreate { key, changes } => {
                    add("network", &network(key), "recreate", "", changes);
                }
                NetworkAction::Remove { name } => {
                    add("network", name, "remove", "not in the file any more", &[]);
                }
            }
        }
        for key in &plan.volumes {
            let name = project.volumes.get(key.as_str()).map_or(key, |it| &it.name);
            add("volume", name, "create", "", &[]);
        }
        for service_plan in &plan.services {
            let Some(service) = project.services.get(&service_plan.service) else {
                continue;
            };
            for action in &service_plan.containers {
                let name = container::name(project, &service_plan.service, service, action.number);
                let order = match service_plan.order {
                    _ if action.evicted => UpdateOrder::StopFirst,
                    order => order,
                };
                match &action.step {
                    // Unless it is replaced, which has a line of its own.
                    Step::Keep { .. } if action.condition.is_some() => {}
                    Step::Keep { .. } => unchanged += 1,
                    Step::Start { reason, .. } => add("container", &name, "start", reason, &[]),
                    Step::Create => add("container", &name, "create", "", &[]),
                    Step::Recreate { changes, .. } => {
                        let how = match order {
                            UpdateOrder::StartFirst => "the new one first",
                            UpdateOrder::StopFirst => "",
                        };
                        add("container", &name, "recreate", how, changes);
                    }
                    Step::Renew { cause, .. } => {
                        let how = match order {
                            UpdateOrder::StartFirst => format!("{cause}; the new one first"),
                            UpdateOrder::StopFirst => cause.to_string(),
                        };
                        add("container", &name, "recreate", &how, &[]);
                    }
                    Step::Restart { cause, .. } => {
                        add("container", &name, "restart", &cause.to_string(), &[]);
                    }
                    Step::Remove { reason, .. } => add("container", &name, "remove", reason, &[]),
                }
            }
        }
        let project = project.name.to_string();
        Self {
            project,
            actions,
            unchanged,
            units: "containers",
            notes: plan.notes.clone(),
            takes_over_from: plan.takes_over.as_ref().map(|it| it.files.to_string()),
        }
    }

    /// Shows it to people, and its notes to everybody.
    pub(crate) fn show(&self, output: &Output) {
        for line in self.lines(output.style()) {
            output.line(&line);
        }
        for note in &self.notes {
            output.note(note);
        }
    }

    /// As a diff: `+` created, `~` changed, `-` removed.
    pub(crate) fn lines(&self, style: Style) -> Vec<String> {
        let mut lines = Vec::new();
        if let Some(files) = &self.takes_over_from {
            let text = format!("takes over the stack that was brought up from {files}:");
            lines.push(style.paint(Tone::Notice, &text));
        }
        for line in &self.actions {
            let (sign, tone) = match line.action {
                "remove" => ("-", Tone::Bad),
                "renew" | "tell" | "recreate" | "restart" | "start" | "update" | "label" => {
                    ("~", Tone::Notice)
                }
                _ => ("+", Tone::Good),
            };
            let mut text = format!(
                "  {} {} {}",
                style.paint(tone, sign),
                style.paint(tone, &format!("{:<8} {:<9}", line.action, line.kind)),
                line.name
            );
            if !line.reason.is_empty() {
                text.push_str(&style.paint(Tone::Faint, &format!("  ({})", line.reason)));
            }
            lines.push(text);
            lines.extend(line.changes.iter().map(|change| {
                style.paint(
                    Tone::Faint,
                    &format!("{:25}{}", "", super::text::escape(&change.to_string())),
                )
            }));
        }
        lines.push(self.summary());
        lines
    }

    /// `2 to create, 1 to change, 0 to remove, 3 unchanged`, or `no changes`.
    pub(crate) fn summary(&self) -> String {
        if self.actions.is_empty() {
            return format!(
                "no changes: {} {} are as the file says",
                self.unchanged, self.units
            );
        }
        let count = |actions: &[&str]| {
            self.actions
                .iter()
                .filter(|line| actions.contains(&line.action))
                .count()
        };
        format!(
            "{} to create, {} to change, {} to remove; {} {} unchanged",
            count(&["create", "build", "pull", "push", "load"]),
            count(&[
                "renew", "tell", "recreate", "restart", "start", "update", "label"
            ]),
            count(&["remove"]),
            self.unchanged,
            self.units
        )
    }
}
