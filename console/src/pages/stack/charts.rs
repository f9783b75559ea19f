//! The last 15 minutes as charts, and as a table.

use std::time::{Duration, SystemTime};

use askama::Template;

use crate::pages::stack::words;
use crate::stack::figures::Figures;
use crate::stack::history::{KEPT, Moment, STEP};

/// Where the lines are drawn, in the chart's own units.
const LEFT: f64 = 56.0;
const RIGHT: f64 = 352.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 116.0;
/// Moments further apart than this aren't connected.
const GAP: Duration = Duration::from_secs(3 * STEP.as_secs());
/// A row of the table for each of so many moments: one a minute.
const ROW: usize = 12;

/// All of them.
#[derive(Template)]
#[template(path = "stack/charts.html")]
pub(crate) struct Charts {
    charts: Vec<Chart>,
}

struct Chart {
    id: &'static str,
    title: &'static str,
    lines: Vec<Line>,
    ticks: Vec<Tick>,
    /// What it shows, in words.
    summary: String,
}

struct Line {
    /// What it is, where the chart has several.
    name: &'static str,
    /// How it is drawn.
    class: &'static str,
    now: String,
    path: String,
    /// The area below it; empty where there are several.
    area: String,
}

/// A line across, and its value.
struct Tick {
    y: String,
    text: String,
}

type Figure = fn(&Moment) -> Option<f64>;
type Words = fn(Option<f64>) -> String;

struct Plan {
    id: &'static str,
    title: &'static str,
    words: Words,
    /// Of what ticks are round numbers; it is the least that an axis shows, too.
    unit: f64,
    /// Whether a thousand of them is 1024.
    binary: bool,
    lines: &'static [(&'static str, &'static str, Figure)],
}

const PLANS: [Plan; 6] = [
    Plan {
        id: "requests",
        title: "Requests a second",
        words: words::number,
        unit: 1.0,
        binary: false,
        lines: &[("", "good", |moment| moment.requests_per_second)],
    },
    Plan {
        id: "errors",
        title: "Errors (5xx) a second",
        words: words::number,
        unit: 1.0,
        binary: false,
        lines: &[("", "bad", |moment| moment.errors_per_second)],
    },
    Plan {
        id: "latency",
        title: "Request time",
        words: words::seconds,
        unit: 0.001,
        binary: false,
        lines: &[
            ("p99", "p99", |moment| moment.p99_seconds),
            ("p50", "p50", |moment| moment.p50_seconds),
        ],
    },
    Plan {
        id: "writes",
        title: "MongoDB write time",
        words: words::seconds,
        unit: 0.001,
        binary: false,
        lines: &[
            ("p99", "p99", |moment| moment.write_p99_seconds),
            ("p50", "p50", |moment| moment.write_p50_seconds),
        ],
    },
    Plan {
        id: "queue",
        title: "Documents queued",
        words: words::number,
        unit: 1.0,
        binary: false,
        lines: &[("", "good", |moment| moment.queue_documents)],
    },
    Plan {
        id: "bytes",
        title: "Bytes a second",
        words: words::bytes,
        unit: 1024.0,
        binary: true,
        lines: &[
            ("in", "in", |moment| moment.received_bytes_per_second),
            ("out", "out", |moment| moment.sent_bytes_per_second),
        ],
    },
];

impl Charts {
    pub(crate) fn of(figures: &Figures) -> Self {
        let end = figures.at.unwrap_or(SystemTime::UNIX_EPOCH);
        let chart = |plan| chart(plan, &figures.history, end);
        Self {
            charts: PLANS.iter().map(chart).collect(),
        }
    }
}

fn chart(plan: &Plan, history: &[Moment], end: SystemTime) -> Chart {
    let values = |figure: Figure| history.iter().filter_map(figure);
    let most = plan.lines.iter().flat_map(|(_, _, figure)| values(*figure));
    let top = round_up(most.fold(0.0, f64::max), plan);
    let scale = Scale { end, top };
    let is_alone = plan.lines.len() == 1;
    let lines = plan.lines.iter().map(|&(name, class, figure)| Line {
        name,
        class,
        now: (plan.words)(history.last().and_then(figure)),
        path: scale.line(history, figure),
        area: if is_alone {
            scale.area(history, figure)
        } else {
            String::new()
        },
    });
    let ticks = [0.0, 0.5, 1.0].map(|share| Tick {
        y: format!("{:.1}", scale.y(top * share)),
        text: (plan.words)(Some(top * share)),
    });
    let summaries = plan.lines.iter().map(|&(name, _, figure)| {
        let most = values(figure).reduce(f64::max);
        let least = values(figure).reduce(f64::min);
        let [now, least, most] =
            [history.last().and_then(figure), least, most].map(|value| (plan.words)(value));
        format!("{name} {now} now, between {least} and {most} before.")
    });
    Chart {
        id: plan.id,
        title: plan.title,
        ticks: ticks.into(),
        summary: summaries.collect::<Vec<_>>().join(" ").trim().to_owned(),
        lines: lines.collect(),
    }
}

/// The least round number that isn't less.
fn round_up(value: f64, plan: &Plan) -> f64 {
    let mut scale = plan.unit;
    loop {
        let steps: &[f64] = if plan.binary {
            &[1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0]
        } else {
            &[1.0, 2.0, 4.0, 6.0, 8.0]
        };
        let mut bounds = steps.iter().map(|step| step * scale);
        if let Some(bound) = bounds.find(|bound| *bound >= value) {
            return bound;
        }
        scale *= if plan.binary { 1024.0 } else { 10.0 };
        if !scale.is_finite() {
            return f64::MAX;
        }
    }
}

