"""One simulated machine: its power, its disk, and the server process that runs on it.

This is the simulator's driver of a `Node`, and does what `kvcore.server` does with sockets
and files: it gathers what arrives in one turn, lets the node handle it, and carries out the
effects in the order that `node/io.py` calls the law. A sync takes a while on the virtual
clock and covers what was written before it began; one runs at a time, and tickets that
come meanwhile share the next.

What can befall a machine: its process is killed (`crash`: the page cache survives), stopped
and continued (`pause`, `resume`: nothing is lost, everything waits), or it loses its power
(`power_cut`: what was not synced may be gone, and connections fall silent instead of closing).

`sync` says when an ack may leave: "always" after the sync that covers it, "interval" and
"never" at once, with a sync now and then or never. A lesson shows what the last two cost.

Left out: links between servers.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
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
from kvcore.sim.loop import VirtualLoop
from kvcore.sim.network import Listener, Transport
from kvcore.storage.base import Storage, StorageError
from kvcore.trace import Sink, Trace

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


class State(Enum):
    """What a machine and its server are doing."""

    UP = "up"
    PAUSED = "paused"
    CRASHED = "crashed"
    DARK = "without power"


class Host:
    """A machine in a world; its server runs as soon as `start` is called."""

    def __init__(
        self,
        loop: VirtualLoop,
        config: NodeConfig,
        parts: Parts,
        *,
        seed: str,
        sync: SyncPolicy,
        sink: Sink,
    ) -> None:
        self.name = config.server_name
        self.config = config
        self.state = State.CRASHED
        self.sync_policy: SyncPolicy = sync
        self.starts = 0
        self.syncs = 0
        self._loop = loop
        self._parts = parts
        self._seed = seed
        self._sink = sink
        self._rng = Random(f"{seed}/disk")
        self.disk = parts.make_disk(Random(f"{seed}/pages"))
        self._run: _Run | None = None
        self._listeners: list[Listener] = []
        self._lost: list[Transport] = []

    @property
    def connections(self) -> int:
        """How many clients the server has."""
        return len(self._run.open) if self._run else 0

    @property
    def busy(self) -> bool:
        """Whether the server has something to do at once, or waits for its disk."""
        return self._run is not None and self._run.busy

    @property
    def node(self) -> Server | None:
        """The server's state, for those who look inside; None while it doesn't run."""
        return self._run.node if self._run else None

    def start(self) -> None:
        """Power on, if it was off, and the server starts from what the disk holds."""
        assert self._run is None, f"{self.name} runs already"
        self._loop.network.gone.pop(self.name, None)
        for transport in self._lost:
            transport.answer_again()
        self._lost.clear()
        self.starts += 1
        self.note("start")
        self.state = State.UP
        self._run = run = _Run(self, self._loop, self._parts, self._seed, self._rng)
        for place in (self.name, "localhost"):
            listener = self._loop.network.listen(lambda: _Connection(run), place, self.config.port)
            self._listeners.append(listener)
        run.wake()

    def crash(self) -> None:
        """The process is killed: its memory is gone, its files and the page cache are not."""
        self.note("crash")
        for transport in self._end():
            transport.abort()
        self.disk.close()  # the lock is gone with the process
        self.state = State.CRASHED

    def power_cut(self) -> None:
        """The machine is off: unsynced bytes may be gone, and its connections are silent."""
        self.note("power-cut")
        self._loop.network.gone[self.name] = None
        for transport in self._end():
            transport.vanish()
            self._lost.append(transport)
        self.disk.power_cut()
        self.state = State.DARK

    def pause(self) -> None:
        """The process stops where it is; everything that is for it waits."""
        assert self._run is not None
        self.note("pause")
        self.state = State.PAUSED
        self._run.pause()

    def resume(self) -> None:
        """The process goes on, with all that has come meanwhile."""
        assert self._run is not None
        self.note("resume")
        self.state = State.UP
        self._run.resume()

    def note(self, kind: str, **fields: str | int | bool | None) -> None:
        """One record in the world's trace."""
        self._sink(Trace(self._loop.now, self.name, kind, fields))

    @property
    def sink(self) -> Sink:
        """Where this machine's records go."""
        return self._sink

    def _end(self) -> list[Transport]:
        for listener in self._listeners:
            listener.close()
        self._listeners.clear()
        run, self._run = self._run, None
        return run.end() if run else []


