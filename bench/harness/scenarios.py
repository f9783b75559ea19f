"""What is measured: the scenarios of a full and of a quick run, and how long they take."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from . import peers
from .load import Load

RUN_OVERHEAD = 0.9
"""Seconds around each run for emptying the database, counting and reading accounts."""
BED_OVERHEAD = {"stack": 25.0, "proxy": 6.0}
"""Seconds to set up the containers of a kind of scenario."""
HOLD_SECONDS = 9.0
"""Seconds to start a front, and to open and close the connections that are held on it."""
SECONDS_PER_SEED = 90e-6
"""Seconds that one seeded document takes under an emulated mongod."""
HEADLINES = ("stack", "proxy")
"""The scenarios that the goals are about; an invalid run in one of them fails the benchmark."""


@dataclass(frozen=True)
class Scenario:
    """One series to measure: every peer, round after round, at each value of x."""

    name: str
    title: str
    kind: str
    """`stack`, `proxy`, `proxy-quiet` for proxies without access logs, or `tls` for those of them that have TLS."""
    note: str
    rounds: int
    seconds: float
    """Of each round."""
    warm_up: float
    """Seconds before the first round, at each value of x."""
    load: Load = field(default_factory=Load)
    axis: str | None = None
    """What x is: a field of `load`, or `replicas`, or `documents`."""
    unit: str = ""
    values: tuple[int | None, ...] = (None,)
    published: bool = False
    """Load from this machine through the published port, not on the peers' network."""
    held: bool = False
    """What is measured is the memory of `load.connections` idle connections, on a front that was just started."""

    def at(self, x: int | None) -> Load:
        """Load at a value of x."""
        return replace(self.load, **{self.axis: x}) if self.axis in ("connections", "body", "rate") else self.load

    def estimate(self) -> float:
        """Seconds that it takes, beds aside."""
        count = len(peers.members(self.kind))
        if self.held:
            return count * self.rounds * HOLD_SECONDS
        run = self.warm_up + RUN_OVERHEAD + self.rounds * (self.seconds + RUN_OVERHEAD)
        extra = 0.0
        if self.axis == "documents":
            extra = sum(SECONDS_PER_SEED * (x or 0) + 2 for x in self.values)
            extra += len(self.values) * count * self.rounds * 2  # taking back what was stored
        if self.axis == "replicas":
            extra = len(self.values) * count * 5.0
        return len(self.values) * count * run + extra


PROXY_NOTE = (
    "64 connections, GET /. Every proxy logs each request to standard output, collected by the engine's "
    "json-file driver with compose.yaml's rotation: nginx (exercise) and HAProxy line by line, nginx (tuned) "
    "through a 64 KiB buffer, Caddy and Causeway as JSON."
)


TLS_NOTE = "TLS 1.3 with AES-128-GCM and X25519, one ECDSA P-256 certificate, no access logs."


def tls() -> list[Scenario]:
    """TLS and HTTP/2."""
    times = {"rounds": 5, "seconds": 2.0, "warm_up": 1.0}

    def scenario(name: str, title: str, note: str, load: Load, **more: Any) -> Scenario:  # noqa: ANN401  its fields
        return Scenario(name, title, "tls", f"{note} {TLS_NOTE}", load=load, **{**times, **more})

    mib = 2**20
    download, upload = {"path": f"/bodies/{mib}"}, {"body": mib}
    return [
        scenario(
            "tls", "TLS: kept connections", "64 connections, HTTP/1.1, GET /.", Load(tls=True),
        ),
        scenario(
            "tls-full", "TLS: a connection per request, full handshakes",
            "16 clients, HTTP/1.1; each checks that its handshake was full. Requests/s are handshakes/s.",
            Load(tls=True, connections=16, handshake="full"),
        ),
        scenario(
            "tls-resumed", "TLS: a connection per request, resumed handshakes",
            "16 clients, HTTP/1.1; each checks that its handshake was resumed, by the ticket of the one before.",
            Load(tls=True, connections=16, handshake="resumed"),
        ),
        scenario(
            "http2", "HTTP/2: 100 streams a connection", "4 connections, 100 requests at a time on each, GET /.",
            Load(tls=True, connections=4, streams=100),
        ),
        scenario(
            "tls-download", "TLS: 1 MiB down", "16 connections, HTTP/1.1, GET of 1 MiB.",
            Load(tls=True, connections=16, **download), seconds=1.5,
        ),
        scenario(
            "tls-upload", "TLS: 1 MiB up", "16 connections, HTTP/1.1, POST of 1 MiB.",
            Load(tls=True, connections=16, **upload), seconds=1.5,
        ),
        scenario(
            "http2-download", "HTTP/2: 1 MiB down", "4 connections, 4 requests at a time on each, GET of 1 MiB.",
            Load(tls=True, connections=4, streams=4, **download), seconds=1.5,
        ),
        scenario(
            "http2-upload", "HTTP/2: 1 MiB up", "4 connections, 4 requests at a time on each, POST of 1 MiB.",
            Load(tls=True, connections=4, streams=4, **upload), seconds=1.5,
        ),
        scenario(
            "tls-idle", "TLS: memory of idle connections",
            "6,000 connections to a proxy that was just started, idle after one request each: what it takes more "
            "than before, for each. (As many as Causeway's budget takes with compose.yaml's memory limit; 10,000 are "
            "more files, too, than some machines let a container open.)",
            Load(tls=True, connections=6_000), held=True,
        ),
    ]  # fmt: skip


