"""What a turn has written but its driver has not yet: reads see it at once.

A server hands its writes to its driver as one batch per turn, yet within the turn a second
command must see what the first one did. An `Overlay` stands before a store, remembers the
turn's writes in a dict, and answers reads from there first. `take` hands the batch over;
the driver writes it before the next event, so nobody sees the gap.

State machines know their store only as `Records`, which is this class.

A view taken here includes the turn's unwritten part, so it is frozen at exactly the index
that the machine has applied.

Left out: undoing a part of a turn. A turn's writes succeed together or the server stops.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

from kvcore.storage.base import Batch, Reader, Storage, View


class Layer:
    """Some writes and emptied ranges, read on top of another reader."""

    __slots__ = ("_below", "_ranges", "_writes")

    def __init__(
        self,
        below: Reader,
        writes: dict[bytes, bytes | None],
        ranges: list[tuple[bytes, bytes]],
    ) -> None:
        self._below = below
        self._writes = writes
        self._ranges = ranges

    def get(self, key: bytes) -> bytes | None:
        """The value of a key, the newest first."""
        writes = self._writes
        if writes and key in writes:
            return writes[key]
        return None if self._ranges and self._emptied(key) else self._below.get(key)

    def reader(self) -> Callable[[bytes], bytes | None]:
        """As `get`, for many keys until the next write: what is not there isn't asked."""
        return self.get if self._writes or self._ranges else self._below.get

    def scan(self, start: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        """The pairs of `[start, end)`, ascending; don't write to it meanwhile."""
        mine = sorted(key for key in self._writes if start <= key < end)
        at = 0
        for key, value in self._below.scan(start, end):
            while at < len(mine) and mine[at] < key:
                yield from self._own(mine[at])
                at += 1
            if at < len(mine) and mine[at] == key:
                yield from self._own(key)
                at += 1
            elif not self._emptied(key):
                yield key, value
        for key in mine[at:]:
            yield from self._own(key)

    def _own(self, key: bytes) -> Iterator[tuple[bytes, bytes]]:
        value = self._writes[key]
        if value is not None:
            yield key, value

    def _emptied(self, key: bytes) -> bool:
        return any(start <= key < end for start, end in self._ranges)


class OverlayView(Layer):
    """An overlay as it was, unwritten part included; close it."""

    __slots__ = ("_view",)

    def __init__(
        self,
        view: View,
        writes: dict[bytes, bytes | None],
        ranges: list[tuple[bytes, bytes]],
    ) -> None:
        super().__init__(view, writes, ranges)
        self._view = view

    def close(self) -> None:
        """Let the old values go."""
        self._view.close()


class Overlay(Layer):
    """A store with the current turn's writes on top; see the module's text."""

    __slots__ = ("_storage",)

    def __init__(self, storage: Storage) -> None:
        super().__init__(storage, {}, [])
        self._storage = storage

    def put(self, key: bytes, value: bytes) -> None:
        """Set a key."""
        self._writes[key] = value

    def delete(self, key: bytes) -> None:
        """Delete a key, present or not."""
        if key in self._writes and self._below.get(key) is None:
            del self._writes[key]  # it never reached the store: both writes are spared
        else:
            self._writes[key] = None

    def delete_all(self, keys: Sequence[bytes]) -> None:
        """Delete many keys."""
        if self._writes:
            for key in keys:
                self.delete(key)
        else:
            self._writes = dict.fromkeys(keys)

    def delete_range(self, start: bytes, end: bytes) -> None:
        """Delete every key of `[start, end)`."""
        for key in [key for key in self._writes if start <= key < end]:
            del self._writes[key]
        self._ranges.append((start, end))

    def take(self) -> Batch:
        """The turn's batch (false if empty); the caller writes it before the next read."""
        batch = Batch(list(self._writes.items()), self._ranges)
        self._writes = {}
        self._ranges = []
        return batch

    def view(self) -> OverlayView:
        """All of it as it is now, for as long as the caller keeps the view open."""
        return OverlayView(self._storage.view(), dict(self._writes), list(self._ranges))


Records: TypeAlias = Overlay
