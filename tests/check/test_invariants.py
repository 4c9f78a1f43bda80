"""Figure 3's judge: what it says of states that contradict each other, and of planted bugs."""

from dataclasses import replace

import pytest

from kvcore.check.invariants import (
    ELECTION_SAFETY,
    LEADER_APPEND_ONLY,
    LEADER_COMPLETENESS,
    LOG_MATCHING,
    STATE_MACHINE_SAFETY,
    Invariants,
    InvariantViolated,
)
from kvcore.raft.entry import Entry, EntryKind, HardState, Members
from kvcore.raft.log import Log
from kvcore.raft.rules import PAPER
from kvcore.raft.state import Role, State
from tests.support.rafts import Net, figure_8
from tests.support.storm import storm
from tests.support.wrong_rules import commits_any_term, cuts_at_each_message, votes_for_all

ABC = Members(("a", "b", "c"))


def server(name, *terms, term=None, role=Role.FOLLOWER, commit=0, data=b"x"):
    entries = tuple(Entry(index, t, EntryKind.COMMAND, data) for index, t in enumerate(terms, 1))
    hard = HardState(term or max(terms, default=1), "", ABC)
    return State(name, hard, ABC, role, log=Log(1, entries, ABC), commit=commit)


def look(*moments):
    invariants = Invariants()
    for states in moments:
        invariants.observe({state.server: state for state in states})


def refused(name, *moments):
    with pytest.raises(InvariantViolated) as caught:
        look(*moments)
    assert caught.value.name == name
    assert caught.value.evidence


def test_two_leaders_in_one_term_are_seen_even_one_after_the_other():
    one, other = (server(n, 1, term=2, role=Role.LEADER) for n in "ab")
    refused(ELECTION_SAFETY, [one, other])
    refused(ELECTION_SAFETY, [one], [server("a", 1, term=3)], [other])
    look([one], [one._replace(hard=HardState(3))], [server("b", 1, term=4, role=Role.LEADER)])


def test_a_leader_that_changes_its_log_is_seen():
    leader = server("a", 1, 2, role=Role.LEADER)
    refused(LEADER_APPEND_ONLY, [leader], [server("a", 1, term=2, role=Role.LEADER)])
    look([leader], [server("a", 1, 2, 2, role=Role.LEADER)])


def test_logs_that_agree_at_a_place_and_not_before_are_seen():
    refused(LOG_MATCHING, [server("a", 1, 1, 3), server("b", 1, 2, 3)])
    refused(LOG_MATCHING, [server("a", 1, 1), server("b", 1, 1, data=b"y")])
    look([server("a", 1, 1, 3), server("b", 1, 2, 4)])


def test_a_leader_without_a_committed_entry_is_seen():
    committed = server("a", 1, 2, commit=2)
    refused(LEADER_COMPLETENESS, [committed], [server("b", 1, term=3, role=Role.LEADER)])
    look([committed], [server("b", 1, 2, term=3, role=Role.LEADER)])
    look([committed], [server("b", 1, term=1, role=Role.LEADER)])  # of an earlier term


def test_two_entries_committed_at_one_place_are_seen():
    refused(STATE_MACHINE_SAFETY, [server("a", 1, 2, commit=2)], [server("b", 1, 3, commit=2)])
    refused(STATE_MACHINE_SAFETY, [server("a", 1, 2, commit=2), server("b", 1, 3, commit=2)])
    look(
        [server("a", 1, 2, commit=2)], [server("a", 1, 2, commit=0)], [server("b", 1, 2, commit=1)]
    )


@pytest.mark.parametrize(
    "planted",
    [
        {"rules": replace(PAPER, can_grant_vote=votes_for_all)},
        {"rules": replace(PAPER, append_entries=cuts_at_each_message)},
        {"acks_early": True},
    ],
    ids=["double vote", "truncation", "early ack"],
)
def test_a_planted_bug_is_seen_in_some_weather(planted):
    for seed in range(150):
        try:
            storm(seed, 2500, **planted)
        except InvariantViolated:
            return
        except AssertionError:
            continue  # the bug showed itself otherwise: a server stopped, replicas differ
    raise AssertionError("no storm was strong enough")


def test_a_vote_that_isnt_persisted_is_seen():
    net = Net("abc", forgets_votes=True, observe=Invariants().observe)
    duel_of_a_and_c(net)
    with pytest.raises(InvariantViolated, match="Election Safety: a and c both lead term 2"):
        net.run()


def test_a_vote_that_is_persisted_elects_one():
    net = Net("abc", observe=Invariants().observe)
    duel_of_a_and_c(net)
    net.run()
    assert net.leaders() == ["a"]


def duel_of_a_and_c(net):
    """Both stand in term 2, cut off from each other; b votes for a, restarts, and is asked by c."""
    net.partition("ab", "bc")
    for name in "ac":
        net[name].stand(net.now, is_rehearsed=True)
        net.settle(net.servers[name])
    net.deliver_between("a", "b")
    net.deliver_between("b", "a")
    net.crash("b")
    net.restart("b")
    net.flying = [f for f in net.flying if f[1].sender == "c"]


def test_an_entry_of_an_earlier_term_that_is_counted_is_seen():
    rules = replace(PAPER, advance_commit=commits_any_term)
    with pytest.raises(InvariantViolated, match="Leader Completeness"):
        figure_8(Net("abcde", rules=rules, one_at_a_time=True, observe=Invariants().observe))


def test_the_papers_rules_pass_through_figure_8():
    figure_8(Net("abcde", one_at_a_time=True, observe=Invariants().observe))


def test_the_judge_looks_only_at_what_changed():
    invariants, states = Invariants(), {"a": server("a", 1, 2, commit=2)}
    invariants.observe(states)
    entries = dict(invariants._entries)
    invariants._entries.clear()
    invariants.observe(states)
    assert not invariants._entries
    assert entries
