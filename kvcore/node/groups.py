"""A replicated log and the state machine that it feeds, on one server.

Raft (`kvcore/raft`) says what to write, what to send and what is committed; a group does it.
A command becomes an outcome in three steps, each in a turn of its own. `propose` appends it
to the log in memory; at the end of the turn `flush` puts the turn's entries into the batch
that goes to the disk, and sends them to the others; when a majority has them on disk, they
are applied. `take` hands the outcomes over.

**Promises wait for the disk.** What a message promises (a vote, an entry that is kept) is in
this turn's batch or in one before it; the message leaves when `persisted` has been called for
that batch. A leader's own entries may leave at once: they promise nothing (thesis 10.2.1).

What applying changes goes into the *next* batch, beside the new entries, and nobody waits
for it: the log is what promises. So after a crash the machine's records may be behind the
log, never ahead; its record names the index that it has reached (`storage/keys.py`), and
the log's tail beyond it is applied again. Nobody awaits an answer to what stood in the log
when the process began, so these outcomes are kept apart (`take_old`).

The log can be trimmed once the effects are durable. A batch notes how far the machine had
come when it was made; when it is durable, so are these effects.

A group on the `memory` engine keeps its log and its data in memory, but its term on disk: a
restarted server must not vote or lead twice in one term. Its entries wait for no disk: they
count as kept at once, unless the term itself is not durable yet.

Left out: how the log is kept (`stored_log.py`) and found again (`group_records.py`); what is in
a snapshot (`snapshots.py`); what the trace is told (`group_trace.py`).
"""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

from kvcore.limits import Nanos
from kvcore.node.group_trace import GroupTrace
from kvcore.node.snapshots import Snapshots
from kvcore.node.stored_log import FILE, MEMORY, StoredLog
from kvcore.node.wiring import Wiring, nothing
from kvcore.raft.codec import decode_message, encode_message
from kvcore.raft.core import Raft
from kvcore.raft.entry import (
    CodecError,
    Entry,
    EntryKind,
    Members,
)
from kvcore.raft.messages import Beat, InstallSnapshot, Message
from kvcore.raft.rules import PAPER
from kvcore.raft.state import NotLeader, Ready, Role, State
from kvcore.storage import keys

__all__ = ["FILE", "MEMORY", "AnyGroup", "Group", "Machine", "NotLeader", "Role", "Wiring"]


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


@dataclass(slots=True)
class _Batch:
    """What waits for the sync of one batch: a `Ready` of this number and those after it that
    wrote nothing, the machine's progress in it, and the messages that promise it."""

    number: int
    upto: int
    applied: int
    messages: list[tuple[str, Message]]


