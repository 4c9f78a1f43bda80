"""Types a script of `nats` commands at a server and writes down what came back.

A transcript is a list of entries, one per command: the words, the exit code, the lines of
stdout and of stderr. Two transcripts are compared entry by entry and line by line. What
may differ is a list of `Difference`s: the command, the field (a pattern with one named
group) and the reason. Only the group's text is masked; a line that would be masked whole
is a mistake in the list, and exit codes and the number of lines always count.

Left out: what the commands are (`families.py`) and what may differ (`differences.py`).
"""

import os
import re
import shlex
import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.require import program
from tests.support.servers import Server
from tests.support.wait import eventually
from tests.support.wire import Wire

COMMAND_S = 30.0


@dataclass(frozen=True)
class Run:
    """A command that ends by itself."""

    command: str
    stdin: str | bytes = ""


@dataclass(frozen=True)
class Until:
    """A command typed again and again until it ends with `code`; the last time counts."""

    command: str
    code: int
    within: float = 8.0


@dataclass(frozen=True)
class Watch:
    """A command that goes on until it is ended.

    Once a line matches `first` (without it: once the stream has a consumer), `then` is
    typed; the watch is ended when a line matches `last`. All lines up to it count.
    """

    command: str
    stream: str
    then: tuple[str, ...]
    last: str
    first: str = ""


Step = Run | Until | Watch


@dataclass(frozen=True)
class Entry:
    """One command and what it did."""

    command: str
    code: int
    out: tuple[str, ...]
    err: tuple[str, ...]

    def text(self) -> str:
        lines = [f"$ nats {self.command}", *self.out, *(f"! {line}" for line in self.err)]
        return "\n".join([*lines, f"[{self.code}]"])


@dataclass(frozen=True)
class Difference:
    """A field of some command's lines that may differ, and why.

    `command` is a pattern for the whole command line. `field` has exactly one named group:
    the text of the field. `reason` is for the reader.
    """

    command: str
    field: str
    reason: str

    def __post_init__(self) -> None:
        assert len(re.compile(self.field).groupindex) == 1, f"one named group: {self.field}"
        assert self.reason.strip(), "a reason is wanted"


@dataclass
class Masks:
    """The allow-list at work: masks lines, and remembers which entries were needed."""

    differences: Sequence[Difference]
    used: dict[Difference, int] = field(default_factory=dict)

    def line(self, command: str, line: str) -> str:
        for difference in self.differences:
            if re.search(difference.command, command):
                line = self._mask(difference, line)
        bare = re.sub(r"<\w+>", "", line)
        assert bare.strip() or not line.strip(), f"a whole line is exempt: {command!r} {line!r}"
        return line

    def _mask(self, difference: Difference, line: str) -> str:
        pattern = re.compile(difference.field)
        (name,) = pattern.groupindex
        parts: list[str] = []
        at = 0
        for match in pattern.finditer(line):
            start, end = match.span(name)
            if start < 0:
                continue
            parts += [line[at:start], f"<{name}>"]
            at = end
            self.used[difference] = self.used.get(difference, 0) + 1
        return "".join([*parts, line[at:]])

    def entry(self, entry: Entry) -> Entry:
        return Entry(
            entry.command,
            entry.code,
            tuple(self.line(entry.command, line) for line in entry.out),
            tuple(self.line(entry.command, line) for line in entry.err),
        )


def compare(ours: Sequence[Entry], theirs: Sequence[Entry], masks: Masks) -> list[str]:
    """What differs, for a reader; empty when nothing does."""
    found = []
    if len(ours) != len(theirs):
        found.append(f"{len(ours)} commands against {len(theirs)}")
    for one, other in zip(ours, theirs, strict=False):
        a, b = masks.entry(one), masks.entry(other)
        if a != b:
            found.append(_explain(a, b))
    return found


