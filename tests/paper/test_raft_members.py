"""Sections 6 and 7 of the Raft paper, chapters 3.10 and 4 of the thesis: who, and from where."""

import pytest

from kvcore.check.invariants import Invariants
from kvcore.raft.entry import Members
from kvcore.raft.progress import Mode
from kvcore.raft.state import ChangeUnderWay, NotLeader, Role
from tests.support.rafts import Net


@pytest.fixture
def net():
    net = Net("abc", observe=Invariants().observe)
    net.elect("a")
    return net


def change(net, voters, learners=""):
    (leader,) = net.leaders()
    net[leader].change(Members(tuple(voters), tuple(learners)))
    net.settle(net.servers[leader])


def test_one_server_is_added_as_a_learner_and_then_votes__thesis_4_2_1(net):
    net.propose("a", b"1", b"2")
    net.run()
    net.add("d")
    change(net, "abc", "d")
    net.pass_time(200)
    assert net.values("d") == [b"1", b"2"]
    assert net["d"].deadline() is None  # it never stands
    change(net, "abcd")
    net.pass_time(200)
    assert net["d"].members == Members(("a", "b", "c", "d"))
    assert net["d"].deadline() is not None


def test_a_learner_is_not_counted__thesis_4_2_1(net):
    net.add("d")
    change(net, "abc", "d")
    net.pass_time(200)
    net.partition("ad", "b", "c")
    net.propose("a", b"x")
    net.run()
    assert net.values("a") == []


def test_a_server_that_has_not_caught_up_is_not_made_a_voter__thesis_4_2_1(net):
    net.add("d")
    net.partition("abc", "d")
    change(net, "abc", "d")
    net.pass_time(100)
    with pytest.raises(ChangeUnderWay, match="catch up"):
        net["a"].change(Members(("a", "b", "c", "d")))
    with pytest.raises(ChangeUnderWay, match="catch up"):
        net["a"].change(Members(("a", "b", "c", "e"), ("d",)))


def test_one_server_at_a_time__s6(net):
    with pytest.raises(ChangeUnderWay, match="these are 2"):
        net["a"].change(Members(("a",)))
    change(net, "ab")
    with pytest.raises(ChangeUnderWay, match="isn't committed"):
        net["a"].change(Members(("a",)))
    with pytest.raises(NotLeader):
        net["b"].change(Members(("a", "b")))


def test_a_change_waits_for_an_entry_of_the_leaders_term__thesis_4_1():
    net = Net("abc")
    net.campaign("a", "b")
    with pytest.raises(ChangeUnderWay, match="first entry"):
        net["a"].change(Members(("a", "b")))


def test_a_change_is_in_force_as_soon_as_it_is_in_the_log__s6(net):
    net.partition("ac", "b")
    change(net, "ab")
    assert net["a"].members.voters == ("a", "b")
    net.run()
    assert net["a"].commit == 2  # c's answer no longer counts


def test_a_change_that_is_cut_off_takes_its_members_with_it__s6(net):
    net.partition("a", "bc")
    change(net, "ab")
    net.pass_time(1500)
    net.heal()
    net.pass_time(500)
    assert all(net[name].members == Members(("a", "b", "c")) for name in "abc")


def test_a_leader_that_removed_itself_goes_on_until_that_is_committed__s6(net):
    change(net, "bc")
    assert net["a"].role is Role.LEADER
    net.run()
    assert net["a"].role is Role.FOLLOWER
    net.pass_time(1500)
    (leader,) = net.leaders()
    assert leader in "bc"
    net.propose(leader, b"x")
    net.pass_time(200)
    assert net.values("b") == net.values("c") == [b"x"]


def test_a_removed_server_disturbs_nobody__s6(net):
    net.partition("ab", "c")
    change(net, "ab")
    net.run()
    net.heal()
    net.pass_time(5000)
    assert net.leaders() == ["a"]
    assert net["a"].term == 2


def test_members_survive_the_log_and_a_restart__s6(net):
    change(net, "ab")
    net.pass_time(200)
    net.propose("a", *[b"x"] * 5)
    net.pass_time(200)
    net.trim("a")
    net.propose("a", b"y")
    net.pass_time(200)
    assert net["a"].state.members_index < net["a"].state.first
    net.crash("a")
    net.restart("a")
    assert net["a"].members == Members(("a", "b"))


