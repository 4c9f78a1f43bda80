"""What a server says, as byte strings.

The client's side of the wire is parsed; ours is only written, so it needs no types: each
function gives the bytes of one line. A delivery comes in two parts, since a message that
goes to a hundred subscribers differs only in the number (`sid`) that each gave its own
subscription:

    MSG subject ┊ sid ┊ [reply] size CRLF payload CRLF

Left out: what INFO says; whoever greets knows that.
"""

import json
from collections.abc import Iterable, Mapping
from typing import TypeAlias

OK = b"+OK\r\n"
PING = b"PING\r\n"
PONG = b"PONG\r\n"

Routed: TypeAlias = tuple[str, str, str, bytes | None, bytes]

_ESCAPES = {"\a": "\\a", "\b": "\\b", "\f": "\\f", "\v": "\\v"}


def info(fields: Mapping[str, object]) -> bytes:
    """`INFO {json}`; real servers write a space before the line's end, and so do we."""
    return b"INFO " + json.dumps(fields, separators=(",", ":")).encode() + b" \r\n"


def err(text: str) -> bytes:
    """`-ERR 'text'`; clients compare the text."""
    return f"-ERR '{text}'\r\n".encode("utf-8", "surrogateescape")


def quoted(text: str) -> str:
    """The text in double quotes, as `-ERR` shows a subject; what can't be shown is `\\x1f`."""
    out = ['"']
    for char in text:
        code = ord(char)
        if char in '"\\':
            out.append("\\" + char)
        elif 0xDC80 <= code <= 0xDCFF:  # a byte that is no UTF-8
            out.append(f"\\x{code - 0xDC00:02x}")
        elif code < 0x20 or code == 0x7F:
            out.append(_ESCAPES.get(char) or f"\\x{code:02x}")
        else:
            out.append(char)
    return "".join(out) + '"'


def delivery(subject: str, reply: str, header: bytes | None, payload: bytes) -> tuple[bytes, bytes]:
    """A MSG, or an HMSG if there is a header: what stands before the sid and after it."""
    name = subject.encode("utf-8", "surrogateescape")
    answer = reply.encode("utf-8", "surrogateescape") + b" " if reply else b""
    if header is None:
        return b"MSG %b " % name, b" %b%d\r\n%b\r\n" % (answer, len(payload), payload)
    size = len(header)
    return (
        b"HMSG %b " % name,
        b" %b%d %d\r\n%b%b\r\n" % (answer, size, size + len(payload), header, payload),
    )


def deliveries(messages: Iterable[Routed], sid: str, *, with_header: bool) -> list[bytes]:
    """Many messages to one subscription, in pieces that are to be joined. Each is the subject
    that led here, which the client doesn't see, then its subject, reply, header and payload."""
    pieces: list[bytes] = []
    for _, subject, reply, header, payload in messages:
        answer = f"{reply} " if reply else ""
        if header is None or not with_header:
            line = f"MSG {subject} {sid} {answer}{len(payload)}\r\n"
            pieces += (line.encode("utf-8", "surrogateescape"), payload, b"\r\n")
        else:
            size = len(header)
            line = f"HMSG {subject} {sid} {answer}{size} {size + len(payload)}\r\n"
            pieces += (line.encode("utf-8", "surrogateescape"), header, payload, b"\r\n")
    return pieces
