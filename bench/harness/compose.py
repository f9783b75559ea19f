"""How compose.yaml runs our services, as `docker run` arguments.

Measured is what is deployed: limits, hardening, environment and log driver are read from the one
description of the stack. A key that isn't known here is an error, so that nothing that is added
there goes unmeasured.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .errors import BenchError

if TYPE_CHECKING:
    from pathlib import Path

ELSEWHERE = {
    # The harness has its own networks, ports, names, secrets and builds …
    "image", "build", "pull_policy", "networks", "ports", "secrets", "volumes", "environment", "command",
    # … and measures containers that nothing restarts, checks or stops meanwhile.
    "restart", "healthcheck", "depends_on", "stop_grace_period",
    # Nothing else runs on the machine, and peers have the same weight.
    "cpu_shares",
}  # fmt: skip
DEPLOY_ELSEWHERE = {"replicas", "update_config"}
VARIABLE = re.compile(r"\$(?:(\$)|\{(\w+)(?:(:?[-?])([^}]*))?\}|(\w+))")


@dataclass(frozen=True)
class Service:
    """A service of compose.yaml, without what depends on where it runs."""

    image: str
    command: list[str]
    environment: dict[str, str]
    arguments: list[str]
    """`docker run` arguments for limits, user, hardening and logging."""


def load(root: Path) -> dict[str, Service]:
    """Read compose.yaml in `root`; variables come from the environment, then from .env there."""
    import yaml  # noqa: PLC0415  not part of the standard library, which is all that tests have

    settings = {**dotenv(root), **os.environ}
    try:
        document = yaml.safe_load((root / "compose.yaml").read_text())
    except yaml.YAMLError as error:
        raise BenchError(f"compose.yaml isn't YAML: {error}") from None
    services = interpolate(document["services"], settings)
    return {name: service(name, keys) for name, keys in services.items()}


def dotenv(root: Path) -> dict[str, str]:
    """Read `NAME=value` lines of .env in `root`, if it is there."""
    path = root / ".env"
    lines = path.read_text().splitlines() if path.exists() else []
    pairs = (line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
    return {name.strip(): value.strip() for name, value in pairs}


def interpolate(node: Any, settings: dict[str, str]) -> Any:  # noqa: ANN401  any YAML
    """Replace variables in every string, by the Compose specification's rules for interpolation."""
    if isinstance(node, dict):
        return {key: interpolate(value, settings) for key, value in node.items()}
    if isinstance(node, list):
        return [interpolate(value, settings) for value in node]
    if not isinstance(node, str):
        return node

    def value(match: re.Match[str]) -> str:
        dollar, braced, operator, default, bare = match.groups()
        if dollar:
            return "$"
        name = braced or bare
        found = settings.get(name)
        if operator and (found is None or (operator.startswith(":") and not found)):
            if operator.endswith("?"):
                raise BenchError(f"compose.yaml needs the variable {name}: {default}")
            return default
        return found or ""

    return VARIABLE.sub(value, node)


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
        command=[str(part) for part in keys.get("command", [])],
        environment={key: str(value) for key, value in keys.get("environment", {}).items()},
        arguments=arguments,
    )


def _arguments(service: str, key: str, value: Any) -> list[str]:  # noqa: ANN401, C901, PLR0911  a key, a line
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
            return [f"--dns={server}" for server in ([value] if isinstance(value, str) else value)]
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
