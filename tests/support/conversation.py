"""A broker and those who talk to it, as bytes in and bytes out."""

import json
from random import Random

from kvcore.limits import Nanos
from kvcore.node.broker import Broker
from kvcore.node.config import NodeConfig
from kvcore.trace import Trace

QUIET = b'CONNECT {"verbose":false,"pedantic":false}\r\n'
FULL = (
    b'CONNECT {"verbose":false,"pedantic":false,"headers":true,"no_responders":true,'
    b'"protocol":1}\r\n'
)


class Conversation:
    """One broker; `say` returns what each call made the server answer that connection."""

    def __init__(self, seed: int = 1, **settings: object) -> None:
        self.records: list[Trace] = []
        self.now: Nanos = 0
        config = NodeConfig(server_name="n1", server_id="ID", **settings)  # type: ignore[arg-type]
        self.broker = Broker(config, Random(seed), 0, self.records.append)
        self.heard: dict[int, bytes] = {}
        self.closed: list[int] = []

    def turn(self) -> None:
        """Ends the driver's turn: what was drained can be heard."""
        writes, closes = self.broker.drain()
        for conn, data in writes.items():
            assert data, "nobody is sent nothing"
            self.heard[conn] = self.heard.get(conn, b"") + data
        self.closed += closes

    def hear(self, conn: int) -> bytes:
        """What this connection was told since it was last asked."""
        self.turn()
        return self.heard.pop(conn, b"")

    def connect(self, conn: int = 1, hello: bytes = QUIET) -> bytes:
        """A new connection that says `hello`; returns the answer after the greeting."""
        self.broker.connected(conn, "127.0.0.1", 50000 + conn, self.now)
        greeting, _, rest = self.hear(conn).partition(b"\r\n")
        assert greeting.startswith(b"INFO ")
        return rest + (self.say(conn, hello) if hello else b"")

    def say(self, conn: int, data: bytes) -> bytes:
        """Sends bytes and returns what comes back in the same turn."""
        self.broker.data(conn, data, self.now)
        return self.hear(conn)

    def pass_time(self, nanos: Nanos) -> None:
        """Moves the clock, waking the broker whenever it asked to be woken."""
        end = self.now + nanos
        while (at := self.broker.deadline()) is not None and at <= end:
            self.now = max(self.now, at)
            self.broker.on_timer(self.now)
            assert self.broker.deadline() != at, "an alarm that rang is set anew or gone"
        self.now = end
        self.turn()


def info(line: bytes) -> dict[str, object]:
    """The object of an INFO line."""
    assert line.startswith(b"INFO ")
    fields = json.loads(line[5:])
    assert isinstance(fields, dict)
    return fields
