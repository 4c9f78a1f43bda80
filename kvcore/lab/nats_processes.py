"""A cluster of real nats-server processes, which never outlives its kernel.

The same fleet as kvcore's own (`fleet.py`): each server has a directory, a port and the
addresses of all, by flags that both programs have. nats-server knows no `--parent-fd`, so a
watchdog ends it when this process is gone (`watchdog.py`).

The store is synced as nats-server does by default, every two minutes.

Left out: `power_cut`, since nobody but the server knows how much of a file is synced, and
`partition`, since these servers lose bytes for nobody; containers have a network that can be
taken apart.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from signal import Signals
from tempfile import mkdtemp

from kvcore.lab import programs
from kvcore.lab.fleet import Fleet
from kvcore.lab.processes import FleetCluster
from kvcore.lab.server_process import ServerProcess
from kvcore.lab.watchdog import Watchdog
from kvcore.sim.errors import SentenceError

START_SECONDS = 60.0  # an election takes 4 to 9 s, and a second one may follow
_ELSEWHERE = ("partition", "heal")


class NoNatsServer(SentenceError):  # noqa: N818 - a sentence, not a fault of the caller's code
    """The program is not installed; the text says how to get it."""


class NatsServerProcess(ServerProcess):
    """One nats-server."""

    def __init__(self, *given: object, program: str, watchdog: Watchdog, **named: object) -> None:
        super().__init__(*given, **named)  # type: ignore[arg-type]
        self._program = program
        self._watchdog = watchdog

    def start(self) -> None:
        """Starts the process; it listens once `ready` says so."""
        assert self.status == "crashed", f"{self.name} runs already"
        self.directory.mkdir(exist_ok=True, mode=0o700)
        command = [
            *(self._program, "-a", "127.0.0.1", "-p", str(self.port), "-n", self.name),
            *("-js", "-sd", str(self.directory / "store")),
            *("--ports_file_dir", str(self.directory), *self._flags),
        ]
        with (self.directory / "log").open("ab") as log:
            self._process = self._watchdog.start(command, log)

    def end(self, number: Signals) -> None:
        """Ends the process by this signal, or by SIGKILL if it takes too long."""
        pid = self.pid
        super().end(number)
        if pid:
            self._watchdog.forget(pid)


class NatsProcessCluster(FleetCluster):
    """nats-servers on this machine's own sockets and files. Raises `NoNatsServer`."""

    world = "nats-processes"

    def __init__(
        self, servers: int = 1, *, beside: bool = False, flags: Sequence[str] = ()
    ) -> None:
        if servers < 1:
            raise ValueError("a cluster has one server or more")
        program = next(programs.found("nats-server"), None)
        if program is None:
            raise NoNatsServer(
                "There is no nats-server on PATH, in ~/go/bin or in .tools/bin. Install it: "
                "go install github.com/nats-io/nats-server/v2@v2.15.2, or take it from "
                "https://github.com/nats-io/nats-server/releases. Without it, "
                "Cluster.processes(3) runs kvcore's own servers."
            )
        directory = Path(mkdtemp(prefix="kvcore-nats-"))
        self._watchdog = Watchdog(directory)
        make = partial(NatsServerProcess, program=program, watchdog=self._watchdog)
        fleet = Fleet(servers, directory, flags, make=make, start_seconds=START_SECONDS)
        super().__init__(fleet, directory, beside=beside)

    def lacking(self, verb: str) -> str:
        """Why this world doesn't have the verb, in a sentence; empty when it has."""
        if verb in _ELSEWHERE:
            return (
                f"This world ({self.world}) has no {verb}; on nats-server "
                'Cluster.docker(3, image="nats") can.'
            )
        return super().lacking(verb)

    def close(self) -> None:
        """Ends the servers and removes what they stored."""
        super().close()
        self._watchdog.end()
