"""What the servers of a group say to each other: the RPCs of the paper, as values.

Raft is described with calls and their results. Here both are messages: whoever sends one
waits for nothing, and an answer that is lost, late or doubled is a message like any other.
Each carries its sender and the sender's term, since the first thing that anyone asks of a
message is whether its term is older or newer than mine (section 5.1).

    RequestVote, VoteReply            section 5.2; with `is_pre` the rehearsal of thesis 9.6
    AppendEntries, AppendReply        section 5.3; an empty one is the heartbeat
    InstallSnapshot, SnapshotReply    section 7
    TimeoutNow                        thesis 3.10, leadership transfer

`round` ties an answer to the read-index round that asked for it (thesis 6.4): a leader that
hears back from a majority in round n was still the leader when it began that round.

Left out: bytes; see `codec.py`.
"""

from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from kvcore.raft.entry import Entry


@dataclass(frozen=True, slots=True)
class RequestVote:
    """Will you vote for me? `is_transfer`: my leader asked me to stand, so you may as well."""

    sender: str
    term: int  # the one that it stands in, or with `is_pre` would stand in
    last_index: int
    last_term: int
    is_pre: bool = False
    is_transfer: bool = False


@dataclass(frozen=True, slots=True)
class VoteReply:
    """The answer; `term` is the voter's, or that of the request if it was granted."""

    sender: str
    term: int
    is_granted: bool
    is_pre: bool = False


@dataclass(frozen=True, slots=True)
class AppendEntries:
    """The entries after `previous_index`, where the leader has `previous_term`; its commit.

    `is_recovered`: you had lost your log, and have again all that you may have promised.
    """

    sender: str
    term: int
    previous_index: int
    previous_term: int
    entries: tuple[Entry, ...] = ()
    commit: int = 0
    round: int = 0
    is_recovered: bool = False


@dataclass(frozen=True, slots=True)
class AppendReply:
    """Taken: `index` is the last entry known to be the leader's, and durable. Refused:
    `index` is the last place where the two logs may still agree, `conflict_term` the term of
    the entry that stands there (0: none does); when a message that named no place is taken it
    is the term at `index`, for the leader to compare. `is_recovering`: this server has lost its
    log, and must not be counted."""

    sender: str
    term: int
    is_taken: bool
    index: int
    conflict_term: int = 0
    round: int = 0
    is_recovering: bool = False


@dataclass(frozen=True, slots=True)
class InstallSnapshot:
    """A piece of the state machine as it was at `last_index`; pieces ascend in `offset`.

    `members` is the configuration at that index, `data` is the host's, the last piece is
    `is_done`.
    """

    sender: str
    term: int
    last_index: int
    last_term: int
    members: bytes
    offset: int
    data: bytes
    is_done: bool


@dataclass(frozen=True, slots=True)
class SnapshotReply:
    """The piece wanted next of the snapshot at `last_index`; `is_installed`: none, it stands."""

    sender: str
    term: int
    last_index: int
    offset: int
    is_installed: bool = False


@dataclass(frozen=True, slots=True)
class TimeoutNow:
    """Stand for election at once: the leader wants this server to follow it."""

    sender: str
    term: int


class Beat(NamedTuple):
    """A heartbeat to a follower that has everything, see `beat.py`: the leader's term, and the
    last entry of its log, with its term. All is committed."""

    term: int
    last: int
    last_term: int

    def spelled_out(self, leader: str) -> AppendEntries:
        """The message that it stands for."""
        return AppendEntries(leader, self.term, self.last, self.last_term, (), self.last)


Message: TypeAlias = (
    RequestVote
    | VoteReply
    | AppendEntries
    | AppendReply
    | InstallSnapshot
    | SnapshotReply
    | TimeoutNow
)
