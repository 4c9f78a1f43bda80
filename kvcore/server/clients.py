"""The sockets of clients: which there are, what leaves on them, and how they end.

The driver knows a client by a number; behind the number is a transport. One `write` a turn
goes to each. A client that leaves more than `limits.PENDING_OUTPUT_BYTES` unread is a slow
consumer and is closed, alone. One that was closed gets some time to read the rest.

A client can be cut off, as a partition cuts: what it sends is dropped and nothing is sent,
while both ends believe in their connection. What was dropped leaves a hole in the stream, so
the connection is closed when the cut is healed.

Left out: what the bytes mean, and links to other servers (`mesh.py`).
"""

import asyncio
from collections.abc import Callable

from kvcore import limits
from kvcore.limits import SECOND_NS
from kvcore.node.io import ClientClosed, ClientConnected, ClientData, Event

SLOW_CONSUMER = b"-ERR 'Slow Consumer'\r\n"
EVERYBODY = "*"


class Clients:
    """Gives each event of a client's socket to `take`."""

    def __init__(self, loop: asyncio.AbstractEventLoop, take: Callable[[Event], None]) -> None:
        self._loop = loop
        self._take = take
        self._transports: dict[int, asyncio.Transport] = {}
        self._addresses: dict[int, str] = {}
        self._graces: dict[int, asyncio.TimerHandle] = {}  # sockets that still send their last
        self._cut: dict[int, asyncio.Transport] = {}
        self._cut_off: tuple[str, ...] = ()
        self._sockets = 0
        self._made = 0
        self._paused = False
        self.slow_consumers = 0

    @property
    def sockets(self) -> int:
        """How many are open, those that are being closed too."""
        return self._sockets

    # What the listener tells.

    def connected(self, transport: asyncio.Transport) -> int:
        """A new client; the number by which it is known from now on."""
        self._made += 1
        self._sockets += 1
        conn = self._made
        peer = transport.get_extra_info("peername") or ("", 0)
        self._addresses[conn] = f"{peer[0]}:{peer[1]}"
        if self._is_cut_off(conn):
            self._cut[conn] = transport
            return conn
        self._transports[conn] = transport
        if self._paused:
            transport.pause_reading()
        self._take(ClientConnected(conn, str(peer[0]), int(peer[1])))
        return conn

    def secured(self, conn: int, transport: asyncio.Transport) -> bool:
        """The client speaks TLS from now on; False if it was closed in the meantime."""
        if conn not in self._transports:
            return False
        self._transports[conn] = transport
        if self._paused:
            transport.pause_reading()
        return True

    def data(self, conn: int, data: bytes) -> bool:
        """Bytes from a client; False if nobody hears them."""
        if conn in self._cut:
            return False
        self._take(ClientData(conn, data))
        return True

    def closed(self, conn: int, reason: str) -> None:
        """The client's socket is gone, whoever closed it."""
        self._sockets -= 1
        self._addresses.pop(conn, None)
        if (grace := self._graces.pop(conn, None)) is not None:
            grace.cancel()
        if conn not in self._cut:  # else nobody hears of it before the cut is healed
            self._forget(conn, reason)

    def _forget(self, conn: int, reason: str) -> None:
        if self._transports.pop(conn, None) is not None:
            self._take(ClientClosed(conn, reason))

    # What the driver asks.

    def write(self, conn: int, data: bytes) -> None:
        """Send, unless the client is gone, cut off or too slow."""
        transport = self._transports.get(conn)
        if transport is None or conn in self._cut:
            return
        if transport.get_write_buffer_size() <= limits.PENDING_OUTPUT_BYTES:
            transport.write(data)
            return
        self.slow_consumers += 1
        transport.write(SLOW_CONSUMER)
        self._close(conn, transport)
        self._loop.call_soon(self._forget, conn, "Slow Consumer")

    def close(self, conn: int) -> None:
        """End a connection, which the node has forgotten."""
        transport = self._transports.pop(conn, None)
        if transport is not None and conn not in self._cut:
            self._close(conn, transport)

    def _close(self, conn: int, transport: asyncio.Transport) -> None:
        """Close once all is sent, or when the peer has not read it for too long."""
        transport.close()
        grace = limits.CLOSE_GRACE_NS / SECOND_NS
        self._graces[conn] = self._loop.call_later(grace, transport.abort)

    def hold(self, *, paused: bool) -> None:
        """Stop or go on reading."""
        if paused == self._paused:
            return
        self._paused = paused
        for transport in self._transports.values():
            if paused:
                transport.pause_reading()
            else:
                transport.resume_reading()

    def close_all(self) -> None:
        """Close each client once all is sent."""
        for transport in self._transports.values():
            transport.close()

    def abort(self) -> None:
        """Drop the clients that are left, with what they have not read."""
        for transport in [*self._transports.values(), *self._cut.values()]:
            transport.abort()

    # Partitions.

    def cut(self, addresses: tuple[str, ...]) -> None:
        """Be silent to the clients at these addresses (`EVERYBODY`: all, new ones too), in place
        of those before."""
        self.heal()
        self._cut_off = addresses
        for conn, transport in self._transports.items():
            if self._is_cut_off(conn):
                self._cut[conn] = transport

    def heal(self) -> None:
        """Serve everybody again; those who were cut off have to connect anew."""
        healed, self._cut = self._cut, {}
        self._cut_off = ()
        for conn, transport in healed.items():
            transport.abort()
            if conn not in self._addresses:  # it was closed meanwhile
                self._forget(conn, "Client Closed")

    def _is_cut_off(self, conn: int) -> bool:
        return EVERYBODY in self._cut_off or self._addresses.get(conn, "") in self._cut_off
