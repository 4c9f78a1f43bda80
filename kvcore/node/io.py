"""What a driver and a server say to each other: events in, effects out.

A driver owns sockets, files and a clock; a `Node` owns everything else. All that arrives
in one turn of the driver's loop is handled event by event, then `effects` is drained once:
one write per connection, one batch per engine, one sync. That is where the speed comes
from, and it makes a run replayable: the events, their times and the turn boundaries are
all there is to know.

The order within `Effects` is the law: batches are written first, the sync covers all that
has been written so far, client writes may leave at once (what they promise was synced in
an earlier turn), closes come after the writes of their connection.

Servers of one cluster are peers. A driver dials, authenticates and keeps one link to each,
and says so by the peer's name; what travels on a link is the node's affair, and comes split
wherever the network liked. Bytes for a peer without a link are dropped: consensus sends again.

Left out: what the bytes between peers mean; that is `frames.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import TypeAlias

from kvcore.limits import Nanos
from kvcore.storage.base import Batch


@dataclass(frozen=True, slots=True)
class ClientConnected:
    """A client's socket was accepted; `conn` is new and never used again."""

    conn: int
    host: str
    port: int


@dataclass(frozen=True, slots=True)
class ClientData:
    """Bytes from a client, split wherever the network liked."""

    conn: int
    data: bytes


@dataclass(frozen=True, slots=True)
class ClientClosed:
    """The client is gone; nothing more will reach it. `reason` is for the trace."""

    conn: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class PeerConnected:
    """There is a link to the server of this name, and both ends have proved who they are."""

    peer: str


@dataclass(frozen=True, slots=True)
class PeerData:
    """Bytes from a peer, in order, split anywhere."""

    peer: str
    data: bytes


@dataclass(frozen=True, slots=True)
class PeerClosed:
    """The link is gone, with what was on its way. A peer that only fell silent has no event."""

    peer: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class TimerFired:
    """The time that `deadline` asked for has come; handled last in a turn."""


@dataclass(frozen=True, slots=True)
class Synced:
    """Everything written up to the effects that carried `ticket` is durable."""

    ticket: int


@dataclass(frozen=True, slots=True)
class Measured:
    """What the driver knows of its process: bytes of memory in use (0 if it can't tell),
    processor time used so far, and the machine's cores. For reports; nothing is decided by it."""

    memory: int
    cpu: Nanos
    cores: int


class Order(Enum):
    """What an operator can tell a running server."""

    LAME_DUCK = "lame duck"
    SHUT_DOWN = "shut down"


@dataclass(frozen=True, slots=True)
class Operator:
    """An order from outside the protocol (a signal, a verb of the lab)."""

    order: Order


Event: TypeAlias = (
    ClientConnected
    | ClientData
    | ClientClosed
    | PeerConnected
    | PeerData
    | PeerClosed
    | TimerFired
    | Synced
    | Measured
    | Operator
)


@dataclass(frozen=True, slots=True)
class Effects:
    """What a turn asks of its driver.

    `writes` maps a connection to its bytes, joined; `batches` maps an engine's name
    ("file", "memory", "rocksdb") to what it must write; `sync` asks that every engine be
    synced that was written since its last sync, and answered with `Synced(sync)`; tickets
    ascend, and a later one covers the earlier. `is_vital`: this sync is made and awaited whatever
    the driver's policy is, and so is each that comes before its answer.
    `peers` maps a peer's name to the bytes for it; `unlinks` names links to be closed after
    that, for the node found no sense in what came.
    """

    writes: Mapping[int, bytes] = field(default_factory=dict)
    closes: tuple[int, ...] = ()
    batches: Mapping[str, Batch] = field(default_factory=dict)
    sync: int | None = None
    peers: Mapping[str, bytes] = field(default_factory=dict)
    unlinks: tuple[str, ...] = ()
    is_vital: bool = False
