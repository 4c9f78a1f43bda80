"""One simulated server process, from its start to its end: a `Node` and its turns.

It does what `kvcore.server` does with sockets and files: it gathers what arrives in one turn,
lets the node handle it, and carries out the effects in the order that `node/io.py` calls the
law. A sync takes a while on the virtual clock and covers what was written before it began;
one runs at a time, and tickets that come meanwhile share the next.

A process asks its `Machine` for what it stands on: the clock, the disk, the links to other
servers, and the trace.

Left out: what befalls the machine; see `host.py`.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Literal, Protocol, TypeAlias

from kvcore import limits
from kvcore.limits import Nanos
from kvcore.node.config import NodeConfig
from kvcore.node.io import (
    ClientClosed,
    ClientConnected,
    ClientData,
    Effects,
    Event,
    Synced,
    TimerFired,
)
from kvcore.sim.disk import SimulatedDisk
from kvcore.sim.journal import ClientEvent
from kvcore.sim.links import Links
from kvcore.sim.loop import VirtualLoop
from kvcore.sim.transport import Transport
from kvcore.storage.base import Storage, StorageError
from kvcore.trace import Sink

SyncPolicy: TypeAlias = Literal["always", "interval", "never"]
_TEXT_CHARACTERS = 200  # of each chunk of bytes, in the trace


class Server(Protocol):
    """The waist, as a driver sees it."""

    def handle(self, event: Event, now: Nanos) -> None:
        """Something has happened."""

    def effects(self) -> Effects:
        """What the turn asks of its driver."""

    def deadline(self) -> Nanos | None:
        """When it wants to be woken."""


MakeNode: TypeAlias = Callable[[NodeConfig, Mapping[str, Storage], Random, Nanos, Sink], Server]


@dataclass(frozen=True, slots=True)
class Parts:
    """How a machine gets its node, its engines and its disk; tests plant faults here."""

    make_node: MakeNode
    make_engines: Callable[[SimulatedDisk], dict[str, Storage]]
    make_disk: Callable[[Random], SimulatedDisk] = SimulatedDisk


class Machine(Protocol):
    """What a process stands on."""

    name: str
    config: NodeConfig
    disk: SimulatedDisk
    links: Links
    sync_policy: SyncPolicy
    starts: int
    syncs: int
    on_client: Callable[[str, ClientEvent], object]

    @property
    def sink(self) -> Sink:
        """Where its records go."""

    def note(self, kind: str, **fields: str | int | bool | None) -> None:
        """One record in the world's trace."""

    def turned(self) -> None:
        """A turn of the process is over."""

    def crash(self) -> None:
        """The process ends."""


