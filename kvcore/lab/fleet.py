"""Several server processes that are one cluster, and what befalls them.

Each server is told the addresses of all, so every start is alike: `n1` has no other rank
than `n3`. The ports for peers are chosen before the first server starts, since each has to
be told of the others; nobody holds them meanwhile, so a start may fail, rarely, because
somebody else took one.

A partition is remembered here: a server that was down or paused while the network was cut is
told when it is back, and what is cut at one end of a link is silent at both.

The methods wait where the system makes them wait, and are for one thread: the one that
starts servers, because they end with it.

Left out: the event loop of a notebook; `processes.py` brings the two together.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from random import Random
from signal import SIGCONT, SIGKILL, SIGTERM

from kvcore.lab.asking import ask
from kvcore.lab.partitions import sides
from kvcore.lab.ports import free_ports
from kvcore.lab.server_process import AdminError, ServerProcess

START_SECONDS = 20.0
_POLL_SECONDS = 0.005
_ASK_SECONDS = 0.5
_Cut = tuple[tuple[str, ...], tuple[str, ...]]  # the peers and clients that a server loses


class Fleet:
    """Servers n1, n2, … on this machine, each in a directory of its own under `directory`."""

    def __init__(
        self,
        count: int,
        directory: Path,
        flags: Sequence[str] = (),
        *,
        first_port: int = -1,
        make: Callable[[str, Path, Sequence[str], int], ServerProcess] = ServerProcess,
        start_seconds: float = START_SECONDS,
    ) -> None:
        peers = free_ports(count) if count > 1 else []
        clients = free_ports(count) if first_port < 0 else range(first_port, first_port + count)
        routes = ",".join(f"nats://127.0.0.1:{port}" for port in peers)
        self.members = [
            make(
                f"n{at + 1}",
                directory / f"n{at + 1}",
                (*_joined(peers, at, routes), *flags),
                clients[at],
            )
            for at in range(count)
        ]
        self._start_seconds = start_seconds
        self._cuts: dict[str, _Cut] = {}
        self._told: dict[str, _Cut] = {}  # what each server does now
        self._random = Random()  # where a power cut cuts

    def named(self, name: str | None) -> ServerProcess:
        """The server of this name; a lone one needs no name. Raises ValueError."""
        if name is None and len(self.members) == 1:
            return self.members[0]
        for process in self.members:
            if process.name == name:
                return process
        names = ", ".join(process.name for process in self.members)
        if name is None:
            raise ValueError(f"which server? there are {names}")
        raise ValueError(f"no server {name!r}; there are {names}")

    # Starts.

    def start(self) -> None:
        """Starts all, and waits until they are one cluster whose leader answers."""
        for process in self.members:
            process.start()
        names = [process.name for process in self.members]
        self.wait(lambda: all(self.listens(name) for name in names))
        if len(self.members) > 1:
            self.wait(self.is_led)

    def listens(self, name: str) -> bool:
        """Whether a server takes clients; raises RuntimeError when it has ended instead."""
        if not self.named(name).ready():
            return False
        self._tell(name)
        return True

    def is_led(self) -> bool:
        """Whether every server that is up gets an answer from the leader of the meta group."""
        up = [process for process in self.members if process.status == "up"]
        for process in up:
            answers = ask(process.port, "$JS.API.INFO", within=_ASK_SECONDS)
            if not answers or "error" in answers[0]:
                return False
        return bool(up)

    def wait(self, condition: Callable[[], bool], within: float | None = None) -> None:
        """Looks again and again; raises TimeoutError."""
        within = self._start_seconds if within is None else within
        deadline = time.monotonic() + within
        pause = threading.Event()
        while not condition():
            if time.monotonic() > deadline:
                where = self.members[0].directory.parent
                raise TimeoutError(f"the servers are not ready within {within:g} s; see {where}")
            pause.wait(_POLL_SECONDS)

    # What befalls one server.

    def crash(self, name: str | None) -> None:
        """SIGKILL."""
        process = self.named(name)
        process.end(SIGKILL)
        self._told.pop(process.name, None)

    def power_cut(self, name: str | None) -> int:
        """SIGKILL, and what was not synced may be gone; the bytes that are."""
        process = self.named(name)
        self._told.pop(process.name, None)
        return process.power_cut(self._random)

    def begin_restart(self, name: str | None) -> str:
        """Ends the process if it runs, and starts it on the same port and directory; it is
        there again once `listens`."""
        process = self.named(name)
        process.end(SIGTERM)
        self._told.pop(process.name, None)
        process.start()
        return process.name

    def pause(self, name: str | None) -> None:
        """SIGSTOP."""
        process = self.named(name)
        process.freeze()

    def resume(self, name: str | None) -> None:
        """SIGCONT."""
        process = self.named(name)
        process.signal(SIGCONT)
        process.paused = False
        self._tell(process.name)

    def end(self) -> None:
        """Ends all servers."""
        for process in self.members:
            process.signal(SIGTERM)
            process.signal(SIGCONT)
        for process in self.members:
            process.end(SIGTERM)

    # What befalls the network.

    def partition(
        self, groups: Sequence[Sequence[str]], clients: Mapping[str, Sequence[str]] | None = None
    ) -> None:
        """Silence between groups; servers that no group names are one group more.

        `clients` says from which addresses each client that a group names is connected; a
        client that none names reaches every server.
        """
        names = [process.name for process in self.members]
        addresses = clients or {}
        parts = sides(groups, names, addresses)
        for name in names:
            side = next(each for each in parts if name in each)
            away = [other for part in parts if part is not side for other in part]
            peers = tuple(other for other in away if other in names)
            cut = [address for other in away for address in addresses.get(other, ())]
            self._cuts[name] = (peers, tuple(cut))
        for name in names:
            self._tell(name)

    def heal(self) -> None:
        """One network again."""
        self._cuts.clear()
        for process in self.members:
            self._tell(process.name)

    def cut_from(self, name: str) -> tuple[str, ...]:
        """The servers that a server neither hears nor reaches."""
        return self._cuts.get(name, ((), ()))[0]

    def _tell(self, name: str) -> None:
        """Have a server do what the network does now, if it can hear."""
        process, cut = self.named(name), self._cuts.get(name, ((), ()))
        if process.status != "up" or self._told.get(name, ((), ())) == cut:
            return
        try:
            process.cut_off(*cut)
            self._told[name] = cut
        except AdminError:
            if process.status == "up":
                raise


def _joined(peers: Sequence[int], at: int, routes: str) -> tuple[str, ...]:
    if not peers:
        return ()
    where = f"nats://127.0.0.1:{peers[at]}"
    return "--cluster", where, "--cluster_name", "kvcore", "--routes", routes
