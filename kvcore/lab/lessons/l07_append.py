"""The check of 07b: a learner's rule for a follower, under messages that come late, twice, never.

Four schedules of three servers, the leader's messages delivered by hand: one is lost and the
next arrives; a new leader meets a follower that has entries of a dead one; a message comes a
second time when the log has grown since; and so does one without entries. Each answer of the
rule is looked at when it is given; then the schedule goes on to its end, where what was acked
may be gone. What passes is given to the explorer.

An answer may differ from the reference: who cuts off what the same message brings back, and
nothing that is committed, does no harm.

Left out: the leader's side.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from random import Random
from typing import TypeAlias

from kvcore.check.explore import Bounds, explore
from kvcore.check.explored import content
from kvcore.lab.cores import Cores
from kvcore.lab.exercise import exercise
from kvcore.lab.feedback import Verdict, not_yet, passed, shown
from kvcore.lab.lessons.l07_commit import brief
from kvcore.raft.entry import Entry
from kvcore.raft.log import Log
from kvcore.raft.messages import AppendEntries
from kvcore.raft.rules import PAPER, Rules

Rule: TypeAlias = Callable[[Log, int, int, tuple[Entry, ...]], int | None]

SEARCHES: tuple[tuple[Bounds, tuple[str, ...]], ...] = (
    (Bounds(states=7_000), ()),
    (Bounds(terms=3, restarts=0, doubles=1, states=7_000), ("stand a", "a>b")),
)


@dataclass(frozen=True, slots=True)
class Fault:
    """An answer that may not be given."""

    seen: str
    wanted: str
    hint: str


class FaultyError(ValueError):
    """What stops a search: the fault is its first argument."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.seen)
        self.fault = fault


@exercise(
    "07b",
    names=("append_entries",),
    seeds=8,
    hints=(
        (
            "Three cases: we don't agree before the entries; we agree and all of them are mine "
            "already; we agree and one of them contradicts what I have, or is new."
        ),
        (
            "`log.term(i)` is 0 where there is no entry, so one comparison sees a hole and a "
            "wrong term. Walk through the entries: only the first whose term differs from mine "
            "at its index decides. What is not contradicted stays, however long it is."
        ),
        (
            "If log.term(previous_index) != previous_term: None. For each entry: if "
            "log.term(entry.index) != entry.term, return entry.index - 1. After the loop return "
            "log.last_index."
        ),
    ),
    wrong={
        "hole": "There is no entry at previous_index here. What would stand before the new ones?",
        "previous": "There is an entry at previous_index, of another term. Is what stands before "
        "the new entries the same in both logs?",
        "refuses": "We agree up to previous_index. If the answer is no every time, how does this "
        "follower ever get the leader's log?",
        "conflict": "Same index, another term: it is another entry. Which of the two does the "
        "leader have?",
        "prefix": "It cuts off an entry that is committed here and that the message doesn't "
        "contradict. May a committed entry ever leave a log?",
        "stale": "A message may be an old copy. What has been acked since it was sent, and does "
        "anything in it contradict that?",
        "shape": "The answer is the index of the last entry that stays, a plain int, or None "
        "for a refusal.",
    },
    compare="One stops at the first contradiction; the other measures how long the two agree. "
    "Both leave alone what the message doesn't speak of.",
)
def check_07b(rule: Rule, seeds: Iterable[int]) -> Verdict:
    """Schedules for each seed; one search."""
    count, states = 0, 0
    for seed in seeds:
        for play in (_lost, _another, _twice, _empty_twice):
            verdict = _judge(play, rule, seed)
            if verdict is not None:
                return verdict
            count += 1
        if not states:
            for bounds, start in SEARCHES:
                verdict, more = _search(rule, bounds, start, seed)
                if verdict is not None:
                    return verdict
                states += more
    return passed(f"{count} schedules, and {states} states of three servers: logs stay in step")


