"""From bytes to operations, however the network cut the bytes.

TCP delivers a stream, not messages: one read may end in the middle of a word and the next
bring forty commands. The parser keeps what is incomplete and returns what is complete, so
that any split of the same bytes gives the same operations.

    PUB subject [reply] size CRLF payload CRLF          HPUB subject [reply] hlen size CRLF …
    SUB subject [queue] sid CRLF                        UNSUB sid [max] CRLF
    CONNECT {json} CRLF        PING CRLF        PONG CRLF

The server is generous where telnet users are sloppy: a control line may end in a bare line
feed, verbs are written in any case, words stand apart by runs of spaces and tabs, what
follows PING on its line is ignored, and so are `+OK` and `INFO {}`, which only servers say.
It is strict where memory is at stake: sizes are judged before a byte of payload is kept, and
a line that outgrows its limit is refused before it ends.

Every error is final: a `Violation` is the last operation that a parser returns.

Left out: whether the client may do what it says (`session`), and the server's verbs, which
other servers would use.
"""

import re

from kvcore import limits
from kvcore.nats.json_text import loads
from kvcore.nats.ops import Connect, Op, Ping, Pong, Pub, Sub, Unsub, Violation

UNKNOWN_OPERATION = "Unknown Protocol Operation"
LINE_EXCEEDED = "maximum control line exceeded"
PAYLOAD_VIOLATION = "Maximum Payload Violation"

_SIZE_DIGITS = 9  # a longer number is refused, as an overflow would be
_CR, _SPACE = 13, 32

# Each verb, and whether a space or tab must follow it.
_VERBS = (
    (b"PUB", True),
    (b"HPUB", True),
    (b"SUB", True),
    (b"UNSUB", True),
    (b"CONNECT", False),
    (b"PING", False),
    (b"PONG", False),
    (b"INFO", True),
    (b"+OK", False),
    (b"-ERR", True),
)
_TAKES_NO_ARGUMENT = (b"PING", b"PONG", b"+OK")
_PUBLISHING = (b"PUB", b"HPUB")
_PING, _PONG = Ping(), Pong()

# `bytes.split` also splits at two control characters that NATS takes for part of a word.
_WORD = re.compile(rb"[^ \t\r\n]+")


class _ViolationError(Exception):
    """The bytes are wrong; the text is what the client is told, "" for nothing."""

    def __init__(self, text: str, *, of_connect: bool = False) -> None:
        self.text, self.of_connect = text, of_connect


