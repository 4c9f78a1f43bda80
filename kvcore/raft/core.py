"""Raft, one server's part in one group: what goes in, and what comes out.

A `Raft` is told what happened, one thing at a time: a message came (`step`), a time has come
(`on_timer`), a client wants something (`propose`, `read`), the disk has done its work
(`on_persisted`). It does nothing itself. Whoever holds it asks `ready()` at the end of a turn
and does what that says: write, send, apply. `Ready` states the law of that.

The first thing asked of any message is its term (section 5.1). A later one makes this server
a follower, whatever it was; an earlier one is answered with mine, so that its sender learns
that its time is over. Only messages of my own term go on, to the module whose business they
are. Two kinds carry a term in which nobody has stood yet, and don't raise mine: a rehearsal's
question and its granting.

    election.py      who leads                     replication.py   the log, and what is committed
    membership.py    who is in the group           snapshot.py      when the log isn't enough
    reads.py         answers without an entry      transfer.py      the leader chooses the next
    beat.py          heartbeats of idle groups     handing.py       what the host has to do
    rules.py         the five decisions            part.py          what they all work on

The whole state is one frozen value (`state.py`); `Raft(state, …)` goes on from any.

Left out: storage, links and the state machine; `kvcore/node/groups.py`.
"""

from random import Random
from typing import assert_never

from kvcore import limits
from kvcore.limits import Nanos
from kvcore.raft import beat as heartbeats
from kvcore.raft import election, handing, membership, replication, snapshot, transfer
from kvcore.raft.entry import Entry, EntryKind, Members
from kvcore.raft.messages import (
    AppendEntries,
    AppendReply,
    Beat,
    InstallSnapshot,
    Message,
    RequestVote,
    SnapshotReply,
    TimeoutNow,
    VoteReply,
)
from kvcore.raft.part import NEVER, Judged, Part
from kvcore.raft.progress import Progress
from kvcore.raft.rules import PAPER, Rules
from kvcore.raft.state import NotLeader, Ready, Role, State

DEFAULT_TIMERS = (limits.HEARTBEAT_NS, limits.ELECTION_MIN_NS, limits.ELECTION_MAX_NS)


