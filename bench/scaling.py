#!/usr/bin/env python3
"""What N nodes carry (docs/scaling.md), by the model of harness/scaling.py.

    bench/scaling.py table [--results FILE] [--cores 8] [--body 1024] …    print the tables
    bench/scaling.py write                                                 put them into docs/scaling.md
    bench/scaling.py measure --deploy target/deploy --seconds 20           on the bed of three machines

Costs are a benchmark's, of this machine if you measure them: make bench BENCH='--only stack-connections --peers
causeway', then --results target/bench/some/results.json.
"""

import argparse
import dataclasses
import sys
from pathlib import Path

from harness import nodes, scaling
from harness.errors import BenchError
from harness.series import Results

TOP = Path(__file__).resolve().parent.parent
RESULTS = TOP / "docs/benchmarks/results.json"
WIRE = TOP / "bench/scaling.json"
DOCUMENT = TOP / "docs/scaling.md"
SET_FACTOR = 2.2
"""docs/replica-set.md: 7.2 against 3.2 ms for a document alone in its batch, 0.21 against 0.094 for 64."""
VARIANTS = {
    "standalone": scaling.Setting(),
    "replica set": scaling.Setting(set_factor=SET_FACTOR),
    "eight cores": scaling.Setting(cores=8),
    "bodies of 16 KiB": scaling.Setting(body=16 << 10),
    "four shards": scaling.Setting(shards=4),
}
"""The tables of the document, by name."""


def read(results: Path, wire: Path) -> tuple[dict[str, scaling.Cost], scaling.Measured]:
    """Read the costs, and what was measured on the bed; with mongod's memory once its cache is full."""
    benchmark = Results.from_json(results.read_text(encoding="utf-8"))
    measured = scaling.Measured.read(wire)
    mongo = max(measured.memory["mongo"], scaling.held_by_mongod(benchmark))
    return scaling.costs(benchmark), dataclasses.replace(measured, memory=measured.memory | {"mongo": mongo})


def document_tables(results: Path, wire: Path) -> dict[str, str]:
    """Every table of docs/scaling.md, by its name there."""
    costs, measured = read(results, wire)
    tables = {name: scaling.table(costs, measured, setting) for name, setting in VARIANTS.items()}
    return tables | {
        "costs": scaling.cost_table(costs),
        "traffic": scaling.traffic_table(measured),
        "memory": scaling.memory_table(scaling.Measured.read(wire)),
        "bed": scaling.bed_table(measured),
    }


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    top = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = top.add_subparsers(dest="command", required=True)
    table = commands.add_parser("table")
    table.add_argument("--results", type=Path, default=RESULTS, help="a benchmark's results.json")
    table.add_argument("--wire", type=Path, default=WIRE, help="what `measure` wrote")
    for name in (it.name for it in dataclasses.fields(scaling.Setting)):
        default = getattr(scaling.Setting, name)
        table.add_argument(f"--{name.replace('_', '-')}", type=type(default), default=default)
    commands.add_parser("write")
    measure = commands.add_parser("measure")
    measure.add_argument("--deploy", default="target/deploy", help="the deploy command")
    measure.add_argument("--seconds", type=float, default=20, help="of load for each point")
    measure.add_argument("--out", type=Path, default=WIRE)
    return top


def main() -> int:
    """Do what the command line says."""
    given = parser().parse_args()
    try:
        if given.command == "table":
            costs, measured = read(given.results, given.wire)
            names = [it.name for it in dataclasses.fields(scaling.Setting)]
            setting = scaling.Setting(**{name: getattr(given, name) for name in names})
            print(scaling.cost_table(costs), end="\n\n")
            print(scaling.table(costs, measured, setting))
        elif given.command == "write":
            text = scaling.filled(DOCUMENT.read_text(encoding="utf-8"), document_tables(RESULTS, WIRE))
            DOCUMENT.write_text(text, encoding="utf-8")
        else:
            given.out.write_text(nodes.to_json(nodes.measure(given.deploy, given.seconds)), encoding="utf-8")
    except (BenchError, ValueError) as error:
        print(f"scaling: error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
