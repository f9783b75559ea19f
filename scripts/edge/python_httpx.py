"""httpx, over its own HTTP/2."""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from typing import TYPE_CHECKING

import httpx

from .check import check, expect
from .stage import MIB

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from .stage import Stage


def trust(stage: Stage) -> ssl.SSLContext:
    """Trust the stage's authority."""
    return ssl.create_default_context(cafile=str(stage.ca))


@check("httpx", "HTTP/2, and HTTP/1.1 where that is all it offers")
def versions(stage: Stage) -> None:
    for http2, version in ((True, "HTTP/2"), (False, "HTTP/1.1")):
        with httpx.Client(http2=http2, verify=trust(stage)) as client:
            answer = client.get(stage.url("/?a=b"), headers={"X-Twice": "1"})
        expect((answer.http_version, answer.status_code) == (version, 200), answer.http_version, answer.text)
        expect(answer.json()["headers"]["x-twice"] == "1", answer.text)


@check("httpx", "100 requests at the same time, each with a body of its own, on one connection")
def concurrent(stage: Stage) -> None:
    async def posts() -> list[httpx.Response]:
        limits = httpx.Limits(max_connections=1)
        async with httpx.AsyncClient(http2=True, verify=trust(stage), limits=limits, timeout=30) as client:
            return await asyncio.gather(*(client.post(stage.url(), content=b"%d" % n * 1000) for n in range(100)))

    for n, answer in enumerate(asyncio.run(posts())):
        expect(answer.status_code == 200, answer.status_code, answer.text)
        expect(answer.json()["sha256"] == hashlib.sha256(b"%d" % n * 1000).hexdigest(), n, answer.text)


@check("httpx", "a streamed body, and a streamed answer")
def streams(stage: Stage) -> None:
    async def body() -> AsyncIterator[bytes]:
        for _ in range(16):
            await asyncio.sleep(0)
            yield b"x" * 4096

    async def both() -> tuple[httpx.Response, int]:
        async with httpx.AsyncClient(http2=True, verify=trust(stage), timeout=30) as client:
            sent = await client.post(stage.url(), content=body())
            async with client.stream("GET", stage.url("/mib")) as answer:
                return sent, sum([len(part) async for part in answer.aiter_bytes()])

    sent, received = asyncio.run(both())
    expect(sent.json()["length"] == 16 * 4096, sent.text)
    expect(received == MIB, received)