def full() -> list[Scenario]:
    """Everything, for results that are published."""
    curve = {"rounds": 5, "seconds": 1.5, "warm_up": 1.0}
    proxy_curve = {"rounds": 5, "seconds": 0.8, "warm_up": 0.4}
    return [
        Scenario("stack", "Whole stack", "stack", "64 connections, GET /.", rounds=7, seconds=6, warm_up=3),
        Scenario(
            "stack-connections", "Connections", "stack", "GET /.", **curve,
            axis="connections", values=(1, 8, 64, 256, 1024),
        ),
        Scenario(
            "stack-body", "Body size", "stack", "POST with 16 connections; 0 is a GET.", **curve,
            load=Load(connections=16), axis="body", unit="bytes", values=(0, 1024, 16384, 1048576),
        ),
        Scenario(
            "stack-rate", "Latency at fixed rates", "stack",
            "Open loop: requests are due at a fixed rate whether or not earlier ones were answered, and latency "
            "counts from when a request was due.",
            **curve, load=Load(connections=128), axis="rate", unit="requests/s",
            values=(100, 400, 800, 1600, 3200, 6400),
        ),
        Scenario(
            "stack-replicas", "API replicas", "stack", "64 connections, GET /.", **curve,
            axis="replicas", values=(1, 2, 3),
        ),
        Scenario(
            "stack-collection", "Collection size", "stack",
            "64 connections, GET /, on a collection that holds this many documents before each run.", **curve,
            axis="documents", unit="documents", values=(1_000, 10_000, 100_000, 1_000_000),
        ),
        Scenario(
            "stack-published", "Whole stack through the published port", "stack",
            "64 connections, GET /, from the host through 127.0.0.1 and the engine's port forwarder.",
            rounds=5, seconds=3, warm_up=1, published=True,
        ),
        Scenario("proxy", "Proxy alone", "proxy", PROXY_NOTE, rounds=7, seconds=4, warm_up=2),
        Scenario(
            "proxy-connections", "Connections", "proxy", "GET /.", **proxy_curve,
            axis="connections", values=(1, 8, 64, 256, 1024),
        ),
        Scenario(
            "proxy-body", "Body size", "proxy", "POST with 16 connections; 0 is a GET.", **proxy_curve,
            load=Load(connections=16), axis="body", unit="bytes", values=(0, 1024, 16384, 1048576),
        ),
        Scenario(
            "proxy-rate", "Latency at fixed rates", "proxy", "Open loop, latency from when a request was due.",
            **proxy_curve, load=Load(connections=128), axis="rate", unit="requests/s",
            values=(2000, 8000, 16000, 32000),
        ),
        Scenario(
            "proxy-published", "Proxy alone through the published port", "proxy",
            "64 connections, GET /, from the host through 127.0.0.1 and the engine's port forwarder.",
            rounds=5, seconds=2, warm_up=1, published=True,
        ),
        Scenario(
            "proxy-quiet", "Proxy alone, no access logs", "proxy-quiet", "64 connections, GET /, nobody logs requests.",
            rounds=5, seconds=4, warm_up=2,
        ),
        *tls(),
    ]  # fmt: skip


def quick() -> list[Scenario]:
    """A look in under three minutes; the figures are rough."""
    return [
        Scenario("stack", "Whole stack", "stack", "64 connections, GET /.", rounds=5, seconds=1.5, warm_up=1),
        Scenario(
            "stack-connections", "Connections", "stack", "GET /.", rounds=2, seconds=0.8, warm_up=0.3,
            axis="connections", values=(1, 16, 256),
        ),
        Scenario("proxy", "Proxy alone", "proxy", PROXY_NOTE, rounds=5, seconds=0.7, warm_up=0.3),
    ]  # fmt: skip


def estimate(scenarios: list[Scenario]) -> float:
    """Seconds that all of these take, images aside."""
    kinds = {scenario.kind for scenario in scenarios}
    beds = sum(BED_OVERHEAD["stack" if kind == "stack" else "proxy"] for kind in kinds)
    return beds + sum(scenario.estimate() for scenario in scenarios)
