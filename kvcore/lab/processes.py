"""A cluster of real server processes, which never outlives its kernel.

Each server is `kvcore serve` on a free port with a directory of its own, a child of this
process that ends with it (`server_process.py`). Several are one cluster (`fleet.py`).

`power_cut` is made of a kill: a killed process leaves the page cache, so what the last sync
did not cover is cut from its logs afterwards. A partition is made by the servers themselves,
which lose each other's bytes when they are told to.

Left out: what only the simulator can do: one-way links, other rules in a running server,
and the same run again.
"""

import asyncio
import atexit
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from kvcore.lab.cluster import ServerCard
from kvcore.lab.fleet import Fleet
from kvcore.lab.remote import RealCluster
from kvcore.lab.server_process import ServerProcess


class FleetCluster(RealCluster):
    """Processes of this machine, whichever program they run."""

    def __init__(self, fleet: Fleet, directory: Path, *, beside: bool = False) -> None:
        super().__init__(beside=beside)
        self.directory = directory
        self._closed = False
        self._fleet = fleet
        atexit.register(self.close)
        try:
            self._fleet.start()
        except BaseException:
            self.close()
            raise

    @property
    def members(self) -> Sequence[ServerProcess]:
        """The servers' processes."""
        return self._fleet.members

    def __repr__(self) -> str:
        if self._closed:
            return f"Cluster {self.world} · closed"
        count = len(self.clients)
        clients = f"{count} client{'s' if count != 1 else ''}"
        return f"Cluster {self.world} · {', '.join(map(repr, self.servers))} · {clients}"

    @property
    def servers(self) -> Sequence[ServerCard]:
        """A status line for each process."""
        return [
            ServerCard(
                process.name,
                f"nats://127.0.0.1:{process.port}",
                lambda process=process: process.status,  # type: ignore[misc]
            )
            for process in self.members
        ]

    async def crash(self, name: str | None = None) -> None:
        """`kill -9`: what the page cache holds stays."""
        self._fleet.crash(name)

    async def restart(self, name: str | None = None) -> None:
        """Ends the process if it runs, and starts it on the same port and directory."""
        started = self._fleet.begin_restart(name)
        await asyncio.to_thread(self._fleet.wait, lambda: self._fleet.listens(started))

    async def pause(self, name: str | None = None) -> None:
        """SIGSTOP."""
        self._fleet.pause(name)

    async def resume(self, name: str | None = None) -> None:
        """SIGCONT."""
        self._fleet.resume(name)

    def close(self) -> None:
        """Ends the servers and removes what they stored."""
        if not self._closed:
            self._closed = True
            super().close()
            self._fleet.end()
            shutil.rmtree(self.directory, ignore_errors=True)
            atexit.unregister(self.close)


class ProcessCluster(FleetCluster):
    """Servers on this machine's own sockets and files."""

    world = "processes"

    def __init__(
        self, servers: int = 1, *, beside: bool = False, flags: Sequence[str] = ()
    ) -> None:
        if servers < 1:
            raise ValueError("a cluster has one server or more")
        directory = Path(tempfile.mkdtemp(prefix="kvcore-"))
        super().__init__(Fleet(servers, directory, flags), directory, beside=beside)

    async def power_cut(self, name: str | None = None) -> None:
        """`kill -9`, and each log ends at a random point behind its last sync."""
        self._fleet.power_cut(name)

    async def partition(self, *groups: Sequence[str]) -> None:
        """Silence between the groups, for servers and for clients that are named."""
        self._fleet.partition(groups, self._addresses())

    async def heal(self) -> None:
        """Links and connections that lost something are made anew."""
        self._fleet.heal()

    def _addresses(self) -> dict[str, list[str]]:
        """From where each client that has a name is connected just now."""
        found: dict[str, list[str]] = {}
        for client in self.clients:
            writer = getattr(client._transport, "_io_writer", None)  # noqa: SLF001 - no public way
            name = client.options.get("name")
            if name and writer is not None:
                host, port = writer.get_extra_info("sockname")[:2]
                found.setdefault(name, []).append(f"{host}:{port}")
        return found
