"""Messages as bytes, the same between any two servers.

A frame of a peer link carries one message; how long it is the link knows. All integers are
big-endian. Every message begins alike, what follows is of a fixed shape for its kind:

    kind u8 | flags u8 | term u64 | length u16 | sender, UTF-8

    RequestVote      last index u64 | last term u64           flags: 1 rehearsal, 2 transfer
    VoteReply        nothing                                  1 rehearsal, 4 granted
    AppendEntries    previous index u64 | previous term u64 | commit u64 | round u64 |
                     count u32 | of each: length u32 | entry  8 recovered
    AppendReply      index u64 | conflict term u64 | round u64   4 taken, 8 recovering
    InstallSnapshot  last index u64 | last term u64 | offset u64 | length u32 | members | data
                                                              16 done
    SnapshotReply    last index u64 | offset u64              16 installed
    TimeoutNow       nothing

Entries travel as they are stored, with the checksum that their leader put there. Whatever
is not exactly this is refused with a `CodecError`: a wrong length, an unknown kind, a flag
that the kind doesn't have, entries that don't follow each other.

Left out: which group a message is for; the frame says it.
"""

from struct import Struct
from struct import error as StructError  # noqa: N812 - it is a class
from typing import assert_never

from kvcore.raft.entry import CodecError, Entry, decode_entry, decode_members, encode_entry
from kvcore.raft.messages import (
    AppendEntries,
    AppendReply,
    InstallSnapshot,
    Message,
    RequestVote,
    SnapshotReply,
    TimeoutNow,
    VoteReply,
)

_HEAD = Struct(">BBQH")
_PAIR = Struct(">QQ")
_APPEND = Struct(">QQQQI")
_REPLY = Struct(">QQQ")
_INSTALL = Struct(">QQQI")
_LENGTH = Struct(">I")

_REQUEST_VOTE, _VOTE_REPLY, _APPEND_ENTRIES, _APPEND_REPLY = 1, 2, 3, 4
_INSTALL_SNAPSHOT, _SNAPSHOT_REPLY, _TIMEOUT_NOW = 5, 6, 7
_PRE, _TRANSFER, _YES, _RECOVER, _DONE = 1, 2, 4, 8, 16
_FLAGS = {
    _REQUEST_VOTE: _PRE | _TRANSFER,
    _VOTE_REPLY: _PRE | _YES,
    _APPEND_ENTRIES: _RECOVER,
    _APPEND_REPLY: _YES | _RECOVER,
    _INSTALL_SNAPSHOT: _DONE,
    _SNAPSHOT_REPLY: _DONE,
    _TIMEOUT_NOW: 0,
}


def encode_message(message: Message) -> bytes:
    """A message's bytes."""
    match message:
        case AppendEntries():
            return _encode_append(message)
        case AppendReply():
            flags = _YES * message.is_taken | _RECOVER * message.is_recovering
            fields = _REPLY.pack(message.index, message.conflict_term, message.round)
            return _head(_APPEND_REPLY, flags, message) + fields
        case RequestVote():
            flags = _PRE * message.is_pre | _TRANSFER * message.is_transfer
            fields = _PAIR.pack(message.last_index, message.last_term)
            return _head(_REQUEST_VOTE, flags, message) + fields
        case VoteReply():
            flags = _PRE * message.is_pre | _YES * message.is_granted
            return _head(_VOTE_REPLY, flags, message)
        case InstallSnapshot():
            fields = _INSTALL.pack(
                message.last_index, message.last_term, message.offset, len(message.members)
            )
            head = _head(_INSTALL_SNAPSHOT, _DONE * message.is_done, message)
            return b"".join((head, fields, message.members, message.data))
        case SnapshotReply():
            fields = _PAIR.pack(message.last_index, message.offset)
            return _head(_SNAPSHOT_REPLY, _DONE * message.is_installed, message) + fields
        case TimeoutNow():
            return _head(_TIMEOUT_NOW, 0, message)
        case _:
            assert_never(message)


def _head(kind: int, flags: int, message: Message) -> bytes:
    sender = message.sender.encode()
    assert flags & ~_FLAGS[kind] == 0, "the kind has no such flag"
    return _HEAD.pack(kind, flags, message.term, len(sender)) + sender


