"""What a notebook's own clients said and heard, where no simulator can tell.

A simulated world has a trace of all that happens in it, and lessons print the frames that it
shows. On real servers the same frames pass through the client: this module writes them down in
the same words, one line for each piece of bytes.

    1769... n1 receive conn=2 bytes=81 text='PUB $KV.flags.c …'

"receive" and "send" are the server's, as in the simulator. The time is the wall clock's, in
nanoseconds; when the bytes were at the server nobody here knows.

Left out: syncs, votes, and all else that happens inside a server; and WebSocket.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from nats.aio.client import Client

from kvcore.sim.errors import NotInThisWorld
from kvcore.sim.wire import Wire
from kvcore.trace import Field, Trace

Listener = Callable[[str, bytes], None]

_TEXT_BYTES = 200  # of each piece, as in the simulator
_MOST_LINES = 200_000  # then the rest is not written down


class Overheard:
    """The frames of all clients of one cluster, in order."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._told = ""
        self._count = 0
        self._connections = 0

    def text(self) -> str:
        """One record a line. It only grows, so a length is a place to go on from."""
        if self._lines:
            self._told += "".join(self._lines)
            self._lines.clear()
        return self._told

    def client(self) -> Client:
        """A nats-py client that is listened to, not connected yet."""
        return Tapped(self)

    def connected(self) -> int:
        """The number of a new connection."""
        self._connections += 1
        return self._connections

    def note(self, server: str, kind: str, conn: int, data: bytes) -> None:
        """Writes down one piece of bytes."""
        if not data or self._count == _MOST_LINES:
            return
        self._count += 1
        text = data[:_TEXT_BYTES].decode("utf-8", "backslashreplace")
        fields: dict[str, Field] = {"conn": conn, "bytes": len(data), "text": text}
        self._lines.append(Trace(time.time_ns(), server, kind, fields).line() + "\n")


class Tapped(Client):  # type: ignore[misc]
    """nats-py's client; each connection is wrapped as it is made."""

    def __init__(self, ears: Overheard) -> None:
        self._ears = ears
        self._listeners: list[Listener] = []
        self._tapped: Any = None
        super().__init__()

    def listen(self, listener: Listener) -> None:
        """Calls it with each piece of bytes from now on: ("receive" or "send", bytes)."""
        self._listeners.append(listener)

    @property
    def _transport(self) -> Any:
        return self._tapped

    @_transport.setter
    def _transport(self, transport: Any) -> None:
        self._tapped = transport
        if transport is not None:
            self._tap(transport, self._ears.connected())

    def _tap(self, transport: Any, conn: int) -> None:
        write, writelines = transport.write, transport.writelines
        read, readline = transport.read, transport.readline

        def note(kind: str, data: bytes) -> None:
            self._ears.note(self._server_info.get("server_name", "?"), kind, conn, data)
            for listener in self._listeners:
                listener(kind, data)

        def said(payload: bytes) -> None:
            note("receive", payload)
            write(payload)

        def said_all(payloads: Iterable[bytes]) -> None:
            pieces = list(payloads)
            note("receive", b"".join(pieces))
            writelines(pieces)

        async def heard(size: int) -> bytes:
            data: bytes = await read(size)
            note("send", data)
            return data

        async def heard_line() -> bytes:
            data: bytes = await readline()
            note("send", data)
            return data

        transport.write, transport.writelines = said, said_all
        transport.read, transport.readline = heard, heard_line


class HeardWire(Wire):
    """The exchanges of these clients, as the clients know them.

    When a request was at the server is not known; it is put halfway between the time when it
    was sent and the time when its answer was heard.
    """

    def _listen(self, clients: Mapping[str, Client]) -> None:
        for name, client in clients.items():
            if not isinstance(client, Tapped):
                raise NotInThisWorld("record needs clients that cluster.connect() made.")
            client.listen(self._listener_of(name))

    def _listener_of(self, name: str) -> Listener:
        requests = self._requests(name)

        def listener(kind: str, data: bytes) -> None:
            now = time.monotonic_ns()
            if kind == "receive":
                requests(now, None, data)
            else:
                self._heard(now, now, data)
                for each in self.exchanges:
                    if each.arrived is None and each.heard is not None:
                        each.arrived = each.answered = (each.sent + each.heard) // 2

        return listener
