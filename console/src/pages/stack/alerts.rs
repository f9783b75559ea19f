//! The alerts that fire.

use askama::Template;

use crate::pages::stack::words::{self, Told};
use crate::pages::stack::{Since, since};
use crate::stack::alerts::{Alert, Alerts};
use crate::stack::figures::Figures;
use crate::stack::replica::State;

/// Nothing, where there is no Prometheus.
#[derive(Template)]
#[template(path = "stack/alerts.html")]
pub(super) struct Firing<'a> {
    alerts: Option<&'a Alerts>,
    /// Why nobody knows which fire.
    problem: Option<Told>,
    since: Since,
    rows: Vec<Row<'a>>,
}

struct Row<'a> {
    alert: &'a Alert,
    sign: &'static str,
    class: &'static str,
    since: Option<Since>,
}

impl<'a> Firing<'a> {
    pub(super) fn of(figures: &'a Figures) -> Self {
        let alerts = figures.alerts.as_ref();
        let unwell = alerts.filter(|alerts| alerts.state != State::Ready);
        let firing = alerts.map_or(&[][..], |alerts| &alerts.firing);
        Self {
            alerts,
            problem: unwell.map(|alerts| match alerts.state {
                State::Away => Told {
                    word: "unreachable",
                    ..words::told("prometheus", State::Away)
                },
                state => words::told("prometheus", state),
            }),
            since: since(alerts.map_or(std::time::SystemTime::UNIX_EPOCH, |alerts| alerts.since)),
            rows: firing.iter().map(Row::of).collect(),
        }
    }
}

impl<'a> Row<'a> {
    fn of(alert: &'a Alert) -> Self {
        let is_critical = alert.severity.as_deref() == Some("critical");
        let (sign, class) = if is_critical {
            ("✕", "away")
        } else {
            ("!", "not-ready")
        };
        Self {
            alert,
            sign,
            class,
            since: alert.since.map(since),
        }
    }
}
