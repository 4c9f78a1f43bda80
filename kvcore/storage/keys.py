"""Where each thing lives in a store: the one table of key layouts.

Consensus and the state machines share one ordered byte-KV per engine, and know nothing of
each other. They meet here. A key is one letter for what it holds, the group's id as eight
big-endian bytes (so that keys sort as numbers do), then what tells it from its neighbours:

    F                       the store's identity
    H gid                   hard state: term and vote (always on the durable engine)
    E gid index             a log entry
    S gid                   the state machine's own record, see below
    S gid e                 in memory: the term in which a server on its own began the log
    M gid seq               a stored message
    D gid ...               a message id that was seen (dedup window)
    C gid name              a consumer's configuration
    A gid name              how far it has come, if the log keeps that
    A gid name . seq        a message that it delivered and that is not settled

The record under `S` begins with the applied index, eight big-endian bytes; the rest is the
machine's. It rides in the batch of the effects that it counts, so a store always says
exactly how far it has come. Group 1 is the meta group.

Left out: the values. Each owner documents its own.
"""

from struct import Struct

META_GID = 1

_U64 = Struct(">Q")
_GID = Struct(">cQ")
_NUMBERED = Struct(">cQQ")

IDENTITY = b"F"


def hard_state(gid: int) -> bytes:
    """The key of a group's term and vote."""
    return _GID.pack(b"H", gid)


def hard_states() -> tuple[bytes, bytes]:
    """The range of all groups' terms and votes: every group that ever ran has one."""
    return b"H", b"I"


def group(key: bytes) -> int:
    """The group that a key other than the store's identity belongs to."""
    return int.from_bytes(key[1:9], "big")


def state(gid: int) -> bytes:
    """The key of a machine's record, which begins with the applied index."""
    return _GID.pack(b"S", gid)


def era(gid: int) -> bytes:
    """The key of what tells the contents of a group in memory from those it has lost."""
    return _GID.pack(b"S", gid) + b"e"


def entry(gid: int, index: int) -> bytes:
    """The key of one log entry."""
    return _NUMBERED.pack(b"E", gid, index)


def message(gid: int, seq: int) -> bytes:
    """The key of one stored message."""
    return _NUMBERED.pack(b"M", gid, seq)


def number(key: bytes) -> int:
    """The index or sequence at the end of an entry's or a message's key."""
    return int.from_bytes(key[9:17], "big")


def dedup(gid: int, suffix: bytes) -> bytes:
    """The key of a message id that was seen; the suffix is the stream's choice."""
    return _GID.pack(b"D", gid) + suffix


def consumer(gid: int, name: str) -> bytes:
    """The key of a consumer's configuration."""
    return _GID.pack(b"C", gid) + name.encode()


def position(gid: int, name: str) -> bytes:
    """The key of a consumer's position."""
    return _GID.pack(b"A", gid) + name.encode()


def unsettled(gid: int, name: str, seq: int) -> bytes:
    """The key of a message that the consumer delivered; no name has a dot in it."""
    return b"%b.%b" % (position(gid, name), _U64.pack(seq))


def suffix(key: bytes) -> bytes:
    """What follows the group in a key: a dedup suffix, or a consumer's name."""
    return key[9:]


def span(kind: bytes, gid: int) -> tuple[bytes, bytes]:
    """The half-open range of all keys of one letter and group."""
    return _GID.pack(kind, gid), _GID.pack(kind, gid + 1)


def entries(gid: int) -> tuple[bytes, bytes]:
    """The range of a group's log."""
    return span(b"E", gid)


def messages(gid: int) -> tuple[bytes, bytes]:
    """The range of a group's messages."""
    return span(b"M", gid)


def dedups(gid: int) -> tuple[bytes, bytes]:
    """The range of the message ids that a group has seen."""
    return span(b"D", gid)


def consumers(gid: int) -> tuple[bytes, bytes]:
    """The range of a group's consumers."""
    return span(b"C", gid)


def positions(gid: int) -> tuple[bytes, bytes]:
    """The range of a group's positions, each followed by what isn't settled."""
    return span(b"A", gid)


def data_spans(gid: int) -> tuple[tuple[bytes, bytes], ...]:
    """Every range that a group owns on its engine: all but its hard state."""
    return tuple(span(kind, gid) for kind in (b"A", b"C", b"D", b"E", b"M", b"S"))


_MACHINES = (b"A", b"C", b"D", b"M", b"S")  # S comes last: it says that the others are there


def machine_spans(gid: int) -> tuple[tuple[bytes, bytes], ...]:
    """The ranges of a group's machine: all but its log and its hard state."""
    return tuple(span(kind, gid) for kind in _MACHINES)


def is_machines(bare: bytes) -> bool:
    """Whether a key without its group belongs to a machine."""
    return bare[:1] in _MACHINES


def without_group(key: bytes) -> bytes:
    """A key's letter and what tells it from its neighbours, for another store."""
    return key[:1] + key[9:]


def with_group(gid: int, bare: bytes) -> bytes:
    """The key that `without_group` was given, for a group of this id."""
    return _GID.pack(bare[:1], gid) + bare[1:]


def applied_index(state_record: bytes | None) -> int:
    """How far a machine has come, from its record; 0 before its first command."""
    return 0 if state_record is None else int.from_bytes(state_record[:8], "big")


RESTORED_INDEX = 2  # where the log of a restored group stands: entry 1 is in its records


def restored(state_record: bytes) -> bytes:
    """A machine's record from elsewhere, as it stands in a group that begins with it."""
    return encode_index(RESTORED_INDEX) + state_record[8:]


def encode_index(index: int) -> bytes:
    """The eight bytes that a machine's record begins with."""
    return _U64.pack(index)
