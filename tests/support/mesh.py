"""Several servers joined by pipes, in virtual time: a small deterministic network of `Node`s.

Each server has a link to each other one. What a turn asks to be written to a peer goes into
the pipe, and comes out in order, in pieces whose sizes the seed draws; which pipe is next is
drawn too. `settle` lets everything arrive that is on its way, and answers the disks; time
moves by microseconds then. `wait` lets time pass, waking servers when they asked for it.

    mesh = Mesh("a", "b", seed=3)
    conn = mesh.client("a")
    mesh.say(conn, b"SUB x 1\r\n")          # settles
    mesh.heard(conn)

`unlink` and `link` break and make a link, `garble` puts bytes of a test's own into a pipe.
`turns` may be watched by setting `on_turn(name, effects)`.
"""

import json
from collections.abc import Callable
from random import Random

from kvcore.limits import SECOND_NS
from kvcore.node.config import ClusterConfig, NodeConfig
from kvcore.node.io import (
    ClientClosed,
    ClientConnected,
    ClientData,
    Effects,
    Event,
    PeerClosed,
    PeerConnected,
    PeerData,
    Synced,
    TimerFired,
)
from kvcore.node.node import Node
from kvcore.storage.base import Storage
from kvcore.storage.memory import MemoryStorage
from kvcore.trace import Trace

START = 1_767_225_600 * SECOND_NS
HELLO = b'CONNECT {"verbose":false,"headers":true,"no_responders":true,"protocol":1}\r\nPING\r\n'
MICROSECOND = 1000


