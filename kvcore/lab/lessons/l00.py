"""Lesson 00's checks: ask the server who it is, and learn the loop of try, check and hint.

00a judges by worlds in which a constant can't be right: every server has a name of its own,
has been restarted some time after its world began, and is restarted once more between two
calls. So what was typed in, remembered or read off the client's clock shows itself.

00b wants a wrong try as well as a right one, kept side by side in a list. The verdict
speaks about the last; a list without a wrong one before it has not seen a rejection, which
is what the exercise is for.

00c sorts what a crash took from what it left, and from what was never there.

Left out: the server's id, version and counters, which the same answer carries.
"""

import asyncio
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random
from typing import Any

from kvcore import limits
from kvcore.jetstream.times import rfc3339
from kvcore.lab import sandbox, stubs
from kvcore.lab.exercise import exercise
from kvcore.lab.feedback import Verdict, not_attempted, not_yet, passed, shown
from kvcore.lab.quiz import Question, questionnaire
from kvcore.lab.simulated import SimulatedCluster
from kvcore.lab.trial import answer, in_world
from kvcore.limits import Nanos
from kvcore.node.system import SERVER_PING

_NAMES = ("amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "haven")
_DAY_SECONDS = 24 * 60 * 60


def _name(seed: int) -> str:
    return f"{_NAMES[seed % len(_NAMES)]}-{seed}"


class _Diary:
    """What happened in a check's world, a line each, by the world's own clock."""

    def __init__(self, cluster: SimulatedCluster) -> None:
        self._cluster = cluster
        self.lines: list[str] = []

    def note(self, text: str) -> None:
        self.lines.append(f"{self._cluster.now():%H:%M:%S}  {text}")


async def _restart(cluster: SimulatedCluster, diary: _Diary, down: float) -> Nanos:
    """Crashes the server, starts it after `down` virtual seconds, and returns when it started."""
    name = cluster.servers[0].name
    await cluster.crash(name)
    diary.note(f"{name} is crashed")
    await asyncio.sleep(down)
    since = cluster.simulation.now
    await cluster.restart(name)
    diary.note(f"{name} is started: this is its start time, {rfc3339(since)}")
    return since


# 00a


@exercise(
    "00a",
    names=("who_and_since",),
    seeds=6,
    hints=(
        "Who knows this server's name and its start? Not your code, and not your clock.",
        (
            f"The cell above prints what a server says of itself under {SERVER_PING}. Ask the same "
            "through `nc`, at every call, and pick two fields out of the answer."
        ),
        (
            "json.loads(message.data) is a dict that holds two dicts. The name is in the one called"
            " server, the start in the one called statsz. Return the two texts as a tuple."
        ),
    ),
    wrong={
        "fixed": "This world's server has another name or start. Where do yours come from: from "
        "this server, asked in this call?",
        "stale": "That was true before. What did your function keep, and what would a restart do "
        "to it?",
        "later": "That moment is later than the start: someone connected or asked then. Which "
        "field of the answer is about the start?",
        "id": "That is the server's id, made up by the server. Which field would a person use to "
        "call it?",
        "shape": "The caller unpacks it: name, since = await who_and_since(nc). Both are texts.",
        "wait": "No answer came. Did you ask through the `nc` that the function is given, and say "
        "where the answer should go?",
    },
    compare="request() makes an inbox, subscribes, publishes and waits; the other does it by hand.",
)
def _check_00a(who_and_since: object, seeds: Iterable[int]) -> Verdict:
    before: list[object] = []
    count = 0
    for seed in seeds:
        fault = in_world(_judge_00a, who_and_since, before, seed=seed, names=(_name(seed),))
        if fault is not None:
            return fault
        count += 1
    return passed(f"{count} servers with different names, each before and after a restart")


async def _judge_00a(
    cluster: SimulatedCluster, who_and_since: object, before: list[object], seed: int
) -> Verdict | None:
    rng, diary = Random(seed), _Diary(cluster)
    diary.note(f"the world begins, with {_name(seed)}")
    await asyncio.sleep(rng.uniform(60, 7200))
    since = await _restart(cluster, diary, rng.uniform(1, 60))
    await asyncio.sleep(rng.uniform(10, 600))
    client = await cluster.connect()
    diary.note("a client connects")
    for turn in ("", " after a restart"):
        await asyncio.sleep(rng.uniform(5, 60))
        given = await answer(who_and_since, client)
        diary.note(f"your function gives {shown(given)}")
        hint = _fault_00a(given, cluster, since, before)
        if hint is not None:
            return not_yet(
                f"{shown(given, 100)}{turn}",
                f"{shown((_name(seed), rfc3339(since)), 100)}, as the server says",
                seed=seed,
                hint=hint,
                trace=diary.lines,
            )
        before.append(given)
        since = await _restart(cluster, diary, rng.uniform(1, 60))
        while not client.is_connected:  # noqa: ASYNC110 - virtual time: asking costs nothing
            await asyncio.sleep(0.5)
    return None


def _fault_00a(
    given: object, cluster: SimulatedCluster, since: Nanos, before: list[object]
) -> str | None:
    """The hint that an answer needs; None for a right one."""
    if not isinstance(given, tuple | list) or len(given) != 2:
        return "shape"
    name, start = given
    moment = _moment(start)
    if not isinstance(name, str) or moment is None:
        return "shape"
    right = _moment(rfc3339(since))
    host = cluster.simulation.host()
    assert right is not None
    if name == host.name and moment == right:
        return None
    if given in before:
        return "stale"
    if name == host.config.server_id:
        return "id"
    return "later" if name == host.name and moment > right else "fixed"


def _moment(value: object) -> datetime | None:
    """A time as the server writes it, or as Python holds it; None for anything else."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return None
    return value if isinstance(value, datetime) and value.tzinfo is not None else None


# 00b


@dataclass(frozen=True, slots=True)
class _Case:
    """A server's answer, how long the server was up then, and how it came to that."""

    answer: dict[str, Any]
    seconds: float
    seed: int
    trace: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Fault:
    """What is wrong with a try: the hint's key, what it gave, on which case."""

    hint: str
    observed: str
    case: _Case


@exercise(
    "00b",
    names=("tries",),
    seeds=4,
    hints=(
        "Write down what comes to mind first, check it, and read `observed` against `required`.",
        (
            "An uptime is a difference. Both moments must be read from the same clock: the answer "
            "holds the server's start, and one more moment."
        ),
        (
            'Keep the rejected function in the list. The right one takes answer["server"]["time"] '
            'minus answer["statsz"]["start"], both through datetime.fromisoformat, and of that '
            ".total_seconds()."
        ),
    ),
    wrong={
        "clock": "The start is on the server's clock. On whose clock is your other moment? Two "
        "clocks that nobody compared can't be subtracted.",
        "days": "Right for a short uptime, wrong by whole days for a long one. What does "
        "timedelta.seconds leave out?",
        "unit": "A plain number of seconds is wanted, neither minutes nor a timedelta.",
        "no_wrong": "Right at once. Here a rejection counts as well: put a wrong function before "
        "it, check that alone, and read what it says.",
    },
    compare="One lets datetime parse both moments; one counts whole seconds from the calendar.",
)
def _check_00b(tries: object, seeds: Iterable[int]) -> Verdict:
    given = list(tries) if isinstance(tries, tuple | list) else [tries]
    written = [each for each in given if not stubs.is_stub(each)]
    if not written:
        return not_attempted("tries")
    cases = [case for seed in seeds for case in _cases(seed)]
    last = written[-1]
    if not callable(last):
        return not_yet(f"the list ends in {shown(last)}", "functions, as tries = [first, second]")
    fault = _fault_00b(last, cases)
    if fault is not None:
        case = fault.case
        required = f"{case.seconds:.0f}, give or take one"
        return not_yet(fault.observed, required, seed=case.seed, hint=fault.hint, trace=case.trace)
    for number, each in enumerate(written[:-1], start=1):
        hint = _rejected(each, cases)
        if hint:
            return passed(
                f"{len(cases)} answers; try {number} was rejected [00b.{hint}], the last passes"
            )
    return not_yet(
        "the last function is right, and no wrong one stands before it",
        "a rejected try, kept in the list: tries = [wrong, right]",
        hint="no_wrong",
    )


def _rejected(function: object, cases: list[_Case]) -> str:
    """The hint of an earlier try, which may be wrong in any way; "" if it was right."""
    if not callable(function):
        return "unit"
    outcome = sandbox.run(lambda: _fault_00b(function, cases), function)
    if isinstance(outcome, sandbox.Failure):
        return outcome.kind
    fault = outcome.value
    return (fault.hint or "1") if fault is not None else ""


def _fault_00b(function: Callable[..., object], cases: list[_Case]) -> _Fault | None:
    for case in cases:
        given = function(json.loads(json.dumps(case.answer)))
        hint = _hint_00b(given, case)
        if hint is not None:
            name = getattr(function, "__name__", "it")
            return _Fault(hint, f"{name}(answer) gave {shown(given)}", case)
    return None


def _hint_00b(given: object, case: _Case) -> str | None:
    if isinstance(given, bool) or not isinstance(given, int | float):
        return "unit"
    if abs(given - case.seconds) <= 1:
        return None
    start = datetime.fromisoformat(case.answer["statsz"]["start"])
    by_wall = (datetime.now(UTC) - start).total_seconds()
    if given < 0 or abs(given - by_wall) < _DAY_SECONDS:
        return "clock"
    if abs(given - case.seconds % _DAY_SECONDS) <= 1:
        return "days"
    factors = (1000, 1_000_000, limits.SECOND_NS, 1 / 60, 1 / 3600, 1 / _DAY_SECONDS)
    if any(0.9 < given / (case.seconds * each) < 1.1 for each in factors):
        return "unit"
    return ""


def _cases(seed: int) -> list[_Case]:
    return in_world(_answers, seed=seed, names=(_name(seed),))


async def _answers(cluster: SimulatedCluster, seed: int) -> list[_Case]:
    """What one server says of itself minutes after its start, and days after it."""
    rng, diary = Random(f"{seed}/uptime"), _Diary(cluster)
    await asyncio.sleep(rng.uniform(60, 7200))
    since = await _restart(cluster, diary, rng.uniform(1, 60))
    found: list[_Case] = []
    for wait in (rng.uniform(200, 4000), _DAY_SECONDS * rng.randint(1, 9)):
        await asyncio.sleep(wait)
        client = await cluster.connect()
        reply = await client.request(SERVER_PING, b"")
        said = json.loads(reply.data)
        await client.close()
        seconds = (cluster.simulation.now - since) / limits.SECOND_NS
        diary.note(f"{seconds:.0f} s after its start it says: {reply.data.decode()[:400]}")
        found.append(_Case(said, seconds, seed, tuple(diary.lines)))
    return found


# 00c

_FATES = ("left", "taken", "never there")

questionnaire(
    "00c",
    kind="classification",
    names=("after_crash",),
    hints=(
        "Where was each of them when n1 ended: on its disk, in its memory, or nowhere in n1?",
        (
            "Look back at what get found after the restart, at what nc.stats counted, and at the "
            "counters in the answer above 00a: when did they begin?"
        ),
        (
            "Do it again: await cluster.crash('n1'), await cluster.restart('n1'), and then "
            'await kv.get("greeting"), nc.stats["reconnects"], and the request of the cell above '
            "00a. What goes on was left, what begins anew was taken."
        ),
    ),
    questions={
        "hello, which was answered": Question(
            "left", wrong={"taken": "disk", "never there": "answered"}, choices=_FATES
        ),
        "the put that met no server": Question(
            "never there", wrong={"left": "found", "taken": "arrived"}, choices=_FATES
        ),
        "the client's connection": Question(
            "taken", wrong={"left": "again", "never there": "through"}, choices=_FATES
        ),
        "what n1 had counted": Question(
            "taken", wrong={"left": "counts", "never there": "counts"}, choices=_FATES
        ),
    },
    wrong={
        "disk": "What did get find after the restart? Where must that have been meanwhile?",
        "answered": "The put was told revision 1. What does this server do before it says that?",
        "found": "Then get would have found it after the restart. What did it find?",
        "arrived": "A crash takes what the server had. Was anyone there to receive this put?",
        "again": "The same `nc` worked afterwards. What does nc.stats say that it did first?",
        "through": "Before the crash `nc` had put and got a value. What did these travel on?",
        "counts": "See total_connections in the answer above 00a. How often had `nc` connected to "
        "n1 by then, its first time included?",
    },
    sure="A crash takes memory and connections; the disk stays.",
    compare="Ask of each where it was at that moment; the crash itself needs no list.",
)
