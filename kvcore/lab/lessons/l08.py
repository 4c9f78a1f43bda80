"""Checks of lesson 08: six writes across two cuts, a rule that lies, a retry, five facts.

08a compares a prediction with a world that is played while you wait. 08b puts the learner's
rule into a leader and lets the history's judge convict it; the verdict names the seed, and the
trace has the events. 08c stands in `l08_retry.py`. 08d is a form.

Left out: what a read may find in a partition; lesson 09 asks that.
"""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cache
from typing import Any, cast

from kvcore.lab import solutions
from kvcore.lab.cluster import Cluster
from kvcore.lab.exercise import declare, exercise
from kvcore.lab.feedback import Verdict, Word, not_yet, passed, say, shown
from kvcore.lab.lessons.l08_retry import check_08c
from kvcore.lab.lessons.l08_split import (
    ACKED,
    ERROR,
    SERVERS_COUNT,
    UNKNOWN,
    Rule,
    Split,
    convict,
    entries_of,
    meet,
)
from kvcore.lab.quiz import Question, judge, questionnaire
from kvcore.lab.stubs import is_stub
from kvcore.lab.trial import in_world
from kvcore.raft.entry import Entry, EntryKind
from kvcore.raft.log import Log

__all__ = ["check_08b", "check_08c", "convict", "conviction", "entries_of", "meet", "six_writes"]

OUTCOMES = (ACKED, ERROR, UNKNOWN)
PLAYED_SEED = 4

# Six writes.

_SIX = {
    "w1": Question(UNKNOWN, {ACKED: "M11", ERROR: "silence"}, OUTCOMES),
    "w2": Question(ACKED, {ERROR: "majority", UNKNOWN: "majority"}, OUTCOMES),
    "w3": Question(UNKNOWN, {ACKED: "M11", ERROR: "believes"}, OUTCOMES),
    "w4": Question(UNKNOWN, {ACKED: "alone", ERROR: "too soon"}, OUTCOMES),
    "w5": Question(ERROR, {UNKNOWN: "knows", ACKED: "alone"}, OUTCOMES),
    "w6": Question(ACKED, {ERROR: "elected", UNKNOWN: "elected"}, OUTCOMES),
    "final": Question(
        "w6",
        {"w1": "merged", "w2": "last", "w3": "merged", "w4": "M21", "w5": "refused"},
        ("w1", "w2", "w3", "w4", "w5", "w6"),
    ),
}

_form = questionnaire(
    "08a",
    kind="prediction",
    names=("six",),
    hints=(
        (
            "For each write ask two things: which server must take it, and how many others can "
            "that "
            "server reach?"
        ),
        (
            "Acked needs three of five. An error needs a server that *knows* that nobody leads. "
            "All "
            "else is silence, and silence is unknown."
        ),
        (
            "n1 and n2 have heard from no leader, but n1 still sends ann's puts n3's way: "
            "silence. n3 "
            "alone notices after a while that nobody answers it, and says so. n4, n5 and the "
            "others "
            "are four."
        ),
    ),
    questions=_SIX,
    wrong={
        "M11": "n1 and n2 are two of five. Who would have to store the write before it is acked?",
        "silence": "An error is an answer. Who was there to give one? The leader is across the "
        "cut, and a cut is silence.",
        "majority": "bo is at the leader, and the leader reaches n4 and n5. How many is that?",
        "believes": "n1 follows. It knows that the bucket was led from n3, its connection to n3 "
        "was never closed, so it sends the put there. What comes back?",
        "alone": "n3 takes the put into its log. How many servers have it then?",
        "too soon": "n3 was cut off a moment ago. How could it know already that nobody answers?",
        "knows": "Two seconds without any answer. What does a leader do that can reach no "
        "majority, and what does a server say when nobody takes a subject?",
        "elected": "Four servers are together since two seconds. What have they done by then?",
        "merged": "Neither w1 nor w3 reached a leader. What would be there to merge?",
        "M21": "w4 was sent to a leader that could not commit it. What did the others do "
        "meanwhile, and what happens to n3's log when they meet?",
        "refused": "w5 was answered with an error: no response from stream. What does that say of "
        "this one request?",
        "last": "w2 was committed. Was anything committed after it?",
    },
    sure="A world of five played it while you waited.",
)


