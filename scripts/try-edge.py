#!/usr/bin/env python3
"""Has other people's clients use the proxy over TLS and HTTP/2, and says what each of them found.

    scripts/try-edge.py                  every check, about a minute
    scripts/try-edge.py --only curl,h2   some clients
    scripts/try-edge.py --table          writes what testssl.sh finds as what is expected from now on

The proxy (--proxy, else target/debug/proxy) runs as a process of its own, before an upstream that this
script is, with certificates that it makes: no engine, no stack. Clients come from Debian and, pinned with
their hashes in scripts/edge/requirements.txt, from PyPI into target/edge. Exit code 1 says that a check
failed, 2 that they couldn't be run.
"""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve()
VENV = TARGET / "edge/venv"
REQUIREMENTS = ROOT / "scripts/edge/requirements.txt"
PACKAGES = (
    "curl=curl", "openssl=openssl", "nghttp=nghttp2-client", "h2load=nghttp2-client", "testssl=testssl.sh",
    "chromium=chromium",
)  # fmt: skip


def install() -> None:
    """Make sure that the clients are there."""
    subprocess.run([ROOT / "scripts/packages.sh", *PACKAGES], check=True)
    installed = VENV / "requirements.txt"
    if installed.is_file() and installed.read_bytes() == REQUIREMENTS.read_bytes():
        return
    print(f"edge: Python packages in {VENV}", flush=True)
    subprocess.run([sys.executable, "-m", "venv", "--clear", VENV], check=True)
    pip = [
        VENV / "bin/pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--require-hashes",
        "--only-binary=:all:",
    ]
    subprocess.run([*pip, "--requirement", REQUIREMENTS], check=True)
    installed.write_bytes(REQUIREMENTS.read_bytes())


if __name__ == "__main__":
    try:
        install()
    except subprocess.CalledProcessError as error:
        print(f"edge: error: the clients can't be installed: {error}", file=sys.stderr)
        sys.exit(2)
    os.chdir(ROOT / "scripts")
    os.execv(VENV / "bin/python", [VENV / "bin/python", "-m", "edge", *sys.argv[1:]])
