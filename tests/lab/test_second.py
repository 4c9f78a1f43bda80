"""The demonstration that nothing outlives a kernel, and that it could have come out otherwise."""

import os

from kvcore.lab import second
from kvcore.lab.second import SecondPython, is_running

ORPHAN = second.PROGRAM.replace("cluster.members[0].pid", "plain.pid")


def test_a_server_ends_with_the_python_that_was_killed_and_a_plain_child_does_not():
    other = SecondPython()
    directory = other._directory.name
    assert repr(other) == "second Python: running · its server: running · a plain child: running"
    other.kill()
    assert repr(other) == "second Python: gone · its server: gone · a plain child: running"
    assert not os.path.exists(directory)
    assert is_running(int(other.pids.split(",")[2]))
    other.tidy()
    assert repr(other) == "second Python: gone · its server: gone · a plain child: gone"


def test_a_process_that_does_not_follow_its_parent_is_reported_as_running(monkeypatch):
    monkeypatch.setattr(second, "PROGRAM", ORPHAN)
    monkeypatch.setattr(second, "_PATIENCE_SECONDS", 0.2)
    other = SecondPython()
    try:
        other.kill()
        assert "its server: running" in repr(other)
    finally:
        other.tidy()


def test_a_process_that_was_never_there_is_not_running():
    assert not is_running(0)
    assert is_running(os.getpid())
