"""The command line: measure, report again, clean up."""

from __future__ import annotations

import argparse
import datetime
import fcntl
import os
import secrets
import signal
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from . import compose, engine, images, machine, report, scenarios, sweep
from .bed import Bed, ProxyBed, Setting, StackBed
from .engine import Engine
from .errors import BenchError
from .load import Generator
from .measure import run_scenario
from .peers import PROXIES, STACKS
from .series import Results

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .scenarios import Scenario

ROOT = Path(__file__).resolve().parents[2]
LOCK = Path(tempfile.gettempdir()) / "causeway-bench.lock"
INVALID, FAILED, INTERRUPTED = 1, 2, 130


def main() -> int:
    """Run a command; the exit code is 0, 1 for invalid headline runs, 2 for a failure, 130 for Ctrl-C."""
    arguments = parser().parse_args()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    try:
        return int(arguments.do(arguments))
    except BenchError as error:
        print(f"bench: error: {error}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print("bench: interrupted; its containers and networks are removed", file=sys.stderr)
        return INTERRUPTED


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    top = argparse.ArgumentParser(prog="bench", description=__doc__)
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    run = commands.add_parser("run", help="measure, and write results, tables and plots")
    run.add_argument("--quick", action="store_true", help="a short version, in under three minutes")
    run.add_argument(
        "--only",
        metavar="SCENARIO,…",
        help="some scenarios: " + ", ".join(s.name for s in scenarios.full()),
    )
    run.add_argument("--peers", metavar="PEER,…", help="some peers, e.g. causeway,nginx-tuned")
    run.add_argument("--rounds", type=int, metavar="N", help="rounds instead of each scenario's own number")
    run.add_argument(
        "--seconds",
        type=float,
        metavar="S",
        help="seconds of a round instead of each scenario's own",
    )
    run.add_argument(
        "--cpus",
        type=float,
        default=os.cpu_count() or 1,
        metavar="N",
        help="CPU limit of each container (all CPUs)",
    )
    run.add_argument("--base", metavar="IMAGE", help="Debian image that peers are built on")
    run.add_argument("--oha", type=Path, required=True, metavar="FILE", help="the load generator")
    run.add_argument("--deploy", type=Path, required=True, metavar="FILE", help="what reads compose.yaml")
    run.add_argument("--no-build", action="store_true", help="use the images that are there")
    run.add_argument("--out", type=Path, required=True, metavar="DIR", help="where results go")
    run.set_defaults(do=run_command)
    again = commands.add_parser("report", help="write tables and plots again, from results.json in a folder")
    again.add_argument("out", type=Path, metavar="DIR")
    again.set_defaults(do=lambda given: _report(Results.from_json((given.out / "results.json").read_text()), given.out))
    commands.add_parser("clean", help="remove the harness's images").set_defaults(do=clean_command)
    return top


def run_command(given: argparse.Namespace) -> int:
    """Measure."""
    chosen = choose(given)
    seconds = scenarios.estimate(chosen)
    sweeping = (
        not given.quick
        and any(s.kind == "stack" for s in chosen)
        and (not _peers(given) or sweep.PEER in _peers(given))
    )
    seconds += sweep.estimate(os.cpu_count() or 1) if sweeping else 0
    print(
        f"bench: {len(chosen)} scenarios, about {seconds / 60:.0f} min once images are built; "
        "Ctrl-C stops and cleans up",
        flush=True,
    )
    services = compose.load(ROOT, given.deploy.resolve())
    with _only_one():
        if left := engine.sweep(engine.LABEL):
            print(f"bench: removed {left} containers and networks that an earlier run left")
        # Before anything of ours makes the machine busy.
        run = secrets.token_hex(3)
        warnings = machine.warnings(run)
        for warning in warnings:
            print(f"bench: warning: {warning}", flush=True)
        if not given.no_build:
            images.Sources(ROOT, given.base, given.oha, services).ensure()
        started, begun = datetime.datetime.now(datetime.UTC), time.monotonic()
        with Engine(run) as own:
            gunicorn = sweep.default(os.cpu_count() or 1)
            setting = Setting(own, services, given.cpus, gunicorn, _peers(given))
            results = Results(
                started=started.strftime("%Y-%m-%dT%H:%M:%SZ"),
                minutes=0,
                mode=_mode(given),
                machine=machine.facts(),
                versions={},
                settings={"cpus_per_container": given.cpus},
                warnings=warnings,
            )
            _measure_all(setting, chosen, given, results, sweeping=sweeping)
        results.minutes = (time.monotonic() - begun) / 60
    return _report(results, given.out)


def choose(given: argparse.Namespace) -> list[Scenario]:
    """Select the scenarios that were asked for, with the rounds that were asked for."""
    chosen = scenarios.quick() if given.quick else scenarios.full()
    if given.only:
        names = given.only.split(",")
        unknown = set(names) - {s.name for s in chosen}
        if unknown:
            raise BenchError(
                f"--only: no scenario {', '.join(sorted(unknown))}; there are {', '.join(s.name for s in chosen)}"
            )
        chosen = [s for s in chosen if s.name in names]
    for value, least, name in ((given.rounds, 1, "rounds"), (given.seconds, 0.2, "seconds")):
        if value is not None and value < least:
            raise BenchError(f"--{name} {value}: at least {least} is needed")
    return [replace(s, rounds=given.rounds or s.rounds, seconds=given.seconds or s.seconds) for s in chosen]


def _peers(given: argparse.Namespace) -> frozenset[str]:
    names = frozenset(given.peers.split(",")) if given.peers else frozenset()
    known = {peer.key for peer in (*STACKS, *PROXIES)}
    if names - known:
        raise BenchError(f"--peers: no peer {', '.join(sorted(names - known))}; there are {', '.join(sorted(known))}")
    return names


def clean_command(_: argparse.Namespace) -> int:
    """Remove the harness's images."""
    tags = [images.tag(name) for name in (*images.PEERS, "load", "proxy", "api")]
    there = [tag for tag in tags if engine.image_exists(tag)]
    if there:
        engine.docker("image", "rm", *there)
    print(f"bench: removed {len(there)} images")
    return 0


def _measure_all(
    setting: Setting,
    chosen: list[Scenario],
    given: argparse.Namespace,
    results: Results,
    *,
    sweeping: bool,
) -> None:
    host = Generator.on_host(given.oha)
    mongod = "not measured"
    for kind in ("stack", "proxy", "proxy-quiet", "tls"):
        wanted = [scenario for scenario in chosen if scenario.kind == kind]
        if not wanted:
            continue
        bed: Bed
        if kind == "stack":
            bed = stacks = StackBed(setting)
            mongod = stacks.database.version
            if sweeping:
                setting.gunicorn, results.sweep = sweep.sweep(stacks, os.cpu_count() or 1)
            results.settings["gunicorn"] = str(setting.gunicorn)
        else:
            bed = ProxyBed(setting, kind)
        results.series += [run_scenario(bed, scenario, host) for scenario in wanted]
        bed.close()
    results.versions = machine.versions(ROOT, setting.services, mongod)


def _report(results: Results, out: Path) -> int:
    report.write(results, out)
    invalid = [
        f"{series.name}, {point.peer}: {problem}"
        for series in results.series
        if series.name in scenarios.HEADLINES
        for point in series.points
        for problem in point.problems()
    ]
    for line in invalid:
        print(f"bench: INVALID {line}", file=sys.stderr)
    return INVALID if invalid else 0


def _mode(given: argparse.Namespace) -> str:
    parts = ["quick" if given.quick else "full"]
    parts += [f"{name} {value}" for name in ("only", "peers", "rounds", "seconds") if (value := getattr(given, name))]
    return ", ".join(parts)


@contextmanager
def _only_one() -> Iterator[None]:
    """Two benchmarks at a time would measure each other, and clean up after each other."""
    with LOCK.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise BenchError("another benchmark is running on this machine") from None
        yield


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt
