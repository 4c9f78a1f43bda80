"""Republish: a stream that tells a second subject of everything it stored.

A reader who wants each change, but no history and no flow control, need not have a consumer:
with `republish: {src, dest}` the leader publishes what it has just stored again, as a plain
message, under a subject made from the stored one. What the stream knows comes along as
headers, the subject's previous sequence among them, so that a listener notices a gap:

    src  "$KV.b.>"     dest "out.>"               $KV.b.a.x  →  out.a.x
    src  "a.*.*"       dest "b.$2.{{wildcard(1)}}"    a.1.2      →  b.2.1

Nothing is promised: who isn't listening misses it.

Left out: limit markers, and the mapping functions of subject transforms beyond wildcards.
"""

import re
from collections.abc import Iterator

from kvcore.jetstream.answers import Answer
from kvcore.jetstream.outcome import Outcome
from kvcore.jetstream.stream import Stream
from kvcore.jetstream.times import rfc3339
from kvcore.nats import subject as subjects

_NUMBERED = re.compile(r"\$(\d+)|\{\{\s*wildcard\(\s*(\d+)\s*\)\s*\}\}", re.IGNORECASE)


def copy_of(stream: Stream, outcome: Outcome) -> Answer | None:
    """What the leader publishes for a message just stored, None if nothing."""
    wanted = stream.config.republish
    if wanted is None or not outcome.stored:
        return None
    source, target = str(wanted.get("src") or ">"), str(wanted.get("dest"))
    message = stream.message(outcome.stored)
    if message is None or not subjects.matches(source, message.subject):
        return None
    facts = {
        "Nats-Stream": stream.config.name,
        "Nats-Subject": message.subject,
        "Nats-Sequence": message.seq,
        "Nats-Time-Stamp": rfc3339(message.time),
        "Nats-Last-Sequence": outcome.previous,
    }
    payload = message.payload
    if wanted.get("headers_only"):
        facts["Nats-Msg-Size"] = len(payload)
        payload = b""
    lines = "".join(f"{name}: {value}\r\n" for name, value in facts.items())
    head = message.header[:-2] if message.header else b"NATS/1.0\r\n"
    block = head + lines.encode("utf-8", "surrogateescape") + b"\r\n"
    return Answer(transform(source, target, message.subject), payload, block)


def transform(source: str, target: str, subject: str) -> str:
    """The subject that `target` makes of one that matches `source`."""
    taken, rest = _wildcards(source, subject)
    in_order: Iterator[str] = iter(taken)

    def numbered(found: re.Match[str]) -> str:
        return taken[int(found.group(1) or found.group(2)) - 1]

    made: list[str] = []
    for token in target.split("."):
        if token == "*":
            made.append(next(in_order))
        elif token == ">":
            made.append(rest)
        else:
            made.append(_NUMBERED.sub(numbered, token))
    return ".".join(made)


def _wildcards(source: str, subject: str) -> tuple[list[str], str]:
    """What each `*` of the source stands for in the subject, and what its `>` does."""
    tokens = subject.split(".")
    taken: list[str] = []
    for place, token in enumerate(source.split(".")):
        if token == ">":
            return taken, ".".join(tokens[place:])
        if token == "*":
            taken.append(tokens[place])
    return taken, ""
