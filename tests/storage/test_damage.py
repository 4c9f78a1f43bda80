"""A torn end is dropped, damage is reported: nothing that was promised vanishes in silence."""

from random import Random
from zlib import crc32

import pytest

from kvcore.sim.disk import SimulatedDisk
from kvcore.storage.appendfile import AppendFile
from kvcore.storage.base import Batch, StorageError
from kvcore.storage.compaction import TEMPORARY
from kvcore.storage.files import OsFileSystem
from kvcore.storage.records import encode_batch, encode_record
from tests.support.stores import TINY_FLOOR_BYTES, contents

LOG = "log.00000001"


def write_log(directory, values, sync_each=True):
    """A store of one record a value; returns where each record begins, and the end."""
    store = AppendFile(OsFileSystem(directory))
    bounds = [store.file_bytes]
    for number, value in enumerate(values):
        store.write(Batch([(b"%d" % number, value)]))
        bounds.append(store.file_bytes)
        if sync_each:
            store.sync()
    store.close()
    return bounds


def cut(directory, name, size):
    with (directory / name).open("r+b") as file:
        file.truncate(size)


def flip(directory, name, at):
    data = bytearray((directory / name).read_bytes())
    data[at] ^= 0x10
    (directory / name).write_bytes(data)


def test_a_record_torn_at_any_byte_is_dropped_and_the_log_goes_on(tmp_path):
    bounds = write_log(tmp_path, [b"first", b"second", b"third"], sync_each=False)
    whole = (tmp_path / LOG).read_bytes()
    for size in range(bounds[2], bounds[3]):
        (tmp_path / LOG).write_bytes(whole[:size])
        store = AppendFile(OsFileSystem(tmp_path))
        assert contents(store) == {b"0": b"first", b"1": b"second"}
        assert bool(store.dropped) == (size > bounds[2])
        store.write(Batch([(b"2", b"again")]))
        store.close()
        store = AppendFile(OsFileSystem(tmp_path))
        assert contents(store)[b"2"] == b"again"
        assert store.dropped == ""
        store.close()


def test_what_was_dropped_is_said_with_file_and_offset(tmp_path):
    bounds = write_log(tmp_path, [b"first", b"second"], sync_each=False)
    cut(tmp_path, LOG, bounds[2] - 1)
    store = AppendFile(OsFileSystem(tmp_path))
    store.close()
    assert str(tmp_path / LOG) in store.dropped
    assert f"byte {bounds[1]}" in store.dropped


def test_a_flipped_bit_anywhere_in_what_was_synced_is_an_error_naming_file_and_offset(tmp_path):
    write_log(tmp_path, [b"first", b"second", b"third"])
    whole = (tmp_path / LOG).read_bytes()
    store = AppendFile(OsFileSystem(tmp_path))
    synced = store._synced
    store.close()
    starts = [at for at in range(len(whole)) if whole[at : at + 4] == b"kvR\n"]
    promised = starts[-1]  # the last marker was itself never synced
    assert promised < synced
    for at in range(promised):
        flip(tmp_path, LOG, at)
        with pytest.raises(StorageError, match="damaged at byte") as caught:
            AppendFile(OsFileSystem(tmp_path))
        bad = max([0, *[start for start in starts if start <= at]])
        assert f"{tmp_path / LOG} is damaged at byte {bad}:" in str(caught.value)
        flip(tmp_path, LOG, at)
        assert (tmp_path / LOG).read_bytes() == whole  # a refused store is left as it was


def test_a_whole_record_behind_bytes_that_were_never_synced_promises_nothing():
    """Pages reach the platter in any order: a hole before a whole record is no damage."""
    disk = SimulatedDisk(Random(1))
    store = AppendFile(disk)
    store.write(Batch([(b"a", b"1")]))
    store.sync()
    hole = store.file_bytes + 8
    store.write(Batch([(b"b", b"2")]))
    store.write(Batch([(b"c", b"3")]))
    disk.close()  # the process dies, the power goes, and the middle page is lost
    disk.damage(LOG, hole)
    store = AppendFile(disk)
    assert contents(store) == {b"a": b"1"}
    assert store.dropped


