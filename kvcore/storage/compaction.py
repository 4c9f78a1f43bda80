"""Compaction that pays as it goes: no pause, however much is stored.

A log grows with every write, what lives does not. When the files hold twice what lives,
the store turns to a new log file, takes a view of itself at that moment, and from then on
each write also copies a few of the view's pairs into `base.tmp`, in proportion to its own
size. When all are copied, four steps make the copy count, and their order is everything:

    1. sync base.tmp          its bytes are durable
    2. rename it to base.N    it is whole or not there
    3. sync the directory     the name is durable
    4. remove older files     only now nobody needs them

Without step 3 a power cut may keep the removals and lose the rename: everything gone.

The view is the frozen store of `memory.py`, so copying needs no lock and no second copy of
the values, only the old values of what is overwritten meanwhile.

Left out: compacting a part. One pass copies all that lives.
"""

from collections.abc import Iterator

from kvcore.storage.base import Batch
from kvcore.storage.files import File, FileSystem
from kvcore.storage.memory import MemoryView
from kvcore.storage.records import encode_batch, encode_file_header, encode_record

TEMPORARY = "base.tmp"
RECORD_TARGET_BYTES = 64 * 1024  # one record of the copy holds about this much


def base_name(generation: int) -> str:
    """The file that holds all that lived when log `generation` was begun."""
    return f"base.{generation:08d}"


def log_name(generation: int) -> str:
    """The file of the batches written since."""
    return f"log.{generation:08d}"


class Compaction:
    """One pass: made when log `generation` has just been begun."""

    def __init__(self, fs: FileSystem, view: MemoryView, generation: int, records: int) -> None:
        self.generation = generation
        self.copied = False
        self.size_bytes = 0
        self._fs = fs
        self._view = view
        self._pairs: Iterator[tuple[bytes, bytes]] = view.scan(b"", None)
        self._written = 0
        self._file: File = fs.create(TEMPORARY)
        self._append(encode_file_header(generation, records))

    def step(self, budget_bytes: int) -> None:
        """Copy about so many bytes; sets `copied` when there is nothing left."""
        while budget_bytes > 0 and not self.copied:
            budget_bytes -= self._copy_record(min(budget_bytes, RECORD_TARGET_BYTES))

    def finish(self, obsolete: list[str]) -> None:
        """The four steps; `obsolete` are the files that the base replaces."""
        assert self.copied, "a copy that isn't whole must never count"
        self._file.sync()
        self._file.close()
        self._fs.rename(TEMPORARY, base_name(self.generation))
        self._fs.sync_directory()
        for name in obsolete:
            self._fs.remove(name)

    def abandon(self) -> None:
        """Stop; the next start removes what was copied."""
        self._view.close()
        self._file.close()

    def _copy_record(self, target_bytes: int) -> int:
        """Append one record of at least the target, or the empty one that ends the file."""
        batch, size = Batch(), 0
        for key, value in self._pairs:
            batch.writes.append((key, value))
            size += len(key) + len(value)
            if size >= target_bytes:
                break
        body = encode_batch(batch)
        self._written += 1
        self._append(encode_record(body, self._written, self.size_bytes, self.size_bytes))
        if not batch:
            self.copied = True
            self._view.close()
        return size

    def _append(self, data: bytes) -> None:
        self._file.write(data)
        self.size_bytes += len(data)
