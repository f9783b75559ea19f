"""What a container used, from its control group: CPU time and memory.

Both versions of control groups are read. The files are the kernel's own (cgroup-v1/cpuacct.rst,
cgroup-v1/memory.rst, cgroup-v2.rst), on the machine that the containers run on: the engine has to
be local.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .errors import BenchError


@dataclass(frozen=True)
class CpuTime:
    """CPU time, in microseconds."""

    user: float
    system: float


@dataclass(frozen=True)
class CpuAccount:
    """What the kernel has on its books, in microseconds.

    The total is exact. With version 1 user and system time are counted in clock ticks, so that
    they only tell how the total is shared out.
    """

    total: float
    user: float
    system: float

    def __add__(self, other: CpuAccount) -> CpuAccount:
        """Add up two containers' accounts."""
        return CpuAccount(self.total + other.total, self.user + other.user, self.system + other.system)

    def __sub__(self, other: CpuAccount) -> CpuAccount:
        """Return what was added since another reading."""
        return CpuAccount(self.total - other.total, self.user - other.user, self.system - other.system)

    def split(self, requests: int) -> CpuTime:
        """Share the total out, per request; all of it is system time where not even a tick was counted."""
        counted = self.user + self.system
        user = self.total * self.user / counted if counted else 0.0
        return CpuTime(user / requests, (self.total - user) / requests)


@dataclass(frozen=True)
class Places:
    """Folders that hold the accounts of one control group."""

    version: int
    cpu: Path
    memory: Path


def locate(membership: str, mounts: str) -> Places:
    """Find a process's control groups.

    Args:
        membership: contents of the process's `/proc/<pid>/cgroup`.
        mounts: contents of `/proc/mounts`.

    Raises:
        BenchError: when CPU and memory are accounted for nowhere.

    """
    roots: dict[str, str] = {}
    for line in mounts.splitlines():
        _, place, kind, options, *_ = line.split()
        if kind == "cgroup":
            roots.update(dict.fromkeys(options.split(","), place))
        elif kind == "cgroup2":
            roots.setdefault("", place)
    groups: dict[str, str] = {}
    for line in membership.splitlines():
        _, controllers, group = line.split(":", 2)
        groups.update(dict.fromkeys(controllers.split(","), group))

    def place(controller: str) -> Path:
        return Path(roots[controller]) / groups[controller].lstrip("/")

    if all(name in roots and name in groups for name in ("cpuacct", "memory")):
        return Places(1, place("cpuacct"), place("memory"))
    if "" in roots and "" in groups:
        return Places(2, place(""), place(""))
    raise BenchError("no control groups account for CPU and memory on this machine")


def keyed(text: str) -> dict[str, int]:
    """Read a file of `key value` lines (`cpu.stat`, `memory.stat`)."""
    return {key: int(value) for key, value in (line.split() for line in text.splitlines())}


class Meter:
    """Reads one container's accounts."""

    def __init__(self, pid: int) -> None:
        """Find the accounts of the container whose first process this is."""
        try:
            membership = Path(f"/proc/{pid}/cgroup").read_text()
        except OSError as error:
            raise BenchError(f"its process {pid} isn't there ({error}): does the engine run on this machine?") from None
        self.places = locate(membership, Path("/proc/mounts").read_text())

    def cpu(self) -> CpuAccount:
        """CPU time used so far."""
        folder = self.places.cpu
        if self.places.version == 1:
            return CpuAccount(
                int(_read(folder / "cpuacct.usage")) / 1000,
                int(_read(folder / "cpuacct.usage_user")) / 1000,
                int(_read(folder / "cpuacct.usage_sys")) / 1000,
            )
        stat = keyed(_read(folder / "cpu.stat"))
        return CpuAccount(stat["usage_usec"], stat["user_usec"], stat["system_usec"])

    def reset_peak(self) -> None:
        """Forget the highest memory use so far, where the kernel allows it."""
        if self.places.version == 1:
            (self.places.memory / "memory.max_usage_in_bytes").write_text("0")

    def peak(self) -> int | None:
        """Return the highest memory use in bytes, page cache included; None before Linux 5.19.

        Since the last reset with version 1, since the container's start with version 2.
        """
        version1 = self.places.version == 1
        path = self.places.memory / ("memory.max_usage_in_bytes" if version1 else "memory.peak")
        return int(_read(path)) if path.exists() else None

    def charged(self) -> int:
        """Memory in bytes that is on its account, page cache left out: its processes' and the kernel's for them."""
        version1 = self.places.version == 1
        usage = int(_read(self.places.memory / ("memory.usage_in_bytes" if version1 else "memory.current")))
        stat = keyed(_read(self.places.memory / "memory.stat"))
        return usage - stat["total_cache" if version1 else "file"]

    def proportional(self) -> int:
        """Memory in bytes of its processes, what they share shared out among them (PSS)."""
        total = 0
        for pid in _read(self.places.memory / "cgroup.procs").split():
            rollup = _read(Path(f"/proc/{pid}/smaps_rollup"))
            total += sum(int(line.split()[1]) * 1024 for line in rollup.splitlines() if line.startswith("Pss:"))
        return total

    def resident(self) -> int:
        """Memory in bytes that its processes hold themselves, page cache left out."""
        stat = keyed(_read(self.places.memory / "memory.stat"))
        return stat["total_rss"] if self.places.version == 1 else stat["anon"]


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError as error:
        raise BenchError(f"a container's accounts can't be read: {error}") from None
