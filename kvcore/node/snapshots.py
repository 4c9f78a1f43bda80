"""A state machine's records on their way to a server that the log can't help any more.

A follower that was away for long needs entries that its leader has trimmed. It is sent what
they have led to: all records of the machine as they were at one applied index. The leader
takes a view of them, which stays as it was while the stream goes on, and reads from it piece
by piece, each when the follower asks for it. So neither holds more than a piece in memory,
and no turn makes more than one piece for each follower.

The pieces are a stream of bytes cut anywhere, in which each record is

    key length u16 | value length u32 | key without the group's id | value

The follower wipes what it has before it takes in the first piece, and is recovering until it
has the last: who stops in between begins again with nothing (`group_records.py`).

A follower that stops asking is forgotten after a while, for the sake of the old values that
a view keeps.

Left out: checksums. A link and a store each have their own.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from struct import Struct

from kvcore import limits
from kvcore.limits import Nanos
from kvcore.node.wakeups import Clock
from kvcore.raft.core import Raft
from kvcore.raft.entry import CodecError
from kvcore.raft.messages import InstallSnapshot
from kvcore.storage import keys
from kvcore.storage.base import Reader
from kvcore.storage.overlay import Overlay, OverlayView

_RECORD = Struct(">HI")


def records_of(gid: int, reader: Reader) -> Iterator[bytes]:
    """All records of a group's machine, encoded one by one."""
    for start, end in keys.machine_spans(gid):
        for key, value in reader.scan(start, end):
            bare = keys.without_group(key)
            yield b"".join((_RECORD.pack(len(bare), len(value)), bare, value))


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes from `offset` on; the last piece `is_done`."""

    offset: int
    data: bytes
    is_done: bool


class Outgoing:
    """One snapshot for one follower. The piece that was sent last can be asked for again."""

    def __init__(self, gid: int, view: OverlayView, index: int, now: Nanos) -> None:
        self.index = index
        self.asked_at = now
        self._view = view
        self._records = records_of(gid, view)
        self._rest = bytearray()
        self._last: Piece | None = None

    def piece(self, offset: int, now: Nanos) -> Piece | None:
        """The piece at this offset; None if it can't be had any more."""
        self.asked_at = now
        last = self._last
        if last is not None and offset == last.offset:
            return last
        after = last.offset + len(last.data) if last is not None else 0
        if offset != after or (last is not None and last.is_done):
            return None
        self._last = self._made(after)
        return self._last

    def _made(self, offset: int) -> Piece:
        rest, size = self._rest, limits.INSTALL_CHUNK_BYTES
        is_done = False
        while len(rest) <= size and not is_done:
            record = next(self._records, None)
            if record is None:
                is_done = True
            else:
                rest += record
        is_done = is_done and len(rest) <= size
        data = bytes(rest[:size])
        del rest[:size]
        return Piece(offset, data, is_done)

    def close(self) -> None:
        """Let the old values go."""
        self._view.close()


class Incoming:
    """One snapshot that arrives: bytes in, whole records out."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, gid: int, data: bytes) -> Iterator[tuple[bytes, bytes]]:
        """The keys and values that are whole now."""
        rest = self._rest
        rest += data
        at = 0
        while len(rest) - at >= _RECORD.size:
            key_length, value_length = _RECORD.unpack_from(rest, at)
            start = at + _RECORD.size
            end = start + key_length + value_length
            if end > len(rest):
                break
            bare = bytes(rest[start : start + key_length])
            if not keys.is_machines(bare):
                raise CodecError(f"a snapshot holds a record of the kind {bare[:1]!r}")
            yield keys.with_group(gid, bare), bytes(rest[start + key_length : end])
            at = end
        del rest[:at]

    def finish(self) -> None:
        """That was all; raises `CodecError` if something is missing."""
        if self._rest:
            raise CodecError("a snapshot ends within a record")


class Snapshots:
    """One group's snapshots: those that a leader sends, and the one that comes in."""

    def __init__(self, gid: int, records: Overlay, clock: Clock) -> None:
        self._gid = gid
        self._records = records
        self._clock = clock
        self._outgoing: dict[str, Outgoing] = {}
        self._incoming = Incoming()

    def send(self, raft: Raft, applied: int, peer: str, index: int, offset: int) -> None:
        """Answer `Ready.wanted`: with the piece, or the first one of a new snapshot."""
        outgoing = self._outgoing.get(peer)
        piece = None
        if outgoing is not None and outgoing.index == index:
            piece = outgoing.piece(offset, self._clock.now)
        if piece is None:
            self._forget(peer)
            outgoing = Outgoing(self._gid, self._records.view(), applied, self._clock.now)
            self._outgoing[peer] = outgoing
            piece = outgoing.piece(0, self._clock.now)
        assert outgoing is not None
        assert piece is not None, "a snapshot has a first piece"
        raft.send_snapshot(peer, outgoing.index, piece.offset, piece.data, is_done=piece.is_done)

    def received(self, chunk: InstallSnapshot) -> list[tuple[bytes, bytes]]:
        """The keys and values that a piece has brought. A snapshot that makes no sense is
        never finished: raises `CodecError`."""
        if chunk.offset == 0:
            self._incoming = Incoming()
        found = list(self._incoming.feed(self._gid, chunk.data))
        if chunk.is_done:
            self._incoming.finish()
        return found

    def forget_idle(self) -> None:
        """Close the snapshots that nobody has asked a piece of for long."""
        for peer, outgoing in list(self._outgoing.items()):
            if self._clock.now >= outgoing.asked_at + limits.INSTALL_STALL_NS:
                self._forget(peer)

    def forget_all(self) -> None:
        """Close all of them."""
        for peer in list(self._outgoing):
            self._forget(peer)

    def _forget(self, peer: str) -> None:
        outgoing = self._outgoing.pop(peer, None)
        if outgoing is not None:
            outgoing.close()