def _encode_append(message: AppendEntries) -> bytes:
    parts = [
        _head(_APPEND_ENTRIES, _RECOVER * message.is_recovered, message),
        _APPEND.pack(
            message.previous_index,
            message.previous_term,
            message.commit,
            message.round,
            len(message.entries),
        ),
    ]
    for entry in message.entries:
        block = encode_entry(entry)
        parts += (_LENGTH.pack(len(block)), block)
    return b"".join(parts)


def decode_message(data: bytes) -> Message:
    """The message that `encode_message` wrote; raises `CodecError` for anything else."""
    try:
        kind, flags, term, length = _HEAD.unpack_from(data)
        at = _HEAD.size + length
        sender = data[_HEAD.size : at].decode()
        if len(data) < at or not sender:
            raise CodecError("a message ends in its sender's name")
        if flags & ~_FLAGS.get(kind, 0):
            raise CodecError(f"a message of kind {kind} has no flags {flags}")
        return _decode_body(kind, flags, sender, term, data, at)
    except (StructError, UnicodeDecodeError) as error:
        raise CodecError(f"a message is damaged: {error}") from error


def _decode_body(  # noqa: PLR0917 - one call, above
    kind: int, flags: int, sender: str, term: int, data: bytes, at: int
) -> Message:
    is_yes, is_recovering, is_done = (bool(flags & bit) for bit in (_YES, _RECOVER, _DONE))
    if kind == _APPEND_ENTRIES:
        return _decode_append(sender, term, data, at, is_recovered=is_recovering)
    if kind == _INSTALL_SNAPSHOT:
        index, last_term, offset, length = _INSTALL.unpack_from(data, at)
        start = at + _INSTALL.size
        members, piece = data[start : start + length], data[start + length :]
        if len(members) != length:
            raise CodecError("a snapshot's members are cut short")
        decode_members(members)  # whoever installs them must be able to read them
        return InstallSnapshot(sender, term, index, last_term, members, offset, piece, is_done)
    _check_end(data, at + _SIZES.get(kind, 0))
    if kind == _APPEND_REPLY:
        index, conflict, number = _REPLY.unpack_from(data, at)
        return AppendReply(sender, term, is_yes, index, conflict, number, is_recovering)
    if kind == _REQUEST_VOTE:
        index, last_term = _PAIR.unpack_from(data, at)
        is_pre, is_transfer = bool(flags & _PRE), bool(flags & _TRANSFER)
        return RequestVote(sender, term, index, last_term, is_pre, is_transfer)
    if kind == _VOTE_REPLY:
        return VoteReply(sender, term, is_yes, bool(flags & _PRE))
    if kind == _SNAPSHOT_REPLY:
        index, offset = _PAIR.unpack_from(data, at)
        return SnapshotReply(sender, term, index, offset, is_done)
    if kind == _TIMEOUT_NOW:
        return TimeoutNow(sender, term)
    raise CodecError(f"no message is of kind {kind}")


_SIZES = {_APPEND_REPLY: _REPLY.size, _REQUEST_VOTE: _PAIR.size, _SNAPSHOT_REPLY: _PAIR.size}


def _check_end(data: bytes, end: int) -> None:
    if len(data) != end:
        raise CodecError(f"a message of {len(data)} bytes should have {end}")


def _decode_append(
    sender: str, term: int, data: bytes, at: int, *, is_recovered: bool
) -> AppendEntries:
    previous, previous_term, commit, number, count = _APPEND.unpack_from(data, at)
    at += _APPEND.size
    entries: list[Entry] = []
    for place in range(count):
        (length,) = _LENGTH.unpack_from(data, at)
        at += _LENGTH.size
        if at + length > len(data):
            raise CodecError("a log entry is cut short")
        entry = decode_entry(data[at : at + length])
        at += length
        if entry.index != previous + place + 1 or entry.term > term:
            raise CodecError(f"entry {entry.index} of term {entry.term} stands in a wrong place")
        entries.append(entry)
    _check_end(data, at)
    assert len(entries) == count, "each was read"
    return AppendEntries(
        sender, term, previous, previous_term, tuple(entries), commit, number, is_recovered
    )
