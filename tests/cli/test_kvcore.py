"""`kvcore` itself: the list of commands, the version, the doctor."""

import io
import re
import socket
import subprocess
import sys

from kvcore import __version__
from kvcore.cli.doctor import doctor
from kvcore.lab import machine
from kvcore.lab.machine import Finding

KVCORE = [sys.executable, "-m", "kvcore.cli.main"]


def kvcore(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*KVCORE, *words], capture_output=True, text=True, timeout=60, check=False
    )


def test_help_lists_every_command():
    for flag in ("--help", "-h"):
        done = kvcore(flag)
        assert done.returncode == 0
        for command in ("serve", "kv", "nats", "doctor"):
            assert re.search(rf"\b{command}\b", done.stdout)


def test_version():
    assert kvcore("--version").stdout == f"kvcore {__version__}\n"


def test_an_unknown_command_is_refused():
    done = kvcore("dance")
    assert done.returncode != 0
    assert "dance" in done.stderr


def test_the_doctor_says_one_line_per_thing_and_is_content_here():
    out = io.StringIO()
    assert doctor(out) == 0
    lines = out.getvalue().splitlines()
    assert all(re.match(r"(PASS|WARN)  \S", line) for line in lines[:-2])
    assert any("disk sync" in line and "ms" in line for line in lines)


def test_the_doctor_fails_only_for_what_is_required(monkeypatch):
    def checks(verdict):
        return (lambda: iter([Finding(verdict, "thing", "what to do")]),)

    for verdict, code in (("PASS", 0), ("WARN", 0), ("FAIL", 1)):
        monkeypatch.setattr(machine, "CHECKS", checks(verdict))
        out = io.StringIO()
        assert doctor(out) == code
        assert f"{verdict}  thing" in out.getvalue()


def test_the_doctor_names_a_port_in_use(monkeypatch):
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind(("127.0.0.1", 8888))
            taken.listen()
        except OSError:
            pass  # someone else holds it, which is as good
        found = {finding.name: finding for finding in machine._ports()}
    assert found["port 8888"].verdict == "WARN"
    assert "next free one" in found["port 8888"].text


def test_the_doctor_names_a_missing_package(monkeypatch):
    monkeypatch.setattr(machine, "REQUIRED", ("no-such-package",))
    found = next(iter(machine._packages()))
    assert (found.verdict, found.text) == ("FAIL", "missing: make lab installs it")