def test_one_server_becomes_three_and_one_again():
    net = Net("a", observe=Invariants().observe)
    net.stand("a")
    net.propose("a", b"1")
    for name, voters in (("b", "ab"), ("c", "abc")):
        net.add(name)
        change(net, voters[:-1], name)
        net.pass_time(200)
        change(net, voters)
        net.pass_time(200)
    assert [net.values(name) for name in "abc"] == [[b"1"]] * 3
    change(net, "ab")
    net.pass_time(200)
    change(net, "a")
    net.pass_time(200)
    net.propose("a", b"2")
    assert net.values("a") == [b"1", b"2"]


def test_a_leader_hands_over_to_one_that_has_its_whole_log__thesis_3_10(net):
    net.propose("a", b"x")
    net["a"].transfer("b", net.now)
    with pytest.raises(NotLeader) as caught:
        net["a"].propose(b"late")
    assert caught.value.hint == "b"
    net.settle(net.servers["a"])
    net.run()
    assert net.leaders() == ["b"]
    assert net["b"].term == 3
    assert net.values("b") == [b"x"]


def test_a_handover_that_fails_is_given_up_after_an_election_time_out__thesis_3_10(net):
    net.partition("ac", "b")
    net["a"].transfer("b", net.now)
    net.pass_time(700)
    assert net.leaders() == ["a"]
    assert net["a"].propose(b"again") == 3


def lagging(net, count=30):
    """c is away while the others go on and trim."""
    net.crash("c")
    for number in range(count):
        net.propose("a", b"%d" % number)
        net.run()
    net.pass_time(200)
    for name in "ab":
        net.trim(name)
    net.restart("c")


def test_a_follower_behind_the_log_is_sent_a_snapshot_in_pieces__s7(net):
    lagging(net)
    seen = set()
    for _ in range(200):
        net.tick(5)
        seen |= {m.offset for _, m in net.flying if type(m).__name__ == "InstallSnapshot"}
        for _ in net.flying[:]:
            net.deliver()
    assert len(seen) > 3
    assert net.values("c") == net.values("a")
    assert net["c"].state.first > 1
    assert not net["c"].is_recovering


def test_the_log_goes_on_behind_a_snapshot__s7(net):
    lagging(net)
    net.pass_time(500)
    net.propose("a", b"more")
    net.pass_time(200)
    assert net.values("c")[-1] == b"more"
    net.elect("c")
    assert net.values("c") == net.values("a")


def test_a_crash_during_a_snapshot_leaves_a_server_that_does_not_vote__s7(net):
    lagging(net)
    while net["c"].state.installing is None:
        net.tick(5)
        if net.flying:
            net.deliver()
    net.crash("c")
    net.restart("c")
    assert net["c"].is_recovering
    net.crash("a")
    net.flying = []
    net.pass_time(5000)
    assert net.leaders() == []  # b alone can't know
    net.restart("a")
    net.pass_time(3000)
    assert len(net.leaders()) == 1
    assert not net["c"].is_recovering
    assert net.values("c") == net.values("b")


def test_a_lost_piece_is_asked_for_again__s7(net):
    lagging(net)
    for _ in range(400):
        net.tick(10)
        net.flying = [f for n, f in enumerate(net.flying) if net.random.random() > 0.3]
        for _ in net.flying[:]:
            net.deliver()
    net.pass_time(2000)
    assert net.values("c") == net.values("a")


def test_an_old_snapshot_takes_nothing_away__s7(net):
    lagging(net)
    kept = []
    for _ in range(300):
        net.tick(5)
        kept += [f for f in net.flying if type(f[1]).__name__ == "InstallSnapshot"]
        for _ in net.flying[:]:
            net.deliver()
    assert kept
    before = net["c"].state.log
    net.flying = kept
    net.run()
    assert net["c"].state.log == before


def test_a_server_in_memory_neither_votes_nor_counts_until_it_has_its_log_again():
    net = Net("abc", memory=True, observe=Invariants().observe)
    net.elect("a")
    net.propose("a", b"x")
    net.run()
    net.crash("c")
    net.restart("c")
    assert net["c"].is_recovering
    assert net["c"].deadline() is None
    net.partition("ac", "b")
    net.flying = []
    net["a"]._part.is_due = True
    net.pass_time(300)
    assert net.values("c") == [b"x"]
    assert not net["c"].is_recovering
    assert next(f for f in net["a"].followers if f.name == "c").mode is Mode.REPLICATE


def test_a_majority_in_memory_that_is_gone_elects_nobody():
    net = Net("abc", memory=True)
    net.elect("a")
    net.propose("a", b"x")
    net.run()
    for name in "ab":
        net.crash(name)
    net.flying = []
    for name in "ab":
        net.restart(name)
    net.pass_time(5000)
    assert net.leaders() == []
