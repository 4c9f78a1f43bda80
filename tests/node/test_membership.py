"""A group's members become those that are wanted, one step after the other."""

from itertools import combinations

import pytest

from kvcore.node.membership import Change, HandOver, next_step
from kvcore.raft.entry import Members


def walk(start: tuple[str, ...], wanted: tuple[str, ...], own: str) -> list[Members | str]:
    """All steps, if whoever is added catches up at once; a leader that hands over is followed
    by whoever took over."""
    members, steps = Members(start), []
    while (step := next_step(members, wanted, own, lambda _name: True)) is not None:
        match step:
            case Change(after):
                members = after
                steps.append(after)
            case HandOver(to):
                own = to
                steps.append(to)
        assert len(steps) < 30, "it ends"
    assert sorted(members.voters) == sorted(wanted)
    assert members.learners == ()
    return steps


def test_a_new_member_learns_before_it_votes():
    assert walk(("a",), ("a", "b"), "a") == [Members(("a",), ("b",)), Members(("a", "b"))]


def test_a_learner_waits_until_it_has_caught_up():
    members = Members(("a",), ("b",))
    assert next_step(members, ("a", "b"), "a", lambda _name: False) is None


def test_nobody_goes_before_the_new_ones_vote():
    steps = walk(("a", "b", "c"), ("a", "b", "d"), "a")
    assert steps[1] == Members(("a", "b", "c", "d"))
    assert steps[2] == Members(("a", "b", "d"))


def test_a_leader_that_has_to_go_hands_over_first():
    assert walk(("a", "b"), ("b",), "a") == ["b", Members(("b",))]
    assert walk(("a",), ("b",), "a")[-2:] == ["b", Members(("b",))]


def test_a_learner_that_is_wanted_no_more_is_dropped():
    members = Members(("a",), ("b", "c"))
    assert next_step(members, ("a", "c"), "a", lambda _name: True) == Change(
        Members(("a",), ("c",))
    )


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("after", [1, 2, 3, 4, 5])
def test_every_change_is_reached_one_server_at_a_time(size, after):
    servers = ("a", "b", "c", "d", "e")
    for wanted in combinations(servers, after):
        start = servers[:size]
        least = min(size, after)
        before = Members(start)
        for step in walk(start, wanted, start[0]):
            if isinstance(step, str):
                continue
            assert len(step.voters) >= least
            moved = set(before.voters) ^ set(step.voters) | set(before.learners) ^ set(
                step.learners
            )
            assert len(moved) == 1
            before = step
