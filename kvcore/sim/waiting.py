"""Says, for a learner, what a coroutine waits for.

A waiting coroutine holds the one it waits for, and so on down to a future. The deepest
frame of the learner's own code is the line they know; the name below it is what that line
called. Nothing here runs the coroutine.

Left out: what other tasks wait for. A statement has one chain, and that is the one stuck.
"""

import linecache
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

_LIBRARIES = (
    sysconfig.get_path("stdlib"),
    sysconfig.get_path("purelib"),
    str(Path(__file__).resolve().parents[1]),
)


def describe(coroutine: Any) -> str:
    """As "in line 3, `await box.get()`, for Queue.get"; empty when nothing can be said."""
    line = ""
    below = ""
    for frame, name in _chain(coroutine):
        if is_library(frame.f_code.co_filename):
            below = name
        else:
            text = linecache.getline(frame.f_code.co_filename, frame.f_lineno).strip()
            line = f"in line {frame.f_lineno}" + (f", `{text}`" if text else "")
            below = ""
    if line and below:
        return f"{line}, for {below}"
    return line or (f"for {below}" if below else "")


def is_library(filename: str) -> bool:
    """Whether a file is Python's, an installed package's or ours, and not the learner's."""
    return filename.startswith(_LIBRARIES)


def _chain(awaitable: Any) -> Iterator[tuple[FrameType, str]]:
    for _ in range(100):
        frame = None
        for prefix in ("cr", "gi", "ag"):
            frame = frame or getattr(awaitable, f"{prefix}_frame", None)
        if frame is not None:
            yield frame, getattr(awaitable, "__qualname__", "")
        awaitable = next(
            (
                inner
                for name in ("cr_await", "gi_yieldfrom", "ag_await")
                if (inner := getattr(awaitable, name, None)) is not None
            ),
            None,
        )
        if awaitable is None:
            return
