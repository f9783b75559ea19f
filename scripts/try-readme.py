#!/usr/bin/env python3
"""Tries every command of the README, from top to bottom, as a reader would type it.

    scripts/try-readme.py           the short ones, on the engine at hand: no stack may run on it
    scripts/try-readme.py --long    the others, which compile, measure, or remove what was built

A command that the README names and that isn't listed here fails the run, and so does one that is
listed here and that the README doesn't name any more.
"""

from __future__ import annotations

import os
import pathlib
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass

ROOT = pathlib.Path(__file__).resolve().parents[1]
PATIENCE = 300
"""Seconds that a short command may take."""


@dataclass(frozen=True)
class Try:
    """How a command is tried."""

    typed: str | None = None
    """What is typed, where the README shows a form with options; None: as it stands there."""
    says: str = ""
    """A part of what it prints."""
    follows: bool = False
    """It goes on until Ctrl-C, which is sent once it has said that."""
    before: str | None = None
    """What is typed first."""
    after: str | None = None
    """What is typed then, so that the next ones find what they need."""


SHORT = {
    "make deploy": Try(says="causeway is up: http://127.0.0.1:8080/"),
    "curl -i 'http://127.0.0.1:8080/?a=b'": Try(says="Request information stored successfully: "),
    "curl --cacert secrets/ca.pem https://localhost:8443/": Try(says="Request information stored successfully: "),
    "make plan": Try(says="no changes"),
    "make deploy PROFILE=observe": Try(
        says="prometheus (127.0.0.1:9090) open", after="deploy scale prometheus=0"
    ),
    "make console": Try(says="/login/link?code="),
    "make verify": Try(says="verified: "),
    "make ps": Try(says="causeway-proxy-1"),
    "make logs [SERVICE=api]": Try("make logs SERVICE=api", says="causeway-api-1", follows=True),
    "make down": Try(says="causeway is down"),
    "make images": Try(),
    "deploy up": Try(says="causeway is up: "),
    "deploy up --force-recreate": Try(says="causeway is up: "),
    "deploy up --rotate-secrets [NAME…]": Try("deploy up --rotate-secrets proxy_token", says="causeway is up: "),
    "deploy build [SERVICE…]": Try("deploy build", says="nothing to build"),
    "deploy plan": Try(says="no changes"),
    "deploy rollback [--to N]": Try("deploy rollback", before="PROXY_ACCESS_LOG=off deploy up", says="verified: "),
    "deploy releases": Try(says="services.proxy.environment.PROXY_ACCESS_LOG"),
    "deploy secrets recover [NAME…]": Try(
        "deploy secrets recover",
        before="rm secrets/mongo_root_password secrets/mongo_api_password && ! deploy plan",
        says="taken from container causeway-mongo-1",
        after="deploy up",
    ),
    "deploy down [--volumes]": Try("deploy down --volumes", says="causeway is down", after="deploy up"),
    "deploy ps": Try(says="causeway-mongo-1"),
    "deploy logs [-f] [SERVICE…]": Try("deploy logs mongo", says="causeway-mongo-1"),
    "deploy backup FILE": Try("deploy backup target/all.zip", before="mkdir -p target && rm -f target/all.zip", says=" in the file"),
    "deploy restore FILE": Try("deploy restore target/all.zip", says=" there already"),
    "deploy requests [--follow] [--where KEY=VALUE…]": Try(
        "deploy requests --where method=GET", before="curl -s http://127.0.0.1:8080/?seen", says="/?seen"
    ),
    "deploy replay --to URL [--where KEY=VALUE…]": Try(
        "deploy replay --to http://127.0.0.1:8080 --limit 1", says="1 request sent"
    ),
    "deploy restart SERVICE…": Try("deploy restart listener", says="restarted: listener"),
    "deploy scale SERVICE=N": Try("deploy scale api=2", says="causeway-api-2"),
    "deploy verify [--watch]": Try("deploy verify", says="verified: "),
    "deploy inspect [--format table|json|mermaid|svg]": Try("deploy inspect --format json", says='"public-net-1"'),
    "deploy console [--no-open]": Try("deploy console --no-open", says="/login/link?code="),
    "deploy lab list": Try(says="self-check"),
    "deploy lab run [NAME…]": Try("deploy lab run none", says="passed"),
    "deploy config": Try(says="services:"),
}

