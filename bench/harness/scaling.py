"""What N nodes carry: a small model, from what a request costs each part.

A request costs a part what it takes each time, and a share of what is done once for a batch: for what is
written or read together. `cost = each + together / batch + kib × KiB of body`, in CPU µs. While one batch is with MongoDB the
next one gathers, so half of an API's requests under way are one batch.
"""

from __future__ import annotations

import json
import statistics
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from .series import Results, Series

PARTS = ("front", "app", "mongo", "rest")
"""Proxy, API, mongod; and what is on no container's account: interrupts, the engine, its logs."""
PEER = "causeway"
FITTED = "stack-connections"
MOST_IN_FLIGHT = 256
"""Beyond, connections cost more than they bring together."""
BODIES = "stack-body"
KIB = 1024
VXLAN = 50
"""Bytes around each packet between nodes: IPv4 20, UDP 8, VXLAN 8, Ethernet 14."""
MICROSECONDS = 1e6
IN_FLIGHT = 16
"""Requests under way for each API on the bed."""
NODES = (1, 2, 3, 5, 10, 20, 50, 100)
MAJORITY = 3
"""Members of a replica set, on a node each."""


def batch(in_flight: float) -> float:
    """Documents in a batch, of an API with so many requests under way."""
    return max(1.0, in_flight / 2)


@dataclass(frozen=True)
class Cost:
    """CPU µs of one part."""

    each: float
    """For a request."""
    together: float
    """For a batch."""
    kib: float = 0.0
    """For each KiB of a request's body."""

    def at(self, in_flight: float, body: int = 0, pieces: float = 1) -> float:
        """CPU µs for a request where so many are under way, and each batch goes to `pieces` servers."""
        return self.each + self.together / max(1.0, batch(in_flight) / pieces) + self.kib * body / KIB

    @classmethod
    def fit(cls, points: dict[float, float]) -> Cost:
        """Find the two figures from µs by requests under way: least squares of the relative errors."""
        xs = [1 / batch(in_flight) for in_flight in points]
        weights = [1 / value**2 for value in points.values()]
        ys = list(points.values())
        total = sum(weights)
        mean_x = sum(w * x for w, x in zip(weights, xs, strict=True)) / total
        mean_y = sum(w * y for w, y in zip(weights, ys, strict=True)) / total
        over = sum(w * (x - mean_x) * (y - mean_y) for w, x, y in zip(weights, xs, ys, strict=True))
        under = sum(w * (x - mean_x) ** 2 for w, x in zip(weights, xs, strict=True))
        slope = max(0.0, over / under) if under else 0.0
        return cls(max(0.0, mean_y - slope * mean_x), slope)


def costs(results: Results) -> dict[str, Cost]:
    """Each part's cost, from a benchmark's series over connections to one API.

    Raises:
        ValueError: when the results have no such series.

    """
    series = next((s for s in results.series if s.name == FITTED), None)
    points = [p for p in series.curve(PEER) if p.counts() and (p.x or 0) <= MOST_IN_FLIGHT] if series else []
    if not points:
        raise ValueError(f"the results have no series {FITTED} of {PEER}: make bench BENCH='--only {FITTED}'")
    found: dict[str, dict[float, float]] = {part: {} for part in PARTS}
    for point in points:
        accounts = {role: point.median(f"cpu.{role}") or 0.0 for role in ("front", "app", "mongo", "load")}
        accounts["rest"] = max(0.1, (point.median("machine_cpu") or 0.0) - sum(accounts.values()))
        for part in PARTS:
            found[part][point.x or 1] = accounts[part]
    bodies = next((s for s in results.series if s.name == BODIES), None)
    return {part: replace(Cost.fit(values), kib=_for_a_kib(bodies, part)) for part, values in found.items()}


def _for_a_kib(bodies: Series | None, part: str) -> float:
    """CPU µs that a KiB of body adds to a part: the median over the sizes that were measured; 0 where none was."""
    measured = {p.x: p.median(f"cpu.{part}") for p in bodies.curve(PEER)} if bodies else {}
    without = measured.pop(0, None)
    if without is None:
        return 0.0
    added = [(cost - without) / size * KIB for size, cost in measured.items() if size and cost is not None]
    return max(0.0, statistics.median(added)) if added else 0.0


def held_by_mongod(results: Results) -> float:
    """MiB that mongod held at most at the end of a round of a benchmark, its cache full."""
    points = [p for s in results.series if s.kind == "stack" for p in s.curve(PEER)]
    return max((p.median("resident.mongo") or 0 for p in points), default=0) / 2**20


