"""One connection of a client, in memory: two one-way links, and an asyncio transport at each end.

A link keeps its chunks in order, gives each a delay from the world's generator, and delivers
them on the virtual clock; bytes are never lost inside a connection, as with TCP. What TCP
does is done here too: a writer is asked to wait when too much is on its way, a reader may
pause, a closed end is seen by the other after the bytes before it, and a reset throws away
what was on its way.

Who wants to see or to decide what happens on a link gets two handles: a `tap` hears each
chunk with the times at which it left and arrived, and a held link keeps its chunks until
`let_through` (see `gate.py`).

A connection can also fall silent (`silence`), because the network lies in pieces: bytes go
nowhere, and neither end is told. Once the pieces are one again, both ends find it broken.

Left out: who listens where (`network.py`), and the servers' links to each other (`links.py`).
"""

import asyncio
import json
import re
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol, TypeAlias

from kvcore import limits
from kvcore.limits import Nanos

_KEEP_ALIVE = re.compile(
    rb"(?:P[IO]NG\r\n|\+OK\r\n|HMSG [^\r]*\r\nNATS/1\.0 100 [^\r]*\r\n(?:[^\r]+\r\n)*\r\n\r\n)+"
)

Tap: TypeAlias = Callable[[Nanos, Nanos | None, bytes], None]  # sent, arrived or None: lost


def _unheard(_sent: Nanos, _arrived: Nanos | None, _data: bytes) -> None:
    """The tap of a link that nobody listens to."""


class Clock(Protocol):
    """What the network asks of the loop it lives on."""

    @property
    def now(self) -> Nanos:
        """The virtual date."""

    def at(self, when: Nanos, callback: Callable[[], object]) -> asyncio.TimerHandle:
        """Calls at a virtual date."""

    def call_soon(self, callback: Callable[..., object], *args: Any) -> asyncio.Handle:
        """As asyncio's."""

    def create_future(self) -> asyncio.Future[Any]:
        """As asyncio's."""

    def happened(self) -> None:
        """Something other than a keep-alive took place."""


class Wires(Protocol):
    """What a connection asks of the network that it is part of."""

    @property
    def clock(self) -> Clock:
        """The world's time."""

    def delay(self) -> Nanos:
        """How long the next chunk is on its way, one way."""

    def introduced(self, transport: "Transport", name: str) -> None:
        """A client has said its name, which may be empty."""

    def forget(self, transport: "Transport") -> None:
        """The connection's end is over."""


class Link:
    """One direction of a connection: bytes in order, each chunk with its own delay."""

    def __init__(self, network: Wires, deliver: Callable[[bytes | None], None]) -> None:
        self._network = network
        self._deliver = deliver  # None: the other end has closed
        self._chunks: deque[tuple[Nanos, Nanos, bytes | None]] = deque()  # sent, due, what
        self._timer: asyncio.TimerHandle | None = None
        self._last: Nanos = 0
        self.held = False  # the reader has paused
        self.silent = False  # nothing arrives any more, and nobody is told
        self.in_flight = 0
        self.on_room: Callable[[], None] = lambda: None
        self.on_held: Callable[[], None] = lambda: None  # a chunk has come, and is kept back
        self.tap: Tap = _unheard

    def send(self, data: bytes | None) -> None:
        """Puts bytes on their way; None says that this end has closed."""
        if self.silent:
            return
        now = self._network.clock.now
        due = max(self._last, now + self._network.delay())
        self._last = due
        self._chunks.append((now, due, data))
        self.in_flight += len(data or b"")
        self._schedule()
        if self.held:
            self.on_held()

    @property
    def head(self) -> bytes | None:
        """The oldest chunk that has not arrived; None when there is none."""
        return (self._chunks[0][2] or b"") if self._chunks else None

    def let_through(self) -> None:
        """Delivers the oldest chunk now, whether the link is held or not."""
        sent, _, data = self._chunks.popleft()
        self._hand_over(sent, data)

    def hold(self, *, held: bool) -> None:
        """The reader pauses, or goes on."""
        self.held = held
        self._schedule()

    def cut(self) -> None:
        """What is on its way is lost, and nothing follows."""
        self.silent = True
        for sent, _, data in self._chunks:
            self.tap(sent, None, data or b"")
        self._chunks.clear()
        self.in_flight = 0

    def _schedule(self) -> None:
        if self._timer is None and self._chunks and not self.held:
            self._timer = self._network.clock.at(self._chunks[0][1], self._arrive)

    def _arrive(self) -> None:
        self._timer = None
        now = self._network.clock.now
        while self._chunks and not self.held and self._chunks[0][1] <= now:
            sent, _, data = self._chunks.popleft()
            self._hand_over(sent, data)
        self._schedule()

    def _hand_over(self, sent: Nanos, data: bytes | None) -> None:
        if data is not None:
            self.in_flight -= len(data)
            self.tap(sent, self._network.clock.now, data)
            if not _is_keep_alive(data):
                self._network.clock.happened()
        self._deliver(data)
        if self.in_flight < limits.LINK_WINDOW_BYTES // 2:
            self.on_room()


