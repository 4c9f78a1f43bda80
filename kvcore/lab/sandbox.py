"""Runs code that may be wrong in any way, and gets back to the learner within seconds.

A learner's function may raise, loop for ever, swallow every exception, or wait for a
message that never comes. None of that may hang the kernel or show them a page of our own
frames: they get their line, the error, and a hint. So a check runs inside `run`:

* in the main thread of a system with signals, a timer ticks; once the check has used its
  share of processor time (or, on a busy machine, too long by the clock), each tick raises
  `OutOfTime`, again and again until the code is left, even through `except:`;
* elsewhere a trace function counts the lines that run in the learner's code, and stops it
  after `STEPS_COUNT`.

A failure carries its trace: the learner's own lines with what their names held (places.py),
and, if a world was at work, the last things that went over its wire.

Left out: protection against hostile code (it is the learner's own machine), and C code that
never comes back to the interpreter.
"""

import asyncio
import ctypes
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Generic, Literal, TypeAlias, TypeVar

from kvcore.lab import places
from kvcore.lab.places import files_of, is_ours
from kvcore.sim import drive
from kvcore.sim.errors import SimulationStalled

CPU_SECONDS = 3.0
WALL_SECONDS = 4.0
STEPS_COUNT = 2_000_000
_TICK_SECONDS = 0.05
_CLEANUP_SECONDS = 0.25  # what a world has to close before the next tick raises again

Kind: TypeAlias = Literal["error", "loop", "wait", "ours"]
T = TypeVar("T")
_Coroutine: TypeAlias = Coroutine[object, object, object]


class OutOfTime(KeyboardInterrupt):
    """The check has used its time. Never escapes from `run`."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why `run` has no value: an exception, code or an await without end; or our own fault."""

    kind: Kind
    message: str
    line: str = ""
    trace: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.message} at {self.line}" if self.line else self.message


@dataclass(frozen=True, slots=True)
class Value(Generic[T]):
    """The check came to its end."""

    value: T


class _Place:
    """Where the learner's code was when its time was up."""

    def __init__(self, files: dict[str, None]) -> None:
        self.files = files
        self.line = ""
        self.steps: tuple[str, ...] = ()
        self.fired = False

    def note(self, frame: FrameType | None) -> None:
        """Remembers the innermost line of theirs below `frame`, or that which waits."""
        self.fired = True
        if self.line:
            return
        found = places.of_frame(frame, self.files, _attempt.__code__) or _waiting_at(self.files)
        self.line, self.steps = places.line(found), places.told(found)


_waiting: list[_Coroutine] = []


def waiting_on(coroutine: _Coroutine) -> None:
    """Tells which coroutine of the learner's is being awaited, for the day it never ends."""
    task = asyncio.current_task()
    outermost = task.get_coro() if task is not None else None
    _waiting[:] = [coroutine, *([outermost] if isinstance(outermost, Coroutine) else [])]


def _bury() -> None:
    """Keeps what could not be ended from ever being collected.

    Collecting a suspended coroutine raises GeneratorExit in it, and one that swallows every
    exception would then run on, with nobody to stop it.
    """
    for each in _waiting:
        if getattr(each, "cr_frame", None) is not None:
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(each))
    _waiting.clear()


def _waiting_at(files: dict[str, None]) -> list[places.Spot]:
    return places.of_await(_waiting[0] if _waiting else None, files)


_last_heard: list[Callable[[], tuple[str, ...]]] = []


@contextmanager
def overheard(tell: Callable[[], tuple[str, ...]]) -> Iterator[None]:
    """Within, a failure's trace ends with the lines of `tell`: what the world did last."""
    _last_heard[:] = [tell]
    yield
    _last_heard.clear()  # not after a failure, which is told further out


def run(body: Callable[[], T], learner: object, *, patience: float = 1.0) -> Value[T] | Failure:
    """Runs `body`; `learner` is what it judges, `patience` multiplies the time allowed."""
    files = files_of(learner)
    patience *= float(os.environ.get("KVCOURSE_PATIENCE", "1"))
    place = _Place(files)
    try:
        return _attempt(body, learner, patience, place)
    finally:
        _bury()
        _last_heard.clear()


