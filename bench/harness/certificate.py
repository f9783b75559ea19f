"""The certificate that every proxy has, made for one run: ECDSA P-256, signed by itself."""

from __future__ import annotations

import tempfile
from pathlib import Path

from . import images
from .engine import LABEL, docker
from .load import HOST

SCRIPT = f"""
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN={HOST} \\
  -addext subjectAltName=DNS:{HOST} -keyout bench.key -out bench.crt 2>&1
cat bench.crt bench.key > bench.pem
chmod 644 bench.*
"""


class Certificate:
    """A certificate and its key, in files that vanish with the run."""

    def __init__(self) -> None:
        """Make them, by the load image's openssl."""
        # Each container's user reads them; the folder around them is this user's alone.
        self._folder = tempfile.TemporaryDirectory(prefix="causeway-bench-")
        self._place = Path(self._folder.name) / "certificates"
        self._place.mkdir()
        docker(
            "run", "--rm", "--label", LABEL, f"--volume={self._place}:/certificates", "--workdir=/certificates",
            "--env=OPENSSL_CONF=/etc/ssl/openssl.cnf", images.tag("load"), "sh", "-ec", SCRIPT,
        )  # fmt: skip

    def mounts(self, *, ours: bool) -> list[str]:
        """`docker run` arguments that put them where a proxy looks for them."""
        if ours:
            return [f"--volume={self._place}/bench.{end}:/run/secrets/tls.{end}:ro" for end in ("crt", "key")]
        return [f"--volume={self._place}:/certificates:ro"]

    def remove(self) -> None:
        """Delete the files."""
        self._folder.cleanup()
