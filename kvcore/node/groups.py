"""A replicated log and the state machine that it feeds, on one server.

A command becomes an outcome in three steps, each in a turn of its own. `propose` appends it
to the log in memory; at the end of the turn `flush` puts the turn's entries into the batch
that goes to the disk; when the driver reports that batch durable, `persisted` applies them.
`take` hands the outcomes over, which alone may be told to anyone.

What applying changes goes into the *next* batch, beside the new entries, and nobody waits
for it: the log is what promises. So after a crash the machine's records may be behind the
log, never ahead; its record names the index that it has reached (`storage/keys.py`), and
the log's tail beyond it is applied again, outcomes thrown away.

The log can be trimmed once the effects are durable. `flush` notes how far the machine had
come when a batch was made; when that batch is durable, so are these effects, and the
entries before go, in the batch after. An idle group keeps its last few entries, which is
harmless. The last applied entry always stays: it says the term before the next one.

A group on the `memory` engine keeps its log and its data in memory, but its term on disk: a
restarted server must not lead twice in one term. It begins again empty, in a higher term.
Its entries wait for no disk: `flush` applies them at once, unless the term itself is not
durable yet.

Left out: other servers. Peers' messages will enter here, and `persisted` will then return
what a majority holds.
"""

from collections import deque
from collections.abc import Callable, Collection
from typing import Generic, Protocol, TypeVar

from kvcore.raft.core import Raft
from kvcore.raft.entry import (
    CodecError,
    Entry,
    EntryKind,
    HardState,
    decode_entry,
    decode_hard_state,
    encode_entry,
    encode_hard_state,
)
from kvcore.raft.state import NotLeader, Role, recovered
from kvcore.storage import keys
from kvcore.storage.base import StorageError
from kvcore.storage.overlay import Overlay

__all__ = [
    "FILE",
    "MEMORY",
    "Group",
    "Machine",
    "NotLeader",
    "Role",
    "destroy",
    "destroy_all_but",
    "install",
]

FILE = "file"
MEMORY = "memory"

C = TypeVar("C")
O = TypeVar("O")  # noqa: E741 - C for command, O for outcome
C_contra = TypeVar("C_contra", contravariant=True)
O_co = TypeVar("O_co", covariant=True)


class Machine(Protocol[C_contra, O_co]):
    """A deterministic function of its log, whose records are kept by index.

    It puts the index of each command into its record, see `keys.applied_index`.
    """

    def apply(self, command: C_contra, index: int) -> O_co:
        """Carry out one command; `index` is its place in the log."""