class Mesh:
    """Servers of these names in one cluster; JetStream is off unless a setting says other."""

    def __init__(self, *names: str, seed: int = 1, linked: bool = True, **settings) -> None:
        self.now = START
        self.rng = Random(seed)
        self.records: list[Trace] = []
        self.pipes: dict[tuple[str, str], bytearray] = {}  # (from, to)
        self.nodes: dict[str, Node] = {}
        self.stores: dict[str, dict[str, Storage]] = {}
        self.out: dict[int, bytes] = {}
        self.homes: dict[int, str] = {}  # the server of each connection
        self.closed: list[int] = []
        self.unlinked: list[tuple[str, str]] = []  # who dropped whom
        self.on_turn: Callable[[str, Effects], None] = lambda _name, _effects: None
        self._tickets: dict[str, int] = {}
        self._conns = 0
        self._settings = {"jetstream": False, **settings}
        self._cluster = ClusterConfig("C", len(names))
        for at, name in enumerate(names):
            self.start(name, port=4222 + at)
        if linked:
            for at, name in enumerate(names):
                for other in names[at + 1 :]:
                    self.link(name, other)
            self.settle()

    # -- servers and links

    def start(self, name: str, port: int = 4222, **settings) -> Node:
        """A server starts, over its stores if it has any."""
        stores = self.stores.setdefault(name, {"file": MemoryStorage(), "memory": MemoryStorage()})
        given = {"cluster": self._cluster, "port": port, **self._settings, **settings}
        config = NodeConfig(name, f"ID-{name}", **given)
        node = Node(config, stores, Random(self.rng.random()), self.now, self.records.append)
        self.nodes[name] = node
        self.turn(name)
        return node

    def stop(self, name: str) -> None:
        """A server is gone, and its links and clients with it."""
        for other in list(self.nodes):
            if (name, other) in self.pipes:
                self.unlink(name, other)
        del self.nodes[name]
        self._tickets.pop(name, None)
        for conn in [conn for conn, home in self.homes.items() if home == name]:
            del self.homes[conn]
            self.closed.append(conn)

    def link(self, one: str, other: str) -> None:
        """Both ends get a link to each other."""
        assert (one, other) not in self.pipes, "one link a pair"
        for here, there in ((one, other), (other, one)):
            self.pipes[here, there] = bytearray()
        self.turn(one, PeerConnected(other))
        self.turn(other, PeerConnected(one))

    def unlink(self, one: str, other: str, reason: str = "closed") -> None:
        """The link breaks, and what was on its way is lost."""
        if self.pipes.pop((one, other), None) is None:
            return
        del self.pipes[other, one]
        for here, there in ((one, other), (other, one)):
            if here in self.nodes:
                self.turn(here, PeerClosed(there, reason))

    def garble(self, source: str, to: str, data: bytes) -> None:
        """Bytes arrive that the server `source` never sent."""
        self.pipes[source, to] += data

    # -- clients

    def client(self, name: str, hello: bytes = HELLO) -> int:
        """A client of a server, greeted."""
        self._conns += 1
        conn = self._conns
        self.homes[conn] = name
        self.turn(name, ClientConnected(conn, "127.0.0.1", 50000 + conn))
        self.say(conn, hello)
        self.heard(conn)
        return conn

    def leave(self, conn: int) -> None:
        """A client closes its connection."""
        self.turn(self.homes.pop(conn), ClientClosed(conn, "EOF"))
        self.settle()

    def say(self, conn: int, data: bytes, *, settle: bool = True) -> None:
        """A client sends bytes, and what that leads to happens."""
        self.turn(self.homes[conn], ClientData(conn, data))
        if settle:
            self.settle()

    def publish(self, conn: int, subject: str, payload: bytes = b"", reply: str = "") -> None:
        line = f"PUB {subject} {reply} {len(payload)}\r\n".encode()
        self.say(conn, line + payload + b"\r\n")

    def heard(self, conn: int) -> bytes:
        """What a client was sent since it was last asked."""
        return self.out.pop(conn, b"")

    def request(self, conn: int, subject: str, body: object = None) -> list[dict]:
        """All answers to a request, JSON documents, as they came."""
        self.say(conn, b"SUB _I.answer 99\r\n")
        self.heard(conn)
        self.publish(conn, subject, b"" if body is None else json.dumps(body).encode(), "_I.answer")
        rest, answers = self.heard(conn), []
        while rest:
            line, _, rest = rest.partition(b"\r\n")
            size = int(line.rpartition(b" ")[2])
            answers.append(json.loads(rest[:size]))
            rest = rest[size + 2 :]
        self.say(conn, b"UNSUB 99\r\n")
        return answers

    # -- time

    def turn(self, name: str, *events: Event) -> Effects:
        """One turn of a server."""
        self.now += MICROSECOND
        node = self.nodes[name]
        for event in events:
            node.handle(event, self.now)
        effects = node.effects()
        for engine, batch in effects.batches.items():
            self.stores[name][engine].write(batch)
        for conn, data in effects.writes.items():
            self.out[conn] = self.out.get(conn, b"") + data
        if effects.sync is not None:
            self._tickets[name] = effects.sync
        for peer, data in effects.peers.items():
            if (name, peer) in self.pipes:
                self.pipes[name, peer] += data
        self.closed += effects.closes
        self.on_turn(name, effects)
        for peer in effects.unlinks:
            self.unlinked.append((name, peer))
            self.unlink(name, peer)
        return effects

    def settle(self) -> None:
        """Everything on its way arrives, and everything written becomes durable."""
        while self._step():
            pass

    def wait(self, seconds: float) -> None:
        """Time passes; who asked to be woken is woken."""
        end = self.now + int(seconds * SECOND_NS)
        while True:
            self.settle()
            due = [at for node in self.nodes.values() if (at := node.deadline()) is not None]
            if not due or min(due) > end:
                break
            self.now = max(self.now, min(due))
        self.now = max(self.now, end)

    def _step(self) -> bool:
        ready = [ends for ends, pipe in self.pipes.items() if pipe]
        if ready:
            source, to = ready[self.rng.randrange(len(ready))]
            pipe = self.pipes[source, to]
            size = self.rng.randint(1, max(1, min(len(pipe), 1 << self.rng.randrange(17))))
            piece = bytes(pipe[:size])
            del pipe[:size]
            self.turn(to, PeerData(source, piece))
            return True
        for name in list(self._tickets):
            self.turn(name, Synced(self._tickets.pop(name)))
            return True
        for name, node in self.nodes.items():
            at = node.deadline()
            if at is not None and at <= self.now:
                self.turn(name, TimerFired())
                return True
        return False
