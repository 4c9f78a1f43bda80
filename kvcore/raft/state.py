"""All that one server knows of its group, as one frozen value; and how it begins.

Figure 2 of the paper lists a server's state. This is that list, plus what lies between the
rules and the disk: how much was given out to be written, and how much of that is durable. It
is one tuple without a clock in it. So it can be compared, hashed and kept: an explorer holds
thousands of them and goes on from any, and making a server from one takes no time, whatever
its log's length.

A server comes to its group in one of four ways:

    recovered   it was a member before: what its disk has is what it knows
    founded     the group is new: all of its members begin with the same first entry
    joining     the group exists: it knows nothing and waits for the leader's log
    alone       `recovered` with nobody else: it needs no election, see there

Left out: the log (`log.py`) and the leader's view of its followers (`progress.py`).
"""

from enum import Enum
from typing import NamedTuple

from kvcore.raft.entry import Entry, EntryKind, HardState, Members, encode_members
from kvcore.raft.log import Log
from kvcore.raft.messages import InstallSnapshot, Message
from kvcore.raft.progress import Progress


class Role(Enum):
    """What a server is to its group."""

    FOLLOWER = "follower"
    PRE_CANDIDATE = "pre-candidate"  # asks whether it would be elected (thesis 9.6)
    CANDIDATE = "candidate"
    LEADER = "leader"


# Figure 4 of the paper, with the rehearsal between. A failed election leads to another one.
TRANSITIONS: dict[Role, tuple[Role, ...]] = {
    Role.FOLLOWER: (Role.PRE_CANDIDATE, Role.CANDIDATE),
    Role.PRE_CANDIDATE: (Role.PRE_CANDIDATE, Role.CANDIDATE, Role.FOLLOWER),
    Role.CANDIDATE: (Role.PRE_CANDIDATE, Role.CANDIDATE, Role.LEADER, Role.FOLLOWER),
    Role.LEADER: (Role.FOLLOWER,),
}


class NotLeader(Exception):  # noqa: N818 - the protocol's own name for this answer
    """This server can't propose; `hint` names the leader if it is known, else ""."""

    def __init__(self, hint: str = "") -> None:
        super().__init__(f"not the leader{f', {hint} is' if hint else ''}")
        self.hint = hint


class ChangeUnderWay(Exception):  # noqa: N818 - it is an answer, not a mistake
    """Members can't be changed now; what has to come first is said."""


class Mark(NamedTuple):
    """What one `Ready` gave out to be written: when that is durable, these are."""

    last: int
    term: int


class Round(NamedTuple):
    """Reads that wait for a majority to confirm the leader, and the commit index they need."""

    number: int
    upto: int
    contexts: tuple[int, ...]


class Transfer(NamedTuple):
    """Leadership on its way to another server."""

    to: str
    is_sent: bool = False


class Installing(NamedTuple):
    """A snapshot that is being received: the piece wanted next."""

    last: int
    term: int
    members: bytes
    offset: int
    leader_term: int  # another leader's pieces may be cut otherwise
    is_whole: bool = False  # all pieces are here; the host is about to say `installed`


class State(NamedTuple):
    """One server's part; see the module's text.

    `handed` and `delivered` are the last index that `ready` gave out to be written and to be
    applied. `delivered <= commit <= last_index`, and `persisted <= handed <= last_index`.
    """

    server: str
    hard: HardState
    members: Members  # in force: the last in the log, committed or not
    role: Role = Role.FOLLOWER
    leader: str = ""
    log: Log = Log()
    members_index: int = 0  # the entry that brought them; 0: it is trimmed
    persisted: int = 0
    commit: int = 0
    handed: int = 0
    delivered: int = 0
    hard_handed: bool = True
    cut: int = 0  # entries from here on were given out to be written, and are no more; 0: none
    unsynced: tuple[Mark, ...] = ()
    granted: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    progress: tuple[Progress, ...] = ()
    term_start: int = 0  # the leader's first entry; 0: it needs none
    round: int = 0
    rounds: tuple[Round, ...] = ()
    transfer: Transfer | None = None
    installing: Installing | None = None

    @property
    def first(self) -> int:
        """The index of the first entry that is kept."""
        return self.log.first

    @property
    def last_index(self) -> int:
        """The index of the last entry, 0 before the first."""
        return self.log.last_index

    @property
    def is_alone(self) -> bool:
        """Whether this server is a majority by itself."""
        return self.members.voters == (self.server,)

    @property
    def may_stand(self) -> bool:
        """Whether it may be a candidate: it votes, and has not lost its log."""
        return self.server in self.members.voters and not self.hard.is_recovering


