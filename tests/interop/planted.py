"""Differences planted on purpose: in the lines of a transcript, and in what a server says.

A comparison that lets one through is worth nothing, so tests plant each and see it found.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from tests.interop.transcript import Entry, Masks


def mutants(entry: Entry, masks: Masks) -> Iterator[Entry]:
    """The entry with another exit code, without a line, with a line more, with a line changed."""
    yield replace(entry, code=entry.code + 1)
    yield replace(entry, out=(*entry.out, "one more"))
    yield replace(entry, err=(*entry.err, "one more"))
    for at, line in enumerate(entry.out):
        yield replace(entry, out=(*entry.out[:at], *entry.out[at + 1 :]))
        changed = _change(masks.line(entry.command, line))
        yield replace(entry, out=(*entry.out[:at], changed, *entry.out[at + 1 :]))
    for at, line in enumerate(entry.err):
        changed = _change(masks.line(entry.command, line))
        yield replace(entry, err=(*entry.err[:at], changed, *entry.err[at + 1 :]))


def _change(line: str) -> str:
    """The line with its last unmasked character replaced; a blank line gets a word."""
    inside = False
    for at in range(len(line) - 1, -1, -1):
        if line[at] == ">":
            inside = True
        elif line[at] == "<":
            inside = False
        elif not inside and not line[at].isspace():
            return line[:at] + ("#" if line[at] != "#" else "+") + line[at + 1 :]
    return line + "planted"


@dataclass(frozen=True)
class Lie:
    """A fault that a server could have, as words changed in its answers.

    `case` is where a program meets it. Each change is a pattern and what replaces a match, of
    the same length.
    """

    name: str
    case: str
    changes: tuple[tuple[bytes, bytes], ...]
    patience: int = 2  # seconds that the program gives the case


LIES: tuple[Lie, ...] = (
    Lie("a write tells a wrong revision", "changes", ((rb'"seq":2}', b'"seq":3}'),)),
    Lie("a refusal has a wrong code", "changes", ((b'"err_code":10071', b'"err_code":10070'),)),
    Lie("a refusal names a wrong revision", "changes", ((b"sequence: 2", b"sequence: 1"),)),
    Lie("a delete looks like a value", "history", ((b"KV-Operation: DEL", b"KV-Operation: PUT"),)),
    Lie(
        "a purge looks like a delete",
        "history",
        ((b"KV-Operation: PURGE", b"KV-Operation: DEL  "),),
    ),
    Lie("a value is another", "values", ((b"\r\none\r\n", b"\r\neno\r\n"),)),
    Lie(
        "a value belongs to another revision",
        "values",
        ((b"Nats-Sequence: 2", b"Nats-Sequence: 1"),),
    ),
    Lie("a value is older than it is", "values", ((b"Time-Stamp: 20", b"Time-Stamp: 19"),)),
    Lie("a key is another", "history", ((rb"\$KV\.history\.k ", b"$KV.history.c "),)),
    Lie(
        "initial values have no end",
        "history",
        ((rb"(\$JS\.ACK\.\S+)\.0 ", rb"\1.1 "), (b'"num_pending":0', b'"num_pending":1')),
    ),
    Lie("initial values end early", "history", ((rb"(\$JS\.ACK\.\S+)\.2 ", rb"\1.0 "),)),
    Lie("an expired key looks deleted", "markers", ((b"Reason: MaxAge", b"Reason: Remove"),), 5),
    Lie("a bucket tells a wrong size", "limits", ((rb'"bytes":1', b'"bytes":2'),)),
    Lie("a missing bucket is there", "manage", ((b'"err_code":10059', b'"err_code":10058'),)),
    Lie("a message is delivered twice", "fetch", ((rb"(\$JS\.ACK\.fetch\.d)\.1\.", rb"\1.2."),)),
    Lie("a duplicate is not told", "publish", ((rb'("duplicate": ?)true', rb"\1null"),)),
)