class Watch:
    """A group whose followers obey the rule; the first fault is kept, and the run goes on."""

    def __init__(self, rule: Rule, names: tuple[str, ...]) -> None:
        self._rule = rule
        self.fault: Fault | None = None
        rules = {name: self._watched(name) for name in names}
        self.cores = Cores("".join(sorted(names)), rules=rules)

    def _watched(self, name: str) -> Rules:
        def watched(
            log: Log, previous_index: int, previous_term: int, entries: tuple[Entry, ...]
        ) -> int | None:
            got = self._rule(log, previous_index, previous_term, entries)
            commit = self.cores.state(name).commit
            fault = fault_of(got, log, (previous_index, previous_term, entries), commit)
            if fault is not None and self.fault is None:
                said = f"{name} has {terms(log)} and is sent {sent(previous_index, entries)}: "
                self.fault = replace(fault, seen=said + fault.seen)
            return got

        return replace(PAPER, append_entries=watched)


def fault_of(
    got: object, log: Log, message: tuple[int, int, tuple[Entry, ...]], commit: int
) -> Fault | None:
    """What is wrong with an answer; None if it does no harm."""
    previous, term, entries = message
    want = PAPER.append_entries(log, previous, term, entries)
    if got is not None and type(got) is not int:
        return Fault(f"{shown(got)}", "an index or None", "shape")
    if got == want:
        return None
    if want is None:
        hint = "hole" if previous > log.last_index else "previous"
        return Fault(f"{got}", "a refusal (None)", hint)
    if got is None:
        return Fault("None", f"{want}: up to there the logs agree", "refuses")
    if got > want:
        return Fault(f"{got}", f"{want}: entry {want + 1} is not the leader's", "conflict")
    if got < min(commit, previous + len(entries)):
        what = f"{got}, which cuts off entry {got + 1}, committed here"
        return Fault(what, f"{want}: what agrees stays", "prefix")
    if got < previous or previous + len(entries) < want:
        what = f"{got}, which cuts off {want - max(got, previous + len(entries))} more"
        return Fault(what, f"{want}: nothing contradicts these", "stale")
    return None


def terms(log: Log) -> str:
    """A log as index.term."""
    return " ".join(f"{each.index}.{each.term}" for each in log.entries)


def sent(previous: int, entries: tuple[Entry, ...]) -> str:
    """A message, in a few words."""
    what = " ".join(f"{each.index}.{each.term}" for each in entries) or "nothing"
    return f"{what} after {previous}"


Play: TypeAlias = Callable[[Cores, tuple[str, ...], Random], None]


def _judge(play: Play, rule: Rule, seed: int) -> Verdict | None:
    rng = Random(f"07b/{seed}/{play.__name__}")
    names = tuple(rng.sample("abc", 3))
    watch = Watch(rule, names)
    consequence = ""
    try:
        play(watch.cores, names, rng)
    except AssertionError as error:
        if watch.fault is None:
            raise
        consequence = _standstill(watch.cores, names) or f"it stops: {error}"
    except TypeError:
        if watch.fault is None:
            raise
    if watch.fault is None:
        return None
    consequence = watch.cores.broken() or consequence
    trace = [
        *_folded(brief(watch.cores.lines)),
        *([f"in the end: {consequence}"] if consequence else []),
    ]
    trace += [f"  {name}  {terms(watch.cores.state(name).log)}" for name in sorted(names)]
    fault = watch.fault
    return not_yet(fault.seen, fault.wanted, seed=seed, hint=fault.hint, trace=trace)


def _folded(lines: list[str]) -> list[str]:
    """Without the end of a talk that says the same two lines for ever."""
    end = len(lines)
    while end > 2 and lines[end - 1] == lines[end - 3]:
        end -= 1
    left = len(lines) - end
    return [*lines[:end], f"… and so on, {left} lines"] if left > 2 else lines


def _standstill(cores: Cores, names: tuple[str, ...]) -> str:
    """Why nobody is elected, if it is for a server that had to throw its log away."""
    for name in names:
        if cores.state(name).hard.is_recovering:
            return f"{name} gives no vote before a leader has sent it its log, and nobody can lead"
    return ""


