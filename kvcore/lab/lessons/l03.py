"""Checks of lesson 03: a counter that loses nothing, a lock that lets go, a late answer.

03a leads two clients through every order in which their requests can reach the server, and
tells the shortest order that loses an increment step by step. Then the learner's code runs
beside a client that is not theirs (a lock inside one Python saves nobody), against a rival
who always wins, and in crowds. 03b and 03c stand in `l03_lock.py` and `l03_outcome.py`.

Left out: several servers. One server orders all requests; that is enough to lose an update.
"""

import asyncio
from collections.abc import Iterable
from random import Random
from typing import Any

from nats.js.errors import KeyWrongLastSequenceError

from kvcore.lab.cluster import Cluster
from kvcore.lab.exchanges import told
from kvcore.lab.exercise import exercise
from kvcore.lab.feedback import Verdict, not_yet, passed, shown
from kvcore.lab.lessons.l03_lock import check_03b
from kvcore.lab.lessons.l03_orders import (
    ORDERS_BOUND,
    Bench,
    Increment,
    Jobs,
    Run,
    by_update,
    every_order,
    replayed,
    why,
)
from kvcore.lab.lessons.l03_outcome import check_03c
from kvcore.lab.trial import answer, in_world

__all__ = ["check_03a", "check_03b", "check_03c"]

CROWD = "ABCDEF"
TRIES_MOST = 50
REQUESTS_MOST = 400
SLEEP_SECONDS = 0.05  # in a crowd nobody waits long for one that sleeps


@exercise(
    "03a",
    names=("increment",),
    seeds=2,
    hints=(
        "Between your read and your write somebody else may write. Who would notice?",
        (
            "Let the server compare: `update` with the revision that you read. When it refuses, "
            "what you read is old, all of it."
        ),
        (
            "for each of 30 tries: entry = get; try update(value + 1, last=entry.revision) and "
            "return value + 1; except KeyWrongLastSequenceError: go on with the next try. After "
            "the last one raise it."
        ),
    ),
    wrong={
        "M4": "A put asks nothing: it replaces whatever is there. Which call has an argument for "
        "the revision that you read?",
        "once": "The refusal went to the caller while others had long finished. What do you do "
        "with your increment after a refusal?",
        "stale": "Refused, and then the same request again. What has to be read anew before "
        "another try can succeed?",
        "spin": "A rival wrote before each of your tries, for ever, and you tried for ever. "
        "After how many refusals do you tell the caller?",
        "half": "The revision was fresh, the number was not. From which moment is the value "
        "that you add one to?",
        "skipped": "A refused update stored nothing, and the caller was told otherwise. What "
        "must happen before increment returns?",
        "twice": "More was stored than was asked for. Which of your writes came after one that "
        "had already succeeded?",
        "revision": "Without `last`, update asks for revision 0: a key that is not there. Which "
        "revision should nothing have changed since?",
        "lock": "A lock in your Python keeps your own tasks apart. The other writer here is "
        "another program: what does it know of your lock?",
        "gave up": "You gave up while the crowd was still moving. How many refusals may a call "
        "meet before it may stop? Read the docstring.",
        "other error": "Your caller waits for one exception by its name. Python forgets "
        "`error` at the end of its `except`; which error leaves your function after the loop?",
        "value": "Look at what increment returns: the caller wants the number that it stored.",
    },
    compare="A loop tries again at once; with a wait that grows and is partly random, a crowd "
    "wastes fewer requests. Both let the server compare, and both read anew before each try.",
)
def check_03a(learner: Any, seeds: Iterable[int]) -> Verdict:
    """All orders of two, all orders beside another program, a rival, crowds."""
    tried: list[str] = []
    for seed in seeds:
        if not tried:
            for stage in (_two, _beside_another):
                found = stage(learner, seed)
                if isinstance(found, Verdict):
                    return found
                tried.append(found)
            verdict = in_world(_outdone, learner, seed=seed)
            if verdict is not None:
                return verdict
        verdict = in_world(_crowd, learner, seed=seed)
        if verdict is not None:
            return verdict
    return passed(f"{', '.join(tried)}, a rival that always wins, crowds of {len(CROWD)}")


def _two(increment: Increment, seed: int) -> Verdict | str:
    """Two clients that both run the learner's code: one increment each, then two and one."""
    once: Jobs = {"A": (increment, 1), "B": (increment, 1)}
    more: Jobs = {"A": (increment, 2), "B": (increment, 1)}
    few, wrong = in_world(every_order, once, ORDERS_BOUND, seed=seed)
    if wrong:
        hint = why(wrong[0])
        told_all = _is_lost(wrong[0]) and few.count > 1
        count = f"{len(wrong)} of all {few.count} orders; e.g. " if told_all else ""
        return _rejection(once, wrong[0], hint, count, seed)
    orders, wrong = in_world(every_order, more, ORDERS_BOUND, seed=seed)
    if wrong:
        return _rejection(more, wrong[0], why(wrong[0]), "", seed)
    all_of = "all" if orders.complete else "the first"
    return f"{all_of} {few.count} + {orders.count} orders of two clients"


