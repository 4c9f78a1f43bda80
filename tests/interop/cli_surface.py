"""What the official CLI's families offer, and which of it the transcripts type.

The CLI tells its own commands and flags. A transcript's command line is read back into the
command that it names and the flags that it gives, so that a flag that nobody types shows up.
What is left out on purpose is `LEFT_OUT`, with a reason each.

Left out: the flags that all commands share (`--server`, `--tlsca`, …).
"""

import json
import re
import shlex
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass, field

from tests.interop.transcript import Run, Step, Until, Watch
from tests.support.require import program

FAMILIES_OF_THE_CLI = (("kv",), ("stream",), ("consumer",), ("server", "check"), ("bench",))


@dataclass
class Command:
    """A command of the CLI, such as `stream add`."""

    name: str
    flags: dict[str, str | None] = field(default_factory=dict)  # long name -> letter
    children: dict[str, "Command"] = field(default_factory=dict)  # aliases too

    def all(self) -> list["Command"]:
        """This command and those below it, each once."""
        below = {id(child): child for child in self.children.values()}
        return [self, *(one for child in below.values() for one in child.all())]


@dataclass(frozen=True)
class LeftOut:
    """Commands and flags (patterns) that no transcript types, and why."""

    command: str
    flag: str  # "" is the command itself
    reason: str

    def covers(self, command: str, flag: str) -> bool:
        matches = re.fullmatch(self.command, command) is not None
        return matches and re.fullmatch(self.flag, flag) is not None


def families() -> dict[str, Command]:
    """The families as the CLI describes itself."""
    said = subprocess.run(
        [program("nats"), "--fisk-introspect"], capture_output=True, check=True
    ).stdout
    top = json.loads(said)
    found = {}
    for path in FAMILIES_OF_THE_CLI:
        node = top
        for word in path:
            (node,) = (one for one in node["commands"] if one["name"] == word)
        found[" ".join(path)] = _command(node, " ".join(path), {})
    return found


def _command(node: dict[str, object], name: str, above: dict[str, str | None]) -> Command:
    own = {
        flag["name"]: chr(flag["short"]) if flag.get("short") else None
        for flag in node.get("flags") or []  # type: ignore[attr-defined]
        if not flag.get("hidden")
    }
    command = Command(name, own)
    for child in node.get("commands") or []:  # type: ignore[attr-defined]
        if child.get("hidden"):
            continue
        made = _command(child, f"{name} {child['name']}", own)
        for word in (child["name"], *(child.get("aliases") or [])):
            command.children[word] = made
    return command


def typed(steps: Iterable[Step]) -> list[str]:
    """All command lines of a family of transcripts."""
    lines = []
    for step in steps:
        match step:
            case Run() | Until():
                lines.append(step.command)
            case Watch():
                lines += [step.command, *step.then]
    return lines


def used(lines: Iterable[str], tree: dict[str, Command]) -> set[tuple[str, str]]:
    """(command, flag) of all that is typed; the flag "" is the command itself."""
    found = set()
    for line in lines:
        words = shlex.split(line)
        for root, command in tree.items():
            path = root.split()
            if words[: len(path)] == path:
                found |= _of(words[len(path) :], command)
    return found


def _of(words: list[str], command: Command) -> set[tuple[str, str]]:
    chain = [command]
    while words and words[0] in chain[-1].children:
        chain.append(chain[-1].children[words[0]])
        words = words[1:]
    found = {(one.name, "") for one in chain}
    for word in words:
        if not word.startswith("-") or word == "-":
            continue
        name = word.lstrip("-").partition("=")[0]
        for one in chain:
            for flag, letter in one.flags.items():
                if name in (flag, f"no-{flag}") or (word[1] != "-" and word[1] == letter):
                    found.add((one.name, flag))
    return found


ANY = ".*"

LEFT_OUT: tuple[LeftOut, ...] = (
    LeftOut("kv add", "mirror-domain", "there is one domain"),
    LeftOut("(stream|consumer) cluster.*", ANY, "a cluster's commands come with replication"),
    LeftOut("stream report", "cluster|leaders", "a cluster's commands come with replication"),
    LeftOut(
        "stream (add|edit|copy)",
        "allow-batch|allow-fast|allow-counter|allow-schedules|persist-mode",
        "of API levels above kvcore's; tests/jetstream says how they are refused",
    ),
    LeftOut("(stream|consumer) edit", "interactive", "opens an editor"),
    LeftOut("stream view", ANY, "wants a terminal"),
    LeftOut("(stream|consumer) graph", ANY, "wants a terminal"),
    LeftOut("consumer (add|copy)", "bps", "refused: docs/differences.md"),
    LeftOut(
        "consumer (add|copy)",
        "(pinned|overflow|prioritized)-(groups|ttl)",
        "priority groups are of API levels above kvcore's",
    ),
    LeftOut("consumer copy", "ephemeral", "the copy's name is picked by chance"),
    LeftOut("consumer reset", ANY, "of an API level above kvcore's"),
    LeftOut(
        "server check server",
        "(cpu|mem|subs|uptime|tls|auth|js)-.*",
        "thresholds that the CLI itself holds against an answer that is compared",
    ),
    LeftOut("server check credential", ANY, "reads a file and asks no server"),
    LeftOut("bench .*", "throughput|duration", "how many messages that gives depends on the clock"),
    LeftOut("bench sub", ANY, "waits for a publisher in a second process"),
    LeftOut("bench service serve", ANY, "goes on until it is ended"),
    LeftOut("bench service", "sleep|clients|csv|size", "there is no service to be asked twice"),
    LeftOut("bench service request", "header|payload", "there is no service to be asked twice"),
    LeftOut(
        "bench js pub (sync|async)",
        "create|storage|replicas|maxbytes|dedupwindow",
        "the stream that the CLI makes has atomic batches, which kvcore has not",
    ),
    LeftOut("bench js pub (sync|async)", "persistasync", "of an API level above kvcore's"),
    LeftOut("bench js pub (atomic|fast)", ANY, "batches are of API levels above kvcore's"),
    LeftOut("bench js (ordered|consume|fetch)", "purge", "purges what it then waits for"),
)
