"""A server that knows core NATS only, in fifty lines: for tests of the world around a node."""

import re
from random import Random

from kvcore.node.config import NodeConfig
from kvcore.node.io import ClientClosed, ClientConnected, ClientData, Effects, Event

_INFO = (
    b'INFO {"server_id":"%s","server_name":"%s","version":"2.11.0","proto":1,'
    b'"headers":true,"max_payload":1048576,"client_id":%d}\r\n'
)


class EchoNode:
    """INFO, PING, SUB, UNSUB and PUB; nothing is stored."""

    def __init__(self, config: NodeConfig, _engines, _rng: Random, _now, _trace) -> None:
        self.config = config
        self.rest: dict[int, bytes] = {}
        self.subscribed: dict[tuple[int, str], str] = {}
        self.writes: dict[int, bytes] = {}

    def handle(self, event: Event, _now: int) -> None:
        match event:
            case ClientConnected(conn):
                self.rest[conn] = b""
                names = self.config.server_id.encode(), self.config.server_name.encode()
                self.say(conn, _INFO % (*names, conn))
            case ClientData(conn, data):
                self.rest[conn] += data
                while self.step(conn):
                    pass
            case ClientClosed(conn):
                self.rest.pop(conn, None)
                gone = [key for key in self.subscribed if key[0] == conn]
                for key in gone:
                    del self.subscribed[key]

    def step(self, conn: int) -> bool:
        line, end, rest = self.rest[conn].partition(b"\r\n")
        if not end:
            return False
        verb, *words = line.decode().split()
        if verb == "PUB":
            size = int(words[-1])
            if len(rest) < size + 2:
                return False
            payload, rest = rest[:size], rest[size + 2 :]
            reply = words[1] if len(words) == 3 else ""
            self.publish(words[0], reply, payload)
        elif verb == "PING":
            self.say(conn, b"PONG\r\n")
        elif verb == "SUB":
            self.subscribed[conn, words[-1]] = words[0]
        elif verb == "UNSUB":
            self.subscribed.pop((conn, words[0]), None)
        self.rest[conn] = rest
        return True

    def publish(self, subject: str, reply: str, payload: bytes) -> None:
        for (conn, sid), pattern in self.subscribed.items():
            shape = re.escape(pattern).replace(r"\*", "[^.]+").replace(">", ".+")
            if re.fullmatch(shape, subject):
                head = f"MSG {subject} {sid} {reply} {len(payload)}\r\n".replace("  ", " ")
                self.say(conn, head.encode() + payload + b"\r\n")

    def say(self, conn: int, data: bytes) -> None:
        self.writes[conn] = self.writes.get(conn, b"") + data

    def effects(self) -> Effects:
        writes, self.writes = self.writes, {}
        return Effects(writes=writes)

    def deadline(self) -> int | None:
        return None
