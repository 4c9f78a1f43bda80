"""Ends other people's servers when the process that started them is gone, however it went.

A server of ours holds the reading end of a pipe and ends with it. One that knows nothing of
that needs somebody who does: a second process, which waits for nothing but that:

    kernel ── "+4711", "-4711", … ──▶ watchdog        end of file: SIGKILL to all that are left

A server is watched before it runs: its process is a shell that waits for a line on its
standard input and then becomes the server, so that a kernel which is killed between the two
steps leaves nothing.

Left out: a watchdog that is killed itself. The next start says so.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from signal import SIGKILL
from typing import IO

_END_SECONDS = 10.0
_WAIT_THEN_BECOME = 'read -r go && exec "$@" </dev/null'


class Watchdog:
    """One for each cluster; it removes the cluster's directory as well."""

    def __init__(self, directory: Path) -> None:
        root = str(Path(__file__).resolve().parents[2])
        path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
        self._process = subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-m", "kvcore.lab.watchdog", str(directory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            env=os.environ | {"PYTHONPATH": path},
        )

    def start(self, command: Sequence[str], log: IO[bytes]) -> subprocess.Popen[bytes]:
        """Starts a program that ends with this process; it writes to `log`."""
        process = subprocess.Popen(  # noqa: S603 - our own words
            ["/bin/sh", "-c", _WAIT_THEN_BECOME, "sh", *command],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        assert process.stdin is not None
        try:
            self._tell(f"+{process.pid}")
            process.stdin.write(b"go\n")
        finally:
            process.stdin.close()
        return process

    def forget(self, pid: int) -> None:
        """This one has ended."""
        self._tell(f"-{pid}")

    def _tell(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line.encode() + b"\n")
        self._process.stdin.flush()

    def end(self) -> None:
        """Ends what is left, and the watchdog."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def keep(directory: str) -> None:
    """Waits until nobody holds the other end of standard input, then ends the servers."""
    alive: dict[int, None] = {}
    for line in sys.stdin:
        pid = int(line[1:])
        if line[0] == "+":
            alive[pid] = None
        else:
            alive.pop(pid, None)
    for pid in alive:
        try:
            os.kill(pid, SIGKILL)
        except ProcessLookupError:
            continue
    shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    keep(sys.argv[1])
