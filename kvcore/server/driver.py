"""The turn: what a real server does with one `Node`.

All that arrives in one turn of the event loop is handed to the node event by event; then
one `flush` carries out what the node wants: one batch per engine, one write per
connection and per peer, closes after writes, one request to the disk. No task, no future and
no queue per message: a callback, a few dicts, and the next turn.

The order inside a flush is what makes an ack true. Batches are written before the sync is
asked for; an ack is born when `Synced` is handled, so it leaves in a later flush than the
one that wrote its record; and a store that fails ends the server before anything else
leaves. `sync` decides when `Synced` comes: `always` after the disk said so, `interval` and
`never` at once, which is faster and is how acked writes get lost. What a turn calls vital
waits for the disk by any policy.

    data_received ──▶ node.handle ──▶ (end of turn) node.effects ──▶ write, send, sync
                                            ▲                                      │
                                            └──────── Synced, in a later turn ◀────┘

Time is the wall clock made monotone. When a timer is due, what lies in the sockets is read
first: a process that stood still must not take itself for one whose leader fell silent. When
the disk lags so far that `limits.UNSYNCED_INPUT_BYTES` of clients wait for it, they are read
again once it has caught up.

Left out: sockets and files, which `clients.py`, `mesh.py` and `disk.py` bring.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Protocol

from kvcore import limits
from kvcore.limits import SECOND_NS, Nanos
from kvcore.node.io import (
    Effects,
    Event,
    Measured,
    Operator,
    Order,
    PeerClosed,
    PeerConnected,
    PeerData,
    Synced,
    TimerFired,
)
from kvcore.node.sight import Report
from kvcore.server.clients import Clients
from kvcore.server.disk import Disk
from kvcore.server.settings import Sync
from kvcore.storage.base import Storage, StorageError
from kvcore.storage.memory import MemoryStorage


class Core(Protocol):
    """The three verbs of a `Node`, all that a driver knows of it."""

    def handle(self, event: Event, now: Nanos) -> None:
        """Take in one event."""

    def effects(self) -> Effects:
        """What is to be done; drained once per turn."""

    def deadline(self) -> Nanos | None:
        """When it wants a `TimerFired`."""


class Links(Protocol):
    """Who has the links to the cluster's other servers."""

    def send(self, peer: str, data: bytes) -> None:
        """Bytes for a peer, lost if there is no link."""

    def unlink(self, peer: str) -> None:
        """Close a link on which nothing made sense."""


class Recorder(Protocol):
    """Whoever writes down what happened, in order."""

    def event(self, event: Event, now: Nanos) -> None:
        """An event, before it is handled."""

    def turn(self, effects: Effects) -> None:
        """The end of a turn, before its effects are carried out."""


class Clock:
    """The wall clock in nanoseconds, which never goes back."""

    def __init__(self) -> None:
        self._last = 0

    def __call__(self) -> Nanos:
        """Now, or the latest time given out if the wall clock was set back."""
        self._last = max(self._last, time.time_ns())
        return self._last


