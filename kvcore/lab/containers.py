"""A cluster of containers, kvcore's or nats-server's, which never outlives its kernel.

Each server is a container with a volume of its own, on two networks:

    peers      n1 ── n2 ── n3         internal; `partition` takes this one apart
    clients    n1    n2    n3         each with a port on this machine's loopback address

So a server that is cut off from the others still answers its clients, and what it can't know
shows in what it says. Servers name each other by aliases that the network for peers alone
knows, for the engine gives a container that comes back another address; on the clients'
network containers can't reach each other at all. A partition's largest side stays where it is, and
each other side of several servers gets a network of its own.

The verbs are the engine's: `crash` is a kill, `pause` the freezer of control groups.
`power_cut` is missing: a killed container leaves the page cache as a killed process does.

Left out: TLS between peers; a secret that is made for the cluster tells them from strangers.
"""

import asyncio
import atexit
import io
import secrets
import tarfile
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from kvcore.lab import engine, images
from kvcore.lab.asking import ask
from kvcore.lab.cluster import ServerCard
from kvcore.lab.partitions import sides
from kvcore.lab.ports import free_ports
from kvcore.lab.remote import RealCluster

START_SECONDS = 60.0
_POLL_SECONDS = 0.02
_ASK_SECONDS = 0.5
_ATTEMPTS = 3  # a port that was free may be taken when the container starts
_STATES = {"running": "up", "paused": "paused", "restarting": "starting"}
_USER = 10001
_SECRET = "peers.secret"


