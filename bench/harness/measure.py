"""Measuring: peers in turn, round after round, so that whatever drifts drifts for all."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from .bed import Bed, ProxyBed, StackBed
from .cgroup import CpuAccount, Meter
from .errors import BenchError
from .load import LoadResult
from .machine import busy_microseconds
from .series import Documents, Held, Point, Run, Series, Usage

if TYPE_CHECKING:
    from .engine import Container
    from .load import Generator, Load
    from .scenarios import Scenario

SETTLE = 1.0
"""Seconds after which a proxy has given back what only opening connections took."""
SATURATED = 0.95
"""Share of a fixed rate below which a peer can't keep up; higher rates are not tried on it."""


def run_scenario(bed: Bed, scenario: Scenario, host: Generator) -> Series:
    """Measure one scenario on a bed of its kind; `host` is oha on this machine."""
    axis = f"{scenario.axis} [{scenario.unit}]" if scenario.unit else scenario.axis
    series = Series(scenario.name, scenario.title, scenario.kind, axis, scenario.note)
    saturated: set[str] = set()
    print(f"\nbench: {scenario.name}: {scenario.rounds} rounds of {scenario.seconds:g} s", flush=True)
    for x in scenario.values:
        members = [peer.key for peer in bed.members if peer.key not in saturated]
        _prepare(bed, scenario, x)
        for peer in [] if scenario.held else members:
            _once(bed, scenario, x, peer, scenario.warm_up, host)
        points = {peer: Point(peer, x) for peer in members}
        for _ in range(scenario.rounds):
            for peer, point in points.items():
                point.runs.append(_once(bed, scenario, x, peer, scenario.seconds, host))
        series.points += points.values()
        for peer, point in points.items():
            _say(scenario, point)
            rate = point.median("per_second")
            if scenario.axis == "rate" and (rate is None or rate < SATURATED * (x or 0)):
                saturated.add(peer)
                print(
                    f"  {peer} can't keep up with {x} requests/s: no higher rate is tried on it",
                    flush=True,
                )
    _restore(bed, scenario)
    return series


def _prepare(bed: Bed, scenario: Scenario, x: int | None) -> None:
    if not isinstance(bed, StackBed):
        return
    if scenario.axis == "documents":
        bed.seed(x or 0)
    if scenario.axis == "replicas":
        for peer in bed.members:
            bed.start_peer(peer.key, bed.setting.gunicorn, replicas=x or 1)


def _restore(bed: Bed, scenario: Scenario) -> None:
    """Leave the bed as the next scenario expects it."""
    if not isinstance(bed, StackBed):
        return
    if scenario.axis == "documents":
        bed.seed(0)
    if scenario.axis == "replicas":
        for peer in bed.members:
            bed.start_peer(peer.key, bed.setting.gunicorn)


def _once(bed: Bed, scenario: Scenario, x: int | None, peer: str, seconds: float, host: Generator) -> Run:
    load = scenario.at(x)
    if scenario.held:
        return measure_held(bed, peer, load)
    if scenario.published:
        return measure(bed, peer, load, seconds, (host, bed.published(peer)))
    return measure(bed, peer, load, seconds, (bed.generator, bed.address(peer, load.port)))


def measure(bed: Bed, peer: str, load: Load, seconds: float, source: tuple[Generator, str]) -> Run:
    """Put `load` on one peer for `seconds` from `source`, and read every account before and after."""
    bed.before_run()
    groups = dict(bed.roles[peer])
    if bed.generator_container:
        groups["load"] = [bed.generator_container]
    meters = {role: [_meter(bed, container) for container in group] for role, group in groups.items()}
    for group in meters.values():
        for meter in group:
            meter.reset_peak()
    machine_before = busy_microseconds()
    before = {role: _cpu(group) for role, group in meters.items()}
    generator, address = source
    try:
        result = generator.run(load, address, seconds)
    except BenchError as error:
        raise BenchError(f"{peer}: {error}\n{bed.logs(peer)}") from None
    after = {role: _cpu(group) for role, group in meters.items()}
    machine = busy_microseconds() - machine_before
    requests = max(result.answered, 1)
    usage = {}
    for role, group in meters.items():
        peaks = [meter.peak() for meter in group]
        usage[role] = Usage(
            cpu=(after[role] - before[role]).split(requests),
            resident=sum(meter.resident() for meter in group),
            peak=None if None in peaks else sum(peak for peak in peaks if peak is not None),
        )
    run = Run(result, usage, machine / requests)
    stored = bed.stored()
    return run if stored is None else replace(run, documents=Documents(result.answered, stored))


def measure_held(bed: Bed, peer: str, load: Load) -> Run:
    """Hold idle connections to a peer that was just started; read its memory before and meanwhile."""
    if not isinstance(bed, ProxyBed):
        raise BenchError("connections are held to proxies alone")
    bed.start_peer(peer)
    meter = _meter(bed, bed.roles[peer]["front"][0])
    count = load.connections
    memory, pss = meter.charged(), meter.proportional()
    machine, cpu, begun = busy_microseconds(), meter.cpu(), time.monotonic()

    def meanwhile() -> Run:
        opened = LoadResult(time.monotonic() - begun, count, None, None, None, {"200": count})
        usage = Usage((meter.cpu() - cpu).split(count), meter.resident(), meter.peak())
        spent = (busy_microseconds() - machine) / count
        time.sleep(SETTLE)
        held = Held((meter.charged() - memory) / count, (meter.proportional() - pss) / count)
        return Run(opened, {"front": usage}, spent, held=held)

    try:
        run, closed = bed.generator.hold(count, bed.address(peer, load.port), meanwhile)
    except BenchError as error:
        raise BenchError(f"{peer}: {error}\n{bed.logs(peer)}") from None
    errors = {"closed while it was idle": closed} if closed else {}
    return replace(run, load=replace(run.load, errors=errors))


def _meter(bed: Bed, container: Container) -> Meter:
    try:
        return Meter(container.pid)
    except BenchError as error:
        raise BenchError(f"{container.name}: {error}\n{bed.setting.engine.logs(container.id)}") from None


def _cpu(group: list[Meter]) -> CpuAccount:
    return sum((meter.cpu() for meter in group), CpuAccount(0, 0, 0))


def _say(scenario: Scenario, point: Point) -> None:
    where = "" if point.x is None else f"{scenario.axis}={point.x:,.0f}"
    rate, p99, cpu = (point.spread(metric) for metric in ("per_second", "p99", "cpu.front"))
    figures = "no valid figure"
    if (memory := point.spread("held.memory")) and (pss := point.spread("held.pss")):
        figures = f"{memory.median / 1024:6.1f} (±{memory.iqr / 2048:.1f}) KiB/connection, PSS {pss.median / 1024:.1f}"
    elif rate and p99 and cpu:
        figures = (
            f"{rate.median:9,.0f} requests/s (±{rate.iqr / 2:,.0f})  p99 {p99.median:8.2f} ms  "
            f"front {cpu.median:6.1f} µs/request"
        )
    print(f"  {time.strftime('%H:%M:%S')} {where:18} {point.peer:15} {figures}", flush=True)
    for problem in point.problems():
        print(f"    INVALID {problem}", flush=True)
