"""kill -9 in mid-load, twenty times on one store: acked is kept, gone is gone.

What a kill can't take is what the page cache has, so this is a test of the write path and of
recovery; `test_power_cuts.py` takes the cache away as well. Two servers whose writes are cut or
held back show that the check can fail.
"""

import os
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random

import pytest

from tests.durability.load import CONFIG, Load, LostError, Model, settled
from tests.support.require import ROOT, require
from tests.support.servers import Server, start
from tests.support.wire import Wire

OURS = os.environ.get("KVCORE_INTEROP_OURS", "kvcore")
SEED = int(os.environ.get("KVCORE_KILL_SEED", "1"))
KILLS = 20
ACKS = 1_000
EXPIRE_EVERY = 5  # after this many kills wait until all that has a TTL is gone
CONNECT = '{"verbose":false,"headers":true,"no_responders":true}'


def kill_and_check(
    kind: str,
    store: Path,
    kills: int,
    argv: list[str] | None = None,
    *,
    cut_from: int = 0,
    flags: tuple[str, ...] = (),
    end: Callable[[Server], None] = lambda server: server.process.kill(),
    pass_fds: tuple[int, ...] = (),
) -> Model:
    """Load and kill a server `kills` times; raises `LostError` when the store is wrong.

    From the kill number `cut_from` on the server is started with `argv`; after each kill an
    honest one looks at the store. `end` is how a server dies.
    """
    model, random = Model(whole_history=kind == "kvcore"), Random(SEED)
    load = Load(model, random)
    server = start(kind, store, *flags, pass_fds=pass_fds)
    try:
        for number in range(kills):
            if argv is not None and number == cut_from:
                server.kill()
                server = start(kind, store, *flags, argv=argv)
            with Wire(server.port, CONNECT) as wire:
                if number == 0:
                    answer = wire.api(f"STREAM.CREATE.{CONFIG['name']}", CONFIG)
                    assert "error" not in answer, answer
                flying = load.run(wire, ACKS + random.randrange(400), partial(end, server))
            assert flying > 0, "no writes were in flight"
            server.process.wait(20)
            server = start(kind, store, *flags, pass_fds=pass_fds)
            with Wire(server.port, CONNECT) as wire:
                all_expired = number % EXPIRE_EVERY == EXPIRE_EVERY - 1
                found = settled(wire, model, all_expired=all_expired)
                model.check(found, time.monotonic())
    finally:
        server.kill()
    assert model.acked >= kills * ACKS
    assert load.refused > 0, "no compare-and-set was ever refused"
    return model


def test_twenty_kills_lose_no_acked_write_and_bring_nothing_back(tmp_path: Path) -> None:
    if OURS != "kvcore":
        require("go")
    model = kill_and_check(OURS, tmp_path / "store", KILLS)
    assert model.gone, "no value ever expired"


def test_the_same_kills_lose_nothing_of_a_store_in_rocksdb(tmp_path: Path) -> None:
    require("rocksdb")
    kill_and_check("kvcore", tmp_path / "store", KILLS // 2, flags=("--engine", "rocksdb"))
    assert list((tmp_path / "store" / "rocksdb" / "db").glob("*.log"))


@pytest.mark.parametrize("disk", ["cut", "buffered"])
def test_a_server_whose_writes_go_nowhere_fails_the_same_check(tmp_path: Path, disk: str) -> None:
    argv = [sys.executable, str(ROOT / "tests" / "support" / "serve_forgetful.py"), disk]
    with pytest.raises(LostError):
        kill_and_check("kvcore", tmp_path / "store", 2, argv, cut_from=1)
