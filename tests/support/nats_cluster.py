"""Clusters of servers on loopback, ours or nats-server's, started and hurt the same way.

    with cluster("nats-server", 3) as servers:
        servers.pause("n2")          SIGSTOP; resume("n2") is SIGCONT
        servers.kill("n1")           SIGKILL; start("n1") begins it again on its store
        servers.cli("stream", "report")
        servers.ask("n3", "STREAM.INFO.S")

Each server has a configuration file, so that both kinds are told the same: the cluster's
name, its routes, an account for the application and one for the system, tags. The user
`app` (also whoever gives no name) sees the application's account, `sys` the system's.

Nothing sleeps: `settled` looks again until a server says that it leads the meta group, with
a deadline.
"""

import json
import os
import signal
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from kvcore.lab.ports import free_ports
from tests.support import servers
from tests.support.require import program
from tests.support.servers import Server
from tests.support.wait import eventually
from tests.support.wire import Delivery, Wire

SETTLE_S = 60.0  # nats-server elects within 4 to 9 s
CLI_S = 60.0
NAME = "kvc"
_INBOXES = count()

_CONFIG = """
http: "127.0.0.1:{http}"
server_tags: [{tags}]
{accounts}
no_auth_user: app
jetstream {{ store_dir: "%STORE%" }}
cluster {{
  name: {cluster}
  listen: "127.0.0.1:{peers}"
  routes: [{routes}]
}}
"""
_TWO_ACCOUNTS = """
accounts {
  APP { jetstream: enabled, users: [{user: app, password: app}] }
  $SYS { users: [{user: sys, password: sys}] }
}"""
_ONE_ACCOUNT = """
authorization { users: [{user: app, password: app}, {user: sys, password: sys}] }"""


