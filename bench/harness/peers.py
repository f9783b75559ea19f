"""Who is compared: the whole stacks, and the proxies alone."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from . import images

if TYPE_CHECKING:
    from .compose import Service

CAUSEWAY = "causeway"


@dataclass(frozen=True)
class Peer:
    """A stack or a proxy, as reports name it."""

    key: str
    label: str
    describe: str


STACKS = (
    Peer(
        "exercise",
        "nginx + Flask",
        "the exercise as written: nginx's default proxy settings, Flask's own server",
    ),
    Peer("tuned", "nginx + gunicorn", "tuned: upstream keep-alive, gunicorn threads, pooled pymongo"),
    Peer(CAUSEWAY, "Causeway", "compose.yaml's proxy and api"),
)
PROXIES = (
    Peer(
        "nginx-exercise",
        "nginx (exercise)",
        "default proxy settings: HTTP/1.0, a connection per request",
    ),
    Peer("nginx-tuned", "nginx (tuned)", "HTTP/1.1, upstream keep-alive, reuseport, buffered log"),
    Peer("haproxy", "HAProxy", "a thread per CPU, shared upstream connections"),
    Peer("caddy", "Caddy", "its defaults, more idle upstream connections"),
    Peer("pingora", "pingora-proxy", "a minimal ProxyHttp, rustls: what a data path of one's own is worth"),
    Peer(CAUSEWAY, "Causeway", "compose.yaml's proxy"),
)
TLS_PROXIES = tuple(peer for peer in PROXIES if peer.key != "nginx-exercise")
"""The exercise has no TLS."""


def members(kind: str) -> tuple[Peer, ...]:
    """Who is compared in a kind of scenario."""
    return {"stack": STACKS, "tls": TLS_PROXIES}.get(kind, PROXIES)


@dataclass(frozen=True)
class Gunicorn:
    """The setting of the tuned Python stack that a sweep chooses."""

    workers: int
    threads: int

    def __str__(self) -> str:
        """As reports write it."""
        return f"{self.workers} workers × {self.threads} threads"


@dataclass(frozen=True)
class Part:
    """How one container of a peer is run."""

    image: str
    command: list[str]
    environment: dict[str, str]
    arguments: list[str]

    @classmethod
    def of_ours(cls, name: str, service: Service, extra: dict[str, str] | None = None) -> Part:
        """Run our service as compose.yaml does."""
        return cls(
            images.tag(name),
            service.command,
            {**service.environment, **(extra or {})},
            service.arguments,
        )


def proxy(key: str, services: dict[str, Service], *, quiet: bool = False) -> Part:
    """How a proxy is run; `quiet` without its access log."""
    suffix = "-quiet" if quiet else ""

    def nginx(name: str) -> Part:
        config = f"/etc/nginx/{name}{suffix}.conf"
        return Part(images.tag("nginx"), ["nginx", "-g", "daemon off;", "-c", config], {}, [])

    match key:
        case "nginx-exercise" | "exercise":
            return nginx("exercise")
        case "nginx-tuned" | "tuned":
            return nginx("tuned")
        case "haproxy":
            config = "/etc/haproxy/quiet.cfg" if quiet else "/etc/haproxy/haproxy.cfg"
            return Part(images.tag("haproxy"), ["haproxy", "-db", "-f", config], {}, [])
        case "caddy":
            config = "/etc/caddy/quiet.Caddyfile" if quiet else "/etc/caddy/Caddyfile"
            command = ["caddy", "run", "--adapter", "caddyfile", "--config", config]
            return Part(images.tag("caddy"), command, {}, [])
        case "pingora":
            return Part(images.tag("pingora"), [], {"ACCESS_LOG": "off" if quiet else "on"}, [])
        case "causeway":
            more = {
                "PROXY_ACCESS_LOG": "off" if quiet else "on",
                "PROXY_TLS_LISTEN": "[::]:443",
                # The certificate that all have, and nothing of what this machine's stack is set to get.
                "PROXY_TLS_CERTIFICATES": "/run/secrets",
                "PROXY_TLS_TICKET_KEY_FILE": "/run/secrets/tls_ticket_key",
                "PROXY_ACME_DOMAINS": "",
                "PROXY_REDIRECT_HTTPS": "",
            }
            return _own_socket(Part.of_ours("proxy", services["proxy"], more), services["listener"])
        case _:
            raise ValueError(key)


def _own_socket(proxy: Part, listener: Service) -> Part:
    """Have the proxy bind its ports itself, as its peers do: see README.md."""
    environment = {key: value for key, value in proxy.environment.items() if key != "PROXY_LISTEN_FROM"}
    sysctls = [argument for argument in listener.arguments if argument.startswith("--sysctl=")]
    return replace(proxy, environment=environment, arguments=[*proxy.arguments, *sysctls])


def app(key: str, services: dict[str, Service], gunicorn: Gunicorn) -> Part:
    """How a stack's application is run."""
    credentials = {
        "MONGO_USERNAME": services["api"].environment["API_MONGO_USERNAME"],
        "MONGO_PASSWORD_FILE": services["api"].environment["API_MONGO_PASSWORD_FILE"],
    }
    match key:
        case "exercise":
            return Part(images.tag("python"), ["python", "exercise.py"], credentials, [])
        case "tuned":
            sizes = {"APP_WORKERS": str(gunicorn.workers), "APP_THREADS": str(gunicorn.threads)}
            command = ["gunicorn", "--config", "gunicorn.conf.py", "tuned:app"]
            return Part(images.tag("python"), command, {**credentials, **sizes}, [])
        case "causeway":
            return Part.of_ours("api", services["api"])
        case _:
            raise ValueError(key)
