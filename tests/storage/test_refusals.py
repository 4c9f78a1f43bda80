"""A store that can't keep its promises says so, once, clearly, and makes no more of them."""

import errno
import os
import stat
import subprocess
import sys
import tempfile
from pathlib import Path
from random import Random

import pytest

from kvcore.sim.disk import SimulatedDisk
from kvcore.storage import files
from kvcore.storage.appendfile import AppendFile
from kvcore.storage.base import Batch, StorageError
from kvcore.storage.files import OsFileSystem
from tests.support.stores import contents

FULL = OSError(errno.ENOSPC, "No space left on device")
BROKEN = OSError(errno.EIO, "Input/output error")


def write_and_sync(store):
    store.write(Batch([(b"lost", b"2")]))
    store.sync()


def test_a_store_in_use_is_refused_in_the_same_process_and_in_another(tmp_path):
    store = AppendFile(OsFileSystem(tmp_path))
    with pytest.raises(StorageError, match="in use by another server"):
        AppendFile(OsFileSystem(tmp_path))
    program = (
        "import sys\nfrom kvcore.storage.appendfile import AppendFile\n"
        "from kvcore.storage.base import StorageError\n"
        "from kvcore.storage.files import OsFileSystem\n"
        "try: AppendFile(OsFileSystem(sys.argv[1]))\n"
        "except StorageError as error: sys.exit(str(error))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "in use by another server" in done.stderr
    store.close()
    AppendFile(OsFileSystem(tmp_path)).close()


def test_a_simulated_store_in_use_is_refused_until_the_power_is_cut():
    disk = SimulatedDisk(Random(1))
    AppendFile(disk)
    with pytest.raises(StorageError, match="in use"):
        AppendFile(disk)
    disk.power_cut()
    AppendFile(disk)


def test_a_directory_is_made_for_its_owner_alone(tmp_path):
    directory = tmp_path / "new" / "store"
    AppendFile(OsFileSystem(directory)).close()
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    for path in directory.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_symbolic_link_is_refused(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(StorageError, match="symbolic link"):
        OsFileSystem(tmp_path / "link")


def test_a_log_that_is_a_symbolic_link_is_not_written_through(tmp_path):
    AppendFile(OsFileSystem(tmp_path / "store")).close()
    log = tmp_path / "store" / "log.00000001"
    log.rename(tmp_path / "elsewhere")
    log.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StorageError):
        AppendFile(OsFileSystem(tmp_path / "store"))


def test_a_file_in_the_place_of_the_directory_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="can't make the store directory"):
        OsFileSystem(tmp_path / "file")


def test_a_directory_that_may_not_be_written_is_refused():
    """Root may write anywhere, so as root the test is done as nobody."""
    with tempfile.TemporaryDirectory() as made:
        directory = Path(made)
        directory.chmod(0o555)
        before = os.geteuid()
        if before == 0:
            os.seteuid(65534)
        try:
            with pytest.raises(StorageError, match="can't write to the store directory"):
                AppendFile(OsFileSystem(directory))
            with pytest.raises(StorageError, match="can't make the store directory"):
                OsFileSystem(directory / "below")
        finally:
            if before == 0:
                os.seteuid(before)
            directory.chmod(0o700)


@pytest.mark.parametrize("call", ["write", "sync"])
@pytest.mark.parametrize("error", [FULL, BROKEN], ids=["ENOSPC", "EIO"])
def test_a_failed_write_or_sync_is_final_and_what_was_synced_is_safe(call, error):
    disk = SimulatedDisk(Random(1))
    store = AppendFile(disk)
    store.write(Batch([(b"safe", b"1")]))
    store.sync()
    disk.fail(call, error)
    with pytest.raises(StorageError, match=error.strerror):
        write_and_sync(store)
    for again in (store.sync, lambda: store.write(Batch([(b"more", b"3")]))):
        with pytest.raises(StorageError, match=f"stopped after a failure.*{error.strerror}"):
            again()
    syncs = disk.syncs
    store.close()
    assert disk.syncs == syncs  # a failed sync is never tried again
    disk.power_cut()
    assert contents(AppendFile(disk)) == {b"safe": b"1"}


