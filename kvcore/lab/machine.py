"""Is this machine ready? One line for each thing, and what to do about each that isn't.

    PASS  Python           3.11.7
    WARN  port 4222        in use: kvcore serve -p -1 takes any free one
    FAIL  nats-py          missing: make lab installs it

PASS is fine, WARN is something that only a part of the course wants, FAIL is required.
Lesson 00 calls `preflight`, `kvcore doctor` writes the same `report`: one list, one answer.
Nothing is installed, nothing leaves the machine; the one write is a temporary file on which
a sync is timed, because that time decides how many durable writes a server can promise.

Whether a widget renders only a pair of eyes can tell, and whether it answers only a click:
`preflight` shows a button, says what to do if none appears, and waits for nothing.

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

from kvcore.lab.feedback import say

OLDEST_PYTHON = (3, 11)
SYNCS_COUNT = 10
SLOW_SYNC_MS = 50
FREE_DISK_BYTES = 500 * 1024 * 1024
REQUIRED = ("nats-py", "rich", "typer")
COURSE = ("jupyterlab", "ipykernel", "ipywidgets", "pandas", "matplotlib")
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

    def __str__(self) -> str:
        return f"{self.verdict}  {self.name:<16} {self.text}"


def report(out: TextIO) -> bool:
    """Writes a line for each thing, as it is found; False when something required is missing."""
    ready = True
    for check in CHECKS:
        for finding in check():
            out.write(f"{finding}\n")
            ready = ready and finding.verdict != "FAIL"
    return ready


def preflight() -> None:
    """Looks at the machine that this notebook runs on, and shows a button to try."""
    ready = report(sys.stdout)
    say("Ready." if ready else "Something required is missing: do what the FAIL lines say first.")
    _try_a_widget()


def _try_a_widget() -> None:
    from kvcore.viz.figure import has_widgets, show_widget

    try:
        import ipywidgets
    except ImportError:
        return  # its line above says so
    if not has_widgets():
        say("----  widgets          nobody is here to click; Python calls do all that buttons do")
        return
    say("LOOK  widgets          a button stands below. If not: close this tab, run `make lab`")
    button = ipywidgets.Button(description="click to test", tooltip="does Python hear a click?")

    heard: list[object] = []

    def clicked(_button: object) -> None:
        heard.append(_button)
        again = f", {len(heard)} times" if len(heard) > 1 else ""
        button.description = f"✓ PASS: heard{again}"

    button.on_click(clicked)
    show_widget(button)


def _python() -> Iterator[Finding]:
    found = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info >= OLDEST_PYTHON:
        yield Finding("PASS", "Python", found)
    else:
        wanted = ".".join(map(str, OLDEST_PYTHON))
        yield Finding("FAIL", "Python", f"{found}: install Python {wanted} or newer")


def _packages() -> Iterator[Finding]:
    for names, verdict, advice in (
        (REQUIRED, "FAIL", "make lab installs it"),
        (("uvloop",), "WARN", "pip install uvloop: the server runs about twice as fast"),
        (("rocksdict",), "WARN", "pip install rocksdict: buckets in RocksDB need it"),
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
        (8888, "JupyterLab", "by this JupyterLab, perhaps; another takes the next free one"),
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
