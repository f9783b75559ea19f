//! What the `/metrics` of every service have in common: the figures of the process, which build it
//! is, and the formats in which all of it is told.

use std::{
    fmt::{self, Write as _},
    fs,
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric, text},
    metrics::{counter::ConstCounter, gauge::ConstGauge, info::Info},
    registry::Registry,
};
use rustix::{
    param::{clock_ticks_per_second, page_size},
    process::{Resource, getrlimit},
};

/// A registry that tells the figures of this process, by the names that they have everywhere
/// (`process_…`, "Writing client libraries" of Prometheus), and `PREFIX_build_info`.
pub fn registry(prefix: &'static str, version: &'static str) -> Registry {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Process::new()));
    registry.sub_registry_with_prefix(prefix).register(
        "build",
        "The version that runs",
        Info::new([("version", version)]),
    );
    registry
}

/// What is told, and as what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exposition {
    /// The value for `Content-Type`.
    pub media_type: &'static str,
    /// The metrics.
    pub text: String,
}

/// Tells what is in `registry`: in the OpenMetrics text format to those whose `accept` field asks
/// for it, as Prometheus does, otherwise in Prometheus' own, which every tool reads.
pub fn expose(registry: &Registry, accept: &str) -> Result<Exposition, fmt::Error> {
    let mut open_metrics = String::new();
    text::encode(&mut open_metrics, registry)?;
    Ok(if accept.contains("application/openmetrics-text") {
        Exposition {
            media_type: "application/openmetrics-text; version=1.0.0; charset=utf-8",
            text: open_metrics,
        }
    } else {
        Exposition {
            media_type: "text/plain; version=0.0.4; charset=utf-8",
            text: prometheus_text(&open_metrics)?,
        }
    })
}

/// The same in the older format: it has no units and no end, names the family of a counter like its
/// sample, and takes information for a gauge.
fn prometheus_text(open_metrics: &str) -> Result<String, fmt::Error> {
    let mut out = String::with_capacity(open_metrics.len());
    let mut help = "";
    for line in open_metrics.lines() {
        if let Some(text) = line.strip_prefix("# HELP ") {
            // It comes before the type, which decides on the name.
            help = text.split_once(' ').map_or("", |(_, help)| help);
        } else if let Some((name, kind)) = line
            .strip_prefix("# TYPE ")
            .and_then(|text| text.split_once(' '))
        {
            let (suffix, kind) = match kind {
                "counter" => ("_total", kind),
                "info" => ("_info", "gauge"),
                "unknown" => ("", "untyped"),
                _ => ("", kind),
            };
            writeln!(out, "# HELP {name}{suffix} {help}")?;
            writeln!(out, "# TYPE {name}{suffix} {kind}")?;
        } else if !line.starts_with('#') {
            writeln!(out, "{line}")?;
        }
    }
    Ok(out)
}

/// The figures of this process. What can't be read is left out, rather than told as 0.
#[derive(Debug)]
struct Process {
    /// Found once: the kernel derives it from a clock that is being corrected, and a start that
    /// moves would pass for another start.
    started: Option<f64>,
}

/// What `/proc/PID/stat` says (`proc_pid_stat(5)`).
#[derive(Debug, PartialEq)]
struct Stat {
    /// Time on processors, in ticks.
    cpu: u64,
    threads: u64,
    /// When it started, in ticks since the machine did.
    started: u64,
    virtual_bytes: u64,
    resident_pages: u64,
}

impl Stat {
    fn read() -> Option<Self> {
        Self::parse(&fs::read_to_string("/proc/self/stat").ok()?)
    }

    fn parse(stat: &str) -> Option<Self> {
        // The second field is the name, in parentheses, and may contain anything.
        let (_, rest) = stat.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        // By the numbers that the manual gives them: what is left begins with the third.
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        Some(Self {
            cpu: field(14)? + field(15)?,
            threads: field(20)?,
            started: field(22)?,
            virtual_bytes: field(23)?,
            resident_pages: field(24)?,
        })
    }
}

impl Process {
    fn new() -> Self {
        let machine = fs::read_to_string("/proc/stat").unwrap_or_default();
        let booted = machine.lines().find_map(|line| line.strip_prefix("btime "));
        let booted = booted.and_then(|seconds| seconds.trim().parse::<u64>().ok());
        Self {
            started: booted
                .zip(Stat::read())
                .map(|(booted, stat)| whole(booted) + seconds(stat.started)),
        }
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "Prometheus' numbers are floating point"
)]
fn whole(number: u64) -> f64 {
    number as f64
}

