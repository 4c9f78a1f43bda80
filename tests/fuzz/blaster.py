"""Sends many strings, each on a connection of its own, many connections at a time.

A string goes out piece by piece, one piece per round, so that the server sees the cuts;
then the writing side is closed, and what the server says until it closes is the outcome.
A connection that doesn't end within the deadline is a hang, and fails.

Left out: any understanding of what is sent.
"""

import selectors
import socket
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

SIDE_BY_SIDE = 24
ENDS_WITHIN_S = 20.0
SOURCES = 8  # loopback addresses to come from: one has too few ports for 100,000 connections


@dataclass
class _Connection:
    number: int
    pieces: list[bytes]
    socket: socket.socket
    deadline: float
    answer: bytearray = field(default_factory=bytearray)
    sent: int = 0
    finished: bool = False


def _open(port: int, number: int) -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if sys.platform == "linux":
        no_port = getattr(socket, "IP_BIND_ADDRESS_NO_PORT", 24)
        made.setsockopt(socket.IPPROTO_IP, no_port, 1)
        made.bind((f"127.0.0.{number % SOURCES + 1}", 0))
    made.connect(("127.0.0.1", port))
    made.settimeout(0)
    return made


def blast(
    port: int,
    strings: Iterable[list[bytes]],
    done: Callable[[int, bytes], None],
    side_by_side: int = SIDE_BY_SIDE,
) -> None:
    """Send each string (a list of pieces); `done(number, answer)` for each, in any order."""
    with selectors.DefaultSelector() as selector:
        waiting: Iterator[tuple[int, list[bytes]]] = iter(enumerate(strings))
        live: dict[int, _Connection] = {}
        more = True
        while more or live:
            while more and len(live) < side_by_side:
                item = next(waiting, None)
                if item is None:
                    more = False
                    break
                number, pieces = item
                made = _open(port, number)
                deadline = time.monotonic() + ENDS_WITHIN_S
                connection = _Connection(number, pieces, made, deadline)
                selector.register(made, selectors.EVENT_READ, connection)
                live[number] = connection
            for connection in list(live.values()):
                _send(connection)
            ended = _receive(selector, 0.0 if any(not c.finished for c in live.values()) else 1.0)
            for connection in ended:
                selector.unregister(connection.socket)
                connection.socket.close()
                del live[connection.number]
                done(connection.number, bytes(connection.answer))
            now = time.monotonic()
            for connection in live.values():
                late = b"".join(connection.pieces)
                assert now < connection.deadline, f"string {connection.number} hangs: {late!r}"


def _send(connection: _Connection) -> None:
    if connection.finished:
        return
    try:
        if connection.sent < len(connection.pieces):
            connection.socket.send(connection.pieces[connection.sent])
            connection.sent += 1
        else:
            connection.finished = True
            connection.socket.shutdown(socket.SHUT_WR)
    except OSError:
        connection.finished = True  # the server closed; what it said is still to be read


def _receive(selector: selectors.BaseSelector, timeout: float) -> list[_Connection]:
    ended = []
    for key, _ in selector.select(timeout):
        connection: _Connection = key.data
        try:
            data = connection.socket.recv(1 << 16)
        except BlockingIOError:
            continue
        except OSError:
            data = b""
        connection.answer += data
        if not data:
            ended.append(connection)
    return ended
