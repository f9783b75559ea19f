"""testssl.sh: what is offered, against what is expected (testssl.tsv)."""

from __future__ import annotations

import json
import pathlib
import re
from typing import TYPE_CHECKING

from .check import Failed, Skipped, check, expect, run

if TYPE_CHECKING:
    from .stage import Stage

TABLE = pathlib.Path(__file__).with_suffix(".tsv")
LEFT_OUT = ("scanTime", "engine_problem", "service", "pre_128cipher", "optimal_proto", "id", "DROWN_hint")
"""Findings about testssl.sh itself, this machine, or a certificate that is made for the run."""
VERSION = "3.0."
"""Others have other names for what they find."""
SECONDS = 240


def found(stage: Stage) -> dict[str, str]:
    """Ask testssl.sh what is offered: protocols, ciphers, preferences and known weaknesses, by its own names."""
    report = stage.folder / "testssl.json"
    done = run(
        "testssl", "--quiet", "--color", "0", "--warnings", "off", "--nodns", "min", "--ip", "127.0.0.1",
        "--protocols", "--std", "--pfs", "--server-preference", "--vulnerable",
        "--jsonfile", report, f"localhost:{stage.tls}", seconds=SECONDS,
    )  # fmt: skip
    try:
        findings = json.loads(report.read_text())
    except (OSError, ValueError):
        raise Failed(f"testssl.sh ended with {done.returncode} and no report: {done.stdout[-900:]}") from None
    return {row["id"]: row["finding"] for row in findings if not row["id"].startswith(LEFT_OUT)}


def table(rows: dict[str, str]) -> str:
    """Write findings as a file of lines, so that a difference shows."""
    return "".join(f"{name}\t{finding}\n" for name, finding in sorted(rows.items()))


@check("testssl.sh", f"offers exactly what {TABLE.name} has")
def offers(stage: Stage) -> None:
    version = re.search(r"testssl\D*(\d+\.\d+\S*)", re.sub(r"\x1b\[[0-9;]*m", "", run("testssl", "--version").stdout))
    if version is None or not version[1].startswith(VERSION):
        raise Skipped(f"{TABLE.name} is in the words of testssl.sh {VERSION}x, not {version and version[1]}")
    expected = dict(line.split("\t") for line in TABLE.read_text().splitlines())
    rows = found(stage)
    differ = [
        f"{name}: {rows.get(name, 'not reported')}, not {expected.get(name, 'reported')}"
        for name in sorted({*expected, *rows})
        if expected.get(name) != rows.get(name)
    ]
    expect(not differ, *differ)