/// Where a moment and a value are in a chart.
struct Scale {
    end: SystemTime,
    top: f64,
}

impl Scale {
    fn x(&self, at: SystemTime) -> f64 {
        let age = self.end.duration_since(at).unwrap_or(Duration::ZERO);
        let all = STEP.as_secs_f64() * f64::from(u32::try_from(KEPT).unwrap_or(u32::MAX));
        RIGHT - (RIGHT - LEFT) * (age.as_secs_f64() / all).min(1.0)
    }

    fn y(&self, value: f64) -> f64 {
        BOTTOM - (BOTTOM - TOP) * (value / self.top)
    }

    /// Runs of moments that follow each other and whose figure is known.
    fn runs(&self, history: &[Moment], figure: Figure) -> Vec<Vec<(f64, f64)>> {
        let mut runs = Vec::<Vec<(f64, f64)>>::new();
        let mut last: Option<SystemTime> = None;
        for moment in history {
            let Some(value) = figure(moment) else {
                last = None;
                continue;
            };
            let point = (self.x(moment.at), self.y(value));
            let apart = last.map(|last| moment.at.duration_since(last).unwrap_or(Duration::ZERO));
            match runs.last_mut() {
                Some(run) if apart.is_some_and(|apart| apart <= GAP) => run.push(point),
                _ => runs.push(vec![point]),
            }
            last = Some(moment.at);
        }
        runs
    }

    fn line(&self, history: &[Moment], figure: Figure) -> String {
        let runs = self.runs(history, figure);
        // A point that is alone is drawn as a dot: by its round cap.
        let paths = runs.iter().map(|run| format!("M{}h0", points(run)));
        paths.collect()
    }

    fn area(&self, history: &[Moment], figure: Figure) -> String {
        let runs = self.runs(history, figure);
        let paths = runs.iter().filter_map(|run| {
            let ((first, _), (last, _)) = (run.first()?, run.last()?);
            Some(format!(
                "M{first:.1} {BOTTOM}L{}L{last:.1} {BOTTOM}Z",
                points(run)
            ))
        });
        paths.collect()
    }
}

fn points(run: &[(f64, f64)]) -> String {
    let points = run.iter().map(|(x, y)| format!("{x:.1} {y:.1}"));
    points.collect::<Vec<_>>().join("L")
}

/// The same as a table: a row a minute, newest first.
#[derive(Template)]
#[template(path = "stack/table.html")]
pub(crate) struct Table {
    heads: Vec<String>,
    rows: Vec<(String, Vec<String>)>,
}

impl Table {
    pub(crate) fn of(figures: &Figures) -> Self {
        let columns = || {
            PLANS.iter().flat_map(|plan| {
                let lines = plan.lines.iter();
                lines.map(move |&(name, _, figure)| (plan, name, figure))
            })
        };
        let heads = columns().map(|(plan, name, _)| format!("{} {name}", plan.title));
        let minutes = figures.history.iter().rev().step_by(ROW);
        let rows = minutes.map(|moment| {
            let cells = columns().map(|(plan, _, figure)| (plan.words)(figure(moment)));
            (words::clock(moment.at), cells.collect())
        });
        Self {
            heads: heads.map(|head| head.trim().to_owned()).collect(),
            rows: rows.collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::figures::{Clients, Writes};

    fn history(requests: &[Option<f64>]) -> Vec<Moment> {
        let moments = requests.iter().zip(0u32..);
        let moments = moments.map(|(requests, step)| {
            let clients = Clients {
                requests_per_second: *requests,
                ..Clients::default()
            };
            let at = SystemTime::UNIX_EPOCH + STEP * step;
            Moment::of(at, &clients, &Writes::default())
        });
        moments.collect()
    }

    #[test]
    fn axes_end_at_a_round_number() {
        let tops = [0.0, 1.0, 1.1, 37.0, 801.0].map(|value| round_up(value, &PLANS[0]));
        assert_eq!(
            tops.map(|top| words::number(Some(top))),
            ["1", "1", "2", "40", "1,000"]
        );
        let tops = [0.0, 3000.0, 700_000.0, 1_000_000.0].map(|value| round_up(value, &PLANS[5]));
        assert_eq!(
            tops.map(|top| words::bytes(Some(top))),
            ["1 KiB", "5 KiB", "1 MiB", "1 MiB"]
        );
    }

    #[test]
    fn the_newest_is_at_the_right_and_what_isnt_known_is_a_gap() {
        let history = history(&[Some(0.0), Some(20.0), None, Some(10.0)]);
        let end = history[3].at;
        let chart = chart(&PLANS[0], &history, end);
        assert_eq!(
            chart.lines[0].path,
            "M347.1 116.0L348.7 10.0h0M352.0 63.0h0"
        );
        assert_eq!(chart.lines[0].now, "10");
        assert_eq!(chart.summary, "10 now, between 0 and 20 before.");
        let ticks = chart.ticks.iter().map(|tick| tick.text.as_str());
        assert_eq!(ticks.collect::<Vec<_>>(), ["0", "10", "20"]);
    }

    #[test]
    fn the_table_has_a_row_a_minute() {
        let figures = Figures {
            history: history(&[Some(2.0); 180]),
            ..Figures::default()
        };
        let table = Table::of(&figures);
        assert_eq!(table.rows.len(), 15);
        assert_eq!(table.heads.len(), table.rows[0].1.len());
        assert_eq!(table.rows[0].0, "00:14:55");
        assert_eq!(table.rows[1].0, "00:13:55");
        assert_eq!(table.rows[0].1[0], "2");
    }
}