@dataclass(frozen=True)
class Traffic:
    """What one request moves on one network, both directions separately, as its receiver's interface counts it."""

    forth: float
    """Bytes towards the database."""
    back: float
    """Bytes of the answer."""
    packets_forth: float
    packets_back: float

    def outside(self) -> tuple[float, float]:
        """Bytes forth and back where it goes from node to node."""
        return self.forth + VXLAN * self.packets_forth, self.back + VXLAN * self.packets_back


@dataclass(frozen=True)
class Measured:
    """What the bed of three nodes told (bench/scaling.json)."""

    traffic: dict[str, Traffic]
    """`client`, `public` (proxy to API) and `private` (API to mongod)."""
    memory: dict[str, float]
    """MiB of each part, and of a node's engine."""
    points: list[dict[str, Any]]
    """Every point, as harness/nodes.py wrote it."""

    def ping(self) -> float:
        """Tell what a request that only asks mongod whether it is there costs it, as a share of one that is stored."""
        by_path = {point["path"]: point["cpu"]["mongo"] for point in self.points}
        return by_path["/hello"] / by_path["/"]

    @classmethod
    def read(cls, path: Path) -> Measured:
        """Read it back."""
        data = json.loads(path.read_text(encoding="utf-8"))
        return cls({name: Traffic(**value) for name, value in data["traffic"].items()}, data["memory"], data["points"])


@dataclass(frozen=True)
class Setting:
    """What is to be predicted."""

    cores: float = 2
    """Of each node."""
    mbit: float = 1000
    """Each node's link, each way."""
    in_flight: float = 64
    """Requests under way at each API, one API on each node."""
    body: int = 0
    """Bytes of a request's body."""
    busy: float = 0.8
    """Of a processor that is planned with: beyond, latency grows."""
    near: float = 0.0
    """Share of the requests that a proxy gives to its own node's API, beyond what chance does."""
    set_factor: float = 1.0
    """What a replica set costs mongod, as a multiple of a standalone."""
    shards: int = 1
    writes: float = 1.0
    """Share of the requests that are stored; the others are `/hello`."""


@dataclass(frozen=True)
class Carried:
    """What N nodes carry."""

    nodes: int
    per_second: float
    limit: str
    mongo_cores: float
    """Of mongod, at that rate."""
    database_mbit: float
    """On the busier direction of the database's node's link, at that rate."""
    other_mbit: float
    """The same for any other node; the first one's where there is no other."""
    database_mib: float
    """Memory that the parts on the database's node hold."""
    other_mib: float


def predict(nodes: int, costs: dict[str, Cost], measured: Measured, setting: Setting) -> Carried:
    """Requests/s of `nodes` nodes, each with proxy and API, the database on the first (`shards` nodes)."""
    shards = min(setting.shards, nodes)
    body = setting.body
    spread = sum(costs[part].at(setting.in_flight, body) for part in ("front", "app", "rest")) / nodes
    stored = costs["mongo"].at(setting.in_flight * setting.writes, body, shards) * setting.set_factor
    asked = costs["mongo"].at(IN_FLIGHT) * measured.ping() if setting.writes < 1 else 0.0
    mongo = (setting.writes * stored + (1 - setting.writes) * asked) / shards
    processor = setting.cores * setting.busy * MICROSECONDS
    database_bytes, other_bytes = _bytes(nodes, measured, setting, shards)
    link = setting.mbit * MICROSECONDS / 8
    limits = {
        "mongod's processor": processor / (mongo + spread),
        "a node's processor": processor / spread if nodes > shards else float("inf"),
        "the database's link": link / database_bytes,
        "a node's link": link / other_bytes,
    }
    name = min(limits, key=lambda it: limits[it])
    rate = limits[name]
    if name == "mongod's processor" and spread > mongo:
        name = "a node's processor"
    memory = measured.memory
    beside = memory["engine"] + memory["proxy"] + memory["listener"] + memory["api"]
    return Carried(
        nodes, rate, name, rate * mongo / MICROSECONDS,
        rate * database_bytes * 8 / MICROSECONDS, rate * other_bytes * 8 / MICROSECONDS,
        beside + memory["mongo"], beside,
    )  # fmt: skip


def _bytes(nodes: int, measured: Measured, setting: Setting, shards: int) -> tuple[float, float]:
    """Bytes for each request, on the busier direction of the links of a node with the database, and of another."""
    client, public, private = (measured.traffic[name] for name in ("client", "public", "private"))
    share = 1 / nodes
    far = (1 - share) * (1 - setting.near)
    elsewhere = 1 - share * shards if nodes > shards else 1 - share
    public_forth, public_back = public.outside()
    private_forth, private_back = private.outside()
    body = setting.body
    # A node's proxy takes its share of the clients' requests and hands most of them on; as many come to its API.
    taken = share * (client.forth + body) + share * far * (public_forth + body + public_back)
    given = share * client.back + share * far * (public_back + public_forth + body)
    to_database = elsewhere / shards * (private_forth + body) * setting.writes
    from_database = elsewhere / shards * private_back
    away = share if nodes > 1 else 0
    other = max(taken + away * private_back, given + away * (private_forth + body))
    return max(taken + to_database, given + from_database), other


