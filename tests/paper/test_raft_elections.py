"""Sections 5.1, 5.2 and 5.4.1 of the Raft paper, and 4.2.3, 9.6 of the thesis: who leads."""

import pytest

from kvcore.raft.messages import AppendEntries, AppendReply, RequestVote, VoteReply
from kvcore.raft.rules import PAPER, Voter, can_grant_vote, election_timeout
from kvcore.raft.state import TRANSITIONS, Role
from tests.support.rafts import MS, Net


@pytest.fixture
def net():
    return Net("abc")


def answer(net, name, message):
    """What a server says to one message."""
    net[name].step(message, net.now)
    net.settle(net.servers[name])
    answers, net.flying = [m for _, m in net.flying], []
    return answers


def test_a_server_is_a_follower_when_it_starts__s5_2(net):
    assert [net[name].role for name in "abc"] == [Role.FOLLOWER] * 3
    net.elect("a")
    net.crash("a")
    net.restart("a")
    assert net["a"].role is Role.FOLLOWER


def test_a_later_term_makes_any_server_a_follower_of_that_term__s5_1(net):
    net.elect("a")
    net.pass_by_leases()
    answer(net, "a", RequestVote("b", 9, 1, 1))
    assert (net["a"].role, net["a"].term) == (Role.FOLLOWER, 9)
    net.stand("c")
    answer(net, "c", AppendEntries("b", 9, 0, 0))
    assert (net["c"].role, net["c"].term, net["c"].leader) == (Role.FOLLOWER, 9, "b")


def test_a_request_of_an_earlier_term_is_refused_with_the_later_one__s5_1(net):
    net.elect("a")
    assert answer(net, "b", RequestVote("c", 1, 9, 9)) == [VoteReply("b", 2, is_granted=False)]
    assert answer(net, "b", AppendEntries("c", 1, 0, 0)) == [
        AppendReply("b", 2, is_taken=False, index=0)
    ]


def test_a_follower_that_hears_nothing_stands_for_election__s5_2(net):
    net.pass_time(601)
    assert len(net.leaders()) == 1
    assert net[net.leaders()[0]].term >= 2


def test_heartbeats_keep_the_others_from_standing__s5_2(net):
    net.elect("a")
    net.pass_time(5000)
    assert net.leaders() == ["a"]
    assert [net[name].term for name in "abc"] == [2, 2, 2]


def test_a_candidate_raises_its_term_votes_for_itself_and_asks_all_others__s5_2(net):
    net["a"].stand(net.now, is_rehearsed=True)
    net.settle(net.servers["a"])
    assert net["a"].role is Role.CANDIDATE
    assert net["a"].state.hard.voted_for == "a"
    assert [(to, m) for to, m in net.flying] == [
        ("b", RequestVote("a", 2, 1, 1)),
        ("c", RequestVote("a", 2, 1, 1)),
    ]


def test_a_majority_of_votes_elects_and_less_does_not__s5_2():
    net = Net("abcde")
    net["a"].stand(net.now, is_rehearsed=True)
    net.settle(net.servers["a"])
    net.deliver_between("a", "b")
    net.deliver_between("b", "a")
    assert net["a"].role is Role.CANDIDATE
    net.deliver_between("a", "c")
    net.deliver_between("c", "a")
    assert net["a"].role is Role.LEADER


def test_a_server_votes_once_in_a_term_first_come_first_served__s5_2(net):
    assert answer(net, "c", RequestVote("a", 2, 1, 1)) == [VoteReply("c", 2, is_granted=True)]
    assert answer(net, "c", RequestVote("b", 2, 1, 1)) == [VoteReply("c", 2, is_granted=False)]
    assert answer(net, "c", RequestVote("a", 2, 1, 1)) == [
        VoteReply("c", 2, is_granted=True)
    ]  # it was lost


def test_a_vote_survives_a_restart__s5_2(net):
    answer(net, "c", RequestVote("a", 2, 1, 1))
    net.crash("c")
    net.restart("c")
    assert answer(net, "c", RequestVote("b", 2, 1, 1)) == [VoteReply("c", 2, is_granted=False)]


def test_no_vote_leaves_before_it_is_durable__s5_2():
    net = Net("abc", auto_sync=False)
    for server in net.servers.values():
        net.sync(server)
    net["c"].step(RequestVote("a", 2, 1, 1), net.now)
    net.settle(net.servers["c"])
    assert net.flying == []
    net.sync(net.servers["c"])
    assert [m for _, m in net.flying] == [VoteReply("c", 2, is_granted=True)]


def test_a_candidate_follows_a_leader_of_its_term_and_ignores_an_older_one__s5_2(net):
    net["a"].stand(net.now, is_rehearsed=True)
    net.settle(net.servers["a"])
    answer(net, "a", AppendEntries("b", 1, 0, 0))
    assert net["a"].role is Role.CANDIDATE
    answer(net, "a", AppendEntries("b", 2, 0, 0))
    assert (net["a"].role, net["a"].leader) == (Role.FOLLOWER, "b")


