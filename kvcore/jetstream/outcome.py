"""What came of applying one command: facts for the host, and what to tell the client.

`apply` runs on every replica and touches nothing but its own state; only the leader acts on
the outcome. It publishes `payload` to `reply`, makes the body of an API answer from
`result`, and tells the consumers what is new and what is gone.

Order matters to a consumer: first everything that was stored (`stored`, then `markers`),
then everything that was `removed`. A message may appear in both: a limit can drop a message
in the very command that stored it.

Left out: the API's JSON bodies (`bodies.py`). A PubAck is made here, since it is the hot
path.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from kvcore.jetstream.config import StreamConfig
from kvcore.jetstream.errors import ApiError
from kvcore.jetstream.records import StoredMessage
from kvcore.limits import Nanos


@dataclass(frozen=True, slots=True)
class Purged:
    """A purge dropped `count` messages."""

    count: int


@dataclass(frozen=True, slots=True)
class Deleted:
    """A message was deleted."""

    seq: int


@dataclass(frozen=True, slots=True)
class Updated:
    """The stream has switched to a new configuration."""


@dataclass(frozen=True, slots=True)
class ConsumerCreated:
    """A consumer stands as asked for; `existed` says that it did before. Messages after
    `last_seq`, the stream's last sequence just then, are new to it."""

    name: str
    existed: bool
    last_seq: int = 0


@dataclass(frozen=True, slots=True)
class ConsumerDeleted:
    """A consumer is forgotten."""

    name: str


@dataclass(frozen=True, slots=True)
class ConsumerPaused:
    """A consumer delivers nothing before `until`; whether that is news."""

    name: str
    until: Nanos
    is_changed: bool = True


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """Acknowledgements are in the log; `replies` are the subjects of those who asked."""

    replies: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Refused:
    """Nothing changed, and this is why."""

    error: ApiError


StreamResult: TypeAlias = (
    Purged
    | Deleted
    | Updated
    | ConsumerCreated
    | ConsumerDeleted
    | ConsumerPaused
    | Acknowledged
    | Refused
)


@dataclass(slots=True)
class Outcome:
    """Of one stream command; see the module's text. Not frozen: it is made on the hot path."""

    reply: str = ""  # where the answer goes, "" is nowhere
    payload: bytes = b""  # a PubAck or a publish error; empty when `result` says it
    stored: int = 0  # the new message's sequence, 0 if nothing was stored
    subject: str = ""  # and its subject
    removed: Sequence[int] = ()  # sequences that are gone
    markers: tuple[tuple[int, str], ...] = ()  # limit markers that an expiry stored
    result: StreamResult | None = None  # of every command but a publish and an expiry
    kind: str = ""  # which command it was: its class name
    previous: int = 0  # the subject's last sequence before; only of streams that republish
    message: StoredMessage | None = None  # what was stored, likewise: it may be gone by now


@dataclass(frozen=True, slots=True)
class StreamAssignment:
    """A stream that the meta group knows: its group, its configuration, its birth, and the
    servers that shall hold it, none for a server on its own.

    Its group began with `founders`; of today's `peers` the `joiners` came later, so they take
    no part before the group's leader has added them. A server that comes back to a stream is
    a joiner too: as a founder it would vote as if it had never promised anything.
    """

    gid: int
    config: StreamConfig
    created: Nanos
    peers: tuple[str, ...] = ()
    founders: tuple[str, ...] = ()
    joiners: tuple[str, ...] = ()

    def is_founder(self, server: str) -> bool:
        """Whether a server without any record of the group begins it as one of its members."""
        return server in self.founders and server in self.peers and server not in self.joiners

    def moved(self, peers: tuple[str, ...]) -> "StreamAssignment":
        """The same stream on other servers."""
        if not self.peers:  # the server was on its own until now
            return replace(self, peers=peers, founders=peers)
        joiners = (name for name in peers if name in self.joiners or name not in self.peers)
        return replace(self, peers=peers, joiners=tuple(joiners))


@dataclass(frozen=True, slots=True)
class StreamCreated:
    """A stream was assigned; `existed` says that the same one stood already."""

    assignment: StreamAssignment
    existed: bool


@dataclass(frozen=True, slots=True)
class StreamUpdated:
    """An assignment changed; its group must now be given an `UpdateConfig`, and perhaps other
    members."""

    assignment: StreamAssignment


@dataclass(frozen=True, slots=True)
class StreamMoved:
    """An assignment has other peers than `before`; in a new group, if the old one's messages
    are lost."""

    assignment: StreamAssignment
    before: StreamAssignment


@dataclass(frozen=True, slots=True)
class StreamDeleted:
    """An assignment is gone; its group must be destroyed."""

    assignment: StreamAssignment


@dataclass(frozen=True, slots=True)
class RestoreBegun:
    """A group was set aside for the records of a backup, which server `holder` gathers."""

    assignment: StreamAssignment
    holder: str = ""


@dataclass(frozen=True, slots=True)
class RestoreRefused:
    """The records of a group that was set aside are not wanted after all."""

    gid: int
    error: ApiError


MetaResult: TypeAlias = (
    StreamCreated
    | StreamUpdated
    | StreamMoved
    | StreamDeleted
    | RestoreBegun
    | RestoreRefused
    | Refused
)


@dataclass(frozen=True, slots=True)
class MetaOutcome:
    """Of one meta command."""

    reply: str
    time: Nanos
    result: MetaResult
    kind: str  # which command it was: its class name
