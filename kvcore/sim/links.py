"""The links between servers: one for each pair, whose bytes arrive in order, late, or never.

A link is what a TCP connection between two processes is to a node: both ends hear that there
is one, bytes come in order, each chunk after a delay of its own, and a process that ends
takes its links with it. A network that lies in pieces is silent: bytes sent into a cut are
lost and nobody is told. A stream of bytes must not go on behind a gap, so a link that has
lost something is broken for good; once both ways are open again both ends hear that it is
closed, and a new one is made.

    cut a→b     what a sends b is lost; what b sends a arrives, as long as there is a link
    no power    the other end hears nothing, until the machine answers again with a reset
    paused      bytes wait in the process's own queue; a new link waits for it

Only two running servers with both ways open can make a link. That takes `_DIAL_TRIPS` trips,
and a while after a link that a server closed because it made no sense of what came.

Left out: what the bytes mean; who a server is, which a real driver makes it prove.
"""

from collections import deque
from collections.abc import Callable
from random import Random
from typing import Protocol, TypeAlias

from kvcore import limits
from kvcore.limits import Nanos
from kvcore.node.io import Event, PeerClosed, PeerConnected, PeerData
from kvcore.sim.transport import Clock

_DIAL_TRIPS = 3

Pair: TypeAlias = tuple[str, str]  # of names: from, to


class End(Protocol):
    """A server process, as its links see it."""

    @property
    def name(self) -> str:
        """The server's name."""

    @property
    def is_paused(self) -> bool:
        """Whether the process stands still."""

    def event(self, event: Event) -> None:
        """Something for its node."""


class Ears(Protocol):
    """Who hears what happens to each chunk; for the trace."""

    def sent(self, sender: str, to: str, number: int, data: bytes) -> None:
        """A chunk has left."""

    def arrived(self, sender: str, to: str, number: int, data: bytes) -> None:
        """It has come to the other server."""

    def lost(self, sender: str, to: str, number: int, data: bytes) -> None:
        """It never will."""


class _Way:
    """One direction of one link: chunks in order, and whether one was lost."""

    __slots__ = ("chunks", "is_broken", "is_open", "last", "receiver", "sender")

    def __init__(self, sender: End, receiver: End) -> None:
        self.sender = sender
        self.receiver = receiver
        self.chunks: deque[tuple[Nanos, int, bytes | None]] = deque()  # due, number; None: closed
        self.last: Nanos = 0
        self.is_broken = False
        self.is_open = True  # the receiver believes in the link


