"""A second Python, started to be killed: does anything outlive it?

A notebook's kernel can die at any moment: restarted, out of memory, `kill -9`. Whoever opens
`Cluster.processes(1)` must not find a server on their machine afterwards. To see that, a cell
starts another Python which opens such a cluster, kills it with SIGKILL (no handler, no
`atexit`, nothing gets to tidy up), and asks the operating system what is left.

    other = SecondPython()
    print(other)              # second Python: running · its server: running
    other.kill()
    print(other)              # second Python: gone · its server: gone

What the dead can't remove is what they stored; so their temporary directory lies in one of
ours, which `kill` removes.

Left out: Windows, where there is no SIGKILL (WSL 2 has it).
"""

import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

PROGRAM = """
from kvcore.lab import Cluster
cluster = Cluster.processes(1)
print(cluster.members[0].pid, flush=True)
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
        self._server_pid = int(line)

    def __repr__(self) -> str:
        python = "running" if self._python.poll() is None else "gone"
        server = "running" if is_running(self._server_pid) else "gone"
        return f"second Python: {python} · its server: {server}"

    def kill(self) -> None:
        """SIGKILL, and then ten seconds at most for its server to notice."""
        self._python.kill()
        self._python.communicate()
        deadline, pause = time.monotonic() + _PATIENCE_SECONDS, threading.Event()
        while is_running(getattr(self, "_server_pid", 0)) and time.monotonic() < deadline:
            pause.wait(_POLL_SECONDS)
        self._directory.cleanup()


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
