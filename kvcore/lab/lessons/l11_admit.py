"""The check of exercise 11b: may a write come in, and who must go for it?

Streams with limits of every kind are made, the machines that a server runs, and written to.
Of each write is kept what was there before, what the stream said, and what was gone
afterwards; the learner's function must say the same. When it doesn't, all of its answers are
held against the beliefs in `l11_rules`, and the hint is the one of the belief that fits best.

Left out: client and server. They change nothing here (tests/lessons/test_levers.py sends the
same writes over the wire, to kvcore and to nats-server) and would take a learner's time.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from random import Random
from typing import Any

from kvcore.jetstream.checks import normalised
from kvcore.jetstream.commands import Publish
from kvcore.jetstream.config import from_document
from kvcore.jetstream.stream import Stream
from kvcore.lab.exercise import exercise
from kvcore.lab.feedback import Verdict, not_yet, passed, shown
from kvcore.lab.lessons.l11_rules import (
    BELIEFS,
    ERRORS,
    Outcome,
    Settings,
    Stored,
    Write,
    believed,
    size_of,
)
from kvcore.storage.memory import MemoryStorage
from kvcore.storage.overlay import Overlay

__all__ = ["check_11b"]

WRITES = 13
SUBJECTS = ("s.a", "s.b", "s.a.b")
BLOCK = b"NATS/1.0\r\nKV-Operation: DEL\r\n\r\n"
FREE: Settings = {
    "history": -1, "max_msgs": -1, "max_bytes": -1, "max_msg_size": -1,
    "discard": "new", "discard_new_per_subject": False,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Case:
    """A write, what was there when it came, and what became of it."""

    cfg: Settings
    state: tuple[Stored, ...]
    write: Write
    outcome: Outcome


def settings(rng: Random) -> Iterator[Settings]:
    """One stream of each kind; the numbers differ from seed to seed."""
    room = {"max_bytes": rng.choice((180, 200, 230))}
    kinds: tuple[dict[str, object], ...] = (
        {"history": 1, **room},
        {"history": rng.choice((2, 3)), **room},
        {"history": rng.choice((1, 2)), "max_msgs": 3},
        {"history": 2, "max_msgs": 4, **room},
        {"history": 1, "discard_new_per_subject": True, "max_msgs": 2, **room},
        {"history": 2, "max_msg_size": 40, **room},
        {"history": 2, "discard": "old", **room},
        {"history": rng.choice((1, 2)), "discard": "old", "max_msgs": 3},
        {"max_msg_size": 45, "discard": "old", "max_msgs": 4, **room},
        {"history": 2},
    )
    for kind in kinds:
        yield {**FREE, **kind}


def writes(rng: Random) -> Iterator[Write]:
    """Writes to few keys, of few sizes, so that limits are met exactly and just missed."""
    for _ in range(WRITES):
        body = b"x" * rng.choice((0, 1, 10, 27, 30, 41, 60))
        header = BLOCK if rng.randrange(4) == 0 else b""
        yield Write(rng.choice(SUBJECTS), body, header)


@lru_cache(maxsize=64)
def cases(seed: int) -> tuple[Case, ...]:
    """Makes the streams of a seed one after the other, writes to them, and notes what happens."""
    rng = Random(seed)
    found: list[Case] = []
    for cfg in settings(rng):
        stream = _made(cfg)
        state: tuple[Stored, ...] = ()
        for write in writes(rng):
            case, state = _written(stream, cfg, write, state)
            found.append(case)
    return tuple(found)


def _made(cfg: Settings) -> Stream:
    fields = {key: value for key, value in cfg.items() if key != "history"}
    document = {"name": "S", "subjects": ["s.>"], "max_msgs_per_subject": cfg["history"], **fields}
    return Stream(1, normalised(from_document(document)), 0, Overlay(MemoryStorage()))


def _written(
    stream: Stream, cfg: Settings, write: Write, state: tuple[Stored, ...]
) -> tuple[Case, tuple[Stored, ...]]:
    """The case, and what is there after it."""
    command = Publish(write.subject, "reply", write.header or None, write.body, time=0)
    done = stream.apply(command, stream.last_seq + 1)
    if not done.stored:
        error = json.loads(done.payload)["error"]
        return Case(cfg, state, write, str(error["description"])), state
    gone = [each.revision for each in state if each.revision in done.removed]
    known = (*state, Stored(done.stored, write.subject, size_of(write)))
    after = tuple(each for each in known if each.revision not in done.removed)
    return Case(cfg, state, write, gone), after


@exercise(
    "11b",
    names=("admit",),
    seeds=2,
    hints=(
        "Two questions, one after the other: may it come in? And if so: who goes for it?",
        (
            "Ask in the order of the picture, and stop at the first yes. Only `new` refuses for "
            "want of room. Once stored, history takes from the same subject; then, with `old`, "
            "the totals take from the front of what is left."
        ),
        (
            "mine = those with the write's subject; at_cap = 0 < history <= len(mine). With new: "
            "at_cap and per subject; max_msgs without at_cap; max_bytes unless at_cap and "
            "mine[0].size >= size. Then append, cut mine to history, and with old pop the front "
            "while a total is exceeded."
        ),
    ),
    wrong={
        "M17": "This stream discards `new`. Did the server take anything out of it to make room?",
        "old": "This stream discards `old`, and it is full. Was the writer refused?",
        "whose": "The limit that was exceeded is the whole stream's. Whose message is the oldest "
        "in it?",
        "enough": "One message went. Add up what is left: is it within the limits now?",
        "first": "Two limits were exceeded by one write. After history has taken its part, how "
        "much is left for the other to take?",
        "history": "It was stored. How many messages may its subject keep?",
        "replaces": "The subject was at its history limit. What leaves when this write comes in, "
        "and does that leave room?",
        "larger": "It replaces an older message of its subject. Compare the two sizes.",
        "net": "It would fit, once the older one is gone. But what does the function that decides "
        "compare: the room there is, or two messages?",
        "once": "One of the settings refuses a write to a subject that is at its history limit. "
        "Is it on here?",
        "cap": "A subject at its history limit was written to. Does `new` by itself refuse that?",
        "exactly": "The limit is reached, and not exceeded. May a full stream be exactly full?",
        "size": "Count what this message takes of max_bytes: more than its body, and with headers "
        "more still.",
        "largest": "max_msg_size looks at what the client sent, not at what the file needs. Which "
        "parts are those?",
        "order": "Two limits refuse this write, and the client is told of one. Which is asked "
        "first?",
        "text": "An error's text is the server's own words, as in the picture: without the number "
        "before them, and with nothing of yours.",
        "touched": "`state` was changed. You were asked what would happen.",
        "shape": "Return the text of the error, or a list of revisions; an empty one if nobody "
        "goes.",
    },
    compare="One asks the questions as they are drawn. The other has them as data, and finds the "
    "first that fires; the order is then one list that can be read.",
)
def check_11b(admit: Any, seeds: Iterable[int]) -> Verdict:
    """Every write to every stream of each seed."""
    count = refused = 0
    for seed in seeds:
        record = cases(seed)
        answers = []
        for case in record:
            state = list(case.state)
            said = admit(case.write, state, dict(case.cfg))
            if state != list(case.state):
                return _verdict(case, said, seed, "touched")
            if not _is_shaped(said):
                return _verdict(case, said, seed, "shape")
            if isinstance(said, str) and said not in ERRORS:
                return _verdict(case, said, seed, "text")
            answers.append(_plain(said))
        wrong = [place for place, case in enumerate(record) if answers[place] != case.outcome]
        if wrong:
            hint, place = _why(record, answers, wrong)
            return _verdict(record[place], answers[place], seed, hint)
        count += len(record)
        refused += sum(isinstance(case.outcome, str) for case in record)
    return passed(f"{count} writes to streams of every kind, {refused} of them refused")


def _is_shaped(said: object) -> bool:
    if isinstance(said, str):
        return True
    return isinstance(said, list | tuple | set) and all(type(each) is int for each in said)


def _plain(said: Any) -> Outcome:
    return said if isinstance(said, str) else sorted(said)


def _why(record: tuple[Case, ...], answers: list[Outcome], wrong: list[int]) -> tuple[str, int]:
    """The hint of the belief that gives most of the answers, and a case that shows it."""
    best = sum(answers[at] == case.outcome for at, case in enumerate(record))
    hint, place = "", wrong[0]
    for belief in BELIEFS:
        given = [believed(belief, case.write, case.state, case.cfg) for case in record]
        fits = sum(one == other for one, other in zip(given, answers, strict=True))
        explained = [at for at in wrong if given[at] == answers[at]]
        if explained and fits > best:
            best, hint, place = fits, belief.hint, explained[0]
    return hint, place


def _verdict(case: Case, said: object, seed: int, hint: str) -> Verdict:
    limits = ", ".join(
        f"{key} {value}" for key, value in case.cfg.items() if value not in (-1, False)
    )
    headed = f" and {len(case.write.header)} of header" if case.write.header else ""
    size = f"{len(case.write.body)} bytes{headed}"
    required = {
        "shape": "an error's text, or a list of revisions",
        "text": "one of the four texts in the picture, or a list of revisions",
        "touched": "`state` as it was",
    }.get(hint, f"{shown(case.outcome)}, as on kvcore")
    return not_yet(
        f"a write of {size} to {case.write.subject} with {limits}: admit gave {shown(said)}",
        required,
        seed=seed,
        hint=hint,
        trace=[
            f"settings: {limits}",
            f"write: {case.write.subject}, {size}; it takes {size_of(case.write)}",
            f"state: {len(case.state)} messages, {sum(e.size for e in case.state)} bytes",
            *(f"  #{each.revision} {each.subject:<6} {each.size}" for each in case.state),
            f"kvcore: {shown(case.outcome)}",
        ],
    )