def _check_six(given: object, _seeds: Iterable[int]) -> Verdict:
    """The form, after a world has played the six writes and agrees with it."""
    played = _played()
    assert played == {key: each.right for key, each in _SIX.items()}, played
    return judge(given, _SIX, "six", "A world of five played it while you waited.")


@cache
def _played() -> Mapping[str, str]:
    found: dict[str, str] = in_world(six_writes, seed=PLAYED_SEED, servers=SERVERS_COUNT)
    return found


declare(replace(_form, check=_check_six))


async def six_writes(cluster: Cluster, _seed: int = 0) -> dict[str, str]:
    """The story of 08a as it happens: by write what its client was told, and the final value."""
    split = await Split.open(cluster)
    await split.led_by("n3")
    ann, bo, cy = [await split.client(name) for name in ("n1", "n3", "n5")]
    told = {}
    await cluster.partition(["n1", "n2"], ["n3", "n4", "n5"])
    told["w1"] = await split.put(ann, "ann", b"w1")
    told["w2"] = await split.put(bo, "bo", b"w2")
    await asyncio.sleep(2)
    told["w3"] = await split.put(ann, "ann", b"w3")
    await cluster.partition(["n3"], ["n1", "n2", "n4", "n5"])
    told["w4"] = await split.put(bo, "bo", b"w4")
    await asyncio.sleep(2)
    told["w5"] = await split.put(bo, "bo", b"w5")
    told["w6"] = await split.put(cy, "cy", b"w6")
    await cluster.heal()
    await asyncio.sleep(2)
    told["final"] = (await split.log())[-1].value.decode()
    return told


# A rule that lies.

_RULES = ("one vote a term", "a majority has it", "of its own term", "what precedes it matches")
_NAMING = {
    "broken": Question(
        "a majority has it",
        {
            "one vote a term": "vote",
            "of its own term": "M9",
            "what precedes it matches": "matches",
        },
        _RULES,
        required="the rule that your function leaves out",
    ),
    "truncation": Question(
        "right",
        {"wrong": "truncation"},
        ("right", "wrong"),
        required="whether n1 should have kept its entry after the heal",
    ),
}
_LOG = Log(
    first=1,
    entries=tuple(Entry(index, 2, EntryKind.COMMAND, b"") for index in range(1, 8)),
)
_TERM, _COMMIT = 2, 3


@exercise(
    "08b",
    names=("at_append", "violated"),
    seeds=3,
    hints=(
        (
            "An honest leader waits for a majority. Yours does not wait for anybody: which number "
            "of "
            "`matches` is its own?"
        ),
        (
            "The leader's own log is in `matches` too, and nobody's is longer. Name the rule by "
            "what "
            "your function no longer asks before it says `committed`."
        ),
        (
            "Return max(matches), or log.last_index. It breaks `a majority has it`; the follower "
            "that "
            "truncates does what the paper asks."
        ),
    ),
    wrong={
        "paper": "That waits for a majority: it is the paper's rule, and there is nothing to "
        "convict. What would an impatient leader return?",
        "two": "That waits for one follower. In the check's cut the leader has none. Whom must it "
        "not wait for?",
        "M8": "The smallest match is what *all* have. You were asked for a leader that waits for "
        "nobody.",
        "behind": "The leader has seven entries here, and yours committed less. Where does its "
        "own log end?",
        "beyond": "That index is beyond the end of the leader's own log. Which entries are there "
        "to be committed?",
        "number": "A commit index is a whole number: the last entry that counts as committed.",
        "vote": "n1 led term 2, another server term 3: one leader a term. Nobody voted twice. What "
        "did n1 do before it heard from anybody?",
        "M9": "The lost entry was of n1's own term, 2, when n1 led it. So this rule it kept. Which "
        "one did it not?",
        "matches": "No follower took an entry behind one that differs: n1's log was cut first. "
        "Look before the heal: who had the entry when it was acked?",
        "truncation": "If n1 kept its entry, index 4 would hold two things, one on n1 and one on "
        "four servers. What should not have happened earlier?",
    },
    compare="One asks what the followers told, and takes the largest, its own; one doesn't even "
    "look at them. In every run without a fault both are faster than the paper's, and right.",
)
def check_08b(learner: Any, seeds: Iterable[int]) -> Verdict:
    """The rule on plain numbers, then in a leader, alone on its side; then its name."""
    at_append, violated = learner
    found = _on_numbers(at_append)
    if found is not None:
        return found
    trace: tuple[str, ...] = ()
    first = 0
    for seed in seeds:
        done = convict(at_append, seed)
        if not done.is_guilty:
            return not_yet(
                f"the lone leader answered {done.said}, and no acknowledged write is lost",
                "a rule that loses what was acknowledged",
                seed=seed,
                hint="paper",
                trace=done.lines(),
            )
        trace, first = trace or tuple(done.lines()), first or seed
    verdict = judge(violated, _NAMING, "violated", "")
    if verdict.word is not Word.PASS:
        return replace(verdict, seed=first, trace=trace)
    lost = next(line for line in trace if line.startswith("lost"))
    return passed(
        f"convicted in every world, first with seed {first}: {lost.partition(', and')[0]}"
    )


