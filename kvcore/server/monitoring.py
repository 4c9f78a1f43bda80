"""HTTP for those who watch a server: `GET /varz`, `/healthz` and the like, and nothing else.

The standard library has no HTTP server for asyncio, and little is needed: one request per
connection, its first lines bounded in bytes and time, an answer, and the end. A visitor that
is slow, endless or one too many costs a small buffer until its time is up. What is asked is
judged by `node/questions.py` and answered by `node/monitor.py`; a path is a word in a table,
so there is nothing to traverse.

    GET /connz?subs=1 HTTP/1.1  ──▶  Question("connz", …)  ──▶  ask  ──▶  Report  ──▶  200, JSON

Everyone who reaches the port may read, as with nats-server, but a page in somebody's browser
may not: no answer allows another origin, and on a loopback address the request must name
this machine by an address or as `localhost`, not by a name that a stranger points at it.

A long document is written out in slices, so that clients of the server wait for none.

Left out: HTTPS, passwords, keeping connections open; a proxy does that better.
"""

import asyncio
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http import HTTPStatus
from ipaddress import ip_address
from itertools import islice
from typing import cast
from urllib.parse import parse_qsl

from kvcore import limits
from kvcore.limits import SECOND_NS
from kvcore.node.questions import Question, QuestionError, from_url
from kvcore.node.sight import Report

Ask = Callable[[Question], Report]

PATHS = {
    **{f"/{name}": name for name in ("varz", "jsz", "connz", "routez", "subsz", "healthz")},
    **{f"/{name}": name for name in ("accountz", "accstatz", "gatewayz", "leafz", "raftz")},
    "/subscriptionsz": "subsz",
}
_INDEX = "".join(f"{path}\n" for path in PATHS)
_TEXT, _JSON = "text/plain; charset=utf-8", "application/json"
_OPTIONS_COUNT = 32  # of one URL
_SLICE_COUNT = 4000  # pieces of JSON, a millisecond or two


class RefusedError(Exception):
    """Not answered as asked: HTTP's status, and a sentence."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked. `path` is as it was sent: nothing in a path that we know is escaped."""

    is_head: bool
    path: str
    options: list[tuple[str, str]]


def parse(head: bytes, *, is_private: bool) -> Request:
    """The request in these lines; raises `RefusedError`. `is_private` is whether only this
    machine can reach the port: then the host must be named as this machine is."""
    lines = head.decode("latin-1").split("\r\n")
    words = lines[0].split(" ")
    if len(words) != 3:
        raise RefusedError(400, "the first line is not METHOD PATH VERSION")
    method, target, version = words
    if version not in ("HTTP/1.0", "HTTP/1.1"):
        raise RefusedError(505, "HTTP/1.0 and HTTP/1.1 are spoken here")
    if method not in ("GET", "HEAD"):
        raise RefusedError(405, "GET and HEAD alone")
    hosts = []
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if not colon or not name or name != name.strip():
            raise RefusedError(400, "a header is not NAME: VALUE")
        if name.lower() == "host":
            hosts.append(value.strip())
    if len(hosts) > 1 or (not hosts and version == "HTTP/1.1"):
        raise RefusedError(400, "one Host header is needed")
    if is_private and hosts and not _is_this_machine(hosts[0]):
        raise RefusedError(403, "say localhost, or this machine's address")
    path, _, query = target.partition("?")
    try:
        options = parse_qsl(query, max_num_fields=_OPTIONS_COUNT)
    except ValueError as error:
        raise RefusedError(400, "too many options") from error
    return Request(method == "HEAD", path, options)


def _is_this_machine(host: str) -> bool:
    name = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    if name.lower() == "localhost":
        return True
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def answer(request: Request, ask: Ask) -> tuple[int, str, Iterator[str]]:
    """Status, content type and text; raises `RefusedError`."""
    if request.path == "/":
        return 200, _TEXT, iter((_INDEX,))
    about = PATHS.get(request.path)
    if about is None:
        raise RefusedError(404, "404 page not found")
    try:
        report = ask(from_url(about, request.options))
    except QuestionError as error:
        raise RefusedError(error.code, str(error)) from error
    indent = None if about == "healthz" else 2
    separators = (",", ":" if indent is None else ": ")
    encoder = json.JSONEncoder(ensure_ascii=False, indent=indent, separators=separators)
    return report.status, _JSON, encoder.iterencode(report.document)


