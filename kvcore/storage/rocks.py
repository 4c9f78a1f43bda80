"""The `rocksdb` engine: RocksDB under the same contract, for what doesn't fit in memory.

RocksDB is a log-structured merge tree. A batch goes to its write-ahead log and to a sorted
table in memory; a full table is flushed to a sorted file, and files are merged in the
background, which is where overwritten values go. Reads look from the newest to the oldest.

    rocksdb/lock       held while a server uses the directory, as the file engine's
    rocksdb/promise    the sequence number that the last sync covered
    rocksdb/db/*       RocksDB's own: *.log is the write-ahead log, *.sst the sorted files
    rocksdb/torn-*     the end of a log that RocksDB couldn't have read, see `rocks_logs.py`

The contract asks for three things that RocksDB doesn't do by itself.

**What survives is a prefix.** When RocksDB turns to a new log, the end of the old one may
not be on the disk yet, and a power cut could leave a gap. So the engine turns the log
itself, before RocksDB would, and syncs the old one first.

**A torn end and damage are told apart.** Recovery stops at the first bad record, wherever
it is (point-in-time recovery), so a flipped bit among durable records would silently take
all that follows. `promise` says how far recovery has to come. It isn't synced itself: what
a power cut leaves of it is true, perhaps old. A store that falls short is opened for reading
alone, so nothing has been changed when it is refused.

**A small range is deleted key by key.** Each range deletion is one more thing that every
read must consult; a log that is trimmed at every turn would leave thousands.

A write or sync that failed is final, and `sync` may run in a second thread, as in
`appendfile.py`. RocksDB's errors come as bare `Exception`s; `_Told` makes them ours.

Left out: column families, merge operators, blob files, and any tuning for big machines.
"""

import os
import re
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from struct import Struct
from threading import Lock
from types import TracebackType
from zlib import crc32

from rocksdict import (
    AccessType,
    BlockBasedOptions,
    Cache,
    DBCompressionType,
    DBRecoveryMode,
    Options,
    Rdict,
    RdictIter,
    ReadOptions,
    WriteBatch,
)

from kvcore.limits import MIB, ROCKS_CACHE_BYTES, ROCKS_FLUSH_BYTES
from kvcore.storage.base import Batch, StorageError
from kvcore.storage.files import OsFileSystem
from kvcore.storage.rocks_logs import put_aside_unreadable

SLICE_KEYS = 256  # a view's scan reads ahead so far; other reads may come between
POINT_DELETES_COUNT = 1000  # a range with more keys than this is deleted as a range
_WRITE_OVERHEAD_BYTES = 64  # of one write, in RocksDB's table in memory
_PROMISE = Struct(">4sQI")
_MAGIC = b"kvP\n"

Report = Callable[[Mapping[str, int]], None]


def unheard(_lengths: Mapping[str, int]) -> None:
    """Nobody asks how much of which file is durable."""


class _Told:
    """Turns what RocksDB raises into a `StorageError`; `final` is told of it."""

    __slots__ = ("_final", "_where")

    def __init__(self, where: str, final: Callable[[StorageError], None] | None = None) -> None:
        self._where = where
        self._final = final

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        if kind is Exception or isinstance(error, OSError):
            told = StorageError(
                f"{self._where}: {error}; "
                "make room or mend the disk, then start again: what was synced is safe"
            )
            if self._final is not None:
                self._final(told)
            raise told from error


