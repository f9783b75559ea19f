"""Measures a stack on one, two and three machines: what a request costs each part, and moves on each network.

For scripts/swarm-bed.sh, whose machines are containers on the same processors: what a request costs can be
compared, how many there are can't.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import multiprocessing
import os
import socket
import subprocess
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from .errors import BenchError
from .scaling import IN_FLIGHT, Traffic

SERVICES = {"listener": "listener", "proxy": "front", "api": "app", "mongo": "mongo"}
"""Parts by the names of their services."""
WARM_UP = 3.0
SETTLED = 120.0
"""Seconds within which the tasks are where they belong."""
READ, WRITE = "/hello", "/"
END = b"\r\n\r\n"


@dataclass
class Account:
    """What containers have used so far, those of a part together."""

    cpu: float = 0.0
    """CPU µs."""
    memory: float = 0.0
    """MiB, page cache left out; the average of the containers."""
    received: int = 0
    sent: int = 0
    packets_received: int = 0
    packets_sent: int = 0
    containers: int = 0

    def add(self, stats: dict[str, Any]) -> None:
        """Add one container's, as the Engine API tells them (`GET /containers/{id}/stats`)."""
        self.cpu += stats["cpu_stats"]["cpu_usage"]["total_usage"] / 1000
        memory = stats["memory_stats"]
        details = memory.get("stats", {})
        own = memory.get("usage", 0) - details.get("total_cache", details.get("file", 0))
        self.memory = (self.memory * self.containers + own / 2**20) / (self.containers + 1)
        self.containers += 1
        for interface in stats.get("networks", {}).values():
            self.received += interface["rx_bytes"]
            self.sent += interface["tx_bytes"]
            self.packets_received += interface["rx_packets"]
            self.packets_sent += interface["tx_packets"]


@dataclass(frozen=True)
class Point:
    """What a request cost on so many machines."""

    nodes: int
    path: str
    requests: int
    seconds: float
    cpu: dict[str, float]
    """µs for a request, by part; what the parts take without requests is taken off."""
    traffic: dict[str, Traffic]
    between: float
    """Bytes from machine to machine for a request: all that their interfaces sent but the clients' answers."""
    memory: dict[str, float] = field(default_factory=dict)
    """MiB, by part."""


class Engine:
    """One engine, at its socket."""

    def __init__(self, path: str) -> None:
        """Name the socket."""
        self.path = path

    def get(self, target: str) -> Any:  # noqa: ANN401 - whatever JSON there is
        """Ask it.

        Raises:
            BenchError: when it refuses, or doesn't answer.

        """
        connection = http.client.HTTPConnection("localhost", timeout=60)
        try:
            connection.sock = socket.socket(socket.AF_UNIX)
            connection.sock.connect(self.path)
            connection.request("GET", target)
            answer = connection.getresponse()
            body = answer.read()
        except OSError as error:
            raise BenchError(f"{self.path}: {error}") from None
        finally:
            connection.close()
        if answer.status != http.client.OK:
            raise BenchError(f"{self.path}: {target}: {answer.status} {body.decode(errors='replace')}")
        return json.loads(body)

    def stats(self, container: str) -> dict[str, Any]:
        """Tell what a container has used so far."""
        return self.get(f"/containers/{container}/stats?stream=false&one-shot=true")


