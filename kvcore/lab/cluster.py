"""One cluster, whichever world it lives in, as a notebook sees it.

    cluster = Cluster.open(servers=1, seed=1)
    client = await cluster.connect()            # nats-py's own client

`open` takes the world from KVCORE_WORLD: `sim` (the default), `processes`, `docker`, or `nats`,
the original: the servers at NATS_URL, or without it nats-server processes on this machine (also
`nats-processes`). All that a client can do is the same in each. What befalls servers are verbs,
all awaited: `crash`, `restart`, `pause`, `resume`, `power_cut`, `disconnect(client)`; what
befalls their network: `partition`, `cut`, `heal`. `leader` and `replicas` say who has a bucket,
`step_down` makes its leader hand over. A world that lacks a verb raises `NotInThisWorld`; `can`
lists what it has. A lesson's cell that can't run in a world says so (`skips.py`).

One world is current: making another leaves the first. `close` leaves it for none.

Left out: how each verb is done; each world has a file for that.
"""

import asyncio
import os
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from datetime import UTC, datetime
from typing import Any, NoReturn, Protocol, Self, TypeVar

from nats.aio.client import Client

from kvcore.lab import replicas
from kvcore.lab.replicas import Replica
from kvcore.sim.errors import NotInThisWorld, SimulationStalled
from kvcore.sim.world import disconnect

__all__ = ["Cluster", "NotInThisWorld", "SimulationStalled", "run", "run_apart"]

T = TypeVar("T")
_VERBS = (
    *("crash", "restart", "pause", "resume", "power_cut", "partition", "cut", "heal"),
    *("step_down", "swap", "rewind", "disconnect", "shell"),
)
_OURS = "Cluster.processes(3), Cluster.nats_processes(3)"
_ANY_BUT_A_URL = f"Cluster.sim(), {_OURS} and Cluster.docker(3)"
_REAL = f"{_OURS}, Cluster.docker(3) and Cluster.nats(url)"
_WHO_CAN = {
    "crash": _ANY_BUT_A_URL,
    "restart": _ANY_BUT_A_URL,
    "pause": _ANY_BUT_A_URL,
    "resume": _ANY_BUT_A_URL,
    "power_cut": "Cluster.sim() and Cluster.processes(3)",
    "partition": "Cluster.sim(), Cluster.processes(3) and Cluster.docker(3)",
    "cut": "Cluster.sim()",
    "heal": "Cluster.sim(), Cluster.processes(3) and Cluster.docker(3)",
    "swap": "Cluster.sim()",
    "rewind": "Cluster.sim()",
    "shell": _REAL,
    "said": _REAL,
    "output": _REAL,
}


class Swap(Protocol):
    """Rules that stand in for a server's own; the end of a `with` takes them out, too."""

    def undo(self) -> None:
        """The server's own rules are in force again."""

    def __enter__(self) -> Self:
        """Nothing more to do."""

    def __exit__(self, *_error: object) -> None:
        """As `undo`."""


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

    # The ways to have one.

    @staticmethod
    def open(servers: int = 1, seed: int = 1) -> "Cluster":
        """The world that KVCORE_WORLD names; without it, sim."""
        world = os.environ.get("KVCORE_WORLD", "sim")
        if world == "sim":
            return Cluster.sim(servers=servers, seed=seed)
        if world == "processes":
            return Cluster.processes(servers)
        if world == "docker":
            return Cluster.docker(servers)
        url = os.environ.get("NATS_URL", "")
        if world == "nats-processes" or (world == "nats" and not url):
            return Cluster.nats_processes(servers)
        if world == "nats":
            return Cluster.nats(url)
        known = "sim, processes, docker, nats-processes and nats"
        raise ValueError(f"KVCORE_WORLD is {world!r}; it knows {known}")

    @staticmethod
    def beside(servers: int = 1) -> "Cluster":
        """Real servers for `shell`, beside the current world: nats-servers where
        KVCORE_WORLD names them, else kvcore's own."""
        if os.environ.get("KVCORE_WORLD", "sim") in ("nats", "nats-processes"):
            return Cluster.nats_processes(servers, beside=True)
        return Cluster.processes(servers, beside=True)

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
    def docker(servers: int = 3, *, image: str = "kvcore", **options: Any) -> "Cluster":
        """Servers in containers, which end with this kernel: kvcore's, or with "nats" the original.

        Builds the image when the engine has none, and says so. Raises `NoEngineError`.
        """
        from kvcore.lab.containers import DockerCluster

        return DockerCluster(servers, image=image, **options)

    @staticmethod
    def nats_processes(servers: int = 1, *, beside: bool = False, **options: Any) -> "Cluster":
        """Real nats-server processes on this machine, which end with this kernel.

        Raises `NoNatsServer` where the program is not installed.
        """
        from kvcore.lab.nats_processes import NatsProcessCluster

        return NatsProcessCluster(servers, beside=beside, **options)

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
        return tuple(verb for verb in _VERBS if not self.lacking(verb))

    def lacking(self, verb: str) -> str:
        """Why this world doesn't have the verb, in a sentence; empty when it has."""
        if verb not in _WHO_CAN or getattr(type(self), verb) is not vars(Cluster)[verb]:
            return ""
        return f"This world ({self.world}) has no {verb}; {_WHO_CAN[verb]} can."

    async def connect(self, **options: Any) -> Client:
        """nats-py's own client, connected to this cluster; options are `nats.connect`'s."""
        options.setdefault("servers", self.urls)
        options.setdefault("error_cb", _quiet)
        client = self._new_client()
        await client.connect(**options)
        self._clients.append(client)
        return client

    def _new_client(self) -> Client:
        return Client()

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

    async def partition(self, *groups: Sequence[str]) -> None:
        """Takes the network apart: what is in different groups hears nothing of each other.

        Groups name servers; those that none names are one group more. A client reaches every
        server, unless a group names it, too, by the name that it connected with.
        """
        self._lacks("partition", groups)

    async def cut(self, sender: str, to: str) -> None:
        """Loses what one server sends to another; the way back stays open."""
        self._lacks("cut", sender, to)

    async def heal(self) -> None:
        """Makes the network whole again."""
        self._lacks("heal")

    def swap(self, name: str, **rules: Callable[..., Any]) -> "Swap":
        """Puts your own functions in the place of rules of one server's Raft.

        As `swap("n2", can_grant_vote=mine)`; `undo` of what it returns, or the end of its
        `with`, takes them out again.
        """
        self._lacks("swap", name, rules)

    async def rewind(self, moment: float) -> "Cluster":
        """The same world, so many seconds after its start: its servers live through it again."""
        self._lacks("rewind", moment)

    # A bucket's replicas.

    async def leader(self, bucket: str) -> str:
        """The server that leads a bucket, as most servers say; empty when none does, or none
        can be asked. The simulator looks: it is who leads in the latest term."""
        return await replicas.leader(self, bucket)

    async def replicas(self, bucket: str) -> list[Replica]:
        """Who has the bucket, by name, and how far each has come, as its leader sees it."""
        return await replicas.replicas(self, bucket)

    async def step_down(self, bucket: str, to: str = "") -> None:
        """The bucket's leader hands over, to the server named or to any that is up to date."""
        await replicas.step_down(self, bucket, to)

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

    def _lacks(self, verb: str, *_given: object) -> NoReturn:
        raise NotInThisWorld(self.lacking(verb))

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
