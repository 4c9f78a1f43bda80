"""A client that knows only bytes: for tests that must say what no good client says.

It reads what the server sends, splits it into frames, and never retries. Each wait has a
deadline; nothing sleeps.
"""

import json
import re
import socket
import time
from dataclasses import dataclass
from typing import Self

WAIT_S = 20.0

_MSG = re.compile(rb"(MSG|HMSG)[ \t]+([^\r\n]*)\r\n", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Delivery:
    """One MSG or HMSG frame."""

    subject: str
    sid: str
    reply: str
    header: bytes
    payload: bytes


Frame = Delivery | str  # a str is any other line: PONG, +OK, -ERR …, INFO …


class Wire:
    """One raw connection; `frames` are parsed as they come."""

    def __init__(self, port: int, connect: str | None = None, host: str = "127.0.0.1") -> None:
        self.socket = socket.create_connection((host, port), WAIT_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = bytearray()
        self.closed = False
        self._requests = 0
        if connect is not None:
            self.send(f"CONNECT {connect}\r\nPING\r\n".encode())
            self.until("PONG")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def frame(self, within: float = WAIT_S) -> Frame | None:
        """The next frame; None when the server closed the connection."""
        deadline = time.monotonic() + within
        while True:
            frame = self._take()
            if frame is not None:
                return frame
            if self.closed:
                return None
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"no frame within {within} s; have {bytes(self.buffer[:200])!r}")
            self.socket.settimeout(left)
            try:
                data = self.socket.recv(1 << 18)
            except ConnectionResetError:
                data = b""
            if not data:
                self.closed = True
            self.buffer += data

    def until(self, line: str, within: float = WAIT_S) -> list[Frame]:
        """Frames before the line that starts with `line`; fails if the server closes first."""
        deadline = time.monotonic() + within
        frames: list[Frame] = []
        while True:
            frame = self.frame(max(0.001, deadline - time.monotonic()))
            assert frame is not None, f"closed before {line!r}; got {frames[-5:]}"
            if isinstance(frame, str) and frame.startswith(line):
                return frames
            frames.append(frame)

    def request(self, subject: str, body: object = b"", header: bytes = b"") -> Delivery:
        """Publish with a reply subject and wait for the answer."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self._requests += 1
        sid = b"%d" % (10_000 + self._requests)
        inbox = f"_INBOX.wire.{self._requests}.{time.monotonic_ns()}"
        to = b"%s %s" % (subject.encode(), inbox.encode())
        verb = b"PUB %s %d\r\n" % (to, len(data))
        if header:
            verb = b"HPUB %s %d %d\r\n" % (to, len(header), len(header) + len(data))
        self.send(b"SUB %s %s\r\n" % (inbox.encode(), sid) + verb + header + data + b"\r\n")
        while True:
            frame = self.frame()
            assert frame is not None, "closed before the answer"
            if isinstance(frame, Delivery) and frame.subject == inbox:
                self.send(b"UNSUB %s\r\n" % sid)
                return frame

    def api(self, name: str, body: object = b"") -> dict[str, object]:
        """A JetStream API call; the answer's JSON."""
        answer: dict[str, object] = json.loads(self.request(f"$JS.API.{name}", body).payload)
        return answer

    def _take(self) -> Frame | None:
        end = self.buffer.find(b"\n")
        if end < 0:
            return None
        match = _MSG.match(self.buffer)
        if match is None:
            line = bytes(self.buffer[:end]).rstrip(b"\r").decode("utf-8", "replace")
            del self.buffer[: end + 1]
            return line
        words = match[2].split()
        headed = match[1].upper() == b"HMSG"
        total = int(words[-1])
        length = int(words[-2]) if headed else 0
        start = match.end()
        if len(self.buffer) < start + total + 2:
            return None
        header = bytes(self.buffer[start : start + length])
        payload = bytes(self.buffer[start + length : start + total])
        del self.buffer[: start + total + 2]
        args = words[: -2 if headed else -1]
        reply = args[2].decode() if len(args) > 2 else ""
        return Delivery(args[0].decode(), args[1].decode(), reply, header, payload)