class Raft:
    """See the module's text. `timers`: heartbeat, shortest and longest election time-out."""

    __slots__ = ("_part",)

    def __init__(
        self,
        state: State,
        rules: Rules = PAPER,
        timers: tuple[Nanos, Nanos, Nanos] = DEFAULT_TIMERS,
        chance: Random | None = None,
        now: Nanos = 0,
    ) -> None:
        self._part = Part(state, rules, timers, chance or Random(0), now)
        self._part.restart_timer()

    # What it is.

    @property
    def state(self) -> State:
        """Everything, as one value."""
        self._part.fold()
        return self._part.state

    @property
    def role(self) -> Role:
        """What this server is now."""
        return self._part.state.role

    @property
    def term(self) -> int:
        """The current term."""
        return self._part.state.hard.term

    @property
    def leader(self) -> str:
        """The leader of the term, "" if it isn't known."""
        return self._part.state.leader

    @property
    def members(self) -> Members:
        """The configuration in force here."""
        return self._part.state.members

    @property
    def commit(self) -> int:
        """The last entry known to be committed."""
        return self._part.state.commit

    @property
    def term_start(self) -> int:
        """A leader's first entry: when it is applied, it knows all there was. 0: at once."""
        return self._part.state.term_start

    @property
    def last_index(self) -> int:
        """The last entry's index, proposals of this turn included."""
        return self._part.state.log.last_index + len(self._part.proposed)

    @property
    def is_recovering(self) -> bool:
        """Whether it has lost its log, and no leader has caught it up yet."""
        return self._part.state.hard.is_recovering

    @property
    def is_transferring(self) -> bool:
        """Whether it is handing its leadership to another: proposals are refused."""
        return self._part.state.transfer is not None

    @property
    def rules(self) -> Rules:
        """The decisions; another value may be put here at any time."""
        return self._part.rules

    @rules.setter
    def rules(self, rules: Rules) -> None:
        self._part.rules, self._part.judged = rules, Judged()
        if self._part.state.role is not Role.LEADER:
            self._part.restart_timer()

    def limit_appends(self, append_bytes: int) -> None:
        """Put at most so much into one AppendEntries; 1: an entry at a time, as in the paper."""
        self._part.append_bytes = append_bytes

    @property
    def followers(self) -> tuple[Progress, ...]:
        """What a leader knows of the others."""
        return self._part.state.progress

    def heard(self, name: str) -> Nanos | None:
        """When a leader last heard from a member, or a follower from its leader; None: never."""
        part = self._part
        at = part.leader_heard if name == part.state.leader else part.heard.get(name, NEVER)
        return None if at == NEVER else at

    def is_caught_up(self, name: str) -> bool:
        """Whether a learner may be made a voter."""
        return membership.is_caught_up(self._part, name)

    # What happens to it.

    def step(self, message: Message, now: Nanos) -> None:
        """A message from another server of the group."""
        part = self._part
        part.now = now
        part.fold()
        term = part.state.hard.term
        if message.term > term:
            if isinstance(message, RequestVote | VoteReply) and message.is_pre:
                if isinstance(message, VoteReply) and not message.is_granted:
                    part.follow(message.term, "")
            elif isinstance(message, RequestVote) and not message.is_transfer:
                if part.hears_leader():
                    return
                part.follow(message.term, "")
            else:
                part.follow(message.term, "")
        elif message.term < term:
            election.answer_old(part, message)
            return
        self._dispatch(message)

    def _dispatch(self, message: Message) -> None:
        part = self._part
        assert not part.proposed, "this turn's proposals are in the log before a message is"
        match message:
            case AppendEntries():
                if self._is_from_leader(message):
                    replication.on_append(part, message)
            case AppendReply():
                if part.state.role is Role.LEADER:
                    replication.on_reply(part, message)
            case RequestVote():
                election.on_request(part, message)
            case VoteReply():
                election.on_reply(part, message)
            case InstallSnapshot():
                if self._is_from_leader(message):
                    snapshot.on_piece(part, message)
            case SnapshotReply():
                snapshot.on_reply(part, message)
            case TimeoutNow():
                election.on_timeout_now(part, message)
            case _:
                assert_never(message)

    def _is_from_leader(self, message: AppendEntries | InstallSnapshot) -> bool:
        """Whether its sender may be the leader of my term: a second one is never believed."""
        state = self._part.state
        return state.role is not Role.LEADER and state.leader in {"", message.sender}

    def deadline(self) -> Nanos | None:
        """When `on_timer` should be called at the latest, unless something else happens."""
        part, state = self._part, self._part.state
        match state.role:
            case Role.LEADER:
                return part.beat_at if state.progress else None
            case Role.FOLLOWER:
                return part.stand_at if state.may_stand else None
            case Role.PRE_CANDIDATE | Role.CANDIDATE:
                if state.is_alone:
                    return None  # its disk decides, not a clock
                return min(part.beat_at, part.stand_at)
            case _:
                assert_never(state.role)

    def on_timer(self, now: Nanos) -> None:
        """Time has passed: do what is due, nothing if this call is early."""
        part = self._part
        deadline = self.deadline()
        part.now = now
        if deadline is None or now < deadline:
            return
        if part.state.role is Role.LEADER:
            if self._still_leads():
                replication.heartbeat(part)
                snapshot.retry(part)
        elif now >= part.stand_at and part.state.may_stand:
            election.stand(part)
        elif part.state.role is not Role.FOLLOWER:
            election.ask_again(part)

    def _still_leads(self) -> bool:
        """A leader's timer: no majority heard for an election time-out, and it steps down."""
        part, state = self._part, self._part.state
        assert state.role is Role.LEADER, "others have no heartbeat"
        if part.count_heard(part.now - part.longest) < state.members.majority:
            part.follow(state.hard.term, "")
            return False
        transfer.give_up(part)
        return True

    def beat(self, now: Nanos) -> tuple[Beat, tuple[str, ...]] | None:
        """In place of a leader's `on_timer`: the heartbeat, due or not. The host brings the beat
        to the followers that are named; to the others there is an AppendEntries in `ready`.
        None: it leads no more."""
        part = self._part
        part.now = now
        if not self._still_leads():
            return None
        found = heartbeats.beat(part)
        snapshot.retry(part)
        return found

    def step_beat(self, leader: str, beat: Beat, now: Nanos) -> bool:
        """A beat has come. True: it is taken, `beat_taken` is what its leader should be told,
        and nothing else is to be done. False: the answer is in `ready`."""
        self._part.now = now
        if heartbeats.take(self._part, beat, leader):
            return True
        self.step(beat.spelled_out(leader), now)
        return False

    def beat_taken(self, follower: str, term: int, now: Nanos) -> None:
        """A follower has taken this server's beat of that term."""
        self._part.now = now
        heartbeats.note_taken(self._part, follower, term)

    def stand(self, now: Nanos, *, is_rehearsed: bool = False) -> None:
        """Stand for election now, without waiting for the timer; nothing if it may not.

        `is_rehearsed` goes without the pre-vote, as in the paper.
        """
        self._part.now = now
        state = self._part.state
        if state.role is not Role.LEADER and state.may_stand:
            election.stand(self._part, is_rehearsed=is_rehearsed)

    def peer_closed(self, peer: str, now: Nanos) -> None:
        """The link to another server broke.

        A leader begins to probe there. A follower of that leader believes it dead, and waits
        only a moment, by chance, as all who noticed do; should the leader live, the others hear
        it, and say no.
        """
        part = self._part
        part.now = now
        progress = part.progress_of(peer)
        if progress is not None:
            part.put_progress(progress.probing(progress.match + 1))
        elif part.state.role is Role.FOLLOWER and part.state.leader == peer:
            part.follow(part.state.hard.term, "")
            part.restart_timer()
            part.stand_at = now + max(0, part.timeout - part.shortest) // 2

    # What is asked of it.

    def propose(self, data: bytes) -> int:
        """Append a command to the log and return its index; raises `NotLeader`.

        Nothing is promised: the entry may be lost until `ready` gives it out as committed.
        """
        part = self._part
        state = part.state
        if state.role is not Role.LEADER:
            raise NotLeader(state.leader)
        if state.transfer is not None:
            raise NotLeader(state.transfer.to)
        index = state.log.last_index + len(part.proposed) + 1
        part.proposed.append(Entry(index, state.hard.term, EntryKind.COMMAND, data))
        part.is_due = True
        return index

    def read(self, context: int) -> None:
        """Ask for an index at which a read may be served; `Ready.reads` answers.

        Raises `NotLeader`. A leader that steps down forgets the reads that wait.
        """
        state = self._part.state
        if state.role is not Role.LEADER:
            raise NotLeader(state.leader)
        self._part.asked.append(context)
        self._part.is_due = True

    def transfer(self, to: str, now: Nanos) -> None:
        """Hand the leadership to another voter, as soon as it has the whole log.

        Proposals are refused meanwhile (thesis 3.10). If it doesn't succeed within an
        election time-out this server goes on leading.
        """
        transfer.begin(self._part, to, now)

    def change(self, members: Members) -> int:
        """Append a change of members by one server; raises `ChangeUnderWay` or `NotLeader`."""
        return membership.change(self._part, members)

    def send_snapshot(
        self, to: str, last_index: int, offset: int, data: bytes, *, is_done: bool
    ) -> None:
        """The piece that `Ready.wanted` asked for; see `snapshot.py`."""
        snapshot.send_piece(self._part, to, last_index, offset, data, is_done=is_done)

    def installed(self, index: int) -> None:
        """The whole snapshot of this index is durable, a marker as its log: see `snapshot.py`."""
        snapshot.installed(self._part, index)

    def trim(self, upto: int) -> None:
        """Forget the log up to this index, but never the entry that was delivered last.

        Nor what follows a snapshot that is on its way.
        """
        part = self._part
        part.fold()
        state = part.state
        upto = min(upto, state.delivered - 1)
        for progress in state.progress:
            if progress.sending.last:
                upto = min(upto, progress.sending.last - 1)
        if upto >= state.log.first:
            assert upto < state.delivered, "the last that was delivered tells the term"
            part.state = state._replace(log=state.log.trimmed(upto))

    # What it wants done.

    def on_persisted(self, number: int) -> None:
        """What the `Ready` of this number and those before gave out to be written is durable."""
        handing.on_persisted(self._part, number)

    def ready(self) -> Ready | None:
        """What has to be written, sent and applied now, None if nothing. Each is said once."""
        return handing.ready(self._part)