class Group(Generic[C, O]):
    """One server's part in one group; see the module's text.

    `records` is the overlay of the group's engine, `hard` that of its hard state (the same
    one for a durable group). The machine must have been made from `records` before.
    """

    def __init__(  # noqa: PLR0917 - one call, in the host
        self,
        gid: int,
        engine: str,
        records: Overlay,
        hard: Overlay,
        machine: Machine[C, O],
        encode: Callable[[C], bytes],
        decode: Callable[[bytes], C],
        server_name: str,
    ) -> None:
        assert engine == MEMORY or records is hard, "a durable group has one store"
        self.gid = gid
        self.engine = engine
        self.machine = machine
        self._records = records
        self._hard = hard
        self._encode = encode
        self._decode = decode
        self._commands: deque[C] = deque()  # of the entries not yet applied, in order
        self._unsynced: deque[tuple[int, int, int]] = deque()  # last index, applied, number
        self._number = 0  # of the newest Ready
        self._awaiting = False  # something was put into this turn's batch
        self._outcomes: list[O] = []  # that nobody has taken
        self.applied = keys.applied_index(records.get(keys.state(gid)))
        self._kept = 1  # the first entry that is in the store
        self._raft = self._recover(server_name)
        self._apply(self._drain())
        self._outcomes.clear()  # whoever awaited them is gone

    @property
    def role(self) -> Role:
        """Leader once the first `persisted` has been called."""
        return self._raft.role

    @property
    def is_leader(self) -> bool:
        """Whether `propose` may be called."""
        return self._raft.role is Role.LEADER

    @property
    def is_serving(self) -> bool:
        """Whether it leads and has applied all that its predecessors committed."""
        return self._raft.role is Role.LEADER

    @property
    def term(self) -> int:
        """The current term; it rises with each start."""
        return self._raft.term

    @property
    def last_index(self) -> int:
        """The last entry's index, this turn's included."""
        return self._raft.last_index

    def propose(self, command: C) -> int:
        """Append a command and return its index; raises `NotLeader`. Promises nothing yet."""
        index = self._raft.propose(self._encode(command))
        self._commands.append(command)
        return index

    def flush(self) -> bool:
        """Put this turn's entries into the batch; True if a sync must come before they count.

        Then the host calls `persisted(last_index)` with the index of now, when the sync
        that covers this batch has been reported.
        """
        committed = self._drain()
        assert not committed, "committed entries are given out by persisted"
        awaiting, self._awaiting = self._awaiting, False
        if awaiting:
            self._unsynced.append((self.last_index, self.applied, self._number))
        elif self.engine == MEMORY and self.last_index > self.applied:
            self.persisted(self.last_index)
        return awaiting

    def persisted(self, index: int) -> None:
        """Commit and apply up to `index`."""
        durable = number = 0
        while self._unsynced and self._unsynced[0][0] <= index:
            _, applied, number = self._unsynced.popleft()
            durable = max(durable, applied)
        if self.engine == MEMORY and not self._unsynced:
            number = self._number
        self._raft.on_persisted(number)
        self._apply(self._drain())
        self._trim(durable if self.engine == FILE else self.applied)

    def take(self) -> list[O]:
        """The outcomes of what was applied since the last time, in the log's order."""
        outcomes, self._outcomes = self._outcomes, []
        return outcomes

    def destroy(self) -> None:
        """Remove every trace of the group, the machine's records included."""
        destroy(self.gid, self._records, self._hard)

    def _drain(self) -> tuple[Entry, ...]:
        """Put what consensus wants durable into the batch; return what it has committed."""
        ready = self._raft.ready()
        if ready is None:
            return ()
        self._number = ready.number
        if ready.hard is not None:
            self._hard.put(keys.hard_state(self.gid), encode_hard_state(ready.hard))
            self._awaiting = True
        if ready.entries and self.engine != MEMORY:
            self._awaiting = True
            put, gid = self._records.put, self.gid
            for entry in ready.entries:
                put(keys.entry(gid, entry.index), encode_entry(entry))
        return ready.committed

    def _apply(self, committed: tuple[Entry, ...]) -> None:
        """Feed committed entries to the machine: live ones have their command at hand."""
        for entry in committed:
            assert entry.index == self.applied + 1, "entries are applied in order, each once"
            self.applied = entry.index
            if entry.kind is EntryKind.COMMAND:
                commands = self._commands
                command = commands.popleft() if commands else self._decode(entry.data)
                self._outcomes.append(self.machine.apply(command, entry.index))

    def _trim(self, durable: int) -> None:
        """Let the log go up to `durable`, an index whose effects no crash can take back."""
        self._raft.trim(durable - 1)
        first = self._raft.state.first
        if first > self._kept and self.engine != MEMORY:
            start, end = keys.entry(self.gid, self._kept), keys.entry(self.gid, first)
            self._records.delete_range(start, end)
        self._kept = first

    def _recover(self, server_name: str) -> Raft:
        stored = self._hard.get(keys.hard_state(self.gid))
        try:
            hard = HardState() if stored is None else decode_hard_state(stored)
            pairs = self._records.scan(*keys.entries(self.gid))
            log = tuple(decode_entry(value) for _, value in pairs)
        except CodecError as error:
            raise StorageError(f"group {self.gid}: {error}") from error
        self._check(log, hard)
        if log:
            self._kept = log[0].index
        return Raft(recovered(server_name, hard, log, self.applied))

    def _check(self, log: tuple[Entry, ...], hard: HardState) -> None:
        """Refuse a log that contradicts itself: no crash can have made it so."""
        first = log[0].index if log else 1
        last = first + len(log) - 1
        sound = all(entry.index == first + place for place, entry in enumerate(log))
        sound = sound and all(entry.term <= hard.term for entry in log)
        if not sound or not first - 1 <= self.applied <= last:
            raise StorageError(
                f"group {self.gid}: the log from {first} to {last}, of term {hard.term}, does "
                f"not continue what was applied up to {self.applied}; restore the store"
            )


def destroy_all_but(live: Collection[int], durable: Overlay) -> None:
    """Remove what other groups have left in the durable store.

    A server may stop after the meta group's log says that a stream is deleted, and before
    its group is destroyed. At the start the log says so again, but by then outcomes are
    thrown away, so whoever starts the groups sweeps up.
    """
    for key, _ in list(durable.scan(*keys.hard_states())):
        gid = keys.group(key)
        if gid not in live:
            destroy(gid, durable, durable)


def install(gid: int, records: Overlay, hard: Overlay) -> None:
    """Begin a group whose records come from elsewhere, like a snapshot of its leader.

    Its log looks as if it had been trimmed: it has the last applied entry alone. So nobody
    can take the group's beginning from the log, and a follower has to be sent the records.
    """
    last = Entry(keys.RESTORED_INDEX, 1, EntryKind.NOOP, b"")
    hard.put(keys.hard_state(gid), encode_hard_state(HardState(1)))
    records.put(keys.entry(gid, last.index), encode_entry(last))


def destroy(gid: int, records: Overlay, hard: Overlay) -> None:
    """Remove every trace of a group."""
    for start, end in keys.data_spans(gid):
        records.delete_range(start, end)
    hard.delete(keys.hard_state(gid))
