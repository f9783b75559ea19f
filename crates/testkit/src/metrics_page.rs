//! Holds docs/metrics.md against what a running part tells, both ways: the page lists every metric
//! that there is, with its type and labels, and no other.

use std::collections::{BTreeMap, BTreeSet};

use crate::repository;

/// Type and labels of each metric by its name.
type Families = BTreeMap<String, (String, BTreeSet<String>)>;

/// Panics unless the metrics of `exposition`, in Prometheus' text format, are those that the page has
/// under `prefixes`, and its alerts go by no others. Series of every family have to be there.
#[track_caller]
pub fn lists(exposition: &str, prefixes: &[&str]) {
    let docs = repository().join("docs");
    let read = |file: &str| std::fs::read_to_string(docs.join(file)).unwrap();
    let told = told(exposition);
    assert_eq!(documented(&read("metrics.md"), prefixes), told);
    for name in mentioned(&read("prometheus/alerts.yml"), prefixes) {
        let family = ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|suffix| name.strip_suffix(suffix))
            .filter(|family| told.contains_key(*family));
        assert!(
            told.contains_key(family.unwrap_or(&name)),
            "alerts.yml goes by {name}, which there isn't"
        );
    }
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

fn mentioned(alerts: &str, prefixes: &[&str]) -> BTreeSet<String> {
    alerts
        .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .filter(|word| of_part(word, prefixes))
        .map(ToOwned::to_owned)
        .collect()
}

fn of_part(name: &str, prefixes: &[&str]) -> bool {
    prefixes.iter().any(|prefix| name.starts_with(prefix))
}
