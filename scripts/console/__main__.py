"""Runs the checks and shows them as a table."""

from __future__ import annotations

import argparse
import pathlib
import sys
import time

from edge.check import CHECKS, Check, Failed, attempt
from playwright.sync_api import Error as BrowserError
from trial import TARGET

from . import access, alerts, detail, hostile, keys, live, looks, lists, pictures  # noqa: F401  they list their checks
from .stage import Stage, given, own


def main() -> int:
    """Run; 1 where a check failed, 2 where they couldn't be run."""
    areas = list(dict.fromkeys(check.client for check in CHECKS))
    parser = argparse.ArgumentParser(prog="try-console", description=__doc__)
    parser.add_argument("--only", metavar="AREA,…", help=f"some of {', '.join(areas)}")
    parser.add_argument("--console", metavar="URL", help="a console that runs")
    parser.add_argument("--requests", metavar="URL", help="where requests that it shows are recorded")
    parser.add_argument("--token", metavar="FILE", type=pathlib.Path, help="file with the token to log in with")
    parser.add_argument("--screenshots", metavar="DIR", type=pathlib.Path, help="take pictures, and check nothing")
    arguments = parser.parse_args()
    chosen = arguments.only.split(",") if arguments.only else areas
    if unknown := set(chosen) - set(areas):
        parser.error(f"--only: no area {', '.join(sorted(unknown))}; there are {', '.join(areas)}")
    running = (arguments.console, arguments.requests, arguments.token)
    if any(running) and not all(running):
        parser.error("--console, --requests and --token go together")
    binaries = (TARGET / "debug").resolve()
    if not any(running) and not all((binaries / name).is_file() for name in ("api", "console")):
        parser.error(f"there is no api or no console in {binaries}: cargo build --bin api --bin console")
    try:
        with given(*running) if all(running) else own(binaries) as stage:
            if arguments.screenshots:
                pictures.take(stage, arguments.screenshots)
                return 0
            failed = run_all([check for check in CHECKS if check.client in chosen], stage)
    except (Failed, OSError, BrowserError) as error:
        print(f"console: error: {error}", file=sys.stderr)
        return 2
    return 1 if failed else 0


def run_all(checks: list[Check], stage: Stage) -> int:
    """Run checks one by one; return how many failed."""
    begun = time.monotonic()
    outcomes = [attempt(check, stage) for check in checks]
    print(f"console: {outcomes.count('ok')} of {len(checks)} checks passed in {time.monotonic() - begun:.0f} s")
    return outcomes.count("FAILED")


sys.exit(main())
