"""The check of exercise 05b: was a value skipped, and can a watcher know?

A script of writes goes into a log with history 1. What is left of it, and two revisions of a
key that a watcher heard one after the other, are given. Each revision between them that is
gone was overwritten later, by a write to the same key: so it belonged to a key with a later
message. If each way to give the gone revisions to such keys has one of this key, the answer is
yes; if none has, no; else nobody can know. The neighbours come first, then the full gaps.

Left out: purges and expiry, which take messages and leave nobody who overwrote them.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from random import Random
from typing import Any

from kvcore.lab.exercise import exercise
from kvcore.lab.feedback import Verdict, not_yet, passed, shown

__all__ = ["check_05b"]

ANSWERS = ("yes", "no", "can't know")
WORDS = ("color", "limit", "mode", "theme")
EACH = 4  # questions of a kind
KINDS = ("neighbours", "full", "alone", "others are quiet", "nobody knows")


@dataclass(frozen=True, slots=True)
class Question:
    """What the learner is asked, what was written, and what can be known."""

    key: str
    before: int
    after: int
    left: dict[int, str]
    written: tuple[str, ...]

    @property
    def gone(self) -> list[int]:
        """The revisions between the two that are no longer there."""
        return [each for each in range(self.before + 1, self.after) if each not in self.left]

    def owners(self, revision: int) -> set[str]:
        """Whose a gone revision can have been: keys that were written later."""
        return {key for later, key in self.left.items() if later > revision}

    @property
    def want(self) -> str:
        """What follows from what is left."""
        if any(self.owners(each) == {self.key} for each in self.gone):
            return "yes"
        return "can't know" if self.gone else "no"

    @property
    def kind(self) -> str:
        """Which of the lesson's traps this is."""
        if self.after == self.before + 1:
            return "neighbours"
        if self.want == "yes":
            return "alone" if len(self.left) == 1 else "others are quiet"
        return "full" if self.want == "no" else "nobody knows"


def _question(rng: Random) -> Question | None:
    """One that a random script leads to, if there is one."""
    keys = rng.sample(WORDS, rng.randint(1, 4))
    early, late = keys, keys[: rng.randint(1, len(keys))]
    written = [rng.choice(early) for _ in range(rng.randint(1, 5))]
    written += [rng.choice(late) for _ in range(rng.randint(1, 6))]
    left = {place + 1: key for place, key in enumerate(written) if key not in written[place + 1 :]}
    key = keys[0]
    mine = [place + 1 for place, each in enumerate(written) if each == key]
    if len(mine) < 2:
        return None
    return Question(key, rng.choice(mine[:-1]), mine[-1], left, tuple(written))


def _questions(seed: int) -> list[Question]:
    """The same number of each kind, in the kinds' order."""
    rng = Random(seed)
    found: dict[str, list[Question]] = {kind: [] for kind in KINDS}
    while any(len(each) < EACH for each in found.values()):
        made = _question(rng)
        if made is not None and len(found[made.kind]) < EACH:
            found[made.kind].append(made)
    return [each for kind in KINDS for each in found[kind]]


@exercise(
    "05b",
    names=("skipped", "why"),
    seeds=6,
    hints=(
        (
            "Which revisions lie between the two, and what became of each of them? And why: what "
            "does a watch promise, and what not?"
        ),
        (
            "A revision that is still there has a key you can read. One that is gone was "
            "overwritten, later, by its own key: which keys were written later? And why: think of "
            "what was left in experiment 4 when the watcher came back."
        ),
        (
            "gone = revisions between the two that are not in left; none: 'no'. For each of them, "
            "the keys k with a revision r > it in left are the candidates. A gone one whose only "
            "candidate is key: 'yes'. Else \"can't know\"."
        ),
    ),
    wrong={
        "M6": "You rely on hearing every value. With history 1, what becomes of a value that is "
        "overwritten before it was delivered?",
        "ends": "before and after were both heard. How many revisions are there between them?",
        "gap": "Every revision between the two is still in the bucket. Whose are they?",
        "there": "Every revision between the two can still be read. What is there not to know?",
        "whose": "A revision is gone, and several keys were written after it. Must it have been "
        "this one's?",
        "only": "A revision is gone, and the bucket has this one key. Who else could have "
        "overwritten it?",
        "quiet": "A message that is gone was overwritten by a later one of its own key. Which "
        "keys have a later one here?",
        "network": "In experiment 3 a delivery was lost with its connection. Did the value come "
        "all the same?",
        "batch": "In experiment 1 each write came in a delivery of its own. Try two puts without "
        "a pause: how many are heard?",
        "numbers": "Gaps between a key's revisions may be other keys. Does this say that a value "
        "of its own is never skipped? Look at the picture of experiment 4.",
        "shape": "skipped gives one of the three texts, and why is one of the four words.",
    },
    compare="One asks of each gone revision who may have overwritten it. The other needs a single "
    "comparison: only what was lost after the last write to any other key must be this key's.",
)
def check_05b(learner: Any, seeds: Iterable[int]) -> Verdict:
    """Questions of each kind, and the word."""
    skipped, why = learner
    count = 0
    for seed in seeds:
        for question in _questions(seed):
            verdict = _judge(skipped, question, seed)
            if verdict is not None:
                return verdict
            count += 1
    if why == "newest":
        return passed(f"{count} pairs of revisions; and the reason")
    known = isinstance(why, str) and why in ("network", "batch", "numbers")
    return not_yet(f"why is {shown(why)}", "the reason", hint=why if known else "shape")


def _judge(skipped: Any, asked: Question, seed: int) -> Verdict | None:
    got = skipped(asked.key, asked.before, asked.after, dict(asked.left))
    if isinstance(got, str) and got == asked.want:
        return None
    return not_yet(
        f"skipped({asked.key!r}, {asked.before}, {asked.after}, {asked.left}) gave {shown(got)}",
        "what follows from what is left, no more and no less; the trace has what was written",
        seed=seed,
        hint=_why(got, asked),
        trace=_trace(asked),
    )


def _why(got: object, asked: Question) -> str:
    """Which wrong idea gives this answer."""
    if not isinstance(got, str) or got not in ANSWERS:
        return "shape"
    if asked.kind == "neighbours":
        return "ends"
    if asked.kind == "full":
        return "gap" if got == "yes" else "there"
    if got == "no":
        return "M6"
    return {"alone": "only", "others are quiet": "quiet"}.get(asked.kind, "whose")


def _trace(asked: Question) -> list[str]:
    """The whole log, which the watcher never sees."""
    lines = [f"the watcher on {asked.key!r} heard #{asked.before}, then #{asked.after}"]
    for place, key in enumerate(asked.written, start=1):
        lines.append(f"  #{place:<3} {key}{'' if place in asked.left else '   (gone)'}")
    return lines
