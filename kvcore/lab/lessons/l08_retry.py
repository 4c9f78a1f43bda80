"""The check of 08c: a client that asks until it knows, and never stores twice.

Each seed is a world of five servers that comes apart in one of two ways. In one the lone
side's log is cut after the heal; in the other its leader wins and an update that had timed
out is stored late. Meanwhile the learner's function is at work on several keys, from both
sides, some with a rival. What it returned becomes a history, and the history is held against
the healed cluster's log.

Left out: crashes. To a client a dead leader and a cut look alike.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from random import Random
from typing import Any

import nats.errors
from nats.aio.client import Client
from nats.js.kv import KeyValue

from kvcore.check.history import judge
from kvcore.lab.cluster import Cluster
from kvcore.lab.exchanges import told
from kvcore.lab.exercise import exercise
from kvcore.lab.feedback import Verdict, not_yet, passed, shown
from kvcore.lab.lessons.l08_split import BUCKET, HISTORY, SERVERS_COUNT, Split
from kvcore.lab.trial import answer, in_world
from kvcore.sim.operations import Entry
from kvcore.sim.wire import Exchange, Wire

REQUESTS_MOST = 300
CALL_SECONDS = 10.0
TIMEOUT_SECONDS = 0.5


@dataclass(slots=True)
class Call:
    """One call of the learner's function: from where, on which key, and what came of it."""

    server: str
    key: str
    revision: int = 0
    number: int = 0
    said: object = None
    error: Exception | None = None
    exchanges: list[Exchange] = field(default_factory=list)

    @property
    def value(self) -> bytes:
        """What nobody else writes."""
        return f"by {self.server}, {self.key}".encode()


@exercise(
    "08c",
    names=("store_once",),
    seeds=2,
    hints=(
        "Two requests of yours may both arrive. What would make the second one harmless?",
        (
            "Ask again with the same revision: of two updates behind one revision at most one is "
            "stored. Refused, then look who stands behind it: it may be you."
        ),
        (
            "Loop: try update(key, value, last=revision), return what it gives; on TimeoutError or "
            "NoStreamResponseError sleep 0.2 and go on; on KeyWrongLastSequenceError read "
            "entries_of(kv, key) and return the revision of your value in it, or None."
        ),
    ),
    wrong={
        "M12": "A put that timed out may still be stored, and a second put has no condition. What "
        "does it replace, and how often does your value stand in the log?",
        "refreshed": "You took the newest revision and tried on that. Whose value is at it? It "
        "may be yours, stored late, or a rival's that you now replace.",
        "failed": "A time-out is your client's clock running out. Where was your request at that "
        "moment, and what may the leader still do with it?",
        "second": "No response from stream: *this* request was certainly not taken. And the one "
        "before it, that timed out?",
        "own": "Refused: somebody wrote behind `revision`. Could that have been your own earlier "
        "request?",
        "newest": "Your value is not the newest one. Was it stored, and then replaced by another?",
        "claims": "You named a revision, and your value was never stored there. What did you see "
        "that said so?",
        "value": "Return the revision at which your value stands, a number, or None.",
        "gave up": "Nobody else wrote, and the cluster was whole a few seconds later. What could "
        "one more try with the same revision have done?",
        "out": "The caller wants to know whether it is stored; an exception does not say. Which "
        "ones mean `ask again`?",
        "spin": "Hundreds of requests while the network was down. What could you do between two "
        "tries?",
        "never": "The cluster was whole after a few seconds, and your call never came back. What "
        "ends your loop?",
    },
    compare="One asks again and looks only when it is refused; the other looks after each time-out "
    "before it asks again. Both keep the revision: it makes a second request harmless.",
)
def check_08c(learner: Any, seeds: Iterable[int]) -> Verdict:
    """Each seed's world, half of them with an update that is stored late."""
    calls = late = 0
    for seed in seeds:
        found = in_world(_judge, learner, seed=seed, servers=SERVERS_COUNT)
        if isinstance(found, Verdict):
            return found
        calls, late = calls + found[0], late + found[1]
    return passed(f"{calls} calls across partitions, {late} of them stored after a time-out")


async def _judge(cluster: Cluster, store_once: Any, seed: int) -> Verdict | tuple[int, int]:
    split = await Split.open(cluster)
    rng = Random(seed)
    calls = [
        Call("n1", "alone"),
        Call("n1", "rival"),
        Call("n2", "beside"),
        Call("n4", "across"),
    ]
    keeper, rival = await split.client("n4"), await split.client("n3", patience=0.1)
    handles = [await split.client(each.server, patience=TIMEOUT_SECONDS) for each in calls]
    for each in calls:
        await split.put(keeper, "keeper", f"first {each.key}".encode(), key=each.key)
        each.revision = split.history.operations[-1].revision
    storm = _late if seed % 2 == 0 else _cut
    work = [
        asyncio.ensure_future(_call(split, store_once, each, kv, rng.uniform(0.0, 0.2)))
        for each, kv in zip(calls, handles, strict=True)
    ]
    await storm(split, rival)
    await asyncio.gather(*work)
    await asyncio.sleep(1)
    log = await split.log()
    for each in calls:
        verdict = _verdict(split, each, log, seed)
        if verdict is not None:
            return verdict
    return len(calls), sum(_is_late(each, log) for each in calls)


async def _cut(split: Split, rival: KeyValue) -> None:
    """The leader and one more on one side; the rivals write on the other before the heal."""
    await split.cluster.partition(["n1", "n2"])
    await asyncio.sleep(2)
    await asyncio.gather(*(_surely(split, rival, key) for key in ("rival", "beside")))
    await asyncio.sleep(1)
    await split.cluster.heal()


