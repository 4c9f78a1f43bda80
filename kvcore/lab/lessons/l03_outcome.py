"""The check of 03c: an update ended in a time-out; was it done?

Each case is made live, in a world of its own: the answer is lost on its way, or the request
is, or it is late; meanwhile others write, or don't. Then the learner's function is asked
through a fresh connection, and only after it has answered does what is late arrive. An
answer counts when it is true for good. Where reading can tell, it must tell; where nothing
that can be read decides (the messages between are gone, or the request may still come),
"unknown" is the answer, unless the function made sure of another.

Left out: several servers, where a late request may also come from a deposed leader.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from random import Random
from typing import Any, TypeAlias

from nats.aio.client import Client
from nats.errors import TimeoutError as NatsTimeoutError
from nats.js.errors import KeyNotFoundError
from nats.js.kv import KeyValue

from kvcore.lab.cluster import Cluster
from kvcore.lab.exchanges import told
from kvcore.lab.exercise import exercise
from kvcore.lab.feedback import Verdict, not_yet, passed, shown
from kvcore.lab.trial import answer, in_world
from kvcore.sim.gate import Gate, transport_of
from kvcore.sim.wire import Wire

DONE, NOT_DONE, UNKNOWN = "done", "not done", "unknown"
KEY = "mode"
WORDS = ("amber", "blue", "green", "plum", "rose", "teal")


@dataclass(frozen=True, slots=True)
class Case:
    """What befalls the update, how many others write then, and what is true in the end."""

    name: str
    request: str  # "arrives", "is lost", "is late"
    before: int  # how many others write before it arrives
    after: int  # and after it
    history: int
    truth: str
    told: str


CASES = (
    Case("a", "arrives", 0, 0, 5, DONE, "the update is stored, its answer is lost"),
    Case("b", "arrives", 0, 2, 5, DONE, "stored, the answer is lost, then others put twice"),
    Case("c", "is lost", 1, 0, 5, NOT_DONE, "the request is lost, then another client puts"),
    Case("d", "arrives", 1, 1, 5, NOT_DONE, "another put first: refused, the refusal is lost"),
    Case("e", "is late", 0, 0, 5, UNKNOWN, "the request is late; nobody else has written"),
    Case("f", "arrives", 0, 2, 1, UNKNOWN, "stored, the answer is lost, two puts, history 1"),
    Case("g", "is lost", 2, 0, 1, UNKNOWN, "the request is lost, two puts, history 1"),
)


@exercise(
    "03c",
    names=("outcome_of",),
    seeds=3,
    hints=(
        "The update had a condition. If it was done, where in the key's history must it stand?",
        (
            "It can only stand right behind `revision`. What stands there decides, if you can "
            "still see it. And if nothing stands there yet?"
        ),
        (
            "entries = await kv.history(key). Mine among them: done. Else, if the entry `revision` "
            "and a later one are both there: not done. Else: unknown."
        ),
    ),
    wrong={
        "M12": "The time-out is your client's clock. What it says of the server is nothing. Where "
        "would you look for your value?",
        "lazy": "It can be known here. What does the key's history hold right behind `revision`?",
        "newest": "Your value is no longer the newest. Was it there? Others may have built on it.",
        "late": "You read, and nothing had changed: that was true. Then the request arrived. "
        "What did your reading prove about later?",
        "trimmed": "Between `revision` and what you see, messages are gone. Could yours have been "
        "one of them?",
        "retry": "A refusal says that somebody wrote after `revision`. Who might that have been?",
        "twice": "Your value is stored twice. Which revision made the second one possible?",
        "claims": "Your value was never stored. That somebody wrote after `revision` is not that "
        "you did: whose value is it?",
        "overwrote": "Another client's value was the newest, and is replaced. You were asked what "
        "happened: did anyone ask for another write?",
        "word": "There are three answers: 'done', 'not done', 'unknown'.",
    },
    compare="One only reads, and stays unsure while the request may be on its way. The other "
    "writes the old value again on the same revision: then the late request is refused for good.",
)
def check_03c(learner: Any, seeds: Iterable[int]) -> Verdict:
    """Each case, in each seed's world."""
    count = 0
    for seed in seeds:
        for case in CASES:
            verdict = in_world(_judge, learner, case, seed=seed)
            if verdict is not None:
                return verdict
            count += 1
    return passed(f"{len(CASES)} ways to time out, {count} in all, three of them undecidable")


Finish: TypeAlias = Callable[[], Awaitable[None]]


@dataclass(slots=True)
class _Stage:
    """The clients of a case, and what is to be put."""

    writer: Client
    kv: KeyValue  # the writer's
    other: KeyValue
    mine: bytes
    words: list[str]