class RocksView:
    """The store as it was when the view was taken; see `base.View`.

    It is one iterator, made then and sought anew for each read: RocksDB keeps for it all that
    it could come upon. (rocksdict's snapshots show newer values when they are iterated.)
    """

    __slots__ = ("_forget", "_found", "_told")

    def __init__(
        self, found: RdictIter, told: _Told, forget: Callable[["RocksView"], None]
    ) -> None:
        self._found: RdictIter | None = found
        self._told = told
        self._forget = forget

    def get(self, key: bytes) -> bytes | None:
        """The value that the key had."""
        pairs = self._slice(key, key + b"\x00", 1)
        return pairs[0][1] if pairs else None

    def scan(self, start: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        """The pairs that were in `[start, end)`, ascending."""
        while pairs := self._slice(start, end, SLICE_KEYS):
            yield from pairs
            start = pairs[-1][0] + b"\x00"

    def close(self) -> None:
        """Let RocksDB drop what only this view has kept. Closing twice is allowed."""
        if self._found is not None:
            self._found = None
            self._forget(self)

    def _slice(self, start: bytes, end: bytes, count: int) -> list[tuple[bytes, bytes]]:
        if self._found is None:
            raise StorageError("this view is closed")
        with self._told:
            self._found.seek(start)
            return list(islice(_pairs(self._found, end), count))


def _pairs(found: RdictIter, end: bytes) -> Iterator[tuple[bytes, bytes]]:
    """From where it stands. An iterator that meets damage just ends, so it is asked."""
    while found.valid():
        key: bytes = found.key()
        if key >= end:
            return
        yield key, found.value()
        found.next()
    found.status()


class Rocks:
    """An ordered byte-KV in RocksDB, see `base.Storage`. Opening it recovers it.

    `report` is told after each sync how many bytes of each write-ahead log are durable, by
    the file's name in `directory`.
    """

    def __init__(
        self,
        directory: str | Path,
        flush_bytes: int = ROCKS_FLUSH_BYTES,
        report: Report = unheard,
    ) -> None:
        self._fs = OsFileSystem(directory)
        self._path = Path(directory) / "db"
        self._flush_bytes = flush_bytes
        self._report = report
        self._syncing = Lock()
        self._failure: StorageError | None = None
        self._closed = False
        self._views: dict[RocksView, None] = {}
        self._written = self._durable = 0  # batches, since the start
        self._unflushed_bytes = 0
        self._promise = -1
        self._told = _Told(str(self._path))
        self._final = _Told(str(self._path), self._failed)
        self._fs.lock()
        try:
            with self._told:
                self._promise = os.open(self._fs.path("promise"), os.O_RDWR | os.O_CREAT, 0o600)
                put_aside_unreadable(self._path, Path(directory))
                self._check_promise()
                self._db = Rdict(str(self._path), _options(flush_bytes))
                self._tell_durable(self._lengths(), self._db.latest_sequence_number())
        except StorageError:
            self._let_go()
            raise

    # -- reading ---------------------------------------------------------------------------

    def get(self, key: bytes) -> bytes | None:
        """The value of a key, or None."""
        with self._told:
            value: bytes | None = self._db.get(key)
            return value

    def scan(self, start: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        """The pairs of `[start, end)`, ascending."""
        if start >= end:
            return
        bounds = ReadOptions()
        bounds.set_iterate_upper_bound(end)  # dead keys beyond it are not waded through
        with self._told:
            found = self._db.iter(bounds)
            found.seek(start)
            yield from _pairs(found, end)

    def view(self) -> RocksView:
        """The store as it is now, for as long as it stays open."""
        with self._told:
            view = RocksView(self._db.iter(), self._told, self._views.pop)
        self._views[view] = None
        return view

    # -- writing ---------------------------------------------------------------------------

    def write(self, batch: Batch) -> None:
        """Put the batch into the write-ahead log and make it visible."""
        if not batch:
            return
        self._check()
        with self._final:
            writes = WriteBatch(raw_mode=True)
            for start, end in batch.ranges:
                self._delete_range(writes, start, end)
            put, delete = writes.put, writes.delete
            for key, value in batch.writes:
                if value is None:
                    delete(key)
                else:
                    put(key, value)
            self._unflushed_bytes += writes.size_in_bytes() + len(writes) * _WRITE_OVERHEAD_BYTES
            self._db.write(writes)
        self._written += 1
        if self._unflushed_bytes >= self._flush_bytes:
            self._turn_log()

    def sync(self) -> None:
        """Make every batch written before the call durable."""
        self._check()
        with self._syncing:
            written = self._written
            if written == self._durable:
                return
            with self._final:
                lengths, sequence = self._lengths(), self._db.latest_sequence_number()
                self._db.flush_wal(sync=True)
                self._tell_durable(lengths, sequence)
            self._durable = written

    def close(self) -> None:
        """Sync and let go of the directory. Closing twice is allowed."""
        if self._closed:
            return
        try:
            if self._failure is None:
                self.sync()
        finally:
            self._closed = True
            for view in list(self._views):
                view.close()
            try:
                with self._told:
                    self._db.close()  # what is in memory goes to a sorted file: a short start
            finally:
                self._let_go()

    # -- inside ----------------------------------------------------------------------------

    def _delete_range(self, writes: WriteBatch, start: bytes, end: bytes) -> None:
        few = [key for key, _ in islice(self.scan(start, end), POINT_DELETES_COUNT + 1)]
        if len(few) > POINT_DELETES_COUNT:
            writes.delete_range(start, end)
            return
        for key in few:
            writes.delete(key)

    def _turn_log(self) -> None:
        """Begin a new log, and have the table of the old one written to a sorted file."""
        self.sync()
        with self._final:
            self._db.flush(wait=False)
        self._unflushed_bytes = 0

    def _lengths(self) -> dict[str, int]:
        """How long each write-ahead log is now."""
        if self._report is unheard:
            return {}
        found = {}
        for entry in os.scandir(self._path):
            if re.fullmatch(r"\d+\.log", entry.name):
                try:
                    found[f"db/{entry.name}"] = entry.stat().st_size
                except FileNotFoundError:
                    continue  # flushed and removed meanwhile
        return found

    def _tell_durable(self, lengths: Mapping[str, int], sequence: int) -> None:
        head = _PROMISE.pack(_MAGIC, sequence, 0)[:-4]
        os.lseek(self._promise, 0, os.SEEK_SET)
        os.write(self._promise, head + crc32(head).to_bytes(4, "big"))
        self._report(lengths)

    def _check_promise(self) -> None:
        """Refuse a store whose recovery would lose what was promised; nothing is changed."""
        found = os.read(self._promise, _PROMISE.size)
        if len(found) < _PROMISE.size or crc32(found[:-4]) != int.from_bytes(found[-4:], "big"):
            return  # a new store, or a power cut in the midst of saying it
        promised = _PROMISE.unpack(found)[1]
        reader = Rdict(
            str(self._path),
            _options(self._flush_bytes),
            access_type=AccessType.read_only(error_if_log_file_exist=False),
        )
        there = reader.latest_sequence_number()
        reader.close()
        if there < promised:
            raise StorageError(
                f"{self._path} is damaged: it can be read up to write {there}, and {promised} "
                "were synced. Nothing was changed; restore the files from a copy, or move the "
                "store directory away to start empty"
            )

    def _let_go(self) -> None:
        if self._promise >= 0:
            os.close(self._promise)
        self._fs.close()

    def _check(self) -> None:
        if self._failure is not None:
            raise StorageError(f"the store stopped after a failure: {self._failure}")
        if self._closed:
            raise StorageError("the store is closed")

    def _failed(self, error: StorageError) -> None:
        self._failure = error


def _options(flush_bytes: int) -> Options:
    """How RocksDB is set up: little memory, little space, and no log that turns by itself."""
    options = Options(raw_mode=True)
    options.create_if_missing(create_if_missing=True)
    options.set_wal_recovery_mode(DBRecoveryMode.point_in_time())
    options.set_write_buffer_size(16 * flush_bytes + 64 * MIB)  # never full: `_turn_log` is first
    options.set_max_total_wal_size(2 * flush_bytes)  # how much a new log reserves
    options.set_max_write_buffer_number(4)
    options.set_level_zero_file_num_compaction_trigger(2)
    options.set_max_bytes_for_level_base(4 * flush_bytes)
    options.set_target_file_size_base(2 * flush_bytes)
    options.set_level_compaction_dynamic_level_bytes(v=True)  # dead bytes are at most a tenth
    options.set_compression_type(DBCompressionType.lz4())
    options.set_max_background_jobs(2)
    options.set_max_open_files(256)
    options.set_keep_log_file_num(2)  # of RocksDB's own diary
    options.set_max_log_file_size(MIB)
    options.set_stats_dump_period_sec(0)
    options.set_stats_persist_period_sec(0)
    table = BlockBasedOptions()
    table.set_block_cache(Cache(ROCKS_CACHE_BYTES))
    table.set_bloom_filter(10, block_based=False)
    options.set_block_based_table_factory(table)
    return options
