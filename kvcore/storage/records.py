"""The file format of the append-only store: how a batch becomes bytes, and what a crash
may have done to them.

A file is a header and records; a record is one batch. All integers are big-endian.

    file header    "kvcore" | version u16 | generation u64 | records before u64 | crc32
    record         "kvR\\n" | body length u32 | number u64 | synced u64 | crc32 of body |
                   crc32 of this header, seeded with the record's offset | body
    body           ranges u32 | writes u32 | lengths u32 ... | keys and values

The file header keeps its layout in every version. In a body lengths come first: of each
range's start and end, each write's key, each write's value (0xffffffff deletes). Then the
bytes: range bounds, keys, values. Storing a batch by column lets one `struct` call do what
would be a call per field.

A bad record at the end of the last file is what a power cut leaves, and is dropped. A bad
record in the middle is damage, and dropping it would drop promises. To tell one from the
other each record says how many bytes of its file were known to be **synced** when it was
written: if any later record counts the bad bytes among the synced, they were promised.
The seed in the header's checksum keeps a value that looks like a record from being one.

Left out: compression, and repair. A damaged store is reported, never guessed at.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from struct import Struct, pack, unpack_from
from zlib import crc32

from kvcore.storage.base import Batch, StorageError

VERSION = 1

_FILE_MAGIC = b"kvcore"
_FILE = Struct(">6sHQQ")
_MAGIC = b"kvR\n"
_HEAD = Struct(">4sIQQI")
_CRC = Struct(">I")
_COUNTS = Struct(">II")
_DELETED = 0xFFFFFFFF

LENGTHS_BYTES = 8  # of a pair, in a body: how long its key and its value are
FILE_HEADER_BYTES = _FILE.size + _CRC.size
HEADER_BYTES = _HEAD.size + _CRC.size


def encode_file_header(generation: int, records_before: int) -> bytes:
    """The bytes that a file begins with."""
    head = _FILE.pack(_FILE_MAGIC, VERSION, generation, records_before)
    return head + _CRC.pack(crc32(head))


def encode_batch(batch: Batch) -> bytes:
    """A record's body."""
    writes, ranges = batch.writes, batch.ranges
    keys = [key for key, _ in writes]
    parts = [bound for both in ranges for bound in both] + keys
    lengths = [
        *map(len, parts),
        *[_DELETED if value is None else len(value) for _, value in writes],
    ]
    parts += [value for _, value in writes if value is not None]
    counts = pack(f">{2 + len(lengths)}I", len(ranges), len(writes), *lengths)
    return counts + b"".join(parts)


def encode_record(body: bytes, number: int, synced: int, offset: int) -> bytes:
    """A record that will stand at `offset` of its file, `synced` bytes of which are safe."""
    head = _HEAD.pack(_MAGIC, len(body), number, synced, crc32(body))
    return head + _CRC.pack(crc32(head, offset & 0xFFFFFFFF)) + body


def decode_batch(body: bytes) -> Batch:
    """The batch of a body whose checksum was right; ValueError if it makes no sense."""
    if len(body) < _COUNTS.size:
        raise ValueError("short body")
    ranges, writes = _COUNTS.unpack_from(body)
    count = 2 * ranges + 2 * writes
    at = _COUNTS.size + 4 * count
    if at > len(body):
        raise ValueError("lengths beyond the body")
    lengths = unpack_from(f">{count}I", body, _COUNTS.size)
    pieces: list[bytes | None] = []
    for length in lengths:
        if length == _DELETED:
            pieces.append(None)
        else:
            pieces.append(body[at : at + length])
            at += length
    if at != len(body):
        raise ValueError("bytes beyond the last value")
    named = [piece for piece in pieces[: 2 * ranges + writes] if piece is not None]
    if len(named) != 2 * ranges + writes:
        raise ValueError("a key without bytes")
    bounds, keys = named[: 2 * ranges], named[2 * ranges :]
    return Batch(
        list(zip(keys, pieces[2 * ranges + writes :], strict=True)),
        list(zip(bounds[::2], bounds[1::2], strict=True)),
    )


