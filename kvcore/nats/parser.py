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
a line that outgrows its limit is refused before it ends. In one thing it is stricter than
nats-server: a line end inside a subject is refused, since it would end a line at whoever
receives the message.

Every error is final: a `Violation` is the last operation that a parser returns.

Left out: whether the client may do what it says (`session`), and the server's verbs, which
other servers would use.
"""

import re
from collections.abc import Sequence

from kvcore import limits
from kvcore.nats.json_text import loads
from kvcore.nats.ops import Connect, Ignored, Op, Ping, Pong, Pub, Sub, Unsub, Violation

UNKNOWN_OPERATION = "Unknown Protocol Operation"
LINE_EXCEEDED = "maximum control line exceeded"
PAYLOAD_VIOLATION = "Maximum Payload Violation"

_SIZE_DIGITS = 9  # a longer number is refused, as an overflow would be
_CR = 13

# Each verb, and whether a space or tab must follow it.
_VERBS = (
    (b"PUB", True),
    (b"HPUB", True),
    (b"SUB", True),
    (b"UNSUB", True),
    (b"CONNECT", False),
    (b"PING", False),
    (b"PONG", False),
    (b"INFO", False),
    (b"+OK", False),
    (b"-ERR", True),
)
_TAKES_NO_ARGUMENT = (b"PING", b"PONG", b"+OK")
_PUBLISHING = (b"PUB", b"HPUB")
_PING, _PONG, _IGNORED = Ping(), Pong(), Ignored()

_SUBJECTS = rb"[ \t]+([^ \t\r\n]+)[ \t]+(?:([^ \t\r\n]+)[ \t]+)?"
_PUB = re.compile(rb"PUB" + _SUBJECTS + rb"([0-9]{1,9})[ \t]*\r?\n")
_HPUB = re.compile(rb"HPUB" + _SUBJECTS + rb"([0-9]{1,9})[ \t]+([0-9]{1,9})[ \t]*\r?\n")
_BLANKS = re.compile(rb"[ \t]+")
_WORD = re.compile(rb"[^ \t\r\n]+")


class _ViolationError(Exception):
    """The bytes are wrong; the text is what the client is told, "" for nothing."""

    def __init__(self, text: str, *, of_connect: bool = False) -> None:
        self.text, self.of_connect = text, of_connect


class Parser:
    """One connection's reader. `feed` it what arrives; it never looks back."""

    __slots__ = (
        *("_held", "_line_max", "_over", "_payload_max", "_wanted"),
        *("awaited_subject", "awaits_headers"),
    )

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
        self.awaited_subject = ""  # of a PUB or HPUB whose line was read, but not its payload
        self.awaits_headers = False  # an HPUB's line was read, and no message came of it yet

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
        self.awaited_subject = ""
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
        at = 0
        while True:
            # The usual PUB and HPUB go straight on; everything else takes the careful way.
            found = _PUB.match(data, at) or _HPUB.match(data, at)
            if found is not None and found.end() - at <= self._line_max:
                stop = self._publish(found.groups(b""), data, found.end(), ops)
            else:
                end = data.find(b"\n", at)
                verb = _verb(data[at : end + 1]) if end >= 0 else b""
                end = _argument_end(verb, data, at, end)
                if end < 0:
                    break
                line = data[at:end]
                self._check_length(verb, line)
                if verb in _PUBLISHING:
                    stop = self._publish(_publication(verb, line), data, end + 1, ops)
                else:
                    ops.append(_operation(verb, line))
                    stop = end + 1
            if stop < 0:
                self._wanted -= at
                return at
            at = stop
        if at < len(data):
            self._check_begun(data[at:])
        return at

    def _publish(self, head: Sequence[bytes], data: bytes, start: int, ops: list[Op]) -> int:
        """One PUB or HPUB whose payload begins at `start`; returns where it ends, or -1."""
        self.awaits_headers = has_header_verb = len(head) == 4
        size = int(head[-1])
        header_size = int(head[2]) if has_header_verb else 0
        if header_size > size:
            raise _ViolationError("")
        if size > self._payload_max:
            raise _ViolationError(PAYLOAD_VIOLATION)
        stop = start + size
        if data[stop : stop + 2] != b"\r\n":
            self.awaited_subject = head[0].decode("utf-8", "surrogateescape")
            if len(data) > stop and (data[stop] != _CR or len(data) > stop + 1):
                raise _ViolationError(UNKNOWN_OPERATION)
            self._wanted = stop + 1 if len(data) <= stop else stop + 2
            return -1
        self.awaits_headers = False
        middle = start + header_size
        ops.append(
            Pub(
                head[0].decode("utf-8", "surrogateescape"),
                head[1].decode("utf-8", "surrogateescape"),
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
            self._check_length(verb, line)
        elif not any(known.startswith(line.upper()) for known, _ in _VERBS):
            raise _ViolationError(UNKNOWN_OPERATION, of_connect=line[:1] in (b"c", b"C"))

    def _check_length(self, verb: bytes, line: bytes) -> None:
        if verb and len(line.removesuffix(b"\r")) - len(verb) - 1 > self._line_max:
            raise _ViolationError(LINE_EXCEEDED, of_connect=verb == b"CONNECT")


def _publication(verb: bytes, line: bytes) -> Sequence[bytes]:
    """Subject, reply (b"" for none), and one size or two, of a PUB or HPUB in any spelling."""
    words = _BLANKS.split(_argument(verb, line).strip(b" \t"))
    sizes_count = 2 if verb == b"HPUB" else 1
    if len(words) == sizes_count + 1:
        words.insert(1, b"")
    if len(words) != sizes_count + 2 or any(_size(word) < 0 for word in words[2:]):
        raise _ViolationError("")
    if any(b"\r" in word or b"\n" in word for word in words):
        raise _ViolationError("")
    return words


def _operation(verb: bytes, line: bytes) -> Op:
    """What a line other than PUB and HPUB says."""
    rest = _argument(verb, line)
    match verb:
        case b"PING":
            return _PING
        case b"PONG":
            return _PONG
        case b"SUB" | b"UNSUB":
            return _subscription(verb, [_text(word) for word in _WORD.findall(rest)])
        case b"CONNECT":
            return Connect(rest.strip(b" \t\r\n"))
        case b"+OK":
            return _IGNORED
        case b"INFO" if _is_object(rest):
            return _IGNORED
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


def _argument(verb: bytes, line: bytes) -> bytes:
    """What follows the verb; a carriage return after its first byte costs the last, as in NATS."""
    rest = line[len(verb) :].lstrip(b" \t")
    return rest[:-1] if b"\r" in rest[1:] else rest


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
