"""A group of Raft cores in your hand: no clock, no network, every message goes when you say so.

A running cluster is too fast to look at. Here are the same cores, the code that runs in each
server, and between them a table on which their messages lie until one is delivered. So a
schedule that needs bad luck in the network is a few lines:

    cores = Cores("abc")
    cores.elect("a", "b")               # a stands, b votes, c hears nothing
    cores.put("a", "x=1")
    cores.send("a", "b")                # the oldest message from a to b arrives
    show(server_logs(cores.logs, pointers=cores.pointers, title="b has it"))

Each message carries one entry. A disk is done at once. `rules` replaces decisions of all, or
by name of some. `promised` is what a leader took for committed: what it gives acks for.

Left out: timers, leases and snapshots; `kvcore.sim` has servers with all of these.
"""

from collections.abc import Mapping

from kvcore.check.explored import content
from kvcore.raft.core import Raft
from kvcore.raft.entry import Entry, EntryKind, Members
from kvcore.raft.messages import AppendEntries, Message
from kvcore.raft.rules import PAPER, Rules
from kvcore.raft.state import Role, State, founded, recovered
from kvcore.viz.serverlogs import LogEntry, Pointers, ServerLog

_TRIES_COUNT = 4
_TALK_COUNT = 200
_BYTES = 1  # in an append: one entry


