"""The `file` engine: every live value in memory, every batch appended to a file.

Reads never touch the disk. A write appends one record (`records.py` has the format) with
one system call and then updates the memory; `sync` makes all appended records durable at
once, however many batches they came in, which is what group commit is made of. A restart
reads the files from end to end.

    log.00000001      the batches since the beginning
    base.00000007     all that lived when log.00000007 was begun
    log.00000007 ...  the batches since
    lock              held while a server uses the directory

A store is its newest base, if any, and every log from that number on. Before a new log is
begun the old one is synced, so the surviving batches are always a prefix: only the last
log can have lost its end. `compaction.py` replaces files in which a third is dead. While it
copies, old files, copy and new log together take less than three times what lives.

After each sync an empty record is appended, itself unsynced: it says how many bytes are
durable, so that a later start can tell damage from a torn end (see `records.py`).

A write or sync that failed is final. The kernel may have dropped the bytes of a failed
sync and will report success the next time, so asking again would be a lie.

`sync` may run in a second thread. The lock is held for the append and for bookkeeping,
never during a sync of the log that is being written.

Left out: values that don't fit in memory. `docs/adr/0003-append-file.md` says why.
"""

from collections.abc import Iterator
from threading import Lock

from kvcore.limits import COMPACT_FLOOR_BYTES
from kvcore.storage.base import Batch, StorageError
from kvcore.storage.compaction import TEMPORARY, Compaction, base_name, log_name
from kvcore.storage.files import File, FileSystem
from kvcore.storage.memory import MemoryStorage, MemoryView
from kvcore.storage.records import (
    LENGTHS_BYTES,
    RecordReader,
    encode_batch,
    encode_file_header,
    encode_record,
)

COPY_FLOOR_BYTES = 16 * 1024  # a write copies at least this much while a compaction runs
COPY_CEILING_BYTES = 1024 * 1024  # and at most this much, which bounds its pause
_MARKER = encode_batch(Batch())


