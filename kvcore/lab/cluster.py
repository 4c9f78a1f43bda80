"""One cluster, whichever world it lives in, as a notebook sees it.

    cluster = Cluster.open(servers=1, seed=1)
    client = await cluster.connect()            # nats-py's own client

`open` takes the world from KVCORE_WORLD: `sim` (the default), `processes`, or `nats` with
NATS_URL. All that a client can do is the same in each. What befalls servers are verbs, all
awaited: `crash`, `restart`, `pause`, `resume`, `power_cut`, `disconnect(client)`. A world
that lacks one raises `NotInThisWorld`; `can` lists what it has.

One world is current: making another leaves the first. `close` leaves it for none.

Left out: what only a group of servers has (partition, heal); that comes with replication.
"""

import asyncio
import os
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from datetime import UTC, datetime
from typing import Any, NoReturn, Self, TypeVar

import nats
from nats.aio.client import Client

from kvcore.sim.errors import NotInThisWorld, SimulationStalled
from kvcore.sim.world import disconnect

__all__ = ["Cluster", "NotInThisWorld", "SimulationStalled", "run", "run_apart"]

T = TypeVar("T")
_VERBS = ("crash", "restart", "pause", "resume", "power_cut", "disconnect", "shell")
_WHO_CAN = {
    "crash": "Cluster.sim() and Cluster.processes(1)",
    "restart": "Cluster.sim() and Cluster.processes(1)",
    "pause": "Cluster.sim() and Cluster.processes(1)",
    "resume": "Cluster.sim() and Cluster.processes(1)",
    "power_cut": "Cluster.sim()",
    "shell": "Cluster.processes(1) and Cluster.nats(url)",
    "said": "Cluster.processes(1) and Cluster.nats(url)",
    "output": "Cluster.processes(1) and Cluster.nats(url)",
}


class ServerCard:
    """One server as the cluster sees it; its repr is a status line."""

    def __init__(self, name: str, url: str, status: Callable[[], str]) -> None:
        self.name = name
        self.url = url
        self._status = status

    @property
    def status(self) -> str:
        """What the server is doing: "up", "paused", "crashed", …"""
        return self._status()

    def __repr__(self) -> str:
        return f"{self.name} {self.status}"


class Cluster(ABC):
    """Servers in some world, and nats-py on them."""

    world: str  # the name that KVCORE_WORLD has for it

    def __init__(self) -> None:
        self._clients: list[Client] = []

    # The four ways to have one.

    @staticmethod
    def open(servers: int = 1, seed: int = 1) -> "Cluster":
        """The world that KVCORE_WORLD names: sim (the default), processes, or nats."""
        world = os.environ.get("KVCORE_WORLD", "sim")
        if world == "sim":
            return Cluster.sim(servers=servers, seed=seed)
        if world == "processes":
            return Cluster.processes(servers)
        if world == "nats":
            return Cluster.nats(os.environ.get("NATS_URL", "nats://127.0.0.1:4222"))
        raise ValueError(f"KVCORE_WORLD is {world!r}; it knows sim, processes and nats")

    @staticmethod
    def sim(servers: int = 1, seed: int = 1, **options: Any) -> "Cluster":
        """Simulated servers in virtual time, in this process; options are `World`'s."""
        from kvcore.lab.simulated import SimulatedCluster

        return SimulatedCluster.current(servers, seed, **options)

    @staticmethod
    def processes(servers: int = 1, *, beside: bool = False, **options: Any) -> "Cluster":
        """Real server processes on this machine, which end with this kernel.

        With `beside` the current world stays current: for cells that only call `shell`.
        """
        from kvcore.lab.processes import ProcessCluster

        return ProcessCluster(servers, beside=beside, **options)

    @staticmethod
    def nats(url: str = "nats://127.0.0.1:4222") -> "Cluster":
        """A NATS server or cluster that runs already, wherever it is."""
        from kvcore.lab.remote import NatsCluster

        return NatsCluster(url)

    # What every world has.

    @property
    @abstractmethod
    def servers(self) -> Sequence[ServerCard]:
        """A status line for each server."""

    @property
    def urls(self) -> list[str]:
        """Where the servers listen."""
        return [server.url for server in self.servers]

    @property
    def can(self) -> tuple[str, ...]:
        """The verbs that this world has."""
        ours = vars(Cluster)
        lacking = [verb for verb in _WHO_CAN if getattr(type(self), verb) is ours[verb]]
        return tuple(verb for verb in _VERBS if verb not in lacking)

    async def connect(self, **options: Any) -> Client:
        """nats-py's own client, connected to this cluster; options are `nats.connect`'s."""
        options.setdefault("servers", self.urls)
        options.setdefault("error_cb", _quiet)
        client = await nats.connect(**options)
        self._clients.append(client)
        return client

    @property
    def clients(self) -> list[Client]:
        """The clients that `connect` made and that are not closed."""
        self._clients = [client for client in self._clients if not client.is_closed]
        return list(self._clients)

    def now(self) -> datetime:
        """The world's own time."""
        return datetime.now(UTC)

    @abstractmethod
    def call(self, coroutine: Coroutine[Any, Any, T]) -> Any:
        """Runs a coroutine in the world, from a button or any other plain function.

        While a cell's statement runs, the call waits for its end and returns None.
        """

    @abstractmethod
    def close(self) -> None:
        """Leaves the world; what ran in it is over."""

    async def disconnect(self, client: Client) -> None:
        """Breaks the client's connection under it; the client will connect again."""
        disconnect(client)

    # What some worlds have.

    async def crash(self, name: str | None = None) -> None:
        """Kills a server's process, as `kill -9` does."""
        self._lacks("crash", name)

    async def restart(self, name: str | None = None) -> None:
        """Starts a server that is down; one that runs is ended first."""
        self._lacks("restart", name)

    async def pause(self, name: str | None = None) -> None:
        """Stops a server's process where it is; its connections stay open."""
        self._lacks("pause", name)

    async def resume(self, name: str | None = None) -> None:
        """Lets a paused server go on."""
        self._lacks("resume", name)

    async def power_cut(self, name: str | None = None) -> None:
        """Takes a machine's power; what was not synced may be gone."""
        self._lacks("power_cut", name)

    def shell(self, command: str) -> None:
        """Runs a command line with the `nats` CLI on this cluster, and prints what it says.

        Times, ids and ports are masked, so that every run prints the same text.
        """
        self._lacks("shell", command)

    def said(self, command: str) -> str:
        """The text that `shell` prints."""
        self._lacks("said", command)

    def output(self, command: str) -> bytes:
        """What a command line writes to standard output, byte for byte and unmasked."""
        self._lacks("output", command)

    def _lacks(self, verb: str, _what: str | None) -> NoReturn:
        raise NotInThisWorld(f"This world ({self.world}) has no {verb}; {_WHO_CAN[verb]} can.")

    # One statement.

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        for client in self.clients:
            await client.close()
        self.close()


async def _quiet(_error: Exception) -> None:
    """nats-py would print each failed attempt to reconnect."""


def run(main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Runs `main` where there is no notebook: its Cluster.open(...) works as in a cell."""
    from kvcore.lab import remote, simulated

    if os.environ.get("KVCORE_WORLD", "sim") == "sim":
        return simulated.run(main)
    return asyncio.run(remote.to_the_end(main))


def run_apart(
    main: Callable[[Cluster], Awaitable[T]], *, seed: int, servers: int = 1, **options: Any
) -> T:
    """Runs `main(cluster)` in a simulated world of its own, without leaving the current one."""
    from kvcore.lab import simulated

    return simulated.run_apart(main, seed=seed, servers=servers, **options)
