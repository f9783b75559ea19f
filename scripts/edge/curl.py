"""curl."""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING, Any

from .check import check, expect, run
from .stage import HSTS, MIB

if TYPE_CHECKING:
    from .stage import Stage

VERSIONS = {"--http1.1": "1.1", "--http2": "2"}


def curl(stage: Stage, *arguments: object, code: int = 0) -> tuple[str, str]:
    """Run curl; return the HTTP version that was spoken, and what it printed."""
    done = run("curl", "--silent", "--show-error", "--cacert", stage.ca, "--write-out", "\n%{http_version}", *arguments)
    expect(done.returncode == code, f"curl ended with {done.returncode}, not {code}", done.stdout[-300:])
    printed, _, version = done.stdout.rpartition("\n")
    return version, printed


def echoed(stage: Stage, *arguments: object) -> tuple[str, dict[str, Any]]:
    """Run curl; return the HTTP version, and what reached the upstream."""
    version, printed = curl(stage, *arguments)
    return version, json.loads(printed)


@check("curl", "HTTP/2 by ALPN; the upstream hears of https and HTTP/2")
def by_alpn(stage: Stage) -> None:
    version, seen = echoed(stage, "--http2", stage.url("/?a=b"))
    expect(version == "2", f"spoke HTTP/{version}")
    expect(seen["headers"]["x-forwarded-proto"] == "https", seen)
    expect(seen["headers"]["host"] == f"localhost:{stage.tls}", seen)
    expect(seen["path"] == "/?a=b", seen)


@check("curl", "HTTP/1.1 over TLS")
def http1(stage: Stage) -> None:
    version, seen = echoed(stage, "--http1.1", stage.url())
    expect(version == "1.1", f"spoke HTTP/{version}")
    expect(seen["headers"]["x-forwarded-proto"] == "https", seen)


@check("curl", "HTTP/2 with prior knowledge on the plain port")
def prior_knowledge(stage: Stage) -> None:
    version, seen = echoed(stage, "--http2-prior-knowledge", stage.url(tls=False))
    expect(version == "2", f"spoke HTTP/{version}")
    expect(seen["headers"]["x-forwarded-proto"] == "http", seen)


@check("curl", "HTTP/1.1 on the plain port, where an upgrade to h2c isn't taken")
def plain(stage: Stage) -> None:
    version, seen = echoed(stage, "--http2", stage.url(tls=False))
    expect(version == "1.1", f"spoke HTTP/{version}")
    expect("http2-settings" not in seen["headers"] and "upgrade" not in seen["headers"], seen)


@check("curl", "TLS 1.3 and TLS 1.2, and nothing older")
def tls_versions(stage: Stage) -> None:
    for options, spoken in ((["--tlsv1.3"], "TLSv1.3"), (["--tlsv1.2", "--tls-max", "1.2"], "TLSv1.2")):
        _, printed = curl(stage, "--verbose", *options, stage.url())
        expect(f"SSL connection using {spoken}" in printed, printed[-600:])
    curl(stage, "--tlsv1.0", "--tls-max", "1.1", "--ciphers", "DEFAULT@SECLEVEL=0", stage.url(), code=35)


@check("curl", "a certificate for each server name, ECDSA and RSA")
def server_names(stage: Stage) -> None:
    to = f"rsa.test:{stage.tls}:127.0.0.1"
    for options in (["--tlsv1.3"], ["--tls-max", "1.2"]):
        _, printed = curl(stage, "--verbose", *options, "--resolve", to, f"https://rsa.test:{stage.tls}/")
        expect("subject: CN=rsa.test" in printed, printed[-600:])
        _, printed = curl(stage, "--verbose", *options, stage.url())
        expect("subject: CN=localhost" in printed, printed[-600:])


@check("curl", "without the authority's certificate: refused by the client")
def untrusted(stage: Stage) -> None:
    done = run("curl", "--silent", stage.url())
    expect(done.returncode == 60, f"curl ended with {done.returncode}")


@check("curl", "1 MiB up and down, by both protocols")
def bodies(stage: Stage) -> None:
    file = stage.folder / "mib"
    file.write_bytes(hashlib.shake_128(b"edge").digest(MIB))
    for option, expected in VERSIONS.items():
        version, seen = echoed(stage, option, "--data-binary", f"@{file}", stage.url())
        expect(version == expected, f"spoke HTTP/{version}")
        expect(seen["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest(), seen)
        done = run(
            "curl", "--silent", "--cacert", stage.ca, option, "--output", stage.folder / "down", stage.url("/mib")
        )
        expect(done.returncode == 0, done.stdout)
        expect((stage.folder / "down").read_bytes() == bytes(MIB), "the body isn't the upstream's")


@check("curl", "a body of unknown length, by both protocols")
def unknown_length(stage: Stage) -> None:
    for option in VERSIONS:
        done = run(
            "curl", "--silent", "--cacert", stage.ca, option, "--upload-file", "-", stage.url("/put"), stdin="streamed",
        )  # fmt: skip
        seen = json.loads(done.stdout)
        expect((seen["method"], seen["length"]) == ("PUT", 8), seen)


@check("curl", "a body beyond the limit is a 413, by both protocols")
def too_large(stage: Stage) -> None:
    file = stage.folder / "large"
    file.write_bytes(bytes(2 * MIB))
    for option in VERSIONS:
        done = run(
            "curl", "--silent", "--cacert", stage.ca, option, "--output", "/dev/null", "--write-out", "%{http_code}",
            "--data-binary", f"@{file}", stage.url(),
        )  # fmt: skip
        expect(done.stdout == "413", done.stdout)


@check("curl", "HEAD has the length and no body, by both protocols")
def head(stage: Stage) -> None:
    for option in VERSIONS:
        _, printed = curl(stage, option, "--head", stage.url("/mib"))
        expect(f"content-length: {MIB}" in printed.lower(), printed)


@check("curl", "Expect: 100-continue over TLS")
def expect_continue(stage: Stage) -> None:
    _, printed = curl(
        stage, "--http1.1", "--verbose", "--header", "Expect: 100-continue", "--data", "waits", stage.url(),
    )  # fmt: skip
    expect("HTTP/1.1 100 Continue" in printed, printed[-600:])
    expect('"length": 5' in printed, printed[-600:])


@check("curl", "an answer's trailers, by both protocols")
def trailers(stage: Stage) -> None:
    for option in VERSIONS:
        headers = ["--header", "TE: trailers"]
        _, printed = curl(stage, option, "--include", *headers, stage.url("/trailers"))
        expect("hello" in printed and "x-checksum: 5d41" in printed.lower(), printed[-600:])


@check("curl", "Strict-Transport-Security over TLS alone")
def hsts(stage: Stage) -> None:
    for option in VERSIONS:
        _, printed = curl(stage, option, "--include", stage.url())
        expect(f"strict-transport-security: {HSTS}" in printed.lower(), printed[:600])
    _, printed = curl(stage, "--include", stage.url(tls=False))
    expect("strict-transport-security" not in printed.lower(), printed[:600])


@check("curl", "fifty requests at a time on one connection")
def parallel(stage: Stage) -> None:
    done = run(
        "curl", "--silent", "--no-progress-meter", "--cacert", stage.ca, "--http2", "--parallel", "--parallel-max", "50",
        "--write-out", "%{http_version} %{http_code} %{num_connects}\n", "--output", "/dev/null", stage.url("/?[1-50]"),
    )  # fmt: skip
    expect(len(re.findall(r"^2 200 \d$", done.stdout, re.MULTILINE)) == 50, done.stdout)
