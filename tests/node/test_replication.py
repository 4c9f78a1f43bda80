"""A stream on three servers: elected, replicated, failed over, restarted."""

import pytest

from kvcore import limits
from kvcore.node.groups import Role
from tests.support.trio import Trio

ENGINES = ["file", "memory"]


@pytest.fixture(params=ENGINES)
def trio(request):
    trio = Trio()
    trio.create("b", storage=request.param)
    return trio


def test_a_new_stream_has_one_leader_which_every_replica_knows(trio):
    leader = trio.leader("b")
    trio.wait(0.2)
    groups = {name: host.group for name, host in trio.hosts("b").items()}
    assert {group.leader for group in groups.values()} == {leader}
    assert [group.role for group in groups.values()].count(Role.LEADER) == 1
    assert {group.members.voters for group in groups.values()} == {("a", "b", "c")}


def test_a_put_at_any_server_is_acknowledged_once_and_stands_on_all(trio):
    for number, name in enumerate(trio.names, 1):
        conn = trio.client(name)
        assert trio.put(conn, "b", f"k{number}", b"v") == {"stream": "KV_b", "seq": number}
        assert trio.heard(conn) == b""
    trio.wait(0.2)
    first, *others = (trio.contents(name, "b") for name in trio.names)
    assert len(first) == 3
    assert all(other == first for other in others)


def test_no_put_is_acknowledged_without_a_majority_and_reads_wait(trio):
    leader = trio.leader("b")
    conn = trio.client(leader)
    trio.put(conn, "b", "k", b"old")
    for name in trio.names:
        if name != leader:
            trio.crash(name)
    assert trio.put(conn, "b", "k", b"new") is None
    assert not trio.host(leader, "b").is_leading
    assert b"503" in trio.get(conn, "b", "k")


def test_another_server_leads_when_the_leader_is_gone_and_has_all_that_was_acknowledged(trio):
    leader, name = trio.leader("b"), trio.follower("b")
    conn = trio.client(name)
    for number in range(20):
        assert trio.put(conn, "b", f"k{number}", b"v")
    trio.crash(leader)
    trio.until(lambda: trio.leader("b"))
    assert trio.leader("b") != leader
    assert trio.put(conn, "b", "more", b"v")["seq"] == 21
    assert trio.get(conn, "b", "k19").endswith(b"v")


def test_who_was_away_catches_up_from_the_log(trio):
    leader, away = trio.leader("b"), trio.follower("b")
    conn = trio.client(leader)
    trio.put(conn, "b", "k", b"1")
    trio.isolate(away)
    for number in range(30):
        assert trio.put(conn, "b", f"k{number}", b"v")
    trio.join(away)
    trio.until(lambda: trio.is_level("b"))
    assert trio.contents(away, "b") == trio.contents(trio.leader("b"), "b")


@pytest.mark.parametrize("engine", ENGINES)
def test_servers_restart_one_after_the_other_and_nothing_acknowledged_is_lost(engine):
    trio = Trio()
    trio.create("b", storage=engine)
    for number, name in enumerate(trio.names):
        other = next(each for each in trio.names if each != name)
        conn = trio.client(other)
        trio.until(lambda: trio.leader("b"))
        assert trio.put(conn, "b", f"k{number}", b"v")
        trio.crash(name)
        trio.until(lambda: trio.leader("b"))
        assert trio.put(conn, "b", f"away{number}", b"v")
        trio.restart(name)
        trio.until(lambda: trio.is_level("b"))
        trio.wait(0.2)
        assert not trio.host(name, "b").group.raft.is_recovering
    contents = trio.contents("a", "b")
    assert len(contents) == 6
    assert contents == trio.contents("b", "b") == trio.contents("c", "b")


def test_all_servers_restart_at_once_and_a_file_stream_has_everything():
    trio = Trio()
    trio.create("b")
    conn = trio.client("a")
    for number in range(10):
        assert trio.put(conn, "b", f"k{number}", b"v")
    before = trio.contents(trio.leader("b"), "b")
    for name in trio.names:
        trio.crash(name)
    for name in trio.names:
        trio.restart(name)
    trio.until(lambda: trio.leader("b"))
    conn = trio.client("b")
    assert trio.put(conn, "b", "more", b"v")["seq"] == 11
    trio.until(lambda: trio.is_level("b"))
    assert trio.contents("a", "b")[:10] == before
    assert trio.contents("a", "b") == trio.contents("c", "b")


# -- reads


def test_a_leader_that_was_cut_off_does_not_answer_a_read_with_what_may_be_old(trio):
    leader = trio.leader("b")
    conn = trio.client(leader)
    trio.put(conn, "b", "k", b"old")
    trio.mute(leader)
    assert trio.host(leader, "b").is_leading
    before = trio.now
    assert trio.ask(conn, "$JS.API.DIRECT.GET.KV_b.$KV.b.k", seconds=0.2) is None
    assert trio.ask(conn, "$JS.API.STREAM.MSG.GET.KV_b", b'{"seq":1}', seconds=0.05) is None
    assert trio.now - before < 300_000_000


def test_reads_of_one_turn_share_a_round(trio):
    leader = trio.leader("b")
    conn = trio.client(leader)
    trio.put(conn, "b", "k", b"v")
    rounds = trio.host(leader, "b").group.raft.state.round
    get = b"PUB $JS.API.DIRECT.GET.KV_b.$KV.b.k _I.one 0\r\n\r\n"
    trio.say(conn, b"SUB _I.one 77\r\n" + get * 50)
    assert trio.heard(conn).count(b"Nats-Sequence: 1") == 50
    assert trio.host(leader, "b").group.raft.state.round == rounds + 1


