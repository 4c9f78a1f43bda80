"""`nats stream backup` and `restore`, the official CLI's, between servers."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from tests.support.require import program, require
from tests.support.servers import Server, running


@pytest.fixture(autouse=True)
def has_tools():
    require("go")


def nats(server: Server, *words: str) -> tuple[int, str]:
    done = subprocess.run(
        [program("nats"), "-s", server.url, *words],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def ok(server: Server, *words: str) -> str:
    code, said = nats(server, *words)
    assert code == 0, said
    return said


def make_stream(server: Server) -> None:
    """ORDERS: 400 messages of 1,000 bytes, a gap, and a durable with two open messages."""
    ok(server, "stream", "add", "ORDERS", "--subjects", "orders.*", "--defaults")
    ok(server, "pub", "orders.a", "--count", "400", "-H", "A:b", "{{Count}}" + "x" * 1000)
    ok(server, "stream", "rmm", "ORDERS", "7", "-f")
    ok(server, "consumer", "add", "ORDERS", "c", "--pull", "--defaults", "--ack", "explicit")
    ok(server, "consumer", "next", "ORDERS", "c", "--count", "3", "--ack")
    ok(server, "consumer", "next", "ORDERS", "c", "--count", "2", "--no-ack")


def facts(server: Server, *words: str) -> dict:
    found = json.loads(ok(server, *words, "--json"))
    for name in ("ts", "cluster", "delivered", "ack_floor"):
        part = found.pop(name, None)
        if isinstance(part, dict) and "stream_seq" in part:
            found[name] = {key: part[key] for key in ("consumer_seq", "stream_seq")}
    return found


def test_a_stream_moves_to_another_server_with_its_consumers(tmp_path):
    with running("kvcore") as one, running("kvcore") as other:
        make_stream(one)
        said = ok(one, "stream", "backup", "ORDERS", str(tmp_path / "b"), "--consumers")
        assert re.search(r"Received \d+ KiB compressed data in \d chunks", said), said
        assert 'Restored stream "ORDERS"' in ok(other, "stream", "restore", str(tmp_path / "b"))
        words = ("stream", "info", "ORDERS")
        assert facts(one, *words) == facts(other, *words)
        words = ("consumer", "info", "ORDERS", "c")
        assert facts(one, *words) == facts(other, *words)
        for seq in (1, 6, 8, 400):
            words = ("stream", "get", "ORDERS", str(seq), "--json")
            assert ok(one, *words) == ok(other, *words)
        assert "str seq: 6" in ok(other, "consumer", "next", "ORDERS", "c", "--count", "1")
        code, said = nats(other, "stream", "restore", str(tmp_path / "b"))
        assert (code, "already exist" in said) == (1, True)


def test_an_account_moves_with_its_buckets(tmp_path):
    with running("kvcore") as one, running("kvcore") as other:
        make_stream(one)
        ok(one, "kv", "add", "config", "--history", "3")
        for value in ("1", "2", "3", "4"):
            ok(one, "kv", "put", "config", "a", value)
        ok(one, "kv", "del", "config", "a", "-f")
        ok(one, "account", "backup", str(tmp_path / "all"), "--consumers", "-f")
        ok(other, "account", "restore", str(tmp_path / "all"))
        words = ("kv", "history", "config", "a")
        assert ok(one, *words) == ok(other, *words)
        assert sorted(ok(other, "stream", "ls", "-n", "-a").split()) == ["KV_config", "ORDERS"]


@pytest.mark.parametrize(
    ("source", "target"), [("nats-server", "kvcore"), ("kvcore", "nats-server")]
)
def test_a_foreign_backup_is_refused_and_nothing_is_made(tmp_path, source, target):
    with running(source) as one, running(target) as other:
        make_stream(one)
        ok(one, "stream", "backup", "ORDERS", str(tmp_path / "b"), "--consumers")
        code, said = nats(other, "stream", "restore", str(tmp_path / "b"))
        assert (code, "restore failed" in said) == (1, True), said
        if target == "kvcore":
            assert "was not made by kvcore, but by nats-server" in said
        assert "ORDERS" not in nats(other, "stream", "ls", "-n", "-a")[1]


@pytest.mark.parametrize("damage", ["cut", "flip"])
def test_a_damaged_backup_is_refused_and_nothing_is_made(tmp_path, damage):
    with running("kvcore") as one, running("kvcore") as other:
        make_stream(one)
        ok(one, "stream", "backup", "ORDERS", str(tmp_path / "b"), "--consumers")
        (path,) = Path(tmp_path / "b").glob("*.s2")
        data = bytearray(path.read_bytes())
        if damage == "cut":
            del data[-100:]
        else:
            data[len(data) // 2] ^= 1
        path.write_bytes(data)
        code, said = nats(other, "stream", "restore", str(tmp_path / "b"))
        why = "the backup is cut short" if damage == "cut" else "a checksum is wrong"
        assert (code, why in said) == (1, True), said
        assert "ORDERS" not in nats(other, "stream", "ls", "-n", "-a")[1]
