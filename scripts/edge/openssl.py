"""openssl s_client."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from .check import check, expect, run

if TYPE_CHECKING:
    from .stage import Stage

REQUEST = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
OLD = "@SECLEVEL=0"
"""Has OpenSSL offer what it wouldn't, so that it is the proxy that refuses."""
WEAK = {
    "CBC": "ECDHE-ECDSA-AES128-SHA:ECDHE-ECDSA-AES256-SHA384:ECDHE-RSA-AES128-SHA",
    "RSA key exchange": "AES128-GCM-SHA256:AES256-SHA",
    "anonymous": "aNULL",
    "no encryption": "eNULL",
    "finite field": "DHE-RSA-AES128-GCM-SHA256:DHE-RSA-AES128-SHA",
}


def s_client(stage: Stage, *arguments: object, stdin: str = REQUEST, name: str = "localhost") -> str:
    """Connect, say `stdin`, and return everything that was printed."""
    return run(
        "openssl", "s_client", "-connect", f"127.0.0.1:{stage.tls}", "-servername", name, "-CAfile", stage.ca,
        "-ign_eof", *arguments, stdin=stdin,
    ).stdout  # fmt: skip


@check("openssl", "TLS 1.3 and 1.2, with modern ciphers and X25519, verified")
def versions(stage: Stage) -> None:
    for option, version in (("-tls1_3", "TLSv1.3"), ("-tls1_2", "TLSv1.2")):
        said = s_client(stage, option)
        expect(f"New, {version}, Cipher is " in said, said[-600:])
        expect(re.search(r"Cipher is .*(GCM|CHACHA20)", said), said[-600:])
        expect("Server Temp Key: X25519" in said, said[-600:])
        expect("Verify return code: 0 (ok)" in said, said[-600:])
        expect("Compression: NONE" in said, said[-600:])
        expect("HTTP/1.1 200 OK" in said, said[-600:])


@check("openssl", "TLS 1.1 and 1.0 are refused by an alert")
def old_versions(stage: Stage) -> None:
    for option in ("-tls1_1", "-tls1"):
        said = s_client(stage, option, "-cipher", f"DEFAULT{OLD}")
        expect(
            "Cipher is (NONE)" in said and re.search(r"alert (protocol version|handshake failure)", said), said[:200]
        )


@check("openssl", "weak ciphers are refused by an alert: " + ", ".join(WEAK))
def weak_ciphers(stage: Stage) -> None:
    for what, ciphers in WEAK.items():
        for name in ("localhost", "rsa.test"):
            said = s_client(stage, "-tls1_2", "-cipher", f"{ciphers}:{OLD}", name=name)
            refused = re.search(r"alert (handshake failure|access denied)", said)
            expect("Cipher is (NONE)" in said and refused, what, name, said[:200])


@check("openssl", "ALPN: h2 before http/1.1, either alone, and an alert where there is neither")
def alpn(stage: Stage) -> None:
    for offered, chosen in (("http/1.1,h2", "h2"), ("h2", "h2"), ("http/1.1", "http/1.1")):
        # HTTP/2's connections end when this side says something else.
        said = s_client(stage, "-alpn", offered)
        expect(f"ALPN protocol: {chosen}" in said, offered, said[-600:])
    said = s_client(stage, "-alpn", "spdy/3")
    expect("alert no application protocol" in said, said[:200])


@check("openssl", "sessions are resumed: TLS 1.3 and TLS 1.2")
def resumption(stage: Stage) -> None:
    for option in ("-tls1_3", "-tls1_2"):
        session = stage.folder / f"session{option}"
        said = s_client(stage, option, "-sess_out", session)
        expect("New, TLS" in said, said[-600:])
        expect(session.is_file(), "no session was given", said[-600:])
        for _ in range(2):
            said = s_client(stage, option, "-sess_in", session)
            expect("Reused, TLS" in said and "HTTP/1.1 200 OK" in said, option, said[-600:])


@check("openssl", "no early data")
def early_data(stage: Stage) -> None:
    session = stage.folder / "session-early"
    s_client(stage, "-tls1_3", "-sess_out", session)
    said = s_client(stage, "-tls1_3", "-sess_in", session)
    expect("Max Early Data: 0" in said or "Early data was not sent" in said, said[-600:])


@check("openssl", "no renegotiation by the client")
def renegotiation(stage: Stage) -> None:
    done = run(
        "openssl", "s_client", "-connect", f"127.0.0.1:{stage.tls}", "-servername", "localhost", "-tls1_2",
        stdin="R\n",
    )  # fmt: skip
    expect("RENEGOTIATING" in done.stdout, done.stdout[-400:])
    expect(
        re.search(r"no renegotiation|unexpected message|unexpected eof|write:errno|alert", done.stdout),
        done.stdout[-400:],
    )


@check("openssl", "plain text on the TLS port gets no answer in plain text but an alert or an end")
def plain_text(stage: Stage) -> None:
    done = run("curl", "--silent", "--http0.9", f"http://127.0.0.1:{stage.tls}/")
    expect("HTTP/1.1 200" not in done.stdout and '"method"' not in done.stdout, done.stdout)