def test_a_bucket_may_choose_that_any_replica_answers_even_one_that_is_cut_off():
    trio = Trio()
    trio.create("b", metadata={"kvcore.reads": "any"})
    conn = trio.client(trio.leader("b"))
    trio.put(conn, "b", "k", b"old")
    trio.wait(0.2)
    for name in trio.names:
        assert trio.get(trio.client(name), "b", "k").endswith(b"old")
    alone = trio.follower("b")
    trio.isolate(alone)
    assert trio.put(conn, "b", "k", b"new")
    assert trio.get(trio.client(alone), "b", "k").endswith(b"old")


def test_any_replica_means_that_one_of_them_answers():
    trio = Trio()
    trio.create("b", metadata={"kvcore.reads": "any"})
    conn = trio.client("a")
    trio.put(conn, "b", "k", b"v")
    trio.wait(0.2)
    get = b"PUB $JS.API.DIRECT.GET.KV_b.$KV.b.k _I.one 0\r\n\r\n"
    trio.say(conn, b"SUB _I.one 77\r\n" + get * 20)
    assert trio.heard(conn).count(b"Nats-Sequence: 1") == 20


def test_a_new_streams_first_server_leads_without_waiting_for_a_time_out():
    trio = Trio()
    conn = trio.client("a")
    before = trio.now
    body = b'{"name":"KV_n","subjects":["$KV.n.>"],"num_replicas":3}'
    trio.send(conn, "$JS.API.STREAM.CREATE.KV_n", body)
    assert trio.leader("n")
    assert trio.now - before < 50_000_000


# -- snapshots


def small_logs(monkeypatch, count=20):
    monkeypatch.setattr(limits, "LOG_KEPT_COUNT", count)
    monkeypatch.setattr(limits, "INSTALL_CHUNK_BYTES", 500)


def test_who_was_away_for_long_is_sent_the_stream_instead_of_the_log(trio, monkeypatch):
    small_logs(monkeypatch)
    leader, away = trio.leader("b"), trio.follower("b")
    conn = trio.client(leader)
    for number in range(5):
        trio.put(conn, "b", f"old{number}", b"v")
    trio.isolate(away)
    trio.wait(1)
    for number in range(100):
        assert trio.put(conn, "b", f"k{number}", b"value" * 5)
    assert trio.host(leader, "b").group.raft.state.first > 50
    trio.join(away)
    trio.until(lambda: trio.is_level("b"))
    assert "snapshot-installed" in {r.kind for r in trio.records if r.server == away}
    assert trio.contents(away, "b") == trio.contents(leader, "b")
    trio.wait(0.2)
    assert not trio.host(away, "b").group.raft.is_recovering
    trio.crash(leader)
    trio.until(lambda: trio.leader("b"))
    assert trio.put(trio.client(trio.leader("b")), "b", "more", b"v")["seq"] == 106


@pytest.mark.parametrize("engine", ENGINES)
def test_who_dies_while_a_snapshot_comes_in_begins_again_and_promises_nothing(engine, monkeypatch):
    small_logs(monkeypatch)
    trio = Trio()
    trio.create("b", storage=engine)
    leader, away = trio.leader("b"), trio.follower("b")
    conn = trio.client(leader)
    trio.isolate(away)
    trio.wait(1)
    for number in range(100):
        assert trio.put(conn, "b", f"k{number}", b"value" * 5)
    pieces = 0

    def count(name, effects):
        nonlocal pieces
        writes = [key for batch in effects.batches.values() for key, _ in batch.writes]
        pieces += name == away and any(key[:1] == b"M" for key in writes)

    trio.on_turn = count
    trio.join(away)
    while pieces < 3:
        assert trio._step() or trio.wait(0.01) is None
    trio.crash(away)
    trio.restart(away, linked=False)
    group = trio.host(away, "b").group
    assert group.raft.is_recovering
    assert group.applied == 0
    assert trio.contents(away, "b") == []
    trio.join(away)
    trio.until(lambda: trio.is_level("b") and not trio.host(away, "b").group.raft.is_recovering)
    assert trio.contents(away, "b") == trio.contents(leader, "b")


def test_a_recovering_replica_does_not_help_to_elect_a_leader_that_lacks_what_was_acknowledged():
    trio = Trio()
    trio.create("b", storage="memory")
    leader, restarted = trio.leader("b"), trio.follower("b")
    behind = next(name for name in trio.names if name not in (leader, restarted))
    trio.isolate(behind)
    assert trio.put(trio.client(leader), "b", "k", b"v")  # the leader has it, and who forgets it
    trio.crash(leader)
    trio.crash(restarted)
    trio.restart(restarted)
    trio.wait(5)
    assert not trio.leader("b")
    assert trio.host(restarted, "b").group.raft.is_recovering


def test_who_had_a_tail_that_was_cut_off_answers_what_takes_its_place(trio):
    """Its log was long when its process began; what stands there now came later."""
    trio.create("b")
    old = trio.leader("b")
    conn = trio.client(old)
    trio.mute(old)
    for number in range(20):
        trio.send(conn, f"$KV.b.lost{number}", b"v")
    trio.crash(old)
    trio.muted = ()
    trio.until(lambda: trio.leader("b"))
    trio.restart(old)
    trio.until(lambda: trio.is_level("b"))
    host = trio.host(trio.leader("b"), "b")
    host.group.transfer(old)
    trio.nodes[trio.leader("b")]._replicas.touch(host)
    trio.until(lambda: trio.leader("b") == old)
    conn = trio.client(old)
    assert trio.put(conn, "b", "k", b"v")["seq"] == 1
