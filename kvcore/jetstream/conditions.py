"""What a message's headers ask of the stream: conditions, an id, a time to live.

A publish may say: store me only if the subject's last sequence is 7, only once per id, drop
what I replace, forget me in a minute. The block is read in one pass, with nats-server's own
reading of it: a line counts if it begins with exactly the key and a colon, the first such
line wins, and spaces after the colon don't belong to the value.

Left out: judging them; `publish.py` does. Writing blocks is `nats/headers.py`'s.
"""

from collections.abc import Mapping
from typing import TypeAlias

from kvcore.jetstream.gojson import parse_duration
from kvcore.limits import SECOND_NS

EXPECTED_STREAM = b"Nats-Expected-Stream"
EXPECTED_LAST_SEQ = b"Nats-Expected-Last-Sequence"
EXPECTED_SUBJECT_SEQ = b"Nats-Expected-Last-Subject-Sequence"
EXPECTED_SUBJECT = b"Nats-Expected-Last-Subject-Sequence-Subject"
EXPECTED_LAST_MSG_ID = b"Nats-Expected-Last-Msg-Id"
MSG_ID = b"Nats-Msg-Id"
ROLLUP = b"Nats-Rollup"
TTL = b"Nats-TTL"
MARKER_REASON = b"Nats-Marker-Reason"
KV_OPERATION = b"KV-Operation"
Headers: TypeAlias = Mapping[bytes, bytes]
NO_HEADERS: Headers = {}
NEVER = -1  # a time to live without end
_MAX_SEQ = 1 << 64


def read_headers(block: bytes) -> Headers:
    """The first value of each key of a header block."""
    found: dict[bytes, bytes] = {}
    for line in block.split(b"\r\n")[1:]:
        key, colon, value = line.partition(b":")
        if colon and key not in found:
            found[key] = value.lstrip(b" ")
    return found


def text(value: bytes) -> str:
    """A header's value as text that can be turned back into the same bytes."""
    return value.decode("utf-8", "surrogateescape")


def read_sequence(value: bytes) -> int:
    """A sequence number, or -1, which no sequence equals, if it isn't one."""
    if not value.isdigit() or len(value) > 20:
        return -1
    number = int(value)
    return number if number < _MAX_SEQ else -1


def read_ttl(value: bytes) -> int | None:
    """A `Nats-TTL` in whole seconds: 0 is none, NEVER has no end, None is malformed.

    It is a number of seconds, a Go duration of at least a second, or `never`.
    """
    if not value:
        return 0
    if value.lower() == b"never":
        return NEVER
    duration = parse_duration(text(value))
    if duration is not None:
        return duration // SECOND_NS if duration >= SECOND_NS else None
    return int(value) if value.isdigit() and len(value) <= 18 else None
