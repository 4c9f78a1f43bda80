"""The check of 10b: in which order does a server write, sync and send?

A learner's `persist` does what one turn of a server orders, with a disk and a network that
only note what it calls. So each turn becomes a row of steps, and the server may lose its power
between any two of them: what was synced is there afterwards, and what was sent is on its way.
`kvcore.check.explore` visits every order of votes, crashes and answers of three such servers,
up to a bound, and tells the shortest way to two leaders in one term, or to a leader that lacks
what was committed.

A turn runs to its end before the server looks at the next message, as a plain function does.

Left out: group commit, where a turn doesn't wait for the disk.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple, TypeAlias

from kvcore.check.explore import Bounds, Event, Explorer, Finding, Host, World
from kvcore.check.explored import Batch, Node, recover
from kvcore.check.invariants import ELECTION_SAFETY, LEADER_COMPLETENESS
from kvcore.lab.exercise import exercise
from kvcore.lab.feedback import Verdict, not_yet, passed
from kvcore.raft.core import Raft
from kvcore.raft.entry import Entry, EntryKind, HardState
from kvcore.raft.messages import Message, VoteReply
from kvcore.raft.rules import PAPER
from kvcore.raft.state import Ready

Sent: TypeAlias = tuple[tuple[str, Message], ...]
Cached: TypeAlias = tuple[HardState, tuple[Entry, ...]]
Persist: TypeAlias = Callable[["Turn", "Disk", "Net"], object]

_ELECTED = ("stand a", "sync a", "a>b", "sync b", "sync a")
SEARCHES: tuple[tuple[Bounds, tuple[str, ...]], ...] = (
    (Bounds(terms=2, proposals=0, restarts=1, states=8_000), ()),
    (Bounds(terms=3, proposals=1, restarts=1, states=6_000), _ELECTED),
)
_SAFE = "at most one leader in a term, and each has all that was committed"


class Turn(NamedTuple):
    """What a server has to do after one message or timer."""

    hard: HardState | None
    entries: tuple[Entry, ...]
    news: Sent
    promises: Sent


class Misuse(Exception):  # noqa: N818 - a verdict on the caller, not an accident
    """`persist` did what no order can mend; `hint` says which."""

    def __init__(self, seen: str, wanted: str, hint: str) -> None:
        super().__init__(seen)
        self.seen, self.wanted, self.hint = seen, wanted, hint


class Disk:
    """Notes what is written to it, and when it is synced."""

    def __init__(self, turn: Turn, steps: list[object]) -> None:
        self._turn = turn
        self._steps = steps

    def write(self, what: object) -> None:
        """Into the page cache."""
        if what is None or what == ():
            return
        if what is not self._turn.hard and what is not self._turn.entries:
            raise Misuse(
                f"disk.write was given a {type(what).__name__}",
                "turn.hard or turn.entries, each whole",
                "what",
            )
        self._steps.append("hard" if what is self._turn.hard else "entries")

    def sync(self) -> None:
        """From the page cache to the platter."""
        self._steps.append("sync")


class Net:
    """Notes what is sent."""

    def __init__(self, turn: Turn, steps: list[object]) -> None:
        self._turn = turn
        self._steps = steps

    def send(self, messages: Any) -> None:
        """They are on their way, and can't be called back."""
        self._steps.append(("send", tuple(messages)))


def steps_of(persist: Persist, turn: Turn) -> list[object]:
    """What `persist` does in a turn, in its order; raises `Misuse`."""
    steps: list[object] = []
    persist(turn, Disk(turn, steps), Net(turn, steps))
    sent = [each for step in steps if isinstance(step, tuple) for each in step[1]]
    wanted = [*turn.news, *turn.promises]
    missing = [each for each in wanted if each not in sent]
    if missing or len(sent) != len(wanted):
        what = "promises" if any(each in turn.promises for each in missing) else "news"
        seen = f"some of turn.{what} never sent" if missing else "a message sent twice"
        raise Misuse(seen, "all of turn.news and turn.promises sent, once", "unsent")
    return steps