def _attempt(
    body: Callable[[], T], learner: object, patience: float, place: _Place
) -> Value[T] | Failure:
    files = place.files
    try:
        with _limits(patience, place):
            return Value(body())
    except KeyboardInterrupt as error:
        if not isinstance(error, OutOfTime) and not place.fired:
            raise
        found = places.of_error(error, files)
        line, steps = place.line or places.line(found), place.steps or places.told(found)
        text = f"still running after {CPU_SECONDS * patience:g} s"
        return Failure("loop", text, line, _trace(text, steps))
    except BaseException as error:  # noqa: BLE001 - whatever the learner's code raises is news
        found = places.of_error(error, files) or _waiting_at(files)
        line = places.line(found)
        text = f"{type(error).__name__}: {error}".removesuffix(": ")
        steps = places.told(found)
        return Failure(_kind(error, line, learner), text, line, _trace(text, steps))


def _trace(text: str, steps: tuple[str, ...]) -> tuple[str, ...]:
    heard = _last_heard[0]() if _last_heard else ()
    lines = ("your lines, the outermost first, and what their names held:",) if steps else ()
    return (*lines, *steps, *heard, text)


def _kind(error: BaseException, line: str, learner: object) -> Kind:
    if isinstance(error, SimulationStalled):
        return "wait"
    if isinstance(error, TimeoutError) and line:
        return "wait"
    return "error" if line or _is_bad_call(error, learner) else "ours"


@contextmanager
def _limits(patience: float, place: _Place) -> Iterator[None]:
    main = threading.current_thread() is threading.main_thread()
    if main and hasattr(signal, "setitimer"):
        with _alarm(patience, place):
            yield
    else:
        with _counted(patience):
            yield


@contextmanager
def _alarm(patience: float, place: _Place) -> Iterator[None]:
    """Raises `OutOfTime` at each tick once the time is used; restores the former alarm."""
    armed = True
    cpu, wall = time.process_time(), time.monotonic()
    quiet_until = 0.0

    def tick(_signal: int, frame: FrameType | None) -> None:
        nonlocal quiet_until
        now = time.monotonic()
        late = time.process_time() - cpu > CPU_SECONDS * patience
        late = late or now - wall > WALL_SECONDS * patience
        if armed and late and now >= quiet_until:
            place.note(frame)
            quiet_until = now + _CLEANUP_SECONDS
            _interrupt(frame)

    former = signal.signal(signal.SIGALRM, tick)
    delay, interval = signal.setitimer(signal.ITIMER_REAL, _TICK_SECONDS, _TICK_SECONDS)
    try:
        yield
    finally:
        armed = False
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, former)
        if delay:
            rest = max(_TICK_SECONDS, delay - (time.monotonic() - wall))
            signal.setitimer(signal.ITIMER_REAL, rest, interval)


def _interrupt(frame: FrameType | None) -> None:
    """Stops what runs now. A simulated world knows best how its statement is interrupted."""
    handler = signal.getsignal(signal.SIGINT)
    if callable(handler) and getattr(handler, "__module__", "") == drive.__name__:
        handler(signal.SIGINT, frame)
    else:
        raise OutOfTime


@contextmanager
def _counted(patience: float) -> Iterator[None]:
    """Counts the lines that run outside the libraries, where there is no alarm."""
    left = int(STEPS_COUNT * patience)
    until = time.monotonic() + WALL_SECONDS * patience

    def local(_frame: FrameType, event: str, _argument: object) -> object:
        nonlocal left
        if event == "line":
            left -= 1
            if left < 0 or (left % 1024 == 0 and time.monotonic() > until):
                raise OutOfTime
        return local

    def tracer(frame: FrameType, _event: str, _argument: object) -> object:
        return None if is_ours(frame.f_code.co_filename) else local

    former = sys.gettrace()
    sys.settrace(tracer)  # type: ignore[arg-type]
    try:
        yield
    finally:
        sys.settrace(former)


def _is_bad_call(error: BaseException, learner: object) -> bool:
    """A call that the learner's signature doesn't take: it fails in our frame, by their doing."""
    functions = learner if isinstance(learner, tuple) else (learner,)
    names = [getattr(each, "__name__", "") for each in functions]
    return isinstance(error, TypeError) and any(n and f"{n}()" in str(error) for n in names)
