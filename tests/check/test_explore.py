"""The explorer: the paper's rules survive it, each wrong rule is convicted with a short story."""

from dataclasses import replace

import pytest

from kvcore.check.explore import FIGURE_8, Bounds, Host, explore
from kvcore.check.invariants import (
    ELECTION_SAFETY,
    LEADER_COMPLETENESS,
    STATE_MACHINE_SAFETY,
)
from kvcore.raft.rules import PAPER
from tests.support.wrong_rules import (
    commits_any_term,
    commits_what_the_leader_has,
    commits_with_one_less_than_a_majority,
    cuts_at_each_message,
    takes_without_looking_before,
    votes_by_length,
    votes_for_all,
)


def test_the_papers_rules_survive_ten_thousand_states():
    found = explore(bounds=Bounds(states=10_000))
    assert found.finding is None
    assert found.states >= 10_000


def test_a_small_search_ends_and_says_so():
    found = explore(bounds=Bounds(terms=2, proposals=1, restarts=0))
    assert found.is_complete
    assert found.finding is None
    assert 100 < found.states < 20_000


def test_the_papers_rules_survive_late_disks_restarts_and_doubled_messages():
    bounds = Bounds(doubles=1, states=10_000)
    assert explore(bounds=bounds, host=Host(late_syncs=True)).finding is None
    assert explore(bounds=bounds, host=Host(is_prompt=False)).finding is None


def test_the_papers_rules_survive_figure_8():
    bounds = Bounds(terms=5, proposals=0, restarts=0, states=20_000)
    assert explore(start=FIGURE_8, bounds=bounds).finding is None


def test_five_servers_can_be_searched():
    assert explore(servers=5, bounds=Bounds(states=3000)).finding is None


@pytest.mark.parametrize(
    ("rule", "name", "options"),
    [
        ({"can_grant_vote": votes_for_all}, ELECTION_SAFETY, {}),
        (
            {"can_grant_vote": votes_by_length},
            LEADER_COMPLETENESS,
            {"bounds": Bounds(proposals=0, restarts=0, states=40_000)},
        ),
        (
            {"advance_commit": commits_any_term},
            LEADER_COMPLETENESS,
            {"start": FIGURE_8, "bounds": Bounds(terms=5, proposals=0, restarts=0)},
        ),
        ({"advance_commit": commits_what_the_leader_has}, LEADER_COMPLETENESS, {}),
        ({"advance_commit": commits_with_one_less_than_a_majority}, LEADER_COMPLETENESS, {}),
        (
            {"append_entries": cuts_at_each_message},
            LEADER_COMPLETENESS,
            {"start": ("stand a", "a>b"), "bounds": Bounds(terms=3, restarts=0, doubles=1)},
        ),
    ],
    ids=lambda value: (
        next(iter(value.values())).__name__
        if isinstance(value, dict) and value and "bounds" not in value
        else None
    ),
)
def test_a_wrong_rule_is_convicted(rule, name, options):
    found = explore(rules=replace(PAPER, **rule), **options)
    assert found.finding is not None, found
    assert found.finding.name == name
    assert 3 < len(found.finding.events) <= 12, str(found.finding)


def test_a_rule_that_never_looks_before_the_entries_is_convicted():
    rules = replace(PAPER, append_entries=takes_without_looking_before)
    assert explore(rules=rules).finding is not None


def test_one_wrong_server_among_right_ones_is_enough():
    wrong = replace(PAPER, can_grant_vote=votes_for_all)
    found = explore(rules={"c": wrong}).finding
    assert found is not None
    assert found.name == ELECTION_SAFETY
    assert any(event.startswith("c receives") for event in found.events)


def test_a_vote_that_isnt_on_disk_leads_to_two_leaders():
    found = explore(host=Host(forgets_votes=True)).finding
    assert found is not None
    assert found.name == ELECTION_SAFETY
    assert "c crashes and restarts" in found.events


def test_a_promise_before_the_disk_leads_to_two_leaders():
    bounds = Bounds(terms=2, proposals=0, states=40_000)
    found = explore(host=Host(late_syncs=True, acks_early=True), bounds=bounds).finding
    assert found is not None
    assert found.name == ELECTION_SAFETY


def test_an_entry_acknowledged_before_the_disk_is_lost():
    bounds = Bounds(terms=3, proposals=0, states=60_000)
    start = ("stand a", "sync a", "a>b", "sync b", "a>b", "sync a")
    host = Host(late_syncs=True, acks_early=True)
    found = explore(host=host, bounds=bounds, start=start).finding
    assert found is not None
    assert found.name in {LEADER_COMPLETENESS, STATE_MACHINE_SAFETY, ELECTION_SAFETY}


def test_a_finding_tells_its_story_in_order():
    rules = replace(PAPER, can_grant_vote=votes_for_all)
    text = str(explore(rules=rules).finding)
    lines = text.splitlines()
    assert lines[0].startswith("Election Safety: ")
    assert lines[1] == "  1 a stands for election in term 2"
    assert "my vote in term 2" in lines[-1]


def test_the_same_search_comes_to_the_same_end():
    rules = replace(PAPER, can_grant_vote=votes_by_length)
    bounds = Bounds(proposals=0, restarts=0, states=40_000)
    assert explore(rules=rules, bounds=bounds) == explore(rules=rules, bounds=bounds)
