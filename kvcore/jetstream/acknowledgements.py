"""What a client says of a delivery, on the delivery's own reply subject.

    $JS.ACK.<stream>.<consumer>.<count>.<sequence>.<consumer sequence>.<time>.<pending>

    (nothing), +ACK, +OK   done with it
    +NXT, with a request   done with it, and here is my next pull request
    -NAK, with a delay     give it to me again, at once or later
    +WPI                   still at work: count my time anew
    +TERM, with a reason   never give it to anyone again

A reply subject on the acknowledgement itself asks for an answer when it is safe
(`ack_sync`). Whatever else a client says there is no acknowledgement.

Left out: who else hears of NAKs and TERMs (`advisories.py`).
"""

from dataclasses import dataclass
from enum import Enum

from kvcore.jetstream.documents import read_object
from kvcore.jetstream.errors import ConfigError
from kvcore.jetstream.gojson import parse_duration
from kvcore.limits import Nanos

_TOKENS = 9
_MAX = (1 << 63) - 1


class Kind(Enum):
    """What is said of a delivery."""

    ACK = "+ACK"
    NEXT = "+NXT"
    NAK = "-NAK"
    WORKING = "+WPI"
    TERM = "+TERM"
    UNKNOWN = ""


@dataclass(frozen=True, slots=True)
class Said:
    """One acknowledgement: `rest` is what follows its kind, `count` which delivery it is of."""

    consumer: str
    kind: Kind
    seq: int
    consumer_seq: int
    reply: str
    rest: bytes = b""
    count: int = 1


def read(subject: str, reply: str, payload: bytes) -> Said | None:
    """The acknowledgement that was published on `subject`; None if it is none of ours."""
    tokens = subject.split(".")
    if len(tokens) != _TOKENS:
        return None
    seq, consumer_seq = _number(tokens[5]), _number(tokens[6])
    if not seq or not consumer_seq:
        return None
    kind, rest = _kind(payload)
    return Said(tokens[3], kind, seq, consumer_seq, reply, rest, _number(tokens[4]))


def _number(token: str) -> int:
    if not token.isascii() or not token.isdigit() or len(token) > 19:
        return 0
    return min(int(token), _MAX)


def _kind(payload: bytes) -> tuple[Kind, bytes]:
    if payload in (b"", b"+ACK", b"+OK"):
        return Kind.ACK, b""
    if payload == b"+WPI":
        return Kind.WORKING, b""
    for kind in (Kind.NEXT, Kind.NAK, Kind.TERM):
        prefix = kind.value.encode()
        if payload.startswith(prefix):
            return kind, payload[len(prefix) :]
    return Kind.UNKNOWN, b""


def nak_delay(rest: bytes) -> Nanos | None:
    """The delay behind a NAK: JSON with nanoseconds, or a duration as Go writes it. None,
    which is at once, if there is none or it makes no sense."""
    text = rest.strip()
    if not text:
        return None
    if not text.startswith(b"{"):
        return parse_duration(text.decode("utf-8", "replace"))
    try:
        delay = read_object(text).get("delay") or 0
    except ConfigError:
        return None
    return delay if type(delay) is int and abs(delay) <= _MAX else None
