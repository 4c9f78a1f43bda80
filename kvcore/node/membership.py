"""From the members that a group has to those that it should have, one step at a time.

An assignment says at once who shall hold a stream; consensus changes one member at a time,
and a new one has to catch up before it counts. So the group's leader looks again whenever
something has happened, and takes the next step:

    a learner that nobody wants          → is dropped
    somebody wanted is no member         → becomes a learner
    a learner that is wanted, caught up  → becomes a voter
    all that are wanted vote             → one that is not wanted goes, the leader's self last
    only the leader is not wanted        → it hands its leadership to one that is

Nobody goes before all that are wanted vote: a group never has fewer copies than it had or
will have. A server that is gone for good delays nothing but its own replacement's arrival.

Left out: how a step is agreed on (`raft/membership.py`), and who is wanted (`placement.py`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from kvcore.raft.entry import Members


@dataclass(frozen=True, slots=True)
class Change:
    """Let these be the members."""

    members: Members


@dataclass(frozen=True, slots=True)
class HandOver:
    """Let this voter lead."""

    to: str


Step: TypeAlias = Change | HandOver


def next_step(
    members: Members, wanted: Sequence[str], own: str, is_caught_up: Callable[[str], bool]
) -> Step | None:
    """The leader's next step; None when there is nothing to do, or nothing just now."""
    voters, learners = members.voters, members.learners
    for name in learners:
        if name not in wanted:
            return Change(Members(voters, _without(learners, name)))
    for name in wanted:
        if name not in voters and name not in learners:
            return Change(Members(voters, (*learners, name)))
    for name in learners:
        if is_caught_up(name):
            return Change(Members((*voters, name), _without(learners, name)))
    if learners:
        return None
    unwanted = [name for name in voters if name not in wanted]
    for name in unwanted:
        if name != own:
            return Change(Members(_without(voters, name)))
    successors = [name for name in voters if name in wanted and is_caught_up(name)]
    return HandOver(successors[0]) if unwanted and successors else None


def _without(names: tuple[str, ...], gone: str) -> tuple[str, ...]:
    return tuple(name for name in names if name != gone)
