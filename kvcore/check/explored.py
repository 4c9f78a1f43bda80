"""What an explorer keeps of one server, and how it judges one step.

The explorer (`explore.py`) holds thousands of worlds at a time, so all here are values. A
`Node` is a server: its state, what its disk has, and what was written but isn't durable. The
properties of figure 3 speak of the past as well ("is present in the logs of the leaders of
*all* later terms"), so each world carries a `Ghost`: who led which term, and what was
committed when. No server can see it.

`invariants.py` judges the same properties in a running simulation, where the past is long and
grows in place; here it is short, and forks.

Left out: the search.
"""

from typing import NamedTuple

from kvcore.check.invariants import (
    ELECTION_SAFETY,
    LEADER_APPEND_ONLY,
    LEADER_COMPLETENESS,
    LOG_MATCHING,
    STATE_MACHINE_SAFETY,
    InvariantViolated,
)
from kvcore.raft.entry import Entry, HardState
from kvcore.raft.messages import (
    AppendEntries,
    AppendReply,
    InstallSnapshot,
    Message,
    RequestVote,
    SnapshotReply,
    TimeoutNow,
    VoteReply,
)
from kvcore.raft.state import Role, State, recovered


class Batch(NamedTuple):
    """What the disk has when it has written this batch, and what may be sent then."""

    hard: HardState
    entries: tuple[Entry, ...]
    held: tuple[tuple[str, Message], ...] = ()


class Node(NamedTuple):
    """A server. `disk` None: the disk has what the state says."""

    state: State
    batches: tuple[Batch, ...] = ()
    disk: Batch | None = None

    def wrote(self, state: State, held: tuple[tuple[str, Message], ...], *, is_new: bool) -> "Node":
        """After a batch was given to the disk, or messages that wait for the last one."""
        if not is_new and not self.batches:
            return self
        if is_new:
            batch = Batch(state.hard, state.log.entries, held)
            return self._replace(batches=(*self.batches, batch))
        last = self.batches[-1]
        return self._replace(batches=(*self.batches[:-1], last._replace(held=last.held + held)))


def recover(node: Node, *, is_late: bool) -> State:
    """The state after a restart. The machine begins anew and is fed from the log."""
    state, disk = node.state, node.disk
    if disk is None and not is_late:
        disk = Batch(state.hard, state.log.entries)
    if disk is None:  # nothing was ever durable after the founding
        first = state.log.entries[0]
        disk = Batch(HardState(1, "", state.hard.members), (first,))
    return recovered(state.server, disk.hard, disk.entries, 0)


class Ghost(NamedTuple):
    """The past: (term, server) of each leader, and (entry, term) of what was committed."""

    leaders: tuple[tuple[int, str], ...]
    chosen: tuple[tuple[Entry, int], ...]  # by index, from 1 on


class Step(NamedTuple):
    """One server took a step: all states after it, and its own before."""

    ghost: Ghost
    place: int
    before: State
    states: tuple[State, ...]


def judge(step: Step) -> Ghost:
    """The past after a step; raises `InvariantViolated`."""
    ghost, state = step.ghost, step.states[step.place]
    if state.log is not step.before.log:
        for other in step.states:
            if other is not state:
                _check_matching(state, other)
    if state.role is Role.LEADER:
        if step.before.role is Role.LEADER and step.before.hard.term == state.hard.term:
            _check_append_only(step.before, state)
        else:
            ghost = _enthrone(ghost, state)
    if state.commit > step.before.commit:
        ghost = _choose(ghost, step)
    return ghost


def _enthrone(ghost: Ghost, leader: State) -> Ghost:
    term = leader.hard.term
    for led, server in ghost.leaders:
        if led == term and server != leader.server:
            raise InvariantViolated(
                ELECTION_SAFETY, f"{server} and {leader.server} both lead term {term}"
            )
    for entry, chosen_in in ghost.chosen:
        _check_complete(leader, entry, chosen_in)
    return ghost._replace(leaders=tuple(sorted((*ghost.leaders, (term, leader.server)))))


def _check_complete(leader: State, entry: Entry, chosen_in: int) -> None:
    if chosen_in < leader.hard.term and leader.log.term(entry.index) != entry.term:
        raise InvariantViolated(
            LEADER_COMPLETENESS,
            f"entry {entry.index} of term {entry.term} was committed in term {chosen_in}, and "
            f"{leader.server}, leader of term {leader.hard.term}, doesn't have it",
        )


def _choose(ghost: Ghost, step: Step) -> Ghost:
    state = step.states[step.place]
    chosen = list(ghost.chosen)
    for entry in state.log.slice(0, state.commit):
        if entry.index > len(chosen):
            chosen.append((entry, state.hard.term))
            for other in step.states:
                if other.role is Role.LEADER:
                    _check_complete(other, entry, state.hard.term)
        elif chosen[entry.index - 1][0] != entry:
            raise InvariantViolated(
                STATE_MACHINE_SAFETY,
                f"{state.server} commits entry {entry.index} of term {entry.term}, where one of "
                f"term {chosen[entry.index - 1][0].term} was committed",
            )
    return ghost._replace(chosen=tuple(chosen))


def _check_append_only(before: State, leader: State) -> None:
    old = before.log.entries
    if leader.log.entries[: len(old)] != old:
        raise InvariantViolated(
            LEADER_APPEND_ONLY, f"{leader.server} leads term {leader.hard.term}, and cut its log"
        )


def _check_matching(one: State, other: State) -> None:
    last = min(one.log.last_index, other.log.last_index)
    mine, theirs = one.log.entries[:last], other.log.entries[:last]
    if mine == theirs:
        return
    for place in range(last - 1, -1, -1):
        if mine[place].term == theirs[place].term:
            if mine[: place + 1] != theirs[: place + 1]:
                raise InvariantViolated(
                    LOG_MATCHING,
                    f"{one.server} and {other.server} have an entry {place + 1} of term "
                    f"{mine[place].term}, and differ at or before it",
                )
            return


def describe(kind: str, state: State, message: Message | None) -> str:
    """One event, for a reader."""
    name = state.server
    if kind == "stand":
        return f"{name} stands for election in term {state.hard.term + 1}"
    if kind == "propose":
        return f"{name}, leader of term {state.hard.term}, appends entry {state.last_index + 1}"
    if kind == "restart":
        return f"{name} crashes and restarts"
    if kind == "sync":
        return f"{name}'s disk has written"
    assert message is not None, "something arrives"
    again = ", and will again" if kind == "double" else ""
    return f"{name} receives from {message.sender}: {content(message)}{again}"


def content(message: Message) -> str:
    """What a message says, for a reader."""
    match message:
        case RequestVote():
            log = f"last entry {message.last_index} of term {message.last_term}"
            return f"your vote for term {message.term}? {log}"
        case VoteReply():
            return f"{'my vote' if message.is_granted else 'no vote'} in term {message.term}"
        case AppendEntries():
            terms = [f"{entry.index} (term {entry.term})" for entry in message.entries]
            what = f"entries {', '.join(terms)}" if terms else "no entries"
            return f"term {message.term}, {what} after {message.previous_index}"
        case AppendReply():
            if message.is_taken:
                return f"term {message.term}, I have up to {message.index}"
            return f"term {message.term}, refused, try {message.index}"
        case InstallSnapshot():
            return f"term {message.term}, snapshot of {message.last_index} from {message.offset}"
        case SnapshotReply():
            what = "it stands" if message.is_installed else f"next byte {message.offset}"
            return f"term {message.term}, snapshot of {message.last_index}, {what}"
        case TimeoutNow():
            return f"term {message.term}, stand now"
