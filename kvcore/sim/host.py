"""One simulated machine: its power, its disk, and the server process that runs on it.

What can befall a machine: its process is killed (`crash`: the page cache survives), stopped
and continued (`pause`, `resume`: nothing is lost, everything waits), or it loses its power
(`power_cut`: what was not synced may be gone, and connections fall silent instead of closing).

`sync` says when an ack may leave: "always" after the sync that covers it, "interval" and
"never" at once, with a sync now and then or never. A lesson shows what the last two cost.

Left out: the process itself, see `run.py`; what befalls the network, see `world.py`.
"""

from collections.abc import Callable
from enum import Enum
from random import Random
from typing import Any

from kvcore.node.config import NodeConfig
from kvcore.sim.journal import ClientEvent
from kvcore.sim.links import Links
from kvcore.sim.loop import VirtualLoop
from kvcore.sim.network import Listener
from kvcore.sim.run import Connection, Parts, Run, Server, SyncPolicy
from kvcore.sim.transport import Transport
from kvcore.storage.base import StorageError
from kvcore.trace import Sink, Trace


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
        links: Links,
    ) -> None:
        self.name = config.server_name
        self.config = config
        self.state = State.CRASHED
        self.sync_policy: SyncPolicy = sync
        self.starts = 0
        self.syncs = 0
        self.links = links
        self.rules: dict[str, Callable[..., Any]] = {}  # that stand in for Raft's own
        self.obey: Callable[[], object] = _nothing  # puts the rules where they belong
        self.on_turn: Callable[[], object] = _nothing  # after each turn of the server's
        self.on_client: Callable[[str, ClientEvent], object] = _unheard
        self._loop = loop
        self._parts = parts
        self._seed = seed
        self._sink = sink
        self._rng = Random(f"{seed}/disk")
        self.disk = parts.make_disk(Random(f"{seed}/pages"))
        self._run: Run | None = None
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
        try:
            self._run = run = Run(self, self._loop, self._parts, self._seed, self._rng)
        except StorageError as error:
            self.note("refused", text=str(error))
            self.disk.close()
            self.state = State.CRASHED
            raise
        self.state = State.UP
        for place in (self.name, "localhost"):
            listener = self._loop.network.listen(
                lambda: Connection(run), place, self.config.port, self.name
            )
            self._listeners.append(listener)
        if self.rules:
            self.obey()
        if self.config.cluster is not None:
            self.links.start(run)
        run.wake()

    def crash(self) -> None:
        """The process is killed: its memory is gone, its files and the page cache are not."""
        self.note("crash")
        for transport in self._end(silently=False):
            transport.abort()
        self.disk.close()  # the lock is gone with the process
        self.state = State.CRASHED

    def power_cut(self) -> None:
        """The machine is off: unsynced bytes may be gone, and its connections are silent."""
        self.note("power-cut")
        self._loop.network.gone[self.name] = None
        for transport in self._end(silently=True):
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
        self.links.resumed(self.name)

    def turned(self) -> None:
        """A turn of the server's is over: a group that is new must hear of the rules."""
        if self.rules:
            self.obey()
        self.on_turn()

    def wake(self) -> None:
        """The server has something to say that no event has brought."""
        if self._run is not None:
            self._run.wake()

    def replay(self, event: ClientEvent) -> None:
        """The server hears what a client said in another world."""
        if self._run is not None:
            self._run.replay(event)

    def end_replay(self) -> None:
        """The clients of that world are gone."""
        if self._run is not None:
            self._run.end_replay()

    def note(self, kind: str, **fields: str | int | bool | None) -> None:
        """One record in the world's trace."""
        self._sink(Trace(self._loop.now, self.name, kind, fields))

    @property
    def sink(self) -> Sink:
        """Where this machine's records go."""
        return self._sink

    def _end(self, *, silently: bool) -> list[Transport]:
        for listener in self._listeners:
            listener.close()
        self._listeners.clear()
        run, self._run = self._run, None
        if run is None:
            return []
        self.links.end(self.name, silently=silently)
        return run.end()


def _nothing() -> None:
    """Nobody wants to look."""


def _unheard(_host: str, _event: ClientEvent) -> None:
    """Nobody keeps what clients say."""
