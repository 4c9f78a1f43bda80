"""A cluster of real server processes, which never outlives its kernel.

Each server is `kvcore serve` on a free port with a directory of its own. It holds the
reading end of a pipe whose writing end this process keeps: when this process is gone,
however it went, the pipe ends and the server does too (`--parent-fd`). Servers run in their
own session, so that interrupting a cell doesn't interrupt them.

Left out: `power_cut`. Killing a process leaves the page cache; only the simulator has a
disk that forgets.
"""

import asyncio
import atexit
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from signal import SIGCONT, SIGKILL, SIGSTOP, SIGTERM, Signals

from kvcore.lab.cluster import NotInThisWorld, ServerCard
from kvcore.lab.remote import RealCluster

_START_SECONDS = 20.0
_STOP_SECONDS = 5.0
_POLL_SECONDS = 0.005


class ServerProcess:
    """One `kvcore serve`: its directory, its port, and its process while there is one."""

    def __init__(self, name: str, directory: Path, flags: Sequence[str]) -> None:
        self.name = name
        self.port = -1
        self.paused = False
        self._flags = flags
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None
        self._lifeline = -1

    @property
    def status(self) -> str:
        """As in the simulator: up, paused or crashed."""
        if self._process is None or self._process.poll() is not None:
            return "crashed"
        return "paused" if self.paused else "up"

    @property
    def pid(self) -> int:
        """The process's number, 0 if there is none."""
        return self._process.pid if self._process is not None else 0

    def start(self) -> None:
        """Starts the process; it is ready once `ready` says so."""
        assert self.status == "crashed", f"{self.name} runs already"
        self._directory.mkdir(exist_ok=True)
        theirs, self._lifeline = os.pipe()
        root = str(Path(__file__).resolve().parents[2])
        path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
        with (self._directory / "log").open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own program and flags
                [
                    *(sys.executable, "-m", "kvcore.cli.main", "serve"),
                    *("-a", "127.0.0.1", "-p", str(self.port), "-n", self.name),
                    *("-sd", str(self._directory / "store")),
                    *("--ports_file_dir", str(self._directory), "--parent-fd", str(theirs)),
                    *self._flags,
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(theirs,),
                start_new_session=True,
                env=os.environ | {"PYTHONPATH": path},
            )
        os.close(theirs)

    def ready(self) -> bool:
        """Whether the server listens; raises RuntimeError when it has ended instead."""
        assert self._process is not None
        if self._process.poll() is not None:
            text = (self._directory / "log").read_text(encoding="utf-8", errors="replace")
            raise RuntimeError(f"{self.name} did not start:\n{text[-2000:]}")
        ports = self._directory / f"nats-server_{self._process.pid}.ports"
        if not ports.exists():
            return False
        url = json.loads(ports.read_text(encoding="utf-8"))["nats"][0]
        self.port = int(url.rpartition(":")[2])
        return True

    def signal(self, number: Signals) -> None:
        """Sends a signal, if there is a process."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)

    def end(self, number: Signals) -> None:
        """Ends the process by this signal, or by SIGKILL if it takes too long."""
        if self._process is None:
            return
        self.signal(number)
        if self.paused:
            self.signal(SIGCONT)
        self.paused = False
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._lifeline >= 0:
            os.close(self._lifeline)
            self._lifeline = -1


class ProcessCluster(RealCluster):
    """Servers on this machine's own sockets and files."""

    world = "processes"

    def __init__(
        self, servers: int = 1, *, beside: bool = False, flags: Sequence[str] = ()
    ) -> None:
        if servers != 1:
            raise NotInThisWorld("A cluster has one server, until replication comes.")
        super().__init__(beside=beside)
        self.directory = Path(tempfile.mkdtemp(prefix="kvcore-"))
        self._closed = False
        self.members = [
            ServerProcess(f"n{number + 1}", self.directory / f"n{number + 1}", flags)
            for number in range(servers)
        ]
        atexit.register(self.close)
        try:
            for process in self.members:
                process.start()
            self._wait()
        except BaseException:
            self.close()
            raise

    def _wait(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        pause = threading.Event()
        while not all(process.ready() for process in self.members):
            if time.monotonic() > deadline:
                raise TimeoutError(f"no server within {_START_SECONDS:g} s; see {self.directory}")
            pause.wait(_POLL_SECONDS)

    def __repr__(self) -> str:
        if self._closed:
            return "Cluster processes · closed"
        count = len(self.clients)
        clients = f"{count} client{'s' if count != 1 else ''}"
        return f"Cluster processes · {', '.join(map(repr, self.servers))} · {clients}"

    @property
    def servers(self) -> Sequence[ServerCard]:
        """A status line for each process."""
        return [
            ServerCard(
                process.name,
                f"nats://127.0.0.1:{process.port}",
                lambda process=process: process.status,  # type: ignore[misc]
            )
            for process in self.members
        ]

    async def crash(self, name: str | None = None) -> None:
        """`kill -9`: what the page cache holds stays."""
        self._named(name).end(SIGKILL)

    async def restart(self, name: str | None = None) -> None:
        """Ends the process if it runs, and starts it on the same port and directory."""
        process = self._named(name)
        process.end(SIGTERM)
        process.start()
        deadline = time.monotonic() + _START_SECONDS
        while not process.ready():
            if time.monotonic() > deadline:
                raise TimeoutError(f"{process.name} did not start within {_START_SECONDS:g} s")
            await asyncio.sleep(_POLL_SECONDS)

    async def pause(self, name: str | None = None) -> None:
        """SIGSTOP."""
        process = self._named(name)
        process.signal(SIGSTOP)
        process.paused = True

    async def resume(self, name: str | None = None) -> None:
        """SIGCONT."""
        process = self._named(name)
        process.signal(SIGCONT)
        process.paused = False

    def close(self) -> None:
        """Ends the servers and removes what they stored."""
        if not self._closed:
            self._closed = True
            super().close()
            for process in self.members:
                process.end(SIGTERM)
            shutil.rmtree(self.directory, ignore_errors=True)
            atexit.unregister(self.close)

    def _named(self, name: str | None) -> ServerProcess:
        if name is None and len(self.members) == 1:
            return self.members[0]
        for process in self.members:
            if process.name == name:
                return process
        names = ", ".join(process.name for process in self.members)
        raise ValueError(f"no server {name!r}; there are {names}")
