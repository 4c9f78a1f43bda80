"""The form of a backup: a stream's records at one index, in frames that check each other.

A backup must say when it is not what was written: cut short, changed, put together from
two, or another program's. So it is a row of frames, each with a checksum that goes on from
the frame before, between a head that says what it is and an end that counts.

The `nats` CLI stores a backup as it comes, but looks at it on the way as S2, the
compression that nats-server uses. S2's own chunks want a checksum that Python has no fast
way to make; but S2 also has chunks that every reader skips. A frame is one of these, so the
file is a sound S2 stream that holds, to a stranger, nothing.

    archive   ff 06 00 00 "S2sTwO" | frame ...
    frame     9a | length u24, little-endian | body | crc32 of the bodies so far, u32
    body      "H" | version u16 | JSON                                    the first
              "P" | (key length u16, value length u32, key, value) ...
              "+" | a part of a "P" body too large for one frame, which the next goes on with
              "." | its last part
              "Z" | number of records u64                                 the last

All other integers are big-endian. A key is the store's (`storage/keys.py`) without the
group: its letter, and what follows. Configuration comes before consumers, consumers before
messages, and messages in their order.

Left out: compression, and what makes a record sound (`archive_checks.py`).
"""

import json
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from struct import Struct
from typing import TypeAlias
from zlib import crc32

from kvcore import limits
from kvcore.jetstream.documents import read_object
from kvcore.jetstream.errors import ConfigError
from kvcore.storage import keys
from kvcore.storage.base import Reader

VERSION = 1
_IDENTIFIER = b"\xff\x06\x00\x00S2sTwO"
_SKIPPED = 0x9A
_FORMAT = "kvcore backup"
_U16 = Struct(">H")
_U32 = Struct(">I")
_U64 = Struct(">Q")
_PAIR = Struct(">HI")
_LETTERS = (b"S", b"C", b"A", b"D", b"M")

Pair: TypeAlias = tuple[bytes, bytes]


class ArchiveError(ValueError):
    """This is no sound backup; the text says why."""


@dataclass(frozen=True, slots=True)
class Head:
    """Of which stream, as its log's `index` left it."""

    stream: str
    index: int


@dataclass(frozen=True, slots=True)
class Pairs:
    """Some records: keys without their group."""

    pairs: tuple[Pair, ...]


@dataclass(frozen=True, slots=True)
class End:
    """All is there."""


Frame: TypeAlias = Head | Pairs | End


def written(stream: str, gid: int, view: Reader, consumers: Collection[str]) -> Iterator[bytes]:
    """A group's records as an archive, a frame at a time; of the consumers those named."""
    index = keys.applied_index(view.get(keys.state(gid)))
    head = {"format": _FORMAT, "stream": stream, "index": index}
    body = b"H" + _U16.pack(VERSION) + json.dumps(head).encode()
    check = crc32(body)
    yield _IDENTIFIER + _framed(body, check)
    total = 0
    for count, body in _bodies(_records(gid, view, consumers)):
        total += count
        for part in _parts(body):
            check = crc32(part, check)
            yield _framed(part, check)
    body = b"Z" + _U64.pack(total)
    yield _framed(body, crc32(body, check))


def _framed(body: bytes, check: int) -> bytes:
    length = (len(body) + _U32.size).to_bytes(3, "little")
    return b"%c%b%b%b" % (_SKIPPED, length, body, _U32.pack(check))


def _records(gid: int, view: Reader, consumers: Collection[str]) -> Iterator[Pair]:
    wanted = {name.encode() for name in consumers}
    for letter in _LETTERS:
        for key, value in view.scan(*keys.span(letter, gid)):
            suffix = keys.suffix(key)
            if letter in b"CA" and suffix.partition(b".")[0] not in wanted:
                continue
            if key == keys.era(gid):  # of this group, not of its contents
                continue
            yield letter + suffix, value


def _bodies(records: Iterable[Pair]) -> Iterator[tuple[int, bytes]]:
    """The records in bodies of a bounded size, each with the number of its records."""
    parts, count, size = [b"P"], 0, 1
    for key, value in records:
        parts += (_PAIR.pack(len(key), len(value)), key, value)
        count += 1
        size += _PAIR.size + len(key) + len(value)
        if count >= limits.BACKUP_FRAME_COUNT or size >= limits.BACKUP_FRAME_BYTES:
            yield count, b"".join(parts)
            parts, count, size = [b"P"], 0, 1
    if count:
        yield count, b"".join(parts)