async def _late(split: Split, rival: KeyValue) -> None:
    """Nobody has a majority; then n1 finds two others first, and only its log can win."""
    await split.cluster.partition(["n1"], ["n2", "n3"], ["n4", "n5"])
    await asyncio.sleep(2)
    await split.cluster.partition(["n1", "n2", "n3"], ["n4", "n5"])
    await asyncio.gather(*(_surely(split, rival, key) for key in ("rival", "beside")))
    await asyncio.sleep(1)
    await split.cluster.heal()


async def _surely(split: Split, kv: KeyValue, key: str) -> None:
    """A rival's put, with another value each time, until one is acknowledged."""
    for number in range(100):
        value = f"rival {len(split.history.operations)}.{number}".encode()
        if await split.put(kv, "rival", value, key=key) == "acked":
            return
        await asyncio.sleep(0.03)


async def _call(split: Split, store_once: Any, call: Call, kv: KeyValue, wait: float) -> None:
    await asyncio.sleep(wait)
    client: Client = kv._js._nc  # noqa: SLF001 - nats-py has no other way to it
    wire = Wire({call.server: client})
    history = split.history
    call.number = history.begin(
        f"you at {call.server}", "update", call.key, call.value, call.revision, split.now
    )
    given = (kv, call.key, call.value, call.revision)
    try:
        call.said = await _bounded(answer(store_once, *given, seconds=CALL_SECONDS), wire)
    except (nats.errors.Error, TimeoutError) as error:
        call.error = error
    call.exchanges = list(wire.exchanges)
    if type(call.said) is int:
        history.ok(call.number, split.now, call.said)
    elif call.error is None:
        history.refused(call.number, split.now, "None")
    else:
        history.unknown(call.number, type(call.error).__name__)


async def _bounded(work: Any, wire: Wire) -> object:
    """Its value; stopped when it has asked far too often."""
    task = asyncio.ensure_future(work)
    while not task.done() and len(wire.exchanges) < REQUESTS_MOST:
        await asyncio.wait([task], timeout=0.05)
    if not task.done():
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        raise TimeoutError("asked too often")
    return task.result()


def _verdict(split: Split, call: Call, log: list[Entry], seed: int) -> Verdict | None:
    """None if what was returned is true and the value stands once, behind its revision."""
    places = [each.revision for each in log if each.value == call.value]
    others = [each for each in log if each.key == call.key and each.revision > call.revision]
    mine = [each for each in judge(split.history, log, kept=HISTORY) if _is_about(each, call)]
    hint = _why(call, places, others, is_wrong=bool(mine))
    if hint is None:
        return None
    said = type(call.error).__name__ if call.error else shown(call.said)
    stored = f"stored at {', '.join(map(str, places))}" if places else "not stored"
    steps = [told(each) for each in call.exchanges if "CONSUMER" not in each.subject]
    return not_yet(
        f"from {call.server}, update behind {call.revision}: returned {said}; in the end {stored}",
        "the value at most once, right behind its revision, and an answer that says so",
        seed=seed,
        hint=hint,
        trace=[
            f"you are a client of {call.server}; {call.key} is at revision {call.revision}",
            *(f"  {each.text}" for each in steps[:24]),
            f"the log of {call.key} after the heal:",
            *(f"  {each.revision}  {each.value.decode()}" for each in log if each.key == call.key),
            *(line for each in mine for line in str(each).splitlines()),
        ],
    )


def _is_about(violation: Any, call: Call) -> bool:
    return any(each.key == call.key for each in violation.operations)


def _why(call: Call, places: list[int], others: list[Entry], *, is_wrong: bool) -> str | None:
    """The key of the hint for a wrong run; None for a right one."""
    is_behind = bool(places) and others[0].revision == places[0]
    if len(places) > 1 or (places and not is_behind):
        return "M12" if _has_put(call) else "refreshed"
    if call.error is not None:
        if "too often" in str(call.error):
            return "spin"
        return "out" if isinstance(call.error, nats.errors.Error) else "never"
    if call.said is not None and type(call.said) is not int:
        return "value"
    if call.said is None:
        return _why_none(call, others, is_stored=bool(places))
    if not places:
        return "claims"
    return "value" if call.said != places[0] or is_wrong else None


def _why_none(call: Call, others: list[Entry], *, is_stored: bool) -> str | None:
    """It returned None: is that true, and was it all that could be done?"""
    answers = [told(each) for each in call.exchanges]
    has_read = any("CONSUMER" in e.subject or ".GET." in e.subject for e in call.exchanges)
    is_refused = any("wrong last" in each.gets for each in answers)
    if not is_stored and others and (has_read or is_refused):
        return None
    if has_read:
        return "newest" if is_stored else "gave up"
    if is_refused:
        return "own"
    if not answers or answers[-1].outcome == "unknown":
        return "failed"
    return "second" if any(each.outcome == "unknown" for each in answers) else "gave up"


def _has_put(call: Call) -> bool:
    subject = f"$KV.{BUCKET}.{call.key}"
    return any(
        each.subject == subject and b"Expected-Last-Subject" not in each.headers
        for each in call.exchanges
    )


def _is_late(call: Call, log: list[Entry]) -> bool:
    """Whether a value was stored although a request of it had no answer."""
    timed_out = any(told(each).outcome == "unknown" for each in call.exchanges)
    return timed_out and any(each.value == call.value for each in log)
