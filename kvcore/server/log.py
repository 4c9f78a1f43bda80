"""Lines on standard error, in nats-server's form, because tools wait for them.

A script that starts nats-server looks for `Listening for client connections on H:P` and
`Server is ready`, so these lines are ours too, with the same prefix:

    [4711] 2026/01/01 00:00:00.000000 [INF] Server is ready

No line ever holds a password: what is logged are settings that carry none, and trace
records, which by their own rule name no secret.

Left out: rotation by size; `SIGUSR1` opens the file again, for those who rotate it.
"""

import os
import sys
import time
from pathlib import Path
from typing import TextIO

from kvcore.limits import MICROSECOND_NS, SECOND_NS
from kvcore.trace import Trace


class Log:
    """Writes whole lines to standard error, or to `path` when there is one."""

    def __init__(self, path: str = "", *, times: bool = True, debug: bool = False) -> None:
        self._path = path
        self._times = times
        self._debug = debug
        self._prefix = f"[{os.getpid()}] "
        self._out = self._open()

    def info(self, text: str) -> None:
        """What an operator expects to read."""
        self._line("INF", text)

    def warn(self, text: str) -> None:
        """What an operator should look at."""
        self._line("WRN", text)

    def error(self, text: str) -> None:
        """What went wrong, and is tried again."""
        self._line("ERR", text)

    def fatal(self, text: str) -> None:
        """Why the server ends."""
        self._line("FTL", text)

    def debug(self, text: str) -> None:
        """What is said under -D alone."""
        if self._debug:
            self._line("DBG", text)

    def trace(self, record: Trace) -> None:
        """A sink for trace records."""
        self._line("TRC", record.line())

    def news(self, record: Trace) -> None:
        """A sink for the records that an operator has to read."""
        facts = ", ".join(f"{name} {value}" for name, value in record.fields.items())
        self._line("WRN", f"{record.kind}: {facts}")

    def reopen(self) -> None:
        """Begin the file anew, after someone moved it away."""
        if self._path:
            self._out.close()
            self._out = self._open()

    def _open(self) -> TextIO:
        if not self._path:
            return sys.stderr
        return Path(self._path).open("a", encoding="utf-8")

    def _line(self, level: str, text: str) -> None:
        stamp = ""
        if self._times:
            seconds, rest = divmod(time.time_ns(), SECOND_NS)
            day = time.strftime("%Y/%m/%d %H:%M:%S", time.localtime(seconds))
            stamp = f"{day}.{rest // MICROSECOND_NS:06d} "
        self._out.write(f"{self._prefix}{stamp}[{level}] {text}\n")
        self._out.flush()
