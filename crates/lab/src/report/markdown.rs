//! A run as a document that stands alone: for readers who weren't there and have
//! never seen a veth.

use std::fmt::{self, Write};

use terminal::text::escape;

use super::{LessonReport, Report};
use crate::lesson::{Step, Verdict};

const PICTURE: &str = "\
```text
        container (its own sandbox)            the host
      ┌─────────────────────────────┐      ┌────────────────────────────────────────────┐
      │  program                    │      │                                            │
      │     │                       │ veth │                  bridge                    │
      │   eth0  172.17.0.2/16 ──────┼──────┼── vethXXXX ── docker0  172.17.0.1          │
      │   lo    127.0.0.1           │ pair │                  │   (the container's      │
      │   routes, /etc/resolv.conf, │      │                  │    default gateway)     │
      │   /etc/hosts, host name     │      │               routing, NAT                 │
      └─────────────────────────────┘      │                  │                         │
                                           │                eth0 ────────────► outside  │
                                           └────────────────────────────────────────────┘
```";

const WORDS: [(&str, &str); 9] = [
    (
        "sandbox",
        "A network stack of its own: interfaces, addresses, routes, ports, DNS settings. On Linux \
         it is a network namespace. Each container has one, unless it is told to share another's.",
    ),
    (
        "veth",
        "A virtual cable: a pair of interfaces, and what goes in at one comes out at the other. \
         One end is in the container's sandbox, the other on the host.",
    ),
    (
        "bridge",
        "A switch made of software on the host. The host's ends of the cables are plugged into it, \
         so that the containers on it are neighbours.",
    ),
    (
        "network",
        "What Docker calls a bridge with its range of addresses, names and rules.",
    ),
    (
        "endpoint",
        "The connection of one container with one network: interface, address, names.",
    ),
    (
        "address, prefix",
        "172.17.0.2/16: the address, and how many of its 32 bits are the network's. Whoever shares \
         them is a neighbour.",
    ),
    (
        "default gateway",
        "The neighbour to whom packets for everybody else are given. For a container it is its \
         bridge on the host.",
    ),
    (
        "NAT, masquerading",
        "The host puts its own address on packets that leave, and hands the replies back to the \
         container that is meant.",
    ),
    (
        "DNS",
        "The service that turns names into addresses. Docker runs one of its own for user-defined \
         networks, at 127.0.0.11 inside each container.",
    ),
];

/// The whole document.
pub fn document(report: &Report) -> String {
    let mut text = String::new();
    // Writing to a string doesn't fail.
    _ = write(&mut text, report);
    text
}

fn write(out: &mut String, report: &Report) -> fmt::Result {
    writeln!(out, "# Container networking, seen on a live engine\n")?;
    writeln!(
        out,
        "{}. Engine: Docker {} on {}. Run `{}`, {:.0} seconds.\n",
        report.summary(),
        report.engine.version,
        escape(&report.engine.system),
        report.run,
        report.seconds
    )?;
    writeln!(
        out,
        "Every answer below was derived from what the engine and the kernel said during this run, \
         and checked against it. The commands are what you would type to see the same; they use \
         the `busybox` image and names that begin with `lab-`. The run itself used an image of its \
         own and put its mark into the names (`lab-{0}-1-plain` where you type `lab-plain`), so \
         addresses, indexes and ids will differ from yours. Everything it made is gone.\n",
        report.run
    )?;
    if report.engine.desktop || report.engine.rootless {
        writeln!(
            out,
            "On this engine \"the host\" is not the machine in front of you but the engine's own \
             ({}), so commands without `docker` won't show the same there.\n",
            if report.engine.desktop {
                "Docker Desktop's virtual machine"
            } else {
                "rootless"
            }
        )?;
    }
    writeln!(out, "## The picture\n\n{PICTURE}\n")?;
    writeln!(out, "| word | what it means |\n|---|---|")?;
    for (word, meaning) in WORDS {
        writeln!(out, "| **{word}** | {meaning} |")?;
    }
    writeln!(out, "\n## Lessons\n\n| | lesson | result |\n|---|---|---|")?;
    for lesson in &report.lessons {
        let result = match &lesson.skipped {
            Some(reason) => format!("skipped: {}", cell(reason)),
            None => lesson.questions(),
        };
        let mark = mark(lesson.verdict);
        writeln!(
            out,
            "| {mark} | [{}](#{}) | {result} |",
            lesson.title,
            anchor(lesson.title)
        )?;
    }
    for lesson in &report.lessons {
        write_lesson(out, lesson)?;
    }
    Ok(())
}

fn write_lesson(out: &mut String, lesson: &LessonReport) -> fmt::Result {
    writeln!(out, "\n## {}\n", lesson.title)?;
    writeln!(out, "`deploy lab run {}`\n\n{}", lesson.name, lesson.story)?;
    if let Some(reason) = &lesson.skipped {
        return writeln!(out, "\n**Skipped here:** {}.", escape(reason));
    }
    for (index, step) in lesson.steps.iter().enumerate() {
        write_step(out, step, index + 1)?;
    }
    if let Some(error) = &lesson.error {
        writeln!(
            out,
            "\n**The lesson ended early:** {}.",
            escape(&error.message)
        )?;
        fence(out, "text", error.details.iter().map(String::as_str))?;
        writeln!(out, "\nNext: {}.", error.next)?;
    }
    writeln!(out, "\n**Tidy up** what the commands made:")?;
    fence(out, "sh", lesson.tidy.iter().copied())
}

fn write_step(out: &mut String, step: &Step, number: usize) -> fmt::Result {
    writeln!(out, "\n### {number}. {}", step.question)?;
    if !step.commands.is_empty() {
        writeln!(out, "\nBy hand:")?;
        fence(out, "sh", step.commands.iter().map(String::as_str))?;
    }
    for evidence in step
        .evidence
        .iter()
        .filter(|evidence| !evidence.lines.is_empty())
    {
        writeln!(out, "\nEvidence from {}:", evidence.source)?;
        fence(out, "text", evidence.lines.iter().map(String::as_str))?;
    }
    match &step.skipped {
        Some(reason) => writeln!(out, "\n**Skipped:** {}.", escape(reason))?,
        None if step.verdict() == Verdict::Failed => {
            writeln!(out, "\n**Should be, and is not.** {}", escape(&step.answer))?;
        }
        None => writeln!(out, "\n**Answer.** {}", escape(&step.answer))?,
    }
    if !step.checks.is_empty() && step.skipped.is_none() {
        writeln!(out)?;
        for check in &step.checks {
            let mark = mark(if check.passed {
                Verdict::Passed
            } else {
                Verdict::Failed
            });
            let (expected, seen) = (escape(&check.expected), escape(&check.seen));
            writeln!(out, "- {mark} {expected} — seen: {seen}")?;
        }
    }
    if step.meaning.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n> {}", step.meaning)
}

/// A code block that no line of its content can end.
fn fence<'a>(
    out: &mut String,
    language: &str,
    lines: impl Iterator<Item = &'a str> + Clone,
) -> fmt::Result {
    let mut ticks = "```".to_owned();
    while lines.clone().any(|line| line.contains(&ticks)) {
        ticks.push('`');
    }
    writeln!(out, "\n{ticks}{language}")?;
    for line in lines {
        writeln!(out, "{}", escape(line))?;
    }
    writeln!(out, "{ticks}")
}

