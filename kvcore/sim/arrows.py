"""A world's trace, in which messages between servers are arrows that cost nothing until drawn.

Most of what happens in a cluster are heartbeats: thousands a minute. So each chunk on a link
leaves two small tuples behind, when it left and when it came or was lost. Only whoever reads
the trace has them taken apart: `peer-send`, one record for each message in the chunk, with
its group, its kind (`rpc`) and its facts; then `peer-receive` or `peer-lost`, one for the
chunk. All of them bear the chunk's number, `id`.

Left out: drawing them.
"""

from collections import deque
from collections.abc import Callable, Iterator
from typing import Protocol, TypeAlias, assert_never

from kvcore import limits
from kvcore.limits import Nanos
from kvcore.node.frames import (
    Beats,
    Carried,
    ForGroup,
    Frame,
    FrameError,
    Heard,
    Hello,
    Note,
    Reader,
    Want,
)
from kvcore.raft.codec import decode_message
from kvcore.raft.entry import CodecError
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
from kvcore.sim.entry_text import texts_of
from kvcore.trace import Field, Trace

# time, server, kind, peer, number of the chunk, its bytes; a tuple of such costs the collector
# of cycles nothing
_Chunk: TypeAlias = tuple[Nanos, str, str, str, int, bytes]


class Clock(Protocol):
    """Where the time of a record comes from."""

    @property
    def now(self) -> Nanos:
        """The virtual date."""


class Records:
    """The newest records of a world, in order. Also the ears of its links."""

    def __init__(self, clock: Clock, name_of: Callable[[int], str]) -> None:
        self._clock = clock
        self._name_of = name_of  # of a group, by its id
        self._kept: deque[Trace | _Chunk] = deque(maxlen=limits.TRACE_RECORDS_COUNT)

    def append(self, record: Trace) -> None:
        """One more."""
        self._kept.append(record)

    def sent(self, sender: str, to: str, number: int, data: bytes) -> None:
        """A chunk has left."""
        self._kept.append((self._clock.now, sender, "peer-send", to, number, data))

    def arrived(self, sender: str, to: str, number: int, _data: bytes) -> None:
        """It has come to the other server."""
        self._kept.append((self._clock.now, to, "peer-receive", sender, number, b""))

    def lost(self, sender: str, to: str, number: int, _data: bytes) -> None:
        """It never will."""
        self._kept.append((self._clock.now, sender, "peer-lost", to, number, b""))

    def __iter__(self) -> Iterator[Trace]:
        for record in self._kept:
            if isinstance(record, Trace):
                yield record
            else:
                yield from self._told(record)

    def noted(self) -> Iterator[Trace]:
        """Without the messages between servers."""
        return (record for record in self._kept if isinstance(record, Trace))

    def __reversed__(self) -> Iterator[Trace]:
        for record in reversed(self._kept):
            if isinstance(record, Trace):
                yield record
            else:
                yield from reversed(list(self._told(record)))

    def __len__(self) -> int:
        """How many are kept; reading them may give more, for a chunk has many messages."""
        return len(self._kept)

    @property
    def first(self) -> Nanos:
        """When the oldest of them was made."""
        record = self._kept[0]
        return record.time if isinstance(record, Trace) else record[0]

    def _told(self, chunk: _Chunk) -> Iterator[Trace]:
        time, server, kind, peer, number, data = chunk
        if kind != "peer-send":
            end = "from" if kind == "peer-receive" else "to"
            yield Trace(time, server, kind, {end: peer, "id": number})
            return
        facts: dict[str, Field] = {"to": peer, "id": number}
        is_told = False
        try:
            for frame in Reader().feed(data):
                is_told = True
                for told in self._facts(frame):
                    yield Trace(time, server, kind, facts | told)
        except (FrameError, CodecError) as error:
            is_told = True
            yield Trace(time, server, kind, facts | {"nonsense": str(error)})
        if not is_told:
            yield Trace(time, server, kind, facts)

    def _facts(self, frame: Frame) -> Iterator[dict[str, Field]]:
        """A frame's messages; heartbeats that share one are drawn as what each stands for."""

        def named(gid: int) -> dict[str, Field]:
            return {"group": self._name_of(gid)}

        match frame:
            case ForGroup(gid, data):
                yield named(gid) | facts_of(decode_message(data))
            case Beats(beats):
                for gid, beat in beats:
                    yield named(gid) | facts_of(beat.spelled_out("-"))
            case Heard(taken):
                for gid, term, last in taken:
                    reply = AppendReply("-", term, is_taken=True, index=last)
                    yield named(gid) | facts_of(reply)
            case Carried():
                yield {"frame": "message", "subject": frame.subject, "bytes": len(frame.payload)}
            case Want():
                verb = "interest" if frame.is_added else "no interest"
                yield {"frame": verb, "subject": frame.subject, "queue": frame.queue}
            case Note(gid, fields):
                yield {"frame": "note", "group": self._name_of(gid), "text": str(dict(fields))}
            case Hello():
                yield {"frame": "hello"}
            case _:
                assert_never(frame)


def facts_of(message: Message) -> dict[str, Field]:
    """A message's kind and what a picture says of it."""
    facts: dict[str, Field] = {"rpc": type(message).__name__, "term": message.term}
    match message:
        case RequestVote():
            return facts | {
                "last_index": message.last_index,
                "last_term": message.last_term,
                "pre": message.is_pre,
            }
        case VoteReply():
            return facts | {"ok": message.is_granted, "pre": message.is_pre}
        case AppendEntries():
            first = message.previous_index + 1
            last = message.previous_index + len(message.entries)
            facts |= {"first": first, "last": last, "commit": message.commit}
            return facts | {"texts": texts_of(message.entries)} if message.entries else facts
        case AppendReply():
            return facts | {"ok": message.is_taken, "index": message.index}
        case InstallSnapshot():
            return facts | {
                "index": message.last_index,
                "offset": message.offset,
                "done": message.is_done,
            }
        case SnapshotReply():
            return facts | {"index": message.last_index, "offset": message.offset}
        case TimeoutNow():
            return facts
        case _:
            assert_never(message)