def test_a_sync_after_a_failed_one_would_have_lied():
    """Why a failed sync is final: the disk says yes the second time, and has nothing."""
    disk = SimulatedDisk(Random(1))
    file = disk.create("f")
    file.sync()
    disk.sync_directory()
    file.write(b"promised")
    disk.fail("sync", BROKEN)
    with pytest.raises(OSError, match="Input/output"):
        file.sync()
    file.sync()
    assert disk.read("f") == b"promised"
    disk.power_cut()
    assert disk.read("f") == bytes(8)


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS syncs by another call")
@pytest.mark.parametrize(
    ("function", "error"),
    [("write", FULL), ("fdatasync", BROKEN)],
    ids=["ENOSPC on write", "EIO on sync"],
)
def test_the_operating_systems_errors_stop_the_store(tmp_path, monkeypatch, function, error):
    store = AppendFile(OsFileSystem(tmp_path))

    def refuse(*_args):
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(files.os, function, refuse, raising=False)
        with pytest.raises(StorageError, match=error.strerror):
            write_and_sync(store)
    with pytest.raises(StorageError, match="stopped after a failure"):
        store.write(Batch([(b"k", b"v")]))
    store.close()


def test_bytes_of_a_failed_sync_that_a_restart_still_reads_are_written_again():
    """They are in the cache, clean, and not on the platter: a plain sync would skip them."""
    disk = SimulatedDisk(Random(1))
    store = AppendFile(disk)
    store.write(Batch([(b"safe", b"1")]))
    store.sync()
    store.write(Batch([(b"doubtful", b"2")]))
    disk.fail("sync", BROKEN)
    with pytest.raises(StorageError):
        store.sync()
    store.close()  # the process ends; the power stays on
    store = AppendFile(disk)
    shown = contents(store)
    assert shown == {b"safe": b"1", b"doubtful": b"2"}
    disk.power_cut()
    assert contents(AppendFile(disk)) == shown


def test_a_half_written_record_of_a_full_disk_is_dropped_at_the_next_start():
    disk = SimulatedDisk(Random(1))
    store = AppendFile(disk)
    store.write(Batch([(b"safe", b"1")]))
    disk.fail("write", FULL)
    with pytest.raises(StorageError):
        store.write(Batch([(b"half", b"x" * 100)]))
    assert store.get(b"half") is None  # never visible, since it was never written
    store.close()
    store = AppendFile(disk)
    assert contents(store) == {b"safe": b"1"}
    assert store.dropped


def test_a_disk_that_is_full_at_the_start_is_reported_and_the_lock_let_go():
    disk = SimulatedDisk(Random(1))
    disk.fail("create", FULL)
    with pytest.raises(StorageError, match="No space left"):
        AppendFile(disk)
    AppendFile(disk).close()


def test_a_closed_store_is_refused_and_closing_twice_is_allowed(tmp_path):
    store = AppendFile(OsFileSystem(tmp_path))
    store.close()
    store.close()
    with pytest.raises(StorageError, match="closed"):
        store.write(Batch([(b"k", b"v")]))


def test_a_system_that_takes_a_part_of_a_write_is_asked_again(tmp_path, monkeypatch):
    store = AppendFile(OsFileSystem(tmp_path))
    real = os.write
    monkeypatch.setattr(files.os, "write", lambda fd, data: real(fd, data[:10]))
    store.write(Batch([(b"k", b"v" * 100)]))
    monkeypatch.undo()
    store.close()
    store = AppendFile(OsFileSystem(tmp_path))
    assert contents(store) == {b"k": b"v" * 100}
    store.close()