def _values(rng: Random, count: int) -> list[str]:
    return [f"x={number}" for number in rng.sample(range(10, 100), count)]


def _lost(cores: Cores, names: tuple[str, ...], rng: Random) -> None:
    """An append to one follower is lost, the next one arrives."""
    leader, near, far = names
    _begin(cores, leader, near, far)
    lost, next_one = _values(rng, 2)
    cores.put(leader, lost)
    cores.lose()
    cores.put(leader, next_one)
    cores.send(leader, far)
    cores.settle(leader)
    cores.settle(leader)


def _another(cores: Cores, names: tuple[str, ...], rng: Random) -> None:
    """One leader's entries stay with it; two others lead after it, and then reach it."""
    old, second, third = names
    _begin(cores, old, second, third)
    mine = _values(rng, 4)
    cores.put(old, mine[0])
    cores.put(old, mine[1])
    cores.lose()
    cores.elect(second, third)
    cores.put(second, mine[2])
    cores.talk(second, third)
    cores.lose()
    cores.elect(third, second)
    cores.talk(third, second)
    cores.talk(third, old)
    cores.put(third, mine[3])
    cores.settle(third)


def _twice(cores: Cores, names: tuple[str, ...], rng: Random) -> None:
    """An old append arrives again; then its leader is gone, and who has less stands."""
    leader, near, far = names
    _begin(cores, leader, near, far)
    values = _values(rng, rng.randint(2, 4))
    cores.put(leader, values[0])
    old = cores.send(leader, near)
    cores.talk(leader, near)
    cores.talk(leader, far)
    for value in values[1:]:
        cores.put(leader, value)
        cores.talk(leader, near)
    cores.lose()
    _again(cores, near, old, leader, far)


def _empty_twice(cores: Cores, names: tuple[str, ...], rng: Random) -> None:
    """The same with a message that carries the commit index alone."""
    leader, near, far = names
    _begin(cores, leader, near, far)
    values = _values(rng, rng.randint(2, 4))
    cores.put(leader, values[0])
    cores.send(leader, near)
    cores.send(near, leader)
    old = cores.send(leader, near)
    assert isinstance(old, AppendEntries) and not old.entries, content(old)  # noqa: PT018
    cores.talk(leader, near)
    cores.talk(leader, far)
    for value in values[1:]:
        cores.put(leader, value)
        cores.talk(leader, near)
    cores.lose()
    _again(cores, near, old, leader, far)


def _begin(cores: Cores, leader: str, *others: str) -> None:
    cores.elect(leader, *others)
    cores.settle(leader)


def _again(cores: Cores, near: str, old: object, leader: str, far: str) -> None:
    assert isinstance(old, AppendEntries), "a message of the leader's"
    before = cores.state(near).log
    cores.deliver(near, old)
    if cores.state(near).log == before:
        return
    cores.crash(leader)
    cores.elect(far, near)
    cores.talk(far, near)


def _search(
    rule: Rule, bounds: Bounds, start: tuple[str, ...], seed: int
) -> tuple[Verdict | None, int]:
    def watched(
        log: Log, previous_index: int, previous_term: int, entries: tuple[Entry, ...]
    ) -> int | None:
        got = rule(log, previous_index, previous_term, entries)
        fault = fault_of(got, log, (previous_index, previous_term, entries), 0)
        if fault is not None:
            said = f"a log {terms(log)} is sent {sent(previous_index, entries)}: "
            raise FaultyError(replace(fault, seen=said + fault.seen))
        return got

    rules: Rules | Mapping[str, Rules] = replace(PAPER, append_entries=watched)
    try:
        found = explore(rules=rules, bounds=bounds, start=start)
    except FaultyError as error:
        fault = error.fault
        return not_yet(fault.seen, fault.wanted, seed=seed, hint=fault.hint), 0
    if found.finding is None:
        return None, found.states
    told = found.finding
    seen, lines = f"{told.name}: {told.evidence}", str(told).splitlines()
    return not_yet(seen, "what is committed stays, in every log", seed=seed, trace=lines), 0
