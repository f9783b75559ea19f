"""What the clients meet: certificates, an upstream, and the proxy between them and it."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import pathlib
import secrets
import socket
import subprocess
import tempfile
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

from .check import Failed, run, until

if TYPE_CHECKING:
    from collections.abc import Iterator

MIB = 2**20
NAMES = {"localhost": "ec", "rsa.test": "rsa"}
"""Server names with a certificate each, and the kind of their keys."""
HSTS = "max-age=31536000"
PAGE = b"<!doctype html><title>edge</title><p>served</p>"
WEBSOCKET_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


@dataclass(frozen=True)
class Stage:
    """Where everything is."""

    folder: pathlib.Path
    plain: int
    """Port for HTTP/1.1, and HTTP/2 with prior knowledge."""
    tls: int

    @property
    def ca(self) -> pathlib.Path:
        """Certificate of the authority that signed the others."""
        return self.folder / "ca.crt"

    def url(self, path: str = "/", *, tls: bool = True) -> str:
        """Address of a path."""
        return f"https://localhost:{self.tls}{path}" if tls else f"http://localhost:{self.plain}{path}"


@contextlib.contextmanager
def stage(proxy: pathlib.Path) -> Iterator[Stage]:
    """Set everything up, and take it down."""
    with tempfile.TemporaryDirectory(prefix="causeway-edge-") as name:
        folder = pathlib.Path(name)
        make_certificates(folder)
        upstream = Server(("127.0.0.1", 0), Upstream)
        threading.Thread(target=upstream.serve_forever, daemon=True).start()
        plain, tls, admin = free_ports(3)
        environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith("PROXY_")},
            "PROXY_LISTEN": f"127.0.0.1:{plain}",
            "PROXY_TLS_LISTEN": f"127.0.0.1:{tls}",
            "PROXY_ADMIN_LISTEN": f"127.0.0.1:{admin}",
            "PROXY_UPSTREAM": f"127.0.0.1:{upstream.server_port}",
            "PROXY_TLS_CERTIFICATES": str(folder / "certificates"),
            "PROXY_TLS_TICKET_KEY_FILE": str(folder / "ticket_key"),
            "PROXY_HTTP2": "prior-knowledge",
            "PROXY_HSTS": HSTS,
        }
        log = folder / "proxy.log"
        with (
            log.open("w") as output,
            subprocess.Popen([proxy], env=environment, stdout=output, stderr=output) as process,
        ):
            try:
                until(lambda: process.poll() is not None or (answers(plain) and answers(tls)), "the proxy listens")
                if process.poll() is not None:
                    raise Failed(f"the proxy ended with {process.returncode}: {log.read_text()[-2000:]}")
                yield Stage(folder, plain, tls)
                if process.poll() is not None:
                    raise Failed(f"the proxy ended with {process.returncode} meanwhile: {log.read_text()[-2000:]}")
                if "panicked" in (said := log.read_text()):
                    raise Failed(f"the proxy panicked: {said[said.index('panicked') - 200 :][:1000]}")
            finally:
                process.terminate()
        upstream.shutdown()


def make_certificates(folder: pathlib.Path) -> None:
    """Make an authority and a certificate for each name."""
    ec = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    made(
        "req", "-x509", *ec, "-nodes", "-days", "30", "-subj", "/CN=edge test authority",
        "-addext", "keyUsage=critical,keyCertSign", "-keyout", folder / "ca.key", "-out", folder / "ca.crt",
    )  # fmt: skip
    certificates = folder / "certificates"
    certificates.mkdir()
    for name, kind in NAMES.items():
        request, extensions = folder / f"{name}.csr", folder / f"{name}.ext"
        addresses = ",IP:127.0.0.1" if name == "localhost" else ""
        extensions.write_text(f"subjectAltName=DNS:{name}{addresses}\nextendedKeyUsage=serverAuth\n")
        key = ec if kind == "ec" else ["-newkey", "rsa:2048"]
        made(
            "req", "-new", *key, "-nodes", "-subj", f"/CN={name}",
            "-keyout", certificates / f"{name}.key", "-out", request,
        )  # fmt: skip
        made(
            "x509", "-req", "-in", request, "-CA", folder / "ca.crt", "-CAkey", folder / "ca.key", "-CAcreateserial",
            "-days", "30", "-extfile", extensions, "-out", certificates / f"{name}.crt",
        )  # fmt: skip
    ticket_key = folder / "ticket_key"
    ticket_key.write_text(secrets.token_hex(32) + "\n")
    ticket_key.chmod(0o600)


def made(*arguments: object) -> None:
    """Run openssl; it has to succeed."""
    done = run("openssl", *arguments)
    if done.returncode:
        raise Failed(f"openssl {arguments[0]}: {done.stdout}")


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [opened.getsockname()[1] for opened in sockets]


def answers(port: int) -> bool:
    """Whether somebody listens on a port."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


class Server(ThreadingHTTPServer):
    """Takes as many connections at a time as the proxy may open."""

    request_queue_size = 1024
    daemon_threads = True


class Upstream(BaseHTTPRequestHandler):
    """Says what reached it; streams, trailers and WebSockets besides."""

    protocol_version = "HTTP/1.1"

    def handle_one_request(self) -> None:
        """Take a connection that is closed as what it is."""
        with contextlib.suppress(ConnectionError):
            super().handle_one_request()

    def do_GET(self) -> None:
        """Answer by path."""
        match self.path.partition("?")[0]:
            case "/page":
                self._answer(PAGE, "text/html")
            case "/mib":
                self._answer(bytes(MIB), "application/octet-stream")
            case "/trailers":
                self._trailers()
            case "/early":
                self.send_response_only(103)
                self.send_header("Link", "</style.css>; rel=preload; as=style")
                self.end_headers()
                self._answer(PAGE, "text/html")
            case "/socket":
                self._websocket()
            case _:
                self._echo()

    do_POST = do_PUT = do_HEAD = do_DELETE = do_GET

    def _echo(self) -> None:
        body = self._body()
        said = {
            "method": self.command,
            "path": self.path,
            "headers": {name.lower(): value for name, value in self.headers.items()},
            "length": len(body),
            "sha256": hashlib.sha256(body).hexdigest(),
        }
        self._answer(json.dumps(said).encode(), "application/json")

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return body

    def _answer(self, body: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _trailers(self) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.send_header("Trailer", "X-Checksum")
        self.end_headers()
        self.wfile.write(b"5\r\nhello\r\n0\r\nX-Checksum: 5d41\r\n\r\n")

    def _websocket(self) -> None:
        """Answer one text message of less than 126 bytes with itself."""
        key = self.headers["Sec-WebSocket-Key"].encode()
        accept = base64.b64encode(hashlib.sha1(key + WEBSOCKET_GUID).digest()).decode()  # noqa: S324  RFC 6455
        self.send_response(101)
        for name, value in (("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Accept", accept)):
            self.send_header(name, value)
        self.end_headers()
        self.close_connection = True
        head = self.rfile.read(2)
        size = head[1] & 0x7F
        mask, masked = self.rfile.read(4), self.rfile.read(size)
        text = bytes(byte ^ mask[place % 4] for place, byte in enumerate(masked))
        self.wfile.write(bytes([0x81, size]) + text + b"\x88\x00")
        self.wfile.flush()
        # The client's closing frame, or its end.
        self.rfile.read(1)

    def log_message(self, *_: object) -> None:
        """Say nothing."""
