"""What consensus stores: log entries and hard state, as values and as bytes.

Raft (Figure 2, "persistent state on all servers") asks for three things on disk before a
server answers anyone: its log, its current term, and whom it voted for in that term. A
group of one server writes the same bytes as a group of five will, so a store never has to
be converted when a group grows. All integers are big-endian.

    entry        crc32 | index u64 | term u64 | kind u8 | data
    hard state   crc32 | term u64  | name of the server voted for, UTF-8 (empty: none)

The checksum is of all that follows it. The store has one of its own; this one travels with
the entry when it goes to other servers, and says where a byte was lost.

Left out: which key they stand under; that is the host's.
"""

from dataclasses import dataclass
from enum import IntEnum
from struct import Struct
from zlib import crc32


class EntryKind(IntEnum):
    """What `data` means to consensus itself."""

    NOOP = 0  # a new leader's first entry, which commits what it inherited (section 8)
    COMMAND = 1  # the state machine's business
    MEMBERS = 2  # a change of the group's members (section 6)


@dataclass(frozen=True, slots=True)
class Entry:
    """One place in the log."""

    index: int
    term: int
    kind: EntryKind
    data: bytes


@dataclass(frozen=True, slots=True)
class HardState:
    """The term a server is in, and its vote in that term ("" if it has not voted)."""

    term: int = 0
    voted_for: str = ""


class CodecError(ValueError):
    """Bytes that are not what they should be: damage, or another version's."""


_CRC = Struct(">I")
_ENTRY = Struct(">QQB")
_TERM = Struct(">Q")


def encode_entry(entry: Entry) -> bytes:
    """An entry's bytes, the same on disk and between servers."""
    head = _ENTRY.pack(entry.index, entry.term, entry.kind)
    return b"".join((_CRC.pack(crc32(entry.data, crc32(head))), head, entry.data))


def decode_entry(data: bytes) -> Entry:
    """The entry that `encode_entry` wrote; raises `CodecError` for anything else."""
    body = _checked(data, _ENTRY.size, "log entry")
    index, term, kind = _ENTRY.unpack_from(body)
    try:
        return Entry(index, term, EntryKind(kind), body[_ENTRY.size :])
    except ValueError as error:
        raise CodecError(f"log entry {index} is of the unknown kind {kind}") from error


def encode_hard_state(hard: HardState) -> bytes:
    """A hard state's bytes."""
    body = _TERM.pack(hard.term) + hard.voted_for.encode()
    return _CRC.pack(crc32(body)) + body


def decode_hard_state(data: bytes) -> HardState:
    """The hard state that `encode_hard_state` wrote; raises `CodecError` otherwise."""
    body = _checked(data, _TERM.size, "hard state")
    return HardState(_TERM.unpack_from(body)[0], body[_TERM.size :].decode())


def _checked(data: bytes, least: int, what: str) -> bytes:
    if len(data) < _CRC.size + least:
        raise CodecError(f"a {what} of {len(data)} bytes is cut short")
    body = data[_CRC.size :]
    if crc32(body) != _CRC.unpack_from(data)[0]:
        raise CodecError(f"a {what} is damaged: its checksum is wrong")
    return body
