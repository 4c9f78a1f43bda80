"""What a client can say, as a closed union of frozen values.

The parser turns bytes into these, and everything above matches on them exhaustively.
What the bytes said wrongly is a value too: `Violation` ends a client's stream of
operations, so that whatever came before it is still handled, in order.

Subjects are `str`, decoded as UTF-8 with `surrogateescape`: any bytes survive the round
trip (`subject.encode("utf-8", "surrogateescape")`). Header blocks and payloads are bytes.

Left out: what the server says. Those are byte strings made by `nats/replies.py`.
"""

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Connect:
    """`CONNECT {json}`; the options are parsed by the session."""

    options: bytes


@dataclass(frozen=True, slots=True)
class Ping:
    """`PING`."""


@dataclass(frozen=True, slots=True)
class Pong:
    """`PONG`."""


@dataclass(frozen=True, slots=True)
class Pub:
    """`PUB` or `HPUB`. `header` is the whole block, `NATS/1.0` line and final blank line
    included, or None; a zero-length block (nats.js sends one) is None."""

    subject: str
    reply: str
    header: bytes | None
    payload: bytes
    has_header_verb: bool = False


@dataclass(frozen=True, slots=True)
class Sub:
    """`SUB subject [queue] sid`."""

    subject: str
    queue: str
    sid: str


@dataclass(frozen=True, slots=True)
class Unsub:
    """`UNSUB sid [max]`; `max` 0 means now."""

    sid: str
    max: int


@dataclass(frozen=True, slots=True)
class Ignored:
    """`+OK` or `INFO {json}`, which only servers say: no harm, but no CONNECT either."""


@dataclass(frozen=True, slots=True)
class Violation:
    """The bytes broke the protocol: say `-ERR 'text'` unless empty, then close.

    `of_connect` tells that the line began as a CONNECT does: on a server that waits for a
    CONNECT any other line is an authorization violation, whatever else is wrong with it."""

    text: str
    of_connect: bool = False


Op: TypeAlias = Connect | Ping | Pong | Pub | Sub | Unsub | Ignored | Violation