def _beside_another(increment: Increment, seed: int) -> Verdict | str:
    """A runs the learner's code, B is another program that increments properly."""
    jobs: Jobs = {"A": (increment, 1), "B": (by_update, 1)}
    orders, wrong = in_world(every_order, jobs, ORDERS_BOUND, seed=seed)
    if wrong:
        return _rejection(jobs, wrong[0], "lock" if _is_lost(wrong[0]) else why(wrong[0]), "", seed)
    return f"{orders.count} orders beside another program"


def _is_lost(run: Run) -> bool:
    """Whether all calls ended well, and the number is wrong nevertheless."""
    ended = not run.played.errors and not run.played.endless
    return ended and run.end != run.start + run.wanted


def _rejection(jobs: Jobs, run: Run, hint: str, count: str, seed: int) -> Verdict:
    """The verdict on a wrong order, which is run again from the start to tell its steps."""
    again: Run = in_world(replayed, jobs, run.played.order, seed=seed)
    if run.played.endless:
        seen = f"{run.played.endless[0]} never ends: {again.short}"
    elif run.played.errors:
        who = next(iter(run.played.errors))
        seen = f"{who}'s call ends in KeyWrongLastSequenceError: {again.short}"
    elif run.end == run.start + run.wanted:
        seen = f"the calls returned {shown(list(run.played.values.values()))} from {run.start} on"
    else:
        seen = f"{count}{again.short}: ends at {shown(again.end)}"
    return not_yet(
        seen,
        f"{run.start + run.wanted} at the end, and every call returns its number, in each order",
        seed=seed,
        hint=hint,
        trace=again.trace(),
    )


async def _outdone(cluster: Cluster, increment: Increment, seed: int) -> Verdict | None:
    """Before each of the learner's writes a rival writes: no try can succeed."""
    bench = await Bench.open(cluster, "A", seed)
    await bench.keeper.put("hits", b"7")
    gate, tries = bench.gates["A"], 0
    call = asyncio.ensure_future(answer(increment, bench.handles["A"], "hits"))
    while tries <= TRIES_MOST + 1 and len(bench.wire.exchanges) < REQUESTS_MOST:
        waiting = asyncio.ensure_future(gate.request())
        await asyncio.wait([call, waiting], return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if call.done():
            break
        if b"PUB $KV." in gate.head:
            tries += 1
            await bench.keeper.put("hits", str(7 + tries).encode())
        gate.let_through()
    ended = call.done()
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)
    error = call.exception() if ended else None
    if isinstance(error, KeyWrongLastSequenceError):
        return None
    calls = [told(each) for each in bench.wire.exchanges]
    is_put = any(each.asks.startswith("puts") for each in calls)
    return not_yet(
        f"a rival wrote before each of {tries} tries, and increment "
        + _what_came(call, error, ended=ended),
        f"at most {TRIES_MOST} refusals, then KeyWrongLastSequenceError goes to the caller",
        seed=seed,
        hint="M4" if is_put else "other error" if error else "skipped" if ended else "spin",
        trace=["the last requests; before each update a rival puts another number:"]
        + [f"  {each.text}" for each in calls[-12:]],
    )


def _what_came(call: "asyncio.Future[Any]", error: BaseException | None, *, ended: bool) -> str:
    if error is not None:
        return f"ended in {type(error).__name__}: {error}"
    return f"returned {shown(call.result())}" if ended else "still tried"


async def _crowd(cluster: Cluster, increment: Increment, seed: int) -> Verdict | None:
    """Six clients, two increments each, in an order that the seed draws."""
    bench = await Bench.open(cluster, CROWD, seed)
    jobs: Jobs = dict.fromkeys(CROWD, (increment, 2))
    run = await bench.run(jobs, "hits", Random(seed).choice, patience=SLEEP_SECONDS)
    if run.is_right:
        return None
    hint = why(run)
    if hint == "once":
        who = next(iter(run.played.errors))
        refused = sum(told(e).outcome == "failed" for e in run.exchanges if e.client == who)
        seen = f"{who} gave up after {refused} refusals; {run.wanted} increments were under way"
    else:
        seen = f"{len(CROWD)} clients, two increments each, from {run.start} to {shown(run.end)}"
    return not_yet(
        seen,
        f"{run.start + run.wanted} at the end; each call returns its number",
        seed=seed,
        hint="gave up" if hint == "once" else hint,
        trace=run.trace(),
    )