class Run:
    """The server process, from one start to its end."""

    def __init__(
        self, machine: Machine, loop: VirtualLoop, parts: Parts, seed: str, rng: Random
    ) -> None:
        self.name = machine.name
        self.machine = machine
        self.open: dict[int, Transport] = {}
        self.ended = False
        self._loop = loop
        self._rng = rng
        self._engines = parts.make_engines(machine.disk)
        self.node = parts.make_node(
            machine.config,
            self._engines,
            Random(f"{seed}/{machine.starts}"),
            loop.now,
            machine.sink,
        )
        self.is_paused = False
        self._backlog: list[Event] = []
        self._turn_due = False
        self._deadline: Nanos | None = None  # the node's; the timer may be set for earlier
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at: Nanos = 0
        self._timer_fired = False
        self._syncing: int | None = None
        self._next_sync: int | None = None
        self._dirty = False
        self._flush_timer: asyncio.TimerHandle | None = None
        self._conns = 0
        self._ghosts: dict[int, None] = {}  # clients of a world that is lived through again

    @property
    def busy(self) -> bool:
        """Whether a turn is due, or a sync under way."""
        return self._turn_due or self._syncing is not None

    # Events in.

    def event(self, event: Event) -> None:
        """Something for the node; its effects are carried out at the end of the turn."""
        if self.ended:
            return
        if self.is_paused:
            self._backlog.append(event)
            return
        self.node.handle(event, self._loop.now)
        self.wake()

    def client(self, event: ClientEvent) -> None:
        """Something from a client."""
        if not self.ended:
            self.machine.on_client(self.name, event)
            self.event(event)

    def replay(self, event: ClientEvent) -> None:
        """Something from a client of another world, who can't be answered."""
        if isinstance(event, ClientConnected):
            self._conns = event.conn
            self._ghosts[event.conn] = None
        elif isinstance(event, ClientClosed):
            self._ghosts.pop(event.conn, None)
        self.event(event)

    def end_replay(self) -> None:
        """Those clients are gone."""
        for conn in self._ghosts:
            self.client(ClientClosed(conn, "rewound"))
        self._ghosts.clear()

    def wake(self) -> None:
        """There will be a turn."""
        if not self._turn_due:
            self._turn_due = True
            self._loop.call_soon(self._turn)

    def accept(self, transport: Transport) -> int:
        """A client's connection; its number is new."""
        self._conns += 1
        self.open[self._conns] = transport
        if self.is_paused:
            transport.pause_reading()
        host, port = transport.get_extra_info("peername")
        self.client(ClientConnected(self._conns, host, port))
        return self._conns

    # Effects out.

    def _turn(self) -> None:
        self._turn_due = False
        if self.ended or self.is_paused:
            return
        if self._timer_fired:
            self._timer_fired = False
            self.node.handle(TimerFired(), self._loop.now)
        effects = self.node.effects()
        try:
            for engine, batch in effects.batches.items():
                self._engines[engine].write(batch)
                self._dirty = self._dirty or engine == "file"
        except StorageError as error:
            self._disk_failed(error)
            return
        if effects.sync is not None:
            self._sync(effects.sync, is_vital=effects.is_vital)
        for conn, data in effects.writes.items():
            self._write(conn, data)
        for conn in effects.closes:
            if conn in self.open:
                self.open[conn].close()
        links = self.machine.links
        for peer, data in effects.peers.items():
            links.send(self.name, peer, data)
        for peer in effects.unlinks:
            links.unlink(self.name, peer)
        self._set_timer()
        self.machine.turned()

    def _write(self, conn: int, data: bytes) -> None:
        transport = self.open.get(conn)
        if transport is None:
            return
        self.machine.note("send", conn=conn, bytes=len(data), text=_text(data))
        transport.write(data)
        if transport.get_write_buffer_size() > limits.PENDING_OUTPUT_BYTES:
            transport.write(b"-ERR 'Slow Consumer'\r\n")
            transport.close()

    def _set_timer(self) -> None:
        """A deadline that moves away leaves the timer: each heartbeat moves one."""
        self._deadline = deadline = self.node.deadline()
        if deadline is None or (self._timer is not None and self._timer_at <= deadline):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._timer_at = self._loop.at(deadline, self._fire), deadline

    def _fire(self) -> None:
        self._timer = None
        deadline = self._deadline
        if deadline is None:
            return
        if deadline > self._loop.now:
            self._timer, self._timer_at = self._loop.at(deadline, self._fire), deadline
            return
        self._timer_fired = True
        self.wake()

    # The disk.

    def _sync(self, ticket: int, *, is_vital: bool) -> None:
        is_awaited = self._syncing is not None  # answers keep their order
        if self.machine.sync_policy == "always" or is_vital or is_awaited:
            if self._syncing is None:
                self._begin(ticket)
            else:
                self._next_sync = ticket
            return
        self._loop.call_soon(self.event, Synced(ticket))
        if self.machine.sync_policy == "interval" and self._flush_timer is None:
            due = self._loop.now + limits.SYNC_INTERVAL_NS
            self._flush_timer = self._loop.at(due, self._flush)

    def _begin(self, ticket: int) -> None:
        self._syncing = ticket
        latency = self._rng.randrange(limits.DISK_SYNC_MIN_NS, limits.DISK_SYNC_MAX_NS)
        self._loop.at(self._loop.now + latency, self._synced)

    def _synced(self) -> None:
        ticket, self._syncing = self._syncing, None
        if self.ended or ticket is None:
            return
        self._flush()
        self.event(Synced(ticket))  # goes nowhere if the sync failed: the server has ended
        if self._next_sync is not None:
            following, self._next_sync = self._next_sync, None
            self._begin(following)

    def _flush(self) -> None:
        self._flush_timer = None
        if self._dirty and not self.ended:
            self._dirty = False
            self.machine.syncs += 1
            self.machine.note("sync")
            try:
                self._engines["file"].sync()
            except StorageError as error:
                self._disk_failed(error)

    def _disk_failed(self, error: StorageError) -> None:
        """A server whose disk refuses must not go on: what it promised may be gone."""
        self.machine.note("disk-error", text=str(error))
        self.machine.crash()

    # What befalls the process.

    def pause(self) -> None:
        """It stands still; what comes for it waits."""
        self.is_paused = True
        for transport in self.open.values():
            transport.pause_reading()

    def resume(self) -> None:
        """It goes on with all that has come."""
        self.is_paused = False
        backlog, self._backlog = self._backlog, []
        for event in backlog:
            self.node.handle(event, self._loop.now)
        for transport in self.open.values():
            transport.resume_reading()
        self.wake()

    def end(self) -> list[Transport]:
        """The process is gone; what its connections do now is the caller's to say."""
        self.ended = True
        for timer in (self._timer, self._flush_timer):
            if timer is not None:
                timer.cancel()
        transports = list(self.open.values())
        self.open.clear()
        return transports


class Connection(asyncio.Protocol):
    """The server's end of one client connection."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._conn = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client is there."""
        assert isinstance(transport, Transport)
        if self._run.ended:
            transport.abort()
            return
        self._conn = self._run.accept(transport)

    def data_received(self, data: bytes) -> None:
        """It says something."""
        self._run.machine.note("receive", conn=self._conn, bytes=len(data), text=_text(data))
        self._run.client(ClientData(self._conn, data))

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone."""
        if self._run.open.pop(self._conn, None) is not None:
            reason = "closed" if exc is None else "reset"
            self._run.client(ClientClosed(self._conn, reason))


def _text(data: bytes) -> str:
    return data[:_TEXT_CHARACTERS].decode("utf-8", "backslashreplace")