def _parts(body: bytes) -> Iterator[bytes]:
    size = limits.BACKUP_FRAME_MAX_BYTES - 1 - _U32.size
    if len(body) <= size:
        yield body
        return
    for start in range(0, len(body), size):
        mark = b"." if start + size >= len(body) else b"+"
        yield mark + body[start : start + size]


class ArchiveReader:
    """Takes an archive in pieces of any size and gives out its frames."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._parts = bytearray()  # of a body that is on its way
        self._check = 0
        self._count = 0
        self._known = False  # the identifier was there
        self._has_head = False
        self.is_complete = False

    def feed(self, data: bytes) -> None:
        """More bytes."""
        self._data += data

    def next(self) -> Frame | None:
        """The next frame, None until more bytes come; raises `ArchiveError`."""
        if not self._known and not self._read_identifier():
            return None
        if self.is_complete:
            if self._data:
                raise ArchiveError("bytes follow the end of the backup")
            return None
        body = self._read_body()
        return None if body is None else self._understood(body)

    def _read_identifier(self) -> bool:
        start = bytes(self._data[: len(_IDENTIFIER)])
        if not _IDENTIFIER.startswith(start):
            raise ArchiveError("this is no backup: it does not begin as one")
        if len(start) < len(_IDENTIFIER):
            return False
        del self._data[: len(_IDENTIFIER)]
        self._known = True
        return True

    def _read_body(self) -> bytes | None:
        data = self._data
        if data and data[0] != _SKIPPED:
            if not self._has_head:
                raise ArchiveError("this backup was not made by kvcore, but by nats-server perhaps")
            raise ArchiveError("the backup is damaged: a frame has an unknown mark")
        if len(data) < 4:
            return None
        length = int.from_bytes(data[1:4], "little")
        if not _U32.size < length <= limits.BACKUP_FRAME_MAX_BYTES:
            raise ArchiveError("the backup is damaged: a frame has an impossible length")
        if len(data) < 4 + length:
            return None
        body = bytes(data[4 : 4 + length - _U32.size])
        check = _U32.unpack_from(data, 4 + len(body))[0]
        del data[: 4 + length]
        self._check = crc32(body, self._check)
        if check != self._check:
            raise ArchiveError("the backup is damaged: a checksum is wrong")
        return body

    def _understood(self, body: bytes) -> Frame:
        kind = body[:1]
        if not self._has_head:
            if kind != b"H":
                raise ArchiveError("the backup does not begin with its head")
            self._has_head = True
            return _head(body)
        if kind in b"+.":
            return self._joined(kind, body)
        if self._parts:
            raise ArchiveError("the backup is damaged: a part of a record is missing")
        if kind == b"P":
            pairs = tuple(_pairs(body))
            self._count += len(pairs)
            return Pairs(pairs)
        if kind != b"Z" or body[1:] != _U64.pack(self._count):
            raise ArchiveError("the backup is damaged: its end does not count its records")
        self.is_complete = True
        return End()

    def _joined(self, mark: bytes, body: bytes) -> Frame:
        self._parts += body[1:]
        if len(self._parts) > limits.BACKUP_RECORD_MAX_BYTES:
            raise ArchiveError("the backup is damaged: a record has an impossible length")
        if mark == b"+":
            return Pairs(())
        whole = bytes(self._parts)
        self._parts.clear()
        if whole[:1] != b"P":
            raise ArchiveError("the backup is damaged: its parts are no record")
        return self._understood(whole)


def _head(body: bytes) -> Head:
    version = int.from_bytes(body[1:3])
    if version != VERSION:
        raise ArchiveError(f"the backup is of version {version}, this server reads {VERSION}")
    try:
        document = read_object(body[3:])
    except ConfigError as error:
        raise ArchiveError("the backup's head is not readable") from error
    match document:
        case {"format": "kvcore backup", "stream": str(stream), "index": int(index)}:
            return Head(stream, index)
        case _:
            raise ArchiveError("the backup's head is not one of kvcore's")


def _pairs(body: bytes) -> Iterator[Pair]:
    at, left = 1, limits.BACKUP_FRAME_COUNT
    while at < len(body):
        left -= 1
        if left < 0:  # or one frame might hold a turn for seconds
            raise ArchiveError("the backup is damaged: a frame has too many records")
        if at + _PAIR.size > len(body):
            raise ArchiveError("the backup is damaged: a record is cut short")
        key_length, value_length = _PAIR.unpack_from(body, at)
        key_at = at + _PAIR.size
        value_at = key_at + key_length
        at = value_at + value_length
        if at > len(body) or not key_length:
            raise ArchiveError("the backup is damaged: a record is cut short")
        yield body[key_at:value_at], body[value_at:at]
