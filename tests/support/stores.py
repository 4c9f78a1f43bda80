"""Stores under test: file systems that lose power, planted bugs, and the check that catches them.

`power_cut_story` is the durability half of the storage contract as one function, so that
the same check that the real store must pass can be turned on a store with a known bug.
"""

import shutil
from contextlib import suppress
from pathlib import Path
from random import Random

from kvcore.sim.disk import SimulatedDisk
from kvcore.storage.appendfile import AppendFile
from kvcore.storage.base import Batch, StorageError
from kvcore.storage.files import OsFileSystem
from tests.support.require import require

ALL = (b"", b"\xff" * 9)
TINY_FLOOR_BYTES = 2000  # small enough that a story compacts many times


def rocks_store(directory, flush_bytes=TINY_FLOOR_BYTES, report=None):
    """A RocksDB store, if the package is here; see `require`."""
    require("rocksdb")
    from kvcore.storage.rocks import Rocks, unheard

    return Rocks(directory, flush_bytes, report or unheard)


def contents(reader):
    """Everything in a reader, checked to be in order."""
    pairs = list(reader.scan(*ALL))
    assert pairs == sorted(pairs)
    assert all(reader.get(key) == value for key, value in pairs)
    return dict(pairs)


def apply(model, batch):
    """The model's next state: what the contract says a batch does."""
    model = {
        key: value
        for key, value in model.items()
        if not any(start <= key < end for start, end in batch.ranges)
    }
    for key, value in batch.writes:
        if value is None:
            model.pop(key, None)
        else:
            model[key] = value
    return model


def random_batch(rng, keys=40):
    def key():
        return b"%02d" % rng.randrange(keys)

    batch = Batch()
    if rng.random() < 0.1:
        batch.ranges.append((key(), key()))
    for _ in range(rng.randint(1, 4)):
        value = None if rng.random() < 0.2 else rng.randbytes(rng.randrange(60))
        batch.writes.append((key(), value))
    return batch


class _Wrapped:
    """A file system that passes everything on."""

    def __init__(self, fs):
        self._fs = fs

    def __getattr__(self, name):
        return getattr(self._fs, name)


class _LateFile:
    def __init__(self, file):
        self._file = file
        self._queue = []

    def write(self, data):
        self._queue.append(data)

    def sync(self):
        self._file.sync()
        self._flush()

    def close(self):
        self._flush()
        self._file.close()

    def _flush(self):
        while self._queue:
            self._file.write(self._queue.pop(0))


class SyncsBeforeWriting(_Wrapped):
    """Planted bug: the sync comes before the write that it should cover."""

    def create(self, name):
        return _LateFile(self._fs.create(name))

    def append(self, name, length):
        return _LateFile(self._fs.append(name, length))


class RenamesWithoutDirectorySync(_Wrapped):
    """Planted bug: after the rename of a compaction the directory is not synced."""

    _renamed = False

    def rename(self, old, new):
        self._renamed = True
        self._fs.rename(old, new)

    def sync_directory(self):
        if not self._renamed:
            self._fs.sync_directory()
        self._renamed = False


class _NotedFile:
    """Tells its directory how long the file was at its last sync."""

    def __init__(self, file, path, noted):
        self._file, self._path, self._noted = file, path, noted

    def write(self, data):
        self._file.write(data)

    def sync(self):
        self._file.sync()
        self._noted[self._path.name] = self._path.stat().st_size

    def close(self):
        self._file.close()


class PowerCutDirectory(_Wrapped):
    """Real files. A power cut cuts each at a random point after what was synced of it."""

    def __init__(self, directory, rng):
        super().__init__(OsFileSystem(directory))
        self._directory = Path(directory)
        self._rng = rng
        self._synced = {}

    def create(self, name):
        self._synced[name] = 0
        return _NotedFile(self._fs.create(name), self._directory / name, self._synced)

    def append(self, name, length):
        return _NotedFile(self._fs.append(name, length), self._directory / name, self._synced)

    def rename(self, old, new):
        self._fs.rename(old, new)
        self._synced[new] = self._synced.pop(old)

    def power_cut(self):
        self._fs.close()
        for path in self._directory.iterdir():
            size = path.stat().st_size
            synced = min(self._synced.get(path.name, size), size)
            with path.open("r+b") as file:
                file.truncate(self._rng.randint(synced, size))


class RocksPowerCuts:
    """RocksDB on real files. A power cut leaves a copy whose logs are cut, and perhaps garbled."""

    def __init__(self, directory, rng, open_store=rocks_store):
        self._directory = Path(directory)
        self._rng = rng
        self._open = open_store
        self._life = 0
        self._lengths = {}
        self._store = None

    def open(self):
        self._store = self._open(self._place(), report=self._heard)
        return self._store

    def power_cut(self):
        """The store that was open goes on elsewhere, unseen, and its files stay behind."""
        self._store._db.cancel_all_background(wait=True)  # it stands still
        before, lengths = self._place(), dict(self._lengths)
        self._life += 1
        shutil.copytree(before, self._place())
        with suppress(StorageError):
            self._store.close()
        for path in sorted((self._place() / "db").glob("*.log")):
            synced = lengths.get(f"db/{path.name}", 0)
            self._cut(path, synced)

    def _cut(self, path, synced):
        size = path.stat().st_size
        left = self._rng.randint(min(synced, size), size)
        doubtful = self._rng.randint(left, size) if self._rng.random() < 0.5 else left
        with path.open("r+b") as file:
            file.truncate(left)
            file.seek(left)
            file.write(self._rng.choice([bytes, self._rng.randbytes])(doubtful - left))

    def _place(self):
        return self._directory / f"life-{self._life}"

    def _heard(self, lengths):
        self._lengths = lengths


def power_cut_story(disk, rng, plant=lambda fs: fs, lives=4, batches=120):
    """`lives_story` of the file engine."""
    return lives_story(lambda: AppendFile(plant(disk), TINY_FLOOR_BYTES), disk, rng, lives, batches)


def lives_story(open_store, disk, rng, lives=4, batches=120):
    """Live through power cuts at random points; AssertionError if the contract is broken.

    Returns how many batches were lost that nobody had promised, and how often a compaction
    was begun: a story without either proves little.
    """
    states = [{}]  # after each batch that may have survived
    store = open_store()
    lost = compactions = 0
    for _ in range(lives):
        promised = len(states) - 1
        for _ in range(rng.randrange(batches)):
            batch = random_batch(rng)
            store.write(batch)
            states.append(apply(states[-1], batch))
            if rng.random() < 0.3:
                store.sync()
                promised = len(states) - 1
        assert contents(store) == states[-1]
        compactions += getattr(store, "generation", 1) - 1
        disk.power_cut()
        store = open_store()
        found = contents(store)
        matches = [at for at in range(promised, len(states)) if states[at] == found]
        assert matches, f"what survived is no prefix that holds the {promised} synced batches"
        lost += len(states) - 1 - matches[-1]
        del states[matches[-1] + 1 :]
        if isinstance(store, AppendFile):
            assert len(store) == len(found)
            assert store.live_bytes == sum(len(k) + len(v) for k, v in found.items())
    store.close()
    return lost, compactions


def simulated(seed):
    """A simulated disk and the generator that rules it."""
    rng = Random(seed)
    return SimulatedDisk(rng), rng
