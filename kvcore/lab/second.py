"""A second Python, started to be killed: does anything outlive it?

A notebook's kernel can die at any moment: restarted, out of memory, `kill -9`. Whoever opens
`Cluster.processes(1)` must not find a server on their machine afterwards. To see that, a cell
starts another Python which opens such a cluster, kills it with SIGKILL (no handler, no
`atexit`, nothing gets to tidy up), and asks the operating system what is left.

    other = SecondPython()
    print(other)   # second Python: running · its server: running · a plain child: running
    other.kill()
    print(other)   # second Python: gone · its server: gone · a plain child: running
    other.tidy()   # ends the plain child

The plain child is the control: a process of the second Python that does nothing to follow
it. It stays, so "gone" is not what this would say in any case. `pids` lets anyone ask the
system itself. Forgotten, the child ends by itself after a minute.

What the dead can't remove is what they stored; so their temporary directory lies in one of
ours, which `kill` removes.

Left out: Windows, where there is no SIGKILL (WSL 2 has it).
"""

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

PLAIN = "import threading; threading.Event().wait(60)"
PROGRAM = f"""
import subprocess, sys
from kvcore.lab import Cluster
cluster = Cluster.processes(1)
none = subprocess.DEVNULL
plain = subprocess.Popen([sys.executable, "-c", {PLAIN!r}], stdin=none, stdout=none, stderr=none)
print(cluster.members[0].pid, plain.pid, flush=True)
input()
"""
_PATIENCE_SECONDS = 10.0
_POLL_SECONDS = 0.01


class SecondPython:
    """A Python process that runs `PROGRAM`; its repr says what of it is running."""

    def __init__(self) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="kvcore-second-")
        root = str(Path(__file__).resolve().parents[2])
        path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
        self._python = subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-c", PROGRAM],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": path, "TMPDIR": self._directory.name},
        )
        assert self._python.stdout is not None
        line = self._python.stdout.readline()
        if not line:
            self.kill()
            raise RuntimeError("the second Python ended before its server was up")
        self._server_pid, self._plain_pid = map(int, line.split())

    @property
    def pids(self) -> str:
        """The three process ids, as `ps -p` takes them."""
        return f"{self._python.pid},{self._server_pid},{self._plain_pid}"

    def __repr__(self) -> str:
        self._python.poll()  # a child of ours is gone once it is counted
        named = {
            "second Python": self._python.pid if self._python.returncode is None else 0,
            "its server": self._server_pid,
            "a plain child": self._plain_pid,
        }
        states = (f"{k}: {'running' if is_running(pid) else 'gone'}" for k, pid in named.items())
        return " · ".join(states)

    def kill(self) -> None:
        """SIGKILL, and then ten seconds at most for its server to notice."""
        self._python.kill()
        self._python.communicate()
        self._wait_for(getattr(self, "_server_pid", 0))
        self._directory.cleanup()

    def tidy(self) -> None:
        """Ends the plain child, which would stay for a minute otherwise."""
        if is_running(self._plain_pid):
            os.kill(self._plain_pid, signal.SIGKILL)
        self._wait_for(self._plain_pid)

    def _wait_for(self, pid: int) -> None:
        """Until that process is gone, or patience is."""
        deadline, pause = time.monotonic() + _PATIENCE_SECONDS, threading.Event()
        while is_running(pid) and time.monotonic() < deadline:
            pause.wait(_POLL_SECONDS)


def is_running(pid: int) -> bool:
    """Whether the process does anything still; one that only waits to be counted does not."""
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # the number is someone else's by now, but it runs
    status = Path(f"/proc/{pid}/stat")
    try:
        return status.read_text(encoding="ascii", errors="replace").rpartition(")")[2][1] != "Z"
    except OSError:
        return not Path("/proc/self").exists()
