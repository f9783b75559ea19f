"""The images that are measured: peers from Debian and PyPI, and ours from its Dockerfiles."""

from __future__ import annotations

import io
import tarfile
import tempfile
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from . import engine
from .errors import BenchError

if TYPE_CHECKING:
    from pathlib import Path

    from .compose import Service

OFFICIAL_BASE = "debian:trixie-slim"
LOCAL_BASE = "causeway/base-rust:local"
PEERS = ("backend", "nginx", "haproxy", "caddy", "pingora", "python")
LOAD_SOURCES = ("Cargo.toml", "Cargo.lock", "src/main.rs", "openssl.cnf", "Dockerfile")


def tag(name: str) -> str:
    """Name of an image of the harness's own; it is not what `make deploy` runs."""
    return f"causeway/bench-{name}:local"


@dataclass(frozen=True)
class Sources:
    """Where images come from."""

    root: Path
    """The repository."""
    base: str | None
    """Debian image to build peers on; None for the assembled one where it is there, else the official one."""
    oha: Path
    """The load generator's binary."""
    services: dict[str, Service]

    def ensure(self) -> None:
        """Build what isn't built, or changed; the engine's layer cache makes the rest quick."""
        base = self.base or (LOCAL_BASE if engine.image_exists(LOCAL_BASE) else OFFICIAL_BASE)
        print(f"bench: images (peers on {base})", flush=True)
        begun = time.monotonic()
        arguments = {"BASE": base, **self.services["proxy"].build_args}
        for name in PEERS:
            engine.build(self.root / "bench/peers" / name, None, tag(name), arguments)
        self._load_generator(arguments)
        for name in ("proxy", "api"):
            dockerfile = str(self.root / f"Dockerfile.{name}")
            engine.build(self.root, dockerfile, tag(name), self.services[name].build_args)
        print(f"bench: images ready in {time.monotonic() - begun:.0f} s", flush=True)

    def _load_generator(self, arguments: dict[str, str]) -> None:
        """Build the load image: its context is a folder, and a binary that isn't in it."""
        if not self.oha.is_file():
            raise BenchError(f"there is no oha at {self.oha}: `make bench` installs it")
        with tempfile.TemporaryFile() as archive:
            with tarfile.open(fileobj=archive, mode="w") as context:
                for name in LOAD_SOURCES:
                    _add(context, name, (self.root / "bench/peers/load" / name).read_bytes(), 0o644)
                _add(context, "oha", self.oha.read_bytes(), 0o755)
            archive.seek(0)
            engine.build(archive, None, tag("load"), arguments)


def _add(archive: tarfile.TarFile, name: str, content: bytes, mode: int) -> None:
    # Without times and owners: the same content is the same layer.
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), mode
    archive.addfile(entry, io.BytesIO(content))
