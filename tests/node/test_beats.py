"""Heartbeats of many groups: one frame for all, and each group noticed by itself."""

from collections import Counter

import pytest

from kvcore import limits
from kvcore.node.frames import Beats, ForGroup, Heard, Reader
from kvcore.node.groups import Role
from kvcore.raft.messages import Beat
from tests.support.mesh import Mesh
from tests.support.trio import Trio

STREAMS = [f"s{number}" for number in range(6)]


@pytest.fixture
def trio():
    trio = Trio()
    for stream in STREAMS:
        trio.create(stream)
    trio.wait(1)
    return trio


def said(trio, seconds):
    """All frames that servers say in this time, by kind, and how many turns had one."""
    kinds, turns = Counter(), Counter()

    def look(name, effects):
        if effects.peers:
            turns[name] += 1
        for data in effects.peers.values():
            kinds.update(type(frame) for frame in Reader().feed(data))

    trio.on_turn = look
    trio.wait(seconds)
    trio.on_turn = lambda _name, _effects: None
    return kinds, turns


def test_idle_groups_say_nothing_but_beats_and_hear_nothing_but_that_they_were_taken(trio):
    kinds, _ = said(trio, 1.0)
    assert set(kinds) == {Beats, Heard}
    assert kinds[Beats] == kinds[Heard]


def test_a_server_beats_for_all_its_groups_at_once(trio):
    kinds, _ = said(trio, 1.0)
    leaders = {trio.leader(stream) for stream in STREAMS} | {trio.meta_leader()}
    beats = limits.SECOND_NS // limits.HEARTBEAT_NS
    assert kinds[Beats] <= (beats + 1) * 2 * len(leaders)


def test_nobody_stands_while_beats_are_heard(trio):
    terms = {stream: trio.host("a", stream).group.term for stream in STREAMS}
    trio.wait(5)
    assert {stream: trio.host("a", stream).group.term for stream in STREAMS} == terms


def test_a_server_that_falls_silent_is_replaced_in_every_group_within_an_election(trio):
    gone = trio.leader(STREAMS[0])
    others = [name for name in trio.names if name != gone]
    trio.mute(gone)
    trio.wait(2 * limits.ELECTION_MAX_NS / limits.SECOND_NS)
    for stream in STREAMS:
        roles = [trio.host(name, stream).group.role for name in others]
        assert roles.count(Role.LEADER) == 1, stream


def test_a_leader_that_nobody_answers_steps_down_in_every_group(trio):
    gone = trio.leader(STREAMS[0])
    trio.mute(gone)
    trio.wait(limits.ELECTION_MAX_NS / limits.SECOND_NS + 0.1)
    assert not any(trio.host(gone, stream).group.is_leader for stream in STREAMS)


def test_a_group_with_news_says_it_and_the_others_go_on_beating(trio):
    busy = STREAMS[2]
    conn = trio.client(trio.leader(busy))
    assert trio.put(conn, busy, "k", b"v")["seq"] == 1
    kinds, _ = said(trio, 1.0)
    assert kinds[Beats] > 20
    assert trio.is_level(busy)


def test_the_others_are_beaten_to_when_one_server_is_away(trio):
    away = next(name for name in trio.names if name != trio.meta_leader())
    trio.crash(away)
    trio.wait(2)
    kinds, _ = said(trio, 1.0)
    assert kinds[Beats] > 0
    assert kinds[ForGroup] == 0  # nobody is there to hear it


def test_beats_and_answers_for_a_group_that_is_gone_are_nobodys(trio):
    node = trio.nodes["a"]
    node.peers.on_beats("b", ((999, Beat(1, 1, 1)),))
    node.peers.on_heard("b", ((999, 1, 1),))
    assert node.effects().peers == {}


def test_servers_that_found_a_cluster_elect_without_waiting_for_a_time_out():
    mesh = Mesh("a", "b", "c", jetstream=True)
    mesh.wait(limits.ELECTION_MIN_NS / limits.SECOND_NS / 3)
    assert [name for name, node in mesh.nodes.items() if node.is_leading] == ["a"]