class _Run:
    """The server process, from one start to its end."""

    def __init__(self, host: Host, loop: VirtualLoop, parts: Parts, seed: str, rng: Random) -> None:
        self.host = host
        self.open: dict[int, Transport] = {}
        self.ended = False
        self._loop = loop
        self._rng = rng
        self._engines = parts.make_engines(host.disk)
        self.node = parts.make_node(
            host.config, self._engines, Random(f"{seed}/{host.starts}"), loop.now, host.sink
        )
        self._paused = False
        self._backlog: list[Event] = []
        self._turn_due = False
        self._timer: asyncio.TimerHandle | None = None
        self._timer_fired = False
        self._syncing: int | None = None
        self._next_sync: int | None = None
        self._dirty = False
        self._flush_timer: asyncio.TimerHandle | None = None
        self._conns = 0

    @property
    def busy(self) -> bool:
        return self._turn_due or self._syncing is not None

    # Events in.

    def event(self, event: Event) -> None:
        """Something for the node; its effects are carried out at the end of the turn."""
        if self.ended:
            return
        if self._paused:
            self._backlog.append(event)
            return
        self.node.handle(event, self._loop.now)
        self.wake()

    def wake(self) -> None:
        """There will be a turn."""
        if not self._turn_due:
            self._turn_due = True
            self._loop.call_soon(self._turn)

    def accept(self, transport: Transport) -> int:
        """A client's connection; its number is new."""
        self._conns += 1
        self.open[self._conns] = transport
        if self._paused:
            transport.pause_reading()
        host, port = transport.get_extra_info("peername")
        self.event(ClientConnected(self._conns, host, port))
        return self._conns

    # Effects out.

    def _turn(self) -> None:
        self._turn_due = False
        if self.ended or self._paused:
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
            self._sync(effects.sync)
        for conn, data in effects.writes.items():
            self._write(conn, data)
        for conn in effects.closes:
            if conn in self.open:
                self.open[conn].close()
        self._set_timer()

    def _write(self, conn: int, data: bytes) -> None:
        transport = self.open.get(conn)
        if transport is None:
            return
        self.host.note("send", conn=conn, bytes=len(data), text=_text(data))
        transport.write(data)
        if transport.get_write_buffer_size() > limits.PENDING_OUTPUT_BYTES:
            transport.write(b"-ERR 'Slow Consumer'\r\n")
            transport.close()

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        deadline = self.node.deadline()
        if deadline is not None:
            self._timer = self._loop.at(deadline, self._fire)

    def _fire(self) -> None:
        self._timer = None
        self._timer_fired = True
        self.wake()

    # The disk.

    def _sync(self, ticket: int) -> None:
        if self.host.sync_policy == "always":
            if self._syncing is None:
                self._begin(ticket)
            else:
                self._next_sync = ticket
            return
        self._loop.call_soon(self.event, Synced(ticket))
        if self.host.sync_policy == "interval" and self._flush_timer is None:
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
            self.host.syncs += 1
            self.host.note("sync")
            try:
                self._engines["file"].sync()
            except StorageError as error:
                self._disk_failed(error)

    def _disk_failed(self, error: StorageError) -> None:
        """A server whose disk refuses must not go on: what it promised may be gone."""
        self.host.note("disk-error", text=str(error))
        self.host.crash()

    # What befalls the process.

    def pause(self) -> None:
        self._paused = True
        for transport in self.open.values():
            transport.pause_reading()

    def resume(self) -> None:
        self._paused = False
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


class _Connection(asyncio.Protocol):
    """The server's end of one client connection."""

    def __init__(self, run: _Run) -> None:
        self._run = run
        self._conn = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, Transport)
        if self._run.ended:
            transport.abort()
            return
        self._conn = self._run.accept(transport)

    def data_received(self, data: bytes) -> None:
        self._run.host.note("receive", conn=self._conn, bytes=len(data), text=_text(data))
        self._run.event(ClientData(self._conn, data))

    def connection_lost(self, exc: Exception | None) -> None:
        if self._run.open.pop(self._conn, None) is not None:
            reason = "closed" if exc is None else "reset"
            self._run.event(ClientClosed(self._conn, reason))


def _text(data: bytes) -> str:
    return data[:_TEXT_CHARACTERS].decode("utf-8", "backslashreplace")