class PowerCuts(Explorer):
    """Explores servers whose turns may end between any two steps of a learner's `persist`."""

    def __init__(self, persist: Persist, bounds: Bounds) -> None:
        self._persist = persist
        super().__init__(3, PAPER, bounds, Host(late_syncs=True))

    def _events(self, world: World) -> Iterator[Event]:
        """Who waits for its disk does nothing else."""
        for event in super()._events(world):
            waits = bool(self._nodes[world.nodes[event.server]].batches)
            if not waits or event.kind in ("sync", "restart"):
                yield event

    def play(self, script: tuple[str, ...]) -> tuple[World, tuple[str, ...], Finding | None]:
        """As the explorer's own; "sync a" is as many syncs as a's turn has, if any."""
        world, told = self.first, tuple[str, ...]()
        for line in script:
            place = self.names.index(line[-1])
            is_sync = line.startswith("sync")
            while not is_sync or self._nodes[world.nodes[place]].batches:
                event = self._parse(world, line)
                told = (*told, self._tell(world, event))
                after = self._after(world, event)
                assert after is not None, f"nothing comes of {line!r}"
                world = after
                if not is_sync:
                    break
        return world, told, None

    def _work_out(self, node: Node, event: Event) -> tuple[int, tuple[int, ...]]:
        """As the explorer's own, but a turn is over only after its last sync."""
        if event.kind == "sync":
            batch, *left = node.batches
            cached = _cached(node.disk) if node.disk else (batch.hard, batch.entries)
            disk = _remembering(batch._replace(held=()), cached)
            node = Node(node.state, tuple(left), disk)
            sent = list(batch.held)
            raft = self._raft(node.state, self.names[event.server])
            if not left:
                if raft.state.unsynced:
                    raft.on_persisted(1)
                node, more = self._settle(event.server, raft, node, is_late=True)
                sent += more
            numbers = [self._number_message(to, message) for to, message in sent]
            return self._number(node), tuple(numbers)
        if event.kind == "restart":
            platter = node.disk._replace(held=()) if node.disk else None
            node = Node(recover(node, is_late=True), (), platter)
        elif node.batches:  # an answer that came while it waits: the server will not see it
            return self._number(node), ()
        raft = self._raft(node.state, self.names[event.server])
        if event.kind == "stand":
            raft.stand(0, is_rehearsed=True)
        elif event.kind == "propose":
            raft.propose(b"value %d" % (event.message + 1))
        elif event.kind in ("deliver", "double"):
            raft.step(self._messages[event.message][1], 0)
        node, sent = self._settle(event.server, raft, node, is_late=True)
        numbers = [self._number_message(to, message) for to, message in sent]
        return self._number(node), tuple(numbers)

    def _settle(
        self, place: int, raft: Raft, node: Node, *, is_late: bool
    ) -> tuple[Node, list[tuple[str, Message]]]:
        if not is_late:
            return super()._settle(place, raft, node, is_late=False)
        sent: list[tuple[str, Message]] = []
        while (ready := raft.ready()) is not None:
            at_once, batches, cached = self._turn(raft, node, ready)
            sent += at_once
            disk = _remembering(node.disk or _founding(raft), cached)
            node = node._replace(disk=disk)
            if batches:
                return node._replace(state=raft.state, batches=batches), sent
            raft.on_persisted(ready.number)
        return node._replace(state=raft.state), sent

    def _turn(
        self, raft: Raft, node: Node, ready: Ready
    ) -> tuple[list[tuple[str, Message]], tuple[Batch, ...], Cached]:
        """What leaves before the first sync, and each sync with what leaves after it."""
        turn = Turn(ready.hard, ready.entries, ready.send_now, ready.send_after_persist)
        disk = node.disk or _founding(raft)
        cached = _cached(disk)
        durable = (disk.hard, disk.entries)
        at_once: list[tuple[str, Message]] = []
        batches: list[Batch] = []
        for step in steps_of(self._persist, turn):
            if step == "hard":
                cached = (raft.state.hard, cached[1])
            elif step == "entries":
                cached = (cached[0], raft.state.log.entries)
            elif isinstance(step, tuple) and batches:
                batches[-1] = batches[-1]._replace(held=batches[-1].held + step[1])
            elif isinstance(step, tuple):
                at_once += step[1]
            elif cached != durable:
                durable = cached
                batches.append(Batch(*durable))
        return at_once, tuple(batches), cached


def _founding(raft: Raft) -> Batch:
    """What every disk has before the first turn."""
    return Batch(HardState(1, "", raft.state.hard.members), raft.state.log.entries[:1])