def test_a_split_vote_ends_in_another_election__s5_2():
    net = Net("abcd")
    for name in "ab":
        net[name].stand(net.now, is_rehearsed=True)
        net.settle(net.servers[name])
    for voter, candidate in (("c", "a"), ("d", "b")):
        net.deliver_between(candidate, voter)
        net.deliver_between(voter, candidate)
    net.run()
    assert net.leaders() == []
    net.pass_time(3000)
    assert len(net.leaders()) == 1


def test_time_outs_are_drawn_at_random_from_an_interval__s5_2():
    assert election_timeout(300, 600, 0.0) == 300
    assert election_timeout(300, 600, 0.5) == 450
    assert election_timeout(300, 600, 0.999) < 600
    deadlines = {Net("abc", seed=seed)["a"].deadline() for seed in range(50)}
    assert len(deadlines) > 40
    assert all(300 * MS <= deadline < 600 * MS for deadline in deadlines)


@pytest.mark.parametrize(
    ("mine", "theirs", "is_granted"),
    [
        ((2, 5), (3, 1), True),  # the later last term wins, whatever the length
        ((3, 1), (2, 5), False),
        ((2, 5), (2, 5), True),
        ((2, 5), (2, 4), False),  # of equal terms the longer log is more up-to-date
        ((2, 4), (2, 5), True),
    ],
)
def test_a_vote_goes_only_to_a_log_at_least_as_up_to_date__s5_4_1(mine, theirs, is_granted):
    me = Voter(term=3, voted_for="", last_index=mine[1], last_term=mine[0])
    request = RequestVote("a", 4, last_index=theirs[1], last_term=theirs[0])
    assert can_grant_vote(me, request) is is_granted


def test_who_lacks_a_committed_entry_is_never_elected__s5_4_1(net):
    net.elect("a")
    net.partition("ab", "c")
    net.propose("a", b"committed")
    net.run()
    net.crash("a")
    net.heal()
    net.pass_by_leases()
    for _ in range(5):
        net["c"].stand(net.now, is_rehearsed=True)
        net.settle(net.servers["c"])
        net.run()
        assert net["c"].role is not Role.LEADER
    net.pass_time(2000)
    assert net.leaders() == ["b"]


def test_every_role_changes_only_as_in_figure_4(net):
    assert set(TRANSITIONS) == set(Role)
    assert TRANSITIONS[Role.LEADER] == (Role.FOLLOWER,)
    assert Role.LEADER not in TRANSITIONS[Role.FOLLOWER]
    net.elect("a")
    with pytest.raises(AssertionError, match="a leader can't become candidate"):
        net["a"]._part.become(Role.CANDIDATE)


def test_a_rehearsal_raises_nobodys_term__thesis_9_6(net):
    net.elect("a")
    net.partition("ab", "c")
    net.pass_time(5000)
    assert net["c"].role is Role.PRE_CANDIDATE
    assert net["c"].term == 2
    net.heal()
    net.pass_time(1000)
    assert net.leaders() == ["a"]
    assert [net[name].term for name in "abc"] == [2, 2, 2]


def test_a_rehearsal_is_refused_by_who_hears_a_leader__thesis_9_6(net):
    net.elect("a")
    request = RequestVote("c", 3, 9, 9, is_pre=True)
    assert answer(net, "b", request) == [VoteReply("b", 2, is_granted=False, is_pre=True)]
    net.pass_by_leases()
    assert answer(net, "b", request) == [VoteReply("b", 3, is_granted=True, is_pre=True)]
    assert net["b"].term == 2


def test_who_hears_a_leader_ignores_candidates_of_any_term__thesis_4_2_3(net):
    net.elect("a")
    for name in "ab":
        assert answer(net, name, RequestVote("c", 99, 9, 9)) == []
        assert net[name].term == 2


def test_a_leader_that_no_majority_answers_steps_down__thesis_6_2(net):
    net.elect("a")
    net.partition("a", "bc")
    net.pass_time(1000)
    assert net["a"].role is Role.FOLLOWER
    assert net["a"].leader == ""


def test_lost_questions_are_asked_again__s5_1(net):
    net.stand("a")
    net.flying = []
    net.tick(50)
    assert {to for to, _ in net.flying} >= {"b", "c"}
    net.run()
    assert net["a"].role is Role.LEADER


def test_a_broken_link_to_the_leader_shortens_the_wait(net):
    net.elect("a")
    net.crash("a")
    for name in "bc":
        net[name].peer_closed("a", net.now)
    net.pass_time(200)
    assert len(net.leaders()) == 1


def test_a_broken_link_deposes_no_leader_that_others_hear(net):
    net.elect("a")
    net["c"].peer_closed("a", net.now)
    net.pass_time(500)
    assert net.leaders() == ["a"]
    assert net["a"].term == 2


def test_a_rule_may_be_replaced_while_the_server_runs(net):
    never = PAPER.__class__(can_grant_vote=lambda me, request: False)
    net["b"].rules = net["c"].rules = never
    net.pass_by_leases()
    net.stand("a")
    net.run()
    assert net["a"].role is not Role.LEADER
    net["b"].rules = PAPER
    net.elect("a")