@dataclass(frozen=True, slots=True)
class FileHeader:
    """What a file says about itself: its number, and how many records older logs hold."""

    generation: int
    records_before: int


class RecordReader:
    """Reads one file. After iteration `end` is where the good bytes end, and `promised` how
    many of them a record says were durable.

    `path` is for messages. `torn_allowed` is true for the last file only: in every other
    all bytes were synced, so the first bad one is an error.
    """

    def __init__(self, path: str, data: bytes, *, torn_allowed: bool) -> None:
        self.path = path
        self.end = 0
        self.promised = 0
        self._data = data
        self._torn_allowed = torn_allowed

    def header(self, expected_generation: int) -> FileHeader | None:
        """The file's header, or None if the file was cut before it was written."""
        data = self._data
        checksum = _CRC.pack(crc32(data[: _FILE.size]))
        if data[:6] == _FILE_MAGIC and data[_FILE.size : FILE_HEADER_BYTES] == checksum:
            _, version, generation, before = _FILE.unpack_from(data)
            if version != VERSION:
                raise StorageError(
                    f"{self.path} has format version {version}, and this kvcore reads version "
                    f"{VERSION}: use the kvcore that wrote it, or another store directory"
                )
            if generation != expected_generation:
                raise self.damage(0, f"it was written as number {generation}")
            self.end = FILE_HEADER_BYTES
            return FileHeader(generation, before)
        self._judge(0, FILE_HEADER_BYTES)
        return None

    def batches(self, number: int) -> Iterator[Batch]:
        """Each record's batch; the first must have this number, and they are contiguous."""
        data = self._data
        while self.end < len(data):
            at = self.end
            head = self._head(at)
            if head is None:
                return self._judge(at, at + 1)
            length, found, synced, checksum = head
            body = data[at + HEADER_BYTES : at + HEADER_BYTES + length]
            if len(body) < length or crc32(body) != checksum:
                return self._judge(at, at + HEADER_BYTES + length)
            try:
                batch = decode_batch(body)
            except ValueError as error:
                raise self.damage(at, str(error)) from error
            if found != number:
                raise self.damage(at, f"record {found} stands where {number} belongs")
            yield batch
            number += 1
            self.promised = max(self.promised, synced)
            self.end = at + HEADER_BYTES + length
        return None

    def _head(self, at: int) -> tuple[int, int, int, int] | None:
        """Length, number, synced and checksum of the record at an offset, if one is there."""
        data = self._data
        if len(data) - at < HEADER_BYTES:
            return None
        magic, length, number, synced, checksum = _HEAD.unpack_from(data, at)
        seeded = crc32(data[at : at + _HEAD.size], at & 0xFFFFFFFF)
        if magic != _MAGIC or seeded != _CRC.unpack_from(data, at + _HEAD.size)[0]:
            return None
        return length, number, synced, checksum

    def _judge(self, bad: int, onward: int) -> None:
        """Raise if the bytes at `bad` were promised; `onward` is where a record may follow."""
        if not self._torn_allowed:
            raise self.damage(bad, "its checksum is wrong")
        at = self._data.find(_MAGIC, onward)
        while at >= 0:
            head = self._head(at)
            if head is not None and head[2] > bad:
                raise self.damage(bad, f"its checksum is wrong, and it was synced before {at}")
            at = self._data.find(_MAGIC, at + 1)

    def damage(self, at: int, what: str) -> StorageError:
        """The error for bad bytes at an offset."""
        return StorageError(
            f"{self.path} is damaged at byte {at}: {what}. Nothing was changed; "
            "restore the file from a copy, or move the store directory away to start empty "
            "(a server of a cluster is then sent its replicas by the others)"
        )