class Transport(asyncio.Transport):
    """One end of a connection, as asyncio's streams and protocols expect it."""

    def __init__(
        self, network: Wires, protocol: asyncio.BaseProtocol, local: Any, peer: Any
    ) -> None:
        super().__init__({"sockname": local, "peername": peer})
        self._network = network
        self._protocol: Any = protocol
        self._closing = False
        self._lost = False
        self._full = False
        self._is_named = False
        self.server = ""  # at a client's end: the host that it dialled
        self.client = ""  # and the name that it gives itself
        self.is_cut = False  # nothing arrives at either end until the network is whole again
        self.out: Link
        self.into: Link
        self.other: Transport

    # What asyncio calls.

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Sends a copy of the bytes; after a close they are dropped, as asyncio's are."""
        if self._closing or not data:
            return
        if self.server and not self._is_named and data[:8] == b"CONNECT ":
            self._is_named = True
            self._network.introduced(self, _name_in(bytes(data)))
        if self.other.is_lost and not self.out.silent:
            self.reset()  # nobody is there any more: a reset comes back
            return
        self.out.send(bytes(data))
        if not self._full and self.out.in_flight > limits.LINK_WINDOW_BYTES:
            self._full = True
            self._protocol.pause_writing()

    def close(self) -> None:
        """Closes once what was written has been sent; the other end sees its end after that."""
        if not self._closing:
            self._closing = True
            self.into.cut()
            self.out.send(None)
            self._network.clock.call_soon(self._lose, None)

    def abort(self) -> None:
        """Closes at once; the other end sees a reset connection."""
        if self._lost:
            return
        self._closing = True
        self.into.cut()
        self._network.clock.call_soon(self._lose, None)
        if not self.is_cut:
            self.other.reset_later()

    def is_closing(self) -> bool:
        """Whether this end is closed or about to be."""
        return self._closing

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Who hears what arrives here."""
        protocol: asyncio.BaseProtocol = self._protocol
        return protocol

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Someone else hears it from now on."""
        self._protocol = protocol

    def pause_reading(self) -> None:
        """What arrives waits in the link, and in the end the writer waits too."""
        self.into.hold(held=True)

    def resume_reading(self) -> None:
        """What waits is delivered."""
        self.into.hold(held=False)

    def is_reading(self) -> bool:
        """Whether what arrives is delivered."""
        return not self._closing and not self.into.held

    def get_write_buffer_size(self) -> int:
        """Bytes on their way, not yet delivered."""
        return self.out.in_flight

    def get_write_buffer_limits(self) -> tuple[int, int]:
        """Where a writer may go on, and where it must wait, in bytes."""
        return limits.LINK_WINDOW_BYTES // 2, limits.LINK_WINDOW_BYTES

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """The link's own window stays."""

    def can_write_eof(self) -> bool:
        """No: a connection closes in both directions at once."""
        return False

    # What the network calls.

    @property
    def is_lost(self) -> bool:
        """Whether the protocol here has been told that the connection is over."""
        return self._lost

    def arrived(self, data: bytes | None) -> None:
        """Bytes for the protocol, or the end of them."""
        if self._closing:
            return
        if data is not None:
            self._protocol.data_received(data)
        elif not self._protocol.eof_received():
            self.close()

    def room(self) -> None:
        """Enough has been delivered: a waiting writer may go on."""
        if self._full and not self._lost:
            self._full = False
            self._protocol.resume_writing()

    def reset_later(self) -> None:
        """A reset is on its way to this end."""
        self.into.cut()
        self.out.cut()
        clock = self._network.clock
        clock.at(clock.now + self._network.delay(), self.reset)

    def reset(self) -> None:
        """The other end is gone: reading and writing fail from here on."""
        if self._lost or self._closing:
            return
        self._closing = True
        self.into.cut()
        self.out.cut()
        error = ConnectionResetError("the server's end of the connection is gone")
        self._network.clock.call_soon(self._lose, error)

    def vanish(self) -> None:
        """This end loses its power: it says nothing, now or later."""
        self._closing = self._lost = True
        self.into.cut()
        self.out.cut()

    def answer_again(self) -> None:
        """Power is back, this connection is not: who still writes to it gets a reset."""
        self.into.silent = self.is_cut

    def silence(self) -> None:
        """The network between the ends is cut: nothing arrives, and neither end is told."""
        self.is_cut = self.other.is_cut = True
        self.into.cut()
        self.out.cut()

    def find_broken(self) -> None:
        """The network is whole again, but bytes are missing: both ends get a reset."""
        for end in (self, self.other):
            end.is_cut = False
            end.reset_later()

    def _lose(self, error: Exception | None) -> None:
        if not self._lost:
            self._lost = True
            self._network.forget(self)
            self._protocol.connection_lost(error)


def _is_keep_alive(data: bytes) -> bool:
    return data[:1] in b"PH+" and _KEEP_ALIVE.fullmatch(data) is not None


def _name_in(connect: bytes) -> str:
    """The name in a CONNECT line; empty when there is none, or no sense in the line."""
    try:
        name = json.loads(connect[8 : connect.find(b"\r\n")])["name"]
    except (ValueError, KeyError, TypeError):
        return ""
    return name if isinstance(name, str) else ""
