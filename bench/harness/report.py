"""Results as files: JSON, a page of Markdown with tables, and the plots that it shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import plots
from .goals import GOALS, advantage, verdict
from .peers import CAUSEWAY, Peer, members

if TYPE_CHECKING:
    from pathlib import Path

    from .series import Point, Results, Series
    from .statistics import Spread

KIB, MIB = 2**10, 2**20
HOW = """\
## How it was measured

- Every peer runs in containers on the same engine, with the same CPU limit ({cpus:g} CPUs each, on a
  machine of {machine_cpus}), log driver and open-file limit. Causeway's containers have exactly what
  `compose.yaml` gives them, memory limits and hardening included; peers are spared those. Health
  checks are off for all while they are measured.
- All stacks write to one mongod, run as `compose.yaml` has it, with authentication. The collection is
  emptied before each run. nginx + gunicorn and Causeway write with `w: "majority", j: true`;
  nginx + Flask with the driver's default, as in the exercise, so its job is the easier one.
- oha runs in a container on the peers' own network and shares the CPUs with what it measures; only the
  series "through the published port" goes through the host. All peers get the same bytes.
- Over TLS, all peers have the same certificate, made for the run, and the client offers one cipher and one
  curve. Where every request has a connection of its own, and for idle connections, the client is
  `bench/peers/load/src/main.rs`, which checks what its handshakes were. It takes as much CPU time for one as
  a peer does, of the same CPUs: handshakes/s understate what a proxy alone could do, for all alike.
- Runs alternate, peer after peer, round after round, after a warm-up that isn't counted. Tables give the
  median of the rounds and, after ±, half the interquartile range.
- A run with any answer but 200, any request without an answer, or a number of documents that differs
  from the number of 200s is invalid: it is listed and counts for nothing. Where not most of a peer's
  rounds are valid, it has no figure.
- CPU per request is what the containers' control groups account for, user and system, divided by
  requests answered. "Whole machine" adds the kernel's interrupts, the engine (which collects the logs),
  the load generator, and whatever else ran.
- gunicorn runs with the setting that a sweep before a full run finds best here: {gunicorn}.

## How to repeat it

```console
$ make bench            # everything; it says at its start how long it takes
$ make bench-quick      # a short version in under three minutes
```

`bench/README.md` has the options. Raw figures of every round, with versions and machine facts, are in
[`results.json`](results.json).
"""


def write(results: Results, out: Path) -> None:
    """Write results.json, README.md and the plots into a folder."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "results.json").write_text(results.to_json())
    pictures = plots.write(results, out)
    (out / "README.md").write_text(markdown(results, pictures))
    print(f"\nbench: {results.minutes:.0f} min; results in {out}/README.md")
    print(summary(results))


def markdown(results: Results, pictures: dict[str, str]) -> str:
    """Return the page; `pictures` are file names by the series that they show."""
    sections = ["# Benchmarks", _circumstances(results)]
    if any(results.find(goal.series) for goal in GOALS):
        sections += ["## Goals", goals_table(results)]
    for series in results.series:
        if series.name in ("stack", "proxy", "proxy-quiet") or series.kind == "tls":
            sections += [f"## {series.title}", series.note, _picture(series, pictures)]
            if any(run.held for point in series.points for run in point.runs):
                sections.append(held_table(series))
            else:
                sections += [headline_table(series), ratio_table(results, series)]
    for kind, title in (("stack", "Whole stack"), ("proxy", "Proxy alone")):
        for series in results.series:
            if series.kind == kind and series.axis:
                sections += [
                    f"## {title}: {series.title.lower()}",
                    series.note,
                    _picture(series, pictures),
                    curve_table(series),
                ]
            elif series.name == f"{kind}-published":
                sections += [f"## {series.title}", series.note, headline_table(series)]
    sections += [_sweep(results), _invalid(results)]
    cpus = results.settings["cpus_per_container"]
    gunicorn = results.settings.get("gunicorn", "not measured")
    sections.append(HOW.format(cpus=cpus, machine_cpus=results.machine["cpus"], gunicorn=gunicorn))
    return "\n\n".join(section.strip() for section in sections if section) + "\n"


