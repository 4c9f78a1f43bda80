"""Power cuts on real processes: a kill, and then what no sync covered goes, at random.

The load and the check are those of the kills. A server tells through a file how much of each
log its last sync covered (`kvcore/server/synced.py`), and the logs are cut at or after that.
"""

import os
from pathlib import Path
from random import Random

import pytest

from kvcore.server.synced import SyncReport, cut_unsynced
from tests.durability.load import LostError, Model
from tests.durability.test_kill import kill_and_check
from tests.support.require import require
from tests.support.servers import Server

CUTS = 6
ENGINES = ("file", "rocksdb")


def cut_and_check(tmp_path: Path, engine: str, *flags: str, cuts: int = CUTS) -> tuple[Model, int]:
    """Load and cut; what the model knows at the end, and how many bytes went in all."""
    if engine == "rocksdb":
        require("rocksdb")
    store, report, rng, lost = tmp_path / "store", tmp_path / "synced", Random(engine), [0]
    fd = os.open(report, os.O_RDWR | os.O_CREAT, 0o600)

    def cut(server: Server) -> None:
        server.process.kill()
        server.process.wait(20)
        lost.append(cut_unsynced(store, report, rng))
        os.truncate(report, 0)

    told = ("--engine", engine, "--synced-fd", str(fd), *flags)
    try:
        model = kill_and_check("kvcore", store, cuts, flags=told, end=cut, pass_fds=(fd,))
    finally:
        os.close(fd)
    return model, sum(lost)


@pytest.mark.parametrize("engine", ENGINES)
def test_power_cuts_in_mid_load_take_no_acked_write(tmp_path: Path, engine: str) -> None:
    model, lost = cut_and_check(tmp_path, engine)
    assert model.acked > CUTS * 1_000
    assert lost > 0, "every byte was synced at each cut, so nothing was tried"


@pytest.mark.parametrize("engine", ENGINES)
def test_with_sync_interval_the_same_cuts_take_acked_writes(tmp_path: Path, engine: str) -> None:
    with pytest.raises(LostError):
        cut_and_check(tmp_path, engine, "--sync", "interval", cuts=3)


def test_a_log_is_cut_between_what_was_reported_and_its_end(tmp_path: Path) -> None:
    logs = {"log.00000003": 50, "rocksdb/db/000012.log": 20, "log.00000004": 0}
    kept = ("base.00000003", "rocksdb/db/000011.sst", "rocksdb/db/LOG", "lock")
    (tmp_path / "store" / "rocksdb" / "db").mkdir(parents=True)
    seen: dict[str, set[int]] = {name: set() for name in logs}
    report = tmp_path / "report"
    fd = os.open(report, os.O_RDWR | os.O_CREAT, 0o600)
    told = SyncReport(fd)
    told.synced("log.00000002", 10**6)
    told.replace("rocksdb/", {"db/000009.log": 10**6})
    told.replace("rocksdb/", {"db/000012.log": 20})
    told.synced("log.00000003", 50)
    os.close(fd)
    for seed in range(300):
        for name in (*logs, *kept):
            (tmp_path / "store" / name).write_bytes(b"x" * 60)
        lost = cut_unsynced(tmp_path / "store", report, Random(seed))
        sizes = {name: (tmp_path / "store" / name).stat().st_size for name in (*logs, *kept)}
        assert lost == sum(60 - size for size in sizes.values())
        assert all(sizes[name] == 60 for name in kept)
        for name in logs:
            seen[name].add(sizes[name])
    for name, durable in logs.items():
        assert (min(seen[name]), max(seen[name])) == (durable, 60)
