"""The demonstration that nothing outlives a kernel, and that it could have come out otherwise."""

import os
import signal

from kvcore.lab import second
from kvcore.lab.second import SecondPython, is_running

ORPHAN = """
import subprocess, sys
child = subprocess.Popen(
    [sys.executable, "-c", "import threading; threading.Event().wait(60)"],
    start_new_session=True, stdout=subprocess.DEVNULL,
)
print(child.pid, flush=True)
input()
"""


def test_a_server_ends_with_the_python_that_was_killed():
    other = SecondPython()
    directory = other._directory.name
    assert repr(other) == "second Python: running · its server: running"
    other.kill()
    assert repr(other) == "second Python: gone · its server: gone"
    assert not os.path.exists(directory)


def test_a_process_that_does_not_follow_its_parent_is_reported_as_running(monkeypatch):
    monkeypatch.setattr(second, "PROGRAM", ORPHAN)
    monkeypatch.setattr(second, "_PATIENCE_SECONDS", 0.2)
    other = SecondPython()
    try:
        other.kill()
        assert repr(other) == "second Python: gone · its server: running"
    finally:
        os.kill(other._server_pid, signal.SIGKILL)


def test_a_process_that_was_never_there_is_not_running():
    assert not is_running(0)
    assert is_running(os.getpid())