def summary(results: Results) -> str:
    """Return what a terminal is told at the end: the goals."""
    lines = []
    for goal in GOALS:
        measured, outcome = verdict(results, goal)
        if outcome != "not measured":
            lines.append(f"  {goal.text:52} {measured:>8}  {outcome.replace('*', '')}")
    return "\n".join(lines)


def goals_table(results: Results) -> str:
    """Return each goal about a series of this run, with what was measured."""
    rows = [[goal.text, *verdict(results, goal)] for goal in GOALS if results.find(goal.series)]
    return table(["goal", "measured", ""], rows)


def headline_table(series: Series) -> str:
    """Return all figures of a series in which nothing varies."""
    roles = [role for role in ("front", "app", "mongo", "backend") if any(_has(p, role) for p in series.points)]
    header = ["", "requests/s", "p50 ms", "p99 ms", "p99.9 ms"]
    header += [f"{role} CPU µs/request" for role in roles] + ["whole machine µs/request"]
    header += [f"{role} memory MiB" for role in roles if role in ("front", "app")] + ["valid rounds"]
    rows = []
    for peer in members(series.kind):
        point = series.point(peer.key)
        if point is None:
            continue
        row = [_label(peer)]
        row += [figure(point.spread(metric)) for metric in ("per_second", "p50", "p99", "p999")]
        row += [figure(point.spread(f"cpu.{role}")) for role in roles]
        row.append(figure(point.spread("machine_cpu")))
        row += [_memory(point, role) for role in roles if role in ("front", "app")]
        row.append(_valid(point))
        rows.append(row)
    note = "Memory is what the processes hold at the end of a run, and at most with page cache."
    return f"{table(header, rows)}\n\n{note}"


def held_table(series: Series) -> str:
    """Return the memory that an idle connection takes."""
    rows = []
    for peer in members(series.kind):
        if point := series.point(peer.key):
            spreads = [point.spread(f"held.{account}") for account in ("memory", "pss")]
            figures = [figure(spread.scaled(1 / KIB) if spread else None) for spread in spreads]
            rows.append([_label(peer), *figures, figure(point.spread("cpu.front")), _valid(point)])
    header = ["", "control group KiB/connection", "PSS KiB/connection", "CPU µs/connection", "valid rounds"]
    note = (
        "The control group's account has the kernel's part (sockets) too, page cache left out. CPU is that of opening "
        "a connection, one request and all."
    )
    return f"{table(header, rows)}\n\n{note}"


def ratio_table(results: Results, series: Series) -> str:
    """Return how many times better Causeway is than each peer, and who wins where it isn't."""
    metrics = {"requests/s": "per_second", "p50": "p50", "p99": "p99", "p99.9": "p999"}
    metrics["proxy CPU/request"] = "cpu.front"
    if series.kind == "stack":
        metrics["app CPU/request"] = "cpu.app"
        metrics["mongod CPU/request"] = "cpu.mongo"
    metrics["proxy memory"] = "resident.front"
    rows = []
    for peer in members(series.kind):
        if peer.key == CAUSEWAY:
            continue
        found = [advantage(results, series.name, metric, peer.key) for metric in metrics.values()]
        if any(value is not None for value in found):
            rows.append([peer.label, *(_advantage(value, peer) for value in found)])
    if not rows:
        return ""
    return "Causeway is better by this factor (below 1 the peer is better):\n\n" + table(["against", *metrics], rows)


