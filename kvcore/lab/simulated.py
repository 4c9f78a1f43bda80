"""A cluster that is simulated in this process, in virtual time.

It is `kvcore.sim.World` with the lab's manners: it becomes the notebook's current world, its
verbs are awaited like a real cluster's, and its errors are sentences.

Left out: what its servers hold, see `kvcore.sim.views`.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from datetime import UTC, datetime
from typing import Any, Self, TypeVar

from nats.aio.client import Client

from kvcore import limits
from kvcore.lab.cluster import Cluster, NotInThisWorld, ServerCard, Swap
from kvcore.lab.shell import SHELL
from kvcore.sim import drive
from kvcore.sim.loop import VirtualLoop
from kvcore.sim.views import META, View
from kvcore.sim.world import World

T = TypeVar("T")


class SimulatedCluster(Cluster):
    """One seed, one clock, and servers that only exist here."""

    world = "sim"

    def __init__(self, simulation: World) -> None:
        super().__init__()
        self.simulation = simulation

    @classmethod
    def current(
        cls,
        servers: int,
        seed: int,
        *,
        engine: str = "file",
        stall_seconds: float = limits.STALL_WALL_NS / limits.SECOND_NS,
        stall_hours: float = limits.STALL_VIRTUAL_NS / limits.HOUR_NS,
        **options: Any,
    ) -> Self:
        """A new world that becomes the current one; the former is left.

        A statement may take `stall_seconds` of real time, or wait for `stall_hours` of
        virtual time in which nothing but keep-alives happens; then `SimulationStalled`.
        """
        if engine != "file":
            raise NotInThisWorld(
                f"Simulated servers have no engine {engine!r}, only their own disk that forgets. "
                f'Cluster.processes({servers}, flags=("--engine", "{engine}")) has.'
            )
        running = asyncio._get_running_loop()  # noqa: SLF001 - None outside a loop
        loop = running if isinstance(running, VirtualLoop) and _is_script(running) else None
        if running is not None and not isinstance(running, VirtualLoop) and not SHELL.is_notebook():
            raise NotInThisWorld(
                "This code runs on a real event loop, where virtual time can't be had. "
                "Start it with kvcore.lab.run(main)."
            )
        SHELL.leave()
        world = World(servers, seed, loop=loop, **options)
        world.loop.stall_virtual_ns = round(stall_hours * limits.HOUR_NS)
        if loop is None:
            world.loop.stall_wall_ns = round(stall_seconds * limits.SECOND_NS)
        SHELL.enter(world)
        return cls(world)

    def __repr__(self) -> str:
        if self.simulation.closed:
            return f"Cluster sim · seed {self.simulation.seed} · closed"
        cards = ", ".join(map(repr, self.servers))
        count = len(self.clients)
        clients = f"{count} client{'s' if count != 1 else ''}"
        moment = self.now().isoformat(" ", "milliseconds").removesuffix("+00:00")
        return f"Cluster sim · seed {self.simulation.seed} · {cards} · {clients} · {moment} UTC"

    @property
    def servers(self) -> Sequence[ServerCard]:
        """A status line for each simulated machine."""
        return [
            ServerCard(host.name, url, lambda host=host: host.state.value)  # type: ignore[misc]
            for host, url in zip(self.simulation.hosts.values(), self.simulation.urls, strict=True)
        ]

    async def connect(self, **options: Any) -> Client:
        """nats-py's own client, on the world's loop."""
        if self.simulation.closed:
            raise NotInThisWorld(
                "This cluster is closed: opening another one left it. "
                "Open it again with the cell that made it: cluster = Cluster.open(…)."
            )
        if asyncio.get_running_loop() is not self.simulation.loop:
            raise NotInThisWorld(
                "This runs outside the simulated world. In a notebook make the cluster in a "
                "statement of its own; in a function that a button calls use cluster.call(...)."
            )
        return await self.simulation.connect(**options)

    @property
    def clients(self) -> list[Client]:
        """The clients that `connect` made and that are not closed."""
        return self.simulation.clients

    def now(self) -> datetime:
        """The virtual date; it stands still between statements."""
        return datetime.fromtimestamp(self.simulation.now // 1000 / 1_000_000, UTC)

    def trace_text(self) -> str:
        """All that happened in this world, one record a line."""
        return self.simulation.trace_text()

    def call(self, coroutine: Coroutine[Any, Any, T]) -> Any:
        """Runs it now and gives its value, or after the statement that runs."""
        return SHELL.call(self.simulation, coroutine)

    def close(self) -> None:
        """Ends the world: what runs in it is cancelled, after the running statement."""
        if SHELL.world is self.simulation:
            SHELL.leave()
        elif not self.simulation.loop.is_running():
            self.simulation.close()

    async def crash(self, name: str | None = None) -> None:
        """The process is gone; what the page cache holds stays."""
        self.simulation.crash(name)

    async def restart(self, name: str | None = None) -> None:
        """Power on, if it was off, and the server starts; ready when this returns."""
        self.simulation.restart(name)
        await self.simulation.ready()

    async def pause(self, name: str | None = None) -> None:
        """The process stops where it is."""
        self.simulation.pause(name)

    async def resume(self, name: str | None = None) -> None:
        """The process goes on."""
        self.simulation.resume(name)

    async def power_cut(self, name: str | None = None) -> None:
        """The machine goes dark; what was not synced may be gone."""
        self.simulation.power_cut(name)

    async def partition(self, *groups: Sequence[str]) -> None:
        """Silence between the groups, for servers and for clients that are named."""
        self.simulation.partition(*groups)

    async def cut(self, sender: str, to: str) -> None:
        """What the one sends to the other is lost."""
        self.simulation.cut(sender, to)

    async def heal(self) -> None:
        """Links that lost something are made anew."""
        self.simulation.heal()

    async def step_down(self, bucket: str, to: str = "") -> None:
        """The leader hands over, whether a client could ask it to or not."""
        self.simulation.step_down(_group(bucket), to)

    async def leader(self, bucket: str) -> str:
        """The running server that leads in the latest term, wherever clients can reach."""
        return self.simulation.leader(_group(bucket))

    def views(self, bucket: str) -> list[View]:
        """Each server's part in a bucket, as nobody outside a simulator can see it: role, term,
        vote, log and timer. `_meta_` names the group that places buckets."""
        return self.simulation.views(_group(bucket))

    def swap(self, name: str, **rules: Callable[..., Any]) -> Swap:
        """Your functions decide in one server, through its restarts, until `undo`."""
        return self.simulation.swap(name, **rules)

    async def rewind(self, moment: float) -> "SimulatedCluster":
        """A world that has lived through the same up to `moment` seconds, and is current now.

        Its servers know all that they knew then. Clients are not brought along.
        """
        again = await self.simulation.rewind(round(moment * limits.SECOND_NS))
        if SHELL.world is self.simulation:
            SHELL.enter(again)
        return SimulatedCluster(again)

    async def __aenter__(self) -> Self:
        if asyncio.get_running_loop() is not self.simulation.loop:
            self.close()
            raise NotInThisWorld(
                "`async with Cluster.sim()` can't work at the top level of a cell: a statement "
                "can't change the loop it runs on. Write `cluster = Cluster.sim()` on a line of "
                "its own; making another cluster, or cluster.close(), ends it."
            )
        return self


def _group(bucket: str) -> str:
    return bucket if bucket == META else f"KV_{bucket}"


_scripts: dict[VirtualLoop, None] = {}


def _is_script(loop: VirtualLoop) -> bool:
    return loop in _scripts


def run(main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Runs a script's `main` in virtual time; see `kvcore.lab.run`."""
    loop = VirtualLoop()
    loop.stall_wall_ns = math.inf  # type: ignore[assignment]
    _scripts[loop] = None
    try:
        return drive.run(loop, main())
    finally:
        SHELL.leave()
        drive.drain(loop)
        loop.close()
        del _scripts[loop]


def run_apart(
    main: Callable[[Cluster], Awaitable[T]], *, seed: int, servers: int = 1, **options: Any
) -> T:
    """Runs `main(cluster)` in a world of its own; see `kvcore.lab.cluster.run_apart`."""
    world = World(servers, seed, **options)

    async def body() -> T:
        return await main(SimulatedCluster(world))

    try:
        return world.run(body())
    finally:
        world.close()
