"""A disk that forgets what was not synced.

Between a program and its disk stands a page cache: a write goes there, a sync goes to the
platter, and a power cut takes the cache away. Tests that kill a process never see this,
since the cache survives the process. This file system keeps both sides apart, so that a
power cut can do to a store all that a real one may:

- a file keeps every byte that was synced, and of the rest some part from the beginning,
  whose last bytes may be zeros or garbage, as pages reach the platter in any order;
- a change of names (create, rename, remove) that was not synced through the directory
  happened or didn't, each on its own.

What survives is drawn from the generator given, so a seed is a scenario. `fail` makes a
coming call fail as disks do; bytes covered by a failed sync are gone, although the next
sync would succeed, as on Linux.

Left out: time (the driver delays the sync's answer), and damage to synced bytes, which
`damage` does on request.
"""

from dataclasses import dataclass, field
from random import Random
from typing import TypeAlias

from kvcore.storage.base import StorageError


@dataclass(slots=True)
class _Node:
    """A file's bytes, whatever its names: what readers see, and what is on the platter.

    `lost` is the span that a failed sync covered: it reads well, and never gets there.
    """

    cache: bytearray = field(default_factory=bytearray)
    platter: bytearray = field(default_factory=bytearray)
    lost: tuple[int, int] = (0, 0)
    clean: int = 0  # so many bytes from the beginning are the same on both sides


_Change: TypeAlias = tuple[str, _Node | None]  # the name now means this file, or nothing
_Operation: TypeAlias = tuple[_Change, ...]  # changes that happen together (a rename is two)


class DiskFile:
    """A `storage.files.File` on a simulated disk."""

    __slots__ = ("_disk", "_life", "_node")

    def __init__(self, disk: "SimulatedDisk", node: _Node) -> None:
        self._disk = disk
        self._node = node
        self._life = disk.power_cuts

    def write(self, data: bytes) -> None:
        """Append to the cache."""
        self._check()
        error = self._disk.failure_of("write")
        if error is not None:
            self._node.cache += data[: len(data) // 2]  # as a full disk does
            raise error
        self._node.cache += data
        self._disk.written_bytes += len(data)

    def sync(self) -> None:
        """Bring all bytes to the platter."""
        self._check()
        node = self._node
        error = self._disk.failure_of("sync")
        if error is not None:
            node.lost = (len(node.platter), len(node.cache))
            raise error
        start, end = node.lost
        known = min(node.clean, start) if end > start else node.clean
        del node.platter[known:]  # a sync costs what is new, not the whole file
        node.platter += node.cache[known:]
        if end > start:
            node.platter[start:end] = bytes(end - start)
        node.clean = start if end > start else len(node.cache)
        self._disk.syncs += 1

    def close(self) -> None:
        """Promises nothing."""

    def _check(self) -> None:
        assert self._life == self._disk.power_cuts, "a handle from before a power cut"


class SimulatedDisk:
    """A `storage.files.FileSystem` with a page cache; see the module's text."""

    def __init__(self, rng: Random, name: str = "disk") -> None:
        self.power_cuts = 0
        self.syncs = 0  # of files and of the directory
        self.written_bytes = 0
        self._rng = rng
        self._name = name
        self._locked = False
        self._cached: dict[str, _Node] = {}
        self._durable: dict[str, _Node] = {}
        self._pending: list[_Operation] = []  # changes of names not yet synced
        self._failures: dict[str, OSError] = {}

    def path(self, name: str) -> str:
        """A name that says that this is no real file."""
        return f"{self._name}:{name}"

    def lock(self) -> None:
        """Refuse a second user until `close` or a power cut."""
        if self._locked:
            raise StorageError(f"{self._name} is in use by another server")
        self._locked = True

    def names(self) -> list[str]:
        """The files that exist, in order."""
        return sorted(self._cached)

    def read(self, name: str) -> bytes:
        """What a reader sees: the cache."""
        return bytes(self._node(name).cache)

    def create(self, name: str) -> DiskFile:
        """A new file; its name is not durable yet."""
        self._raise_failure("create")
        node = _Node()
        self._change(((name, node),))
        return DiskFile(self, node)

    def append(self, name: str, length: int) -> DiskFile:
        """An existing file, cut; the cut is durable with the file's next sync."""
        node = self._node(name)
        del node.cache[length:]
        node.clean = min(node.clean, length)
        node.lost = (min(node.lost[0], length), min(node.lost[1], length))
        return DiskFile(self, node)

    def rewrite(self, name: str, start: int, data: bytes) -> None:
        """The bytes are in the cache's list of what to write again."""
        node = self._node(name)
        assert node.cache[start : start + len(data)] == data, "a rewrite changes nothing"
        if start <= node.lost[0] and node.lost[1] <= start + len(data):
            node.lost = (0, 0)

    def rename(self, old: str, new: str) -> None:
        """Both names change together, durably or not."""
        self._change(((old, None), (new, self._node(old))))

    def remove(self, name: str) -> None:
        """The name goes; the bytes stay if a power cut brings the name back."""
        self._node(name)
        self._change(((name, None),))

    def sync_directory(self) -> None:
        """Make the names durable; the bytes in the files are another matter."""
        self._raise_failure("sync")
        self._durable = dict(self._cached)
        self._pending = []
        self.syncs += 1

    def close(self) -> None:
        """Unlock."""
        self._locked = False

    def power_cut(self) -> None:
        """Keep what was synced and some of the rest; every handle is dead from now on."""
        self.power_cuts += 1
        for operation in self._pending:
            if self._rng.random() < 0.5:
                _apply(self._durable, operation)
        for node in self._durable.values():
            node.platter = bytearray(self._survives(node))
            node.cache, node.lost = bytearray(node.platter), (0, 0)
            node.clean = len(node.cache)
        self._cached = dict(self._durable)
        self._pending = []
        self._failures = {}
        self._locked = False

    def fail(self, call: str, error: OSError) -> None:
        """Make the next `write`, `sync` or `create` raise this error."""
        self._failures[call] = error

    def mend(self) -> None:
        """No call that is yet to come fails."""
        self._failures = {}

    def damage(self, name: str, offset: int, mask: int = 0x01) -> None:
        """Flip bits of one byte, on the platter and in the cache."""
        node = self._node(name)
        node.cache[offset] ^= mask
        if offset < len(node.platter):
            node.platter[offset] ^= mask

    def failure_of(self, call: str) -> OSError | None:
        """The error that was ordered for this call, once."""
        return self._failures.pop(call, None)

    def _survives(self, node: _Node) -> bytes:
        """All that was synced, and a part of the rest with a doubtful end."""
        cache, platter, rng = bytes(node.cache), bytes(node.platter), self._rng
        if not cache.startswith(platter):  # cut, or lost by a failed sync
            return platter
        rest = cache[len(platter) : rng.randint(len(platter), len(cache))]
        doubtful = rng.randint(0, len(rest)) if rng.random() < 0.5 else 0
        tail = bytes(doubtful) if rng.random() < 0.5 else rng.randbytes(doubtful)
        return platter + rest[: len(rest) - doubtful] + tail

    def _node(self, name: str) -> _Node:
        if name not in self._cached:
            raise FileNotFoundError(2, "no such file", self.path(name))
        return self._cached[name]

    def _change(self, operation: _Operation) -> None:
        _apply(self._cached, operation)
        self._pending.append(operation)

    def _raise_failure(self, call: str) -> None:
        error = self.failure_of(call)
        if error is not None:
            raise error


def _apply(names: dict[str, _Node], operation: _Operation) -> None:
    for name, node in operation:
        if node is None:
            names.pop(name, None)
        else:
            names[name] = node
