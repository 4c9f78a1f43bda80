"""One server's part in one group: its state, its clocks and its out-trays.

The steps of Raft are written in five modules (`election.py`, `replication.py`, `reads.py`,
`membership.py`, `snapshot.py`) as functions that are given a `Part`, replace its state by the
next one and lay messages into a tray. What all of them need stands here.

There are two trays. A message that promises something (a vote, an entry kept) must not leave
before the promise is durable. A leader's entries promise nothing: they may overtake its own
disk (thesis 10.2.1). Two trays say which is which, and the host only has to obey.

Clocks stand beside the state, not in it, so that two servers that know the same are equal at
any time of day. When a server is made from a state, its clocks begin anew: it has heard from
nobody, and waits for one election time-out.

Left out: when the steps are taken; `core.py`.
"""

from collections.abc import Iterable
from random import Random
from typing import NamedTuple

from kvcore import limits
from kvcore.limits import Nanos
from kvcore.raft.entry import Entry, EntryKind
from kvcore.raft.messages import Beat, InstallSnapshot, Message
from kvcore.raft.progress import Progress
from kvcore.raft.rules import Rules
from kvcore.raft.state import TRANSITIONS, Role, State

NEVER: Nanos = -(1 << 62)  # when someone was heard who was never heard


class Judged(NamedTuple):
    """A state, the beat that a leader sends in it, and who is told all by that; or the beat
    that changes nothing for a follower in it, and whose it is."""

    state: State | None = None
    beat: Beat = Beat(0, 0, 0)
    names: tuple[str, ...] = ()


class Part:
    """See the module's text. `is_due`: a leader has something to send to somebody."""

    __slots__ = (
        "answered",
        "append_bytes",
        "asked",
        "beat_at",
        "chance",
        "chunk",
        "first_mark",
        "heard",
        "is_due",
        "judged",
        "leader_heard",
        "longest",
        "now",
        "pace",
        "proposed",
        "rules",
        "shortest",
        "stand_at",
        "state",
        "timeout",
        "transfer_until",
        "tray",
        "tray_after",
        "wanted",
        "wipe",
    )

    def __init__(
        self,
        state: State,
        rules: Rules,
        timers: tuple[Nanos, Nanos, Nanos],
        chance: Random,
        now: Nanos,
    ) -> None:
        self.state = state
        self.rules = rules
        self.pace, self.shortest, self.longest = timers
        self.chance = chance
        self.now = now
        self.append_bytes = limits.APPEND_BYTES
        self.timeout: Nanos = 0  # drawn when it is first needed
        self.stand_at = NEVER
        self.beat_at = now
        self.leader_heard = NEVER
        self.heard: dict[str, Nanos] = {}
        self.transfer_until = NEVER
        self.proposed: list[Entry] = []  # of this turn, not in the state's log yet
        self.asked: list[int] = []  # reads of this turn
        self.answered: list[tuple[int, int]] = []
        self.tray: list[tuple[str, Message]] = []
        self.tray_after: list[tuple[str, Message]] = []
        self.wanted: list[tuple[str, int, int]] = []
        self.chunk: InstallSnapshot | None = None
        self.first_mark = 1  # the number of the state's first unsynced mark
        self.wipe = False
        self.judged = Judged()
        self.is_due = state.role is Role.LEADER

    def fold(self) -> None:
        """Let this turn's proposals join the log: its tail is copied once, not once for each."""
        if self.proposed:
            state, entries = self.state, tuple(self.proposed)
            assert state.role is Role.LEADER, "only a leader appends of its own accord"
            self.proposed = []
            self.state = state._replace(log=state.log.spliced(state.log.last_index, entries))

    def become(self, role: Role) -> None:
        """Take a role; only the moves of the paper's figure 4 exist."""
        mine = self.state.role
        assert role in TRANSITIONS[mine], f"a {mine.value} can't become {role.value}"
        self.state = self.state._replace(role=role)

    def follow(self, term: int, leader: str) -> None:
        """Be a follower in this term, which is mine or a later one (section 5.1).

        All that a candidate or a leader knew besides is dropped, so are reads that wait.
        """
        state = self.state
        assert term >= state.hard.term, "a term never falls"
        if state.role is Role.FOLLOWER and term == state.hard.term:
            if leader != state.leader:
                assert not state.leader or not leader, "two leaders in one term"
                self.state = state._replace(leader=leader)
            return
        self.fold()
        state = self.state
        if state.role is not Role.FOLLOWER:
            self.become(Role.FOLLOWER)
            self.restart_timer()
        hard, is_handed = state.hard, state.hard_handed
        if term > hard.term:
            hard, is_handed = hard.voted(term, ""), False
        self.state = self.state._replace(
            hard=hard, hard_handed=is_handed, leader=leader, granted=(), refused=(),
            progress=(), term_start=0, rounds=(), transfer=None,
        )  # fmt: skip
        self.asked, self.wanted, self.is_due = [], [], False

    def restart_timer(self) -> None:
        """Wait for a leader, from now on, for a time that is drawn anew (section 5.2)."""
        self.timeout = self.rules.election_timeout(
            self.shortest, self.longest, self.chance.random()
        )
        self.stand_at = self.now + self.timeout

    def hears_leader(self) -> bool:
        """Whether there is a leader that a candidate would only disturb (thesis 4.2.3).

        I have heard from it within the shortest time-out; or I am it, and a majority follows.
        """
        state, since = self.state, self.now - self.shortest
        if state.role is Role.LEADER:
            return self.count_heard(since) >= state.members.majority
        return state.leader != "" and self.leader_heard > since

    def hears(self, name: str) -> bool:
        """Whether a member has said something within the longest time-out."""
        return self.heard.get(name, NEVER) > self.now - self.longest

    def count_heard(self, since: Nanos) -> int:
        """How many voters have been heard after this time; a server always hears itself."""
        heard, server = self.heard, self.state.server
        voters = self.state.members.voters
        return sum(name == server or heard.get(name, NEVER) > since for name in voters)

    def send(self, to: str, message: Message) -> None:
        """Send what promises nothing."""
        assert to != self.state.server, "nobody writes to himself"
        self.tray.append((to, message))

    def promise(self, to: str, message: Message) -> None:
        """Send this when all that the state says now is durable."""
        assert to != self.state.server, "nobody writes to himself"
        self.tray_after.append((to, message))

    def progress_of(self, name: str) -> Progress | None:
        """What the leader knows of a follower."""
        for progress in self.state.progress:
            if progress.name == name:
                return progress
        return None

    def put_progress(self, new: Progress) -> None:
        """Replace what the leader knows of one follower."""
        state = self.state
        assert state.role is Role.LEADER, "only a leader has followers"
        progress = tuple(new if old.name == new.name else old for old in state.progress)
        self.state = state._replace(progress=progress)

    def commit_to(self, index: int) -> None:
        """All up to this index is committed. A change of members so becomes the group's past."""
        state = self.state
        assert state.commit < index <= state.log.last_index, f"commit {state.commit} to {index}"
        self.state = state._replace(commit=index)
        if state.members_index > state.commit:
            self.remember_members()

    def remember_members(self) -> None:
        """Put the last committed members beside term and vote: they outlive the log's tail."""
        state = self.state
        members = state.log.members_at(state.commit)
        assert state.commit >= state.log.first, "what was committed last is kept"
        if members != state.hard.members:
            self.state = state._replace(hard=state.hard.among(members), hard_handed=False)


def has_change(entries: Iterable[Entry]) -> bool:
    """Whether one of these entries changes the members."""
    return any(entry.kind is EntryKind.MEMBERS for entry in entries)
