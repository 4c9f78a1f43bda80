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
from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import partial
from random import Random
from typing import Any, Self, TypeVar

import nats
from nats.aio.client import Client

from kvcore import limits
from kvcore.limits import Nanos
from kvcore.node.config import ClusterConfig, NodeConfig
from kvcore.node.node import Node
from kvcore.sim import drive
from kvcore.sim.arrows import Records
from kvcore.sim.client import PATCH
from kvcore.sim.disk import SimulatedDisk
from kvcore.sim.faults import Faults
from kvcore.sim.host import Host, State
from kvcore.sim.journal import ClientEvent, Journal, Said
from kvcore.sim.links import Links, Pair
from kvcore.sim.loop import VirtualLoop
from kvcore.sim.run import Parts, SyncPolicy
from kvcore.sim.views import META, View, leader_of, names_of, obey_rules, view
from kvcore.storage.appendfile import AppendFile
from kvcore.storage.base import Storage
from kvcore.storage.memory import MemoryStorage
from kvcore.trace import Trace

T = TypeVar("T")
_CLUSTER_NAME = "sim"
_FIRST_PORT = 4222
_SETTLE_SECONDS = 0.0005
_ELECTION_SECONDS = 5.0  # what a new cluster's first election may take
_ELECTION_NS = round(_ELECTION_SECONDS * limits.SECOND_NS)
_ID_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"


def _engines(disk: SimulatedDisk) -> dict[str, Storage]:
    return {"file": AppendFile(disk), "memory": MemoryStorage()}


PARTS = Parts(make_node=Node, make_engines=_engines)


class World(Faults):
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
        self.journal = Journal()
        self._began = self.loop.elapsed
        self._settings: dict[str, Any] = {
            "servers": servers,
            "seed": seed,
            "sync": sync,
            "names": names,
            "configure": configure,
            "parts": parts,
        }
        self.records = Records(self.loop, self._group_name)
        self._group_names: dict[int, str] = {}
        self.closed = False
        self.owns_loop = loop is None
        self.loop.reseed(seed)
        self._network = self.loop.network  # of this world; the loop may see another one
        self.links = Links(self.loop, f"{seed}/links", self.records)
        self._clients: list[Client] = []
        self._apart: dict[Pair, None] = {}  # servers and clients, by a partition
        self._one_way: dict[Pair, None] = {}
        self._has_led = False  # the cluster as a whole has begun
        PATCH.install()
        self.hosts = self._machines(tuple(names) or tuple(f"n{n + 1}" for n in range(servers)))
        for host in self.hosts.values():
            host.start()
        if not self.loop.is_running():
            self.run(self.ready())

    def _machines(self, names: tuple[str, ...]) -> dict[str, Host]:
        cluster = ClusterConfig(_CLUSTER_NAME, len(names), names) if len(names) > 1 else None
        settings, hosts = self._settings, {}
        for number, name in enumerate(names):
            seed = f"{self.seed}/{number}"
            config = NodeConfig(
                server_name=name,
                server_id=_server_id(Random(f"{seed}/id")),
                host=name,
                port=_FIRST_PORT + number,
                cluster=cluster,
            )
            hosts[name] = Host(
                self.loop,
                settings["configure"](config),
                settings["parts"],
                seed=seed,
                sync=settings["sync"],
                sink=self.records.append,
                links=self.links,
            )
            hosts[name].on_client = self._heard
            hosts[name].obey = partial(obey_rules, hosts[name])
        return hosts

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
        """Returns when every server that runs has done what it does at its start, and when a
        new cluster has elected who leads it."""
        while any(  # noqa: ASYNC110 - virtual time: asking again costs nothing
            host.state is State.UP and host.busy for host in self.hosts.values()
        ):
            await asyncio.sleep(_SETTLE_SECONDS)
        patience = self.elapsed + _ELECTION_NS
        while not self._has_led and self.elapsed < patience:
            self._has_led = not self._is_cluster or self.leader(META) != ""
            await asyncio.sleep(0 if self._has_led else _ELECTION_SECONDS / 100)

    @property
    def _is_cluster(self) -> bool:
        nodes = [host.node for host in self.hosts.values()]
        return any(isinstance(node, Node) and node.config.cluster is not None for node in nodes)

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

    # Looking, and living through it again.

    @property
    def elapsed(self) -> Nanos:
        """How long the world has existed."""
        return self.loop.elapsed - self._began

    @property
    def machines(self) -> Mapping[str, Host]:
        """The hosts, for a replay."""
        return self.hosts

    async def rewind(self, moment: Nanos) -> "World":
        """Another world that has lived through the same up to `moment`, without clients."""
        if self.owns_loop:
            again = World(**self._settings)
            again.run(self.journal.replay(again, moment))
        else:
            again = World(**self._settings, loop=self.loop)
            await self.journal.replay(again, moment)
        return again

    def views(self, group: str) -> list[View]:
        """Each server's part in a group, by the servers' names; `_meta_` is a group, too."""
        found = [view(host, group) for host in self.hosts.values()]
        return [each for each in found if each is not None]

    def leader(self, group: str) -> str:
        """The running server that leads a group, in the latest term; "" if none does."""
        host = leader_of(self.hosts.values(), group)
        return host.name if host is not None else ""

    def note(self, kind: str, **fields: str | int | bool | None) -> None:
        """One record in the trace, of something that no server has done."""
        self.records.append(Trace(self.now, "world", kind, fields))

    def _group_name(self, gid: int) -> str:
        if gid not in self._group_names:
            self._group_names |= names_of(self.hosts.values())
        return self._group_names.get(gid, f"group {gid}")

    def _heard(self, host: str, event: ClientEvent) -> None:
        self.journal.keep(Said(self.elapsed, host, event))

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
            self._network.close()
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
