"""Runs code on a simulated loop from anywhere: a script, a test, or a kernel's own loop.

A notebook's cell runs as a task of the kernel's event loop. To run it on a simulated loop
the caller steps out of that task and that loop, drives the simulated one until the code is
done, and steps back in (`outside`; the order of the steps is what Python 3.14 checks).

`run` is that for one statement, and ends it properly whatever happens. When the simulation
stalls or the learner interrupts, the statement's task is cancelled, as Ctrl-C cancels
asyncio's main task, and not left to go on in later cells; it may clean up; then the true
reason is raised in place of CancelledError. An interrupt does so too, so that tasks of the
client's and of a `gather` never meet it; only code that doesn't let go of the loop is
interrupted where it stands.

Left out: threads. A call from another thread is queued by `kvcore.lab`.
"""

import asyncio
import signal
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, nullcontext
from types import FrameType
from typing import Any, TypeVar

from kvcore.sim.errors import SimulationStalled
from kvcore.sim.loop import VirtualLoop
from kvcore.sim.waiting import describe

T = TypeVar("T")
_BUSY_SECONDS = 0.1  # a turn as long as this is code that doesn't let go
_CANCELS_COUNT = 3  # how often a statement may ignore that it is cancelled


@contextmanager
def outside() -> Iterator[None]:
    """Leaves the running loop and its task, if there are any, and enters them again."""
    loop = asyncio._get_running_loop()  # noqa: SLF001 - asyncio has no public way to step out
    task = asyncio.current_task(loop) if loop else None
    if loop is not None and task is not None:
        asyncio.tasks._leave_task(loop, task)  # noqa: SLF001
    asyncio._set_running_loop(None)  # noqa: SLF001
    try:
        yield
    finally:
        asyncio._set_running_loop(loop)  # noqa: SLF001
        if loop is not None and task is not None:
            asyncio.tasks._enter_task(loop, task)  # noqa: SLF001


def run(
    loop: VirtualLoop,
    coroutine: Coroutine[Any, Any, T],
    on_reason: Callable[[BaseException], None] | None = None,
) -> T:
    """Runs the coroutine to its end on the loop; must not be called while the loop runs.

    `on_reason` hears why the statement is about to be cancelled, before it is: a caller
    whose coroutine swallows CancelledError (IPython's does) can show the reason itself.
    """
    main = loop.create_task(coroutine)
    loop.waits_for = lambda: describe(coroutine)
    reason: BaseException | None = None

    def cancel(why: BaseException) -> None:
        nonlocal reason
        reason = why
        if on_reason is not None:
            on_reason(why)
        loop.when_quiet(main.cancel)

    loop.start_watch()
    try:
        with outside(), _interrupts(loop, cancel):
            for _ in range(_CANCELS_COUNT):
                try:
                    value: T = loop.run_until_complete(main)
                except asyncio.CancelledError:
                    break
                except (SimulationStalled, KeyboardInterrupt) as error:
                    if main.done() and isinstance(error, KeyboardInterrupt):
                        raise  # it came out of the statement itself
                    if main.done():
                        return main.result()  # type: ignore[no-any-return]  # done after all
                    cancel(error)
                else:
                    if isinstance(reason, KeyboardInterrupt) and on_reason is None:
                        break  # it came at the very end, or the statement held on
                    return value
    finally:
        loop.stop_watch()
        loop.waits_for = str
        if not main.done():
            main.cancel()
    raise reason.with_traceback(None) if reason else asyncio.CancelledError


def drain(loop: VirtualLoop) -> None:
    """Cancels every task of the loop but the current one, and waits for their end.

    Nothing is left for the garbage collector to complain about, whatever a task does with
    its cancellation: one that goes on regardless is abandoned in silence.
    """
    loop.start_watch()
    me = asyncio.current_task(loop)
    try:
        with nullcontext() if loop.is_running() else outside():
            for _ in range(_CANCELS_COUNT):
                tasks = [task for task in loop.unfinished() if task is not me]
                for task in tasks:
                    task.cancel()
                if tasks:
                    loop.run_until_complete(asyncio.wait(tasks, timeout=1))
                    _hear(tasks)
            if me is None:
                loop.run_until_complete(loop.shutdown_asyncgens())
    except SimulationStalled:
        pass  # a task that spins in its own clean-up
    finally:
        loop.stop_watch()
        for task in loop.unfinished():
            if task is not me:
                task._log_destroy_pending = False  # type: ignore[attr-defined]  # noqa: SLF001


def _hear(tasks: list[asyncio.Task[Any]]) -> None:
    """Takes the tasks' last errors, which would be printed when they are collected."""
    for task in tasks:
        if task.done() and not task.cancelled():
            task.exception()


@contextmanager
def _interrupts(loop: VirtualLoop, cancel: Callable[[BaseException], None]) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    asked = over = False

    def insist() -> None:
        if not over and loop.awaits_quiet and loop.is_held(_BUSY_SECONDS):
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        __tracebackhide__ = True  # the learner's line is what matters
        nonlocal asked
        elsewhere = asyncio._get_running_loop() is not loop  # noqa: SLF001
        if asked or elsewhere or loop.is_held(_BUSY_SECONDS):
            raise KeyboardInterrupt
        asked = True
        cancel(KeyboardInterrupt())
        timer = threading.Timer(2 * _BUSY_SECONDS, insist)
        timer.daemon = True
        timer.start()

    before = signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        over = True
        signal.signal(signal.SIGINT, before)
