#!/usr/bin/env python3
"""Has other people's clients use the proxy over TLS and HTTP/2, and says what each of them found.

    scripts/try-edge.py                  every check, about a minute
    scripts/try-edge.py --only curl,h2   some clients
    scripts/try-edge.py --install        only makes sure that what it needs is there
    scripts/try-edge.py --table          writes what testssl.sh finds as what is expected from now on

The proxy (--proxy, else target/debug/proxy) runs as a process of its own, before an upstream that this
script is, with certificates that it makes: no engine, no stack. Clients come from Debian and, pinned with
their hashes in scripts/edge/requirements.txt, from PyPI into target/edge. Exit code 1 says that a check
failed, 2 that they couldn't be run.
"""

from __future__ import annotations

from trial import start

if __name__ == "__main__":
    packages = [
        "curl=curl", "openssl=openssl", "nghttp=nghttp2-client", "h2load=nghttp2-client", "testssl=testssl.sh",
        "chromium=chromium",
    ]  # fmt: skip
    start("edge", packages)
