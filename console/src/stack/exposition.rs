//! Prometheus' text format, as the parts write it.
//!
//! Read here rather than by a crate: `prometheus-parse` brings regex and chrono for what our own parts
//! don't write.

use std::collections::BTreeMap;

/// The metrics of a part at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Exposition {
    samples: BTreeMap<String, Vec<Sample>>,
}

/// One line: what it is of, and how much.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sample {
    labels: Vec<(String, String)>,
    pub(crate) value: f64,
}

impl Sample {
    pub(crate) fn label(&self, name: &str) -> Option<&str> {
        let mut labels = self.labels.iter();
        let found = labels.find(|(label, _)| label == name);
        found.map(|(_, value)| value.as_str())
    }

    pub(crate) fn has(&self, labels: &[(&str, &str)]) -> bool {
        let mut labels = labels.iter();
        labels.all(|(name, value)| self.label(name) == Some(value))
    }
}

impl Exposition {
    /// Reads the samples of `text` whose names are `wanted`. Fails with the first line that is none.
    pub(crate) fn parse(text: &str, wanted: &[&str]) -> Result<Self, String> {
        let mut samples = BTreeMap::<String, Vec<Sample>>::new();
        for line in text.lines() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (name, sample) =
                sample(line).ok_or_else(|| format!("not a metric: {line:.200}"))?;
            if wanted.contains(&name) {
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
        None => (Vec::new(), rest),
    };
    let value = rest.split_whitespace().next()?.parse().ok()?;
    (!name.is_empty()).then_some((name, Sample { labels, value }))
}

/// The labels, and what follows their `}`.
fn labels(mut rest: &str) -> Option<(Vec<(String, String)>, &str)> {
    let mut labels = Vec::new();
    loop {
        rest = rest.trim_start_matches([',', ' ']);
        if let Some(rest) = rest.strip_prefix('}') {
            return Some((labels, rest));
        }
        let (name, quoted) = rest.split_once("=\"")?;
        let (value, after) = quoted_value(quoted)?;
        labels.push((name.trim().to_owned(), value));
        rest = after;
    }
}

/// A value, with its escapes undone, and what follows its quote.
fn quoted_value(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => match chars.next()?.1 {
                'n' => value.push('\n'),
                other => value.push(other),
            },
            char => value.push(char),
        }
    }
    None
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
        assert_eq!(failed.unwrap().label("path"), Some("a \"b\" {c} \\ \n"));
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
