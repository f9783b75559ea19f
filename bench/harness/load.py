"""Load: one run of oha, or of tls-load where oha can't do it, and what it says happened."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from .errors import BenchError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Found = TypeVar("Found")

HOST = "bench.test"
"""Authority of every request, so that all peers get the same bytes."""
REQUEST_TIMEOUT = 30
"""Seconds after which a request without an answer counts as failed."""
GRACE = REQUEST_TIMEOUT + 30
"""Seconds that oha may take beyond its duration."""


@dataclass(frozen=True)
class Load:
    """What clients do."""

    connections: int = 64
    body: int = 0
    """Body size in bytes: 0 for a GET without one, else a POST."""
    rate: int | None = None
    """Requests per second to begin, answered or not (an open loop); None for as many as possible.

    At a fixed rate latency counts from when a request was due, not from when a busy connection
    got round to sending it (coordinated omission).
    """
    path: str = "/"
    tls: bool = False
    streams: int | None = None
    """Requests at a time on each connection, over HTTP/2; None for HTTP/1.1."""
    handshake: str | None = None
    """`full` or `resumed`: a TLS connection for each request, with that handshake; None for kept connections."""

    @property
    def port(self) -> int:
        """Port of the peer that this goes to."""
        return 443 if self.tls else 80

    def command(self, address: str, seconds: float) -> list[str]:
        """Program and arguments for this load on an address and port."""
        if self.handshake:
            return ["tls-load", self.handshake, str(self.connections), f"{seconds:g}", address]
        return ["oha", *self.arguments(address, seconds)]

    def arguments(self, address: str, seconds: float) -> list[str]:
        """Arguments of oha for this load on an address and port."""
        arguments = ["--no-tui", "--output-format", "json"]
        # Requests under way at the end are waited for: each one is counted, so that answers and
        # documents can be compared.
        arguments += ["--wait-ongoing-requests-after-deadline", "-z", f"{round(seconds * 1000)}ms"]
        arguments += ["-t", f"{REQUEST_TIMEOUT}s", "-c", str(self.connections)]
        if self.body:
            arguments += ["-m", "POST", "-T", "text/plain", "-D", f"/bodies/{self.body}"]
        if self.rate is not None:
            arguments += ["-q", str(self.rate), "--latency-correction"]
        if self.tls:
            # Checking certificates is this side's time, of which servers get the less.
            arguments.append("--insecure")
        if self.streams:
            arguments += ["--http2", "-p", str(self.streams)]
        # By address: looking names up is not what is measured.
        scheme = "https" if self.tls else "http"
        return [*arguments, "--connect-to", f"{HOST}:{self.port}:{address}", f"{scheme}://{HOST}{self.path}"]


@dataclass(frozen=True)
class LoadResult:
    """What came of it. Latencies in milliseconds, None where nothing was answered."""

    seconds: float
    answered: int
    """Requests that were answered 200."""
    p50: float | None
    p99: float | None
    p999: float | None
    statuses: dict[str, int] = field(default_factory=dict)
    errors: dict[str, int] = field(default_factory=dict)
    """Requests without an answer, by reason."""

    @property
    def per_second(self) -> float:
        """Requests answered 200 per second."""
        return self.answered / self.seconds if self.seconds else 0.0

    def problems(self) -> list[str]:
        """Whatever makes a run invalid: any answer but 200, any request without an answer."""
        found = [f"{count} answers {status}" for status, count in self.statuses.items() if status != "200"]
        found += [f"{count} requests failed: {reason}" for reason, count in self.errors.items()]
        return found if found or self.answered else ["no request was answered"]


def parse(text: str) -> LoadResult:
    """Read oha's JSON, whose latencies are in seconds, or null where there was no answer."""
    try:
        document: dict[str, Any] = json.loads(text)
        statuses = {str(key): int(count) for key, count in document["statusCodeDistribution"].items()}
        percentiles = document["latencyPercentiles"]
        return LoadResult(
            seconds=float(document["summary"]["total"]),
            answered=statuses.get("200", 0),
            p50=_milliseconds(percentiles["p50"]),
            p99=_milliseconds(percentiles["p99"]),
            p999=_milliseconds(percentiles["p99.9"]),
            statuses=statuses,
            errors={str(key): int(count) for key, count in document["errorDistribution"].items()},
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BenchError(f"oha's output isn't what was expected ({error!r}): {text[:200]!r}") from None


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else seconds * 1000


class Generator:
    """Somewhere that load comes from: a container, or this machine."""

    def __init__(self, prefix: list[str], programs: dict[str, list[str]]) -> None:
        """Take what stands before a program, and commands for programs that aren't found by their name."""
        self._prefix = prefix
        self._programs = programs

    def _command(self, program: str, *arguments: str) -> list[str]:
        return [*self._prefix, *self._programs.get(program, [program]), *arguments]

    @classmethod
    def in_container(cls, identifier: str) -> Generator:
        """Run programs in a running container of the load image."""
        return cls(["docker", "exec", "--interactive", identifier], {})

    @classmethod
    def on_host(cls, oha: Path) -> Generator:
        """Run oha as a process of this machine."""
        return cls([], {"oha": [str(oha)]})

    def run(self, load: Load, address: str, seconds: float) -> LoadResult:
        """Put `load` on an address and port for `seconds`."""
        program, *arguments = load.command(address, seconds)
        command = self._command(program, *arguments)
        try:
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=seconds + GRACE
            )
        except subprocess.TimeoutExpired:
            raise BenchError(f"{program} didn't end {GRACE} s after its time: {' '.join(command)}") from None
        if done.returncode != 0:
            raise BenchError(f"{program} failed: {done.stderr.strip() or done.stdout.strip()}")
        return parse(done.stdout)

    def hold(self, connections: int, address: str, meanwhile: Callable[[], Found]) -> tuple[Found, int]:
        """Hold idle TLS connections to an address and port, each after one request.

        Returns:
            What `meanwhile` returned, and how many were closed before it had.

        Raises:
            BenchError: when one couldn't be made.

        """
        command = self._command("tls-load", "hold", str(connections), address)
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            try:
                made = process.stdout.readline() if process.stdout else ""
                if made.strip() != str(connections):
                    raise BenchError(f"tls-load failed: {process.communicate()[1].strip()}")
                found = meanwhile()
                closed, _ = process.communicate(timeout=GRACE)
            finally:
                process.kill()
        return found, int(closed)
