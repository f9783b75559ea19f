"""The machine and the versions: what a result has to be read with."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import images
from .engine import LABEL, docker, inside

if TYPE_CHECKING:
    from .compose import Service

BUSY_LOAD = 0.3
"""Load average per CPU from which on a machine isn't quiet."""


def busy_microseconds() -> float:
    """CPU time that this machine spent on anything since it started (proc_stat(5))."""
    fields = Path("/proc/stat").read_text().splitlines()[0].split()[1:]
    user, nice, system, _idle, _wait, interrupts, soft_interrupts = (int(field) for field in fields[:7])
    return (user + nice + system + interrupts + soft_interrupts) * 1e6 / os.sysconf("SC_CLK_TCK")


def facts() -> dict[str, Any]:
    """Describe this machine and its engine."""
    engine = json.loads(docker("info", "--format", "{{json .}}"))
    cpu = next(
        (line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
         if line.startswith("model name")),
        platform.machine(),
    )  # fmt: skip
    return {
        "cpu": cpu,
        "cpus": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "kernel": platform.release(),
        "architecture": platform.machine(),
        "system": engine["OperatingSystem"],
        "engine": f"Docker {engine['ServerVersion']}",
        "storage": engine["Driver"],
        "cgroups": f"v{engine['CgroupVersion']}",
        "log_driver": engine["LoggingDriver"],
    }


def versions(root: Path, services: dict[str, Service], mongod: str) -> dict[str, str]:
    """Ask everything that is measured, or measures, for its version."""
    emulated = inside(services["mongo"].image, "command -v qemu-aarch64 || true")
    packages = "flask werkzeug gunicorn pymongo"
    show = f"import importlib.metadata as m; print(' '.join(f'{{p}} {{m.version(p)}}' for p in '{packages}'.split()))"
    return {
        "causeway": _git(root),
        "mongod": f"{mongod}{' (aarch64 under qemu-user)' if emulated else ''}, {services['mongo'].image}",
        "nginx": inside(images.tag("nginx"), "nginx -V 2>&1 | sed -n '1s/.*: //p; s/^built with //p' | paste -sd ' '"),
        "haproxy": inside(images.tag("haproxy"), "haproxy -v | head -n 1"),
        "caddy": inside(images.tag("caddy"), "caddy version"),
        "pingora-proxy": _locked(root / "bench/peers/pingora/Cargo.lock", "pingora-proxy"),
        "python": inside(images.tag("python"), "python --version"),
        "packages": inside(images.tag("python"), f'python -c "{show}"'),
        "oha": inside(images.tag("load"), "oha --version"),
    }


def warnings(run: str) -> list[str]:
    """What about this machine, right now, makes results less than they could be."""
    found = []
    load = os.getloadavg()[0]
    if load > BUSY_LOAD * (os.cpu_count() or 1):
        found.append(f"The machine wasn't quiet when this began: load average {load:.2f} on {os.cpu_count()} CPUs.")
    others = docker("ps", "--format", f'{{{{.Names}}}}\t{{{{.Label "{LABEL}"}}}}').splitlines()
    names = [name for name, _, label in (line.partition("\t") for line in others) if label != run]
    if names:
        found.append(f"{len(names)} other containers were running beside these, the stack's own included.")
        print(f"bench: also running: {', '.join(names)}")
    return found


def _locked(lock: Path, package: str) -> str:
    """Version of a package in a Cargo.lock."""
    packages = tomllib.loads(lock.read_text())["package"]
    return next(found["version"] for found in packages if found["name"] == package)


def _git(root: Path) -> str:
    """Return the commit that is measured, marked where the work tree differs from it."""
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"],
        cwd=root, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.stdout.strip() or "unknown"
