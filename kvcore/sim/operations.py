"""What clients asked of a bucket and what they were told, as data.

An operation begins when a client calls, and ends when it has an answer. There are three ways
to end: `ok`, done; `refused`, certainly not done; `unknown`, no answer came, so it may have
been done, may be done later, or never. An operation whose answer is unknown never ends: it
may take effect at any time after its beginning.

Each write carries a value of its own, markers of deletion too, so that whatever is found in
a log tells which operation brought it.

Left out: judging them, see `kvcore.check.history`.
"""

from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from kvcore import limits
from kvcore.limits import Nanos

Kind: TypeAlias = Literal["put", "create", "update", "delete", "purge", "get"]
Result: TypeAlias = Literal["ok", "refused", "unknown"]
WRITES = ("put", "create", "update", "delete", "purge")


@dataclass(frozen=True, slots=True)
class Operation:
    """One call. `expected` is the revision that an update demands, `revision` the one that
    a write got or a read found; 0 is none. `value` is what was written or found."""

    number: int
    client: str
    kind: Kind
    key: str
    value: bytes | None
    expected: int
    began: Nanos
    ended: Nanos | None = None
    result: Result = "unknown"
    revision: int = 0
    error: str = ""

    @property
    def is_write(self) -> bool:
        """Whether it may change something."""
        return self.kind in WRITES

    def line(self) -> str:
        """As one line: who, what, when, and what came of it."""
        seconds = (self.began - limits.SIMULATION_START_NS) / limits.SECOND_NS
        what = f"{seconds:9.4f} s  {self.client} {self.kind} {self.key}"
        if self.is_write:
            what += f" {(self.value or b'').decode('utf-8', 'backslashreplace')}"
        if self.kind == "update":
            what += f" if {self.expected}"
        came = {"ok": f"revision {self.revision}", "refused": "refused", "unknown": "unknown"}
        return f"{what} → {came[self.result]}{f' ({self.error})' if self.error else ''}"


@dataclass(frozen=True, slots=True)
class Entry:
    """One message of a bucket's log; `operation` is "" for a value, "DEL" or "PURGE"."""

    revision: int
    key: str
    value: bytes
    operation: str = ""


@dataclass(slots=True)
class Watch:
    """What one watcher was told, in order; `after`: it asked for what follows this revision."""

    client: str
    after: int
    seen: list[Entry]


class History:
    """All operations of one run, in the order in which they began, and what watchers saw."""

    def __init__(self) -> None:
        self.operations: list[Operation] = []
        self.watches: list[Watch] = []

    def begin(  # noqa: PLR0917 - as the client said it
        self, client: str, kind: Kind, key: str, value: bytes | None, expected: int, now: Nanos
    ) -> int:
        """A client calls; the number of its operation."""
        number = len(self.operations)
        self.operations.append(Operation(number, client, kind, key, value, expected, now))
        return number

    def ok(self, number: int, now: Nanos, revision: int, found: bytes | None = None) -> None:
        """It was done; a read found this."""
        operation = self.operations[number]
        value = operation.value if operation.is_write else found
        self.operations[number] = replace(
            operation, ended=now, result="ok", revision=revision, value=value
        )

    def refused(self, number: int, now: Nanos, error: str) -> None:
        """It was certainly not done."""
        operation = self.operations[number]
        self.operations[number] = replace(operation, ended=now, result="refused", error=error)

    def unknown(self, number: int, error: str) -> None:
        """No answer came."""
        self.operations[number] = replace(self.operations[number], error=error)

    def count(self, result: Result) -> int:
        """How many operations ended so."""
        return sum(operation.result == result for operation in self.operations)
