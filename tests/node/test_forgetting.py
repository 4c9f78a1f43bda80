"""A bucket in memory whose servers restart: one at a time costs nothing, a majority everything."""

import pytest

from kvcore.raft.entry import CodecError
from tests.support.gang import Gang

EVENT = "$JS.EVENT.ADVISORY.STREAM.QUORUM_LOST.KV_m"


def gang_with_memory(size=3, seed=1):
    gang = Gang(size, seed=seed)
    gang.make("m", size, storage="memory")
    gang.until(lambda: gang.leader("m"))
    conn = gang.client("a")
    assert gang.put(conn, "m", "k", b"v") == {"stream": "KV_m", "seq": 1}
    gang.leave(conn)
    gang.until(lambda: gang.is_level("m"))
    return gang


def begun_anew(gang):
    return [record for record in gang.records if record.kind == "stream-begun-anew"]


def value(gang, at="a"):
    conn = gang.client(at)
    found = gang.get(conn, "m", "k")
    gang.leave(conn)
    return found


@pytest.mark.parametrize("seed", range(5))
def test_one_restart_at_a_time_loses_nothing_however_often(seed):
    gang = gang_with_memory(seed=seed)
    for name in (*gang.names, *gang.names):
        gang.crash(name)
        gang.wait(2.5)
        gang.restart(name)
        gang.until(lambda: len(gang.hosts("m")) == 3 and gang.leader("m") and gang.is_level("m"))
        gang.wait(0.2)
    assert value(gang).endswith(b"v")
    assert begun_anew(gang) == []


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("size", [3, 5])
def test_when_a_majority_restarted_the_bucket_begins_again_empty_and_says_so(size, seed):
    gang = gang_with_memory(size, seed)
    before = gang.host("a", "m").group.gid
    leader = gang.leader("m")
    gone = [leader, *(name for name in gang.names if name != leader)][: size // 2 + 1]
    for name in gone:
        gang.crash(name)
    listener = gang.client(next(name for name in gang.names if name not in gone))
    gang.say(listener, f"SUB {EVENT} 1\r\n".encode())
    for name in gone:
        gang.restart(name)
    gang.until(lambda: gang.leader("m"), seconds=15)
    gang.until(lambda: len(gang.hosts("m")) == size and gang.is_level("m"))
    assert gang.host("a", "m").group.gid > before
    assert b" 404 " in value(gang)
    told = begun_anew(gang)
    assert sorted({record.server for record in told}) == list(gang.names)
    assert {record.fields["stream"] for record in told} == {"KV_m"}
    heard = gang.heard(listener)
    assert b"io.nats.jetstream.advisory.v1.stream_quorum_lost" in heard
    assert heard.count(b'"stream":"KV_m"') == 1
    conn = gang.client("a")
    assert gang.put(conn, "m", "k", b"again")["seq"] == 1
    gang.wait(5)
    assert value(gang).endswith(b"again")


def test_all_restarted_and_one_never_came_back():
    gang = gang_with_memory()
    leader = gang.leader("m")
    for name in gang.names:
        gang.crash(name)
    for name in gang.names:
        if name != leader:
            gang.restart(name)
    gang.until(lambda: gang.leader("m"), seconds=15)
    gang.restart(leader)
    gang.until(lambda: len(gang.hosts("m")) == 3 and gang.is_level("m"))
    assert len({host.group.gid for host in gang.hosts("m").values()}) == 1


def test_a_leader_that_is_left_gives_everything_to_those_who_forgot():
    gang = gang_with_memory()
    leader = gang.leader("m")
    others = [name for name in gang.names if name != leader]
    for name in others:
        gang.crash(name)
        gang.restart(name)
    gang.until(lambda: len(gang.hosts("m")) == 3 and gang.is_level("m"))
    gang.wait(5)
    assert begun_anew(gang) == []
    assert value(gang).endswith(b"v")


def test_buckets_on_disk_are_never_begun_anew():
    gang = Gang(3)
    gang.make("b")
    for name in gang.names:
        gang.crash(name)
    for name in gang.names:
        gang.restart(name)
    gang.wait(8)
    assert gang.leader("b")
    assert begun_anew(gang) == []


def test_who_forgot_and_has_a_leader_again_stands_in_nobodys_way():
    """What a server told ends with its link, and when it is led again."""
    gang = gang_with_memory()
    forgetting = gang.nodes[gang.meta_leader()]._cluster._forgetting
    gid = gang.host("a", "m").group.gid
    peer = next(name for name in gang.names if name != gang.meta_leader())
    note = {"leaderless": True, "forgot": True}
    assert forgetting.on_note(peer, gid, note)
    assert forgetting._told == {gid: {peer: True}}
    assert forgetting.on_note(peer, gid, {"leaderless": False, "forgot": False})
    assert forgetting._told == {gid: {}}
    forgetting.on_note(peer, gid, note)
    forgetting.on_gone(peer)
    assert forgetting._told == {gid: {}}


def test_while_one_that_is_linked_has_not_said_that_nobody_leads_nothing_is_given_up():
    gang = gang_with_memory()
    meta = gang.meta_leader()
    forgetting = gang.nodes[meta]._cluster._forgetting
    gid = gang.host("a", "m").group.gid
    for peer in gang.names:
        if peer != meta:
            forgetting.on_note(peer, gid, {"leaderless": True, "forgot": True})
    gang.wait(1)
    assert begun_anew(gang) == []
    assert gang.host(meta, "m").group.gid == gid


@pytest.mark.parametrize(
    "fields",
    [{"leaderless": 1, "forgot": True}, {"leaderless": True}, {"leaderless": True, "forgot": "x"}],
)
def test_a_note_that_is_no_yes_or_no_is_refused(fields):
    gang = Gang(3)
    forgetting = gang.nodes["a"]._cluster._forgetting
    with pytest.raises(CodecError):
        forgetting.on_note("b", 7, fields)
