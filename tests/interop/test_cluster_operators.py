"""What operators do on three real servers: look at routes, have leaders step down, watch on.

Waits end with the condition; their bounds only keep a broken run from hanging.
"""

import itertools
import re
import subprocess
import threading
from collections.abc import Iterator

import pytest

from tests.support.nats_cluster import Cluster, cluster
from tests.support.require import program, require
from tests.support.wait import eventually

HANG_S = 15.0


@pytest.fixture(scope="module")
def servers() -> Iterator[Cluster]:
    require("go")
    with cluster("kvcore") as found:
        yield found


def leader_of(servers: Cluster, stream: str) -> str:
    at = next(name for name in servers.running if name not in servers._paused)
    info = servers.ask(at, f"STREAM.INFO.{stream}", within=2.0) or {}
    return info.get("cluster", {}).get("leader", "")


def test_routez_of_each_process_has_a_row_for_each_other(servers):
    for name in servers.names:
        document = servers.report(name, "routez")
        others = sorted(row["remote_name"] for row in document["routes"])
        assert others == [each for each in servers.names if each != name]
        assert (document["server_name"], document["num_routes"]) == (name, 2)


def test_the_meta_leader_steps_down_when_the_cli_says_so(servers):
    before = servers.settled()
    said = servers.cli("server", "cluster", "step-down", user="sys")
    assert "New leader elected" in said.stdout + said.stderr
    eventually(lambda: servers.leader() not in {"", before}, HANG_S)


class Watcher:
    """The CLI's `kv watch`, and the keys that it has shown."""

    def __init__(self, servers: Cluster, at: str, bucket: str) -> None:
        words = [program("nats"), "--server", servers.url(at), "--no-context"]
        self.process = subprocess.Popen(
            [*words, "kv", "watch", bucket],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.keys: list[str] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for line in lines:
                self.keys += re.findall(r"\bk\d+\b", line)

    def end(self) -> None:
        self.process.kill()
        self.process.wait(HANG_S)
        self._reader.join(HANG_S)


@pytest.mark.parametrize("how", ["step-down", "kill"])
def test_the_clis_watcher_sees_every_later_update_once(servers, how):
    bucket = f"w{how[0]}"
    servers.cli("kv", "add", bucket, "--replicas", "3")
    leader = leader_of(servers, f"KV_{bucket}")
    at = next(name for name in servers.names if name != leader)
    watcher = Watcher(servers, at, bucket)
    try:
        servers.cli("kv", "put", bucket, "k0", "v", at=at)
        eventually(lambda: watcher.keys == ["k0"], HANG_S)
        if how == "kill":
            servers.kill(leader)
        else:
            servers.cli("stream", "cluster", "step-down", f"KV_{bucket}", at=at)
        acked, tries = ["k0"], itertools.count(1)

        def put() -> bool:
            key = f"k{next(tries)}"  # another one each time, for a lost answer tells nothing
            done = servers.cli("kv", "put", bucket, key, "v", at=at, check=False)
            if not done.returncode:
                acked.append(key)
            return not done.returncode

        for _ in range(5):
            eventually(put, HANG_S)
        eventually(lambda: acked[-1] in watcher.keys, HANG_S, f"{acked}, of {watcher.keys}")
        assert len(set(watcher.keys)) == len(watcher.keys), "none twice"
        assert [key for key in acked if key not in watcher.keys] == [], "none missed"
    finally:
        watcher.end()
        if how == "kill":
            servers.start(leader)
            servers.settled()
