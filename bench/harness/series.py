"""Measurements as data: runs, points, series; what makes a run invalid; and their JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any

from .cgroup import CpuTime
from .load import LoadResult
from .statistics import Spread


@dataclass(frozen=True)
class Documents:
    """What should have been stored in a run, and what was."""

    expected: int
    found: int


@dataclass(frozen=True)
class Usage:
    """What the containers of one role used in a run."""

    cpu: CpuTime
    """Per request answered."""
    resident: int
    """Bytes its processes held at the end."""
    peak: int | None
    """Bytes at most, page cache included."""


@dataclass(frozen=True)
class Held:
    """What an idle connection takes of the front, in bytes, by two accounts."""

    memory: float
    """Of its control group, page cache left out: with the kernel's sockets."""
    pss: float
    """Of its processes."""


@dataclass(frozen=True)
class Run:
    """One round of load on one peer."""

    load: LoadResult
    usage: dict[str, Usage]
    """By role: front, app, mongo, backend, load."""
    machine_cpu: float
    """CPU µs per request of the whole machine: containers, kernel, engine, whatever else ran."""
    documents: Documents | None = None
    held: Held | None = None

    def problems(self) -> list[str]:
        """Why this run doesn't count; empty for one that does.

        Any answer but 200, any request without an answer, and any difference between answers and
        documents: an acknowledged request that isn't stored, or a stored one that wasn't
        acknowledged.
        """
        found = self.load.problems()
        if self.documents and self.documents.expected != self.documents.found:
            found.append(f"{self.documents.expected} answers 200 but {self.documents.found} documents")
        return found


METRICS = ("per_second", "p50", "p99", "p999", "machine_cpu")


@dataclass
class Point:
    """All rounds of one peer at one place of a series."""

    peer: str
    x: float | None
    runs: list[Run] = field(default_factory=list)

    def valid(self) -> list[Run]:
        """Rounds that count."""
        return [run for run in self.runs if not run.problems()]

    def problems(self) -> list[str]:
        """What was wrong with the others, each with its round's number."""
        return [
            f"round {number}: {'; '.join(run.problems())}" for number, run in enumerate(self.runs, 1) if run.problems()
        ]

    def counts(self) -> bool:
        """Whether most rounds were valid: below that there is no figure."""
        return len(self.valid()) * 2 > len(self.runs)

    def spread(self, metric: str) -> Spread | None:
        """Summarise a metric over the valid rounds.

        Metrics: `per_second` (requests/s), `p50`, `p99`, `p999` (ms), `machine_cpu` (µs/request);
        and of a role, `cpu.<role>`, `user.<role>`, `system.<role>` (µs/request),
        `resident.<role>`, `peak.<role>` (bytes); and `held.memory`, `held.pss` (bytes/connection).
        """
        values = [value for run in self.valid() if (value := measured(run, metric)) is not None]
        return Spread.of(values) if self.counts() and values else None

    def median(self, metric: str) -> float | None:
        """Median of a metric over the valid rounds."""
        spread = self.spread(metric)
        return None if spread is None else spread.median


def measured(run: Run, metric: str) -> float | None:
    """One figure of one run; see Point.spread for names and units."""
    kind, _, role = metric.partition(".")
    if kind == "held":
        return getattr(run.held, role) if run.held else None
    if not role:
        return run.machine_cpu if metric == "machine_cpu" else getattr(run.load, metric)
    usage = run.usage.get(role)
    if usage is None:
        return None
    cpu = usage.cpu
    return {
        "cpu": cpu.user + cpu.system,
        "user": cpu.user,
        "system": cpu.system,
        "resident": usage.resident,
        "peak": usage.peak,
    }[kind]


@dataclass
class Series:
    """One scenario's points."""

    name: str
    title: str
    kind: str
    """`stack`, `proxy`, `proxy-quiet` or `tls`."""
    axis: str | None
    """What varies, with its unit; None where nothing does."""
    note: str
    """How it was measured, in a sentence."""
    points: list[Point] = field(default_factory=list)

    def point(self, peer: str, x: float | None = None) -> Point | None:
        """Find one peer's point."""
        return next((p for p in self.points if p.peer == peer and p.x == x), None)

    def curve(self, peer: str) -> list[Point]:
        """One peer's points in the order of x."""
        return sorted((p for p in self.points if p.peer == peer), key=lambda point: point.x or 0)


@dataclass
class Results:
    """Everything one `make bench` found out."""

    started: str
    """UTC, ISO 8601."""
    minutes: float
    mode: str
    """`full`, `quick`, or which scenarios."""
    machine: dict[str, Any]
    versions: dict[str, str]
    settings: dict[str, Any]
    warnings: list[str] = field(default_factory=list)
    sweep: list[dict[str, Any]] = field(default_factory=list)
    """Requests/s of the tuned Python stack by gunicorn setting."""
    series: list[Series] = field(default_factory=list)

    def find(self, name: str) -> Series | None:
        """Find a series by its name."""
        return next((series for series in self.series if series.name == name), None)

    def to_json(self) -> str:
        """Write as JSON, one line for each run, rounded to what can be told apart."""
        document = _rounded(asdict(self))
        lines: list[str] = []

        def keep(run: dict[str, Any]) -> str:
            lines.append(json.dumps(run, separators=(",", ":")))
            return f"@run{len(lines) - 1}@"

        for series in document["series"]:
            for point in series["points"]:
                point["runs"] = [keep(run) for run in point["runs"]]
        text = json.dumps(document, indent=1, ensure_ascii=False)
        for number, line in enumerate(lines):
            text = text.replace(f'"@run{number}@"', line, 1)
        return text + "\n"

    @classmethod
    def from_json(cls, text: str) -> Results:
        """Read what to_json wrote."""
        document = json.loads(text)
        document["series"] = [_series(series) for series in document["series"]]
        return cls(**document)


def _rounded(node: Any) -> Any:  # noqa: ANN401  any JSON
    if isinstance(node, float):
        return round(node, 3)
    if isinstance(node, dict):
        return {key: _rounded(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_rounded(value) for value in node]
    return node


def _series(document: dict[str, Any]) -> Series:
    points = [
        Point(point["peer"], point["x"], [_run(run) for run in point["runs"]]) for point in document.pop("points")
    ]
    return Series(**document, points=points)


def _run(document: dict[str, Any]) -> Run:
    documents = document["documents"]
    held = document.get("held")
    return Run(
        load=LoadResult(**document["load"]),
        usage={
            role: Usage(CpuTime(**usage["cpu"]), usage["resident"], usage["peak"])
            for role, usage in document["usage"].items()
        },
        machine_cpu=document["machine_cpu"],
        documents=Documents(**documents) if documents else None,
        held=Held(**held) if held else None,
    )
