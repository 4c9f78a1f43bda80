"""Keys in order, when a dict holds the values.

A dict finds a key at once but knows no order; a sorted list knows the order but moves half
of itself on each insertion. The remedy is a list of short sorted lists: a search finds the
chunk, then the place in it, and an insertion moves a few kilobytes at most. Adding or
removing a key costs about a microsecond whatever the size, and 8 bytes a key of memory.

`_floors[i]` is at most the least key of chunk i and more than every key of the chunk
before; it may be stale, which is harmless. `_floors[0]` is the least key that there can be,
so every key has a chunk.

Stores keep keys of bytes this way, streams their subjects.

Left out: a balanced tree. In Python its nodes would cost more than all the rest.
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator, Sequence
from typing import Generic, TypeVar

CHUNK_KEYS = 512
_FEW = 16  # not worth a pass over all: so many keys, or less than one in so many

Key = TypeVar("Key", str, bytes)


class SortedKeys(Generic[Key]):
    """A set of strings that can be read in ascending order from any place; `least` is the
    empty one."""

    __slots__ = ("_chunks", "_floors", "_least")

    def __init__(self, least: Key) -> None:
        self._least: Key = least
        self._chunks: list[list[Key]] = [[]]
        self._floors: list[Key] = [least]

    def __len__(self) -> int:
        return sum(map(len, self._chunks))

    def add(self, key: Key) -> None:
        """Add a key that is not present."""
        at = bisect_right(self._floors, key) - 1
        chunk = self._chunks[at]
        if not chunk or key > chunk[-1]:
            if len(chunk) >= CHUNK_KEYS:  # ascending keys leave full chunks behind them
                self._chunks.insert(at + 1, [key])
                self._floors.insert(at + 1, key)
            else:
                chunk.append(key)
            return
        insort(chunk, key)
        if len(chunk) > CHUNK_KEYS:
            half = CHUNK_KEYS // 2
            self._chunks.insert(at + 1, chunk[half:])
            self._floors.insert(at + 1, chunk[half])
            del chunk[half:]

    def remove(self, key: Key) -> None:
        """Remove a key that is present."""
        at = bisect_right(self._floors, key) - 1
        chunk = self._chunks[at]
        place = bisect_left(chunk, key)
        assert chunk[place] == key, "removed a key that is not there"
        del chunk[place]
        if len(chunk) < CHUNK_KEYS // 4:
            self._shrink(at)

    def remove_all(self, keys: Sequence[Key]) -> None:
        """Remove keys that are present, each once: many of them in one pass over all."""
        if len(keys) <= _FEW or _FEW * len(keys) < len(self):
            for key in keys:
                self.remove(key)
            return
        gone = frozenset(keys)
        left = [key for chunk in self._chunks for key in chunk if key not in gone]
        places = range(0, len(left), CHUNK_KEYS) or range(1)
        self._chunks = [left[at : at + CHUNK_KEYS] for at in places]
        self._floors = [self._least] + [chunk[0] for chunk in self._chunks[1:]]

    def take_range(self, start: Key, end: Key) -> list[Key]:
        """Remove and return the keys of `[start, end)`, ascending."""
        taken: list[Key] = []
        at = bisect_right(self._floors, start) - 1
        while at < len(self._chunks):
            chunk = self._chunks[at]
            low, high = bisect_left(chunk, start), bisect_left(chunk, end)
            taken += chunk[low:high]
            del chunk[low:high]
            if chunk and chunk[-1] >= end:
                break
            if not chunk and len(self._chunks) > 1:
                self._drop(at)
            else:
                at += 1
        return taken

    def first(self, start: Key, end: Key | None, count: int) -> list[Key]:
        """At most `count` keys of `[start, end)`, the least first; no end, no bound."""
        found: list[Key] = []
        at = bisect_right(self._floors, start) - 1
        while at < len(self._chunks) and len(found) < count:
            chunk = self._chunks[at]
            low = bisect_left(chunk, start)
            high = len(chunk) if end is None else bisect_left(chunk, end)
            found += chunk[low : min(high, low + count - len(found))]
            if high < len(chunk):
                break
            at += 1
        return found

    def between(self, start: Key, end: Key | None) -> list[Key]:
        """All keys of `[start, end)`, ascending."""
        found: list[Key] = []
        for chunk, low, high in self._parts(start, end):
            found += chunk if high - low == len(chunk) else chunk[low:high]
        return found

    def count(self, start: Key, end: Key | None) -> int:
        """How many keys of `[start, end)` there are, without touching them."""
        return sum(high - low for _, low, high in self._parts(start, end))

    def _parts(self, start: Key, end: Key | None) -> Iterator[tuple[list[Key], int, int]]:
        """The chunks that hold `[start, end)`, each with the places where it begins and ends."""
        at = bisect_right(self._floors, start) - 1
        last = len(self._chunks) - 1 if end is None else bisect_left(self._floors, end) - 1
        for place in range(at, max(last, at) + 1):
            chunk = self._chunks[place]
            low = bisect_left(chunk, start) if place == at else 0
            high = len(chunk) if end is None or place < last else bisect_left(chunk, end)
            yield chunk, low, max(low, high)

    def _shrink(self, at: int) -> None:
        """Join a chunk that has become short to the one after it, or drop it if empty."""
        chunk = self._chunks[at]
        if not chunk and len(self._chunks) > 1:
            self._drop(at)
        elif at + 1 < len(self._chunks):
            after = self._chunks[at + 1]
            if len(chunk) + len(after) <= CHUNK_KEYS // 2:
                chunk += after
                self._drop(at + 1)

    def _drop(self, at: int) -> None:
        del self._chunks[at]
        del self._floors[at]
        self._floors[0] = self._least
