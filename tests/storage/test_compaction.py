"""Compaction pays as it goes, disturbs nobody, and counts only when it is whole."""

import threading
from contextlib import suppress
from random import Random

import pytest

from kvcore.limits import KIB, MIB
from kvcore.sim.disk import SimulatedDisk
from kvcore.storage import appendfile
from kvcore.storage.appendfile import AppendFile
from kvcore.storage.base import Batch
from kvcore.storage.compaction import TEMPORARY
from kvcore.storage.files import OsFileSystem
from tests.support.stores import (
    TINY_FLOOR_BYTES,
    apply,
    contents,
    random_batch,
    rocks_store,
    simulated,
)
from tests.support.wait import eventually


def overwrite(store, rounds, sync=True):
    for number in range(rounds):
        store.write(Batch([(b"%02d" % (number % 20), b"x" * 50)]))
        if sync:
            store.sync()


def test_overwriting_the_same_keys_for_ever_keeps_the_files_small(tmp_path):
    store = AppendFile(OsFileSystem(tmp_path), TINY_FLOOR_BYTES)
    most = 0
    for _ in range(50):
        overwrite(store, 100)
        most = max(most, store.file_bytes)
        on_disk = sum(path.stat().st_size for path in tmp_path.iterdir() if "tmp" not in path.name)
        assert store.file_bytes == on_disk
    assert most < 6 * store.live_bytes + 3 * TINY_FLOOR_BYTES
    assert store.generation > 10
    store.close()


@pytest.mark.parametrize("engine", ["file", "rocksdb"])
def test_overwriting_everything_takes_at_most_three_times_what_lives(tmp_path, engine):
    """Beyond a constant: the file engine's floor, RocksDB's tables and its diary.

    RocksDB merges in threads of its own: what it takes counts when they have nothing to do.
    """
    if engine == "file":
        store, constant = AppendFile(OsFileSystem(tmp_path), 256 * KIB), 256 * KIB
    else:
        store, constant = rocks_store(tmp_path, 256 * KIB), 1 * MIB
    rng, most, count = Random(1), 0, 6 * 1024
    for _ in range(6):
        order = rng.sample(range(count), count)
        for at in range(0, count, 8):
            store.write(Batch([(b"%08d" % key, rng.randbytes(KIB)) for key in order[at : at + 8]]))
            if at % 64 == 0:
                store.sync()
                most = max(most, disk_use(tmp_path, store))
    live = count * (8 + KIB)
    assert live < most <= 3 * live + constant
    store.close()
    assert disk_use(tmp_path) <= 3 * live + constant


BUSY = (
    *("rocksdb.mem-table-flush-pending", "rocksdb.num-running-flushes"),
    *("rocksdb.compaction-pending", "rocksdb.num-running-compactions"),
)


def is_at_rest(store):
    return all(store._db.property_int_value(name) == 0 for name in BUSY)


def disk_use(directory, store=None):
    """The bytes of all files, once the engine's own threads have done their work."""
    if store is not None and not isinstance(store, AppendFile):
        eventually(lambda: is_at_rest(store), 60.0, "RocksDB at rest")
    total = 0
    for path in directory.rglob("*"):
        with suppress(FileNotFoundError):  # a file that is no longer needed goes a little later
            total += path.stat().st_size
    return total


def test_a_purge_of_everything_gives_the_space_back(tmp_path):
    store = AppendFile(OsFileSystem(tmp_path), TINY_FLOOR_BYTES)
    for number in range(500):
        store.write(Batch([(b"%04d" % number, b"x" * 100)]))
    store.sync()
    assert store.file_bytes > 50_000
    store.write(Batch([], [(b"0", b"9")]))
    for _ in range(40):
        store.write(Batch([(b"k", b"v")]))
        store.sync()
    assert store.file_bytes < 4 * TINY_FLOOR_BYTES
    store.close()


def test_new_keys_alone_are_never_copied(tmp_path):
    store = AppendFile(OsFileSystem(tmp_path), TINY_FLOOR_BYTES)
    for number in range(500):
        store.write(Batch([(b"%04d" % number, b"x" * 200)]))
    assert store.generation == 1
    store.close()


