"""Is this machine ready? One line per thing, and what to do about each that isn't.

    PASS  Python           3.11.7
    WARN  port 4222        in use: kvcore serve -p -1 takes any free one
    FAIL  jupyterlab       missing: make lab installs it

PASS is fine, WARN is something that only a part of the course wants, FAIL is required and
the only thing that makes the exit code 1. Nothing is installed, nothing leaves the machine;
the one write is a temporary file on which a sync is timed, because that time decides how
many durable writes a second a server can promise.

Left out: measuring speed beyond that one sync.
"""

import os
import shutil
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal, TextIO

OLDEST_PYTHON = (3, 11)
SYNCS_COUNT = 10
SLOW_SYNC_MS = 50
FREE_DISK_BYTES = 500 * 1024 * 1024
REQUIRED = ("nats-py", "rich", "typer")
COURSE = ("jupyterlab", "ipykernel", "ipywidgets", "anywidget", "pandas", "matplotlib")
PROGRAMS = (
    (("nats",), "the official CLI", "lessons use kvcore's own instead"),
    (("nats-server",), "the real NATS server", "only comparisons need it"),
    (("chromium", "chromium-browser", "google-chrome"), "a browser", "only browser tests need it"),
    (("docker",), "Docker", "only the world of containers needs it"),
    (("go",), "Go", "it installs the official CLI and server"),
)

Verdict = Literal["PASS", "WARN", "FAIL"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report."""

    verdict: Verdict
    name: str
    text: str


def doctor(out: TextIO) -> int:
    """Write the report to `out`; 1 when something required is missing, else 0."""
    worst = 0
    for check in CHECKS:
        for finding in check():
            out.write(f"{finding.verdict}  {finding.name:<16} {finding.text}\n")
            worst = max(worst, finding.verdict == "FAIL")
    out.write(
        "\nSomething required is missing: see FAIL above.\n" if worst else "\nReady to serve.\n"
    )
    return int(worst)


def _python() -> Iterator[Finding]:
    found = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info >= OLDEST_PYTHON:
        yield Finding("PASS", "Python", found)
    else:
        wanted = ".".join(map(str, OLDEST_PYTHON))
        yield Finding("FAIL", "Python", f"{found}: install Python {wanted} or newer")


def _packages() -> Iterator[Finding]:
    for names, verdict, advice in (
        (REQUIRED, "FAIL", "pip install kvcore"),
        (("uvloop",), "WARN", "pip install uvloop: the server runs about twice as fast"),
        (COURSE, "WARN", "make lab installs it: the course needs it, a server doesn't"),
    ):
        for name in names:
            try:
                yield Finding("PASS", name, version(name))
            except PackageNotFoundError:
                worse: Verdict = "FAIL" if verdict == "FAIL" else "WARN"
                yield Finding(worse, name, f"missing: {advice}")


def _ports() -> Iterator[Finding]:
    for port, who, instead in (
        (4222, "kvcore serve", "kvcore serve -p -1 takes any free one"),
        (8888, "JupyterLab", "JupyterLab takes the next free one"),
    ):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError as error:
                reason = (error.strerror or "not free").lower()
                yield Finding("WARN", f"port {port}", f"{reason}: {instead}")
            else:
                yield Finding("PASS", f"port {port}", f"free for {who}")


def _programs() -> Iterator[Finding]:
    places = os.pathsep.join((os.environ.get("PATH", ""), str(Path.home() / "go" / "bin")))
    for names, what, without in PROGRAMS:
        path = next(filter(None, (shutil.which(name, path=places) for name in names)), None)
        if path:
            yield Finding("PASS", names[0], path)
        else:
            yield Finding("WARN", names[0], f"{what} is not here: {without}")


def _disk() -> Iterator[Finding]:
    free = shutil.disk_usage(".").free
    roomy = free >= FREE_DISK_BYTES
    advice = "" if roomy else ": make room, a store that fills its disk stops serving"
    yield Finding("PASS" if roomy else "WARN", "disk space", f"{free / 2**30:.1f} GiB{advice}")
    try:
        typical = _sync_ms()
    except OSError as error:
        yield Finding("FAIL", "disk sync", f"{error.strerror}: use a directory that can be written")
        return
    rate = f"{typical:.2f} ms, so about {1000 / typical:,.0f} puts/s one after the other"
    if typical < SLOW_SYNC_MS:
        yield Finding("PASS", "disk sync", rate)
    else:
        yield Finding("WARN", "disk sync", f"{rate}: a slow disk, put the store elsewhere")


def _sync_ms() -> float:
    """The median time of one durable append in this directory."""
    times = []
    sync = getattr(os, "fdatasync", os.fsync)
    with tempfile.TemporaryFile(dir=".") as file:
        for _ in range(SYNCS_COUNT):
            file.write(b"x" * 512)
            file.flush()
            start = time.perf_counter()
            sync(file.fileno())
            times.append((time.perf_counter() - start) * 1000)
    return max(statistics.median(times), 0.001)


CHECKS: tuple[Callable[[], Iterator[Finding]], ...] = (
    _python,
    _packages,
    _ports,
    _programs,
    _disk,
)
