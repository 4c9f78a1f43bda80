"""The stores of one server process, by engine: which there are, and how they are opened.

Every server has `memory` and `file`. It has `rocksdb` too where the package rocksdict is
installed, but most servers never use it, so that store is opened when its first batch
comes, or at the start if an earlier process has used it. Streams that were stored there are
never passed over: where the package is gone, the server refuses to start.

Left out: which stream goes where. `node/engines.py` decides that.
"""

import os
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from kvcore.limits import SECOND_NS
from kvcore.server.log import Log
from kvcore.server.settings import Settings
from kvcore.server.synced import ReportedFiles, SyncReport
from kvcore.storage.appendfile import AppendFile
from kvcore.storage.base import Batch, Storage, StorageError, View
from kvcore.storage.files import OsFileSystem
from kvcore.storage.memory import MemoryStorage

ROCKS_DIRECTORY = "rocksdb"
_INSTALL = "pip install 'kvcore[rocksdb]'"


def durable_engines(settings: Settings) -> tuple[str, ...]:
    """The engines that a stream with file storage may be on; the first is the default."""
    if settings.engine == "rocksdb":
        return "rocksdb", "file"
    has_rocks = settings.jetstream and not settings.record and find_spec("rocksdict") is not None
    return ("file", "rocksdb") if has_rocks else ("file",)


def open_engines(settings: Settings, say: Log) -> dict[str, Storage]:
    """Every store of the server, recovered; raises `StorageError`."""
    if not settings.jetstream:
        say.info("JetStream is off")
        return {"file": MemoryStorage(), "memory": MemoryStorage()}
    report = SyncReport(settings.synced_fd) if settings.synced_fd >= 0 else None
    files = OsFileSystem(settings.store_dir)
    store = AppendFile(ReportedFiles(files, report) if report else files)
    say.info("Starting JetStream")
    if store.dropped:
        say.warn(store.dropped)
    say.info(f'  Store Directory: "{os.path.realpath(settings.store_dir)}"')
    stores: dict[str, Storage] = {"file": store, "memory": MemoryStorage()}
    rocks = Path(settings.store_dir) / ROCKS_DIRECTORY
    engines = durable_engines(settings)
    if "rocksdb" in engines:
        _require_rocksdict("--engine rocksdb")
        stores["rocksdb"] = OnDemand(rocks, report, at_once=rocks.exists())
        say.info(f"  Engines:         {', '.join(engines)}")
    elif rocks.exists():
        _require_rocksdict(f"{rocks}, where this server has stored streams,")
        raise StorageError(f"{rocks} has stored streams, which can't be recorded")
    _tell_sync(settings, say)
    return stores


def _require_rocksdict(what: str) -> None:
    if find_spec("rocksdict") is None:
        raise StorageError(f"{what} needs the package rocksdict: {_INSTALL}")


def _tell_sync(settings: Settings, say: Log) -> None:
    meaning = {
        "always": "always, an ack means that the disk has it",
        "interval": f"every {settings.sync_interval / SECOND_NS:g} s, acks don't wait",
        "never": "never, acks don't wait",
    }
    say.info(f"  Sync:            {meaning[settings.sync]}")
    if settings.sync != "always":
        say.warn("a power cut may take acknowledged writes")


class OnDemand:
    """A RocksDB store that exists from its first batch on."""

    def __init__(self, directory: Path, report: SyncReport | None, *, at_once: bool) -> None:
        self._directory = directory
        self._report = report
        self._store: Storage = MemoryStorage()  # empty, until there is something to store
        self._is_open = False
        if at_once:
            self._open()

    def get(self, key: bytes) -> bytes | None:
        """The value of a key, or None."""
        return self._store.get(key)

    def scan(self, start: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        """The pairs of `[start, end)`, ascending."""
        return self._store.scan(start, end)

    def view(self) -> View:
        """The store as it is now."""
        return self._store.view()

    def write(self, batch: Batch) -> None:
        """Make a batch visible."""
        if batch and not self._is_open:
            self._open()
        self._store.write(batch)

    def sync(self) -> None:
        """Return once everything written before the call is durable."""
        self._store.sync()

    def close(self) -> None:
        """Sync, then give back files and locks."""
        self._store.close()

    def _open(self) -> None:
        from kvcore.storage.rocks import Report, Rocks, unheard

        report: Report = unheard
        if self._report is not None:
            whole, prefix = self._report, f"{ROCKS_DIRECTORY}/"
            report = lambda lengths: whole.replace(prefix, lengths)  # noqa: E731
        self._store = Rocks(self._directory, report=report)
        self._is_open = True