class DockerCluster(RealCluster):
    """Servers n1, n2, … in containers of the engine that DOCKER_HOST names."""

    world = "docker"

    def __init__(
        self, servers: int = 3, *, image: str = "kvcore", flags: Sequence[str] = (), **options: Any
    ) -> None:
        if servers < 1:
            raise ValueError("a cluster has one server or more")
        self._engine = engine.connect()
        self._image = images.image(self._engine, image)
        self._kind = "nats" if image == "nats" else "kvcore"
        super().__init__(**options)
        self.name = f"kvcore-{secrets.token_hex(4)}"
        self._closed = False
        self._reaper = engine.Reaper(self.name)
        atexit.register(self.close)
        try:
            self._networks = {"peers": self._network("peers", internal=True)}
            self._networks["clients"] = self._network("clients", internal=False)
            self._start(servers, flags)
        except BaseException:
            self.close()
            raise

    def __repr__(self) -> str:
        if self._closed:
            return "Cluster docker · closed"
        count = len(self.clients)
        clients = f"{count} client{'s' if count != 1 else ''}"
        return f"Cluster docker · {', '.join(map(repr, self.servers))} · {clients}"

    @property
    def servers(self) -> Sequence[ServerCard]:
        """A status line for each container."""
        return [
            ServerCard(name, f"nats://127.0.0.1:{self._ports[name]}", self._status(name))
            for name in self._containers
        ]

    def _status(self, name: str) -> Callable[[], str]:
        def now() -> str:
            container = self._containers[name]
            container.reload()
            return _STATES.get(container.status, "crashed")

        return now

    # Starts.

    def _network(self, name: str, *, internal: bool) -> Any:
        return self._engine.networks.create(
            f"{self.name}-{name}",
            driver="bridge",
            internal=internal,
            options={} if internal else {"com.docker.network.bridge.enable_icc": "false"},
            labels=engine.labels(self.name),
        )

    def _start(self, servers: int, flags: Sequence[str]) -> None:
        from docker.errors import APIError

        names = [f"n{at + 1}" for at in range(servers)]
        secret = secrets.token_hex(32).encode()
        for attempt in range(_ATTEMPTS):
            self._containers: dict[str, Any] = {}
            self._ports = dict(zip(names, free_ports(servers), strict=True))
            self._place = dict.fromkeys(names, "peers")
            try:
                for name in names:
                    self._containers[name] = self._create(name, names, flags, secret)
                for container in self._containers.values():
                    container.start()
                break
            except APIError as error:
                if "port is already allocated" not in str(error) or attempt == _ATTEMPTS - 1:
                    raise
                for container in self._containers.values():
                    container.remove(v=True, force=True)
        self._wait(lambda: all(self._listens(name) for name in names))
        self._wait(self._is_led)

    def _create(self, name: str, names: Sequence[str], flags: Sequence[str], secret: bytes) -> Any:
        port = self._ports[name]
        words = [*("-n", name, "--client_advertise", f"127.0.0.1:{port}")]
        if len(names) > 1:
            routes = ",".join(f"nats://{_peer(each)}:6222" for each in names)
            words += ["--cluster", "nats://0.0.0.0:6222", "--cluster_name", "kvcore"]
            words += ["--routes", routes, "--cluster_advertise", f"{_peer(name)}:6222"]
        if self._kind == "nats":
            words += ["-js", "-sd", "/data"]
        elif len(names) > 1:
            words += ["--cluster_size", str(len(names))]
            words += ["--cluster_secret_file", f"/data/{_SECRET}"]
        container = self._engine.containers.create(
            self._image,
            [*words, *flags],
            name=f"{self.name}-{name}",
            hostname=name,
            labels=engine.labels(self.name),
            network=self._networks["clients"].name,
            ports={"4222/tcp": ("127.0.0.1", port)},
            dns=["127.0.0.1"],  # a name that nobody has now is asked of nobody outside
            cap_drop=["ALL"],
            security_opt=["no-new-privileges"],
            read_only=True,  # but for the volume
            tmpfs={"/tmp": ""},  # noqa: S108 - the container's own
        )
        if self._kind == "kvcore" and len(names) > 1:
            container.put_archive("/data", _archive(_SECRET, secret))
        self._networks["peers"].connect(container, aliases=[_peer(name)])
        return container

    def _listens(self, name: str) -> bool:
        container = self._containers[name]
        container.reload()
        if container.status not in ("created", "running"):
            said = container.logs(tail=30).decode("utf-8", "replace")
            raise RuntimeError(f"{name} did not start:\n{said}")
        self._read_port(name)
        return bool(ask(self._ports[name], "$JS.API.INFO", within=_ASK_SECONDS))

    def _read_port(self, name: str) -> None:
        """The engine may publish another port when a network was connected anew."""
        ports = self._containers[name].attrs["NetworkSettings"]["Ports"].get("4222/tcp")
        if ports:
            self._ports[name] = int(ports[0]["HostPort"])

    def _is_led(self) -> bool:
        """Whether each server that is up hears from the leader of the meta group."""
        for name in self._containers:
            if self._status(name)() == "up":
                answers = ask(self._ports[name], "$JS.API.INFO", within=_ASK_SECONDS)
                if not answers or "error" in answers[0]:
                    return False
        return True

    def _wait(self, condition: Callable[[], bool], within: float = START_SECONDS) -> None:
        deadline = time.monotonic() + within
        pause = threading.Event()
        while not condition():
            if time.monotonic() > deadline:
                raise TimeoutError(
                    f"the servers are not ready within {within:g} s; see docker logs {self.name}-n1"
                )
            pause.wait(_POLL_SECONDS)

    # What befalls one server.

    def _named(self, name: str | None) -> str:
        if name is None and len(self._containers) == 1:
            return next(iter(self._containers))
        if name in self._containers:
            return str(name)
        names = ", ".join(self._containers)
        raise ValueError(f"no server {name!r}; there are {names}")

    async def crash(self, name: str | None = None) -> None:
        """`docker kill`: what the page cache holds stays."""
        container = self._containers[self._named(name)]
        await asyncio.to_thread(container.kill)
        await asyncio.to_thread(container.wait)

    async def restart(self, name: str | None = None) -> None:
        """Stops the container if it runs, and starts it with the same volume."""
        known = self._named(name)
        await asyncio.to_thread(self._containers[known].restart, timeout=5)
        await asyncio.to_thread(self._wait, lambda: self._listens(known))

    async def pause(self, name: str | None = None) -> None:
        """`docker pause`: silence, and connections that stay open."""
        await asyncio.to_thread(self._containers[self._named(name)].pause)

    async def resume(self, name: str | None = None) -> None:
        """`docker unpause`."""
        await asyncio.to_thread(self._containers[self._named(name)].unpause)

    # What befalls the network.

    async def partition(self, *groups: Sequence[str]) -> None:
        """Takes the peers' network apart; clients reach every server as before."""
        parts = sides(groups, list(self._containers))
        home = max(parts, key=len)
        place: dict[str, str] = {}
        for number, part in enumerate(parts):
            where = "peers" if part is home else f"peers-{number}" if len(part) > 1 else ""
            place |= dict.fromkeys(part, where)
        await asyncio.to_thread(self._move, place)

    async def heal(self) -> None:
        """All servers are on one network for peers again."""
        await asyncio.to_thread(self._move, dict.fromkeys(self._containers, "peers"))

    def _move(self, place: dict[str, str]) -> None:
        """Puts each server's peers' side where `place` says; "" is nowhere."""
        moving = [name for name in self._containers if place[name] != self._place[name]]
        for name in moving:
            if self._place[name]:
                self._networks[self._place[name]].disconnect(self._containers[name], force=True)
                self._place[name] = ""
        for name in moving:
            where = place[name]
            if where:
                if where not in self._networks:
                    self._networks[where] = self._network(where, internal=True)
                self._networks[where].connect(self._containers[name], aliases=[_peer(name)])
                self._place[name] = where
            self._containers[name].reload()
            self._read_port(name)

    def close(self) -> None:
        """Removes containers, volumes and networks."""
        if not self._closed:
            self._closed = True
            super().close()
            engine.remove(self._engine, self.name)
            self._reaper.end()
            self._engine.close()
            atexit.unregister(self.close)


def _peer(name: str) -> str:
    """A server's name on the network for peers. A host's name would be known on both."""
    return f"peer-{name}"


def _archive(name: str, content: bytes) -> bytes:
    """A tar with one file that the server's user alone can read."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        entry = tarfile.TarInfo(name)
        entry.size, entry.mode, entry.uid, entry.gid = len(content), 0o400, _USER, _USER
        tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()
