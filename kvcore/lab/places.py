"""Where in the learner's code something happened, and what was there at that moment.

A check runs the learner's function among many frames that are not theirs: ours, nats-py's,
the event loop's. What they can act on is their own line, and what their names held when it
ran. So a failure is told as their lines alone, outermost first, each with its variables:

    line 3: return (await kv.get(key)).valu
        kv = <KeyValue>, key = 'greeting'

The learner's files are those in which the judged functions were written; a notebook's cell
is one. A value is written as `reprlib` does it: short, and a broken `__repr__` does no harm.

Left out: names outside of functions, and what an expression's parts were.
"""

import linecache
import reprlib
import sysconfig
from collections.abc import Coroutine, Iterator
from dataclasses import is_dataclass
from pathlib import Path
from types import CodeType, FrameType, FunctionType, TracebackType

LINES_COUNT = 6
NAMES_COUNT = 6
VALUE_CHARACTERS = 40
FIELDS_CHARACTERS = 80
TOLD = ("kvcore.", "nats.js.kv")  # modules whose dataclasses are shown with their fields

_OURS = (
    str(Path(__file__).resolve().parents[1]),
    sysconfig.get_path("stdlib"),
    sysconfig.get_path("purelib"),
    "<frozen",
    "<string>",
)

Files = dict[str, None]
Spot = tuple[FrameType, int]  # a frame, and the line at which it stands


def is_ours(filename: str) -> bool:
    """True for kvcore, the standard library and installed packages."""
    return filename.startswith(_OURS)


def files_of(learner: object) -> Files:
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


def of_error(error: BaseException, files: Files) -> list[Spot]:
    """The learner's own frames that `error` passed through, outermost first; [] if none.

    Without `files` (the answer is no function), any frame counts that is nobody's library.
    """
    seen: BaseException | None = error
    elsewhere: list[Spot] = []
    while seen is not None:
        found = list(_steps(seen.__traceback__))
        theirs = [spot for spot in found if spot[0].f_code.co_filename in files]
        if theirs:
            return theirs
        elsewhere = elsewhere or [s for s in found if not is_ours(s[0].f_code.co_filename)]
        seen = seen.__cause__ or seen.__context__
    return [] if files else elsewhere


def of_frame(frame: FrameType | None, files: Files, root: CodeType) -> list[Spot]:
    """The learner's frames that run now, outermost first; those around `root` don't count."""
    found: list[Spot] = []
    while frame is not None and frame.f_code is not root:
        if frame.f_code.co_filename in files:
            found.insert(0, (frame, frame.f_lineno))
        frame = frame.f_back
    return found


def of_await(coroutine: Coroutine[object, object, object] | None, files: Files) -> list[Spot]:
    """The learner's frames in a chain of awaits, outermost first."""
    found: list[Spot] = []
    inner: object = coroutine
    while inner is not None:
        frame = getattr(inner, "cr_frame", None)
        if frame is not None and frame.f_code.co_filename in files:
            found.append((frame, frame.f_lineno))
        inner = getattr(inner, "cr_await", None)
    return found


def line(spots: list[Spot]) -> str:
    """The innermost line, as "line 3: return values[1]", or ""."""
    return _line(*spots[-1]) if spots else ""


def told(spots: list[Spot]) -> tuple[str, ...]:
    """The lines and what their names held, the innermost few."""
    lines: list[str] = []
    for frame, number in spots[-LINES_COUNT:]:
        lines.append(_line(frame, number))
        names = [(name, value) for name, value in frame.f_locals.items() if name[0] != "_"]
        held = ", ".join(f"{name} = {_shown(value)}" for name, value in names[:NAMES_COUNT])
        more = ", …" if len(names) > NAMES_COUNT else ""
        lines += [f"    {held}{more}"] if held else []
    return tuple(lines)


def learners_line(error: BaseException, files: Files) -> str:
    """The deepest line of the learner's own code that `error` passed through, or ""."""
    return line(of_error(error, files))


def _steps(traceback: TracebackType | None) -> Iterator[Spot]:
    while traceback is not None:
        yield traceback.tb_frame, traceback.tb_lineno
        traceback = traceback.tb_next


def _line(frame: FrameType, number: int) -> str:
    text = linecache.getline(frame.f_code.co_filename, number, frame.f_globals).strip()
    return f"line {number}: {text}" if text else f"line {number} of {frame.f_code.co_name}"


class _Short(reprlib.Repr):
    """`repr`, bounded; of an object of somebody's class only the class, for it has an address.

    A dataclass or named tuple of ours, or an entry of nats-py's, shows its fields: it is what a
    learner is handed.
    """

    def __init__(self) -> None:
        super().__init__()
        self.maxstring = self.maxother = VALUE_CHARACTERS
        self.maxdict = self.maxlist = self.maxtuple = 4

    def repr_instance(self, x: object, level: int) -> str:
        if type(x).__module__ == "builtins" and not callable(x):
            return super().repr_instance(x, level)
        if (is_dataclass(x) or isinstance(x, tuple)) and type(x).__module__.startswith(TOLD):
            text = repr(x)
            return text if len(text) <= FIELDS_CHARACTERS else text[: FIELDS_CHARACTERS - 1] + "…"
        return f"<{type(x).__name__}>"


def _shown(value: object) -> str:
    return _Short().repr(value)
