"""Which engine a stream is on: by its metadata, by the server's flag, and for good."""

import json
from pathlib import Path

import pytest

from kvcore.server import engines
from kvcore.server.engines import OnDemand, durable_engines, open_engines
from kvcore.server.log import Log
from kvcore.server.settings import Settings, SettingsError, read
from kvcore.storage.base import Batch, StorageError
from kvcore.storage.memory import MemoryStorage
from tests.support.driven import Driver
from tests.support.require import require
from tests.support.servers import start
from tests.support.wire import Wire

CONNECT = '{"verbose":false,"headers":true,"no_responders":true}'
ROCKS = {"kvcore.engine": "rocksdb"}


def config(name="S", **more):
    return {"name": name, "subjects": [f"{name}.>"], "storage": "file"} | more


def asked(server, name="S", verb="CREATE", **more):
    with Wire(server.port, CONNECT) as wire:
        return wire.api(f"STREAM.{verb}.{name}", config(name, **more) if verb != "INFO" else None)


def publish(server, subject, payload=b"x"):
    with Wire(server.port, CONNECT) as wire:
        wire.send(b"SUB _I 1\r\nPUB %s _I %d\r\n%s\r\n" % (subject, len(payload), payload))
        while not hasattr(frame := wire.frame(), "payload"):
            assert frame is not None
        return json.loads(frame.payload)["seq"]


def rocks_logs(server):
    return list((server.store / "rocksdb" / "db").glob("*.log"))


def test_metadata_puts_a_stream_into_rocksdb_and_nothing_is_opened_before(tmp_path: Path):
    require("rocksdb")
    server = start("kvcore", tmp_path / "store")
    assert "error" not in asked(server, "A")
    assert not (tmp_path / "store" / "rocksdb").exists()
    answer = asked(server, "B", metadata=ROCKS)
    assert answer["config"]["metadata"]["kvcore.engine"] == "rocksdb"
    assert publish(server, b"B.1") == 1
    assert rocks_logs(server)
    server.process.kill()
    server.process.wait(20)
    server = start("kvcore", tmp_path / "store")
    assert publish(server, b"B.1") == 2
    assert publish(server, b"A.1") == 1
    assert server.stop() == 0


def test_a_stream_stays_where_it_began_whatever_the_server_is_told_later(tmp_path: Path):
    require("rocksdb")
    server = start("kvcore", tmp_path / "store", "--engine", "rocksdb")
    asked(server, "OLD")
    assert publish(server, b"OLD.1") == 1
    assert server.stop() == 0
    server = start("kvcore", tmp_path / "store")
    assert publish(server, b"OLD.1") == 2
    asked(server, "NEW")
    assert publish(server, b"NEW.1") == 1
    assert server.stop() == 0
    server = start("kvcore", tmp_path / "store", "--engine", "rocksdb")
    assert publish(server, b"OLD.1") == 3
    assert publish(server, b"NEW.1") == 2
    assert server.stop() == 0


def test_the_engine_of_a_stream_can_not_be_changed(tmp_path: Path):
    require("rocksdb")
    server = start("kvcore", tmp_path / "store")
    asked(server)
    error = asked(server, verb="UPDATE", metadata=ROCKS)["error"]
    assert error["err_code"] == 10052
    assert error["description"] == "stream configuration update can not change kvcore.engine"
    assert server.stop() == 0


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ({"metadata": {"kvcore.engine": "sqlite"}}, "is file or rocksdb"),
        ({"metadata": {"kvcore.engine": "file"}, "storage": "memory"}, "goes with file storage"),
        ({"metadata": ROCKS}, "kvcore.engine is rocksdb, and this server has none"),
    ],
)
def test_an_engine_that_is_not_there_is_refused_with_10052(more, text):
    """A node that was given no such store: as where the package is missing, or simulated."""
    server = Driver()
    server.client()
    server.sync()
    server.publish("$JS.API.STREAM.CREATE.S", json.dumps(config() | more).encode(), "_I.a")
    server.sync()
    said = server.heard()
    assert b'"err_code":10052' in said
    assert text.encode() in said
    assert not server.node.streams


def quiet():
    return Log("", times=False, debug=False)


def without_rocksdict(monkeypatch):
    monkeypatch.setattr(engines, "find_spec", lambda name: None)


def test_without_the_package_a_server_has_two_engines_and_a_flag_for_the_third_is_refused(
    tmp_path, monkeypatch
):
    without_rocksdict(monkeypatch)
    settings = Settings(store_dir=str(tmp_path / "store"))
    assert durable_engines(settings) == ("file",)
    stores = open_engines(settings, quiet())
    assert list(stores) == ["file", "memory"]
    stores["file"].close()
    wanted = Settings(store_dir=str(tmp_path / "other"), engine="rocksdb")
    with pytest.raises(StorageError, match=r"--engine rocksdb needs the package rocksdict: pip"):
        open_engines(wanted, quiet())


def test_a_server_that_has_streams_in_rocksdb_does_not_start_without_the_package(
    tmp_path, monkeypatch
):
    (tmp_path / "store" / "rocksdb").mkdir(parents=True)
    without_rocksdict(monkeypatch)
    settings = Settings(store_dir=str(tmp_path / "store"))
    with pytest.raises(StorageError, match="has stored streams, needs the package rocksdict"):
        open_engines(settings, quiet())


def test_a_store_on_demand_is_empty_until_its_first_batch(tmp_path):
    require("rocksdb")
    store = OnDemand(tmp_path / "rocksdb", None, at_once=False)
    before = store.view()
    store.sync()
    assert store.get(b"k") is None
    assert list(store.scan(b"", b"\xff")) == []
    store.write(Batch())
    assert not (tmp_path / "rocksdb").exists()
    store.write(Batch([(b"k", b"v")]))
    assert store.get(b"k") == b"v"
    assert before.get(b"k") is None
    store.sync()
    store.close()


def test_settings_that_make_no_sense_together_are_refused():
    with pytest.raises(SettingsError, match="--engine is file or rocksdb, not 'sqlite'"):
        read({"engine": "sqlite"}, "kvcore", {})
    with pytest.raises(SettingsError, match="--record goes with --engine file"):
        read({"engine": "rocksdb", "record": "x"}, "kvcore", {})


def test_a_node_syncs_and_reads_each_store_by_itself():
    """Term, vote, log and messages of a stream in RocksDB are there, and none in the file."""
    stores = {"file": MemoryStorage(), "memory": MemoryStorage(), "rocksdb": MemoryStorage()}
    server = Driver(stores=stores, engines=("file", "rocksdb"))
    server.client()
    server.sync()
    document = json.dumps(config(metadata=ROCKS)).encode()
    server.publish("$JS.API.STREAM.CREATE.S", document, "_I.a")
    server.sync()
    server.publish("S.1", b"x", "_I.b")
    server.sync()
    kinds = {key[:1] for key, _ in stores["rocksdb"].scan(b"", b"\xff")}
    assert kinds == {b"H", b"E", b"S", b"M"}
    gids = {key[1:9] for key, _ in stores["file"].scan(b"A", b"Z")}
    assert gids == {(1).to_bytes(8, "big")}
    again = Driver(stores=stores, engines=("rocksdb", "file"))
    again.client()
    again.sync()
    assert again.node.streams["S"].last_seq == 1
    again.publish("$JS.API.STREAM.DELETE.S", b"", "_I.c")
    again.sync()
    assert list(stores["rocksdb"].scan(b"", b"\xff")) == []
