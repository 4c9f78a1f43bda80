"""One `kvcore serve` as a child of this process: how it is started, hurt and ended.

The server holds the reading end of a pipe whose writing end this process keeps: when this
process is gone, however it went, the pipe ends and the server does too (`--parent-fd`). It
runs in a session of its own, so that interrupting a cell doesn't interrupt it.

Two more things connect the two. The server writes to a file how much of each log its syncs
have covered (`--synced-fd`): so a power cut can be made of a kill, by cutting each log at a
random point at or after that length. And it opens a door for its owner (`--admin`), through
which it is told whose bytes to lose.

Left out: several servers, which `fleet.py` has.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from random import Random
from signal import SIGCONT, SIGKILL, SIGSTOP, Signals

from kvcore.server.admin import AdminError, ask
from kvcore.server.synced import cut_unsynced

_STOP_SECONDS = 5.0
_FREEZE_SECONDS = 1.0


class ServerProcess:
    """Its directory, its port, and its process while there is one."""

    def __init__(self, name: str, directory: Path, flags: Sequence[str], port: int = -1) -> None:
        self.name = name
        self.port = port
        self.paused = False
        self.directory = directory
        self._flags = flags
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
        """Starts the process; it listens once `ready` says so."""
        assert self.status == "crashed", f"{self.name} runs already"
        self.directory.mkdir(exist_ok=True, mode=0o700)
        if self._lifeline >= 0:
            os.close(self._lifeline)
        theirs, self._lifeline = os.pipe()
        root = str(Path(__file__).resolve().parents[2])
        path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
        log = (self.directory / "log").open("ab")
        synced = (self.directory / "synced").open("a+b")
        report = os.open(self.directory / "synced", os.O_RDWR)
        with log, synced:
            self._process = subprocess.Popen(  # noqa: S603 - our own program and flags
                [
                    *(sys.executable, "-m", "kvcore.cli.main", "serve"),
                    *("-a", "127.0.0.1", "-p", str(self.port), "-n", self.name),
                    *("-sd", str(self.directory / "store")),
                    *("--ports_file_dir", str(self.directory), "--parent-fd", str(theirs)),
                    *("--synced-fd", str(report), "--admin"),
                    *self._flags,
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(theirs, report),
                start_new_session=True,
                env=os.environ | {"PYTHONPATH": path},
            )
        os.close(theirs)
        os.close(report)

    def ready(self) -> bool:
        """Whether the server listens; raises RuntimeError when it has ended instead."""
        assert self._process is not None
        if self._process.poll() is not None:
            text = (self.directory / "log").read_text(encoding="utf-8", errors="replace")
            raise RuntimeError(f"{self.name} did not start:\n{text[-2000:]}")
        ports = self.directory / f"nats-server_{self._process.pid}.ports"
        if not ports.exists():
            return False
        try:
            url = json.loads(ports.read_text(encoding="utf-8"))["nats"][0]
        except json.JSONDecodeError:
            return False  # nats-server is writing it
        self.port = int(url.rpartition(":")[2])
        return True

    def signal(self, number: Signals) -> None:
        """Sends a signal, if there is a process."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)

    def freeze(self) -> None:
        """SIGSTOP; when this returns, every thread has stopped, where the system can say so."""
        self.signal(SIGSTOP)
        self.paused = True
        deadline = time.monotonic() + _FREEZE_SECONDS
        asked = getattr(os, "WSTOPPED", 0) | getattr(os, "WNOWAIT", 0) | os.WNOHANG
        while hasattr(os, "waitid") and self.pid and time.monotonic() < deadline:
            try:
                if os.waitid(os.P_PID, self.pid, asked) is not None:
                    return
            except ChildProcessError:
                return
            time.sleep(0.0005)

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
        for left in self.directory.glob(f"*_{self._process.pid}.*"):
            left.unlink(missing_ok=True)  # what a killed server had no time to remove
        if self._lifeline >= 0:
            os.close(self._lifeline)
            self._lifeline = -1

    def power_cut(self, rng: Random) -> int:
        """SIGKILL, and then each log ends somewhere behind its last sync; the bytes lost."""
        self.end(SIGKILL)
        return cut_unsynced(self.directory / "store", self.directory / "synced", rng)

    def cut_off(self, peers: Sequence[str], clients: Sequence[str]) -> None:
        """Has the server lose what these send and get; raises `AdminError`. None: heals."""
        file = self.directory / f"kvcore_{self.pid}.admin"
        if peers or clients:
            ask(file, "cut", peers=list(peers), clients=list(clients))
        else:
            ask(file, "heal")


__all__ = ["AdminError", "ServerProcess"]
