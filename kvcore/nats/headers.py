"""Header blocks: a message's labels, kept as the bytes that came.

A message may carry labels beside its payload, such as `Nats-Msg-Id` or `KV-Operation`.
On the wire they are one block in front of the payload:

    NATS/1.0[ <3-digit code>[ <text>]]\\r\\n
    Key: value\\r\\n
    ...
    \\r\\n

A server relays the block byte for byte and never judges it: a client may even send
`hello` as its block. So a block stays bytes; `find` looks for one key without parsing (most
messages have none of interest), and `parse` is for those who want all. Nothing here
refuses: what is no label is passed over. Keys are case-sensitive.

Left out: folded lines, which NATS doesn't have, and the meaning of any key.
"""

from collections.abc import Iterable
from dataclasses import dataclass

_LINE = b"NATS/1.0"
_EMPTY = b"NATS/1.0\r\n\r\n"


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


@dataclass(frozen=True, slots=True)
class Headers:
    """A parsed block: the status line's two parts, and the labels in the order they came."""

    status: str = ""
    description: str = ""
    pairs: tuple[tuple[str, str], ...] = ()

    def get(self, key: str) -> str | None:
        """The first value under exactly this key."""
        for name, value in self.pairs:
            if name == key:
                return value
        return None

    def get_all(self, key: str) -> tuple[str, ...]:
        """Every value under exactly this key, in order."""
        return tuple(value for name, value in self.pairs if name == key)


def encode(pairs: Iterable[tuple[str, str]], status: str = "", description: str = "") -> bytes:
    """The block for these labels; a line end inside a key or value would forge another."""
    start = " ".join(part for part in ("NATS/1.0", status, description) if part)
    lines = [start, *(f"{key}: {value}" for key, value in pairs)]
    assert not any("\r" in line or "\n" in line for line in lines), "a label spans lines"
    return _bytes("\r\n".join(lines)) + b"\r\n\r\n"


def parse(block: bytes) -> Headers:
    """Reads all labels; spaces before a value don't belong to it."""
    first, *lines = block.split(b"\r\n")
    status, _, description = _text(first.removeprefix(_LINE).strip()).partition(" ")
    pairs = []
    for line in lines:
        key, colon, value = line.partition(b":")
        if colon and key:
            pairs.append((_text(key), _text(value.lstrip(b" "))))
    return Headers(status, description.strip(), tuple(pairs))


def find(block: bytes, key: bytes) -> str | None:
    """The first value under `key` without parsing the rest; "" when the value is empty."""
    at = block.find(b"\r\n" + key + b":")
    if at < 0:
        return None
    start = at + len(key) + 3
    end = block.find(b"\r\n", start)
    return _text((block[start:end] if end >= 0 else block[start:]).lstrip(b" "))


def with_header(block: bytes | None, key: str, value: str) -> bytes:
    """The block with one more label at its end; None is an empty block."""
    block = _EMPTY if block is None else block
    base = block[:-2] if block.endswith(b"\r\n") else block + b"\r\n"
    return base + _bytes(f"{key}: {value}") + b"\r\n\r\n"


def without(block: bytes, keys: Iterable[str]) -> bytes | None:
    """The block without the labels under `keys`; None when nothing is left to say."""
    gone = [_bytes(key) for key in keys]
    first, *lines = block.split(b"\r\n")
    kept = [line for line in lines if line.partition(b":")[0] not in gone or not line]
    left = b"\r\n".join([first, *kept])
    return None if left == _EMPTY else left
