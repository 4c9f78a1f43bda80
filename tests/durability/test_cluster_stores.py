"""Stores of real servers that join a cluster, or come back to one damaged or empty."""

import json
import re
import shutil
from pathlib import Path

import pytest

from tests.support import servers as one_server
from tests.support.nats_cluster import Cluster, cluster
from tests.support.nats_cluster import make as made
from tests.support.wait import eventually

WITHIN_S = 60.0


def put(servers: Cluster, name: str, key: str, value: bytes) -> int:
    """The revision of a put that was acknowledged; again until it is."""

    def tried() -> int:
        answer = servers.ask(name, f"$KV.b.{key}", value, prefix="", within=2.0) or {}
        return int(answer.get("seq", 0))

    return int(eventually(tried, WITHIN_S, f"{key} is put"))


def bucket(replicas: int) -> dict[str, object]:
    return {
        "name": "KV_b", "subjects": ["$KV.b.>"], "num_replicas": replicas, "allow_direct": True,
        "max_msgs_per_subject": 1, "deny_delete": True, "allow_rollup_hdrs": True,
        "discard": "new",
    }  # fmt: skip


def ok(servers: Cluster, name: str, verb: str, body: object = None) -> dict:
    """The answer to a request, once it is no error."""

    def asked() -> dict | None:
        answer = servers.ask(name, verb, body, within=2.0)
        return answer if answer and "type" in answer and "error" not in answer else None

    return eventually(asked, WITHIN_S, verb)


def are_current(servers: Cluster, name: str, others: int) -> None:
    def all_are() -> bool:
        found = ok(servers, name, "STREAM.INFO.KV_b")["cluster"]
        followers = found.get("replicas", [])
        is_whole = len(followers) == others and all(each["current"] for each in followers)
        return is_whole and bool(found.get("leader"))

    eventually(all_are, WITHIN_S, "all replicas are current")


def lead(servers: Cluster, name: str) -> None:
    def leads() -> bool:
        if ok(servers, name, "STREAM.INFO.KV_b")["cluster"].get("leader") == name:
            return True
        order = {"placement": {"preferred": name}}
        servers.ask(name, "STREAM.LEADER.STEPDOWN.KV_b", order, within=2.0)
        return False

    eventually(leads, WITHIN_S, f"{name} leads")


def flip(path: Path) -> None:
    """One bit in the middle of a file is another."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_a_damaged_store_is_refused_and_moved_away_comes_back_from_the_others():
    with cluster("kvcore") as servers:
        servers.settled()
        ok(servers, "n1", "STREAM.CREATE.KV_b", bucket(3))
        for number in range(300):
            put(servers, "n1", f"k{number}", b"%d" % number)
        are_current(servers, "n1", 2)
        servers.kill("n3")
        store = servers.directory / "n3"
        logs = [path for path in store.rglob("*") if path.is_file()]
        largest = max(logs, key=lambda path: path.stat().st_size)
        flip(largest)
        with pytest.raises(AssertionError) as refused:
            servers.start("n3")
        said = str(refused.value)
        assert str(largest) in said, said
        assert re.search(r"damaged at byte \d+", said)
        assert "move the store directory away" in said
        put(servers, "n1", "more", b"m")
        shutil.move(store, servers.directory / "n3.damaged")
        servers.start("n3")
        are_current(servers, "n1", 2)
        lead(servers, "n3")
        found = ok(servers, "n3", "STREAM.INFO.KV_b")["state"]
        assert (found["messages"], found["last_seq"]) == (301, 301)


def test_a_server_that_was_alone_brings_its_bucket_into_a_cluster(tmp_path: Path):
    servers = made("kvcore", tmp_path, 3)
    plain = re.sub(r"(?s)cluster \{.*\n\}\n", "", servers.configs["n1"])
    assert "routes" not in plain
    servers.running["n1"] = one_server.start(
        "kvcore", tmp_path / "n1", config=plain, name="n1", port=servers.ports["n1"]
    )
    try:
        ok(servers, "n1", "STREAM.CREATE.KV_b", bucket(1))
        for number in range(100):
            put(servers, "n1", f"k{number}", b"%d" % number)
        servers.kill("n1")
        servers.start("n2", "n3", "n1")
        servers.settled()
        put(servers, "n2", "k0", b"again")
        assert ok(servers, "n2", "STREAM.INFO.KV_b")["state"]["messages"] == 100
        ok(servers, "n2", "STREAM.UPDATE.KV_b", bucket(3))
        are_current(servers, "n2", 2)
        servers.kill("n1")
        assert put(servers, "n2", "new", b"n") == 102
        body = {"last_by_subj": "$KV.b.k99"}
        assert json.dumps(ok(servers, "n3", "STREAM.MSG.GET.KV_b", body)["message"]["data"])
    finally:
        servers.end()
