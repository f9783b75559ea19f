"""What scripts/try-*.py have in common: Debian's packages, an environment of Python's, and the start in it."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve()


def start(name: str, packages: list[str]) -> None:
    """Become the module of this name, with the arguments given; with --install, only make that possible.

    `packages` are as scripts/packages.sh takes them; those of Python's, pinned with their hashes in the
    module's requirements.txt, go into target/NAME/venv. Exit code 2 says that something can't be had.
    """
    venv = TARGET / name / "venv"
    try:
        install(name, packages, venv)
    except subprocess.CalledProcessError as error:
        print(f"{name}: error: what it needs can't be installed: {error}", file=sys.stderr)
        sys.exit(2)
    if "--install" not in sys.argv[1:]:
        # Paths among the arguments are relative to where it was called.
        os.environ["PYTHONPATH"] = str(ROOT / "scripts")
        os.execv(venv / "bin/python", [venv / "bin/python", "-m", name, *sys.argv[1:]])


def install(name: str, packages: list[str], venv: pathlib.Path) -> None:
    """Make sure that all of it is there."""
    subprocess.run([ROOT / "scripts/packages.sh", *packages], check=True)
    requirements = ROOT / "scripts" / name / "requirements.txt"
    installed = venv / "requirements.txt"
    if installed.is_file() and installed.read_bytes() == requirements.read_bytes():
        return
    print(f"{name}: Python packages in {venv}", flush=True)
    subprocess.run([sys.executable, "-m", "venv", "--clear", venv], check=True)
    pip = [
        venv / "bin/pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--require-hashes",
        "--only-binary=:all:",
    ]
    subprocess.run([*pip, "--requirement", requirements], check=True)
    installed.write_bytes(requirements.read_bytes())
