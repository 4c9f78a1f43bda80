"""Raft for a group of one server: the rules that stay when the others come.

Even alone, a server may not act before its disk has what the act promises. It raises its
term and votes for itself, and leads only once that is durable, so that no term ever has two
leaders. An entry is committed when a majority has it on disk; alone, that is when its own
disk has it. `ready` says what must be written, `on_persisted` reports that it was.

The whole state is one frozen value, `State`. A `Raft` is made from it in no time, whatever
the log's length, so an explorer can hold thousands of them in a dict and go on from any.
The log in it is the tail that has not been trimmed, a tuple. Proposals gather in a list and
join the tuple once per `ready`: 64 proposals in a turn copy the tail once, not 64 times.

At the start everything found in the log counts as committed: alone, a durable entry is on a
majority. The first entry of the tail may be one that is applied already: it is kept so that
the term before the next entry is known.

Left out, until there are others to talk to: messages, elections with more than one vote,
replication, membership, snapshots.
"""

from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from kvcore.raft.entry import Entry, EntryKind, HardState


class Role(Enum):
    """What a server is to its group."""

    FOLLOWER = "follower"
    CANDIDATE = "candidate"
    LEADER = "leader"


# Figure 4 of the paper. A candidate whose election fails is one again, in a later term.
TRANSITIONS: dict[Role, tuple[Role, ...]] = {
    Role.FOLLOWER: (Role.CANDIDATE,),
    Role.CANDIDATE: (Role.CANDIDATE, Role.LEADER, Role.FOLLOWER),
    Role.LEADER: (Role.FOLLOWER,),
}


class NotLeader(Exception):  # noqa: N818 - the protocol's own name for this answer
    """This server can't propose; `hint` names the leader if it is known, else ""."""

    def __init__(self, hint: str = "") -> None:
        super().__init__(f"not the leader{f', {hint} is' if hint else ''}")
        self.hint = hint


class State(NamedTuple):
    """All that a server knows of its group. 0 <= applied-by-host <= commit <= last index.

    `log` is contiguous; its first entry has the index `first`. `handed` and `delivered` are
    the last index that `ready` gave out to be written and to be applied; `hard_handed` says
    that it gave out term and vote.
    """

    server: str
    hard: HardState
    role: Role = Role.FOLLOWER
    first: int = 1
    log: tuple[Entry, ...] = ()
    persisted: int = 0
    commit: int = 0
    handed: int = 0
    delivered: int = 0
    hard_handed: bool = True

    @property
    def last_index(self) -> int:
        """The index of the last entry, 0 before the first."""
        return self.first + len(self.log) - 1

    def entries(self, after: int, upto: int) -> tuple[Entry, ...]:
        """The entries of `(after, upto]`."""
        assert self.first - 1 <= after, "these entries are trimmed"
        return self.log[after + 1 - self.first : upto + 1 - self.first]


@dataclass(frozen=True, slots=True)
class Ready:
    """What the host must do: write `hard` and `entries` in one batch, apply `committed`.

    `committed` is durable already; `hard` and `entries` are not, and nothing that depends
    on them may be said before `on_persisted`.
    """

    role: Role
    hard: HardState | None = None
    entries: tuple[Entry, ...] = ()
    committed: tuple[Entry, ...] = ()


def recovered(server: str, hard: HardState, log: tuple[Entry, ...], applied: int) -> State:
    """The state at a start: what was found on disk, and a candidacy in the next term.

    `applied` is how far the state machine has come; the rest of the log is committed, and
    the first `ready` gives it out.
    """
    first = log[0].index if log else 1
    last = first + len(log) - 1
    for place, entry in enumerate(log):
        assert entry.index == first + place, f"entry {entry.index} stands at {first + place}"
        assert entry.term <= hard.term, f"entry {entry.index} is of a term that never was"
    assert first - 1 <= applied <= last, f"applied {applied} is not in the log {first}..{last}"
    return State(
        server=server,
        hard=HardState(hard.term + 1, server),
        role=Role.CANDIDATE,
        first=first,
        log=log,
        persisted=last,
        commit=last,
        handed=last,
        delivered=applied,
        hard_handed=False,
    )


class Raft:
    """One server's part in one group; see the module's text."""

    __slots__ = ("_proposed", "_state")

    def __init__(self, state: State) -> None:
        self._state = state
        self._proposed: list[Entry] = []

    @property
    def state(self) -> State:
        """Everything, as one value."""
        if self._proposed:
            state = self._state
            self._state = state._replace(log=state.log + tuple(self._proposed))
            self._proposed = []
        return self._state

    @property
    def role(self) -> Role:
        """What this server is now."""
        return self._state.role

    @property
    def term(self) -> int:
        """The current term."""
        return self._state.hard.term

    @property
    def last_index(self) -> int:
        """The last entry's index, proposals of this turn included."""
        return self._state.last_index + len(self._proposed)

    def propose(self, data: bytes) -> int:
        """Append a command to the log and return its index; raises `NotLeader`.

        Nothing is promised: the entry may be lost until `ready` gives it out as committed.
        """
        state = self._state
        if state.role is not Role.LEADER:
            raise NotLeader
        index = state.last_index + len(self._proposed) + 1
        self._proposed.append(Entry(index, state.hard.term, EntryKind.COMMAND, data))
        return index

    def ready(self) -> Ready | None:
        """What has to be written and applied now, None if nothing. Each thing is said once."""
        state, last = self._state, self.last_index
        if state.hard_handed and state.handed == last and state.delivered == state.commit:
            return None
        log = state.log + tuple(self._proposed)
        self._proposed = []
        self._state = after = state._replace(
            log=log, hard_handed=True, handed=last, delivered=state.commit
        )
        return Ready(
            role=state.role,
            hard=None if state.hard_handed else state.hard,
            entries=after.entries(state.handed, last),
            committed=after.entries(state.delivered, state.commit),
        )

    def on_persisted(self, upto: int) -> None:
        """Entries up to this index are durable, and the term and vote given out with them."""
        state = self._state
        assert state.hard_handed, "the term was never given out, so it can't be durable"
        assert upto <= state.handed, f"{upto} was never given out: {state.handed} was the last"
        if state.role is Role.CANDIDATE:  # its own vote is the majority
            self._become(Role.LEADER)
            state = self._state
        if upto > state.persisted:
            # Alone, what this disk holds a majority holds. With others: only entries of the
            # current term are counted (section 5.4.2); an older one follows with them.
            self._state = state._replace(persisted=upto, commit=max(state.commit, upto))

    def trim(self, upto: int) -> None:
        """Forget the log up to this index, but never the entry that was delivered last."""
        state = self.state
        upto = min(upto, state.delivered - 1)
        if upto >= state.first:
            kept = state.log[upto + 1 - state.first :]
            self._state = state._replace(first=upto + 1, log=kept)

    def _become(self, role: Role) -> None:
        assert role in TRANSITIONS[self.role], f"a {self.role.value} can't become {role.value}"
        self._state = self._state._replace(role=role)
