"""Made-up runs for tests."""

from dataclasses import replace

from harness.cgroup import CpuTime
from harness.load import LoadResult
from harness.series import Documents, Held, Point, Results, Run, Series, Usage


def run(
    per_second: int = 100,
    *,
    p99: float = 10.0,
    cpu: float = 20.0,
    stored: int | None = None,
    statuses=None,
    errors=None,
) -> Run:
    """One second of load; `stored` None for as many documents as answers."""
    load = LoadResult(
        seconds=1.0, answered=per_second, p50=p99 / 2, p99=p99, p999=p99 * 2,
        statuses={"200": per_second, **(statuses or {})}, errors=errors or {},
    )  # fmt: skip
    usage = {"front": Usage(CpuTime(cpu * 0.25, cpu * 0.75), resident=8 << 20, peak=9 << 20)}
    return Run(load, usage, cpu * 3, Documents(per_second, per_second if stored is None else stored))


def held(memory: float, pss: float) -> Run:
    """Two idle connections; bytes that each takes."""
    return replace(run(2), documents=None, held=Held(memory, pss))


def results(**runs: dict[str, list[Run]]) -> Results:
    """Results with a series for each keyword: runs by peer."""
    found = Results(
        started="2026-01-01T00:00:00Z", minutes=1.0, mode="quick",
        machine={
            "cpu": "made up", "cpus": 2, "memory_gib": 24, "kernel": "6.1", "system": "Debian", "engine": "Docker 20",
            "cgroups": "v2",
        },
        versions={"mongod": "7.0"}, settings={"cpus_per_container": 2},
    )  # fmt: skip
    for name, by_peer in runs.items():
        points = [Point(peer, None, rounds) for peer, rounds in by_peer.items()]
        series = name.replace("_", "-")
        kind = "tls" if series.startswith(("tls", "http2")) else series
        found.series.append(Series(series, series, kind, None, "A note.", points))
    return found
