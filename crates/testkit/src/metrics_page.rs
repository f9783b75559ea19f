//! Holds docs/metrics.md against what a running part tells, both ways: the page lists every metric
//! that there is, with its type and labels, and no other. And Prometheus' own promtool (Debian's) takes it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs::File;
use std::process::Command;

use crate::process::{debian, outcome_of};
use crate::repository;

/// Type and labels of each metric by its name.
type Families = BTreeMap<String, (String, BTreeSet<String>)>;

/// Panics unless the metrics of `exposition`, in Prometheus' text format, are those that the page has
/// under `prefixes`, and `promtool check metrics` finds nothing to say of them. Series of every family have to
/// be there.
#[track_caller]
pub fn lists(exposition: &str, prefixes: &[&str]) {
    let page = std::fs::read_to_string(repository().join("docs/metrics.md")).unwrap();
    assert_eq!(documented(&page, prefixes), told(exposition));
    promtool(&["check", "metrics"], exposition);
}

/// Panics unless Prometheus' parser takes `exposition`, in the OpenMetrics text format. That of files wants a
/// time behind each sample.
#[track_caller]
pub fn is_open_metrics(exposition: &str) {
    let mut timed = String::new();
    for line in exposition.lines() {
        let time = if line.starts_with('#') {
            ""
        } else {
            " 1700000000"
        };
        writeln!(timed, "{line}{time}").unwrap();
    }
    let blocks = tempfile::tempdir().unwrap();
    let blocks = blocks.path().to_str().unwrap();
    let import = ["tsdb", "create-blocks-from", "openmetrics", "/dev/stdin"];
    promtool(&[&import[..], &[blocks]].concat(), &timed);
}

/// With this as its standard input, it has to succeed.
#[track_caller]
fn promtool(arguments: &[&str], input: &str) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&file, input).unwrap();
    let mut command = Command::new(debian("trixie", "promtool").join("usr/bin/promtool"));
    command.args(arguments).stdin(File::open(&file).unwrap());
    outcome_of(&mut command).assert_code(0);
}

/// What the exposition has. Each family is in one piece, with help.
fn told(exposition: &str) -> Families {
    let mut all = Families::new();
    let mut current = String::new();
    for line in exposition.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, text) = help.split_once(' ').unwrap();
            assert!(!text.is_empty(), "no help for {name}");
            name.clone_into(&mut current);
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let kind = kind.strip_prefix(&format!("{current} ")).unwrap();
            let family = (kind.to_owned(), BTreeSet::new());
            assert!(
                all.insert(current.clone(), family).is_none(),
                "{current} is there twice"
            );
        } else {
            assert!(line.starts_with(&current), "{line} isn't of {current}");
            let labels = line.split_once('{').map_or("", |(_, rest)| rest);
            let labels = labels.split('"').step_by(2);
            let labels = labels.filter_map(|label| label.strip_suffix('='));
            let labels = labels.map(|label| label.trim_start_matches(',').to_owned());
            let family = all.get_mut(&current).unwrap();
            family.1.extend(labels.filter(|label| label != "le"));
        }
    }
    all
}

/// The rows `| name | type | labels | …` of the page, names and labels in backquotes.
fn documented(page: &str, prefixes: &[&str]) -> Families {
    page.lines()
        .filter_map(|line| {
            let mut cells = line.strip_prefix("| `")?.split(" | ");
            let name = cells.next()?.strip_suffix('`')?;
            let kind = cells.next()?.to_owned();
            let labels = cells.next()?.split('`').skip(1).step_by(2);
            let family = (kind, labels.map(ToOwned::to_owned).collect());
            of_part(name, prefixes).then(|| (name.to_owned(), family))
        })
        .collect()
}

fn of_part(name: &str, prefixes: &[&str]) -> bool {
    prefixes.iter().any(|prefix| name.starts_with(prefix))
}
