"""One record type that is the log, the test oracle and the picture.

Everything worth telling about a server's run is a `Trace`: when, which server, what kind,
and a few named facts. The server prints them, tests compare them, lessons draw them. The
pure layers never log: they hand a `Trace` to the sink that they were given.

A trace is deterministic: the same events at the same times give the same records, byte for
byte (`line`), under any hash seed. So fields are kept in the order of the call, and no
field holds an address, a wall-clock reading or a set.

Left out: levels, formatting, files. A sink decides what to do with a record.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from kvcore.limits import Nanos

Field: TypeAlias = str | int | bool | None


@dataclass(frozen=True, slots=True)
class Trace:
    """One thing that happened: at `time`, on `server`, of a `kind`, with its facts."""

    time: Nanos
    server: str
    kind: str
    fields: Mapping[str, Field]

    def line(self) -> str:
        """The record as one line of text, the same on every run of a seed."""
        facts = " ".join(f"{name}={value!r}" for name, value in self.fields.items())
        return f"{self.time} {self.server} {self.kind} {facts}".rstrip()


Sink: TypeAlias = Callable[[Trace], None]


def ignore(_record: Trace) -> None:
    """The sink for those who don't listen."""


NEWS = ("stream-begun-anew",)  # what an operator has to know, even one who didn't ask for traces


@dataclass(frozen=True, slots=True)
class Terse:
    """A sink that hands on what an operator has to know, and nothing else."""

    sink: Sink

    def __call__(self, record: Trace) -> None:
        """Take in one record."""
        if record.kind in NEWS:
            self.sink(record)


def is_quiet(sink: Sink) -> bool:
    """Whether nobody hears of what happens all the time, so that it need not be told."""
    return sink is ignore or isinstance(sink, Terse)
