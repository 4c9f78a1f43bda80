"""Waiting for a condition that nobody announces: look again until it holds or time is up."""

import threading
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

PAUSE_S = 0.01


def eventually(look: Callable[[], T], within: float = 20.0, what: str = "") -> T:
    """The first true answer of `look`; fails with the last answer when time is up."""
    deadline = time.monotonic() + within
    never = threading.Event()
    while True:
        answer = look()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within} s: {what or look}; last answer {answer!r}")
        never.wait(PAUSE_S)