def response(status: int, kind: str, body: bytes, *, is_head: bool = False) -> bytes:
    """All bytes of an answer."""
    lines = [
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
        f"Content-Type: {kind}",
        f"Content-Length: {len(body)}",
        "Cache-Control: no-store",
        "X-Content-Type-Options: nosniff",
        "Cross-Origin-Resource-Policy: same-origin",
        "Connection: close",
    ]
    if status == 405:
        lines.append("Allow: GET, HEAD")
    head = "\r\n".join((*lines, "", "")).encode("ascii")
    return head if is_head else head + body


class Monitoring:
    """What all visitors share: `ask` answers a question, `is_private` is as for `parse`."""

    def __init__(self, ask: Ask, *, is_private: bool) -> None:
        self.ask = ask
        self.is_private = is_private
        self.visitors: dict[Visitor, None] = {}

    def make(self) -> "Visitor":
        """A protocol for one connection."""
        return Visitor(self)

    def close(self) -> None:
        """Ends those who are still here."""
        for visitor in list(self.visitors):
            visitor.abort()


class Visitor(asyncio.Protocol):
    """One connection: a request, its answer, the end."""

    def __init__(self, monitoring: Monitoring) -> None:
        self._monitoring = monitoring
        self._head = b""
        self._is_answered = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is open."""
        self._transport = cast("asyncio.Transport", transport)
        self._loop = asyncio.get_running_loop()
        patience = limits.HTTP_TIMEOUT_NS / SECOND_NS
        self._timer = self._loop.call_later(patience, self._transport.abort)
        is_full = len(self._monitoring.visitors) >= limits.HTTP_CONNECTIONS_COUNT
        self._monitoring.visitors[self] = None
        if is_full:
            self._refuse(RefusedError(503, "too many connections"))

    def data_received(self, data: bytes) -> None:
        """Bytes, in pieces of any size; those after the request are dropped."""
        if self._is_answered:
            return
        self._head += data
        head, end, _ = self._head.partition(b"\r\n\r\n")
        if len(head) > limits.HTTP_HEAD_BYTES:
            is_line = b"\r\n" not in head[: limits.HTTP_HEAD_BYTES]
            what, status = ("request line", 414) if is_line else ("header", 431)
            self._refuse(RefusedError(status, f"{what} too long"))
        elif end:
            self._answer(head)

    def eof_received(self) -> bool:
        """The visitor will say no more; its answer is still sent."""
        if not self._is_answered:
            self._transport.close()
        return True

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # asyncio's signature
        """The socket is closed, by whichever side."""
        self._timer.cancel()
        self._monitoring.visitors.pop(self, None)

    def abort(self) -> None:
        """Ends it at once."""
        self._transport.abort()

    def _answer(self, head: bytes) -> None:
        self._is_answered = True
        try:
            request = parse(head, is_private=self._monitoring.is_private)
            status, kind, text = answer(request, self._monitoring.ask)
        except RefusedError as refused:
            self._refuse(refused)
            return
        self._write(status, kind, text, [], is_head=request.is_head)

    def _write(
        self, status: int, kind: str, text: Iterator[str], done: list[bytes], *, is_head: bool
    ) -> None:
        """Write out the next slice; the answer leaves when its length is known."""
        if self._transport.is_closing():
            return
        # What isn't Unicode in a name stands as an escape, which JSON takes.
        pieces = "".join(islice(text, _SLICE_COUNT)).encode("utf-8", "backslashreplace")
        done.append(pieces)
        if pieces:
            self._loop.call_soon(lambda: self._write(status, kind, text, done, is_head=is_head))
        else:
            self._send(response(status, kind, b"".join(done), is_head=is_head))

    def _refuse(self, refused: RefusedError) -> None:
        self._is_answered = True
        self._send(response(refused.status, _TEXT, f"{refused}\n".encode()))

    def _send(self, data: bytes) -> None:
        self._transport.write(data)
        self._transport.close()
