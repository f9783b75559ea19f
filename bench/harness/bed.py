"""What is measured, set up: the three stacks on one mongod, or the five proxies before one backend.

All peers of a bed run at the same time and are loaded in turn: those that aren't loaded are idle.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

from . import images, peers
from .certificate import Certificate
from .database import PROXY_SECRETS, Database, Passwords
from .engine import Container, ContainerSpec, Engine
from .errors import BenchError
from .load import Generator, Load

if TYPE_CHECKING:
    from .compose import Service
    from .peers import Gunicorn, Part, Peer

READY_TIMEOUT = 120
"""Seconds that a peer may take from its start to its first answer."""


@dataclass
class Setting:
    """What is the same for everyone."""

    engine: Engine
    services: dict[str, Service]
    cpus: float
    """CPUs that each container may use, the load generator's aside."""
    gunicorn: Gunicorn
    only: frozenset[str]
    """Peers that are measured; empty for all."""

    def common(self, *, ours: bool) -> list[str]:
        """`docker run` arguments of every server: CPU limit, open files, and the log driver.

        Ours has the latter two from compose.yaml, and memory and process limits besides, which
        peers are spared.
        """
        arguments = [f"--cpus={self.cpus:g}"]
        if not ours:
            proxy = self.services["proxy"].arguments
            arguments += [part for part in proxy if part.startswith(("--log-", "--ulimit="))]
        return arguments


class Bed(ABC):
    """Peers that are up."""

    def __init__(self, setting: Setting, members: tuple[Peer, ...]) -> None:
        """Take who is compared; subclasses start them."""
        self.setting = setting
        self.members = [peer for peer in members if not setting.only or peer.key in setting.only]
        self._certificate = Certificate()
        self.roles: dict[str, dict[str, list[Container]]] = {}
        """Containers of each peer by the role they play, shared ones included."""
        self.generator_container: Container | None = None
        self._networks: list[str] = []

    @property
    def generator(self) -> Generator:
        """The load generators, on the peers' own networks."""
        if self.generator_container is None:
            raise BenchError("the bed isn't up")
        return Generator.in_container(self.generator_container.id)

    def address(self, peer: str, port: int = 80) -> str:
        """Where a peer answers on its network."""
        return f"{self.roles[peer]['front'][0].address}:{port}"

    def published(self, peer: str) -> str:
        """Where a peer answers on this machine's loopback."""
        return self.setting.engine.published(self.roles[peer]["front"][0], 80)

    @abstractmethod
    def before_run(self) -> None:
        """Put everything back to where each run begins."""

    @abstractmethod
    def stored(self) -> int | None:
        """How many documents were stored since; None where nothing is stored."""

    def close(self) -> None:
        """Remove containers and networks."""
        running = [c for roles in self.roles.values() for group in roles.values() for c in group]
        running += [self.generator_container] if self.generator_container else []
        self.setting.engine.remove(*{container.id: container for container in running}.values())
        self.setting.engine.remove_networks(*self._networks)
        self._certificate.remove()

    def _start_generator(self, networks: list[str]) -> None:
        files = [part for part in self.setting.common(ours=False) if part.startswith("--ulimit=")]
        joined: dict[str, list[str]] = {name: [] for name in networks}
        spec = ContainerSpec("load", images.tag("load"), joined, arguments=files)
        self.generator_container = self.setting.engine.start(spec)

    def _run(self, name: str, part: Part, networks: dict[str, list[str]], *more: str) -> Container:
        ours = part.image in (images.tag("proxy"), images.tag("api"))
        arguments = [*part.arguments, *self.setting.common(ours=ours), *more]
        return self.setting.engine.start(
            ContainerSpec(name, part.image, networks, part.command, part.environment, arguments)
        )

    def _await_ready(self, peer: str, *, tls: bool = False) -> None:
        # As many requests as find every process of every replica, with some likelihood.
        load = Load(connections=8, tls=tls)
        deadline = time.monotonic() + READY_TIMEOUT
        while True:
            try:
                problems = self.generator.run(load, self.address(peer, load.port), 0.2).problems()
            except BenchError as error:  # it may not listen yet
                problems = [str(error)]
            if not problems:
                return
            if time.monotonic() > deadline:
                raise BenchError(f"{peer} isn't ready after {READY_TIMEOUT} s: {problems}\n{self.logs(peer)}")
            time.sleep(0.3)

    def logs(self, peer: str) -> str:
        """Return the last lines of each of a peer's containers."""
        containers = [container for group in self.roles[peer].values() for container in group]
        return "\n".join(f"{c.name} {self.setting.engine.logs(c.id)}" for c in containers)


