"""Runs the checks and shows them as a table."""

from __future__ import annotations

import argparse
import pathlib
import sys
import threading
import time

from trial import TARGET

from . import browser, curl, frames, nghttp2, openssl, python_httpx, testssl  # noqa: F401  they list their checks
from .check import CHECKS, Check, Failed, attempt
from .stage import Stage, stage

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
    outcomes: list[str] = []
    begun = time.monotonic()

    def run(check: Check) -> None:
        outcomes.append(attempt(check, place))

    aside = [threading.Thread(target=run, args=(check,)) for check in checks if check.client == ASIDE]
    for thread in aside:
        thread.start()
    for check in checks:
        if check.client != ASIDE:
            run(check)
    for thread in aside:
        thread.join()
    print(f"edge: {outcomes.count('ok')} of {len(checks)} checks passed in {time.monotonic() - begun:.0f} s")
    return outcomes.count("FAILED")


sys.exit(main())