def _cached(disk: Batch) -> Cached:
    """What was written to a disk, synced or not: kept where a batch keeps its messages."""
    found: Any = disk.held
    return found[0] if found else (disk.hard, disk.entries)


def _remembering(disk: Batch, cached: Cached) -> Batch:
    kept: Any = () if cached == (disk.hard, disk.entries) else (cached,)
    return disk._replace(held=kept)


@exercise(
    "10b",
    names=("persist",),
    seeds=1,
    hints=(
        (
            "For each kind of message ask: what does its receiver do with it, and would that be a "
            "mistake if the sender had forgotten everything an instant later?"
        ),
        (
            "Three steps have an order among them: what is promised is written, then synced, and "
            "only then told. A turn with nothing to write has nothing to wait for. The news may "
            "leave at any moment."
        ),
        (
            "disk.write(turn.hard); disk.write(turn.entries); one disk.sync() after both, if "
            "there was something to write; then net.send(turn.promises). net.send(turn.news) "
            "anywhere."
        ),
    ),
    wrong={
        "early": "Somebody heard a promise, the power went, and the promise was in no log. At "
        "which line of yours does a promise leave, and what is on the platter then?",
        "M15": "Your servers sync nothing. Each of the three believed that another would "
        "remember. Who does, after the power cut?",
        "cache": "You do sync. What lies in the page cache at that line, and what is put there "
        "after it?",
        "vote": "A vote is a turn without entries. After the power cut its giver gave it again: "
        "what did your function do in that turn?",
        "entries": "A follower said that it has an entry, and after the power cut it had none. "
        "What does your function do in a turn that has entries and no new term?",
        "order": "The power went between two syncs, and the log then held an entry of a term that "
        "the server had never heard of. Which of the two must be on the platter first?",
        "unsent": "Raft gives each message out once. Which of the two kinds do you not hand to "
        "the network, in which turn?",
        "what": "The disk takes turn.hard and turn.entries as they are. It does the encoding.",
    },
    compare="One writes both and syncs once: cheapest. One syncs term and vote before entries: "
    "as safe, and twice the price. The news may overtake the sync: followers write meanwhile.",
)
def check_10b(learner: Any, seeds: Iterable[int]) -> Verdict:
    """Two searches: elections alone, then a leader and an entry."""
    seed = next(iter(seeds))
    states = 0
    try:
        for bounds, start in SEARCHES:
            found = PowerCuts(learner, bounds).search(start)
            states += found.states
            if found.finding is not None:
                return _told(found.finding, learner, seed)
    except Misuse as misuse:
        return not_yet(misuse.seen, misuse.wanted, seed=seed, hint=misuse.hint)
    return passed(f"{states:,} states of three servers, with the power cut between any two steps")


def _told(finding: Finding, persist: Persist, seed: int) -> Verdict:
    evidence = finding.evidence
    if finding.name not in (ELECTION_SAFETY, LEADER_COMPLETENESS):
        evidence = f"a log that can't be: {evidence}"
    events = [each.replace("crashes and restarts", "loses its power") for each in finding.events]
    return not_yet(
        f"after {len(events)} events: {evidence}",
        _SAFE,
        seed=seed,
        hint=_why(persist),
        trace=[f"{finding.name}: {finding.evidence}"]
        + [f"{number:3} {event}" for number, event in enumerate(events, 1)],
    )


def _why(persist: Persist) -> str:
    """Which step is out of place, by what is done in a turn of each kind."""
    vote = _row(persist, Turn(HardState(2, "a"), (), (), _PROMISE))
    entry = _row(persist, Turn(None, _ENTRIES, (), _PROMISE))
    if "sync" not in vote and "sync" not in entry:
        return "M15"
    for row, what, hint in ((vote, "hard", "vote"), (entry, "entries", "entries")):
        if what not in row or "sync" not in row:
            return hint
        promised = row.index("promise")
        if "sync" not in row[row.index(what) :]:
            return "cache"
        if promised < row.index("sync", row.index(what)):
            return "early"
    return "order"


_PROMISE: Sent = (("a", VoteReply("b", 2, is_granted=True)),)
_ENTRIES = (Entry(2, 2, EntryKind.NOOP, b""),)


def _row(persist: Persist, turn: Turn) -> list[str]:
    steps = steps_of(persist, turn)
    return [step if isinstance(step, str) else "promise" for step in steps if step != ("send", ())]
