//! Prometheus' text format, as the parts write it.
//!
//! Read here rather than by a crate: `prometheus-parse` brings regex and chrono for what our own parts
//! don't write.

use std::borrow::Cow;
use std::collections::BTreeMap;

/// What one takes in memory at most, about: several of each part are kept. A proxy that has seen each
/// method and twenty status codes, and has 32 backends, has less.
pub(crate) const MOST_BYTES: usize = 24 << 10;

/// The metrics of a part at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Exposition {
    samples: BTreeMap<String, Vec<Sample>>,
}

/// One line: what it is of, and how much.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sample {
    /// As they were written: that takes a fraction of what they take apart.
    labels: Box<str>,
    pub(crate) value: f64,
}

impl Sample {
    pub(crate) fn label(&self, name: &str) -> Option<Cow<'_, str>> {
        let mut rest = &*self.labels;
        while let Some((label, value, after)) = label(rest) {
            if label == name {
                return Some(value);
            }
            rest = after;
        }
        None
    }

    pub(crate) fn has(&self, labels: &[(&str, &str)]) -> bool {
        let mut labels = labels.iter();
        labels.all(|(name, value)| self.label(name).as_deref() == Some(*value))
    }

    fn bytes(&self) -> usize {
        2 * size_of::<Self>() + self.labels.len()
    }
}

impl Exposition {
    /// Reads the samples of `text` whose names are `wanted`. Fails with the first line that is none,
    /// and where these are more than [`MOST_BYTES`].
    pub(crate) fn parse(text: &str, wanted: &[&str]) -> Result<Self, String> {
        let mut samples = BTreeMap::<String, Vec<Sample>>::new();
        let mut room = MOST_BYTES;
        for line in text.lines() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (name, sample) =
                sample(line).ok_or_else(|| format!("not a metric: {line:.200}"))?;
            if wanted.contains(&name) {
                room = room.checked_sub(sample.bytes()).ok_or_else(|| {
                    format!(
                        "more than {} KiB of the metrics that are looked at",
                        MOST_BYTES >> 10
                    )
                })?;
                samples.entry(name.to_owned()).or_default().push(sample);
            }
        }
        Ok(Self { samples })
    }

    /// Those of a name that have these labels.
    pub(crate) fn samples<'s>(
        &'s self,
        name: &str,
        labels: &'s [(&str, &str)],
    ) -> impl Iterator<Item = &'s Sample> {
        let all = self.samples.get(name).into_iter().flatten();
        all.filter(|sample| sample.has(labels))
    }

    /// Their sum; none where there are none.
    pub(crate) fn sum(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let values = self.samples(name, labels).map(|sample| sample.value);
        values.reduce(|sum, value| sum + value)
    }

    /// The sample of exactly these labels.
    pub(crate) fn same(&self, name: &str, sample: &Sample) -> Option<f64> {
        let mut all = self.samples.get(name)?.iter();
        let found = all.find(|other| other.labels == sample.labels);
        found.map(|sample| sample.value)
    }
}

/// `name{label="value",…} 1.5`; a time may follow.
fn sample(line: &str) -> Option<(&str, Sample)> {
    let end = line.find(['{', ' ', '\t'])?;
    let (name, rest) = line.split_at(end);
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(rest) => labels(rest)?,
        None => ("", rest),
    };
    let value = rest.split_whitespace().next()?.parse().ok()?;
    let labels = labels.into();
    (!name.is_empty()).then_some((name, Sample { labels, value }))
}

/// The labels, and what follows their `}`.
fn labels(text: &str) -> Option<(&str, &str)> {
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches(SEPARATORS);
        if let Some(after) = rest.strip_prefix('}') {
            return Some((&text[..text.len() - rest.len()], after));
        }
        (_, _, rest) = label(rest)?;
    }
}

const SEPARATORS: [char; 2] = [',', ' '];

/// The name and the value of the first label, and what follows.
fn label(text: &str) -> Option<(&str, Cow<'_, str>, &str)> {
    let (name, quoted) = text.trim_start_matches(SEPARATORS).split_once("=\"")?;
    let (value, after) = quoted_value(quoted)?;
    Some((name.trim(), value, after))
}

/// A value, with its escapes undone, and what follows its quote.
fn quoted_value(text: &str) -> Option<(Cow<'_, str>, &str)> {
    let mut value = Cow::from("");
    let mut rest = text;
    loop {
        let at = rest.find(['"', '\\'])?;
        value += &rest[..at];
        let mut special = rest[at..].chars();
        if special.next() == Some('"') {
            return Some((value, special.as_str()));
        }
        value.to_mut().push(match special.next()? {
            'n' => '\n',
            other => other,
        });
        rest = special.as_str();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"# HELP seen_total What was seen.
# TYPE seen_total counter
seen_total{method="GET",code="200"} 3
seen_total{method="POST",code="200"} 4
seen_total{method="POST",code="503",path="a \"b\" {c} \\ \n"} 0.5 1700000000000
open 7
other 1
took_bucket{le="0.1"} 2
took_bucket{le="+Inf"} 3
"#;

    #[test]
    fn samples_are_found_by_name_and_labels() {
        let wanted = ["seen_total", "open", "took_bucket"];
        let all = Exposition::parse(TEXT, &wanted).unwrap();
        assert_eq!(all.sum("seen_total", &[]), Some(7.5));
        assert_eq!(all.sum("seen_total", &[("code", "200")]), Some(7.0));
        assert_eq!(all.sum("open", &[]), Some(7.0));
        assert_eq!(all.sum("seen_total", &[("code", "404")]), None);
        let failed = all.samples("seen_total", &[("code", "503")]).next();
        let path = failed.unwrap().label("path");
        assert_eq!(path.as_deref(), Some("a \"b\" {c} \\ \n"));
        let infinite = all.samples("took_bucket", &[("le", "+Inf")]).next();
        assert_eq!(infinite.unwrap().value.to_string(), "3");
    }

    #[test]
    fn what_nobody_wants_takes_no_memory() {
        let all = Exposition::parse(TEXT, &["open"]).unwrap();
        assert_eq!(all.samples.len(), 1);
        assert_eq!(all.sum("other", &[]), None);
    }

    #[test]
    fn more_than_there_is_room_for_is_refused() {
        let lines = |count: usize| -> String {
            let line = |n| format!("open{{peer=\"{n:040}\"}} 1\n");
            (0..count).map(line).collect()
        };
        assert!(Exposition::parse(&lines(200), &["open"]).is_ok());
        let long = format!("open{{peer=\"{}\"}} 1\n", "x".repeat(MOST_BYTES));
        for text in [lines(1000), long] {
            assert!(Exposition::parse(&text, &["other"]).is_ok());
            assert_eq!(
                Exposition::parse(&text, &["open"]).unwrap_err(),
                "more than 24 KiB of the metrics that are looked at"
            );
        }
    }

    #[test]
    fn what_is_no_metric_is_named() {
        for line in [
            "<html>",
            "open",
            "open x",
            "{a=\"b\"} 1",
            "open{a=\"b} 1",
            "open{a} 1",
            "open{a=\"b\" 1",
        ] {
            let error = Exposition::parse(&format!("fine 1\n{line}\n"), &[]).unwrap_err();
            assert_eq!(error, format!("not a metric: {line}"));
        }
    }
}
