"""Every run of a small group, up to a bound: is there one that breaks a property of figure 3?

A test tries one order of events, a random one a thousand. With three servers, two terms and
one crash there are some ten thousand states, so they can all be visited. The search goes
breadth first: the first violation that it meets has a shortest way from the start, and that
is what one wants to read.

An event is one of these; whatever may happen next is tried:

    stand       a server's timer runs out and it stands for election, without a rehearsal
    deliver     one of the messages on their way arrives, in any order; its answer comes back
                at once, or is lost with it (`is_prompt`), or is on its way like any other
    double      it arrives, and will arrive once more
    propose     a leader is given a command
    restart     a server forgets all but its disk
    sync        the disk has the oldest batch that was written (only with `late_syncs`)

A message that never arrives is lost: no event is needed for that. Servers take one event to
its end, disk included, unless `late_syncs` puts time between writing and having written.

Worlds are compared by value. Each different state of a server, and each different message,
gets a number; a world is a tuple of numbers, and what a server does with an event is worked
out once, however many worlds it happens in.

Left out: clocks, leases, snapshots and changes of members; `tests/raft/` has those at random.
"""

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeAlias

from kvcore.check.explored import Batch, Ghost, Node, Step, content, describe, judge, recover
from kvcore.check.invariants import InvariantViolated
from kvcore.raft.core import Raft
from kvcore.raft.entry import Members
from kvcore.raft.messages import AppendReply, Message, SnapshotReply, VoteReply
from kvcore.raft.rules import PAPER, Rules
from kvcore.raft.state import Role, State, founded

_ANSWERS = (VoteReply, AppendReply, SnapshotReply)

# Half of the paper's figure 8: a led term 2 and b leads term 3, each with an entry that nobody
# else has; a knows that its time is over.
FIGURE_8 = ("stand a", "a>b", "stand b", "b>a")


@dataclass(frozen=True, slots=True)
class Bounds:
    """How far the search goes."""

    terms: int = 4  # nobody stands beyond this one; a group is founded in term 1
    proposals: int = 1
    restarts: int = 1
    doubles: int = 0
    in_flight: int = 8  # messages; of more the oldest is lost
    states: int = 20_000


@dataclass(frozen=True, slots=True)
class Host:
    """How servers are held. The last two are mistakes, for showing what they lead to."""

    is_prompt: bool = True
    late_syncs: bool = False
    append_bytes: int = 1  # an entry at a time, as in the paper
    forgets_votes: bool = False  # term and vote reach the disk without the vote
    acks_early: bool = False  # promises leave before the disk has what they promise


@dataclass(frozen=True, slots=True)
class Finding:
    """A property that doesn't hold, and a shortest way there."""

    name: str
    evidence: str
    events: tuple[str, ...]

    def __str__(self) -> str:
        lines = [f"{number:3} {event}" for number, event in enumerate(self.events, 1)]
        return "\n".join([f"{self.name}: {self.evidence}", *lines])


@dataclass(frozen=True, slots=True)
class Exploration:
    """What a search came to. `is_complete`: there are no more states within the bounds."""

    states: int
    steps: int
    finding: Finding | None
    is_complete: bool


Numbered: TypeAlias = tuple[int, ...]


class World(NamedTuple):
    """One state of everything, in numbers."""

    nodes: Numbered
    flying: Numbered  # sorted
    spent: tuple[int, int, int]  # proposals, restarts, doubles
    ghost: Ghost


class Event(NamedTuple):
    """What happens: its kind, the server, and the message's number if there is one."""

    kind: str
    server: int
    message: int = -1


def explore(
    *,
    servers: int = 3,
    rules: Rules | Mapping[str, Rules] = PAPER,
    bounds: Bounds = Bounds(),
    host: Host = Host(),
    start: tuple[str, ...] = (),
) -> Exploration:
    """Search all runs within the bounds for a violated property.

    `rules` are one for all, or for some servers by name ("a", "b", …). `start` is played
    first, see `Explorer.play`; it counts as part of the finding's events.
    """
    return Explorer(servers, rules, bounds, host).search(start)


