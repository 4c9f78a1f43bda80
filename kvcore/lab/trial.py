"""Lets a check run async answers in a simulated cluster of its own.

A check is called from a notebook whose cell already runs inside the learner's world. The
trial makes a fresh cluster from a seed, runs a coroutine there to the end, and closes it; the
learner's world, its clock and its clients never notice. From plain pytest it is the same.

    def check_01b(get_text, seeds):
        for seed in seeds:
            verdict = in_world(judge_01b, get_text, seed=seed)
            ...

    async def judge_01b(cluster, get_text, seed):
        client = await cluster.connect()
        ...
        text = await answer(get_text, kv, "greeting")

`answer` calls the learner's function, sync or async alike, and gives up after ten virtual
minutes, which cost nothing. The cluster has the verbs of the learner's own.

Left out: real servers. A check never leaves the simulator.
"""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from kvcore.lab import sandbox
from kvcore.lab.cluster import Cluster, run_apart
from kvcore.lab.feedback import clip
from kvcore.lab.simulated import SimulatedCluster
from kvcore.limits import SECOND_NS

VIRTUAL_SECONDS = 600.0
HEARD_COUNT = 8
HEARD_CHARACTERS = 96

T = TypeVar("T")


def in_world(
    judge: Callable[..., Awaitable[T]],
    *answers: object,
    seed: int,
    servers: int = 1,
    **options: Any,
) -> T:
    """What `judge(cluster, *answers, seed)` returns, run in a fresh cluster of that seed.

    `options` are the simulator's own, as `names=("harbour",)`.
    """

    async def main(cluster: Cluster) -> T:
        with sandbox.overheard(lambda: last_heard(cluster)):
            return await judge(cluster, *answers, seed)

    return run_apart(main, seed=seed, servers=servers, **options)


def last_heard(cluster: Cluster) -> tuple[str, ...]:
    """The last things that went over the wire of a simulated cluster, one line each."""
    if not isinstance(cluster, SimulatedCluster):
        return ()
    records = cluster.simulation.records
    sent = [each for each in records if each.kind in ("receive", "send")][-HEARD_COUNT:]
    lines = []
    for each in sent:
        after = (each.time - records.first) / SECOND_NS
        what = clip(str(each.fields.get("text", "")).replace("\r\n", " "), HEARD_CHARACTERS)
        verb = "receives" if each.kind == "receive" else "sends"
        lines.append(f"    {after:10.3f} s  {each.server} {verb:<8}  {what}")
    return ("the last on the wire:", *lines) if lines else ()


async def answer(function: object, *arguments: object, seconds: float = VIRTUAL_SECONDS) -> Any:
    """The learner's value; TimeoutError after `seconds` of the cluster's own time."""
    if not callable(function):
        raise TypeError(f"{function!r} is not a function")
    async with asyncio.timeout(seconds):
        value = function(*arguments)
        if inspect.iscoroutine(value):
            sandbox.waiting_on(value)
        return await value if inspect.isawaitable(value) else value