class Cores:
    """See the module's text. `lines` tells what happened, a line an event."""

    def __init__(self, names: str = "abc", *, rules: Rules | Mapping[str, Rules] = PAPER) -> None:
        self._rules = dict(rules) if isinstance(rules, Mapping) else dict.fromkeys(names, rules)
        members = Members(tuple(names))
        self._states = {name: founded(name, members) for name in names}
        self._down: dict[str, None] = {}
        self._gone: dict[str, list[LogEntry]] = {name: [] for name in names}
        self._flying: list[tuple[str, Message]] = []
        self.lines: list[str] = []
        self.promised: dict[int, tuple[Entry, str]] = {}  # by index: and by whom
        for name in names:
            self._settle(name, self._raft(name))

    # What may happen.

    def elect(self, name: str, *voters: str) -> None:
        """It stands until it leads; of the others only `voters` hear of it."""
        for _ in range(_TRIES_COUNT):
            raft = self._raft(name)
            raft.stand(0, is_rehearsed=True)
            self.lines.append(f"{name} stands for election in term {raft.term}")
            self._settle(name, raft)
            for voter in voters:
                self.send(name, voter)
                if self._waiting(voter, name):
                    self.send(voter, name)
            self._flying = [each for each in self._flying if self._is_append(name, each)]
            if self.role(name) is Role.LEADER:
                return
        raise AssertionError(f"{name} isn't elected")

    def put(self, name: str, text: str) -> int:
        """A client's command reaches a leader; the index of its entry."""
        raft = self._raft(name)
        index = raft.propose(text.encode())
        self.lines.append(f"{name} leads term {raft.term} and appends entry {index}: {text}")
        self._settle(name, raft)
        return index

    def send(self, sender: str, to: str, *, again: bool = False) -> Message:
        """The oldest message between the two arrives; with `again` a copy of it stays behind."""
        fitting = self._waiting(sender, to)
        assert fitting, f"nothing is on its way from {sender} to {to}"
        message = fitting[0]
        if not again:
            self._flying.remove((to, message))
        self.deliver(to, message)
        return message

    def deliver(self, to: str, message: Message) -> None:
        """This message arrives, wherever it was: a duplicate, for one."""
        if to in self._down:
            return
        raft = self._raft(to)
        self.lines.append(f"{to} receives from {message.sender}: {content(message)}")
        raft.step(message, 0)
        self._settle(to, raft)

    def talk(self, one: str, other: str) -> None:
        """The two exchange messages until there are none."""
        for _ in range(_TALK_COUNT):
            if self._waiting(one, other):
                self.send(one, other)
            elif self._waiting(other, one):
                self.send(other, one)
            else:
                return
        raise AssertionError(f"{one} and {other} never come to an end")

    def settle(self, leader: str) -> None:
        """The leader and every other server that runs exchange messages until there are none."""
        for name in self._states:
            if name != leader:
                self.talk(leader, name)
        for name in self._states:  # what it told the first, the others may not know yet
            if name != leader:
                self.talk(leader, name)

    def lose(self) -> None:
        """All that is on its way never arrives."""
        self._flying = []

    def crash(self, name: str) -> None:
        """A server is gone; what it has sent may still arrive."""
        self.lines.append(f"{name} crashes")
        self._down[name] = None

    def restart(self, name: str) -> None:
        """It comes back with what its disk has."""
        self.lines.append(f"{name} is back, with its disk")
        self._down.pop(name, None)
        state = self._states[name]
        self._states[name] = recovered(name, state.hard, state.log.entries, 0)
        self._settle(name, self._raft(name))

    # What can be seen.

    def state(self, name: str) -> State:
        """All that one of them knows."""
        return self._states[name]

    def role(self, name: str) -> Role:
        """What it is now."""
        return self._states[name].role

    @property
    def logs(self) -> tuple[ServerLog, ...]:
        """Their logs, for `server_logs`."""
        return tuple(
            ServerLog(
                name,
                tuple(_shown(each) for each in state.log.entries),
                state.commit,
                "leader" if state.role is Role.LEADER else "follower",
                state.hard.term,
                tuple(self._gone[name]),
                down=name in self._down,
            )
            for name, state in self._states.items()
        )

    @property
    def pointers(self) -> tuple[Pointers, ...]:
        """What the leader of the latest term knows of the others."""
        up = [state for name, state in self._states.items() if name not in self._down]
        leaders = [state for state in up if state.role is Role.LEADER]
        if not leaders:
            return ()
        latest = max(leaders, key=lambda state: state.hard.term)
        return tuple(Pointers(each.name, each.match, each.next) for each in latest.progress)

    def broken(self) -> str:
        """Which promise a later leader has broken, in a sentence; "" while all are kept."""
        for index, (entry, by) in self.promised.items():
            for name, state in self._states.items():
                is_later = state.role is Role.LEADER and state.hard.term > entry.term
                if is_later and state.log.term(index) != entry.term:
                    what = entry.data.decode()
                    return (
                        f"{by} took {what} (entry {index}) for committed; {name}, leader of term "
                        f"{state.hard.term}, doesn't have it"
                    )
        return ""

    # How it works.

    def _raft(self, name: str) -> Raft:
        raft = Raft(self._states[name], self._rules.get(name, PAPER))
        raft.limit_appends(_BYTES)
        return raft

    def _settle(self, name: str, raft: Raft) -> None:
        """The disk writes at once, what is to be sent lies on the table."""
        before, wrong = self._states[name].log, 0
        while (ready := raft.ready()) is not None:
            if ready.wipe:
                wrong = ready.truncate_from or 1
            self._flying += (*ready.send_now, *ready.send_after_persist)
            raft.on_persisted(ready.number)
            for entry in ready.committed:
                if raft.role is Role.LEADER and entry.kind is EntryKind.COMMAND:
                    self.promised.setdefault(entry.index, (entry, name))
                    what = f"entry {entry.index} of term {entry.term}"
                    self.lines.append(f"  {name} takes {what} for committed: it may ack it")
        state = self._states[name] = raft.state
        if state.log is not before:
            gone = [e for e in before.entries if state.log.term(e.index) != e.term]
            gone = [each for each in gone if each.index >= wrong]
            self._gone[name] += [_shown(each) for each in gone]
            self.lines += [f"  {name} cuts off entry {e.index} of term {e.term}" for e in gone]
        if wrong:
            why = "it had applied what it cuts off"
            self.lines.append(f"  {name} begins anew, with an empty log and no vote: {why}")

    def _waiting(self, sender: str, to: str) -> list[Message]:
        return [m for receiver, m in self._flying if (m.sender, receiver) == (sender, to)]

    def _is_append(self, name: str, each: tuple[str, Message]) -> bool:
        return isinstance(each[1], AppendEntries) and each[1].sender == name


def _shown(entry: Entry) -> LogEntry:
    text = entry.data.decode() if entry.kind is EntryKind.COMMAND else entry.kind.name.lower()
    return LogEntry(entry.index, entry.term, text.replace("noop", "no-op"))
