"""A whole server driven by hand: `Driver` carries out its effects and answers its syncs.

`turn` hands events to the node and writes what it wants written; a sync is answered only by
`sync`, so a test can stand between a write and its promise. `request` asks the API, `heard`
is what a connection was sent since it was last asked, `wait` lets time pass.
"""

import json
from random import Random

from kvcore.limits import SECOND_NS
from kvcore.node.config import NodeConfig
from kvcore.node.io import ClientConnected, ClientData, Effects, Synced, TimerFired
from kvcore.node.node import Node
from kvcore.storage.memory import MemoryStorage

START = 1_767_225_600 * SECOND_NS
CONNECT = (
    b'CONNECT {"verbose":false,"headers":true,"no_responders":true,"protocol":0}\r\nSUB _I.> 1\r\n'
)


class Driver:
    """Carries out a node's effects, and answers a sync only when told to."""

    def __init__(self, stores=None, **settings):
        self.stores = stores or {"file": MemoryStorage(), "memory": MemoryStorage()}
        self.now = START
        config = NodeConfig("n1", "ID", **settings)
        self.node = Node(config, self.stores, Random(1), self.now)
        self.tickets = []
        self.out = {}
        self.turns = []
        self.turn()

    def turn(self, *events) -> Effects:
        self.now += 1000
        for event in events:
            self.node.handle(event, self.now)
        effects = self.node.effects()
        for engine, batch in effects.batches.items():
            self.stores[engine].write(batch)
        for conn, data in effects.writes.items():
            self.out[conn] = self.out.get(conn, b"") + data
        if effects.sync is not None:
            self.tickets.append(effects.sync)
        self.turns.append(effects)
        return effects

    def sync(self):
        """The disk answers everything that was asked so far, and what that leads to."""
        while self.tickets:
            ticket, self.tickets = self.tickets[-1], []
            self.turn(Synced(ticket))

    def wait(self, seconds: float):
        """Time passes; the node is woken whenever it asked for it."""
        end = self.now + int(seconds * SECOND_NS)
        while (at := self.node.deadline()) is not None and at <= end:
            self.now = max(self.now, at)
            self.turn(TimerFired())
            self.sync()
        self.now = end

    def heard(self, conn=1) -> bytes:
        return self.out.pop(conn, b"")

    def client(self, conn=1):
        self.turn(ClientConnected(conn, "127.0.0.1", 5000 + conn))
        self.turn(ClientData(conn, CONNECT))
        self.heard(conn)

    def say(self, data: bytes, conn=1) -> Effects:
        return self.turn(ClientData(conn, data))

    def publish(self, subject: str, payload: bytes = b"", reply: str = "_I.ack", conn=1):
        line = f"PUB {subject} {reply} {len(payload)}\r\n".encode()
        return self.turn(ClientData(conn, line + payload + b"\r\n"))

    def request(self, subject: str, body=None, conn=1) -> dict:
        self.heard(conn)
        payload = json.dumps(body).encode() if body is not None else b""
        self.publish(subject, payload, "_I.answer", conn=conn)
        self.sync()
        _, found, answer = self.heard(conn).partition(b"MSG _I.answer 1 ")
        assert found, "no answer"
        size, _, rest = answer.partition(b"\r\n")
        return json.loads(rest[: int(size)])


def bucket(name="b", **more):
    return {
        "name": f"KV_{name}",
        "subjects": [f"$KV.{name}.>"],
        "max_msgs_per_subject": 1,
        "allow_direct": True,
        **more,
    }
