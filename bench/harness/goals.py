"""The goals that Causeway sets itself, held against results."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .peers import CAUSEWAY
from .statistics import ratio

if TYPE_CHECKING:
    from .series import Results

LOWER_IS_BETTER = ("p50", "p99", "p999", "cpu", "resident", "peak", "machine_cpu", "held")


@dataclass(frozen=True)
class Goal:
    """How many times better than a peer Causeway means to be."""

    text: str
    series: str
    metric: str
    peer: str
    times: float


GOALS = (
    Goal("25 times the requests/s of nginx + Flask", "stack", "per_second", "exercise", 25),
    Goal("10 times the requests/s of nginx + gunicorn", "stack", "per_second", "tuned", 10),
    Goal("p99 at least 5 times lower than nginx + Flask", "stack", "p99", "exercise", 5),
    Goal("p99 at least 5 times lower than nginx + gunicorn", "stack", "p99", "tuned", 5),
    Goal("proxy: no more CPU per request than tuned nginx", "proxy", "cpu.front", "nginx-tuned", 1),
    Goal("proxy: less CPU per request than HAProxy", "proxy", "cpu.front", "haproxy", 1),
    Goal("proxy: less CPU per request than Caddy", "proxy", "cpu.front", "caddy", 1),
    *(
        Goal(f"{title}: no more CPU per request than nginx", series, "cpu.front", "nginx-tuned", 1)
        for series, title in (
            ("tls", "TLS, kept connections"),
            ("tls-full", "TLS, full handshakes"),
            ("tls-resumed", "TLS, resumed handshakes"),
            ("tls-download", "TLS, 1 MiB down"),
            ("tls-upload", "TLS, 1 MiB up"),
            ("http2", "HTTP/2, 100 streams a connection"),
            ("http2-download", "HTTP/2, 1 MiB down"),
            ("http2-upload", "HTTP/2, 1 MiB up"),
        )
    ),
    Goal("TLS: more full handshakes/s than nginx", "tls-full", "per_second", "nginx-tuned", 1),
    Goal("TLS: an idle connection takes less memory than nginx's", "tls-idle", "held.memory", "nginx-tuned", 1),
)


def advantage(results: Results, series: str, metric: str, peer: str) -> float | None:
    """How many times better Causeway is than a peer, by medians; below 1 the peer is better.

    None where either has no valid figure.
    """
    found = results.find(series)
    ours, theirs = (found.point(key) if found else None for key in (CAUSEWAY, peer))
    a, b = (point.median(metric) if point else None for point in (ours, theirs))
    if a is None or b is None:
        return None
    return ratio(b, a) if metric.partition(".")[0] in LOWER_IS_BETTER else ratio(a, b)


def verdict(results: Results, goal: Goal) -> tuple[str, str]:
    """Return what was measured, and whether that reaches the goal."""
    found = advantage(results, goal.series, goal.metric, goal.peer)
    if found is None:
        return "–", "not measured"
    if found >= goal.times:
        return f"{found:.2f}×", "reached"
    return f"{found:.2f}×", f"**missed**: {(1 - found / goal.times):.0%} short"
