"""Frames made by hand, with hyperframe and hpack: what no well-behaved client sends.

Each connection ends in the same way: whatever was done to it, others are served.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from typing import TYPE_CHECKING

from h2.errors import ErrorCodes
from hpack import Decoder, Encoder
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

from .check import Failed, check, expect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType
    from typing import Self

    from .stage import Stage

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEAD = 9
REQUEST = [(":method", "GET"), (":scheme", "https"), (":authority", "localhost"), (":path", "/page")]


class Connection:
    """An HTTP/2 connection of which every octet is ours."""

    def __init__(self, stage: Stage, preface: bytes = PREFACE) -> None:
        """Connect and send a preface, with settings behind a good one."""
        context = ssl.create_default_context(cafile=str(stage.ca))
        context.set_alpn_protocols(["h2"])
        tcp = socket.create_connection(("127.0.0.1", stage.tls), timeout=10)
        self.socket = context.wrap_socket(tcp, server_hostname="localhost")
        self._encoder, self._decoder = Encoder(), Decoder()
        self._buffer = b""
        self.socket.sendall(preface)
        if preface == PREFACE:
            self.send(SettingsFrame(0))

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.socket.close()

    def send(self, *frames: Frame) -> None:
        """Send frames, as far as the other side goes on taking them."""
        # Where it is closed, what was said before tells why.
        with contextlib.suppress(OSError):
            self.socket.sendall(b"".join(frame.serialize() for frame in frames))

    def headers(self, stream: int, fields: list[tuple[str, str]], *flags: str) -> HeadersFrame:
        """Make HEADERS of fields."""
        return HeadersFrame(stream, self._encoder.encode(fields), flags=["END_HEADERS", *flags])

    def receive(self) -> Frame | None:
        """Receive the next frame; None at the end of the connection."""
        while True:
            if len(self._buffer) >= HEAD:
                frame, length = Frame.parse_frame_header(memoryview(self._buffer[:HEAD]))
                if len(self._buffer) >= HEAD + length:
                    frame.parse_body(memoryview(self._buffer[HEAD : HEAD + length]))
                    self._buffer = self._buffer[HEAD + length :]
                    return frame
            try:
                part = self.socket.recv(65536)
            except TimeoutError:
                raise Failed("nothing came for ten seconds") from None
            except OSError:
                return None
            if not part:
                return None
            self._buffer += part

    def until(self, *kinds: type[Frame], stream: int | None = None) -> Frame | None:
        """Receive until a frame of one of these kinds, on that stream if one is named, or the end."""
        while (frame := self.receive()) is not None:
            if isinstance(frame, HeadersFrame) and frame.data:
                frame.fields = self._decoder.decode(frame.data)
            if isinstance(frame, kinds) and not ("ACK" in frame.flags and isinstance(frame, SettingsFrame)):
                if stream is None or frame.stream_id in (0, stream):
                    return frame
        return None

    def served(self, stream: int) -> None:
        """Expect that a request on a new stream is answered 200."""
        self.send(self.headers(stream, REQUEST, "END_STREAM"))
        frame = self.until(HeadersFrame, RstStreamFrame, GoAwayFrame, stream=stream)
        expect(isinstance(frame, HeadersFrame) and (":status", "200") in frame.fields, f"no 200 but {frame!r}")


def refused(connection: Connection, stream: int, *codes: ErrorCodes) -> None:
    """Expect an error of one of these codes, or a 400; and a connection that goes on, if the error isn't its own."""
    frame = connection.until(HeadersFrame, RstStreamFrame, GoAwayFrame, stream=stream)
    if isinstance(frame, (RstStreamFrame, GoAwayFrame)):
        expect(frame.error_code in codes, f"error {frame.error_code}, not {codes}")
        if isinstance(frame, GoAwayFrame):
            return
    else:
        expect(isinstance(frame, HeadersFrame) and (":status", "400") in frame.fields, f"not refused: {frame!r}")
    connection.served(stream + 2)


def ended(connection: Connection, *codes: ErrorCodes) -> None:
    """Expect GOAWAY with one of these codes, or the end of the connection."""
    frame = connection.until(GoAwayFrame)
    expect(frame is None or frame.error_code in codes, f"GOAWAY {getattr(frame, 'error_code', None)}, not {codes}")
    while connection.receive() is not None:
        pass


@contextlib.contextmanager
def named(what: str) -> Iterator[None]:
    """Say which of several cases failed."""
    try:
        yield
    except Failed as error:
        raise Failed(f"{what}: {error}") from None


PROTOCOL, CALM = ErrorCodes.PROTOCOL_ERROR, ErrorCodes.ENHANCE_YOUR_CALM


@check("h2", "settings come first, PING is answered, unknown frames are passed over")
def basics(stage: Stage) -> None:
    with Connection(stage) as connection:
        expect(isinstance(first := connection.receive(), SettingsFrame), f"first came {first!r}")
        connection.socket.sendall(b"\x00\x00\x04\xee\x00\x00\x00\x00\x00abcd")
        connection.send(PingFrame(0, b"12345678"))
        frame = connection.until(PingFrame, GoAwayFrame)
        expect(isinstance(frame, PingFrame) and "ACK" in frame.flags and frame.opaque_data == b"12345678", f"{frame!r}")
        connection.served(1)


