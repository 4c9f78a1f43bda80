"""What a group tells the trace: the events that pictures of consensus are drawn from.

A group of one has no story: it leads, and what it writes is committed. A group of several
says what role it takes and when, whom it votes for, what it appends, cuts off, commits and
applies, and when it would stand for election. It is all read from what Raft asks for (`Ready`)
and from its state before and after, so nothing is told in the rules themselves.

Left out: messages; the network that carries them draws those.
"""

from itertools import groupby
from typing import Protocol

from kvcore.limits import Nanos
from kvcore.raft.core import Raft
from kvcore.raft.state import Ready, Role


class Tell(Protocol):
    """Takes one record: its kind and its fields."""

    def __call__(self, kind: str, /, **fields: str | int | bool) -> None:
        """Keep it, or don't."""


def untold(_kind: str, /, **_fields: str | int | bool) -> None:
    """Nobody looks."""


_MANY = 2  # members, and there is a story


class GroupTrace:
    """Tells of one group what has changed since the last time."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._is_told = tell is not untold
        self._role: Role | None = None
        self._term = 0
        self._vote = (0, "")
        self._commit = 0
        self._deadline: Nanos | None = None

    def follow(self, ready: Ready, raft: Raft) -> None:
        """Tell what one `Ready` says, before it is carried out."""
        if not self._is_told or len(raft.members.voters) < _MANY:
            return
        tell, term = self._tell, raft.term
        self._tell_role(raft)
        hard = ready.hard
        if hard is not None and hard.voted_for and (hard.term, hard.voted_for) != self._vote:
            self._vote = hard.term, hard.voted_for
            tell("vote", term=hard.term, to=hard.voted_for)
        if ready.truncate_from is not None:
            tell("truncate", **{"from": ready.truncate_from, "term": term})
        for of_term, run in groupby(ready.entries, key=lambda entry: entry.term):
            indices = [entry.index for entry in run]
            tell("append", first=indices[0], last=indices[-1], term=of_term)
        if raft.commit > self._commit:
            self._commit = raft.commit
            tell("commit", index=raft.commit)
        if ready.committed:
            tell("apply", index=ready.committed[-1].index)
        if ready.chunk is not None and ready.chunk.is_done:
            tell("snapshot-installed", index=ready.chunk.last_index)

    def _tell_role(self, raft: Raft) -> None:
        role, term = raft.role, raft.term
        if (role, term) == (self._role, self._term):
            return
        if role in {Role.PRE_CANDIDATE, Role.CANDIDATE} and self._role is Role.FOLLOWER:
            self._tell("election-timeout", term=term)
        if self._role is Role.LEADER:
            reason = "a later term" if term > self._term else "no majority answers"
            self._tell("step-down", reason=reason)
        self._role, self._term = role, term
        self._tell("role", role=role.value, term=term)

    def look(self, raft: Raft) -> None:
        """Tell what changes without a `Ready`: a leader that nobody answers just stops being
        one, and a heartbeat only sets a follower's timer anew.
        """
        if not self._is_told or len(raft.members.voters) < _MANY:
            return
        self._tell_role(raft)
        at = raft.deadline()
        if raft.role is Role.FOLLOWER and at is not None and at != self._deadline:
            self._deadline = at
            self._tell("deadline", at=at)