class Parser:
    """One connection's reader. `feed` it what arrives; it never looks back."""

    __slots__ = ("_held", "_line_max", "_over", "_payload_max", "_wanted", "awaits_headers")

    def __init__(
        self,
        max_payload: int = limits.PAYLOAD_BYTES,
        max_control_line: int = limits.CONTROL_LINE_BYTES,
    ) -> None:
        self._payload_max = max_payload
        self._line_max = max_control_line
        self._held = bytearray()  # the incomplete command at the end of what was fed
        self._wanted = 0  # bytes that `_held` must have before another look is worth it
        self._over = False
        self.awaits_headers = False  # an HPUB's line was read, its payload is on the way

    @property
    def partial(self) -> bytes:
        """The beginning of the command that is not yet complete."""
        return bytes(self._held[:8])

    def feed(self, data: bytes) -> list[Op]:
        """The operations that these bytes complete, in order."""
        if self._over:
            return []
        if self._held:
            self._held += data
            if len(self._held) < self._wanted:
                return []
            data = bytes(self._held)
            self._held.clear()
        self._wanted = 0
        self.awaits_headers = False
        ops: list[Op] = []
        try:
            at = self._commands(data, ops)
        except _ViolationError as refusal:
            ops.append(Violation(refusal.text, refusal.of_connect))
            self._over = True
        else:
            self._held += data[at:] if at else data
        return ops

    def _commands(self, data: bytes, ops: list[Op]) -> int:
        """Appends each complete command; returns where the incomplete one begins."""
        at, find = 0, data.find
        split = _WORD.findall if b"\x0b" in data or b"\x0c" in data else bytes.split
        while (end := find(b"\n", at)) >= 0:
            line = data[at:end]
            words = split(line)
            # The usual PUB goes straight on; everything else takes the careful way.
            if (
                len(words) < 2
                or words[0] not in _PUBLISHING
                or data[at] <= _SPACE
                or end - at > self._line_max
            ):
                verb = _verb(line + b"\n")
                end = _argument_end(verb, data, at, end)
                if end < 0:
                    break
                line = data[at:end]
                self._check_length(verb, line.removesuffix(b"\r"))
                if verb not in _PUBLISHING:
                    ops.extend(_operation(verb, line))
                    at = end + 1
                    continue
                words = [verb, *split(line[len(verb) :])]
            stop = self._publish(words, data, end + 1, ops)
            if stop < 0:
                self._wanted -= at
                return at
            at = stop
        if at < len(data):
            self._check_begun(data[at:])
        return at

    def _publish(self, words: list[bytes], data: bytes, start: int, ops: list[Op]) -> int:
        """One PUB or HPUB whose payload begins at `start`; returns where it ends, or -1."""
        has_header_verb = words[0] == b"HPUB"
        count = len(words) - has_header_verb
        size = _size(words[-1])
        header_size = _size(words[-2]) if has_header_verb else 0
        if count not in (3, 4) or not 0 <= header_size <= size:
            raise _ViolationError("")
        if size > self._payload_max:
            raise _ViolationError(PAYLOAD_VIOLATION)
        stop = start + size
        if data[stop : stop + 2] != b"\r\n":
            if len(data) > stop and (data[stop] != _CR or len(data) > stop + 1):
                raise _ViolationError(UNKNOWN_OPERATION)
            self._wanted = stop + 1 if len(data) <= stop else stop + 2
            self.awaits_headers = has_header_verb
            return -1
        middle = start + header_size
        ops.append(
            Pub(
                _text(words[1]),
                _text(words[2]) if count == 4 else "",
                data[start:middle] if header_size else None,
                data[middle:stop],
                has_header_verb,
            )
        )
        return stop + 2

    def _check_begun(self, line: bytes) -> None:
        """Refuses an incomplete line as soon as nothing can come of it."""
        verb = _verb(line)
        if verb:
            self._check_length(verb, line.removesuffix(b"\r"))
        elif not any(known.startswith(line.upper()) for known, _ in _VERBS):
            raise _ViolationError(UNKNOWN_OPERATION, of_connect=line[:1] in (b"c", b"C"))

    def _check_length(self, verb: bytes, line: bytes) -> None:
        if verb and len(line) - len(verb) - 1 > self._line_max:
            raise _ViolationError(LINE_EXCEEDED, of_connect=verb == b"CONNECT")


def _operation(verb: bytes, line: bytes) -> tuple[Op, ...]:
    """What a line other than PUB and HPUB says: nothing, or one operation."""
    rest = line[len(verb) :]
    match verb:
        case b"PING":
            return (_PING,)
        case b"PONG":
            return (_PONG,)
        case b"SUB" | b"UNSUB":
            return (_subscription(verb, [_text(word) for word in _WORD.findall(rest)]),)
        case b"CONNECT":
            return (Connect(rest.strip(b" \t\r\n")),)
        case b"+OK":
            return ()
        case b"INFO" if _is_object(rest):
            return ()
        case b"INFO" | b"-ERR":
            raise _ViolationError("")
        case _:
            raise _ViolationError(UNKNOWN_OPERATION, of_connect=line[:1] in (b"c", b"C"))


def _subscription(verb: bytes, words: list[str]) -> Op:
    match verb, words:
        case b"SUB", [subject, sid]:
            return Sub(subject, "", sid)
        case b"SUB", [subject, queue, sid]:
            return Sub(subject, queue, sid)
        case b"UNSUB", [sid]:
            return Unsub(sid, 0)
        case b"UNSUB", [sid, most]:
            return Unsub(sid, max(_size(most.encode("utf-8", "surrogateescape")), 0))
        case _:
            raise _ViolationError("")


def _argument_end(verb: bytes, data: bytes, at: int, end: int) -> int:
    """Where the line ends: a line feed right after the separators belongs to the argument."""
    if verb and verb not in _TAKES_NO_ARGUMENT and not data[at + len(verb) : end].strip(b" \t"):
        return data.find(b"\n", end + 1)
    return end


def _verb(line: bytes) -> bytes:
    """The verb that begins this line, in capitals, or b""."""
    for verb, needs_space in _VERBS:
        if line[: len(verb)].upper() == verb:
            follower = line[len(verb) : len(verb) + 1]
            return verb if not needs_space or follower in (b" ", b"\t") else b""
    return b""


def _size(word: bytes) -> int:
    """The number, or -1 when it is none or has too many digits."""
    return int(word) if len(word) <= _SIZE_DIGITS and word.isdigit() else -1


def _text(word: bytes) -> str:
    return word.decode("utf-8", "surrogateescape")


def _is_object(raw: bytes) -> bool:
    try:
        return isinstance(loads(raw), dict)
    except ValueError:
        return False
