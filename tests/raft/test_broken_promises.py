"""Disks that promised and lost (`--sync interval`): who has applied more begins anew.

A, which leads, applies 100 entries and forgets the first of them; a power cut takes the ends of the
others' logs. They elect one of themselves. What it says of its log contradicts what A has
committed, wherever A's log begins: A must notice by the first message that shows it.
"""

import pytest

from kvcore.raft.messages import AppendReply, InstallSnapshot
from kvcore.raft.state import Role
from tests.paper.test_raft_replication import lose
from tests.support.rafts import Net


def broken(base, cut, applied=100):
    """The group after the power cut: `a` is down, its log begins at `base`; `b` leads."""
    net = Net("abc")
    net.elect("a")
    net.propose("a", *(b"%d" % number for number in range(applied - 2)))
    net.pass_time(100)
    assert net.servers["a"].disk.applied == applied
    net.trim("a", keep=applied - base + 1)
    assert net["a"].state.log.base == base
    net.crash("a")
    lose(net, "b", cut)
    lose(net, "c", cut)
    net.elect("b")
    return net


def levelled(net):
    assert net.values("a") == net.values("b") == net.values("c")
    assert net.servers["a"].disk.applied == net["b"].commit
    assert not net["a"].is_recovering
    assert net["b"].role is Role.LEADER
    assert [each.match for each in net["b"].followers] == [net["b"].last_index] * 2


@pytest.mark.parametrize("base", [90, 99])
def test_who_forgot_the_place_where_the_logs_part_begins_anew_at_the_first_message(base):
    net = broken(base, cut=60)
    net.restart("a")
    net.pass_time(100)
    levelled(net)
    assert net["b"].last_index == 61, "nothing had to be written for it"


@pytest.mark.parametrize("off", [-2, -1, 0, 1])
def test_the_leaders_first_entry_near_the_logs_beginning_is_not_taken_for_mine(off):
    net = broken(99, cut=99 + off - 1)
    net.restart("a")
    net.pass_time(100)
    levelled(net)


@pytest.mark.parametrize("grown", [5, 29, 38, 39, 40, 41, 80])
def test_who_comes_back_when_the_leaders_log_has_grown_past_his_begins_anew(grown):
    net = broken(90, cut=60)
    net.propose("b", *(b"other %d" % number for number in range(grown)))
    net.pass_time(100)
    net.restart("a")
    net.pass_time(200)
    levelled(net)


@pytest.mark.parametrize("kept", [1, 3, 20])
@pytest.mark.parametrize("grown", [5, 29, 34, 38, 60])
def test_who_needs_a_snapshot_of_less_than_he_applied_is_sent_it(grown, kept):
    net = broken(90, cut=60)
    net.propose("b", *(b"other %d" % number for number in range(grown)))
    net.pass_time(100)
    for name in "bc":
        net.trim(name, keep=kept)
    net.restart("a")
    net.pass_time(400)
    levelled(net)


def test_a_snapshots_index_below_what_was_applied_doesnt_stand_for_it():
    net = broken(90, cut=60)
    net.propose("b", *(b"other %d" % number for number in range(34)))
    net.pass_time(100)
    net.trim("b", keep=1)
    assert 90 < net["b"].state.log.base < 100
    net.restart("a")
    net.pass_time(400)
    levelled(net)


def test_two_older_terms_at_the_place_of_the_beginning_end_the_search_there():
    """The leader's end, though longer than mine, is of an earlier term than what I committed."""
    net = Net("abc")
    net.elect("a")
    net.propose("a", *(b"%d" % number for number in range(8)))
    net.run()
    net.partition("a", "bc")
    net.propose("a", *(b"stale %d" % number for number in range(30)))  # 11 to 40, term 2
    net.pass_time(50)
    net.crash("a")
    net.heal()
    net.elect("b")
    net.propose("b", *(b"new %d" % number for number in range(9)))
    net.pass_time(100)
    assert net["b"].commit == 20
    net.trim("b", keep=4)
    net.crash("b")
    lose(net, "c", 10)  # and forgets what it heard from b
    net.restart("a")
    net.campaign("a", "c")
    net.run()
    net.restart("b")
    net.pass_time(200)
    assert net.values("a") == net.values("b") == net.values("c")
    assert b"stale 29" in net.values("b")
    assert not net["b"].is_recovering


def snapshot_arrived(*, leader_has):
    """`c` has a snapshot, and the leader hasn't heard of it. `leader_has`: less it can send."""
    net = Net("abc")
    net.elect("a")
    net.partition("ab", "c")
    net.propose("a", *(b"%d" % number for number in range(20)))
    net.run()
    net.trim("a", keep=leader_has)
    net.heal()
    while not (done := [m for _, m in net.flying if getattr(m, "is_installed", False)]):
        if net.flying:
            net.deliver()
        else:
            net.tick(10)
    net.flying = []
    return net, done[0].last_index


def test_a_leader_that_missed_the_news_of_a_snapshot_hears_of_it_with_the_next_heartbeat():
    net, index = snapshot_arrived(leader_has=2)
    sent = []
    for _ in range(20):
        net.tick(10)
        sent += [m for _, m in net.flying if isinstance(m, InstallSnapshot)]
        net.run()
    assert not sent
    assert net["a"].followers[1].match == index
    assert net.values("c") == net.values("a")


def test_a_beginning_that_the_leader_hasnt_is_no_place_where_the_logs_agree():
    net = broken(90, cut=60)
    net.propose("b", *(b"other %d" % number for number in range(50)))
    net.pass_time(100)
    net.trim("b", keep=net["b"].commit - 81)
    assert net["b"].state.log.base == 82
    net.restart("a")
    placeless = set()
    for _ in range(20):
        net.tick(10)
        while net.flying:
            message = net.flying[0][1]
            if isinstance(message, AppendReply) and message.conflict_term and message.is_taken:
                placeless.add((message.index, message.conflict_term))
            if isinstance(message, InstallSnapshot):
                net.flying.pop(0)
            else:
                net.deliver()
            assert net["b"].followers[0].match == 0
    assert placeless == {(90, 2)}
    net.pass_time(700)
    levelled(net)