def between(nodes: int, measured: Measured, near: float = 0.0) -> float:
    """Bytes that go from node to node for each request, both ways, on all nodes together."""
    far = (1 - 1 / nodes) * (1 - near)
    return far * sum(measured.traffic["public"].outside()) + (1 - 1 / nodes) * sum(measured.traffic["private"].outside())


def bed_table(measured: Measured) -> str:
    """Lay out what the bed told, beside what the model says of the bytes between nodes."""
    lines = [
        "| nodes | requests | proxy, µs | API, µs | mongod, µs | listener, µs | bytes between nodes | by the model |",
        "|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for point in measured.points:
        cpu = point["cpu"]
        said = f"{between(point['nodes'], measured):,.0f}" if point["path"] == "/" else "–"
        lines.append(
            f"| {point['nodes']}{' (`/hello`)' if point['path'] != '/' else ''} | {point['requests']:,} | {cpu['front']:.0f} "
            f"| {cpu['app']:.0f} | {cpu['mongo']:.0f} | {cpu['listener']:.1f} | {point['between']:,.0f} "
            f"| {said} |"
        )
    return "\n".join(lines)


def traffic_table(measured: Measured) -> str:
    """Lay out what one request moves on each network."""
    lines = [
        "| network | bytes forth | back | packets forth | back | with VXLAN, forth | back |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    names = {"client": "client to proxy", "public": "proxy to API", "private": "API to mongod"}
    for name, it in measured.traffic.items():
        forth, back = it.outside()
        around = "– | –" if name == "client" else f"{forth:,.0f} | {back:,.0f}"
        lines.append(
            f"| {names[name]} | {it.forth:,.0f} | {it.back:,.0f} | {it.packets_forth:.2f} | {it.packets_back:.2f} "
            f"| {around} |"
        )
    return "\n".join(lines)


def memory_table(measured: Measured) -> str:
    """Lay out what each part holds."""
    names = " | ".join(measured.memory)
    values = " | ".join(f"{value:.1f}" for value in measured.memory.values())
    return f"| MiB | {names} |\n|---|{'--:|' * len(measured.memory)}\n| held | {values} |"


def table(costs: dict[str, Cost], measured: Measured, setting: Setting) -> str:
    """Lay out what 1 to 100 nodes carry, as a table of Markdown."""
    lines = [
        "| nodes | requests/s | the limit | mongod's cores | database's link, Mbit/s | another's, Mbit/s "
        "| memory with the database, MiB | without, MiB |",
        "|--:|--:|---|--:|--:|--:|--:|--:|",
    ]
    for nodes in NODES:
        it = predict(nodes, costs, measured, setting)
        lines.append(
            f"| {nodes} | {_rounded(it.per_second)} | {it.limit} | {it.mongo_cores:.1f} | {it.database_mbit:.0f} "
            f"| {it.other_mbit:.0f} | {it.database_mib:.0f} | {it.other_mib:.0f} |"
        )
    return "\n".join(lines)


def cost_table(costs: dict[str, Cost]) -> str:
    """Lay out each part's cost alone, and in batches."""
    in_flight = (1, 8, 16, 64, 256)
    names = {"front": "proxy", "app": "API", "mongo": "mongod", "rest": "kernel, engine, logs"}
    lines = [
        "| CPU µs a request | each | once a batch | for a KiB of body | " + " | ".join(f"{k} under way" for k in in_flight) + " |",
        "|---|--:|--:|--:|" + "--:|" * len(in_flight),
    ]
    for part in PARTS:
        cost = costs[part]
        values = " | ".join(f"{cost.at(k):.0f}" for k in in_flight)
        lines.append(f"| {names[part]} | {cost.each:.0f} | {cost.together:.0f} | {cost.kib:.1f} | {values} |")
    return "\n".join(lines)


def _rounded(rate: float) -> str:
    """Three figures: more would pretend."""
    magnitude = 10 ** max(0, len(str(int(rate))) - 3)
    return f"{round(rate / magnitude) * magnitude:,}"


def filled(document: str, tables: dict[str, str]) -> str:
    """Put tables into a document, between the comments that bear their names.

    Raises:
        ValueError: when the document has no place for one.

    """
    for name, text in tables.items():
        begin, end = f"<!-- {name} -->\n", f"\n<!-- /{name} -->"
        before, found, rest = document.partition(begin)
        _, closed, after = rest.partition(end)
        if not found or not closed:
            raise ValueError(f"no place for the table {name}: expected {begin.strip()} and {end.strip()}")
        document = before + begin + text + end + after
    return document
