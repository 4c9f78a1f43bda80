"""Slices of streams, asked from one server to another: for mirrors whose origin is elsewhere.

The leader of a mirror asks the leader of its origin for what comes next, in notes:

    → {"copy": 4, "life": "1f3c08aa", "after": 17, "ahead": 18, "most": 250, …}
    ← {"copied": 4, "life": "1f3c08aa", "after": 17, "ahead": 42, "last": 41, "lag": 0} | messages

    messages  of each: seq u64 | length u32 | record           a record as in `records.py`

An answer comes at once, and says what there is, if only that there is nothing. Then the question
stays open, and is answered when the origin has got something. It is asked anew every second,
so that nobody has to be told that a leader or a link is gone.

Nothing here is relied upon. Questions and answers may be lost, come late or come twice: who takes
a slice over compares what it says to continue with what is there (`following.py`), and so does
the log when it is applied (`copying.py`). What an origin's leader tells is committed, and no
leader after it lacks it.

Left out: which of several leaders is the latest. A deposed one may answer once more; then what it
has not heard of is asked for again.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from struct import Struct
from typing import cast

from kvcore import limits
from kvcore.jetstream.cluster import ClusterView
from kvcore.jetstream.copying import Slice, first, slice_of
from kvcore.jetstream.origins import Origin, digest
from kvcore.jetstream.records import StoredMessage, decode_message, encode_message, is_message
from kvcore.limits import Nanos
from kvcore.nats.json_text import Json
from kvcore.node.hosting import Host
from kvcore.node.hosts import Hosts
from kvcore.node.peers import Peers
from kvcore.node.wakeups import Clock
from kvcore.raft.entry import CodecError

_HEAD = Struct(">QI")


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked for: what follows `after` in that life of the origin, looking from `ahead`
    on if that is known (0: not)."""

    number: int
    origin: Origin
    life: str
    after: int
    ahead: int
    most: int


@dataclass(frozen=True, slots=True)
class _Open:
    """A question to this server that waits for something to tell."""

    peer: str
    request: Request
    at: Nanos


class Fetching:
    """One server's questions about streams elsewhere, and its answers to others' questions."""

    def __init__(self, view: ClusterView, peers: Peers, hosts: Hosts, clock: Clock) -> None:
        self._view = view
        self._peers = peers
        self._hosts = hosts
        self._clock = clock
        self._fetched: dict[int, Slice] = {}  # the latest answers, by the questions' numbers
        self._open: dict[int, dict[tuple[str, int], _Open]] = {}  # by group
        self._moved: dict[int, None] = {}  # groups with questions that have something to tell

    # -- asking ----------------------------------------------------------------------------

    def knows(self, stream: str) -> bool:
        """Whether there is such a stream."""
        return stream in self._view.streams()

    def ask(self, stream: str, request: Request) -> str:
        """Ask the stream's leader; returns who was asked, "" if nobody is known to lead it."""
        leader = self._view.leader_of(stream)
        if not leader or leader == self._peers.me.name:
            return ""
        origin = request.origin
        fields = {
            "copy": request.number, "life": request.life, "after": request.after,
            "ahead": request.ahead, "most": request.most, "key": origin.key,
            "filters": list(origin.filters), "seq": origin.start_seq,
            "time": origin.start_time,
        }  # fmt: skip
        self._peers.note(leader, self._view.streams()[stream].gid, fields)
        return leader

    @property
    def is_due(self) -> bool:
        """Whether there is something to answer or to take."""
        return bool(self._moved or self._fetched)

    def take(self) -> dict[int, Slice]:
        """What has come since the last time, by the number of the question."""
        fetched, self._fetched = self._fetched, {}
        return fetched

    # -- being asked -----------------------------------------------------------------------

    def on_note(self, peer: str, gid: int, fields: Mapping[str, Json], data: bytes) -> bool:
        """Whether a note was about this; raises `CodecError` if it makes no sense."""
        if "copy" in fields:
            self._answer(gid, _Open(peer, _request(fields), self._clock.now), is_new=True)
        elif "copied" in fields:
            number, piece = _piece(fields, data)
            self._fetched[number] = piece
        else:
            return False
        return True

    def on_gone(self, peer: str) -> None:
        """A link is gone, and what was asked over it."""
        for asked in self._open.values():
            for key in [key for key in asked if key[0] == peer]:
                del asked[key]

    def moved(self, host: Host) -> None:
        """A stream has changed: who waits for that is answered at the end of the turn."""
        if host.group.gid in self._open:
            self._moved[host.group.gid] = None

    def answer(self) -> None:
        """Answer what waited for streams that have changed."""
        moved, self._moved = self._moved, {}
        for gid in moved:
            for asked in self._open.pop(gid).values():
                if self._clock.now - asked.at <= 3 * limits.COPY_RETRY_NS:
                    self._answer(gid, asked, is_new=False)

    def _answer(self, gid: int, asked: _Open, *, is_new: bool) -> None:
        host = next((host for host in self._hosts if host.group.gid == gid), None)
        if host is None or not host.is_leading:
            return
        request = asked.request
        origin, life = request.origin, life_of(host)
        is_same = life == request.life
        after = request.after if is_same or not origin.key else 0
        ahead = request.ahead if is_same else 0
        if not ahead:
            ahead = after + 1 if after else first(origin, host.stream)
        piece = slice_of(host.stream, origin.filters, life, after, ahead, request.most)
        if piece.is_empty:
            self._open.setdefault(gid, {})[asked.peer, request.number] = asked
        if is_new or not piece.is_empty:
            fields = {
                "copied": request.number, "life": life, "after": after, "ahead": piece.ahead,
                "last": piece.last_seq, "lag": piece.lag,
            }  # fmt: skip
            self._peers.note(asked.peer, gid, fields, b"".join(map(_packed, piece.messages)))


