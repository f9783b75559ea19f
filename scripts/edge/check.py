"""What a check is, and how checks are listed and run."""

from __future__ import annotations

import subprocess
import time
import traceback
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from .stage import Stage

PATIENCE = 60
"""Seconds that one command may take."""


@dataclass(frozen=True)
class Check:
    """One thing that a client tries."""

    client: str
    what: str
    run: Callable[[Stage], None]


CHECKS: list[Check] = []


def check(client: str, what: str) -> Callable[[Callable[[Stage], None]], Callable[[Stage], None]]:
    """List a function, which raises where the proxy isn't as it should be."""

    def listed(run: Callable[[Stage], None]) -> Callable[[Stage], None]:
        CHECKS.append(Check(client, what, run))
        return run

    return listed


class Failed(Exception):
    """The proxy isn't as it should be."""


class Skipped(Exception):
    """This machine's client can't tell."""


def attempt(check: Check, stage: object) -> str:
    """Run a check and print its row of the table; `ok`, `skipped` or `FAILED`."""
    reason: object = None
    try:
        check.run(stage)
    except Skipped as error:
        outcome, reason = "skipped", error
    except Failed as error:
        outcome, reason = "FAILED", error
    except Exception as error:  # noqa: BLE001  a client that fails in its own way is a check that failed
        steps = reversed(traceback.extract_tb(error.__traceback__))
        step = next((f"{at.name}, line {at.lineno}: " for at in steps if "/scripts/" in at.filename), "")
        outcome, reason = "FAILED", f"{step}{type(error).__name__}: {error}"
    else:
        outcome = "ok"
    row = f"  {outcome:8}{check.client:12}{check.what}"
    print(row if reason is None else f"{row}\n    {outcome}: {reason}", flush=True)
    return outcome


def expect(condition: object, *details: object) -> None:
    """Fail with what was found where a condition doesn't hold."""
    if not condition:
        raise Failed("; ".join(str(detail) for detail in details))


def run(*command: object, stdin: str | bytes = b"", seconds: float = PATIENCE) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, both outputs in one."""
    given = stdin.encode() if isinstance(stdin, str) else stdin
    done = subprocess.run(
        [str(word) for word in command],
        input=given, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=seconds, check=False,
    )  # fmt: skip
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(errors="replace"))


def until(condition: Callable[[], object], what: str, seconds: float = 10) -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise Failed(f"not within {seconds:g} s: {what}")
        time.sleep(0.05)