def conviction(at_append: Rule, *, seed: int = 1) -> None:
    """Prints what the judge finds when this rule decides in n1; a stub's place takes ours."""
    if is_stub(at_append):
        say("at_append: the reference (08b: not attempted)")
        at_append = cast("Rule", solutions.references("08b")[0].ordered(("at_append",))[0])
    else:
        say("at_append: yours")
    say("\n".join(convict(at_append, seed).lines()))


def _on_numbers(rule: Rule) -> Verdict | None:
    """The rule without a cluster: the leader has 7 entries, its followers have these."""
    required = "7: the leader has it, and this leader waits for nobody"
    for others in ((3, 3, 3, 3), (7, 3, 3, 3), (7, 7, 3, 3)):
        matches = (7, *others)
        got = rule(matches, _LOG, _TERM, _COMMIT)
        if type(got) is int and got == _LOG.last_index:
            if others == (3, 3, 3, 3):
                return None
            key = "two" if others == (7, 3, 3, 3) else "paper"
            seen = f"with {matches} it commits {got}, with (7, 3, 3, 3, 3) only {_COMMIT}"
            return not_yet(seen, required, hint=key)
        if type(got) is not int:
            return not_yet(f"at_append({matches}, …) gave {shown(got)}", "a number", hint="number")
        if got > _LOG.last_index:
            return not_yet(f"at_append({matches}, …) gave {got}, of 7", required, hint="beyond")
    is_least = rule((7, 5, 5, 5, 5), _LOG, _TERM, _COMMIT) == 5 and (
        rule((7, 6, 6, 6, 4), _LOG, _TERM, _COMMIT) == 4
    )
    return not_yet(
        f"at_append((7, 7, 7, 3, 3), …) gave {got}", required, hint="M8" if is_least else "behind"
    )


# Five facts.

_YES_NO = (True, False)

questionnaire(
    "08d",
    kind="classification",
    names=("facts",),
    hints=(
        "For each sentence find the experiment of this lesson that could have made it false.",
        (
            "Ask of each put: was it acknowledged? The acknowledged ones were never in conflict. "
            "The "
            "others nobody promised anything about."
        ),
        (
            "One sentence is about what a majority is, one about revisions, one about time-outs, "
            "one "
            "about two plain puts that were both answered, one about foresight. Two of five are "
            "true."
        ),
    ),
    questions={
        "both sides of a cut can acknowledge puts to one key": Question(
            right=False, wrong={True: "M11"}
        ),
        "revisions decide between two acknowledged values": Question(
            right=False, wrong={True: "resolve"}
        ),
        "a put that timed out may be stored after the heal": Question(
            right=True, wrong={False: "M12"}
        ),
        "a plain put can replace a value its writer never saw": Question(
            right=True, wrong={False: "M4"}
        ),
        "the order of the puts tells which unanswered one survives": Question(
            right=False, wrong={True: "M21"}
        ),
    },
    wrong={
        "M11": "Three of five on one side leave two for the other. Which two majorities have no "
        "server in common?",
        "resolve": "For that there must be two acknowledged values. Which rule saw to it that "
        "there is one at most?",
        "M12": "In experiment 3 a client had its time-out, and the watcher was told of the value "
        "later. What had the leader kept?",
        "M4": "In experiment 4 both puts were acknowledged. What did ann know of bo's value when "
        "she sent hers?",
        "M21": "The puts of experiment 3 were the same each time. What decided?",
    },
    sure="Write them down as sentences: that is the article's claim, corrected.",
)
