#!/usr/bin/env python3
"""Uses the console as people do, in Chromium, and says what it found.

    scripts/try-console.py                  every check, about two minutes, with a console and an API of its own
    scripts/try-console.py --only live,keys  some of them
    scripts/try-console.py --console http://localhost:8081 --requests http://localhost:8080 \\
        --token secrets/console_token --screenshots docs/console
                                            on a stack that runs: the checks that it allows, and pictures
    scripts/try-console.py --install        only makes sure that what it needs is there

By itself it runs target/debug/console and target/debug/api as processes of its own, on the MongoDB that
TEST_MONGO_URI names (127.0.0.1:27017 otherwise), in a database of its own. Chromium comes from Debian;
Playwright and axe-core, pinned with their hashes in scripts/console/requirements.txt, from PyPI into
target/console. Exit code 1 says that a check failed, 2 that they couldn't be run.
"""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve()
VENV = TARGET / "console/venv"
REQUIREMENTS = ROOT / "scripts/console/requirements.txt"
FONTS = "/usr/share/fonts/truetype/liberation=fonts-liberation"


def install() -> None:
    """Make sure that Chromium and what drives it are there."""
    subprocess.run([ROOT / "scripts/packages.sh", "chromium=chromium", FONTS], check=True)
    installed = VENV / "requirements.txt"
    if installed.is_file() and installed.read_bytes() == REQUIREMENTS.read_bytes():
        return
    print(f"console: Python packages in {VENV}", flush=True)
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
        print(f"console: error: what it needs can't be installed: {error}", file=sys.stderr)
        sys.exit(2)
    if "--install" not in sys.argv[1:]:
        # Paths among the arguments are relative to where it was called.
        os.environ["PYTHONPATH"] = str(ROOT / "scripts")
        os.execv(VENV / "bin/python", [VENV / "bin/python", "-m", "console", *sys.argv[1:]])
