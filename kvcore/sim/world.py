"""A whole world in one process: servers, disks, links and clients on one virtual clock.

    async def main():
        client = await world.connect()          # nats-py's own client
        ...
    with World(seed=7) as world:
        world.run(main())

Everything that happens is decided by the seed and by the code that is run: delays, sync
times, what a power cut leaves on a disk, the names that clients make up. So two runs give
the same trace, byte for byte, in any process (`trace_text`).

Several worlds may exist at once, each with its own loop; checks run in worlds of their own.
A server listens as `nats://n1:4222`, and also where clients look by default, `localhost`.

Several servers are one cluster, linked each to each. A network can come apart (`partition`,
`cut`) and be whole again (`heal`); clients stay connected unless they are named, too.

Left out: faults by the dozen, see `nemesis.py`.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from random import Random
from typing import Any, Self, TypeVar

import nats
from nats.aio.client import Client

from kvcore import limits
from kvcore.limits import Nanos
from kvcore.node.config import ClusterConfig, NodeConfig
from kvcore.node.node import Node
from kvcore.sim import drive
from kvcore.sim.arrows import PeerTrace
from kvcore.sim.client import PATCH
from kvcore.sim.disk import SimulatedDisk
from kvcore.sim.host import Host, State
from kvcore.sim.links import Links, Pair
from kvcore.sim.loop import VirtualLoop
from kvcore.sim.run import Parts, SyncPolicy
from kvcore.storage.appendfile import AppendFile
from kvcore.storage.base import Storage
from kvcore.storage.memory import MemoryStorage
from kvcore.trace import Trace

T = TypeVar("T")
_CLUSTER_NAME = "sim"
_FIRST_PORT = 4222
_SETTLE_SECONDS = 0.0005
_ID_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"


def _engines(disk: SimulatedDisk) -> dict[str, Storage]:
    return {"file": AppendFile(disk), "memory": MemoryStorage()}


PARTS = Parts(make_node=Node, make_engines=_engines)


class World:
    """Simulated servers, running from the moment the world is made."""

    def __init__(
        self,
        servers: int = 1,
        seed: int = 1,
        *,
        sync: SyncPolicy = "always",
        names: Sequence[str] = (),
        configure: Callable[[NodeConfig], NodeConfig] = lambda config: config,
        parts: Parts = PARTS,
        loop: VirtualLoop | None = None,
    ) -> None:
        self.seed = seed
        self.loop = loop or VirtualLoop(seed)
        self.records: deque[Trace] = deque(maxlen=limits.TRACE_RECORDS_COUNT)
        self.closed = False
        self.owns_loop = loop is None
        self.loop.reseed(seed)
        self.links = Links(self.loop, f"{seed}/links", PeerTrace(self.loop, self.records.append))
        self._clients: list[Client] = []
        self._apart: dict[Pair, None] = {}  # servers and clients, by a partition
        self._one_way: dict[Pair, None] = {}
        names = names or [f"n{number + 1}" for number in range(servers)]
        PATCH.install()
        self.hosts: dict[str, Host] = {}
        for number, name in enumerate(names):
            host_seed = f"{seed}/{number}"
            config = NodeConfig(
                server_name=name,
                server_id=_server_id(Random(f"{host_seed}/id")),
                host=name,
                port=_FIRST_PORT + number,
                cluster=ClusterConfig(_CLUSTER_NAME, len(names)) if len(names) > 1 else None,
            )
            self.hosts[name] = Host(
                self.loop,
                configure(config),
                parts,
                seed=host_seed,
                sync=sync,
                sink=self.records.append,
                links=self.links,
            )
        for host in self.hosts.values():
            host.start()
        if not self.loop.is_running():
            self.run(self.ready())

    def __repr__(self) -> str:
        state = ", ".join(f"{name} {host.state.value}" for name, host in self.hosts.items())
        return f"World(seed={self.seed}: {'closed' if self.closed else state})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    # Running code in it.

    @property
    def now(self) -> Nanos:
        """The world's date, in nanoseconds since the Unix epoch."""
        return self.loop.now

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Runs the coroutine to its end in this world, from wherever the caller runs."""
        return drive.run(self.loop, coroutine)

    async def ready(self) -> None:
        """Returns when every server that runs has done what it does at its start."""
        while any(  # noqa: ASYNC110 - virtual time: asking again costs nothing
            host.state is State.UP and host.busy for host in self.hosts.values()
        ):
            await asyncio.sleep(_SETTLE_SECONDS)

    async def connect(self, **options: Any) -> Client:
        """nats-py's own client, connected to this world's servers; options are nats-py's."""
        if asyncio.get_running_loop() is not self.loop:
            raise RuntimeError("This runs outside the world's own loop; use world.run(...).")
        await self.ready()
        options.setdefault("servers", self.urls)
        options.setdefault("error_cb", self._client_error)
        client = await nats.connect(**options)
        self._clients.append(client)
        return client

    @property
    def urls(self) -> list[str]:
        """Where the servers listen, whether they are up or not."""
        return [f"nats://{host.name}:{host.config.port}" for host in self.hosts.values()]

    @property
    def clients(self) -> list[Client]:
        """The clients that `connect` made and that are not closed."""
        self._clients = [client for client in self._clients if not client.is_closed]
        return list(self._clients)

    async def _client_error(self, error: Exception) -> None:
        """nats-py would print it; here it belongs in the trace."""
        text = type(error).__name__
        self.records.append(Trace(self.now, "client", "error", {"error": text}))

    def trace_text(self) -> str:
        """Every record so far, one a line; the same for the same seed and code."""
        return "".join(record.line() + "\n" for record in self.records)

    # What can befall it.

    def crash(self, name: str | None = None) -> None:
        """The server's process is killed; its disk keeps what it wrote."""
        self._running(name).crash()

    def restart(self, name: str | None = None) -> None:
        """Starts a server that is down; one that runs is killed first."""
        host = self.host(name)
        if host.state in (State.UP, State.PAUSED):
            host.crash()
        host.start()

    def pause(self, name: str | None = None) -> None:
        """The server's process stops; its connections stay open and silent."""
        host = self._running(name)
        if host.state is State.UP:
            host.pause()

    def resume(self, name: str | None = None) -> None:
        """A paused server goes on."""
        host = self._running(name)
        if host.state is State.PAUSED:
            host.resume()

    def power_cut(self, name: str | None = None) -> None:
        """The machine loses its power; what was not synced may be gone."""
        self._running(name).power_cut()

    def partition(self, *groups: Sequence[str]) -> None:
        """The network comes apart: what is in different groups hears nothing of each other.

        Groups name servers, and clients by the name that they connect with. Servers that no
        group names are one group more; clients that none names reach every server. What an
        earlier call has cut is whole again, one-way cuts aside.
        """
        pieces = [list(group) for group in groups]
        named = [name for piece in pieces for name in piece]
        if len(dict.fromkeys(named)) < len(named):
            raise ValueError("a server or client can't be in two groups")
        pieces.append([name for name in self.hosts if name not in named])
        self._apart = {
            (one, other): None
            for piece in pieces
            for one in piece
            for others in pieces
            for other in others
            if others is not piece
        }
        text = " | ".join(" ".join(piece) for piece in pieces if piece)
        self.note("partition", groups=text)
        self._cut()

    def cut(self, sender: str, to: str) -> None:
        """What the one server sends to the other is lost from now on; the way back is open."""
        self._one_way[self.host(sender).name, self.host(to).name] = None
        self.note("cut", sender=sender, to=to)
        self._cut()

    def heal(self) -> None:
        """The network is whole again."""
        self._apart, self._one_way = {}, {}
        self.note("heal")
        self._cut()

    def _cut(self) -> None:
        servers = {pair: None for pair in self._apart if all(name in self.hosts for name in pair)}
        clients = {pair: None for pair in self._apart if pair[0] not in self.hosts}
        self.links.cut(servers | self._one_way)
        self.loop.network.cut({pair: None for pair in clients if pair[1] in self.hosts})

    def note(self, kind: str, **fields: str | int | bool | None) -> None:
        """One record in the trace, of something that no server has done."""
        self.records.append(Trace(self.now, "world", kind, fields))

    def host(self, name: str | None = None) -> Host:
        """A machine by its server's name; the only one, if there is one."""
        if name is None and len(self.hosts) == 1:
            return next(iter(self.hosts.values()))
        if name not in self.hosts:
            raise ValueError(f"no server {name!r}; there are {', '.join(self.hosts)}")
        return self.hosts[name]

    def _running(self, name: str | None) -> Host:
        host = self.host(name)
        if host.state in (State.CRASHED, State.DARK):
            raise ValueError(f"{host.name} is {host.state.value}; restart it first")
        return host

    # Leaving it.

    def close(self) -> None:
        """Ends the world: cancels and awaits all that runs in it. Closing again does nothing."""
        if self.closed:
            return
        self.closed = True
        try:
            for host in self.hosts.values():
                if host.node is not None:
                    host.crash()
            self.loop.network.close()
            drive.drain(self.loop)
        finally:
            if self.owns_loop:
                self.loop.close()
            PATCH.remove()


def _server_id(rng: Random) -> str:
    return "N" + "".join(rng.choice(_ID_LETTERS) for _ in range(55))


def disconnect(client: Client) -> None:
    """Breaks a client's connection under it, as a network would; it will connect again."""
    writer = getattr(client._transport, "_io_writer", None)  # noqa: SLF001 - no public way
    if writer is not None:
        writer.transport.abort()
