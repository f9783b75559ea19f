"""The container engine, through the `docker` command line.

Whatever is created bears the label `dev.causeway.bench=<run>`, and only what bears it is removed:
at the end, after a failure, on Ctrl-C, and, should a run have been killed, at the next one's start.
"""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING

from .errors import BenchError

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType
    from typing import Self

LABEL = "dev.causeway.bench"
COMMAND_TIMEOUT = 120
"""Seconds that a command of the engine's may take, builds and loads aside."""


@dataclass
class ContainerSpec:
    """What `docker run` is told."""

    name: str
    image: str
    networks: dict[str, list[str]]
    """Networks to join, and the aliases there."""
    command: list[str] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)
    arguments: list[str] = field(default_factory=list)
    """Further `docker run` arguments: limits, mounts, published ports."""


@dataclass(frozen=True)
class Container:
    """A running container."""

    id: str
    name: str
    pid: int
    """Process id of its first process, as the host sees it."""
    address: str
    """Its address on the first network that it joined."""


class Engine:
    """The engine, and everything of this run's on it; a context that leaves nothing behind."""

    def __init__(self, run: str) -> None:
        """Take the name of this run, which its containers and networks bear."""
        self.run = run

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Remove everything of this run's."""
        sweep(f"{LABEL}={self.run}")

    def name(self, role: str) -> str:
        """Name that something of this run's bears on the engine."""
        return f"causeway-bench-{self.run}-{role}"

    def network(self, role: str, *, internal: bool = False) -> str:
        """Create a bridge network and return its name."""
        name = self.name(role)
        docker(
            "network", "create", "--label", f"{LABEL}={self.run}",
            *(["--internal"] if internal else []), name,
        )  # fmt: skip
        return name

    def remove_networks(self, *names: str) -> None:
        """Remove networks."""
        docker("network", "rm", *names)

    def start(self, spec: ContainerSpec) -> Container:
        """Create a container, join its networks and start it."""
        (first, aliases), *rest = spec.networks.items()
        identifier = docker(
            "create", "--name", self.name(spec.name), "--label", f"{LABEL}={self.run}",
            "--no-healthcheck", "--network", first, *_flags("--network-alias", aliases),
            *_flags("--env", [f"{key}={value}" for key, value in spec.environment.items()]),
            *spec.arguments, spec.image, *spec.command,
        ).strip()  # fmt: skip
        for network, more in rest:
            docker("network", "connect", *_flags("--alias", more), network, identifier)
        docker("start", identifier)
        state = json.loads(docker("inspect", "--format", "{{json .}}", identifier))
        if not state["State"]["Running"]:
            raise BenchError(f"{self.name(spec.name)} ended at its start: {self.logs(identifier)}")
        address = state["NetworkSettings"]["Networks"][first]["IPAddress"]
        return Container(identifier, self.name(spec.name), int(state["State"]["Pid"]), address)

    def logs(self, identifier: str, lines: int = 20) -> str:
        """Return a container's state and the last lines that it wrote, for error messages."""
        state = json.loads(docker("inspect", "--format", "{{json .State}}", identifier))
        done = subprocess.run(
            ["docker", "logs", "--tail", str(lines), identifier],
            capture_output=True, text=True, check=False, timeout=COMMAND_TIMEOUT,
        )  # fmt: skip
        killed = ", out of memory" if state["OOMKilled"] else ""
        summary = f"[{state['Status']}, exit code {state['ExitCode']}{killed}]"
        return f"{summary}\n{(done.stdout + done.stderr).strip()}"

    def published(self, container: Container, port: int) -> str:
        """Host address and port that a container's port is published at."""
        return docker("port", container.id, f"{port}/tcp").splitlines()[0].strip()

    def remove(self, *containers: Container) -> None:
        """Remove containers and their anonymous volumes."""
        if containers:
            docker("rm", "--force", "--volumes", *(container.id for container in containers))


def sweep(label: str) -> int:
    """Remove all containers and networks that bear a label; return how many there were."""
    containers = docker("ps", "--all", "--quiet", "--filter", f"label={label}").split()
    networks = docker("network", "ls", "--quiet", "--filter", f"label={label}").split()
    if containers:
        docker("rm", "--force", "--volumes", *containers)
    if networks:
        docker("network", "rm", *networks)
    return len(containers) + len(networks)


def docker(*arguments: str, timeout: float = COMMAND_TIMEOUT) -> str:
    """Run a command of the engine's and return what it printed; `timeout` in seconds."""
    command = ["docker", *arguments]
    # A session of its own: Ctrl-C on the terminal reaches this program, which then removes what
    # was made, and not a half-done `docker create`.
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=timeout,
            start_new_session=True,
        )  # fmt: skip
    except FileNotFoundError:
        raise BenchError("there is no `docker` command: install Docker, or run `make deploy` once") from None
    except subprocess.TimeoutExpired:
        raise BenchError(f"`docker {arguments[0]}` took longer than {timeout:.0f} s") from None
    if done.returncode != 0:
        raise BenchError(f"`docker {' '.join(arguments[:2])}` failed: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def build(context: Path | IO[bytes], dockerfile: str | None, tag: str, arguments: dict[str, str]) -> None:
    """Build an image from a folder, or from a tar archive that is read from a file.

    Raises:
        BenchError: with the last lines of the build's output.

    """
    command = ["docker", "build", "--tag", tag]
    command += _flags("--build-arg", [f"{key}={value}" for key, value in arguments.items()])
    command += ["--file", dockerfile] if dockerfile else []
    archive = None if hasattr(context, "is_dir") else context
    command.append("-" if archive else str(context))
    done = subprocess.run(
        command, stdin=archive, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, check=False, start_new_session=True,
    )  # fmt: skip
    if done.returncode != 0:
        tail = "\n".join(done.stdout.splitlines()[-30:])
        raise BenchError(f"building {tag} failed; its last lines:\n{tail}")


def inside(image: str, script: str) -> str:
    """Run a line of shell in an image and return what it prints."""
    return docker("run", "--rm", "--label", LABEL, "--entrypoint", "sh", image, "-c", script).strip()


def image_exists(image: str) -> bool:
    """Whether the engine has an image of this name."""
    done = subprocess.run(
        ["docker", "image", "inspect", image],
        capture_output=True, check=False, timeout=COMMAND_TIMEOUT,
    )  # fmt: skip
    return done.returncode == 0


def _flags(flag: str, values: list[str]) -> list[str]:
    return [part for value in values for part in (flag, value)]