def test_one_write_copies_a_bounded_share(monkeypatch):
    """No pause, however much lives: a small write never copies more than the floor."""
    monkeypatch.setattr(appendfile, "COPY_FLOOR_BYTES", 1000)
    disk = SimulatedDisk(Random(1))
    store = AppendFile(disk, 0)
    for number in range(2000):
        store.write(Batch([(b"%04d" % number, b"x" * 100)]))
    store.sync()
    steps = []
    for number in range(4000):
        before = disk.written_bytes
        store.write(Batch([(b"%04d" % (number % 2000), b"y" * 100)]))
        store.sync()
        steps.append(disk.written_bytes - before)
    assert store.generation > 1
    assert max(steps) < 1000 + 1000


def test_views_stay_frozen_while_a_compaction_runs_and_ends():
    disk, rng = simulated(7)
    store = AppendFile(disk, TINY_FLOOR_BYTES)
    model, views = {}, []
    for number in range(1500):
        batch = random_batch(rng)
        store.write(batch)
        model = apply(model, batch)
        if number % 100 == 0:
            views.append((store.view(), model))
        if number % 3 == 0:
            store.sync()
        if number % 250 == 0:
            for view, then in views:
                assert contents(view) == then
    assert store.generation > 5
    for view, then in views:
        assert contents(view) == then
        view.close()
    assert contents(store) == model


def test_a_driver_that_never_syncs_still_gets_its_space_back():
    disk = SimulatedDisk(Random(1))
    store = AppendFile(disk, TINY_FLOOR_BYTES)
    overwrite(store, 5000, sync=False)
    assert store.generation > 5
    assert store.file_bytes < 8 * store.live_bytes + 4 * TINY_FLOOR_BYTES
    disk.close()
    assert contents(AppendFile(disk)) == contents(store)


def test_an_unfinished_copy_is_removed_at_the_next_start(tmp_path):
    store = AppendFile(OsFileSystem(tmp_path), TINY_FLOOR_BYTES)
    while not (tmp_path / TEMPORARY).exists():
        store.write(Batch([(b"k", b"x" * 300)]))
    model = contents(store)
    store._fs.close()
    store = AppendFile(OsFileSystem(tmp_path), TINY_FLOOR_BYTES)
    assert not (tmp_path / TEMPORARY).exists()
    assert contents(store) == model
    store.close()


def test_syncs_in_another_thread_lose_nothing_while_writes_and_compactions_go_on(tmp_path):
    store = AppendFile(OsFileSystem(tmp_path), TINY_FLOOR_BYTES)
    rng, model = Random(3), {}
    done = threading.Event()
    problems = []

    def sync_all_the_time():
        try:
            while not done.is_set():
                store.sync()
        except Exception as error:  # noqa: BLE001 - told to the test
            problems.append(error)

    thread = threading.Thread(target=sync_all_the_time)
    thread.start()
    for _ in range(3000):
        batch = random_batch(rng)
        store.write(batch)
        model = apply(model, batch)
    done.set()
    thread.join()
    assert problems == []
    store.close()
    store = AppendFile(OsFileSystem(tmp_path), TINY_FLOOR_BYTES)
    assert contents(store) == model
    assert store.dropped == ""
    store.close()


def test_a_write_is_one_append_and_a_sync_is_one_sync():
    disk = SimulatedDisk(Random(1))
    store = AppendFile(disk)
    calls = []
    real = store._log.write
    store._log = type("Counted", (), {
        "write": lambda _, data: (calls.append("write"), real(data)),
        "sync": lambda _: calls.append("sync"),
    })()  # fmt: skip
    store.write(Batch([(b"%d" % n, b"v") for n in range(100)], [(b"a", b"b")]))
    assert calls == ["write"]
    store.write(Batch([(b"k", b"v")]))
    store.sync()
    assert calls == ["write", "write", "sync", "write"]  # the last says what is durable
    store.sync()
    assert calls == ["write", "write", "sync", "write"]  # nothing new, nothing to sync
