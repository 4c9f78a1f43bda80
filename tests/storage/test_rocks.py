"""What the rocksdb engine adds to RocksDB: a prefix after power cuts, and damage that is told."""

import subprocess
import sys
import threading
from random import Random

import pytest

from kvcore.storage.base import Batch, StorageError
from tests.support.require import require
from tests.support.stores import (
    ALL,
    TINY_FLOOR_BYTES,
    RocksPowerCuts,
    apply,
    contents,
    lives_story,
    random_batch,
    rocks_store,
)

require("rocksdb")
from kvcore.storage import rocks  # noqa: E402 - skipped where it can't be imported

SEEDS = 40


def test_power_cuts_at_random_points_take_no_synced_batch_and_leave_a_prefix(tmp_path):
    lost = 0
    for seed in range(SEEDS):
        rng = Random(seed)
        disk = RocksPowerCuts(tmp_path / str(seed), rng)
        lost += lives_story(disk.open, disk, rng)[0]
    assert lost > SEEDS  # the disk did forget: unsynced batches went


class _LogsThatTurnUnsynced(rocks.Rocks):
    """Planted bug: RocksDB's own way, a new log while the old one isn't on the disk.

    Power cuts find it too, in one story of two hundred."""

    def _turn_log(self):
        self._db.flush(wait=False)
        self._unflushed_bytes = 0


class _TellsBeforeItSyncs(rocks.Rocks):
    """Planted bug: what is promised was not synced."""

    def _tell_durable(self, lengths, sequence):
        later = dict.fromkeys(lengths, 0)
        super()._tell_durable(later, sequence)


def test_the_same_check_catches_a_planted_bug(tmp_path):
    caught = 0
    for seed in range(SEEDS):
        rng = Random(seed)

        def open_store(directory, report):
            return _TellsBeforeItSyncs(directory, TINY_FLOOR_BYTES, report)

        disk = RocksPowerCuts(tmp_path / str(seed), rng, open_store)
        try:
            lives_story(disk.open, disk, rng)
        except (AssertionError, StorageError):
            caught += 1
    assert caught > SEEDS // 10


def test_a_new_log_is_begun_only_when_the_old_one_is_durable(tmp_path):
    """Else a power cut could take the end of the old one and leave the new one's start."""
    assert unsynced_turns(tmp_path / "ours", rocks.Rocks) == 0
    assert unsynced_turns(tmp_path / "planted", _LogsThatTurnUnsynced) > 3


def unsynced_turns(directory, engine):
    """How often a log was begun that nobody had heard a sync before, in some turns."""
    told, turns, unsynced = [], 0, 0
    store = engine(directory, TINY_FLOOR_BYTES, told.append)
    for number in range(60):
        before = len(told)
        store.write(Batch([(b"%04d" % number, b"x" * 100)]))
        if store._unflushed_bytes == 0:
            turns += 1
            unsynced += len(told) == before
    assert turns > 3
    store.close()
    return unsynced


def damaged(directory, offset_from_end):
    """A copy of a store's bytes with one flipped in its last log."""
    log = max((directory / "db").glob("*.log"))
    data = bytearray(log.read_bytes())
    data[len(data) - offset_from_end] ^= 1
    log.write_bytes(data)
    return {path: path.read_bytes() for path in directory.rglob("*") if path.suffix == ".log"}


def left_behind(tmp_path, *, synced):
    """The files of a store that was never closed: 100 batches, all of them synced or none."""
    disk = RocksPowerCuts(tmp_path / "store", Random(1), lambda d, report: rocks.Rocks(d))
    store = disk.open()
    for number in range(100):
        store.write(Batch([(b"%03d" % number, b"x" * 50)]))
    if synced:
        store.sync()
    disk._cut = lambda path, length: None
    disk.power_cut()
    return disk._place(), disk


def test_damage_to_synced_bytes_is_refused_and_nothing_is_changed(tmp_path):
    directory, disk = left_behind(tmp_path, synced=True)
    before = damaged(directory, 1000)
    with pytest.raises(StorageError, match=r"damaged: it can be read up to write 8\d, and 100"):
        disk.open()
    assert {path: path.read_bytes() for path in before} == before
    with pytest.raises(StorageError, match="damaged"):
        disk.open()


def test_the_same_damage_to_bytes_that_nobody_promised_costs_only_them(tmp_path):
    directory, disk = left_behind(tmp_path, synced=False)
    damaged(directory, 1000)
    store = disk.open()
    found = contents(store)
    assert 80 < len(found) < 100
    assert list(found) == [b"%03d" % number for number in range(len(found))]
    store.close()


OPENS = """
import sys
from kvcore.storage.rocks import Rocks
store = Rocks(sys.argv[1])
print(len(list(store.scan(b"", b"~"))))
store.close()
"""