class Explorer:
    """One search; see the module's text."""

    def __init__(
        self, servers: int, rules: Rules | Mapping[str, Rules], bounds: Bounds, host: Host
    ) -> None:
        self.names = "abcdefgh"[:servers]
        assert 1 <= servers <= len("abcdefgh"), "a handful of servers"
        by_name = rules if isinstance(rules, Mapping) else dict.fromkeys(self.names, rules)
        self._rules = {name: by_name.get(name, PAPER) for name in self.names}
        self._bounds = bounds
        self._host = host
        self._nodes: list[Node] = []
        self._node_numbers: dict[Node, int] = {}
        self._messages: list[tuple[int, Message]] = []  # whom for
        self._message_numbers: dict[tuple[int, Message], int] = {}
        self._steps: dict[tuple[int, Event], tuple[int, Numbered]] = {}
        members = Members(tuple(self.names))
        nodes = []
        for place, name in enumerate(self.names):
            raft = self._raft(founded(name, members), name)
            node, _ = self._settle(place, raft, Node(raft.state), is_late=False)
            nodes.append(self._number(node))
        entry = self._nodes[nodes[0]].state.log.entries[0]
        self.first = World(tuple(nodes), (), (0, 0, 0), Ghost((), ((entry, 1),)))

    def search(self, start: tuple[str, ...] = ()) -> Exploration:
        """Breadth first from the start, until something is found or the bounds are met."""
        world, told, finding = self.play(start)
        if finding is not None:
            return Exploration(len(told), len(told), finding, is_complete=False)
        parents: dict[World, tuple[World, Event] | None] = {world: None}
        todo, steps = deque([world]), 0
        while todo and len(parents) < self._bounds.states:
            world = todo.popleft()
            for event in self._events(world):
                steps += 1
                try:
                    after = self._after(world, event)
                except AssertionError as error:
                    events = told + self._way(world, parents) + (self._tell(world, event),)
                    found = _finding(error, events)
                    return Exploration(len(parents), steps, found, is_complete=False)
                if after is not None and after not in parents:
                    parents[after] = (world, event)
                    todo.append(after)
        return Exploration(len(parents), steps, None, is_complete=not todo)

    def play(self, script: tuple[str, ...]) -> tuple[World, tuple[str, ...], Finding | None]:
        """Play a script: "stand a", "propose a", "restart a", "sync a", "a>b", "lose".

        "a>b" delivers the newest message from a to b, "lose" loses all that is on its way.
        """
        world, told = self.first, tuple[str, ...]()
        for line in script:
            if line == "lose":
                world = world._replace(flying=())
                continue
            event = self._parse(world, line)
            told = (*told, self._tell(world, event))
            try:
                after = self._after(world, event)
            except AssertionError as error:
                return world, told, _finding(error, told)
            assert after is not None, f"nothing comes of {line!r}"
            world = after
        return world, told, None

    def _parse(self, world: World, line: str) -> Event:
        if ">" in line:
            sender, _, to = line.partition(">")
            fitting = [
                number
                for number in world.flying
                if self._messages[number][0] == self.names.index(to)
                and self._messages[number][1].sender == sender
            ]
            assert fitting, f"nothing is on its way for {line!r}"
            return Event("deliver", self.names.index(to), fitting[-1])
        kind, _, name = line.partition(" ")
        assert kind in {"stand", "propose", "restart", "sync"}, f"no event is called {kind!r}"
        return Event(kind, self.names.index(name))

    # What may happen, and what comes of it.

    def _events(self, world: World) -> Iterator[Event]:
        bounds, (proposals, restarts, doubles) = self._bounds, world.spent
        for place, number in enumerate(world.nodes):
            state = self._nodes[number].state
            if state.role is Role.LEADER:
                if proposals < bounds.proposals:
                    yield Event("propose", place)
            elif state.hard.term < bounds.terms:
                yield Event("stand", place)
            if restarts < bounds.restarts:
                yield Event("restart", place)
            if self._nodes[number].batches:
                yield Event("sync", place)
        before = -1
        for number in world.flying:
            if number != before:
                yield Event("deliver", self._messages[number][0], number)
                if doubles < bounds.doubles:
                    yield Event("double", self._messages[number][0], number)
            before = number

    def _after(self, world: World, event: Event) -> World | None:
        """The world after an event; None if nothing comes of it."""
        kind, _, number = event
        proposals, restarts, doubles = world.spent
        flying = list(world.flying)
        if kind == "deliver":
            flying.remove(number)
        spent = (
            proposals + (kind == "propose"),
            restarts + (kind == "restart"),
            doubles + (kind == "double"),
        )
        nodes, ghost = list(world.nodes), world.ghost
        todo = [event]
        is_changed = kind == "restart"
        while todo:
            step = todo.pop(0)
            before = nodes[step.server]
            nodes[step.server], sent = self._step(before, step, proposals)
            is_changed = is_changed or before != nodes[step.server] or bool(sent)
            states = tuple(self._nodes[n].state for n in nodes)
            old = self._nodes[before].state
            if before != nodes[step.server]:
                ghost = judge(Step(ghost, step.server, old, states))
            for number in sent:
                to, message = self._messages[number]
                is_answer = isinstance(message, _ANSWERS)
                if self._host.is_prompt and is_answer:
                    todo.append(Event("deliver", to, number))
                else:
                    flying.append(number)
        if not is_changed:
            return None
        terms = [self._nodes[n].state.hard.term for n in nodes]
        left = sorted(n for n in flying if self._messages[n][1].term >= terms[self._messages[n][0]])
        return World(tuple(nodes), tuple(left[-self._bounds.in_flight :]), spent, ghost)

    def _step(self, node: int, event: Event, proposals: int) -> tuple[int, Numbered]:
        """What one server does with an event: its next state, and what it sends."""
        kind = "deliver" if event.kind == "double" else event.kind
        extra = proposals if kind == "propose" else event.message
        key = (node, Event(kind, event.server, extra))
        known = self._steps.get(key)
        if known is None:
            known = self._steps[key] = self._work_out(self._nodes[node], key[1])
        return known

    def _work_out(self, node: Node, event: Event) -> tuple[int, Numbered]:
        name = self.names[event.server]
        if event.kind == "restart":
            node = Node(recover(node, is_late=self._host.late_syncs))
        raft = self._raft(node.state, name)
        held: tuple[tuple[str, Message], ...] = ()
        if event.kind == "stand":
            raft.stand(0, is_rehearsed=True)
        elif event.kind == "propose":
            raft.propose(b"value %d" % (event.message + 1))
        elif event.kind == "deliver":
            raft.step(self._messages[event.message][1], 0)
        elif event.kind == "sync":
            batch, *left = node.batches
            held = batch.held
            node = Node(node.state, tuple(left), batch)
            raft.on_persisted(1)
        node, sent = self._settle(event.server, raft, node, is_late=self._host.late_syncs)
        numbers = [self._number_message(to, message) for to, message in (*held, *sent)]
        return self._number(node), tuple(numbers)

    def _settle(
        self, place: int, raft: Raft, node: Node, *, is_late: bool
    ) -> tuple[Node, list[tuple[str, Message]]]:
        """Do what `ready` says, and write at once unless it is to be late."""
        assert raft.state.server == self.names[place], "each its own"
        sent: list[tuple[str, Message]] = []
        while (ready := raft.ready()) is not None:
            sent += ready.send_now
            held = ready.send_after_persist
            if self._host.acks_early or (ready.is_durable and not node.batches):
                sent += held
                held = ()
            if not is_late:
                sent += held
                raft.on_persisted(ready.number)
            else:
                node = node.wrote(raft.state, held, is_new=not ready.is_durable)
        state = raft.state
        if self._host.forgets_votes and not is_late:
            forgetful = replace(state.hard, voted_for="")
            return Node(state, (), Batch(forgetful, state.log.entries)), sent
        return node._replace(state=state), sent

    def _raft(self, state: State, name: str) -> Raft:
        raft = Raft(state, self._rules[name])
        raft.limit_appends(self._host.append_bytes)
        return raft

    def _number(self, node: Node) -> int:
        number = self._node_numbers.setdefault(node, len(self._nodes))
        if number == len(self._nodes):
            self._nodes.append(node)
        return number

    def _number_message(self, to: str, message: Message) -> int:
        key = (self.names.index(to), message)
        number = self._message_numbers.setdefault(key, len(self._messages))
        if number == len(self._messages):
            self._messages.append(key)
        return number

    # How it is told.

    def _way(
        self, world: World, parents: Mapping[World, tuple[World, Event] | None]
    ) -> tuple[str, ...]:
        told: list[str] = []
        while (step := parents[world]) is not None:
            world = step[0]
            told.append(self._tell(world, step[1]))
        return tuple(reversed(told))

    def _tell(self, world: World, event: Event) -> str:
        state = self._nodes[world.nodes[event.server]].state
        message = self._messages[event.message][1] if event.message >= 0 else None
        told = describe(event.kind, state, message)
        if message is None or event.kind == "restart":
            return told
        try:
            _, sent = self._step(world.nodes[event.server], event, 0)
        except AssertionError:
            return told
        answers = (self._messages[number][1] for number in sent)
        return told + "".join(f" - {content(m)}" for m in answers if isinstance(m, _ANSWERS))


def _finding(error: AssertionError, events: tuple[str, ...]) -> Finding:
    if isinstance(error, InvariantViolated):
        return Finding(error.name, error.evidence, events)
    return Finding("Assertion", str(error), events)
