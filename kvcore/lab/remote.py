"""Clusters whose servers are real: what the two kinds of them share, and NATS by its URL.

Here time is real and the kernel's own event loop runs the client. What a production NATS
lacks is every verb that would break it for others.

Left out: TLS and credentials, which `connect(**options)` passes on to nats-py.
"""

import asyncio
import sys
import threading
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

from nats.aio.client import Client

from kvcore.lab import terminal
from kvcore.lab.cluster import Cluster, NotInThisWorld, ServerCard
from kvcore.lab.overheard import Overheard
from kvcore.lab.shell import SHELL
from kvcore.lab.skips import Skipper
from kvcore.sim.loop import VirtualLoop

T = TypeVar("T")


class RealCluster(Cluster):
    """Real servers, on the kernel's own loop."""

    def __init__(self, *, beside: bool = False) -> None:
        super().__init__()
        self._overheard = Overheard()
        loop = asyncio._get_running_loop()  # noqa: SLF001 - None outside a loop
        self._loop = None if isinstance(loop, VirtualLoop) else loop
        if not beside:
            SHELL.become(self, Skipper(self))

    async def connect(self, **options: Any) -> Any:
        """nats-py's own client, on the kernel's loop."""
        loop = asyncio.get_running_loop()
        if isinstance(loop, VirtualLoop):
            raise NotInThisWorld(
                "This statement runs in a simulated world, which has no real sockets. "
                "Leave it first (cluster.close()), or make this cluster without beside=True."
            )
        self._loop = loop
        return await super().connect(**options)

    def _new_client(self) -> Client:
        return self._overheard.client()

    def trace_text(self) -> str:
        """What this notebook's clients said and heard, in the words of the simulator's trace."""
        return self._overheard.text()

    def call(self, coroutine: Coroutine[Any, Any, T]) -> Any:
        """Starts it on the kernel's loop; gives the task (or future) and doesn't wait."""
        loop = self._loop or SHELL.kernel_loop
        if loop is None or loop.is_closed():
            coroutine.close()
            raise RuntimeError("connect to the cluster first, then call")
        if threading.current_thread() is threading.main_thread() and loop.is_running():
            return loop.create_task(coroutine)
        return asyncio.run_coroutine_threadsafe(coroutine, loop)

    def shell(self, command: str) -> None:
        """Runs a command line with the `nats` CLI on these servers; see `terminal`."""
        sys.stdout.write(self.said(command))

    def said(self, command: str) -> str:
        """The text that `shell` prints."""
        return terminal.masked(terminal.run(command, ",".join(self.urls)))

    def output(self, command: str) -> bytes:
        """What the command wrote to standard output, byte for byte."""
        return terminal.output(command, ",".join(self.urls))

    def close(self) -> None:
        """Closes the clients; the servers are someone else's."""
        clients, loop = self.clients, self._loop
        self._clients = []
        if clients and loop is not None and loop.is_running():
            for client in clients:
                _goodbyes[loop.create_task(client.close())] = None
        for task in [task for task in _goodbyes if task.done()]:
            del _goodbyes[task]
        SHELL.end(self)


_goodbyes: dict[asyncio.Task[None], None] = {}


async def to_the_end(main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Runs a script's `main`, leaves the cluster that it made, and lets its clients close."""
    try:
        return await main()
    finally:
        SHELL.leave()
        await asyncio.gather(*_goodbyes)
        _goodbyes.clear()


class NatsCluster(RealCluster):
    """A NATS that runs already."""

    world = "nats"

    def __init__(self, url: str) -> None:
        super().__init__()
        self._url = url

    def __repr__(self) -> str:
        return f"Cluster nats · {terminal.masked(self._url)}"

    @property
    def servers(self) -> Sequence[ServerCard]:
        """One line for each URL; how they are is not ours to know."""
        return [ServerCard("nats", url, lambda: "elsewhere") for url in self._url.split(",")]
