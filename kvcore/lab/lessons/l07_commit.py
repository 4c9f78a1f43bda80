"""The check of 07a: a learner's commit rule, in cores whose messages are delivered by hand.

A commit rule can be wrong in two ways. It may promise too little: with a majority at hand
nobody gets an ack. Or too much: an entry that counts as committed vanishes with its leader.
For both there are schedules here: a put that reaches so many followers of two to five
servers; a new leader with an entry of an earlier term; and figure 8 of the paper. What passes
these is given to the explorer, which visits ten thousand states and more.

Left out: clocks and disks.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from random import Random
from typing import TypeAlias

from kvcore.check.explore import FIGURE_8, Bounds, Finding, explore
from kvcore.lab.cores import Cores
from kvcore.lab.exercise import exercise
from kvcore.lab.feedback import Verdict, not_yet, passed, shown
from kvcore.raft.log import Log
from kvcore.raft.rules import PAPER, Rules

Rule: TypeAlias = Callable[[tuple[int, ...], Log, int, int], int]

SIZES = (5, 3, 4, 2)
SEARCHES: tuple[tuple[Bounds, tuple[str, ...]], ...] = (
    (Bounds(states=10_000), ()),
    (Bounds(terms=5, proposals=0, restarts=0, states=8_000), FIGURE_8),
)


class BadShapeError(ValueError):
    """What the rule gave is no commit index."""


@exercise(
    "07a",
    names=("advance_commit",),
    seeds=8,
    hints=(
        "Two questions: how far does a majority have the log, and whose term is the entry there?",
        (
            "Sort `matches`. One place in it has this property: more than half of the numbers "
            "are at least as large. That index may be committed only if its entry's term is the "
            "leader's own, and never less than `commit` is returned."
        ),
        (
            "found = the number at place len(matches) // 2 of sorted(matches, reverse=True). "
            "Return found if found > commit and log.term(found) == term; else return commit."
        ),
    ),
    wrong={
        "M8": "More than half of the servers have the entry, and the client still waits. For how "
        "many servers does your rule wait?",
        "alone": "Only the leader has this entry. What is left of it when the leader burns?",
        "few": "The servers that lack this entry are a majority. Could they elect one of "
        "themselves, and what happens to the entry then?",
        "even": "Half is no majority: the other half can't tell itself from one. Count it for an "
        "even number of servers.",
        "M9": "A majority has this entry, and its term is an old one. What does a voter compare "
        "before it votes, and who may win with a later term? Draw the logs at the end of "
        "show_trace.",
        "first": "The last entry on a majority is of the leader's own term. The one of the "
        "earlier term stands before it: does it need to be asked?",
        "back": "A commit index is a promise that was given. When nothing new is on a majority, "
        "what is the answer?",
        "shape": "The answer is always an index, a plain int: the new commit index, or the old.",
    },
    compare="One takes a place in the sorted numbers; the other counts, for each candidate from "
    "the log's end downwards. Only the last entry's term need be looked at: terms never fall.",
)
def check_07a(rule: Rule, seeds: Iterable[int]) -> Verdict:
    """Schedules for each seed; one search."""
    count, states = 0, 0
    for seed in seeds:
        rng = Random(f"07a/{seed}")
        for play in (_counts, _first, _figure_8):
            verdict = _played(play, rule, rng, seed)
            if verdict is not None:
                return verdict
            count += 1
        if not states:
            for bounds, start in SEARCHES:
                found = explore(rules=_rules(rule), bounds=bounds, start=start)
                if found.finding is not None:
                    return _convicted(found.finding, seed)
                states += found.states
    return passed(f"{count} schedules, and {states} states of three servers: what counts stays")


Play: TypeAlias = Callable[[Rule, Random, int], Verdict | None]


def _played(play: Play, rule: Rule, rng: Random, seed: int) -> Verdict | None:
    try:
        return play(rule, rng, seed)
    except BadShapeError as error:
        key = "back" if "less than" in str(error) else "shape"
        return not_yet(str(error), "an index, at least commit", seed=seed, hint=key)


def _rules(rule: Rule) -> Rules:
    def watched(matches: tuple[int, ...], log: Log, term: int, commit: int) -> int:
        got = rule(matches, log, term, commit)
        call = f"advance_commit({matches}, log, {term}, {commit})"
        if type(got) is not int:
            raise BadShapeError(f"{call} gave {shown(got)}")
        if got < commit:
            raise BadShapeError(f"{call} gave {got}, less than commit")
        return got

    return replace(PAPER, advance_commit=watched)


def _cores(rule: Rule, rng: Random, size: int) -> tuple[Cores, list[str]]:
    """A group of so many, and its names in an order that the seed draws."""
    names = "abcde"[:size]
    return Cores(names, rules=_rules(rule)), rng.sample(names, size)


def _counts(rule: Rule, rng: Random, seed: int) -> Verdict | None:
    """An entry that reaches so many followers counts with a majority, and not before."""
    for size in SIZES:
        text = f"x={rng.randint(10, 99)}"
        for reached in range(size):
            cores, (leader, *others) = _cores(rule, rng, size)
            cores.elect(leader, *others)
            cores.settle(leader)
            index = cores.put(leader, text)
            for name in others[:reached]:
                cores.talk(leader, name)
            have, is_in = reached + 1, index in cores.promised
            if is_in == (have > size // 2):
                continue
            hint = "M8"
            if is_in:
                hint = "alone" if have == 1 else "even" if 2 * have == size else "few"
            return not_yet(
                f"{size} servers, {text} is on {have}: {'' if is_in else 'not '}committed",
                f"committed when more than half have it: {size // 2 + 1} of {size}",
                seed=seed,
                hint=hint,
                trace=cores.lines,
            )
    return None


def _first(rule: Rule, rng: Random, seed: int) -> Verdict | None:
    """A new leader with an entry of the term before commits both with its own."""
    cores, (old, new, other) = _cores(rule, rng, 3)
    cores.elect(old, new, other)
    cores.settle(old)
    index = cores.put(old, f"x={rng.randint(10, 99)}")
    cores.send(old, new)
    cores.lose()  # old never hears that new has it
    cores.crash(old)
    cores.elect(new, other)
    cores.talk(new, other)
    commit, last = cores.state(new).commit, cores.state(new).log.last_index
    if commit == last:
        return None
    return not_yet(
        f"{new} leads; entries {index} (the term before) and {last} (its own) are on a "
        f"majority, and commit stays {commit}",
        f"commit {last}: both are committed",
        seed=seed,
        hint="first",
        trace=cores.lines,
    )


def _figure_8(rule: Rule, rng: Random, seed: int) -> Verdict | None:
    """The paper's schedule: an entry that is on a majority is overwritten."""
    cores, names = _cores(rule, rng, 5)
    figure_8(cores, "".join(names))
    if not (broken := cores.broken()):
        return None
    return not_yet(
        broken,
        "what a leader has taken for committed is in every later leader's log",
        seed=seed,
        hint="M9",
        trace=[*brief(cores.lines), "the logs in the end, as index.term:"]
        + ["  " + told(cores, name) for name in sorted(names)],
    )