def life_of(origin: Host) -> str:
    """What tells this stream from its namesakes, and its contents from those it lost."""
    stream = origin.stream
    return digest(stream.gid, stream.created, stream.era)[:8]


def _packed(message: StoredMessage) -> bytes:
    subject = message.subject.encode("utf-8", "surrogateescape")
    record = encode_message(subject, message.header or b"", message.payload, message.time)
    return _HEAD.pack(message.seq, len(record)) + record


def _unpacked(data: bytes) -> tuple[StoredMessage, ...]:
    found: list[StoredMessage] = []
    at = 0
    while at < len(data):
        if len(data) - at < _HEAD.size:
            raise CodecError("a message is cut short")
        seq, length = _HEAD.unpack_from(data, at)
        at += _HEAD.size + length
        record = data[at - length : at]
        is_sound = len(record) == length and is_message(record)
        if not is_sound or (found and seq <= found[-1].seq):
            raise CodecError("messages that are no part of a stream")
        found.append(decode_message(seq, record))
    return tuple(found)


def _request(fields: Mapping[str, Json]) -> Request:
    filters, start = fields.get("filters"), fields.get("time")
    if not isinstance(filters, list) or not all(isinstance(each, str) for each in filters):
        raise CodecError("filters that are no texts")
    if start is not None and type(start) is not int:
        raise CodecError("a time that is no number")
    origin = Origin(
        "", _text(fields, "key"), tuple(cast("list[str]", filters)), (),
        _count(fields, "seq"), start,
    )  # fmt: skip
    return Request(
        _count(fields, "copy"), origin, _text(fields, "life"), _count(fields, "after"),
        _count(fields, "ahead"), max(min(_count(fields, "most"), limits.COPIES_PER_TURN_COUNT), 1),
    )  # fmt: skip


def _piece(fields: Mapping[str, Json], data: bytes) -> tuple[int, Slice]:
    piece = Slice(
        _text(fields, "life"), _count(fields, "after"), _count(fields, "ahead"),
        _count(fields, "last"), _count(fields, "lag"), _unpacked(data),
    )  # fmt: skip
    return _count(fields, "copied"), piece


def _count(fields: Mapping[str, Json], key: str) -> int:
    value = fields.get(key)
    if type(value) is not int or not 0 <= value <= limits.SEQUENCE_MAX:
        raise CodecError(f"{key} is no count")
    return value


def _text(fields: Mapping[str, Json], key: str) -> str:
    value = fields.get(key)
    if not isinstance(value, str):
        raise CodecError(f"{key} is no text")
    return value