def _explain(ours: Entry, theirs: Entry) -> str:
    lines = [f"$ nats {theirs.command}"]
    if ours.command != theirs.command:
        lines.append(f"  but ours was: nats {ours.command}")
    if ours.code != theirs.code:
        lines.append(f"  exit code {ours.code}, nats-server's {theirs.code}")
    for stream in ("out", "err"):
        a, b = getattr(ours, stream), getattr(theirs, stream)
        for i in range(max(len(a), len(b))):
            x = a[i] if i < len(a) else None
            y = b[i] if i < len(b) else None
            if x != y:
                lines += [f"  {stream} line {i + 1}", f"    ours   {x!r}", f"    theirs {y!r}"]
    return "\n".join(lines)


class Typist:
    """Types at one server, in an empty home directory, in UTC."""

    def __init__(self, server: Server, home: Path) -> None:
        self.server = server
        self.home = home
        self.nats = program("nats")
        self.environment = {
            "HOME": str(home),
            "XDG_CONFIG_HOME": str(home),
            "PATH": os.environ["PATH"],
            "NATS_URL": server.url,
            "TZ": "UTC",
            "COLUMNS": "120",
        }

    def type(self, steps: Sequence[Step]) -> list[Entry]:
        entries = []
        for step in steps:
            match step:
                case Run():
                    entries.append(self.run(step.command, step.stdin))
                case Until():
                    entries.append(self.until(step))
                case Watch():
                    entries += self.watch(step)
        return entries

    def run(self, command: str, stdin: str | bytes = "") -> Entry:
        done = subprocess.run(
            [self.nats, *shlex.split(command)],
            input=stdin if isinstance(stdin, bytes) else stdin.encode(),
            capture_output=True,
            cwd=self.home,
            env=self.environment,
            timeout=COMMAND_S,
            check=False,
        )
        return Entry(command, done.returncode, _lines(done.stdout), _lines(done.stderr))

    def until(self, step: Until) -> Entry:
        """The first entry with the code, or the last one typed before time was up."""
        entry = self.run(step.command)

        def look() -> bool:
            nonlocal entry
            entry = self.run(step.command)
            return entry.code == step.code

        with suppress(AssertionError):
            eventually(look, step.within)
        return entry

    def watch(self, step: Watch) -> list[Entry]:
        process = subprocess.Popen(
            [self.nats, *shlex.split(step.command)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=self.home,
            env=self.environment,
        )
        assert process.stdout is not None
        assert process.stderr is not None
        out, err = _Reader(process.stdout), _Reader(process.stderr)
        try:
            if step.first:
                out.wait(step.first)
            else:
                with Wire(self.server.port, '{"verbose":false}') as wire:
                    eventually(lambda: _consumers(wire, step.stream), COMMAND_S, step.command)
            typed = [self.run(command) for command in step.then]
            out.wait(step.last)
        finally:
            process.send_signal(signal.SIGTERM)
            code = process.wait(COMMAND_S)
        return [Entry(step.command, code, out.lines(), err.lines()), *typed]


class _Reader:
    """Collects a pipe's lines in a thread, so that a wait can have a deadline."""

    def __init__(self, pipe: object) -> None:
        self._pipe = pipe
        self._found: list[str] = []
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        with self._pipe as pipe:  # type: ignore[attr-defined]
            for line in pipe:
                with self._changed:
                    self._found.append(line.decode("utf-8", "replace").rstrip("\n"))
                    self._changed.notify_all()

    def wait(self, pattern: str, within: float = COMMAND_S) -> None:
        deadline = time.monotonic() + within
        with self._changed:
            while not any(re.search(pattern, line) for line in self._found):
                left = deadline - time.monotonic()
                assert left > 0, f"no line like {pattern!r} within {within} s: {self._found}"
                self._changed.wait(left)

    def lines(self) -> tuple[str, ...]:
        self._thread.join(COMMAND_S)
        return tuple(self._found)


def _consumers(wire: Wire, stream: str) -> bool:
    info = wire.api(f"STREAM.INFO.{stream}")
    state = info.get("state")
    return isinstance(state, dict) and state["consumer_count"] > 0


def _lines(data: bytes) -> tuple[str, ...]:
    text = data.decode("utf-8", "replace")
    text = text.replace("\N{NO-BREAK SPACE}", " ")  # `stream edit` picks a kind of space by chance
    return tuple(line.rstrip("\r") for line in text.split("\n"))
