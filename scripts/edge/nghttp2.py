"""nghttp and h2load, of nghttp2."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from .check import check, expect, run

if TYPE_CHECKING:
    from .stage import Stage


def loaded(requests: int, *arguments: object) -> None:
    """Run h2load; every request has to be answered 2xx."""
    done = run("h2load", "--requests", requests, *arguments)
    summary = re.search(r"requests: .*", done.stdout)
    expect(summary, done.stdout[-600:])
    expect(f"{requests} done, {requests} succeeded, 0 failed, 0 errored, 0 timeout" in done.stdout, done.stdout[-600:])
    expect(f"status codes: {requests} 2xx" in done.stdout, done.stdout[-600:])


@check("nghttp", "settings: no push, at least 100 streams, WebSocket by extended CONNECT")
def settings(stage: Stage) -> None:
    done = run("nghttp", "--verbose", "--no-verify-peer", "--null-out", stage.url())
    sent = done.stdout[: done.stdout.find("send SETTINGS")] if "send SETTINGS" in done.stdout else done.stdout
    received = dict(re.findall(r"\[SETTINGS_(\w+)\(0x[0-9a-f]+\):(\d+)\]", after(done.stdout, "recv SETTINGS frame")))
    expect(int(received.get("MAX_CONCURRENT_STREAMS", 0)) >= 100, received, sent[-200:])
    expect(received.get("ENABLE_PUSH", "0") == "0", received)
    # nghttp 1.52 prints the ones it doesn't know by their number.
    expect(received.get("ENABLE_CONNECT_PROTOCOL", received.get("UNKNOWN", "1")) == "1", received)
    expect("recv GOAWAY" not in done.stdout, done.stdout[-600:])


def after(text: str, what: str) -> str:
    """Return the text behind the first place of `what`, up to the next frame."""
    behind = text.partition(what)[2]
    return re.split(r"\n\[", behind, maxsplit=1)[0]


@check("nghttp", "a body with trailers")
def trailers(stage: Stage) -> None:
    file = stage.folder / "body"
    file.write_text("x" * 100_000)
    done = run(
        "nghttp", "--no-verify-peer", "--data", file, "--trailer", "x-checksum: 1", stage.url(),
    )  # fmt: skip
    seen = json.loads(done.stdout)
    expect((seen["method"], seen["length"]) == ("POST", 100_000), seen)


@check("nghttp", "Expect: 100-continue over HTTP/2")
def expect_continue(stage: Stage) -> None:
    file = stage.folder / "small"
    file.write_text("waits")
    done = run("nghttp", "--verbose", "--no-verify-peer", "--expect-continue", "--data", file, stage.url())
    expect(":status: 100" in done.stdout and ":status: 200" in done.stdout, done.stdout[-900:])


@check("nghttp", "103 Early Hints aren't in the way")
def early_hints(stage: Stage) -> None:
    done = run("nghttp", "--verbose", "--no-verify-peer", "--null-out", stage.url("/early"))
    expect(":status: 200" in done.stdout, done.stdout[-900:])


@check("nghttp", "small windows: a mebibyte in pieces")
def small_windows(stage: Stage) -> None:
    done = run(
        "nghttp", "--stat", "--no-verify-peer", "--null-out", "--window-bits=10", "--connection-window-bits=12",
        stage.url("/mib"),
    )  # fmt: skip
    expect(re.search(r"\b200\b +1M", done.stdout), done.stdout[-600:])


@check("h2load", "4,000 requests, 100 at a time on each of 10 connections")
def many_streams(stage: Stage) -> None:
    loaded(4_000, "--clients=10", "--max-concurrent-streams=100", stage.url("/page"))


@check("h2load", "with prior knowledge on the plain port")
def plain(stage: Stage) -> None:
    loaded(1_000, "--clients=5", "--max-concurrent-streams=20", stage.url("/page", tls=False))


@check("h2load", "HTTP/1.1 over TLS")
def http1(stage: Stage) -> None:
    loaded(1_000, "--h1", "--clients=10", stage.url("/page"))


@check("h2load", "large answers at the same time, in small windows")
def large_answers(stage: Stage) -> None:
    loaded(60, "--clients=3", "--max-concurrent-streams=10", "--window-bits=16", stage.url("/mib"))


@check("h2load", "a TLS connection for each of 300 requests")
def handshakes(stage: Stage) -> None:
    loaded(300, "--clients=300", "--max-concurrent-streams=1", stage.url("/page"))