LONG = {
    "make check": Try(says="== done"),
    "make test": None,
    "make test-engine": None,
    "make test-cold": None,
    "make lab": Try(says="lessons passed"),
    "make load CONNECTIONS=64 DURATION=10s METHOD=POST BODY=hello": Try(says="answers were 2xx"),
    "make chaos": Try("make chaos CHAOS='--only kill-api,kill-mongo'", says="2 rounds"),
    "make bench": Try("make bench BENCH='--only proxy --rounds 1 --seconds 2'"),
    "make bench-quick": Try(),
    "make fuzz [FUZZ_SECONDS=40]": Try("make fuzz FUZZ_SECONDS=2"),
    "make deny": Try(says="bans ok"),
    "make sbom": Try(says="components"),
    "make clean": Try(says="removed", before="make down"),
}
"""None: whoever runs this has run it, or is it."""


def commands(readme: str) -> list[str]:
    """What the README tells to type: `$` lines of console blocks, first cells of command tables."""
    found: list[str] = []
    in_console = in_table = False
    for line in readme.splitlines():
        if line.startswith("```"):
            in_console = line == "```console"
        elif in_console and line.startswith("$ "):
            found.append(re.sub(r"\s+# .*", "", line[2:]))
        elif line.startswith("| command |"):
            in_table = True
        elif in_table and line.startswith("|"):
            found += re.findall(r"`([^`]+)`", line.split(" | ")[0])
        else:
            in_table = False
    return list(dict.fromkeys(command.replace("\\|", "|") for command in found))


def run(typed: str, says: str = "", *, follows: bool = False) -> str | None:
    """Type it; what was wrong, if anything."""
    shell = subprocess.Popen(
        ["bash", "-c", f"exec 2>&1; {typed}"],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    printed, deadline = "", time.monotonic() + (PATIENCE if "--long" not in sys.argv else 3600)
    assert shell.stdout is not None
    if follows:
        for line in shell.stdout:
            printed += line
            if says in printed:
                os.killpg(shell.pid, signal.SIGINT)
                break
    try:
        printed += shell.communicate(timeout=max(1, deadline - time.monotonic()))[0]
    except subprocess.TimeoutExpired:
        os.killpg(shell.pid, signal.SIGKILL)
        return f"went on for too long:\n{printed}"
    if shell.returncode != 0 and not follows:
        return f"ended with {shell.returncode}:\n{printed}"
    return None if says in printed else f"does not say {says!r}:\n{printed}"


def main() -> int:
    """Try them; 0 if all do what the README says."""
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve()
    os.environ["PATH"] = f"{target}:{os.environ['PATH']}"
    for name in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL"):
        os.environ.pop(name, None)
    named = commands((ROOT / "README.md").read_text(encoding="utf-8"))
    listed = {**SHORT, **LONG}
    problems = [f"{it}: the README names it, and it is not tried" for it in named if it not in listed]
    problems += [f"{it}: is tried, and the README does not name it" for it in listed if it not in named]
    chosen = LONG if "--long" in sys.argv else SHORT
    tried = 0
    for command in named if not problems else []:
        how = chosen.get(command)
        if how is None:
            continue
        began = time.monotonic()
        wrong = how.before and run(how.before)
        wrong = wrong or run(how.typed or command, how.says, follows=how.follows)
        wrong = wrong or (how.after and run(how.after))
        tried += 1
        print(f"{'FAILED' if wrong else 'ok'}  {how.typed or command}  ({time.monotonic() - began:.1f}s)", flush=True)
        if wrong:
            problems.append(f"{command}: {wrong}")
    print(*problems, sep="\n", end="\n" if problems else "")
    print(f"README: {tried - len(problems)} commands do what it says, {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
