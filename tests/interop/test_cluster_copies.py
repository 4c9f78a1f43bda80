"""Buckets that copy others, and backups, on three real servers, by the official CLI's commands."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.nats_cluster import Cluster, cluster
from tests.support.require import require
from tests.support.wait import eventually

KINDS = ("kvcore", "nats-server")
WITHIN_S = 60.0


@pytest.fixture(scope="module", params=KINDS)
def servers(request) -> Iterator[Cluster]:
    require("go")
    with cluster(request.param) as found:
        yield found


def put(servers: Cluster, bucket: str, key: str, value: str) -> None:
    """Put, and again as long as the servers say that they can't."""

    def tried() -> bool:
        return servers.cli("kv", "put", bucket, key, value, check=False).returncode == 0

    eventually(tried, WITHIN_S, f"{key} is put")


def info(servers: Cluster, stream: str) -> dict:
    def asked() -> dict | None:
        try:
            answer = servers.ask(next(iter(servers.running)), f"STREAM.INFO.{stream}", within=2.0)
        except OSError:
            return None
        return answer if answer and "error" not in answer else None

    return eventually(asked, WITHIN_S, f"{stream} tells how it is")


def holds(servers: Cluster, stream: str, messages: int) -> None:
    found: list[dict] = []

    def are_there() -> bool:
        found[:] = [info(servers, stream)]
        return found[0]["state"]["messages"] >= messages

    eventually(are_there, WITHIN_S, f"{stream} has {messages} messages")
    assert found[0]["state"]["messages"] == messages, found


def led_apart(servers: Cluster, one: str, other: str) -> None:
    """See that two streams have different leaders."""

    def are_apart() -> bool:
        leaders = [info(servers, name)["cluster"].get("leader", "") for name in (one, other)]
        if all(leaders) and leaders[0] != leaders[1]:
            return True
        servers.cli("stream", "cluster", "step-down", other, check=False)
        return False

    eventually(are_apart, WITHIN_S, f"{one} and {other} have two leaders")


def test_a_mirror_and_a_source_copy_through_the_loss_of_their_origins_leader(servers):
    servers.cli("kv", "add", "o", "--replicas", "3", "--history", "64")
    for number in range(10):
        put(servers, "o", f"k{number}", "v")
    servers.cli("kv", "add", "m", "--mirror", "o", "--replicas", "3", "--history", "64")
    servers.cli("kv", "add", "s", "--source", "o", "--replicas", "3", "--history", "64")
    for copy in ("KV_m", "KV_s"):
        led_apart(servers, "KV_o", copy)
        holds(servers, copy, 10)
    gone = info(servers, "KV_o")["cluster"]["leader"]
    servers.kill(gone)
    for number in range(10):
        put(servers, "o", f"k{number}", "w")
    for stream in ("KV_o", "KV_m", "KV_s"):
        holds(servers, stream, 20)
    servers.start(gone)
    assert servers.cli("kv", "get", "s", "k3", "--raw").stdout == "w"
    about = info(servers, "KV_m")["mirror"]
    assert (about["name"], about["lag"]) == ("KV_o", 0)


def test_a_backup_is_restored_onto_three_replicas(servers, tmp_path: Path):
    servers.settled()
    servers.cli("kv", "add", "b", "--replicas", "3", "--history", "3")
    for number in range(12):
        put(servers, "b", f"k{number % 5}", f"v{number}")
    before = info(servers, "KV_b")
    backup(servers, tmp_path / "b")
    servers.cli("kv", "del", "b", "--force")
    servers.cli("stream", "restore", str(tmp_path / "b"))
    after = info(servers, "KV_b")
    assert after["config"]["num_replicas"] == 3
    assert after["state"]["messages"] == before["state"]["messages"]
    assert after["state"]["last_seq"] == before["state"]["last_seq"]
    put(servers, "b", "new", "n")

    def are_current() -> bool:
        replicas = info(servers, "KV_b")["cluster"].get("replicas", [])
        return len(replicas) == 2 and all(each["current"] for each in replicas)

    eventually(are_current, WITHIN_S, "all replicas have what was restored")
    gone = info(servers, "KV_b")["cluster"]["leader"]
    servers.kill(gone)
    put(servers, "b", "newer", "n")
    for number in range(7, 12):
        found = servers.cli("kv", "get", "b", f"k{number % 5}", "--raw")
        assert found.stdout == f"v{number}"
    servers.start(gone)


def backup(servers: Cluster, to: Path) -> None:
    found = servers.cli("stream", "backup", "KV_b", str(to), check=False)
    assert found.returncode == 0, (found.stdout, found.stderr)
    assert json.loads((to / "backup.json").read_text())["config"]["num_replicas"] == 3
