"""The best gunicorn setting on this machine, so that the tuned Python stack is at its best."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .load import Load
from .measure import measure
from .peers import Gunicorn
from .series import Point

if TYPE_CHECKING:
    from .bed import StackBed

PEER = "tuned"
ROUNDS = 3
SECONDS = 2.0
THREADS = (4, 16, 32)


def default(cpus: int) -> Gunicorn:
    """Setting without a sweep: what the sweep chose on two CPUs, scaled."""
    return Gunicorn(workers=cpus, threads=16)


def candidates(cpus: int) -> list[Gunicorn]:
    """Settings to try: gunicorn's own advice of 2 × CPUs + 1 workers, and fewer."""
    workers = sorted({cpus, 2 * cpus, 2 * cpus + 1})
    return [Gunicorn(w, t) for w in workers for t in THREADS]


def estimate(cpus: int) -> float:
    """Seconds that a sweep takes."""
    return len(candidates(cpus)) * (ROUNDS * (SECONDS + 0.5) + 5)


def sweep(bed: StackBed, cpus: int) -> tuple[Gunicorn, list[dict[str, Any]]]:
    """Try each setting under the main load; return the one with the most requests per second."""
    print(f"\nbench: gunicorn's best setting: {len(candidates(cpus))} candidates", flush=True)
    table: list[dict[str, Any]] = []
    for gunicorn in candidates(cpus):
        bed.start_peer(PEER, gunicorn)
        source = (bed.generator, bed.address(PEER))
        measure(bed, PEER, Load(), 1.0, source)
        point = Point(PEER, None, [measure(bed, PEER, Load(), SECONDS, source) for _ in range(ROUNDS)])
        rate, p99 = point.median("per_second"), point.median("p99")
        table.append(
            {
                "workers": gunicorn.workers,
                "threads": gunicorn.threads,
                "per_second": rate,
                "p99": p99,
            }
        )
        print(f"  {gunicorn}: {'invalid' if rate is None else f'{rate:,.0f} requests/s'}", flush=True)
    best = max(table, key=lambda row: row["per_second"] or 0)
    chosen = Gunicorn(best["workers"], best["threads"])
    bed.start_peer(PEER, chosen)
    print(f"bench: gunicorn runs with {chosen}", flush=True)
    return chosen, table