def brief(lines: list[str]) -> list[str]:
    """Without the beginning, in which nothing happens."""
    starts = (place for place, line in enumerate(lines) if "appends entry" in line)
    return lines[next(starts, 0) :]


def told(cores: Cores, name: str) -> str:
    """One server's log on a line."""
    entries = cores.state(name).log.entries
    return f"{name}  " + " ".join(f"{each.index}.{each.term}" for each in entries)


def figure_8(cores: Cores, names: str = "abcde", until: str = "e") -> None:
    """Plays the paper's figure 8, up to its part (c) or to the end."""
    a, b, c, d, e = tuple(names)
    cores.elect(a, b, c)
    cores.settle(a)
    cores.put(a, "x=1")  # (a) the entry reaches b alone
    cores.send(a, b)
    cores.lose()
    cores.crash(a)
    cores.elect(e, c, d)  # (b) e leads, its first entry stays with it
    cores.lose()
    cores.crash(e)
    cores.restart(a)
    cores.elect(a, b, c)  # (c) a leads again, and brings x=1 to c
    cores.send(a, b)
    cores.send(b, a)  # b refuses the new entry, so a learns …
    while cores.state(c).log.term(3) != 2:  # the term in which x=1 was put
        cores.send(a, c)
        cores.send(c, a)
    if until == "c":
        return
    cores.lose()
    cores.crash(a)
    cores.restart(e)
    cores.elect(e, c, d)  # (d) e's last term is later than c's and d's
    cores.talk(e, b)
    cores.talk(e, c)


def _convicted(finding: Finding, seed: int) -> Verdict:
    return not_yet(
        f"{finding.name}: {finding.evidence}",
        "what is committed is in the log of every later leader",
        seed=seed,
        hint="M9",
        trace=str(finding).splitlines(),
    )