def test_a_value_that_looks_like_a_record_is_not_taken_for_one(tmp_path):
    """Else a client could make a torn end look like damage, and the server refuse to start."""
    fake = encode_record(encode_batch(Batch()), 9, 1 << 40, 0)
    bounds = write_log(tmp_path, [b"first", fake * 3], sync_each=False)
    cut(tmp_path, LOG, bounds[2] - 1)
    flip(tmp_path, LOG, bounds[1])  # the record's own length can't be trusted either
    store = AppendFile(OsFileSystem(tmp_path))
    assert contents(store) == {b"0": b"first"}
    store.close()


def test_a_store_of_another_version_is_refused_naming_both(tmp_path):
    write_log(tmp_path, [b"first"])
    data = bytearray((tmp_path / LOG).read_bytes())
    data[6:8] = (7).to_bytes(2)
    data[24:28] = crc32(data[:24]).to_bytes(4)
    (tmp_path / LOG).write_bytes(data)
    with pytest.raises(StorageError, match=r"format version 7, and this kvcore reads version 1"):
        AppendFile(OsFileSystem(tmp_path))
    assert (tmp_path / LOG).read_bytes() == bytes(data)


@pytest.fixture
def compacted(tmp_path):
    """A store with a base and two logs; its file names."""
    store = AppendFile(OsFileSystem(tmp_path), TINY_FLOOR_BYTES)
    for number in range(400):
        store.write(Batch([(b"%02d" % (number % 20), b"x" * 50)]))
        store.sync()
        if store._compaction is not None and store.generation > 2:
            break
    names = sorted(path.name for path in tmp_path.iterdir())
    store._fs.close()
    bases = [n for n in names if n.startswith("base") and n != TEMPORARY]
    logs = [n for n in names if n.startswith("log")]
    assert len(bases) == 1
    assert len(logs) == 2
    return tmp_path, bases[0], logs


def test_every_bit_of_a_base_is_promised(compacted):
    directory, base, _ = compacted
    size = (directory / base).stat().st_size
    for at in range(0, size, 7):
        flip(directory, base, at)
        with pytest.raises(StorageError, match="damaged"):
            AppendFile(OsFileSystem(directory))
        flip(directory, base, at)
    for shorter in (size - 1, size - 20, 10, 0):
        whole = (directory / base).read_bytes()
        cut(directory, base, shorter)
        with pytest.raises(StorageError, match="damaged"):
            AppendFile(OsFileSystem(directory))
        (directory / base).write_bytes(whole)


def test_a_base_that_ends_between_two_records_is_not_whole(compacted):
    directory, base, _ = compacted
    whole = (directory / base).read_bytes()
    cut(directory, base, whole.rindex(b"kvR\n"))
    with pytest.raises(StorageError, match="ends too early"):
        AppendFile(OsFileSystem(directory))


def test_a_log_that_another_follows_may_not_lose_its_end(compacted):
    directory, _, logs = compacted
    size = (directory / logs[0]).stat().st_size
    cut(directory, logs[0], size - 1)
    with pytest.raises(StorageError, match=f"{logs[0]} is damaged at byte"):
        AppendFile(OsFileSystem(directory))


def test_a_missing_log_is_named(compacted):
    directory, base, logs = compacted
    (directory / logs[0]).unlink()
    with pytest.raises(StorageError, match=f"{logs[0]} is missing"):
        AppendFile(OsFileSystem(directory))
    (directory / base).unlink()
    with pytest.raises(StorageError, match=r"log\.00000001 is missing"):
        AppendFile(OsFileSystem(directory))


def test_a_file_under_another_files_name_is_refused(compacted):
    directory, _, logs = compacted
    (directory / logs[1]).write_bytes((directory / logs[0]).read_bytes())
    with pytest.raises(StorageError, match="damaged at byte 0: it was written as number"):
        AppendFile(OsFileSystem(directory))
