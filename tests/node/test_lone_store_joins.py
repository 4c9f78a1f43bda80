"""A server that was on its own comes back with a cluster's settings: its buckets are there."""

import pytest

from kvcore.storage.memory import MemoryStorage
from tests.support.gang import Gang


@pytest.mark.parametrize("storage", ["file", "memory"])
def test_a_lone_servers_buckets_live_on_in_a_cluster_and_grow_to_three_replicas(storage):
    gang = Gang(3, linked=False)
    for name in ("a", "b", "c"):
        gang.stop(name)
    del gang.stores["a"]
    gang.start("a", cluster=None)
    gang.wait(1)
    made = gang.make("b", replicas=1, at="a", storage=storage)
    assert "error" not in made
    conn = gang.client("a")
    for number in range(30):
        assert gang.put(conn, "b", f"k{number}", b"%d" % number)
    before = gang.contents("a", "b")
    gang.stop("a")
    gang.stores["a"]["memory"] = MemoryStorage()
    for name in ("b", "c", "a"):
        gang.start(name)
    for name in gang.names:
        gang.join(name)
    gang.until(gang.meta_leader, 30)
    gang.until(lambda: gang.leader("b"), 30)
    assert gang.contents("a", "b") == before or storage == "memory"
    answer = gang.edit("b", 3, storage=storage)
    assert "error" not in answer, answer
    gang.until(lambda: gang.voters("b") == ["a", "b", "c"], 30)
    gang.until(lambda: gang.is_level("b"))
    assert len({str(gang.contents(name, "b")) for name in gang.names}) == 1
    gang.crash("a")
    gang.until(lambda: gang.leader("b"))
    assert gang.put(gang.client("b"), "b", "new", b"v")
