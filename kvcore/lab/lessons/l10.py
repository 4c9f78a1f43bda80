"""Checks of lesson 10: which faults take which writes, and what makes a write stay.

10a foretells eight worlds (`l10_worlds`), each of which the check can play; 10d sorts lines of
configuration. 10b, the order of writing and telling, is in `l10_persist`; 10c, the end of a
torn log, in `l10_torn`.

Left out: real disks, which may lie about a sync.
"""

from collections.abc import Iterable
from dataclasses import replace

from kvcore.lab.exercise import declare
from kvcore.lab.feedback import Verdict, Word
from kvcore.lab.lessons.l10_persist import check_10b
from kvcore.lab.lessons.l10_torn import check_10c
from kvcore.lab.lessons.l10_worlds import CASES, play
from kvcore.lab.quiz import Question, questionnaire

__all__ = ["LINES", "LOSSES", "check_10b", "check_10c"]

NONE, SOME = "none", "some"
_ANSWERS = (NONE, SOME)
LOSSES = {
    "R1, always, power cut": Question(NONE, {SOME: "always"}, _ANSWERS),
    "R1, interval, kill -9": Question(NONE, {SOME: "M16"}, _ANSWERS),
    "R1, interval, power cut": Question(SOME, {NONE: "alone"}, _ANSWERS),
    "R3, always, power cut of all": Question(NONE, {SOME: "always"}, _ANSWERS),
    "R3, interval, power cut of all": Question(SOME, {NONE: "M15"}, _ANSWERS),
    "R3, never, kill -9 of all": Question(NONE, {SOME: "M16"}, _ANSWERS),
    "R3, interval, power cut of the leader": Question(NONE, {SOME: "others"}, _ANSWERS),
    "R3, interval, partition and one power cut": Question(SOME, {NONE: "M15_one"}, _ANSWERS),
}

_FORM = questionnaire(
    "10a",
    kind="prediction",
    names=("lost",),
    hints=(
        (
            "For each acked write ask which memories hold it: which processes, which page caches, "
            "which platters? Then take away what the fault takes."
        ),
        (
            "kill -9 takes a process, a power cut takes its page cache, too. With three copies "
            "count who is left that has the write, and whether those who lack it can be a "
            "majority without them."
        ),
        (
            "The two cases with a kill and the two with `always` look dangerous and are not. Of "
            "the four others only one leaves two servers that know everything."
        ),
    ),
    questions=LOSSES,
    wrong={
        "always": "When does an ack leave under `always`? What is on the platter by then, and "
        "what can a power cut take?",
        "M16": "The process is gone. To whom does the page cache belong, and is that gone, too?",
        "alone": "The last sync may be two minutes old. Where are the writes since, and what "
        "happens to that place?",
        "M15": "Three copies, each in a page cache, and one power supply. How many of the three "
        "are left?",
        "others": "The leader comes back with less. Who has the writes still, and who may lead "
        "without having them?",
        "M15_one": "One follower never had them, one had and forgot. How many of three are that, "
        "and what may so many do?",
    },
    sure="Copies help against faults that come one at a time; a sync helps against those that "
    "take the page cache.",
    compare="Each case is a count: which servers still have the write, and are those without "
    "it a majority?",
)


def check_10a(given: object, seeds: Iterable[int]) -> Verdict:
    """The form's verdict; of a wrong line, also what its world came to."""
    verdict = _FORM.check(given, seeds)
    name = verdict.observed.partition(":")[0]
    if verdict.word is not Word.NOT_YET or name not in CASES or not verdict.hint:
        return verdict
    seed = 1
    left = play(name, seed)
    seen = f"{verdict.observed}; in a trial {left.lost} of {left.acked} acked writes are gone"
    return replace(verdict, observed=seen, seed=seed)


declare(replace(_FORM, check=check_10a))

NATS, KVCORE, NOBODY = "nats-server", "kvcore only", "neither"
_WHO = (NATS, KVCORE, NOBODY)
LINES = {
    "nats kv add b --storage memory": Question(NATS, {NOBODY: "memory", KVCORE: "memory"}, _WHO),
    "nats kv add b --storage rocksdb": Question(NOBODY, {NATS: "M19", KVCORE: "wire"}, _WHO),
    "jetstream { sync_interval: always }": Question(
        NATS, {KVCORE: "opt_in", NOBODY: "opt_in"}, _WHO
    ),
    "jetstream { sync_interval: never }": Question(
        NOBODY, {NATS: "never", KVCORE: "never"}, _WHO
    ),
    "jetstream { sync_interval: 30s }": Question(NATS, {KVCORE: "opt_in", NOBODY: "opt_in"}, _WHO),
    "jetstream { storage: rocksdb }": Question(NOBODY, {NATS: "M19", KVCORE: "wire"}, _WHO),
    "serve --engine rocksdb": Question(KVCORE, {NATS: "M19", NOBODY: "extension"}, _WHO),
}  # fmt: skip

questionnaire(
    "10d",
    kind="classification",
    names=("lines",),
    hints=(
        "You have seen the answer of the server to three kinds of storage. Which did it refuse?",
        (
            "Ask two questions of each line: does it name an engine that NATS has, and is what "
            "stands after the colon a duration, or the one word that may stand there instead?"
        ),
        (
            "Three lines are NATS's own: one storage, two intervals. One works in kvcore alone, "
            "and is a flag of the server. The other three are refused by both."
        ),
    ),
    questions=LINES,
    wrong={
        "M19": "NATS has two kinds of storage. Which two did the server of Experiment 1 take?",
        "wire": "kvcore has this engine, but can a client or a configuration file ask for it in "
        "NATS's words? What did Experiment 1 say?",
        "memory": "Experiment 1 asked for it, in the words of the protocol. What was the answer?",
        "opt_in": "The default is two minutes, and it is a setting. What may stand there?",
        "never": "Is `never` a duration? kvcore has a mode of this name, for lessons: where did "
        "you write it?",
        "extension": "You started a server with it in the last experiment. Whose server was it?",
    },
    sure="Whoever tells you to take rocksdb for a NATS bucket has not tried it.",
    compare="`nats-server -t -c FILE` says of a configuration whether it is valid, without "
    "starting anything.",
)