fn seconds(ticks: u64) -> f64 {
    whole(ticks) / whole(clock_ticks_per_second())
}

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut tell = |name, help, metric: &dyn EncodeMetric| {
            let encoder = encoder.encode_descriptor(name, help, None, metric.metric_type())?;
            metric.encode(encoder)
        };
        let stat = Stat::read();
        let stat = stat.as_ref();
        if let Some(stat) = stat {
            let cpu = ConstCounter::new(seconds(stat.cpu));
            tell(
                "process_cpu_seconds",
                "Time on processors, in user and in system mode.",
                &cpu,
            )?;
        }
        let open = fs::read_dir("/proc/self/fd").ok().map(Iterator::count);
        let most = getrlimit(Resource::Nofile).current;
        for (name, help, value) in [
            (
                "process_start_time_seconds",
                "When the process started, since the epoch.",
                self.started,
            ),
            (
                "process_resident_memory_bytes",
                "Memory that is resident.",
                stat.map(|stat| whole(stat.resident_pages) * whole(page_size() as u64)),
            ),
            (
                "process_virtual_memory_bytes",
                "Memory that is mapped.",
                stat.map(|stat| whole(stat.virtual_bytes)),
            ),
            (
                "process_threads",
                "Threads.",
                stat.map(|stat| whole(stat.threads)),
            ),
            (
                "process_open_fds",
                "Open files and sockets.",
                open.map(|open| whole(open as u64)),
            ),
            (
                "process_max_fds",
                "Most open files and sockets.",
                most.map(whole),
            ),
        ] {
            if let Some(value) = value {
                tell(name, help, &ConstGauge::new(value))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::{SystemTime, UNIX_EPOCH};

    use prometheus_client::metrics::{counter::Counter, gauge::Gauge};

    use super::*;

    fn value(text: &str, name: &str) -> f64 {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_else(|| panic!("no {name} in {text}"))
            .trim()
            .parse()
            .unwrap()
    }

    #[test]
    fn the_process_has_figures() {
        let text = expose(&registry("test", "1.2.3"), "").unwrap().text;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let age = now.as_secs_f64() - value(&text, "process_start_time_seconds ");
        assert!((-2.0..600.0).contains(&age), "{age} s old");
        let open = value(&text, "process_open_fds ");
        assert!(open >= 3.0 && open <= value(&text, "process_max_fds "));
        let resident = value(&text, "process_resident_memory_bytes ");
        assert!(resident > 1e5 && resident < value(&text, "process_virtual_memory_bytes "));
        assert!(value(&text, "process_threads ") >= 1.0);
        assert!(value(&text, "process_cpu_seconds_total ") >= 0.0);
        assert!(text.contains("test_build_info{version=\"1.2.3\"} 1\n"));
    }

    #[test]
    fn a_process_may_call_itself_anything() {
        let stat = "7 (a ) b) S 1 7 7 0 -1 4194560 98 0 0 0 11 5 0 0 20 0 3 0 900 4096 2 184 1";
        let figures = Stat {
            cpu: 16,
            threads: 3,
            started: 900,
            virtual_bytes: 4096,
            resident_pages: 2,
        };
        assert_eq!(Stat::parse(stat), Some(figures));
        assert_eq!(Stat::parse("7 (a) S 1"), None);
    }

    #[test]
    fn who_asks_for_openmetrics_gets_it_and_everybody_else_prometheus_text() {
        let mut registry = Registry::default();
        let counter = Counter::<u64>::default();
        counter.inc();
        registry.register("seen", "What was seen", counter);
        registry.register("there", "What is there", Gauge::<i64>::default());
        let scraper = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5";
        let Exposition { media_type, text } = expose(&registry, scraper).unwrap();
        assert!(media_type.starts_with("application/openmetrics-text; version=1.0.0"));
        assert!(text.starts_with("# HELP seen What was seen.\n# TYPE seen counter\n"));
        assert!(text.ends_with("# EOF\n"));
        let Exposition { media_type, text } = expose(&registry, "*/*").unwrap();
        assert!(media_type.starts_with("text/plain; version=0.0.4"));
        assert_eq!(
            text,
            "# HELP seen_total What was seen.\n# TYPE seen_total counter\nseen_total 1\n\
             # HELP there What is there.\n# TYPE there gauge\nthere 0\n"
        );
    }
}