class Ready(NamedTuple):
    """What the host must do now. The law:

    1. `wipe` (forget the log and all records of the group), `truncate_from` (forget the log
       from there on), `hard`, `entries` and `chunk` go into one batch, in this order.
    2. `send_now` may leave at once.
    3. `send_after_persist` may leave when this batch and all before it are durable. If this
       one has nothing to write (`is_durable`), those before it must be.
    4. When the batch is durable, `on_persisted(number)` is called. One call covers all lower
       numbers; a `Ready` without anything to write has the number of the one before.
    5. `committed` is on a majority's disks. What applying it changes goes into the store
       after the entries that caused it: into this batch, or a later one.

    `reads` may be answered when the entry at their index has been applied. `wanted` asks for
    pieces of a snapshot: who for, which (0: a new one), from which offset on.
    """

    number: int
    role: Role
    hard: HardState | None = None
    truncate_from: int | None = None
    entries: tuple[Entry, ...] = ()
    committed: tuple[Entry, ...] = ()
    send_now: tuple[tuple[str, Message], ...] = ()
    send_after_persist: tuple[tuple[str, Message], ...] = ()
    reads: tuple[tuple[int, int], ...] = ()
    wanted: tuple[tuple[str, int, int], ...] = ()
    chunk: InstallSnapshot | None = None
    wipe: bool = False

    @property
    def is_durable(self) -> bool:
        """Whether there is nothing to write."""
        return not (self.hard or self.truncate_from or self.entries or self.chunk or self.wipe)


def recovered(
    server: str,
    hard: HardState,
    log: tuple[Entry, ...],
    applied: int,
    has_lost_log: bool = False,
) -> State:
    """The state at a start: what was found on disk; `applied` is how far the machine came.

    Alone, whatever is durable is on a majority: all of the log counts as committed, the
    server votes for itself in the next term, and leads when that is durable. Among others it
    follows, and learns from a leader what is committed. `has_lost_log`: it had a log, which
    was in memory or had to give way to a snapshot that never arrived whole.
    """
    first = log[0].index if log else 1
    last = first + len(log) - 1
    for place, entry in enumerate(log):
        assert entry.index == first + place, f"entry {entry.index} stands at {first + place}"
        assert entry.term <= hard.term, f"entry {entry.index} is of a term that never was"
    assert first - 1 <= applied <= last, f"applied {applied} is not in the log {first}..{last}"
    kept = Log(first, log, hard.members or Members((server,)))
    change = kept.last_change(last)
    members = kept.members_at(last)
    state = State(
        server=server,
        hard=hard,
        members=members,
        log=kept,
        members_index=change,
        persisted=last,
        commit=applied,
        handed=last,
        delivered=applied,
    )
    if state.is_alone and not hard.is_recovering:
        hard = hard.voted(hard.term + 1, server)
        return state._replace(hard=hard, role=Role.CANDIDATE, commit=last, hard_handed=False)
    if has_lost_log and not hard.is_recovering:
        return state._replace(hard=hard.recovering(is_recovering=True), hard_handed=False)
    return state


def founded(server: str, members: Members) -> State:
    """The beginning of a group of several: one entry, the same on all, committed at once."""
    assert server in members.voters, f"{server} is none of the founders"
    entry = Entry(1, 1, EntryKind.MEMBERS, encode_members(members))
    return State(
        server=server,
        hard=HardState(1, "", members),
        members=members,
        log=Log(1, (entry,), members),
        members_index=1,
        commit=1,
        hard_handed=False,
    )


def joining(server: str) -> State:
    """The beginning of a server that is added to a group: it will be told who is in it."""
    nobody = Members()
    hard = HardState(0, "", nobody)
    return State(server, hard, nobody, log=Log(1, (), nobody), hard_handed=False)
