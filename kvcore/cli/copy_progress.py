"""How far a long command is: a bar on a terminal, a line every few seconds elsewhere.

Both go to standard error, so that the result on standard output stays one line.

Left out: guesses of the time left where there is no terminal.
"""

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

LINE_EVERY_SECONDS = 5.0


class Steps:
    """One bar for each step that is begun."""

    def __init__(self, console: Console) -> None:
        self._console = console
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("revisions"),
            TimeRemainingColumn(),
        )
        self._bars = Progress(*columns, console=console, disable=not console.is_terminal)
        self._task = self._bars.add_task("", visible=False)
        self._what = ""
        self._total = 0
        self._said = time.monotonic()

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self._bars.stop()

    def say(self, line: str) -> None:
        """A line of its own, above the bars."""
        self._console.print(line, highlight=False, soft_wrap=True)

    def begin(self, what: str, at: int, total: int) -> None:
        """The next step, which goes from `at` to `total`."""
        self._what, self._total = what, total
        self._task = self._bars.add_task(what, total=max(total, 1), completed=at)

    def at(self, count: int) -> None:
        """How far the step is; `total` grows with it."""
        self._total = max(self._total, count)
        self._bars.update(self._task, completed=count, total=max(self._total, 1))
        now = time.monotonic()
        if not self._console.is_terminal and now - self._said > LINE_EVERY_SECONDS:
            self._said = now
            self.say(f"{self._what}: revision {count} of {self._total}")