@dataclass
class Cluster:
    """Servers n1, n2 and so on of one kind; see the module's text."""

    kind: str
    directory: Path
    ports: dict[str, int]  # where clients go, by the server's name
    http: dict[str, int]
    configs: dict[str, str]
    flags: tuple[str, ...] = ()
    running: dict[str, Server] = field(default_factory=dict)
    _paused: dict[str, None] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        return list(self.ports)

    def url(self, name: str, user: str = "app") -> str:
        return f"nats://{user}:{user}@127.0.0.1:{self.ports[name]}"

    # -- what happens to servers

    def start(self, *names: str) -> None:
        """Start servers, and wait until each accepts clients."""
        for name in names:
            self.running[name] = servers.start(
                self.kind,
                self.directory / name,
                *self.flags,
                config=self.configs[name],
                name=name,
                port=self.ports[name],
            )

    def kill(self, *names: str) -> None:
        """SIGKILL."""
        for name in names:
            self._paused.pop(name, None)
            self.running.pop(name).kill()

    def stop(self, *names: str) -> None:
        """SIGTERM, and wait."""
        for name in names:
            self.running.pop(name).stop()

    def pause(self, *names: str) -> None:
        """SIGSTOP: its links stay open, and nothing comes."""
        for name in names:
            os.kill(self.running[name].pid, signal.SIGSTOP)
            self._paused[name] = None

    def resume(self, *names: str) -> None:
        """SIGCONT."""
        for name in names:
            os.kill(self.running[name].pid, signal.SIGCONT)
            self._paused.pop(name, None)

    def end(self) -> None:
        """Whatever state they are in."""
        self.resume(*self._paused)
        self.kill(*self.running)

    # -- what they say

    def report(self, name: str, path: str) -> dict:
        """A document of a server's monitoring port, such as `jsz?raft=1`."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http[name]}/{path}", timeout=5) as got:
            return json.loads(got.read())

    def leader(self) -> str:
        """Who leads the meta group, as those that run say; "" while they know of none."""
        for name in self.running:
            if name in self._paused:
                continue
            with suppress(OSError):
                found = self.report(name, "jsz").get("meta_cluster", {}).get("leader", "")
                if found in self.running and found not in self._paused:
                    return found
        return ""

    def settled(self, within: float = SETTLE_S) -> str:
        """Wait until the meta group has a leader that runs; its name."""
        return eventually(self.leader, within, "a meta leader")

    def ask(
        self,
        name: str,
        verb: str,
        body: object = None,
        *,
        user: str = "app",
        within: float = 10.0,
        prefix: str = "$JS.API.",
    ) -> dict | None:
        """The JSON of the first answer to a request at server `name`; None if none comes."""
        found = self.ask_all(name, verb, body, user=user, within=within, prefix=prefix, most=1)
        return found[0] if found else None

    def ask_all(
        self,
        name: str,
        verb: str,
        body: object = None,
        *,
        user: str = "app",
        within: float = 2.0,
        prefix: str = "$JS.API.",
        most: int = 1 << 30,
    ) -> list[dict]:
        """All answers that come in time; a status has its line under `status`."""
        payload = body if isinstance(body, bytes) else b"" if body is None else _json(body)
        hello = {"verbose": False, "pedantic": False, "headers": True, "no_responders": True}
        hello |= {"user": user, "pass": user, "protocol": 1}
        found: list[dict] = []
        with Wire(self.ports[name], json.dumps(hello)) as wire:
            inbox = f"_R.{next(_INBOXES)}"  # its own: two threads may ask at once
            wire.send(f"SUB {inbox} 1\r\n".encode())
            head = f"PUB {prefix}{verb} {inbox} {len(payload)}"
            wire.send(b"%b\r\n%b\r\n" % (head.encode(), payload))
            deadline = time.monotonic() + within
            while len(found) < most and (left := deadline - time.monotonic()) > 0:
                try:
                    frame = wire.frame(left)
                except TimeoutError:
                    break
                if isinstance(frame, Delivery):
                    status = frame.header.partition(b"\r\n")[0].decode()
                    text = frame.payload
                    found.append(json.loads(text) if text else {"status": status})
        return found

    def cli(
        self, *words: str, at: str = "", user: str = "app", check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """The official CLI, connected to server `at` (else all of them)."""
        named = [at] if at else self.names
        url = ",".join(self.url(name, user) for name in named)
        found = subprocess.run(
            [program("nats"), "--server", url, "--no-context", *words],
            capture_output=True,
            text=True,
            timeout=CLI_S,
            check=False,
            env={**os.environ, "NO_COLOR": "1", "COLUMNS": "200"},
        )
        assert not check or found.returncode == 0, (words, found.stdout, found.stderr)
        return found


def _json(body: object) -> bytes:
    return json.dumps(body).encode()


def make(
    kind: str, directory: Path, size: int, tags: Sequence[str] = (), flags: Sequence[str] = ()
) -> Cluster:
    """A cluster whose servers have not been started yet."""
    names = [f"n{number}" for number in range(1, size + 1)]
    free = free_ports(3 * size)
    clients, http, peers = free[:size], free[size : 2 * size], free[2 * size :]
    routes = ", ".join(f'"nats://127.0.0.1:{port}"' for port in peers)
    configs = {
        name: _CONFIG.format(
            http=http[at],
            peers=peers[at],
            routes=routes,
            cluster=NAME,
            tags=", ".join(f'"{tag}"' for tag in (f"host:{name}", *tags)),
            accounts=_TWO_ACCOUNTS if kind == "nats-server" else _ONE_ACCOUNT,
        )
        for at, name in enumerate(names)
    }
    by_name = dict(zip(names, clients, strict=True))
    by_http = dict(zip(names, http, strict=True))
    return Cluster(kind, directory, by_name, by_http, configs, tuple(flags))


@contextmanager
def cluster(
    kind: str = "nats-server", size: int = 3, tags: Sequence[str] = (), flags: Sequence[str] = ()
) -> Iterator[Cluster]:
    """A cluster for the length of a `with` block, with a meta leader from the beginning."""
    with tempfile.TemporaryDirectory(prefix="kvcore-cluster-") as directory:
        made = make(kind, Path(directory), size, tags, flags)
        try:
            made.start(*made.names)
            made.settled()
            yield made
        finally:
            made.end()
