"""Runs code that may be wrong in any way, and gets back to the learner within seconds.

A learner's function may raise, loop for ever, swallow every exception, or wait for a
message that never comes. None of that may hang the kernel or show them a page of our own
frames: they get their line, the error, and a hint. So a check runs inside `run`:

* in the main thread of a system with signals, a timer ticks; once the check has used its
  share of processor time (or, on a busy machine, too long by the clock), each tick raises
  `OutOfTime`, again and again until the code is left, even through `except:`;
* elsewhere a trace function counts the lines that run in the learner's code, and stops it
  after `STEPS_COUNT`.

Left out: protection against hostile code (it is the learner's own machine), and C code that
never comes back to the interpreter.
"""

import asyncio
import ctypes
import linecache
import os
import signal
import sys
import sysconfig
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, FunctionType, TracebackType
from typing import Generic, Literal, TypeAlias, TypeVar

from kvcore.sim import drive
from kvcore.sim.errors import SimulationStalled

CPU_SECONDS = 3.0
WALL_SECONDS = 4.0
STEPS_COUNT = 2_000_000
_TICK_SECONDS = 0.05
_CLEANUP_SECONDS = 0.25  # what a world has to close before the next tick raises again

Kind: TypeAlias = Literal["error", "loop", "wait", "ours"]
T = TypeVar("T")
_OURS = (
    str(Path(__file__).resolve().parents[1]),
    sysconfig.get_path("stdlib"),
    sysconfig.get_path("purelib"),
    "<frozen",
    "<string>",
)


class OutOfTime(KeyboardInterrupt):
    """The check has used its time. Never escapes from `run`."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why `run` has no value: an exception, code or an await without end; or our own fault."""

    kind: Kind
    message: str
    line: str = ""

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
        self.fired = False

    def note(self, frame: FrameType | None) -> None:
        """Remembers the innermost line of theirs below `frame`, or that which waits."""
        self.fired = True
        while frame is not None and not self.line:
            if frame.f_code.co_filename in self.files:
                self.line = _line(frame, frame.f_lineno)
            frame = frame.f_back
        self.line = self.line or _waiting_line(self.files)


_waiting: list[Coroutine[object, object, object]] = []


def waiting_on(coroutine: Coroutine[object, object, object]) -> None:
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


def _waiting_line(files: dict[str, None]) -> str:
    """The innermost line of theirs in the chain of awaits."""
    found = ""
    inner: object = _waiting[0] if _waiting else None
    while inner is not None:
        frame = getattr(inner, "cr_frame", None)
        if frame is not None and frame.f_code.co_filename in files:
            found = _line(frame, frame.f_lineno)
        inner = getattr(inner, "cr_await", None)
    return found


def run(body: Callable[[], T], learner: object, *, patience: float = 1.0) -> Value[T] | Failure:
    """Runs `body`; `learner` is what it judges, `patience` multiplies the time allowed."""
    files = files_of(learner)
    patience *= float(os.environ.get("KVCOURSE_PATIENCE", "1"))
    place = _Place(files)
    try:
        return _attempt(body, learner, patience, place)
    finally:
        _bury()


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
        line = place.line or learners_line(error, files)
        return Failure("loop", f"still running after {CPU_SECONDS * patience:g} s", line)
    except BaseException as error:  # noqa: BLE001 - whatever the learner's code raises is news
        line = learners_line(error, files) or _waiting_line(files)
        text = f"{type(error).__name__}: {error}".removesuffix(": ")
        return Failure(_kind(error, line, learner), text, line)


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


def is_ours(filename: str) -> bool:
    """True for kvcore, the standard library and installed packages."""
    return filename.startswith(_OURS)


def files_of(learner: object) -> dict[str, None]:
    """The files (a notebook's cell is one) in which the learner's functions were written."""
    if isinstance(learner, FunctionType):
        return {learner.__code__.co_filename: None}
    if isinstance(learner, tuple | list):
        return {name: None for each in learner for name in files_of(each)}
    if isinstance(learner, dict):
        return files_of(list(learner.values()))
    if isinstance(learner, type):
        return files_of(list(vars(learner).values()))
    inner = getattr(learner, "__wrapped__", None) or getattr(learner, "func", None)
    return files_of(inner) if inner is not None else {}


def learners_line(error: BaseException, files: dict[str, None]) -> str:
    """The deepest line of the learner's own code that `error` passed through, or ""."""
    theirs = elsewhere = ""
    seen: BaseException | None = error
    while seen is not None and not theirs:
        for frame, number in _steps(seen.__traceback__):
            name = frame.f_code.co_filename
            if name in files:
                theirs = _line(frame, number)
            elif not is_ours(name):
                elsewhere = _line(frame, number)
        seen = seen.__cause__ or seen.__context__
    return theirs or ("" if files else elsewhere)


def _steps(traceback: TracebackType | None) -> Iterator[tuple[FrameType, int]]:
    while traceback is not None:
        yield traceback.tb_frame, traceback.tb_lineno
        traceback = traceback.tb_next


def _line(frame: FrameType, number: int) -> str:
    text = linecache.getline(frame.f_code.co_filename, number, frame.f_globals).strip()
    return f"line {number}: {text}" if text else f"line {number} of {frame.f_code.co_name}"


def _is_bad_call(error: BaseException, learner: object) -> bool:
    """A call that the learner's signature doesn't take: it fails in our frame, by their doing."""
    functions = learner if isinstance(learner, tuple) else (learner,)
    names = [getattr(each, "__name__", "") for each in functions]
    return isinstance(error, TypeError) and any(n and f"{n}()" in str(error) for n in names)
