"""Republish: a stream that tells a second subject of everything it stored.

A reader who wants each change, but no history and no flow control, need not have a consumer:
with `republish: {src, dest}` the leader publishes what it has just stored again, as a plain
message, under a subject made from the stored one (`transform.py`). What the stream knows
comes along as headers, the subject's previous sequence among them, so that a listener
notices a gap. Nothing is promised: who isn't listening misses it.

The copy may be what another stream stores and republishes, in a circle even. That ends by
itself: each stream adds its headers, and a block of 64 KiB is refused.

Left out: limit markers.
"""

from kvcore import limits
from kvcore.jetstream.answers import Answer
from kvcore.jetstream.outcome import Outcome
from kvcore.jetstream.stream import Stream
from kvcore.jetstream.times import rfc3339
from kvcore.jetstream.transform import Transform
from kvcore.nats import subject as subjects


def copy_of(stream: Stream, outcome: Outcome) -> Answer | None:
    """What the leader publishes for a message just stored, None if nothing."""
    wanted = stream.config.republish
    message = outcome.message
    if wanted is None or message is None:
        return None
    made = Transform.of(str(wanted.get("src") or ">"), str(wanted.get("dest") or ""))
    if made is None or not subjects.matches(made.source, message.subject):
        return None
    to = made.apply(message.subject)
    if len(to.encode("utf-8", "surrogateescape")) > limits.CONTROL_LINE_BYTES:
        return None  # no client could subscribe to it, nor read a line that has it
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
    head = message.header.removesuffix(b"\r\n") if message.header else b"NATS/1.0\r\n"
    block = head + lines.encode("utf-8", "surrogateescape") + b"\r\n"
    return Answer(to, payload, block)