fn mark(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Passed => "✔",
        Verdict::Failed => "✘",
        Verdict::Skipped => "–",
    }
}

/// Text within a table: a bar would begin the next column.
fn cell(text: &str) -> String {
    escape(text).replace('|', "\\|")
}

/// The anchor that Markdown viewers give a heading.
fn anchor(heading: &str) -> String {
    let kept = heading
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-'));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

#[cfg(test)]
mod tests {
    use super::super::tests::sample;
    use super::*;

    #[test]
    fn the_document_tells_everything() {
        let text = document(&sample());
        for part in [
            "1 lesson passed, 2 failed, 1 skipped",
            "Docker 20.10.24 on Debian",
            "### 1. Who is there?",
            "```sh\ndocker exec lab-plain ip addr\n```",
            "Evidence from inside plain:",
            "**Answer.** `eth0`",
            "- ✔ interface: eth0 — seen: eth0",
            "- ✘ closed — seen: open",
            "> A veth is a cable with two plugs.",
            "**Skipped:** no ICMP here.",
            "**Skipped here:** rootless.",
            "**The lesson ended early:** no free pool.",
            "docker rm -f lab-plain",
        ] {
            assert!(text.contains(part), "missing {part:?} in:\n{text}");
        }
    }

    #[test]
    fn headings_and_their_links_agree() {
        assert_eq!(
            anchor("The default bridge: neighbours by address, strangers by name"),
            "the-default-bridge-neighbours-by-address-strangers-by-name"
        );
        assert_eq!(
            anchor("Ports: EXPOSE documents, -p publishes"),
            "ports-expose-documents--p-publishes"
        );
    }

    #[test]
    fn evidence_cannot_break_out_of_its_block() {
        let mut out = String::new();
        fence(&mut out, "text", ["```", "# not a heading"].into_iter()).unwrap();
        assert_eq!(out, "\n````text\n```\n# not a heading\n````\n");
    }
}
