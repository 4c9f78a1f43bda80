"""What consensus stores: log entries and hard state, as values and as bytes.

Raft (Figure 2, "persistent state on all servers") asks for three things on disk before a
server answers anyone: its log, its current term, and whom it voted for in that term. A
group of one server writes the same bytes as a group of five will, so a store never has to
be converted when a group grows. All integers are big-endian.

    entry        crc32 | index u64 | term u64 | kind u8 | data
    hard state   crc32 | term u64  | name of the server voted for, UTF-8 (empty: none)
                 [0xff | flags u8 | members]      only if there is anything of it to say
    members      for voters, then learners: count u8, and of each: length u16 | name, UTF-8

The members stand in the log (a change of them is an entry), and again in the hard state as
soon as a change is committed: the log is trimmed, and a group in memory keeps none. A group
that has them in neither place is its own only member.

The checksum is of all that follows it. The store has one of its own; this one travels with
the entry when it goes to other servers, and says where a byte was lost.

Left out: which key they stand under; that is the host's.
"""

from dataclasses import dataclass, field
from enum import IntEnum
from struct import Struct
from struct import error as StructError  # noqa: N812 - it is a class
from zlib import crc32


class EntryKind(IntEnum):
    """What `data` means to consensus itself."""

    NOOP = 0  # a new leader's first entry, which commits what it inherited (section 8)
    COMMAND = 1  # the state machine's business
    MEMBERS = 2  # a change of the group's members (section 6)


@dataclass(frozen=True, slots=True)
class Entry:
    """One place in the log.

    `raw` is its bytes, once somebody has asked for them, or as they came: no part of the value.
    """

    index: int
    term: int
    kind: EntryKind
    data: bytes
    raw: bytes = field(default=b"", init=False, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Members:
    """A group's configuration: who votes, and who is sent the log but doesn't count yet."""

    voters: tuple[str, ...] = ()
    learners: tuple[str, ...] = ()

    @property
    def majority(self) -> int:
        """How many voters decide."""
        return len(self.voters) // 2 + 1

    def others(self, server: str) -> tuple[str, ...]:
        """Everyone but this server."""
        return tuple(name for name in self.voters + self.learners if name != server)


@dataclass(frozen=True, slots=True)
class HardState:
    """The term a server is in, and its vote in that term ("" if it has not voted).

    `members` is the last configuration known to be committed (None: never another than the
    server itself). `is_recovering`: the log that this server had is lost, so that it must not
    vote before a leader has sent it again what it may once have promised to keep.
    """

    term: int = 0
    voted_for: str = ""
    members: Members | None = None
    is_recovering: bool = False

    def voted(self, term: int, voted_for: str) -> "HardState":
        """In this term, with this vote."""
        assert term >= self.term, "a term never falls"
        return HardState(term, voted_for, self.members, self.is_recovering)

    def among(self, members: Members) -> "HardState":
        """With these members committed."""
        return HardState(self.term, self.voted_for, members, self.is_recovering)

    def recovering(self, *, is_recovering: bool) -> "HardState":
        """With the log lost, or caught up again."""
        return HardState(self.term, self.voted_for, self.members, is_recovering)


class CodecError(ValueError):
    """Bytes that are not what they should be: damage, or another version's."""


_CRC = Struct(">I")
_ENTRY = Struct(">QQB")
_KINDS = {int(kind): kind for kind in EntryKind}
_TERM = Struct(">Q")
_LENGTH = Struct(">H")
_END = b"\xff"  # of a name: no UTF-8 has this byte
_RECOVERING, _HAS_MEMBERS = 1, 2  # flags of a hard state


def encode_entry(entry: Entry) -> bytes:
    """An entry's bytes, the same on disk and between servers, and made once for all of them."""
    raw = entry.raw
    if not raw:
        head = _ENTRY.pack(entry.index, entry.term, entry.kind)
        raw = b"".join((_CRC.pack(crc32(entry.data, crc32(head))), head, entry.data))
        object.__setattr__(entry, "raw", raw)
    return raw


def decode_entry(data: bytes) -> Entry:
    """The entry that `encode_entry` wrote; raises `CodecError` for anything else."""
    _checked(data, _ENTRY.size, "log entry")
    index, term, number = _ENTRY.unpack_from(data, _CRC.size)
    kind = _KINDS.get(number)
    if kind is None:
        raise CodecError(f"log entry {index} is of the unknown kind {number}")
    entry = Entry(index, term, kind, data[_CRC.size + _ENTRY.size :])
    object.__setattr__(entry, "raw", data)
    return entry


def encode_members(members: Members) -> bytes:
    """A configuration's bytes: the data of a MEMBERS entry."""
    parts: list[bytes] = []
    for names in (members.voters, members.learners):
        assert len(names) < 256, "a group is small"
        parts.append(bytes((len(names),)))
        for name in names:
            encoded = name.encode()
            parts += (_LENGTH.pack(len(encoded)), encoded)
    return b"".join(parts)


def decode_members(data: bytes) -> Members:
    """The configuration that `encode_members` wrote; raises `CodecError` otherwise."""
    lists: list[tuple[str, ...]] = []
    at = 0
    try:
        for _ in range(2):
            names = []
            count, at = data[at], at + 1
            for _ in range(count):
                (length,) = _LENGTH.unpack_from(data, at)
                start, at = at + _LENGTH.size, at + _LENGTH.size + length
                if at > len(data):
                    raise CodecError("a member's name is cut short")
                names.append(data[start:at].decode())
            lists.append(tuple(names))
    except (IndexError, StructError, UnicodeDecodeError) as error:
        raise CodecError(f"a group's members are damaged: {error}") from error
    if at != len(data):
        raise CodecError(f"{len(data) - at} bytes follow a group's members")
    return Members(*lists)


def encode_hard_state(hard: HardState) -> bytes:
    """A hard state's bytes."""
    body = _TERM.pack(hard.term) + hard.voted_for.encode()
    if hard.members is not None or hard.is_recovering:
        flags = _RECOVERING * hard.is_recovering
        flags |= _HAS_MEMBERS * (hard.members is not None)
        body += _END + bytes((flags,)) + encode_members(hard.members or Members())
    return _CRC.pack(crc32(body)) + body


def decode_hard_state(data: bytes) -> HardState:
    """The hard state that `encode_hard_state` wrote; raises `CodecError` otherwise."""
    body = _checked(data, _TERM.size, "hard state")
    term, (name, separator, rest) = _TERM.unpack_from(body)[0], body[_TERM.size :].partition(_END)
    if not separator:
        return HardState(term, name.decode())
    if not rest:
        raise CodecError("a hard state ends before its flags")
    members = decode_members(rest[1:])
    return HardState(
        term,
        name.decode(),
        members if rest[0] & _HAS_MEMBERS else None,
        bool(rest[0] & _RECOVERING),
    )


def _checked(data: bytes, least: int, what: str) -> bytes:
    if len(data) < _CRC.size + least:
        raise CodecError(f"a {what} of {len(data)} bytes is cut short")
    body = data[_CRC.size :]
    if crc32(body) != _CRC.unpack_from(data)[0]:
        raise CodecError(f"a {what} is damaged: its checksum is wrong")
    return body
