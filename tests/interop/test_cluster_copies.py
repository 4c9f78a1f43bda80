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


def did(servers: Cluster, *words: str) -> str:
    """Do it, and again as long as the servers say that they can't; what the CLI printed."""

    def tried() -> tuple[str] | None:
        done = servers.cli(*words, check=False)
        return (done.stdout,) if done.returncode == 0 else None

    return eventually(tried, WITHIN_S, " ".join(words))[0]


def put(servers: Cluster, bucket: str, key: str, value: str) -> None:
    """A put that timed out may count all the same, so there may be more than one of it."""
    did(servers, "kv", "put", bucket, key, value)


def info(servers: Cluster, stream: str) -> dict:
    def asked() -> dict | None:
        try:
            answer = servers.ask(next(iter(servers.running)), f"STREAM.INFO.{stream}", within=2.0)
        except OSError:
            return None
        return answer if answer and "error" not in answer else None

    return eventually(asked, WITHIN_S, f"{stream} tells how it is")


def hold(servers: Cluster, streams: tuple[str, ...], least: int) -> None:
    """Wait until all have the same number of messages, which is `least` or a few more."""

    def are_level() -> bool:
        found = [info(servers, stream)["state"]["messages"] for stream in streams]
        return len(set(found)) == 1 and found[0] >= least

    eventually(are_level, WITHIN_S, f"{streams} have {least} messages")


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
    did(servers, "kv", "add", "o", "--replicas", "3", "--history", "64")
    for number in range(10):
        put(servers, "o", f"k{number}", "v")
    did(servers, "kv", "add", "m", "--mirror", "o", "--replicas", "3", "--history", "64")
    did(servers, "kv", "add", "s", "--source", "o", "--replicas", "3", "--history", "64")
    for copy in ("KV_m", "KV_s"):
        led_apart(servers, "KV_o", copy)
        hold(servers, ("KV_o", copy), 10)
    gone = info(servers, "KV_o")["cluster"]["leader"]
    servers.kill(gone)
    for number in range(10):
        put(servers, "o", f"k{number}", "w")
    hold(servers, ("KV_o", "KV_m", "KV_s"), 20)
    servers.start(gone)
    assert did(servers, "kv", "get", "s", "k3", "--raw") == "w"
    about = info(servers, "KV_m")["mirror"]
    assert (about["name"], about["lag"]) == ("KV_o", 0)


def test_a_backup_is_restored_onto_three_replicas(servers, tmp_path: Path):
    servers.settled()
    did(servers, "kv", "add", "b", "--replicas", "3", "--history", "3")
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
        assert did(servers, "kv", "get", "b", f"k{number % 5}", "--raw") == f"v{number}"
    servers.start(gone)


def backup(servers: Cluster, to: Path) -> None:
    found = servers.cli("stream", "backup", "KV_b", str(to), check=False)
    assert found.returncode == 0, (found.stdout, found.stderr)
    assert json.loads((to / "backup.json").read_text())["config"]["num_replicas"] == 3