def curve_table(series: Series) -> str:
    """Return requests/s and p99 of every peer along a curve."""
    present = [peer for peer in members(series.kind) if series.curve(peer.key)]
    places = sorted({point.x for point in series.points if point.x is not None})
    rows = []
    for x in places:
        row = [plots.place(series, x)]
        for peer in present:
            point = series.point(peer.key, x)
            if point is None:
                row.append("can't keep up" if (series.axis or "").startswith("rate") else "–")
            elif not point.counts():
                row.append("invalid")
            else:
                row.append(f"{figure(point.spread('per_second'))} · {figure(point.spread('p99'))} ms")
        rows.append(row)
    header = [(series.axis or "").partition(" ")[0], *(peer.label for peer in present)]
    return "Requests/s · p99:\n\n" + table(header, rows)


def table(header: list[str], rows: list[list[str]]) -> str:
    """Return a Markdown table, figures to the right."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def figure(spread: Spread | None) -> str:
    """Write a median and half its interquartile range, with digits that mean something."""
    if spread is None:
        return "invalid"
    if spread.iqr == 0:
        return number(spread.median)
    return f"{number(spread.median)} ± {number(spread.iqr / 2)}"


def number(value: float) -> str:
    """Write a number with about three digits."""
    for limit, digits in ((100, 0), (10, 1), (1, 2)):
        if abs(value) >= limit:
            return f"{value:,.{digits}f}"
    return f"{value:.2g}"


def _label(peer: Peer) -> str:
    return f"**{peer.label}**" if peer.key == CAUSEWAY else peer.label


def _valid(point: Point) -> str:
    return f"{len(point.valid())}/{len(point.runs)}"


def _advantage(value: float | None, peer: Peer) -> str:
    if value is None:
        return "–"
    text = f"{number(value)}×"
    return text if value >= 1 else f"**{text}** {peer.label} wins"


def _has(point: Point, role: str) -> bool:
    return any(role in run.usage for run in point.runs)


def _memory(point: Point, role: str) -> str:
    resident, peak = point.median(f"resident.{role}"), point.median(f"peak.{role}")
    if resident is None:
        return "invalid"
    return f"{resident / MIB:.1f}" + ("" if peak is None else f" / {peak / MIB:.1f}")


def _picture(series: Series, pictures: dict[str, str]) -> str:
    name = pictures.get(series.name)
    return f"![{series.title}]({name})" if name else ""


def _circumstances(results: Results) -> str:
    machine, versions = results.machine, results.versions
    lines = [
        (
            f"Measured {results.started[:10]} in {results.minutes:.0f} minutes (`{results.mode}`) on "
            f"{machine['cpus']} CPUs ({machine['cpu']}), {machine['memory_gib']:g} GiB, Linux {machine['kernel']}, "
            f"{machine['system']}, {machine['engine']}, cgroups {machine['cgroups']}."
        ),
        "",
        "Versions: " + "; ".join(f"{name} {version}" for name, version in versions.items()) + ".",
    ]
    if "qemu" in versions.get("mongod", ""):
        lines += [
            "",
            (
                "> mongod is emulated here, several times slower than a native one: it, not the rest of a stack, "
                "bounds the requests/s of whole stacks. CPU per request of the other containers is not affected."
            ),
        ]
    lines += [f"\n> **Warning.** {warning}" for warning in results.warnings]
    return "\n".join(lines)


def _sweep(results: Results) -> str:
    if not results.sweep:
        return ""
    rows = [
        [
            f"{row['workers']} × {row['threads']}",
            "invalid" if row["per_second"] is None else number(row["per_second"]),
            "invalid" if row["p99"] is None else number(row["p99"]),
        ]
        for row in results.sweep
    ]
    return "## gunicorn's setting\n\n" + table(["workers × threads", "requests/s", "p99 ms"], rows)


def _invalid(results: Results) -> str:
    lines = [
        f"- {series.name}, {point.peer}{'' if point.x is None else f' at {point.x:g}'}: {problem}"
        for series in results.series
        for point in series.points
        for problem in point.problems()
    ]
    return "## Invalid runs\n\n" + ("\n".join(lines) if lines else "None.")
