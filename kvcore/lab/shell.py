"""Lets ordinary notebook cells run in a simulated world.

IPython runs each top-level statement of a cell through `run_code`. That one method is
wrapped on the shell's instance: while a simulated world is current, each statement, sync or
async, is driven on the world's loop and not on the kernel's. It works from the next
statement of the cell that makes the world, for `create_task` in a cell without `await`, and
for magics, whose nested statements find the loop running and go straight through.

A statement that is interrupted or stalls is cancelled; IPython would show CancelledError,
so a handler shows the reason instead.

A button's call (`call`) may come while a statement runs, from a thread (JupyterLab delivers
widget messages on one by default) or from the statement itself. It is queued and run after
the statement; when nothing runs, it runs at once, on the kernel's thread.

One world is current at a time: entering another leaves the first.

Left out: shells other than IPython's; there `kvcore.lab.run(main)` does the same.
"""

import asyncio
import atexit
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from kvcore.sim import drive
from kvcore.sim.waiting import is_library
from kvcore.sim.world import World

_SLEEP = (
    "time.sleep stops this notebook for real, and the simulated world's clock does not move. "
    "Write: await asyncio.sleep(…)\n"
)


class Leavable(Protocol):
    """A cluster of real servers, as far as leaving it goes."""

    def close(self) -> None: ...  # noqa: D102


Transformer = Callable[[list[str]], list[str]]  # a cell's lines, and those to run


class Shell:
    """Which simulated world is current, and what runs in it."""

    def __init__(self) -> None:
        self.world: World | None = None
        self._real: Leavable | None = None
        self._cells: Transformer | None = None
        self._leaving: list[World] = []
        self._queue: deque[tuple[World, Coroutine[Any, Any, object]]] = deque()
        self._ipython: Any = None
        self._original: Callable[..., Coroutine[Any, Any, bool]]
        self._exceptions: tuple[Any, Any] = ((), None)
        self._kernel_loop: asyncio.AbstractEventLoop | None = None
        self._reasons: list[BaseException] = []  # why the running statement was cancelled
        self._sleep = time.sleep
        self._warned = False

    # One world is current.

    def enter(self, world: World) -> None:
        """Makes the world current; the statements that follow run in it."""
        self.leave()
        self.world = world
        if self._ipython is None and (ipython := _ipython()) is not None:
            self._wrap(ipython)
        self._warned = False
        time.sleep = self._slept

    def become(self, real: Leavable, cells: Transformer) -> None:
        """A cluster of real servers is current; the former world is left.

        The cells that follow pass through `cells` before they run.
        """
        self.leave()
        self._real = real
        if (ipython := _ipython()) is not None:
            self._cells = cells
            ipython.input_transformers_post.append(cells)

    def end(self, real: Leavable) -> None:
        """This cluster is over; if it is the current one, no world is current."""
        if self._real is real:
            self._real = None
            self._run_cells_as_they_are()

    def _run_cells_as_they_are(self) -> None:
        cells, self._cells = self._cells, None
        if cells is not None and (ipython := _ipython()) is not None:
            ipython.input_transformers_post.remove(cells)

    def leave(self) -> None:
        """No world is current; the former ends now, or after the statement that runs in it."""
        time.sleep = self._sleep
        real, self._real = self._real, None
        self._run_cells_as_they_are()
        if real is not None:
            real.close()
        if self.world is not None:
            self._leaving.append(self.world)
            self.world = None
        self._close_left()
        if not self._leaving:
            self._unwrap()

    def _close_left(self) -> None:
        """Ends the worlds that were left, but for one that a statement still runs in."""
        for world in list(self._leaving):
            if world.loop.is_running() and world.owns_loop:
                continue
            self._leaving.remove(world)
            self._queue = deque(item for item in self._queue if item[0] is not world)
            world.close()

    @property
    def kernel_loop(self) -> asyncio.AbstractEventLoop | None:
        """The loop that cells would run on if no simulated world were current; None if unknown."""
        return self._kernel_loop

    def is_notebook(self) -> bool:
        """Whether statements come from IPython, so that their loop can be changed."""
        return _ipython() is not None

    # Statements.

    def _wrap(self, ipython: Any) -> None:
        self._ipython = ipython
        self._original = ipython.run_code
        ipython.run_code = self._run_code
        self._exceptions = (ipython.custom_exceptions, getattr(ipython, "CustomTB", None))
        ipython.set_custom_exc((asyncio.CancelledError,), self._show_reason)
        self._kernel_loop = asyncio._get_running_loop()  # noqa: SLF001 - None outside a kernel

    def _unwrap(self) -> None:
        if self._ipython is not None:
            ipython, self._ipython = self._ipython, None
            del ipython.run_code
            ipython.custom_exceptions, ipython.CustomTB = self._exceptions

    async def _run_code(self, code: Any, result: Any = None, *, async_: bool = False) -> bool:
        world = self.world
        if world is None or world.loop.is_running():
            return await self._original(code, result, async_=async_)
        self._reasons.clear()
        try:
            failed = drive.run(
                world.loop, self._original(code, result, async_=async_), self._reasons.append
            )
            if self._reasons and result is not None and failed:
                result.error_in_exec = self._reasons[-1]
            if self._reasons and not failed and isinstance(self._reasons[-1], KeyboardInterrupt):
                raise self._reasons[-1]  # it came as the statement ended; the next must not run
        finally:
            self.run_queue()
            self._close_left()
            if self.world is None and not self._leaving:
                self._unwrap()
        return failed

    def _show_reason(
        self, ipython: Any, _kind: Any, error: Any, traceback: Any, tb_offset: int | None = None
    ) -> None:
        reason = self._reasons[-1] if self._reasons else error
        ipython.showtraceback((type(reason), reason, traceback), tb_offset=tb_offset)

    def _slept(self, seconds: Any) -> None:
        """`time.sleep` while a simulated world is current."""
        asked_by = sys._getframe(1).f_code.co_filename  # noqa: SLF001 - ipykernel sleeps as well
        if not self._warned and not is_library(asked_by):
            self._warned = True
            sys.stderr.write(_SLEEP)
        self._sleep(seconds)

    # Calls from buttons.

    def call(self, world: World, coroutine: Coroutine[Any, Any, object]) -> object:
        """Runs it in the world: now, and gives its value, or after the running statement."""
        here = threading.current_thread() is threading.main_thread()
        if here and not world.loop.is_running():
            return drive.run(world.loop, coroutine)
        self._queue.append((world, coroutine))
        if not here and self._kernel_loop is not None:
            self._kernel_loop.call_soon_threadsafe(self.run_queue)
        return None

    def run_queue(self) -> None:
        """Runs what buttons asked for meanwhile; an error is shown and stops nothing."""
        while self._queue and not self._queue[0][0].loop.is_running():
            world, coroutine = self._queue.popleft()
            if world.closed:
                coroutine.close()
                continue
            try:
                drive.run(world.loop, coroutine)
            except Exception:  # the learner's own code, with nobody to raise it to
                if self._ipython is None:
                    raise
                self._ipython.showtraceback()


def _ipython() -> Any:
    """IPython's shell in this process, if it runs in one; never imports it."""
    module = sys.modules.get("IPython")
    return module.get_ipython() if module is not None else None


SHELL = Shell()
atexit.register(SHELL.leave)