@pytest.mark.parametrize("kind", [5, 6, 7, 8, 11, 131])
def test_a_torn_end_that_looks_like_a_log_used_before_does_not_stop_the_start(tmp_path, kind):
    """RocksDB reads such a record for ever, so the store is opened by a process that can end."""
    directory, _ = left_behind(tmp_path, synced=True)
    log = max((directory / "db").glob("*.log"))
    tail = b"\x01\x02\x03\x04\x20\x00" + bytes([kind]) + b"x" * 90
    with log.open("ab") as file:
        file.write(tail)
    done = subprocess.run(
        [sys.executable, "-c", OPENS, str(directory)], capture_output=True, timeout=30, check=True
    )
    assert done.stdout == b"100\n"
    assert (directory / f"torn-{log.name}").read_bytes() == tail


def test_records_over_many_blocks_are_no_torn_end(tmp_path):
    disk = RocksPowerCuts(tmp_path / "store", Random(1), lambda d, report: rocks.Rocks(d))
    rng = Random(2)
    store = disk.open()
    for number in range(40):
        store.write(Batch([(b"%03d" % number, rng.randbytes(rng.randrange(100_000)))]))
    store.sync()
    disk._cut = lambda path, length: None
    disk.power_cut()
    store = disk.open()
    assert len(contents(store)) == 40
    assert not list(disk._place().glob("torn-*"))
    store.close()


def test_a_promise_that_a_power_cut_garbled_promises_nothing(tmp_path):
    directory, disk = left_behind(tmp_path, synced=True)
    (directory / "promise").write_bytes(b"kvP\n" + bytes(12))
    store = disk.open()
    assert len(contents(store)) == 100
    store.close()


def test_what_an_opened_store_shows_is_durable_without_another_sync(tmp_path):
    for seed in range(10):
        rng = Random(seed)
        disk = RocksPowerCuts(tmp_path / str(seed), rng)
        store = disk.open()
        for _ in range(rng.randrange(120)):
            store.write(random_batch(rng))
        disk.power_cut()
        first = contents(disk.open())
        disk.power_cut()
        again = disk.open()
        assert contents(again) == first
        again.close()


def test_syncs_in_another_thread_lose_nothing_while_writes_and_flushes_go_on(tmp_path):
    store = rocks_store(tmp_path)
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
    store = rocks_store(tmp_path)
    assert contents(store) == model
    store.close()


def test_a_second_store_in_the_same_directory_is_refused_as_by_the_file_engine(tmp_path):
    store = rocks_store(tmp_path)
    with pytest.raises(StorageError, match="in use by another server"):
        rocks_store(tmp_path)
    store.close()
    rocks_store(tmp_path).close()


def test_a_failed_sync_is_final(tmp_path):
    store = rocks_store(tmp_path)
    store.write(Batch([(b"k", b"1")]))

    class Refuses:
        def __getattr__(self, name):
            return getattr(db, name)

        def flush_wal(self, sync):
            raise Exception("IO error: No space left on device")  # noqa: TRY002 - as rocksdict

    db, store._db = store._db, Refuses()
    with pytest.raises(StorageError, match="No space left"):
        store.sync()
    store._db = db
    for again in (store.sync, lambda: store.write(Batch([(b"k", b"2")]))):
        with pytest.raises(StorageError, match="stopped after a failure"):
            again()
    assert store.get(b"k") == b"1"
    store.close()


def test_a_large_range_is_deleted_as_a_range_and_a_small_one_key_by_key(tmp_path):
    store = rocks_store(tmp_path, 10**6)
    many = rocks.POINT_DELETES_COUNT + 1
    store.write(Batch([(b"%05d" % number, b"x") for number in range(3 * many)]))
    store.write(Batch([], [(b"%05d" % many, b"%05d" % (2 * many)), (b"00000", b"00010")]))
    store.write(Batch([(b"00003", b"back")], [(b"", b"00004"), (b"9", b"1")]))
    left = [b"00003", *(b"%05d" % n for n in range(10, many))]
    left += [b"%05d" % n for n in range(2 * many, 3 * many)]
    assert list(contents(store)) == left
    assert store.get(b"00003") == b"back"
    store.close()


def test_reads_of_a_damaged_sorted_file_fail_instead_of_ending_early(tmp_path):
    store = rocks_store(tmp_path)
    store.write(Batch([(b"%05d" % number, b"%05d" % number * 20) for number in range(2000)]))
    store.close()
    table = max((tmp_path / "db").glob("*.sst"), key=lambda path: path.stat().st_size)
    data = bytearray(table.read_bytes())
    data[len(data) // 3] ^= 1
    table.write_bytes(data)
    store = rocks_store(tmp_path)
    with pytest.raises(StorageError, match="Corruption"):
        list(store.scan(*ALL))
    store.close()