class Driver:
    """Drives `core` on `loop`; `failed` is told, once, why serving had to end."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        core: Core,
        stores: Mapping[str, Storage],
        clock: Callable[[], Nanos],
        failed: Callable[[str], None],
        *,
        sync: Sync = "always",
        sync_interval: Nanos = limits.SYNC_INTERVAL_NS,
        recorder: Recorder | None = None,
        measure: Callable[[], Measured] | None = None,
    ) -> None:
        self._loop = loop
        self._core = core
        self._stores = stores
        self._clock = clock
        self._report_failure = failed
        self._sync = sync
        self._sync_interval = sync_interval
        self._recorder = recorder
        self._measure = measure
        self._measure_at: Nanos = 0
        self._disk = Disk(loop, self._sync_stores, self._synced, self.fail)
        self.clients = Clients(loop, self._take)
        self.links: Links | None = None  # a server on its own has none
        self._scheduled = False
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at: Nanos | None = None
        self._timer_polls = False  # the sockets are being read before it counts
        self._timer_due = False
        self._asked = self._answered = -1  # the highest tickets
        self._has_disk = any(type(store) is not MemoryStorage for store in stores.values())
        self._is_vital = False  # whether the last ticket's sync is due by any policy
        self._unsynced_bytes = 0
        self._dirty = False
        self._ended = False
        self._resting: asyncio.Future[None] | None = None
        self._schedule()
        if sync == "interval":
            self._sync_later()

    # What sockets tell.

    def connected(self, transport: asyncio.Transport) -> int:
        """A new client; the number by which it is known from now on."""
        return self.clients.connected(transport)

    def secured(self, conn: int, transport: asyncio.Transport) -> bool:
        """The client speaks TLS from now on; False if it was closed in the meantime."""
        return self.clients.secured(conn, transport)

    def data(self, conn: int, data: bytes) -> None:
        """Bytes from a client."""
        if self.clients.data(conn, data):
            self._unsynced_bytes += len(data)

    def closed(self, conn: int, reason: str) -> None:
        """The client's socket is gone, whoever closed it."""
        self.clients.closed(conn, reason)

    def linked(self, peer: str) -> None:
        """There is a link to this server of the cluster."""
        self._take(PeerConnected(peer))

    def peer_data(self, peer: str, data: bytes) -> None:
        """Bytes from it."""
        self._take(PeerData(peer, data))

    def unlinked(self, peer: str, reason: str) -> None:
        """The link is gone, with what was on its way."""
        self._take(PeerClosed(peer, reason))

    def order(self, order: Order) -> None:
        """What an operator wants."""
        self._take(Operator(order))

    def report(self, ask: Callable[[Nanos], Report]) -> Report:
        """What the core answers to `ask`, which is given the time and changes nothing: the one
        place where HTTP meets the core. A server that has ended is unavailable."""
        if self._ended:
            return Report(503, {"status": "unavailable", "error": "the server is ending"})
        now = self._clock()
        self._measured(now)
        return ask(now)

    @property
    def connections(self) -> int:
        """How many sockets are open, those that are being closed too."""
        return self.clients.sockets

    @property
    def slow_consumers(self) -> int:
        """How many clients were closed because they didn't read."""
        return self.clients.slow_consumers

    # The turn.

    def _take(self, event: Event) -> None:
        if self._ended:
            return
        now = self._clock()
        self._measured(now)
        self._hand(event, now)

    def _hand(self, event: Event, now: Nanos) -> None:
        if self._recorder is not None:
            self._recorder.event(event, now)
        self._core.handle(event, now)
        self._schedule()

    def _measured(self, now: Nanos) -> None:
        """Tell the core what the process takes, if what it knows is old."""
        if self._measure is not None and now >= self._measure_at:
            self._measure_at = now + limits.MEASURE_INTERVAL_NS
            self._hand(self._measure(), now)

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        if self._ended:
            return
        if self._timer_due:
            self._timer_due = False
            self._take(TimerFired())
        try:
            while (ticket := self._flush()) is not None:
                is_awaited = self._asked > self._answered  # answers keep their order
                self._asked = ticket
                if self._sync == "always" or self._is_vital or is_awaited:
                    self._disk.request(ticket)
                    break
                self._dirty = True
                self._answer(ticket)
        except (StorageError, OSError) as error:
            self.fail(str(error))
            return
        self._scheduled = False
        self._hold_back()
        self._set_timer()
        if self._resting is not None and self._asked == self._answered:
            self._resting.set_result(None)
            self._resting = None

    def _flush(self) -> int | None:
        """Carry out one `Effects`; its sync ticket, if it has one."""
        effects = self._core.effects()
        if self._recorder is not None:
            self._recorder.turn(effects)
        for engine, batch in effects.batches.items():
            self._stores[engine].write(batch)
        for conn, data in effects.writes.items():
            self.clients.write(conn, data)
        for conn in effects.closes:
            self.clients.close(conn)
        if self.links is not None:
            for peer, data in effects.peers.items():
                self.links.send(peer, data)
            for peer in effects.unlinks:
                self.links.unlink(peer)
        self._is_vital = effects.is_vital and self._has_disk
        return effects.sync

    def _set_timer(self) -> None:
        at = self._core.deadline()
        if self._timer_polls:
            return
        if at == self._timer_at and at is not None and self._timer is not None:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._timer_at = at
        if at is not None:
            delay = max(0, at - self._clock()) / SECOND_NS
            self._timer = self._loop.call_later(delay, self._timer_fired)

    def _timer_fired(self) -> None:
        self._timer = None
        if self._timer_at is not None and self._clock() < self._timer_at:
            self._set_timer()  # the wall clock is behind the loop's
            return
        # uvloop runs timers before it polls, asyncio one round after: two rounds do for both.
        self._timer_polls = True
        self._loop.call_soon(self._loop.call_soon, self._timer_polled)

    def _timer_polled(self) -> None:
        self._timer_polls = False
        self._timer_due = True
        self._schedule()

    # The disk.

    def _sync_stores(self) -> None:
        """One sync of each engine; one that has nothing new does nothing."""
        for engine, store in self._stores.items():
            if engine != "memory":
                store.sync()

    def _synced(self, ticket: int) -> None:
        self._unsynced_bytes = 0
        if ticket >= 0:
            self._answer(ticket)

    def _answer(self, ticket: int) -> None:
        self._answered = ticket
        self._take(Synced(ticket))

    def _sync_later(self) -> None:
        """`--sync interval`: what was promised long ago becomes true now and then."""
        if self._ended:
            return
        if self._dirty:
            self._dirty = False
            self._disk.request(-1)
        self._loop.call_later(self._sync_interval / SECOND_NS, self._sync_later)

    def _hold_back(self) -> None:
        if not self._disk.busy:
            self._unsynced_bytes = 0
        self.clients.hold(paused=self._unsynced_bytes > limits.UNSYNCED_INPUT_BYTES)

    # The end.

    def fail(self, reason: str) -> None:
        """Stop at once: nothing is sent any more, since nothing can be promised."""
        if self._ended:
            return
        self._end()
        self.abort()
        if self._resting is not None:
            self._resting.cancel()
        self._report_failure(reason)

    async def settled(self) -> None:
        """Wait until nothing waits for the disk: at a start, until the server may answer."""
        self._resting = self._loop.create_future()
        self._schedule()
        await self._resting

    def finish(self) -> None:
        """Sync what was written, answer those who waited for it, close every client."""
        if self._ended:
            return
        self._disk.stop()
        self._scheduled = True  # the last turn is this one; the loop may be closed already
        self.order(Order.SHUT_DOWN)
        try:
            ticket = self._flush()
            if self._sync != "never" or self._is_vital or self._asked > self._answered:
                self._sync_stores()
            self._asked = self._asked if ticket is None else ticket
            if self._asked > self._answered:
                self._answer(self._asked)
                self._flush()
        except (StorageError, OSError) as error:
            self.fail(str(error))
            return
        self._end()
        self.clients.close_all()

    def abort(self) -> None:
        """Drop the clients that are left, with what they have not read."""
        self.clients.abort()

    def stop_disk(self) -> None:
        """End the disk's thread, which a loop that was closed has left behind."""
        self._disk.stop()

    def _end(self) -> None:
        self._ended = True
        if self._timer is not None:
            self._timer.cancel()
