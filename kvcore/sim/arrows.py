"""Messages between servers, as arrows: what left, what came, what was lost.

Each chunk on a link has a number, and up to two records: `peer-send` and either `peer-receive`
or `peer-lost`, with the same `id`. A cluster's heartbeats are most of what happens in it, so a
record costs almost nothing until someone reads it: it keeps the bytes, and the facts come from
them on demand.

Left out: drawing them.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

from kvcore.limits import Nanos
from kvcore.trace import Field, Sink, Trace


class Clock(Protocol):
    """Where the time of a record comes from."""

    @property
    def now(self) -> Nanos:
        """The virtual date."""


class Facts(Mapping[str, Field]):
    """The fields of one record, made when they are first asked for."""

    __slots__ = ("_facts", "_make")

    def __init__(self, make: Callable[[], dict[str, Field]]) -> None:
        self._make: Callable[[], dict[str, Field]] | None = make
        self._facts: dict[str, Field] = {}

    def _made(self) -> dict[str, Field]:
        if self._make is not None:
            self._facts, self._make = self._make(), None
        return self._facts

    def __getitem__(self, name: str) -> Field:
        return self._made()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._made())

    def __len__(self) -> int:
        return len(self._made())


class PeerTrace:
    """Writes the records of a world's links."""

    def __init__(self, clock: Clock, sink: Sink) -> None:
        self._clock = clock
        self._sink = sink

    def sent(self, sender: str, to: str, number: int, data: bytes) -> None:
        """A chunk has left."""
        facts = Facts(lambda: {"to": to, "id": number, "bytes": len(data)})
        self._sink(Trace(self._clock.now, sender, "peer-send", facts))

    def arrived(self, sender: str, to: str, number: int, data: bytes) -> None:
        """It has come to the other server."""
        facts = Facts(lambda: {"from": sender, "id": number, "bytes": len(data)})
        self._sink(Trace(self._clock.now, to, "peer-receive", facts))

    def lost(self, sender: str, to: str, number: int, data: bytes) -> None:
        """It never will."""
        facts = Facts(lambda: {"to": to, "id": number, "bytes": len(data)})
        self._sink(Trace(self._clock.now, sender, "peer-lost", facts))