class StackBed(Bed):
    """Whole stacks: a front and applications each, on networks as compose.yaml draws them."""

    def __init__(self, setting: Setting) -> None:
        """Start mongod and the stacks with one application each."""
        super().__init__(setting, peers.STACKS)
        self._seeded = 0
        self._passwords = Passwords()
        engine = setting.engine
        self._private = engine.network("private", internal=True)
        self._public = {peer.key: engine.network(f"public-{peer.key}") for peer in self.members}
        self._networks = [self._private, *self._public.values()]
        self.database = Database(engine, self._private, setting.services["mongo"], self._passwords)
        self._start_generator(list(self._public.values()))
        for peer in self.members:
            self.start_peer(peer.key, setting.gunicorn)

    def start_peer(self, key: str, gunicorn: Gunicorn, replicas: int = 1) -> None:
        """(Re)start one stack, with this many applications."""
        for group in ("front", "app"):
            self.setting.engine.remove(*self.roles.get(key, {}).get(group, []))
        self.roles.pop(key, None)
        public = self._public[key]
        app = peers.app(key, self.setting.services, gunicorn)
        secret = self._passwords.mounts("mongo_api_password", "proxy_token")
        apps = [
            self._run(f"{key}-app-{n}", app, {public: ["flask-app"], self._private: []}, *secret)
            for n in range(1, replicas + 1)
        ]
        # After the applications: nginx looks their addresses up once, at its start.
        front = peers.proxy(key, self.setting.services)
        published = "--publish=127.0.0.1::80"
        files = [*self._passwords.mounts(*PROXY_SECRETS), *self._certificate.mounts(ours=key == peers.CAUSEWAY)]
        self.roles[key] = {"app": apps, "mongo": [self.database.container]}
        self.roles[key]["front"] = [self._run(f"{key}-front", front, {public: []}, published, *files)]
        self._await_ready(key)

    def seed(self, documents: int) -> None:
        """Begin every run from here on with this many documents."""
        self._seeded = documents
        if documents:
            self.database.seed(documents)

    def before_run(self) -> None:
        """Leave what was seeded, and nothing else, in the database."""
        if self._seeded:
            self.database.trim(self._seeded)
        else:
            self.database.drop()

    def stored(self) -> int | None:
        """Documents that came since."""
        return self.database.count() - self._seeded

    def close(self) -> None:
        """Remove everything, the passwords too."""
        self.database.close()
        self.setting.engine.remove(self.database.control)
        super().close()
        self._passwords.remove()


class ProxyBed(Bed):
    """Proxies alone, before one static backend that answers to the name flask-app."""

    def __init__(self, setting: Setting, kind: str) -> None:
        """Start those of a kind of scenario; `proxy` is the one with access logs."""
        super().__init__(setting, peers.members(kind))
        self._kind = kind
        self._passwords = Passwords()
        self._network = setting.engine.network("proxies")
        self._networks = [self._network]
        backend = peers.Part(images.tag("backend"), [], {}, [])
        self._backend = self._run("backend", backend, {self._network: ["flask-app"]})
        self._start_generator(self._networks)
        for peer in self.members:
            self.start_peer(peer.key)

    def start_peer(self, key: str) -> None:
        """(Re)start one proxy."""
        self.setting.engine.remove(*self.roles.pop(key, {}).get("front", []))
        part = peers.proxy(key, self.setting.services, quiet=self._kind != "proxy")
        files = [*self._passwords.mounts(*PROXY_SECRETS), *self._certificate.mounts(ours=key == peers.CAUSEWAY)]
        front = self._run(f"proxy-{key}", part, {self._network: []}, "--publish=127.0.0.1::80", *files)
        self.roles[key] = {"front": [front], "backend": [self._backend]}
        self._await_ready(key, tls=self._kind == "tls")

    def before_run(self) -> None:
        """Nothing is kept between runs."""

    def stored(self) -> int | None:
        """Nothing is stored."""
        return None

    def close(self) -> None:
        """Remove everything, the token too."""
        super().close()
        self._passwords.remove()
