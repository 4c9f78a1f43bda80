"""The store that forgets: a dict, its keys in order, and views that stay frozen.

A view costs nothing to take: it is an empty table of old values. From then on whoever
overwrites or deletes a key first puts the old value into the table of each open view that
has none for it yet (an undo log, kept by key). A view reads its own table first and the
store second, so it sees each key as it was, whatever is written later, and the price is
paid only by writers, only while a view is open, and only once per key.

This is the whole store of the `memory` engine, and the part of the `file` engine that
answers reads.

Left out: durability. `sync` has nothing to do here.
"""

from collections.abc import Iterator

from kvcore.storage.base import Batch, StorageError
from kvcore.storage.ordered import SortedKeys

SLICE_KEYS = 256  # a scan looks this far ahead; writes in between don't disturb a view


class MemoryView:
    """A `MemoryStorage` as it was; see the module's text. Scans survive writes."""

    __slots__ = ("_open", "_saved", "_saved_keys", "_store")

    def __init__(self, store: "MemoryStorage") -> None:
        self._store = store
        self._saved: dict[bytes, bytes | None] = {}  # None: the key was absent
        self._saved_keys = SortedKeys(b"")
        self._open = True

    def save(self, key: bytes, old: bytes | None) -> None:
        """Keep what `key` held; called by the store before it changes."""
        if key not in self._saved:
            self._saved[key] = old
            self._saved_keys.add(key)

    def get(self, key: bytes) -> bytes | None:
        """The value that the key had when the view was taken."""
        self._check()
        return self._saved[key] if key in self._saved else self._store.get(key)

    def scan(self, start: bytes, end: bytes | None) -> Iterator[tuple[bytes, bytes]]:
        """The pairs that were in `[start, end)`, ascending."""
        while items := self._slice(start, end):
            for key, value in items:
                if value is not None:
                    yield key, value
            start = items[-1][0] + b"\x00"

    def close(self) -> None:
        """Let the old values go. Closing twice is allowed."""
        if self._open:
            self._open = False
            self._store.forget(self)
            self._saved.clear()

    def _slice(self, start: bytes, end: bytes | None) -> list[tuple[bytes, bytes | None]]:
        """The next keys from `start` on, of those that are now and those that were."""
        self._check()
        now = self._store.first_keys(start, end, SLICE_KEYS)
        were = self._saved_keys.first(start, end, SLICE_KEYS)
        both = sorted(dict.fromkeys(now + were))[:SLICE_KEYS]
        return [(key, self.get(key)) for key in both]

    def _check(self) -> None:
        if not self._open:
            raise StorageError("this view is closed")


class MemoryStorage:
    """An ordered byte-KV in memory, see `base.Storage`."""

    __slots__ = ("_keys", "_values", "_views", "size_bytes")

    def __init__(self) -> None:
        self.size_bytes = 0  # of all keys and values
        self._values: dict[bytes, bytes] = {}
        self._keys = SortedKeys(b"")
        self._views: list[MemoryView] = []

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: bytes) -> bytes | None:
        """The value of a key, or None."""
        return self._values.get(key)

    def scan(self, start: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        """The pairs of `[start, end)`, ascending; take a view if you write meanwhile."""
        while keys := self._keys.first(start, end, SLICE_KEYS):
            for key in keys:
                yield key, self._values[key]
            start = keys[-1] + b"\x00"

    def first_keys(self, start: bytes, end: bytes | None, count: int) -> list[bytes]:
        """At most `count` keys of `[start, end)`, the least first."""
        return self._keys.first(start, end, count)

    def view(self) -> MemoryView:
        """The store as it is now, for as long as the caller keeps the view open."""
        view = MemoryView(self)
        self._views.append(view)
        return view

    def forget(self, view: MemoryView) -> None:
        """Stop keeping old values for a view; its `close` calls this."""
        self._views.remove(view)

    def write(self, batch: Batch) -> None:
        """Apply the batch: its ranges are emptied, then its writes are made in order."""
        values, keys, views = self._values, self._keys, self._views
        size = self.size_bytes
        for start, end in batch.ranges:
            emptied = keys.take_range(start, end)
            old_values = list(map(values.pop, emptied))
            size -= sum(map(len, emptied)) + sum(map(len, old_values))
            for view in views:
                for key, old in zip(emptied, old_values, strict=True):
                    view.save(key, old)
        gone: list[bytes] = []  # deleted, and still in `keys`
        for key, value in batch.writes:
            before = values.get(key)
            for view in views:
                view.save(key, before)
            if before is not None:
                size -= len(before)
            if value is not None:
                size += len(value)
                if before is None:
                    size += len(key)
                    keys.remove_all(gone)
                    gone.clear()
                    keys.add(key)
                values[key] = value
            elif before is not None:
                size -= len(key)
                gone.append(key)
                del values[key]
        keys.remove_all(gone)
        self.size_bytes = size

    def sync(self) -> None:
        """Nothing is durable here, and nobody was told that it is."""

    def close(self) -> None:
        """Nothing to give back."""
