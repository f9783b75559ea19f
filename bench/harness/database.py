"""The one mongod that all stacks write to, and the harness's hand in it (peers/python/control.py).

It runs as compose.yaml has it: the same image, arguments, limits and authentication, its data on
a volume of its own. One for all, so that nobody has the warmer cache or the younger files.
"""

from __future__ import annotations

import json
import secrets
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import images
from .engine import Container, ContainerSpec, Engine
from .errors import BenchError

if TYPE_CHECKING:
    from .compose import Service

PROXY_SECRETS = ("proxy_token", "tls_ticket_key")
ROOT_SECRET = "/run/secrets/mongo_root_password"  # noqa: S105  a path
PORT = 27017


class Passwords:
    """Passwords and tokens for one run, in files that vanish with it."""

    def __init__(self) -> None:
        """Make them up."""
        self._folder = tempfile.TemporaryDirectory(prefix="causeway-bench-")
        self._files = {}
        for name in ("mongo_root_password", "mongo_api_password", *PROXY_SECRETS):
            path = Path(self._folder.name) / name
            path.write_text(secrets.token_hex(16))
            # Each container's user reads them; the folder around them is this user's alone.
            path.chmod(0o644)
            self._files[name] = path

    def mounts(self, *names: str) -> list[str]:
        """`docker run` arguments that put these under /run/secrets."""
        return [f"--volume={self._files[name]}:/run/secrets/{name}:ro" for name in names]

    def remove(self) -> None:
        """Delete the files."""
        self._folder.cleanup()


class Database:
    """A running mongod."""

    def __init__(self, engine: Engine, network: str, service: Service, passwords: Passwords) -> None:
        """Start it, and wait until it answers with authentication on."""
        self.container: Container = engine.start(
            ContainerSpec(
                name="mongo",
                image=service.image,
                networks={network: ["mongo"]},
                command=service.command,
                environment=service.environment,
                arguments=[
                    *service.arguments,
                    *passwords.mounts("mongo_root_password", "mongo_api_password"),
                    "--volume=/data/db",
                ],
            )
        )
        self.control = engine.start(
            ContainerSpec(
                name="control",
                image=images.tag("python"),
                networks={network: []},
                command=["sleep", "infinity"],
                environment={"MONGO_USERNAME": "root", "MONGO_PASSWORD_FILE": ROOT_SECRET},
                arguments=passwords.mounts("mongo_root_password"),
            )
        )
        self._control = subprocess.Popen(
            ["docker", "exec", "--interactive", self.control.id, "python", "control.py"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip
        try:
            self.version = str(self._do("version"))
        except BenchError as error:
            raise BenchError(f"{error}\nmongod's last lines:\n{engine.logs(self.container.id)}") from None

    def drop(self) -> None:
        """Remove every document."""
        self._do("drop")

    def seed(self, documents: int) -> None:
        """Leave exactly this many documents there."""
        self._expect(documents, self._do("seed", documents=documents))

    def trim(self, documents: int) -> None:
        """Go back to the last seed, which was of this many documents."""
        self._expect(documents, self._do("trim"))

    def count(self) -> int:
        """How many documents there are."""
        return int(self._do("count"))

    def close(self) -> None:
        """End the control process."""
        self._control.kill()
        self._control.wait()

    @staticmethod
    def _expect(documents: int, found: Any) -> None:  # noqa: ANN401  an answer from outside
        if found != documents:
            raise BenchError(f"{found} documents in the database instead of the {documents} that were put there")

    def _do(self, what: str, **more: int) -> Any:  # noqa: ANN401  JSON
        pipe_in, pipe_out = self._control.stdin, self._control.stdout
        if pipe_in is None or pipe_out is None:
            raise BenchError("the control process has no pipes")
        try:
            pipe_in.write(json.dumps({"do": what, **more}) + "\n")
            pipe_in.flush()
            answer = json.loads(pipe_out.readline())
        except (OSError, ValueError):
            raise BenchError(f"the control process ended at {what!r}") from None
        if "error" in answer:
            raise BenchError(f"{what!r} in the database failed: {answer['error']}")
        return answer["value"]
