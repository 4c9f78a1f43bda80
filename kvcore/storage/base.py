"""The storage contract: what a server may rely on, whichever engine holds the bytes.

A server's promises rest on one sentence: **after a crash the surviving state is a prefix
of the written batches, and at least all that was synced.** Everything else follows. A
batch is atomic, so a message and the index that says it was applied are never apart.
Batches survive in order, so the log is never newer than what it refers to. `sync` is the
only promise, so whoever acknowledges before it returns is lying.

Reads are calls and writes are effects: a server reads whenever it likes, but hands its
writes to its driver, so that a test can put a crash between any write and its sync.

A `View` is frozen at the batch after which it was taken, whatever is written later, and
costs nothing to take; it must be closed, since an engine keeps old values for it.

Left out: transactions that read, iterators that survive writes (take a view), and
compaction, which an engine does on its own.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

Write: TypeAlias = tuple[bytes, bytes | None]  # key and value; None deletes the key


@dataclass(slots=True)
class Batch:
    """Writes that take effect together, in order: a later one wins.

    `ranges` are half-open key ranges `[start, end)` that are emptied before `writes`.
    """

    writes: list[Write] = field(default_factory=list)
    ranges: list[tuple[bytes, bytes]] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.writes or self.ranges)


class Reader(Protocol):
    """What can be read; keys compare as bytes, scans ascend and leave `end` out."""

    def get(self, key: bytes) -> bytes | None:
        """The value of a key; None if there is none (an empty value is a value)."""

    def scan(self, start: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        """The pairs of `[start, end)`; on a store, don't write while it runs."""


class View(Reader, Protocol):
    """A store as it was when the view was taken. Its scans survive writes."""

    def close(self) -> None:
        """Let the engine drop what it kept; reading afterwards is an error."""


class Storage(Reader, Protocol):
    """An engine. `write` makes a batch visible to reads; only `sync` makes it durable.

    `write` and `sync` raise `StorageError` when the disk refuses. A failure is final: what
    it covered may be gone, so the engine refuses every later write and sync (never retry
    fsync). `sync` may run in another thread while `write` and reads go on.
    """

    def view(self) -> View:
        """The store as it is now, for as long as it stays open."""

    def write(self, batch: Batch) -> None:
        """Make a batch visible, all of it or (after a crash) none of it."""

    def sync(self) -> None:
        """Return once everything written before the call is durable."""

    def close(self) -> None:
        """Sync, then give back files and locks."""


class StorageError(Exception):
    """The store can't be opened, read or written; the text says what to do about it."""