class Links:
    """All the links of a world, made and unmade as servers come and go."""

    def __init__(self, clock: Clock, seed: str, ears: Ears) -> None:
        self._clock = clock
        self._rng = Random(seed)
        self._ears = ears
        self._running: dict[str, End] = {}
        self._dark: dict[str, None] = {}  # machines without power, which answer nothing
        self._ways: dict[Pair, _Way] = {}
        self._dials: dict[Pair, Nanos] = {}  # pairs in order, and when they will have a link
        self._count = 0
        self.cut_ways: dict[Pair, None] = {}

    # What befalls servers.

    def start(self, end: End) -> None:
        """A process runs: it dials everybody, and everybody it."""
        self._dark.pop(end.name, None)
        self._running[end.name] = end
        self._dial_all(end.name)

    def resumed(self, name: str) -> None:
        """A process goes on, and can make the links that waited for it."""
        self._dial_all(name)

    def end(self, name: str, *, silently: bool) -> None:
        """A process is gone; its machine says so to the other ends, unless it has no power."""
        self._running.pop(name, None)
        if silently:
            self._dark[name] = None
        for way in [way for way in self._ways.values() if way.receiver.name == name]:
            way.is_open = False
            if not silently:
                self._put(self._ways[name, way.sender.name], 0, None)

    def unlink(self, sender: str, to: str) -> None:
        """A server closes a link; both ends hear it, and a new one is made after a while."""
        if self._has_end(sender, to):
            self._put(self._ways[sender, to], 0, None)
            self._close(self._ways[to, sender], "closed")

    def cut(self, ways: dict[Pair, None]) -> None:
        """From now on exactly these directions are cut."""
        self.cut_ways = ways
        for near, far in self._pairs():
            if (near, far) in ways or (far, near) in ways:
                continue
            there, back = self._ways[near, far], self._ways[far, near]
            if there.is_broken or back.is_broken:
                for way in (there, back):
                    self._clock.at(self._clock.now + self._delay(), _closer(self, way))
        for name in list(self._running):
            self._dial_all(name)

    def is_linked(self, a: str, b: str) -> bool:
        """Whether both ends believe in a link."""
        return self._has_end(a, b) and self._has_end(b, a)

    # Bytes.

    def send(self, sender: str, to: str, data: bytes) -> None:
        """Puts bytes on their way; without a link they are dropped."""
        if not self._has_end(sender, to):
            return
        self._count += 1
        self._ears.sent(sender, to, self._count, data)
        self._put(self._ways[sender, to], self._count, data)

    def _put(self, way: _Way, number: int, data: bytes | None) -> None:
        sender, to = way.sender.name, way.receiver.name
        if way.is_broken or (sender, to) in self.cut_ways:
            self._lose(way, number, data)
            return
        if not way.is_open:  # nobody is there: a reset comes back, if the machine is up
            self._lose(way, number, data)
            if to not in self._dark and (to, sender) not in self.cut_ways:
                back = self._ways[to, sender]
                self._clock.at(self._clock.now + 2 * self._delay(), _closer(self, back))
            return
        way.last = max(way.last, self._clock.now + self._delay())
        way.chunks.append((way.last, number, data))
        if len(way.chunks) == 1:
            self._clock.at(way.last, _arrival(self, way))

    def arrive(self, way: _Way) -> None:
        """The chunks that are due come in, or are lost in a cut that was made meanwhile."""
        now, chunks = self._clock.now, way.chunks
        sender, to = way.sender.name, way.receiver.name
        while chunks and chunks[0][0] <= now:
            _, number, data = chunks.popleft()
            if way.is_broken or (sender, to) in self.cut_ways:
                self._lose(way, number, data)
            elif data is None:
                self._close(way, "closed")
            elif way.is_open:
                self._ears.arrived(sender, to, number, data)
                way.receiver.event(PeerData(sender, data))
            else:
                self._ears.lost(sender, to, number, data)
        if chunks:
            self._clock.at(chunks[0][0], _arrival(self, way))

    def _has_end(self, name: str, to: str) -> bool:
        back = self._ways.get((to, name))
        return back is not None and back.is_open

    def _lose(self, way: _Way, number: int, data: bytes | None) -> None:
        way.is_broken = True
        if data is not None:
            self._ears.lost(way.sender.name, way.receiver.name, number, data)

    # Links come and go.

    def _dial_all(self, name: str) -> None:
        for other in self._running:
            if other != name:
                self.dial(name, other, _DIAL_TRIPS * self._delay())

    def dial(self, a: str, b: str, after: Nanos) -> None:
        """Two servers will have a link, unless they have one or can't."""
        pair, due = (min(a, b), max(a, b)), self._clock.now + after
        if self.is_linked(a, b) or self._dials.get(pair, due + 1) <= due:
            return
        self._dials[pair] = due
        self._clock.at(due, lambda: self._connect(pair, due))

    def _connect(self, pair: Pair, due: Nanos) -> None:
        if self._dials.get(pair) != due:
            return  # there was a sooner way
        del self._dials[pair]
        near, far = (self._running.get(name) for name in pair)
        if near is None or far is None or near.is_paused or far.is_paused:
            return  # they dial again when they can
        if pair in self.cut_ways or pair[::-1] in self.cut_ways or self.is_linked(*pair):
            return
        for way in (pair, pair[::-1]):
            if way in self._ways:
                self._close(self._ways[way], "replaced")
        self._ways[pair] = _Way(near, far)
        self._ways[pair[::-1]] = _Way(far, near)
        near.event(PeerConnected(far.name))
        far.event(PeerConnected(near.name))

    def _close(self, way: _Way, reason: str) -> None:
        """The receiver of this direction hears that the link is gone."""
        if not way.is_open:
            return
        way.is_open = False
        way.receiver.event(PeerClosed(way.sender.name, reason))
        pair = way.sender.name, way.receiver.name
        if self._ways[pair] is way:
            is_refusal = reason == "closed"
            self.dial(*pair, limits.PEER_REDIAL_NS if is_refusal else _DIAL_TRIPS * self._delay())

    def closed(self, way: _Way) -> None:
        """A reset has come to this direction's receiver."""
        self._close(way, "reset")

    def _pairs(self) -> list[Pair]:
        return [pair for pair in self._ways if pair[0] < pair[1]]

    def _delay(self) -> Nanos:
        return self._rng.randrange(limits.LINK_MIN_NS, limits.LINK_MAX_NS)


def _arrival(links: Links, way: _Way) -> Callable[[], None]:
    return lambda: links.arrive(way)


def _closer(links: Links, way: _Way) -> Callable[[], None]:
    return lambda: links.closed(way)
