"""Lets a check run async answers in a simulated world of its own, without touching ours.

A check is called from a notebook whose cell already runs inside the learner's world, on its
loop, with the official client's clock and chance taken from it. The trial steps out of that
loop, makes a fresh world from a seed, runs its own coroutine there to the end, closes it,
and steps back in. From plain pytest there is nothing to step out of.

    def check_01b(get_text, seeds):
        for seed in seeds:
            verdict = in_world(judge_01b, get_text, seed=seed)
            ...

    async def judge_01b(cluster, get_text, seed): ...

`answer(fn, *args)` calls the learner's function, sync or async alike, and gives up after ten
virtual minutes, which cost nothing.

Left out: real servers. A check never leaves the simulator.
"""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

VIRTUAL_SECONDS = 600.0

T = TypeVar("T")
Runner = Callable[[Callable[[Any], Awaitable[Any]], int, int], Any]


def in_world(
    judge: Callable[..., Awaitable[T]],
    *answers: object,
    seed: int,
    servers: int = 1,
) -> T:
    """What `judge(cluster, *answers, seed)` returns, run in a fresh world of that seed."""

    async def main(cluster: Any) -> T:
        return await judge(cluster, *answers, seed)

    with outside_loop():
        result: T = _runner(main, seed, servers)
    return result


async def answer(function: object, *arguments: object, seconds: float = VIRTUAL_SECONDS) -> Any:
    """The learner's value; TimeoutError after `seconds` of the world's own time."""
    if not callable(function):
        raise TypeError(f"{function!r} is not a function")
    async with asyncio.timeout(seconds):
        value = function(*arguments)
        return await value if inspect.isawaitable(value) else value


@contextmanager
def outside_loop() -> Iterator[None]:
    """Leaves the running loop and its task, if there are any, and enters them again."""
    loop = asyncio._get_running_loop()  # noqa: SLF001 - the only door there is
    task = asyncio.current_task(loop) if loop else None
    if loop is None:
        yield
        return
    if task is not None:
        asyncio.tasks._leave_task(loop, task)  # noqa: SLF001
    asyncio._set_running_loop(None)  # noqa: SLF001
    try:
        yield
    finally:
        asyncio._set_running_loop(loop)  # noqa: SLF001
        if task is not None:
            asyncio.tasks._enter_task(loop, task)  # noqa: SLF001


def _in_simulator(main: Callable[[Any], Awaitable[Any]], seed: int, servers: int) -> Any:
    from kvcore.sim.world import run_apart

    return run_apart(main, seed=seed, servers=servers)


_runner: Runner = _in_simulator


@contextmanager
def runner(other: Runner) -> Iterator[None]:
    """Worlds are made by `other` inside this block: for tests of the mechanism itself."""
    global _runner  # noqa: PLW0603
    former, _runner = _runner, other
    try:
        yield
    finally:
        _runner = former
