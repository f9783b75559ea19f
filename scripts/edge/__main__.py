"""Runs the checks and shows them as a table."""

from __future__ import annotations

import argparse
import os
import pathlib
import sys
import threading
import time

from . import browser, curl, frames, nghttp2, openssl, python_httpx, testssl  # noqa: F401  they list their checks
from .check import CHECKS, Check, Failed
from .stage import Stage, stage

TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", pathlib.Path(__file__).parents[2] / "target"))
ASIDE = "testssl.sh"
"""Takes longer than all others together, and little of the processors."""


def main() -> int:
    """Run; 1 where a check failed, 2 where they couldn't be run."""
    clients = list(dict.fromkeys(check.client for check in CHECKS))
    parser = argparse.ArgumentParser(prog="try-edge", description=__doc__)
    parser.add_argument("--only", metavar="CLIENT,…", help=f"some of {', '.join(clients)}")
    parser.add_argument("--proxy", type=pathlib.Path, default=TARGET / "debug/proxy", metavar="FILE")
    parser.add_argument("--table", action="store_true", help=f"write {testssl.TABLE.name}")
    given = parser.parse_args()
    chosen = given.only.split(",") if given.only else clients
    if unknown := set(chosen) - set(clients):
        parser.error(f"--only: no client {', '.join(sorted(unknown))}; there are {', '.join(clients)}")
    if not given.proxy.is_file():
        parser.error(f"there is no proxy at {given.proxy}: cargo build -p proxy")
    try:
        with stage(given.proxy.resolve()) as place:
            if given.table:
                testssl.TABLE.write_text(testssl.table(testssl.found(place)))
                return 0
            failed = run_all([check for check in CHECKS if check.client in chosen], place)
    except Failed as error:
        print(f"edge: error: {error}", file=sys.stderr)
        return 2
    return 1 if failed else 0


def run_all(checks: list[Check], place: Stage) -> int:
    """Run checks one by one, the long one beside them; return how many failed."""
    outcomes: dict[Check, str | None] = {}
    begun = time.monotonic()

    def attempt(check: Check) -> None:
        try:
            check.run(place)
        except Failed as error:
            outcomes[check] = str(error)
        except Exception as error:  # noqa: BLE001  a client that fails in its own way is a check that failed
            outcomes[check] = f"{type(error).__name__}: {error}"
        else:
            outcomes[check] = None
        show(check, outcomes[check])

    aside = [threading.Thread(target=attempt, args=(check,)) for check in checks if check.client == ASIDE]
    for thread in aside:
        thread.start()
    for check in checks:
        if check.client != ASIDE:
            attempt(check)
    for thread in aside:
        thread.join()
    failed = sum(reason is not None for reason in outcomes.values())
    print(f"edge: {len(outcomes) - failed} of {len(outcomes)} checks passed in {time.monotonic() - begun:.0f} s")
    return failed


def show(check: Check, reason: str | None) -> None:
    """Print a row of the table."""
    print(f"  {'ok' if reason is None else 'FAILED':8}{check.client:12}{check.what}", flush=True)
    if reason is not None:
        print(f"    error: {reason}", flush=True)


sys.exit(main())
