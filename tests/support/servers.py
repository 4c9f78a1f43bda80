"""Starts and ends servers for tests: ours and nats-server, the same way.

A server gets a free port and a store directory of its own. It is ready when it says so on
stderr (`Server is ready`); the wait is on the line itself, with a deadline, so nothing
sleeps. It is ended by its process id, whatever the test did.
"""

import atexit
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.require import program

READY_S = 20.0
STOP_S = 20.0
KINDS = ("kvcore", "nats-server")

_LISTENING = re.compile(r"Listening for client connections on (\S+):(\d+)")


class ServerFailedError(AssertionError):
    """The server ended, or stayed silent, before it was ready; carries what it said."""


def command(kind: str) -> list[str]:
    """The words that start a server of this kind, without its flags."""
    if kind == "nats-server":
        return [program("nats-server"), "-js"]
    script = Path(sys.executable).parent / "kvcore"
    if script.exists():
        return [str(script), "serve"]
    return [sys.executable, "-m", "kvcore.cli.main", "serve"]


@dataclass
class Server:
    """A running server process and what it has said so far."""

    kind: str
    process: subprocess.Popen[str]
    store: Path
    host: str = ""
    port: int = 0
    lines: list[str] = field(default_factory=list)
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _ended: bool = False

    @property
    def url(self) -> str:
        return f"nats://{self.host}:{self.port}"

    @property
    def pid(self) -> int:
        return self.process.pid

    def read(self) -> None:
        """Collect stderr until it ends; runs in a thread."""
        assert self.process.stderr is not None
        with self.process.stderr as stderr:
            for line in stderr:
                with self._changed:
                    self.lines.append(line.rstrip("\n"))
                    self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def wait_for(self, pattern: str, within: float = READY_S) -> str:
        """The first stderr line that matches; fails when stderr ends or time is up."""
        deadline = time.monotonic() + within
        seen = 0
        with self._changed:
            while True:
                for line in self.lines[seen:]:
                    if re.search(pattern, line):
                        return line
                seen = len(self.lines)
                left = deadline - time.monotonic()
                if self._ended or left <= 0:
                    why = "ended" if self._ended else f"said nothing like {pattern!r}"
                    said = "\n".join(self.lines[-40:])
                    raise ServerFailedError(f"{self.kind} {why} within {within} s; stderr:\n{said}")
                self._changed.wait(left)

    def kill(self) -> None:
        """SIGKILL, and wait until the process is gone."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """SIGTERM, and wait; the exit code."""
        return self._end(signal.SIGTERM)

    def _end(self, number: int) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            code = self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(STOP_S)
            raise
        return code

    def rss(self) -> int:
        """Resident memory in bytes."""
        fields = Path(f"/proc/{self.pid}/statm").read_text().split()
        return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")

    def cpu(self) -> float:
        """Seconds of processor time so far, of the threads that are there: on a busy machine
        it says more than the clock on the wall does."""
        threads = Path(f"/proc/{self.pid}/task").iterdir()
        return sum(int((each / "schedstat").read_text().split()[0]) for each in threads) / 1e9


_running: dict[int, subprocess.Popen[str]] = {}


@atexit.register
def _end_all() -> None:
    for process in list(_running.values()):
        if process.poll() is None:
            process.kill()


def start(
    kind: str,
    store: Path,
    *flags: str,
    argv: Sequence[str] | None = None,
    config: str | None = None,
    name: str = "interop",
    port: int = -1,
    within: float = READY_S,
    env: dict[str, str] | None = None,
    pass_fds: Sequence[int] = (),
) -> Server:
    """Start a server on `store` and wait until it is ready.

    `config` is the text of a configuration file; it may say `%STORE%`, and then the store
    directory is not given as a flag. `argv` replaces the words that start the server.
    """
    words = [*(argv or command(kind)), "-a", "127.0.0.1", "-p", str(port), "-n", name]
    if config is not None:
        path = store.parent / f"{store.name}.conf"
        path.write_text(config.replace("%STORE%", str(store)))
        words += ["-c", str(path)]
    if config is None or "%STORE%" not in config:
        words += ["-sd", str(store)]
    process = subprocess.Popen(
        [*words, *flags],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        env=None if env is None else {**os.environ, **env},
        pass_fds=pass_fds,
    )
    _running[process.pid] = process
    server = Server(kind, process, store)
    threading.Thread(target=server.read, daemon=True).start()
    try:
        found = _LISTENING.search(server.wait_for(_LISTENING.pattern, within))
        assert found is not None
        server.host, server.port = found[1], int(found[2])
        server.wait_for(r"Server is ready", within)
    except BaseException:
        process.kill()
        process.wait(STOP_S)
        raise
    return server


@contextmanager
def running(
    kind: str, *flags: str, store: Path | None = None, **options: object
) -> Iterator[Server]:
    """A server for the length of a `with` block, on a temporary store unless one is given."""
    with tempfile.TemporaryDirectory(prefix="kvcore-test-") as directory:
        server = start(kind, store or Path(directory) / "store", *flags, **options)  # type: ignore[arg-type]
        try:
            yield server
        finally:
            server.kill()
