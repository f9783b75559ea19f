"""How compose.yaml runs our services, as `docker run` arguments.

Measured is what is deployed: limits, hardening, environment and log driver are read from the one
description of the stack. A key that isn't known here is an error, so that nothing that is added
there goes unmeasured.
"""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .errors import BenchError

if TYPE_CHECKING:
    from pathlib import Path

ELSEWHERE = {
    # The harness has its own networks, ports, names, secrets and builds …
    "image", "build", "pull_policy", "profiles", "networks", "ports", "expose", "secrets", "environment", "command",
    # … and measures containers that nothing restarts, checks or stops meanwhile.
    "restart", "healthcheck", "depends_on", "stop_grace_period",
    # Nothing else runs on the machine, and peers have the same weight.
    "cpu_shares",
}  # fmt: skip
DEPLOY_ELSEWHERE = {"replicas", "update_config"}


@dataclass(frozen=True)
class Service:
    """A service of compose.yaml, without what depends on where it runs."""

    image: str
    build_args: dict[str, str]
    command: list[str]
    environment: dict[str, str]
    arguments: list[str]
    """`docker run` arguments for limits, user, hardening, logging and the repository's own files."""


def load(root: Path, deploy: Path) -> dict[str, Service]:
    """Ask `deploy` what compose.yaml in `root` says, with every variable resolved."""
    done = subprocess.run([deploy, "--json", "config"], cwd=root, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchError(f"`deploy config` ended with {done.returncode}: {done.stderr.strip()}")
    return {name: service(name, keys) for name, keys in json.loads(done.stdout)["services"].items()}


def service(name: str, keys: dict[str, Any]) -> Service:
    """Turn a service's keys into `docker run` arguments.

    Raises:
        BenchError: for a key that the harness doesn't know.

    """
    arguments: list[str] = []
    for key, value in keys.items():
        # Extensions are for other tools.
        if key not in ELSEWHERE and not key.startswith("x-"):
            arguments += _arguments(name, key, value)
    return Service(
        image=keys["image"],
        build_args=keys.get("build", {}).get("args", {}),
        command=keys.get("command", []),
        environment=keys.get("environment", {}),
        arguments=arguments,
    )


def _arguments(service: str, key: str, value: Any) -> list[str]:  # noqa: ANN401, C901, PLR0911, PLR0912  a key, a line
    match key:
        case "read_only":
            return ["--read-only"] if value else []
        case "init":
            return ["--init"] if value else []
        case "cap_drop":
            return [f"--cap-drop={capability}" for capability in value]
        case "security_opt":
            return [f"--security-opt={option}" for option in value]
        case "sysctls":
            return [f"--sysctl={name}={setting}" for name, setting in value.items()]
        case "ulimits":
            return [f"--ulimit={name}={limit['soft']}:{limit['hard']}" for name, limit in value.items()]
        case "tmpfs":
            return [f"--tmpfs={place}" for place in value]
        case "dns":
            return [f"--dns={server}" for server in value]
        case "volumes":
            # The files of this repository; named volumes are the harness's own.
            binds = [mount for mount in value if mount["type"] == "bind"]
            return [f"--volume={mount['source']}:{mount['target']}:ro" for mount in binds]
        case "user":
            return [f"--user={value}"]
        case "logging":
            options = [f"--log-opt={name}={option}" for name, option in value.get("options", {}).items()]
            return [f"--log-driver={value['driver']}", *options]
        case "deploy":
            limits = value.get("resources", {}).get("limits", {})
            if set(value) - DEPLOY_ELSEWHERE - {"resources"} or set(limits) - {"memory", "pids", "cpus"}:
                raise BenchError(f"compose.yaml: services.{service}.deploy has keys that bench/ doesn't know: {value}")
            # CPU limits are the harness's: the same for all.
            options = {"memory": "--memory", "pids": "--pids-limit"}
            return [f"{option}={limits[name]}" for name, option in options.items() if name in limits]
        case _:
            raise BenchError(
                f"compose.yaml: services.{service}.{key}: bench/harness/compose.py doesn't know this key; "
                "teach it, so that what is measured is what is deployed"
            )