class Bed:
    """The machines of scripts/swarm-bed.sh."""

    def __init__(self, deploy: str) -> None:
        """Find them; `deploy` is the command."""
        try:
            self.addresses = os.environ["BED_NODES"].split()
            folder = Path(os.environ["BED"])
            around = os.environ["BED_AROUND"]
        except KeyError as error:
            raise BenchError(f"{error} isn't set: run this by scripts/own-engine.sh scripts/swarm-bed.sh") from None
        self.names = [f"n{number}" for number in range(1, len(self.addresses) + 1)]
        self.engines = [Engine(str(folder / name / "docker.sock")) for name in self.names]
        self.around = Engine(around.removeprefix("unix://"))
        self.deploy = [deploy, "-f", "compose.yaml", "-f", "compose.swarm.yaml"]

    def up(self) -> None:
        """Bring the stack up."""
        _run(*self.deploy, "up")

    def down(self) -> None:
        """Take it away."""
        _run(*self.deploy, "down")

    def use(self, nodes: int) -> None:
        """Have the stack on the first machines, with an API for each, and wait until it is there."""
        for number, name in enumerate(self.names):
            _run("docker", "node", "update", "--availability", "active" if number < nodes else "drain", name)
        _run("docker", "service", "update", "--detach", "--replicas", str(nodes), "causeway_api")
        deadline = time.monotonic() + SETTLED
        wanted = {"listener": nodes, "proxy": nodes, "api": nodes, "mongo": 1}
        while True:
            found = {part: 0 for part in wanted}
            for _, service, container in self.containers():
                if service in found and "healthy" in container["Status"]:
                    found[service] += 1
            if found == wanted:
                return
            if time.monotonic() > deadline:
                raise BenchError(f"on {nodes} nodes there are {found} after {SETTLED:.0f} s, and not {wanted}")
            time.sleep(0.5)

    def containers(self) -> list[tuple[Engine, str, dict[str, Any]]]:
        """List the stack's running containers, with their engines and services."""
        found = []
        for engine in self.engines:
            for container in engine.get("/containers/json"):
                name = container["Labels"].get("com.docker.swarm.service.name", "")
                found.append((engine, name.removeprefix("causeway_"), container))
        return found

    def accounts(self) -> dict[str, Account]:
        """Read every account: parts by their service's names, and `wire`, the machines' own interfaces."""
        found = {service: Account() for service in SERVICES} | {"wire": Account()}
        for engine, service, container in self.containers():
            if service in found:
                found[service].add(engine.stats(container["Id"]))
        for name in self.names:
            found["wire"].add(self.around.stats(f"bed-{name}"))
        return found

    def measure(self, nodes: int, path: str, seconds: float) -> Point:
        """Load the first machines for so long, and tell what a request cost."""
        addresses = self.addresses[:nodes]
        idle_before = self.accounts()
        idle_seconds = WARM_UP
        time.sleep(idle_seconds)
        idle_after = self.accounts()
        _load(addresses, path, WARM_UP)
        before, started = self.accounts(), time.monotonic()
        requests = _load(addresses, path, seconds)
        elapsed = time.monotonic() - started
        after = self.accounts()

        def idle(service: str, what: str) -> float:
            value = getattr(idle_after[service], what) - getattr(idle_before[service], what)
            return value / idle_seconds * elapsed

        def per_request(service: str, what: str) -> float:
            value = getattr(after[service], what) - getattr(before[service], what)
            return max(0.0, value - idle(service, what)) / requests

        def traffic(service: str, *, serves: bool) -> Traffic:
            forth, back = ("received", "sent") if serves else ("sent", "received")
            figures = (forth, back, f"packets_{forth}", f"packets_{back}")
            return Traffic(*(per_request(service, it) for it in figures))

        moved = {
            "client": traffic("listener", serves=True),
            "public": traffic("proxy", serves=False),
            "private": traffic("mongo", serves=True),
        }
        cpu = {part: per_request(service, "cpu") for service, part in SERVICES.items()}
        memory = {service: after[service].memory for service in SERVICES}
        parts = sum(after[service].memory * after[service].containers for service in SERVICES)
        memory["engine"] = after["wire"].memory - parts / len(self.names)
        # Answers to the clients leave the machines by the same interfaces.
        between = max(0.0, per_request("wire", "sent") - moved["client"].back)
        return Point(nodes, path, requests, elapsed, cpu, moved, between, memory)


def measure(deploy: str, seconds: float) -> list[Point]:
    """Bring the stack up, and measure it on 1, 2, … machines, and reading on all."""
    bed = Bed(deploy)
    bed.up()
    points = []
    for nodes in range(1, len(bed.names) + 1):
        bed.use(nodes)
        points.append(bed.measure(nodes, WRITE, seconds))
        print(json.dumps(asdict(points[-1])), flush=True)
    points.append(bed.measure(len(bed.names), READ, seconds))
    print(json.dumps(asdict(points[-1])), flush=True)
    bed.down()
    return points


def to_json(points: list[Point]) -> str:
    """Write what `scaling.Measured.read` reads: all points, and of the last one that writes, traffic and memory."""
    last = [asdict(point) for point in points if point.path == WRITE][-1]
    data = {"traffic": last["traffic"], "memory": last["memory"], "points": [asdict(point) for point in points]}
    return json.dumps(data, indent=1) + "\n"


class _Client(asyncio.Protocol):
    """Asks again as soon as it has an answer."""

    def __init__(self, request: bytes, answered: list[int]) -> None:
        self.request, self.answered, self.input = request, answered, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        transport.write(self.request)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        self.input += data
        head, found, body = self.input.partition(END)
        if not found or len(body) < _length(head):
            return
        self.answered[0] += head.startswith(b"HTTP/1.1 200")
        self.answered[1] += not head.startswith(b"HTTP/1.1 200")
        self.input = b""
        self.transport.write(self.request)  # type: ignore[attr-defined]


def _length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name == b"content-length":
            return int(value)
    return 0


def _load(addresses: list[str], path: str, seconds: float) -> int:
    """Keep `IN_FLIGHT` requests for each address under way, from a process of their own; how many were answered."""
    answers: multiprocessing.Queue[tuple[int, int]] = multiprocessing.Queue()
    process = multiprocessing.Process(target=_send, args=(addresses, path, seconds, answers))
    process.start()
    answered, failed = answers.get(timeout=seconds + 60)
    process.join()
    if failed or not answered:
        raise BenchError(f"of {answered + failed} requests {failed} weren't answered 200")
    return answered


def _send(addresses: list[str], path: str, seconds: float, answers: multiprocessing.Queue[tuple[int, int]]) -> None:
    async def run() -> tuple[int, int]:
        answered, loop = [0, 0], asyncio.get_running_loop()
        transports = []
        for address in addresses:
            request = f"GET {path} HTTP/1.1\r\nHost: {address}\r\nUser-Agent: nodes\r\n\r\n".encode()
            for _ in range(IN_FLIGHT):
                transport, _ = await loop.create_connection(lambda it=request: _Client(it, answered), address, 8080)
                transports.append(transport)
        await asyncio.sleep(seconds)
        for transport in transports:
            transport.close()
        return answered[0], answered[1]

    answers.put(asyncio.run(run()))


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    if done.returncode:
        raise BenchError(f"`{' '.join(command)}` failed: {done.stderr.strip() or done.stdout.strip()}")