async def _judge(cluster: Cluster, outcome_of: Any, case: Case, seed: int) -> Verdict | None:
    rng = Random(f"{seed}/{case.name}")
    writer = await cluster.connect(allow_reconnect=False)
    kv = await writer.jetstream().create_key_value(bucket="flags", history=case.history)
    other = await (await cluster.connect()).jetstream().key_value("flags")
    words = rng.sample(WORDS, 5)
    stage = _Stage(writer, kv, other, f"{words[0]} by ann-{rng.randrange(100)}".encode(), words)
    for number in range(rng.randrange(1, 4)):
        await other.put(f"noise{number}", b"-")
    revision = await kv.put(KEY, f"{words[1]} by ann".encode())
    await other.put("noise", b"-")
    finish = await _time_out(stage, case, revision)
    newest = await _newest(other)
    asker = await cluster.connect()
    wire = Wire({"you": asker})
    reader = await asker.jetstream().key_value("flags")
    said = await answer(outcome_of, reader, KEY, stage.mine, revision)
    wrote = any(each.subject.startswith("$KV.") for each in wire.exchanges)
    await finish()
    stored = await _stored(cluster, stage.mine)
    kept = newest == await _newest(other)
    is_newest = newest == stage.mine
    hint = _why(case, said, wrote=wrote, stored=stored, kept=kept, is_newest=is_newest)
    if hint is None:
        return None
    steps = [told(each) for each in wire.exchanges if "CONSUMER" not in each.subject]
    return not_yet(
        f"{case.told}: outcome_of(kv, {KEY!r}, {stage.mine!r}, {revision}) gave {shown(said)}",
        _required(case, hint),
        seed=seed,
        hint=hint,
        trace=[
            f"case {case.name}: {case.told}",
            f"  {KEY} was at revision {revision}; you tried {stage.mine!r} on it",
            *(f"  {each.text}" for each in steps),
            f"  you answered {said!r}; in the end your value is stored {stored} times",
        ],
    )


async def _time_out(stage: _Stage, case: Case, revision: int) -> Finish:
    """Makes the update end in a time-out, and returns what is still to happen later."""
    transport = transport_of(stage.writer)
    gate = Gate(stage.writer)
    transport.into.hold(held=True)  # no answer comes back
    call = asyncio.ensure_future(stage.kv.update(KEY, stage.mine, last=revision))
    await gate.request()
    words = iter(stage.words[2:])
    if case.request != "is lost":
        await _others(stage, words, case.before)
    if case.request == "arrives":
        gate.let_through()
    try:
        await call
    except NatsTimeoutError:
        pass
    else:
        raise AssertionError("the update was answered")
    if case.request == "is lost":
        transport.abort()
        await _others(stage, words, case.before)
    await _others(stage, words, case.after)

    async def finish() -> None:
        if case.request == "is late":
            gate.let_through()
        await asyncio.sleep(1)

    return finish


async def _others(stage: _Stage, words: Iterable[str], count: int) -> None:
    for word, _ in zip(words, range(count), strict=False):
        await stage.other.put(KEY, f"{word} by bo".encode())


async def _newest(kv: KeyValue) -> bytes | None:
    try:
        value: bytes | None = (await kv.get(KEY)).value
    except KeyNotFoundError:
        return None
    return value


async def _stored(cluster: Cluster, mine: bytes) -> int:
    """How often the value stands in the stream."""
    kv = await (await cluster.connect()).jetstream().key_value("flags")
    return [entry.value for entry in await kv.history(KEY)].count(mine)


def _why(
    case: Case, said: object, *, wrote: bool, stored: int, kept: bool, is_newest: bool
) -> str | None:
    """The hint's key for a wrong answer; None for a right one."""
    word = said.strip().casefold() if isinstance(said, str) else said
    if word not in (DONE, NOT_DONE, UNKNOWN):
        return "word"
    if not kept and case.request != "is late":
        return "overwrote"
    if stored > 1:
        return "twice"
    if case.name == "e":
        return _why_late(word, stored)
    if word == case.truth:
        return None
    if case.truth == UNKNOWN:
        return "trimmed"
    if word == UNKNOWN:
        return "lazy"
    if word == DONE:
        return "claims"
    return "retry" if wrote else "M12" if is_newest else "newest"


def _why_late(word: object, stored: int) -> str | None:
    """The request came after the answer: what was said must be true then, too."""
    if word == NOT_DONE and stored:
        return "late"
    return "claims" if word == DONE and not stored else None


def _required(case: Case, hint: str) -> str:
    if hint in ("twice", "overwrote"):
        return "an answer, and the key as the others left it"
    if case.name == "e":
        return "an answer that is still true when the late request has arrived"
    return {
        DONE: "'done': the update stands in the key's log",
        NOT_DONE: "'not done': another write took its place, so it can never be stored",
        UNKNOWN: "'unknown': the log that would tell is trimmed",
    }[case.truth]
