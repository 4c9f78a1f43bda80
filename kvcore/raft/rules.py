"""The five decisions of Raft, each a small function that can be replaced in a running server.

Most of Raft's text is about messages and bookkeeping. What makes it safe are five answers:
may I grant this vote, how far may I commit, what of my log stays when these entries come,
may I serve this read, when do I stand for election. Each is pure, and is given plain values.
`PAPER` has the answers of the paper; `replace(PAPER, can_grant_vote=mine)` has another's,
and an explorer (`kvcore/check/explore.py`) says what goes wrong with it.

Left out: what leads to the question and follows from the answer; `election.py`,
`replication.py` and `reads.py`.
"""

from collections.abc import Callable
from dataclasses import dataclass

from kvcore.limits import Nanos
from kvcore.raft.entry import Entry
from kvcore.raft.log import Log
from kvcore.raft.messages import RequestVote


@dataclass(frozen=True, slots=True)
class Voter:
    """What a server knows when it is asked for its vote."""

    term: int
    voted_for: str  # in this term, "" if nobody yet
    last_index: int
    last_term: int


def can_grant_vote(me: Voter, request: RequestVote) -> bool:
    """At most one vote in a term, and only for a log as up-to-date as mine (5.2, 5.4.1).

    The later last term is more up-to-date; of equal terms the longer log is.
    """
    if request.term < me.term:
        return False
    if request.term == me.term and me.voted_for not in {"", request.sender}:
        return False
    return (request.last_term, request.last_index) >= (me.last_term, me.last_index)


def advance_commit(matches: tuple[int, ...], log: Log, term: int, commit: int) -> int:
    """The last entry that a majority has, if it is of the leader's own term (5.3, 5.4.2).

    `matches` has for each voter, the leader included, how far its durable log is known to
    agree. An entry of an earlier term is committed by a later one that follows it.
    """
    assert matches, "a group has voters"
    on_majority = sorted(matches, reverse=True)[len(matches) // 2]
    if on_majority > commit and log.term(on_majority) == term:
        return on_majority
    return commit


def append_entries(
    log: Log, previous_index: int, previous_term: int, entries: tuple[Entry, ...]
) -> int | None:
    """The last index of my log that stays; None: refused, for we don't agree before it (5.3).

    Only an entry that contradicts mine cuts it off. If all are here already, all stays: the
    message may be an old one, and what follows may have been acknowledged since.
    """
    if log.term(previous_index) != previous_term:
        return None
    for entry in entries:
        if log.term(entry.index) != entry.term:
            return entry.index - 1
    return log.last_index


def may_serve_read(confirmed: int, voters: int, is_term_committed: bool) -> bool:
    """Whether a leader may answer a read with what it has committed (8, thesis 6.4).

    `confirmed` voters, itself included, said after the read had come that they follow it;
    `is_term_committed`: an entry of its own term is, so it knows all that was before.
    """
    return is_term_committed and confirmed > voters // 2


def election_timeout(shortest: Nanos, longest: Nanos, chance: float) -> Nanos:
    """How long to wait for a leader; `chance` is drawn from [0, 1) each time (5.2)."""
    assert 0 <= chance < 1, "a draw"
    return shortest + int(chance * (longest - shortest))


@dataclass(frozen=True, slots=True)
class Rules:
    """The five together."""

    can_grant_vote: Callable[[Voter, RequestVote], bool] = can_grant_vote
    advance_commit: Callable[[tuple[int, ...], Log, int, int], int] = advance_commit
    append_entries: Callable[[Log, int, int, tuple[Entry, ...]], int | None] = append_entries
    may_serve_read: Callable[[int, int, bool], bool] = may_serve_read
    election_timeout: Callable[[Nanos, Nanos, float], Nanos] = election_timeout


PAPER = Rules()
