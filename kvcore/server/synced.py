"""How much of each log is durable: what a server reports, and the power cut made of it.

Killing a process takes nothing that it has written: the page cache survives it. A power cut
takes what was not synced, all of it or a part. To do that to a real server, its parent has
to know what was synced. So the parent opens a file and hands down the descriptor
(`--synced-fd`); after each sync, and before anything is answered for it, the server puts one
line at the start of that file:

    {"log.00000003": 81920, "rocksdb/db/000012.log": 4096}

Names are within the store directory, lengths are bytes. The line needs no sync of its own:
it lives in the page cache, which is what survives the kill.

`cut_unsynced` then cuts each log at a random point at or after its length. A log that no
line names was begun after the last sync, so it may be cut anywhere. Files that are replaced
as a whole (a base, a sorted file) are durable before anybody refers to them.

Left out: what a power cut does to names, and garbage at the end of a file. The simulator's
disk does both.
"""

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from random import Random
from threading import Lock

from kvcore.storage.files import File, FileSystem

_LINE_BYTES = 1 << 20
_LOG = re.compile(r"log\.\d+|\d+\.log")  # the file engine's, and RocksDB's


class SyncReport:
    """The server's side: one line, always at the start of the file that `fd` is."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._lock = Lock()  # syncs come from two threads
        # What an earlier process of this directory has said of its finished logs stays true.
        line = os.pread(fd, _LINE_BYTES, 0).partition(b"\n")[0]
        self._lengths: dict[str, int] = json.loads(line) if line else {}

    def synced(self, name: str, length: int) -> None:
        """So many bytes of one file are durable."""
        with self._lock:
            self._lengths[name] = length
            self._tell()

    def replace(self, prefix: str, lengths: Mapping[str, int]) -> None:
        """These are the files of a directory, and how much of each is durable."""
        with self._lock:
            kept = {name: n for name, n in self._lengths.items() if not name.startswith(prefix)}
            self._lengths = kept | {prefix + name: n for name, n in lengths.items()}
            self._tell()

    def forget(self, name: str) -> None:
        """The file is gone; the next line no longer names it."""
        with self._lock:
            self._lengths.pop(name, None)

    def _tell(self) -> None:
        os.pwrite(self._fd, json.dumps(self._lengths).encode() + b"\n", 0)


class _ReportedFile:
    """A file that says how long it was when its last sync began."""

    __slots__ = ("_file", "_length", "_name", "_report")

    def __init__(self, file: File, name: str, length: int, report: SyncReport) -> None:
        self._file = file
        self._name = name
        self._length = length
        self._report = report

    def write(self, data: bytes) -> None:
        """Append all of it."""
        self._file.write(data)
        self._length += len(data)

    def sync(self) -> None:
        """Make every byte durable that was written before, and say so."""
        length = self._length
        self._file.sync()
        self._report.synced(self._name, length)

    def close(self) -> None:
        """Give the handle back."""
        self._file.close()


class ReportedFiles:
    """A `storage.files.FileSystem` whose files report their syncs."""

    def __init__(self, fs: FileSystem, report: SyncReport) -> None:
        self._fs = fs
        self._report = report
        self.path = fs.path
        self.lock = fs.lock
        self.names = fs.names
        self.read = fs.read
        self.rewrite = fs.rewrite
        self.rename = fs.rename
        self.sync_directory = fs.sync_directory
        self.close = fs.close

    def create(self, name: str) -> File:
        """A new, empty file."""
        self._report.forget(name)
        return _ReportedFile(self._fs.create(name), name, 0, self._report)

    def append(self, name: str, length: int) -> File:
        """An existing file, cut to `length` bytes."""
        return _ReportedFile(self._fs.append(name, length), name, length, self._report)

    def remove(self, name: str) -> None:
        """Forget a name."""
        self._report.forget(name)
        self._fs.remove(name)


def cut_unsynced(store_dir: str | Path, report: str | Path, rng: Random) -> int:
    """Take from a dead server's logs what a power cut may take; how many bytes that was.

    `report` is the file that its `--synced-fd` was. A server that was killed before its
    first sync has reported nothing.
    """
    line = Path(report).read_bytes().partition(b"\n")[0]
    synced: dict[str, int] = json.loads(line) if line else {}
    lost = 0
    root = Path(store_dir)
    for path in sorted(root.rglob("*")):
        if path.is_file() and _LOG.fullmatch(path.name):
            size = path.stat().st_size
            durable = min(synced.get(path.relative_to(root).as_posix(), 0), size)
            left = rng.randint(durable, size)
            os.truncate(path, left)
            lost += size - left
    return lost
