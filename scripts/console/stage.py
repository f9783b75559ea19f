"""What the checks meet: a console, where requests are recorded, and a browser that is logged in."""

from __future__ import annotations

import contextlib
import http.client
import os
import pathlib
import secrets
import shutil
import subprocess
import tempfile
import urllib.parse
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from edge.check import Failed, Skipped, until
from edge.stage import answers, free_ports
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE = 10_000
"""Milliseconds that one step of the browser may take."""


@dataclass
class Stage:
    """Where everything is."""

    url: str
    requests: str
    token: str
    browser: Browser
    processes: Processes | None = None

    @contextlib.contextmanager
    def tab(self, *, log_in: bool = True, **options: object) -> Iterator[Tab]:
        """A tab of a browser of its own, by default logged in. Nothing recorded may have run in it."""
        context = self.browser.new_context(base_url=self.url, **options)
        context.set_default_timeout(PATIENCE)
        tab = Tab(context)
        try:
            if log_in:
                # The form needs no script.
                tab.page.goto("/login")
                tab.page.get_by_label("Token").fill(self.token)
                tab.page.get_by_role("button", name="Log in").click()
                tab.page.wait_for_url("**/")
            yield tab
            tab.expect_calm()
        finally:
            context.close()

    def send(self, query: str = "", method: str = "GET", body: bytes = b"", **headers: str) -> str:
        """Have a request recorded; return its id."""
        return Sender(self.requests).send(query, method, body, **headers)

    def own(self) -> Processes:
        """The processes, where they are this script's and may be stopped."""
        if self.processes is None:
            raise Skipped("the console isn't this script's to stop")
        return self.processes


class Sender:
    """A connection on which requests are recorded."""

    def __init__(self, url: str) -> None:
        """Connect."""
        place = urllib.parse.urlsplit(url)
        self.connection = http.client.HTTPConnection(place.hostname or "", place.port or 80, timeout=30)

    def send(self, query: str = "", method: str = "GET", body: bytes = b"", **headers: str) -> str:
        """Have a request recorded; return its id, which the answer to HEAD doesn't say."""
        fields = {name.replace("_", "-"): value.encode() for name, value in headers.items()}
        self.connection.request(method, f"/{query and '?'}{query}", body or None, fields)
        answer = self.connection.getresponse()
        said = answer.read().decode()
        if answer.status != http.client.OK:
            raise Failed(f"{method} /?{query} wasn't recorded: {answer.status} {said}")
        return said.split()[-1] if said else ""


class Tab:
    """A page, and what it complained about."""

    def __init__(self, context: BrowserContext) -> None:
        """Open it."""
        self.context = context
        self.page: Page = context.new_page()
        self.complaints: list[str] = []
        self.page.on("dialog", self._dialog)
        self.page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))
        self.page.on("console", self._console)

    def _dialog(self, dialog: object) -> None:
        self.complaints.append(f"a dialog: {dialog.message}")  # type: ignore[attr-defined]
        dialog.dismiss()  # type: ignore[attr-defined]

    def _console(self, message: object) -> None:
        text = message.text  # type: ignore[attr-defined]
        # What is expected of it: a status that a check asks for, and a console that is away.
        if message.type in ("error", "warning") and "Failed to load resource" not in text:  # type: ignore[attr-defined]
            self.complaints.append(text)

    def expect_calm(self) -> None:
        """No script that was recorded ran, or tried to."""
        if self.complaints:
            raise Failed(f"{self.page.url}: {'; '.join(self.complaints)}")

    def expect_width(self) -> None:
        """Nothing is wider than the window."""
        width, window = self.page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        if width > window:
            raise Failed(f"{self.page.url}: {width} px wide in a window of {window}")

    def row(self, identifier: str) -> object:
        """The row of a request."""
        return self.page.locator(f"#r-{identifier}")


@dataclass
class Processes:
    """A console and an API of the script's own."""

    binaries: pathlib.Path
    folder: pathlib.Path
    mongo: str
    database: str
    console_port: int
    api_port: int
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def environment(self, name: str) -> dict[str, str]:
        """What a binary is told."""
        prefix = name.upper()
        port = self.console_port if name == "console" else self.api_port
        own = {
            "LISTEN": f"127.0.0.1:{port}",
            "ADMIN_LISTEN": f"127.0.0.1:{free_ports(1)[0]}",
            "MONGO_URI": self.mongo,
            "DATABASE": self.database,
        }
        if name == "console":
            own |= {"TOKEN_FILE": str(self.folder / "token"), "CLIENTS": "any"}
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("API_", "CONSOLE_"))}
        return kept | {f"{prefix}_{key}": value for key, value in own.items()}

    def start(self, name: str, **more: str) -> None:
        """Start a binary, and wait until it listens."""
        environment = self.environment(name) | more
        listen = environment[f"{name.upper()}_LISTEN"]
        with (self.folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen([self.binaries / name], env=environment, stdout=log, stderr=log)
        self.running[name] = process
        port = int(listen.rpartition(":")[2])
        until(lambda: process.poll() is not None or answers(port), f"{name} listens", 30)
        if process.poll() is not None:
            raise Failed(f"{name} ended with {process.returncode}: {self.log(name)[-2000:]}")

    def stop(self, name: str) -> None:
        """Stop one as a redeploy does."""
        process = self.running.pop(name)
        process.terminate()
        process.wait(30)

    def log(self, name: str) -> str:
        """What one said."""
        return (self.folder / f"{name}.log").read_text(errors="replace")


@contextlib.contextmanager
def browser() -> Iterator[Browser]:
    """Chromium."""
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        try:
            yield opened
        finally:
            opened.close()


@contextlib.contextmanager
def own(binaries: pathlib.Path) -> Iterator[Stage]:
    """Start everything, and stop it."""
    with tempfile.TemporaryDirectory(prefix="causeway-console-") as name, browser() as opened:
        folder = pathlib.Path(name)
        token = secrets.token_hex(32)
        (folder / "token").write_text(token + "\n")
        (folder / "token").chmod(0o600)
        console_port, api_port = free_ports(2)
        processes = Processes(
            binaries,
            folder,
            os.environ.get("TEST_MONGO_URI", "mongodb://127.0.0.1:27017"),
            f"causeway-test-console-{os.getpid()}-{secrets.token_hex(4)}",
            console_port,
            api_port,
        )
        try:
            processes.start("api")
            processes.start("console")
            yield Stage(
                f"http://localhost:{console_port}", f"http://localhost:{api_port}", token, opened, processes
            )
            for binary in ("api", "console"):
                if "panicked" in (said := processes.log(binary)):
                    raise Failed(f"{binary} panicked: {said[said.index('panicked') - 200 :][:1000]}")
        finally:
            for binary in list(processes.running):
                processes.stop(binary)


@contextlib.contextmanager
def given(console: str, requests: str, token: pathlib.Path) -> Iterator[Stage]:
    """Use what runs."""
    secret = token.read_text().split()[0]
    with browser() as opened:
        yield Stage(console.rstrip("/"), requests, secret, opened)