class Group(Generic[C, O]):
    """One server's part in one group; see the module's text.

    `state` is where it stands (`group_records.found`); `machine` must have been made from the
    records after that.
    """

    def __init__(  # noqa: PLR0917 - one call, in the host
        self,
        gid: int,
        engine: str,
        machine: Machine[C, O],
        encode: Callable[[C], bytes],
        decode: Callable[[bytes], C],
        state: State,
        wiring: Wiring,
    ) -> None:
        assert engine == MEMORY or wiring.records is wiring.hard, "a durable group has one store"
        self.gid = gid
        self.engine = engine
        self.machine = machine
        self.applied = state.delivered
        self._myself = (state.server,)
        self._encode = encode
        self._decode = decode
        self._wiring = wiring
        self._records = wiring.records
        self._commands: dict[int, C] = {}  # proposed here, not yet applied
        self._unsynced: deque[_Batch] = deque()
        self._mark = 0  # the last `Ready` of this turn that must be synced
        self.is_vital = False  # whether the last `flush` has what is synced by any policy
        self._old_upto = state.last_index  # found when the process began
        self._old: list[O] = []
        self._outcomes: list[O] = []
        self._asked: list[Callable[[], None]] = []  # reads of this turn
        self._reading: dict[int, list[Callable[[], None]]] = {}  # those under way, by context
        self._contexts = 0
        self._log = StoredLog(gid, wiring.records, wiring.hard, engine, state.first)
        self._installing: tuple[int, int] | None = None  # a whole snapshot: batch and index
        self.on_wiped: Callable[[], None] = nothing
        self.on_installed: Callable[[], None] = nothing
        timers = wiring.timers
        self._raft = Raft(
            state, PAPER, (timers.heartbeat, timers.election_min, timers.election_max),
            wiring.rng, wiring.clock.now,
        )  # fmt: skip
        self._snapshots = Snapshots(gid, wiring.records, wiring.clock)
        self._trace = GroupTrace(wiring.tell)
        self._obey_all()
        self._old.clear()

    # -- what it is ------------------------------------------------------------------------

    @property
    def raft(self) -> Raft:
        """Consensus; look, don't touch. Its `rules` may be replaced."""
        return self._raft

    @property
    def role(self) -> Role:
        """What this server is to the group."""
        return self._raft.role

    @property
    def is_leader(self) -> bool:
        """Whether `propose` may be called."""
        return self._raft.role is Role.LEADER

    @property
    def is_serving(self) -> bool:
        """Whether it leads, has applied all that its predecessors committed, and isn't about
        to hand its leadership on."""
        raft = self._raft
        is_leading = raft.role is Role.LEADER and self.applied >= raft.term_start
        return is_leading and not raft.is_transferring

    @property
    def is_alone(self) -> bool:
        """Whether this server is the whole group."""
        return self._raft.members.voters == self._myself

    @property
    def leader(self) -> str:
        """Who leads, "" if that isn't known."""
        return self._raft.leader

    @property
    def is_led(self) -> bool:
        """Whether it has a leader that speaks: who has lost its log doesn't stand for election,
        and would go on to believe in one that fell silent."""
        at = self._raft.heard(self.leader)
        silence = self._wiring.clock.now - 2 * self._wiring.timers.election_max
        return self.is_leader or (at is not None and at > silence)

    @property
    def members(self) -> Members:
        """Who is in the group, as far as this server knows."""
        return self._raft.members

    @property
    def is_changing(self) -> bool:
        """Whether a change of members is not committed yet."""
        return self._raft.state.members_index > self._raft.commit

    @property
    def term(self) -> int:
        """The current term; it rises with each election."""
        return self._raft.term

    @property
    def last_index(self) -> int:
        """The last entry's index, this turn's included."""
        return self._raft.last_index

    # -- what happens to it ----------------------------------------------------------------

    def propose(self, command: C) -> int:
        """Append a command and return its index; raises `NotLeader`. Promises nothing yet."""
        index = self._raft.propose(self._encode(command))
        self._commands[index] = command
        return index

    def read(self, then: Callable[[], None]) -> None:
        """Call `then` when what is applied here is all that anyone may have seen before now.
        A leader that loses its office meanwhile forgets it."""
        if self.is_alone and self.is_serving:
            then()
        else:
            self._asked.append(then)

    def receive(self, peer: str, data: bytes) -> None:
        """A message of consensus came from a peer; raises `CodecError` if it makes no sense."""
        message = decode_message(data)
        if message.sender != peer:
            raise CodecError(f"{peer} speaks for {message.sender}")
        self._raft.step(message, self._wiring.clock.now)

    def peer_closed(self, peer: str) -> None:
        """The link to a peer broke."""
        self._raft.peer_closed(peer, self._wiring.clock.now)

    def on_timer(self) -> None:
        """Time has passed."""
        self._raft.on_timer(self._wiring.clock.now)
        self._snapshots.forget_idle()

    def beat(self) -> tuple[Beat, tuple[str, ...]] | None:
        """A leader's heartbeat, in place of `on_timer`; see `Raft.beat`."""
        self._snapshots.forget_idle()
        return self._raft.beat(self._wiring.clock.now)

    def step_beat(self, leader: str, beat: Beat) -> bool:
        """A heartbeat has come; whether it is taken, and nothing else is to be done."""
        is_taken = self._raft.step_beat(leader, beat, self._wiring.clock.now)
        if is_taken:
            self._trace.look(self._raft)
        return is_taken

    def beat_taken(self, follower: str, term: int) -> None:
        """A follower has taken this server's heartbeat."""
        self._raft.beat_taken(follower, term, self._wiring.clock.now)

    def deadline(self) -> Nanos | None:
        """When `on_timer` wants to be called."""
        return self._raft.deadline()

    def stand(self) -> None:
        """Stand for election now: a new group need not wait to find out that nobody leads."""
        self._raft.stand(self._wiring.clock.now)

    def transfer(self, to: str) -> None:
        """Hand the leadership to another member; raises `NotLeader`."""
        self._raft.transfer(to, self._wiring.clock.now)

    def change(self, members: Members) -> None:
        """Let these be the members; raises `ChangeUnderWay` or `NotLeader`."""
        self._raft.change(members)

    def flush(self) -> int:
        """Put this turn's entries into the batch, send, apply. If a sync must come before they
        count the number to call `persisted` with when it has come, else 0."""
        if self._asked:
            self._ask()
        self._obey_all()
        if self.engine == MEMORY:  # no crash takes back less than everything
            self._log.trim(self._raft, self.applied)
        mark, self._mark = self._mark, 0
        self.is_vital, self._log.has_vital = self._log.has_vital, False
        return mark

    def persisted(self, mark: int) -> None:
        """The batch that this number was given for is durable, and so are those before."""
        upto = durable = 0
        while self._unsynced and self._unsynced[0].number <= mark:
            batch = self._unsynced.popleft()
            upto, durable = batch.upto, max(durable, batch.applied)
            self._send(batch.messages)
        if upto:
            self._raft.on_persisted(upto)
        self._obey_all()
        if self.engine != MEMORY:
            self._log.trim(self._raft, durable)

    def take(self) -> list[O]:
        """The outcomes of what was applied since the last time, in the log's order."""
        outcomes, self._outcomes = self._outcomes, []
        return outcomes

    def take_old(self) -> list[O]:
        """Those that come before: of entries that were found when the process began."""
        outcomes, self._old = self._old, []
        return outcomes

    # -- obeying consensus -----------------------------------------------------------------

    def _obey_all(self) -> None:
        raft = self._raft
        self._finish_install()
        while (ready := raft.ready()) is not None:
            self._obey(ready)
            self._finish_install()
        self._trace.look(raft)
        if self._reading and raft.role is not Role.LEADER:
            self._reading.clear()

    def _obey(self, ready: Ready) -> None:
        """Carry out one `Ready`, in the order that its law demands."""
        self._trace.follow(ready, self._raft)
        if self._write(ready):
            self._mark = ready.number
            self._unsynced.append(_Batch(ready.number, ready.number, self.applied, []))
        elif self._unsynced:
            self._unsynced[-1].upto = ready.number
        elif self.engine == MEMORY and not ready.is_durable:
            self._raft.on_persisted(ready.number)
        self._send(ready.send_now)
        if ready.send_after_persist:
            if self._unsynced:
                self._unsynced[-1].messages += ready.send_after_persist
            else:
                self._send(ready.send_after_persist)
        if ready.role is not Role.LEADER and self._commands:
            self._commands.clear()  # others may have taken their places
        if ready.committed:
            self._apply(ready.committed)
        for context, index in ready.reads:
            assert index <= self.applied, "what is committed is applied"
            for then in self._reading.pop(context, ()):
                then()
        for peer, index, offset in ready.wanted:
            self._snapshots.send(self._raft, self.applied, peer, index, offset)

    def _write(self, ready: Ready) -> bool:
        """Put what has to be kept into the batch; whether a sync must come before it counts."""
        if ready.wipe:
            self._log.wipe()
            self.applied = self._old_upto = 0
            self.on_wiped()
        if ready.truncate_from is not None:  # what will stand there is new
            self._old_upto = min(self._old_upto, ready.truncate_from - 1)
        if ready.chunk is not None:
            self._take_in(ready.chunk, ready.number)
        return self._log.write(ready)

    def _apply(self, committed: tuple[Entry, ...]) -> None:
        """Feed committed entries to the machine: live ones have their command at hand."""
        for entry in committed:
            index = entry.index
            assert index == self.applied + 1, "entries are applied in order, each once"
            self.applied = index
            if entry.kind is EntryKind.COMMAND:
                command = self._commands.pop(index, None) or self._decode(entry.data)
                outcome = self.machine.apply(command, index)
                (self._outcomes if index > self._old_upto else self._old).append(outcome)
            else:
                self._note_applied()

    def _note_applied(self) -> None:
        """An entry that is consensus's own was applied: the machine's record names its index."""
        key = keys.state(self.gid)
        record = self._records.get(key) or b""
        self._records.put(key, keys.encode_index(self.applied) + record[8:])

    def _send(self, messages: Iterable[tuple[str, Message]]) -> None:
        for peer, message in messages:
            self._wiring.send(peer, self.gid, encode_message(message))

    def _ask(self) -> None:
        """Let the reads of this turn share one round."""
        asked, self._asked = self._asked, []
        if self._raft.role is Role.LEADER:
            self._contexts += 1
            self._reading[self._contexts] = asked
            self._raft.read(self._contexts)

    # -- a snapshot that comes in ----------------------------------------------------------

    def _take_in(self, chunk: InstallSnapshot, number: int) -> None:
        """A piece of a snapshot: the last one brings the log's new beginning with it."""
        for key, value in self._snapshots.received(chunk):
            self._records.put(key, value)
        if chunk.is_done:
            self._log.begin_after(chunk.last_index, chunk.last_term)
            self._installing = number, chunk.last_index

    def _finish_install(self) -> None:
        """If a snapshot is whole: once it is durable the machine is made from it."""
        if self._installing is None:
            return
        number, index = self._installing
        if not self._unsynced or self._unsynced[0].number > number:
            self._installing = None
            self.applied = index
            self.on_installed()
            self._raft.installed(index)


AnyGroup: TypeAlias = Group[Any, Any]
