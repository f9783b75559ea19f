#!/usr/bin/env python3
"""Compares what two builds of the proxy take of the processor for a request.

    bench/paired.py BEFORE AFTER [--rounds 15] [--seconds 3] [--field 'traceparent: 00-…'] [--after-env NAME=VALUE]

Each round measures both, in turns that alternate (A B, B A), so that whatever else the machine does meets
both alike; medians are of the rounds, and of the pairs' differences. Processor time is the process's own, user
and system, as the kernel accounts for it. Client and backend are in processes of their own and have nothing
but Python's standard library: they are slow, and the same for both.
"""

import argparse
import asyncio
import multiprocessing
import os
import pathlib
import statistics
import subprocess
import sys
import time
import urllib.request

PROXY, BACKEND, ADMIN = 19600, 19601, 19602
CONNECTIONS = 16
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nserved\n"
END = b"\r\n\r\n"


class Backend(asyncio.Protocol):
    """Answers each request, which has no body."""

    def connection_made(self, transport):
        self.transport, self.input = transport, b""

    def data_received(self, data):
        self.input += data
        while END in self.input:
            self.input = self.input.split(END, 1)[1]
            self.transport.write(ANSWER)


class Client(asyncio.Protocol):
    """Asks again as soon as it has an answer, until the count is closed."""

    def __init__(self, request, count):
        self.request, self.count, self.input = request, count, b""

    def connection_made(self, transport):
        self.transport = transport
        transport.write(self.request)

    def data_received(self, data):
        self.input += data
        if self.input.endswith(b"served\n"):
            assert self.input.startswith(b"HTTP/1.1 200"), self.input
            self.input = b""
            self.count[0] += 1
            self.transport.write(self.request)


def serve():
    async def run():
        loop = asyncio.get_running_loop()
        server = await loop.create_server(Backend, "127.0.0.1", BACKEND)
        await server.serve_forever()

    asyncio.run(run())


async def load(request, seconds, before):
    """How many requests were answered, after a second that doesn't count, at the end of which `before` is called."""
    count, loop = [0], asyncio.get_running_loop()
    for _ in range(CONNECTIONS):
        await loop.create_connection(lambda: Client(request, count), "127.0.0.1", PROXY)
    await asyncio.sleep(1)
    start, taken = count[0], before()
    await asyncio.sleep(seconds)
    return count[0] - start, before() - taken


def processor_time(process):
    """Seconds, user and system, of a process."""
    fields = pathlib.Path(f"/proc/{process.pid}/stat").read_text().rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(binary, environment, request, seconds):
    """Microseconds of the processor for each request."""
    own = {
        "PROXY_UPSTREAM": f"127.0.0.1:{BACKEND}",
        "PROXY_LISTEN": f"127.0.0.1:{PROXY}",
        "PROXY_ADMIN_LISTEN": f"127.0.0.1:{ADMIN}",
        "PROXY_WORKERS": "1",
    }
    process = subprocess.Popen([binary], env=own | environment, stdout=subprocess.DEVNULL)
    try:
        for _ in range(500):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{ADMIN}/readyz").close()
                break
            except OSError:
                time.sleep(0.02)
        requests, taken = asyncio.run(load(request, seconds, lambda: processor_time(process)))
        return taken / requests * 1e6
    finally:
        process.terminate()
        process.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("before")
    parser.add_argument("after")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--field", action="append", default=[], help="a field line of each request")
    parser.add_argument("--after-env", action="append", default=[], metavar="NAME=VALUE")
    options = parser.parse_args()
    lines = "".join(f"{field}\r\n" for field in ["Host: localhost", "User-Agent: paired", *options.field])
    request = f"GET / HTTP/1.1\r\n{lines}\r\n".encode()
    after_environment = dict(pair.split("=", 1) for pair in options.after_env)
    backend = multiprocessing.Process(target=serve, daemon=True)
    backend.start()
    pairs = []
    for number in range(options.rounds):
        turns = [("before", options.before, {}), ("after", options.after, after_environment)]
        pair = {
            name: measure(binary, environment, request, options.seconds)
            for name, binary, environment in (turns if number % 2 == 0 else reversed(turns))
        }
        pairs.append((pair["before"], pair["after"]))
    backend.terminate()
    for name, values in zip(("before", "after"), zip(*pairs)):
        print(f"{name}: {statistics.median(values):.2f} µs a request ({min(values):.2f} to {max(values):.2f})")
    differences = sorted(after / before - 1 for before, after in pairs)
    quarter = len(differences) // 4
    print(
        f"after against before: {statistics.median(differences):+.2%}, "
        f"half of the pairs from {differences[quarter]:+.2%} to {differences[-1 - quarter]:+.2%}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
