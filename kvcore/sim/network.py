"""A network in memory: who listens where, who is cut off from whom, and how long bytes take.

Each connection is a pair of transports (`transport.py`) whose bytes arrive when the world
says so.

A host can be up, or gone (`gone`): then nothing answers, as after a power cut, and only
time-outs tell. A port on which nobody listens refuses at once. A client can be cut off from
a server (`cut_off`): its connections fall silent. A client is known here by the name that it
gives itself in CONNECT, so a new connection falls silent with its first words.

Left out: the servers' links to each other, see `links.py`.
"""

import asyncio
from collections.abc import Callable
from random import Random

from kvcore import limits
from kvcore.limits import Nanos
from kvcore.sim.errors import real_only
from kvcore.sim.transport import Clock, Link, Transport

_HIGHEST_CLIENT_PORT = 60_999


class Listener:
    """A port on which a protocol factory waits; enough of asyncio's Server for its users."""

    def __init__(self, network: "Network", place: tuple[str, int]) -> None:
        self._network = network
        self._place = place

    @property
    def sockets(self) -> tuple[()]:
        """None: there are no sockets here."""
        return ()

    def is_serving(self) -> bool:
        """Whether clients are accepted."""
        return self._place in self._network.listeners

    def close(self) -> None:
        """Accepts nobody else; who is connected stays."""
        self._network.listeners.pop(self._place, None)

    async def start_serving(self) -> None:
        """It serves from the start."""

    async def wait_closed(self) -> None:
        """Closed is closed."""


class Network:
    """Who listens where, and how long bytes take."""

    def __init__(self, clock: Clock, seed: str) -> None:
        self.clock = clock
        self._rng = Random(seed)
        self.listeners: dict[tuple[str, int], Callable[[], asyncio.BaseProtocol]] = {}
        self.gone: dict[str, None] = {}  # hosts without power
        self.names: dict[str, None] = {}  # hosts that exist, whether they listen or not
        self.cut_off: dict[tuple[str, str], None] = {}  # of a client and a host
        self._owners: dict[tuple[str, int], str] = {}
        self._open: dict[Transport, None] = {}
        self._client_port = 50_000

    def delay(self) -> Nanos:
        """How long the next chunk is on its way, one way."""
        return self._rng.randrange(limits.LINK_MIN_NS, limits.LINK_MAX_NS)

    def listen(
        self, factory: Callable[[], asyncio.BaseProtocol], host: str, port: int, owner: str = ""
    ) -> Listener:
        """Serves a port for a host; 0 picks one. Raises OSError when it is taken."""
        port = port or self._next_port()
        place = (_local(host), port)
        if place in self.listeners:
            raise OSError(f"address already in use: {host}:{port}")
        self.names[place[0]] = None
        self.listeners[place] = factory
        self._owners[place] = owner or place[0]
        return Listener(self, place)

    async def connect(
        self, factory: Callable[[], asyncio.BaseProtocol], host: str, port: int
    ) -> tuple[Transport, asyncio.BaseProtocol]:
        """Opens a connection in one round trip, or fails as a socket would."""
        place = (_local(host), port)
        if place[0] not in self.names and place[0] != "localhost":
            raise real_only(f"host {host!r}")
        await self._pass(self.delay() + self.delay())
        if place[0] in self.gone:
            await self.clock.create_future()  # silence: the caller's time-out ends it
        if place not in self.listeners:
            raise ConnectionRefusedError(111, f"Connect call failed ({host!r}, {port})")
        near = ("127.0.0.1", self._next_port())
        protocol = factory()
        client = Transport(self, protocol, near, place)
        server = Transport(self, self.listeners[place](), place, near)
        client.other, server.other = server, client
        client.out = server.into = Link(self, server.arrived)
        server.out = client.into = Link(self, client.arrived)
        client.out.on_room, server.out.on_room = client.room, server.room
        client.server = self._owners[place]
        self._open[client] = self._open[server] = None
        server.get_protocol().connection_made(server)
        protocol.connection_made(client)
        return client, protocol

    def cut(self, cut_off: dict[tuple[str, str], None]) -> None:
        """From now on these clients and hosts don't reach each other, and all others do."""
        self.cut_off = cut_off
        for transport in list(self._open):
            apart = (transport.client, transport.server) in cut_off
            if apart and not transport.is_cut:
                transport.silence()
            elif transport.server and transport.is_cut and not apart:
                transport.find_broken()

    def introduced(self, transport: Transport, name: str) -> None:
        """A client has said its name on a new connection."""
        transport.client = name
        if (name, transport.server) in self.cut_off:
            transport.silence()

    def forget(self, transport: Transport) -> None:
        """The connection's end is over."""
        self._open.pop(transport, None)

    def close(self) -> None:
        """Closes every end that is open, without waiting for delivery."""
        self.listeners.clear()
        for transport in list(self._open):
            transport.abort()

    async def _pass(self, nanos: Nanos) -> None:
        done = self.clock.create_future()

        def passed() -> None:
            if not done.done():
                done.set_result(None)

        timer = self.clock.at(self.clock.now + nanos, passed)
        try:
            await done
        finally:
            timer.cancel()

    def _next_port(self) -> int:
        self._client_port = (
            50_001 if self._client_port >= _HIGHEST_CLIENT_PORT else (self._client_port + 1)
        )
        return self._client_port


def _local(host: str) -> str:
    return "localhost" if host in ("127.0.0.1", "::1", "0.0.0.0", "") else host  # noqa: S104