MALFORMED = {
    "a name in capitals": [*REQUEST, ("X-Capital", "1")],
    "Connection": [*REQUEST, ("connection", "close")],
    "Transfer-Encoding": [*REQUEST, ("transfer-encoding", "chunked")],
    "TE other than trailers": [*REQUEST, ("te", "gzip")],
    "a pseudo-field behind others": [*REQUEST[:3], ("x", "1"), REQUEST[3]],
    "two paths": [*REQUEST, (":path", "/other")],
    "no path": REQUEST[:3],
    "an empty path": [*REQUEST[:3], (":path", "")],
    "an unknown pseudo-field": [*REQUEST, (":extra", "1")],
    "a line break in a value": [*REQUEST, ("x", "1\r\ny: 2")],
    "a space in the path": [*REQUEST[:3], (":path", "/ HTTP/1.1")],
    "a Host that differs": [*REQUEST, ("host", "elsewhere")],
    "two lengths": [*REQUEST, ("content-length", "1"), ("content-length", "2")],
}


@check("h2", "malformed requests are refused: " + ", ".join(MALFORMED))
def malformed(stage: Stage) -> None:
    for what, fields in MALFORMED.items():
        with Connection(stage) as connection:
            connection.send(connection.headers(1, fields, "END_STREAM"))
            with named(what):
                refused(connection, 1, PROTOCOL)


@check("h2", "a body that isn't as long as its length is refused")
def wrong_length(stage: Stage) -> None:
    for body in (b"a", b"a" * 9):
        with Connection(stage) as connection:
            head = connection.headers(1, [(":method", "POST"), *REQUEST[1:], ("content-length", "4")])
            connection.send(head, DataFrame(1, body, flags=["END_STREAM"]))
            refused(connection, 1, PROTOCOL)


@check(
    "h2", "errors of the connection end it with GOAWAY: bad preface, even stream, DATA on idle, window beyond 2^31-1"
)
def connection_errors(stage: Stage) -> None:
    with Connection(stage, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n") as connection:
        while connection.receive() is not None:
            pass
    with Connection(stage) as connection:
        connection.send(connection.headers(2, REQUEST, "END_STREAM"))
        ended(connection, PROTOCOL)
    with Connection(stage) as connection:
        connection.send(DataFrame(1, b"x"))
        ended(connection, PROTOCOL, ErrorCodes.STREAM_CLOSED)
    with Connection(stage) as connection:
        connection.send(WindowUpdateFrame(0, 2**31 - 1), WindowUpdateFrame(0, 2**31 - 1))
        ended(connection, ErrorCodes.FLOW_CONTROL_ERROR)


FLOOD = 20_000
"""Frames of an attack."""
OTHERS_WAIT = 20
"""Seconds that others may wait meanwhile, on a machine that builds."""


def rapid_resets(connection: Connection) -> list[Frame]:
    """Make requests that are cancelled at once."""
    pairs = (
        (connection.headers(stream, REQUEST, "END_STREAM"), RstStreamFrame(stream, ErrorCodes.CANCEL))
        for stream in range(1, FLOOD, 2)
    )
    return [frame for pair in pairs for frame in pair]


def endless_head(connection: Connection) -> list[Frame]:
    """Make a head that goes on and on."""
    head = connection.headers(1, REQUEST)
    head.flags.discard("END_HEADERS")
    field = Encoder().encode([("x", "y" * 1000)])
    return [head, *(ContinuationFrame(1, field) for _ in range(FLOOD))]


FLOODS: dict[str, tuple[Callable[[Connection], list[Frame]], bool]] = {
    "rapid reset": (rapid_resets, True),
    "CONTINUATION": (endless_head, True),
    "SETTINGS": (lambda _: [SettingsFrame(0)] * FLOOD, False),
    "PING": (lambda _: [PingFrame(0, b"12345678")] * FLOOD, False),
}
"""Attacks, each frame of which is within the rules, and whether the connection has to end."""


@check("h2", "floods are borne or end their connection, and others are served: " + ", ".join(FLOODS))
def flooded(stage: Stage) -> None:
    for what, (frames, ends) in FLOODS.items():
        with Connection(stage) as connection, Connection(stage) as other:
            begun = time.monotonic()
            connection.send(*frames(connection))
            other.served(1)
            waited = time.monotonic() - begun
            expect(waited < OTHERS_WAIT, f"{what}: others waited {waited:.0f} s")
            if ends:
                with named(what):
                    ended(connection, CALM, PROTOCOL, ErrorCodes.COMPRESSION_ERROR, ErrorCodes.FRAME_SIZE_ERROR)


@check("h2", "a client that takes no answer in holds up nobody")
def zero_window(stage: Stage) -> None:
    with Connection(stage) as connection, Connection(stage) as other:
        connection.send(SettingsFrame(0, {SettingsFrame.INITIAL_WINDOW_SIZE: 0}))
        for stream in range(1, 80, 2):
            connection.send(connection.headers(stream, [*REQUEST[:3], (":path", "/mib")], "END_STREAM"))
        for stream in range(1, 80, 2):
            other.served(stream)