class AppendFile:
    """An ordered byte-KV on files, see `base.Storage`. Opening it recovers it.

    `dropped` says in a sentence what a torn end cost at the start, "" if nothing.
    """

    def __init__(self, fs: FileSystem, compact_floor_bytes: int = COMPACT_FLOOR_BYTES) -> None:
        self.dropped = ""
        self._fs = fs
        self._floor_bytes = compact_floor_bytes
        self._live = MemoryStorage()
        self._lock = Lock()  # appends, and the fields about the current log
        self._syncing = Lock()  # held through a sync, which may finish a compaction
        self._failure: StorageError | None = None
        self._closed = False
        self._generation = 1
        self._records = 0  # appended since the beginning, in all logs
        self._size = 0  # of the current log
        self._synced = 0  # of the current log: bytes known to be durable
        self._batch_end = 0  # of the current log: where the last batch ends
        self._older: list[str] = []  # files that the next base will replace
        self._older_bytes = 0
        self._retired: list[File] = []  # handles of finished logs
        self._compaction: Compaction | None = None
        fs.lock()
        try:
            self._log = self._recover()
        except OSError as error:
            fs.close()
            raise self._error(error) from error
        except StorageError:
            fs.close()
            raise

    def __len__(self) -> int:
        return len(self._live)

    @property
    def live_bytes(self) -> int:
        """The size of all keys and values."""
        return self._live.size_bytes

    @property
    def file_bytes(self) -> int:
        """The size of the files that make up the store."""
        return self._older_bytes + self._size

    @property
    def generation(self) -> int:
        """The number of the current log; it rises by one with each compaction."""
        return self._generation

    def get(self, key: bytes) -> bytes | None:
        """The value of a key, or None."""
        return self._live.get(key)

    def scan(self, start: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        """The pairs of `[start, end)`, ascending."""
        return self._live.scan(start, end)

    def view(self) -> MemoryView:
        """The store as it is now, for as long as it stays open."""
        return self._live.view()

    def write(self, batch: Batch) -> None:
        """Append the batch and make it visible."""
        if not batch:
            return
        self._check()
        body = encode_batch(batch)
        try:
            with self._lock:
                written = self._append(body)
                self._batch_end = self._size
            self._live.write(batch)
            self._pay(written)
        except OSError as error:
            raise self._fail(error) from error

    def sync(self) -> None:
        """Make every batch written before the call durable."""
        self._check()
        try:
            with self._syncing:
                self._sync_log()
                self._finish_compaction()
        except OSError as error:
            raise self._fail(error) from error

    def close(self) -> None:
        """Sync and let go of the directory. Closing twice is allowed."""
        if self._closed:
            return
        try:
            if self._failure is None:
                self.sync()
        finally:
            self._closed = True
            if self._compaction is not None and not self._compaction.copied:
                self._compaction.abandon()
            for file in (*self._retired, self._log):
                file.close()
            self._fs.close()

    def _append(self, body: bytes) -> int:
        """One record, one system call; the caller holds the lock."""
        data = encode_record(body, self._records + 1, self._synced, self._size)
        self._log.write(data)
        self._records += 1
        self._size += len(data)
        return len(data)

    def _sync_log(self) -> None:
        with self._lock:
            log, size, synced = self._log, self._size, self._synced
            if self._batch_end <= synced:
                return
        log.sync()
        if synced == 0:  # a log's first sync: its name must be durable as well
            self._fs.sync_directory()
        with self._lock:
            if log is not self._log:
                return  # a new log was begun meanwhile; that synced this one to its end
            self._synced = size
            if self._batch_end <= size:  # else the batches written meanwhile will say it
                self._append(_MARKER)

    def _pay(self, written_bytes: int) -> None:
        """A write's share of the compaction: begin it, go on with it."""
        compaction = self._compaction
        if compaction is None:
            if self.file_bytes > 1.5 * self._packed_bytes() + self._floor_bytes:
                self._begin_compaction()
        elif not compaction.copied:
            share = max(4 * written_bytes, COPY_FLOOR_BYTES)
            compaction.step(min(share, COPY_CEILING_BYTES))
        elif self._size > compaction.size_bytes + self._floor_bytes:
            self._finish_unless_syncing()

    def _packed_bytes(self) -> int:
        """About how large a base of all that lives now would be."""
        return self._live.size_bytes + LENGTHS_BYTES * len(self._live)

    def _finish_unless_syncing(self) -> None:
        """For a driver that never syncs: a copy that waits too long is finished by a write."""
        if self._syncing.acquire(blocking=False):
            try:
                self._finish_compaction()
            finally:
                self._syncing.release()

    def _begin_compaction(self) -> None:
        """Turn to a new log; all that lives now will be copied to a base."""
        with self._lock:
            self._log.sync()  # or a power cut could take its end and leave the new one's start
            self._retired.append(self._log)
            self._older.append(log_name(self._generation))
            self._older_bytes += self._size
            self._generation += 1
            self._log = self._new_log()
        self._compaction = Compaction(self._fs, self._live.view(), self._generation, self._records)

    def _finish_compaction(self) -> None:
        """Put the base in the place of what it copied; the caller holds `_syncing`."""
        compaction = self._compaction
        if compaction is None or not compaction.copied:
            return
        compaction.finish(self._older)
        for file in self._retired:
            file.close()
        self._retired = []
        self._older = [base_name(compaction.generation)]
        self._older_bytes = compaction.size_bytes
        self._compaction = None

    def _new_log(self) -> File:
        """Create the current generation's log; its name is durable only after a sync."""
        log = self._fs.create(log_name(self._generation))
        header = encode_file_header(self._generation, self._records)
        log.write(header)
        self._size, self._synced, self._batch_end = len(header), 0, 0
        return log

    def _recover(self) -> File:
        """Read the base and the logs; return the last log, cut to its good bytes, durable."""
        names = self._fs.names()
        bases, logs = _generations("base", names), _generations("log", names)
        first = max(bases, default=1)
        current = [generation for generation in logs if generation >= first]
        self._generation = current[-1] if current else first
        for generation in range(first, self._generation):
            if generation not in current:
                missing = self._fs.path(log_name(generation))
                raise StorageError(f"{missing} is missing: restore the store from a copy")
        if bases:
            self._read_base(first)
        promised = end = 0
        for generation in current:
            promised, end = self._read_log(generation)
        log = self._reopen_log(promised, end) if end else self._new_log()
        log.sync()
        self._synced = self._size
        obsolete = [log_name(generation) for generation in logs if generation < first]
        obsolete += [base_name(generation) for generation in bases if generation < first]
        obsolete += [name for name in names if name == TEMPORARY]
        self._fs.sync_directory()
        for name in obsolete:
            self._fs.remove(name)
        return log

    def _read_base(self, generation: int) -> None:
        name = base_name(generation)
        data = self._fs.read(name)
        reader = RecordReader(self._fs.path(name), data, torn_allowed=False)
        header = reader.header(generation)
        ended = False
        for batch in reader.batches(1):
            self._live.write(batch)
            ended = not batch
        if header is None or not ended:
            raise reader.damage(reader.end, "it ends too early")
        self._records = header.records_before
        self._older.append(name)
        self._older_bytes += len(data)

    def _reopen_log(self, promised: int, end: int) -> File:
        """The last log without its torn end, if it has one.

        Bytes that nobody promised may be in the cache only, from a sync that failed before
        the last process died, and the next sync would skip them. Written again they count.
        """
        name = log_name(self._generation)
        log = self._fs.append(name, end)
        self._fs.rewrite(name, promised, self._fs.read(name)[promised:])
        self._size = end
        return log

    def _read_log(self, generation: int) -> tuple[int, int]:
        """Apply a log; return how many bytes were promised, and where the good ones end."""
        name, last = log_name(generation), generation == self._generation
        data = self._fs.read(name)
        reader = RecordReader(self._fs.path(name), data, torn_allowed=last)
        header = reader.header(generation)
        if header is not None:
            if header.records_before != self._records:
                raise reader.damage(0, f"it doesn't continue from record {self._records}")
            for batch in reader.batches(self._records + 1):
                self._live.write(batch)
                self._records += 1
        if reader.end < len(data):
            self.dropped = (
                f"{reader.path}: the last {len(data) - reader.end} bytes, from byte "
                f"{reader.end} on, are of a write that never became durable; dropped"
            )
        if not last:
            self._older.append(name)
            self._older_bytes += len(data)
        return reader.promised, reader.end

    def _check(self) -> None:
        if self._failure is not None:
            raise StorageError(f"the store stopped after a failure: {self._failure}")
        if self._closed:
            raise StorageError("the store is closed")

    def _fail(self, error: OSError) -> StorageError:
        self._failure = self._error(error)
        return self._failure

    def _error(self, error: OSError) -> StorageError:
        where = error.filename or self._fs.path(log_name(self._generation))
        return StorageError(
            f"{where}: {error.strerror or error}; "
            "make room or mend the disk, then start again: what was synced is safe"
        )


def _generations(kind: str, names: list[str]) -> list[int]:
    """The numbers of the files of one kind, ascending."""
    found = [name.removeprefix(f"{kind}.") for name in names if name.startswith(f"{kind}.")]
    return sorted(int(number) for number in found if number.isdecimal())
