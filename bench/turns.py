"""How long one turn of our server lasts, and what a key costs it: a node in this process.

While a turn lasts nobody else is served: no PING, no heartbeat. So for each request that
touches a whole bucket the longest of its turns is what matters, not how long all take. A
node is driven here by hand, without sockets, so that nothing but its own work is counted.

Left out: nats-server, which has no turns.
"""

import gc
import json
import sys
import time
import tracemalloc
from collections.abc import Iterator
from random import Random

from kvcore.jetstream.checks import normalised
from kvcore.jetstream.commands import Publish
from kvcore.jetstream.config import StreamConfig, from_document
from kvcore.jetstream.stream import Stream
from kvcore.limits import SECOND_NS
from kvcore.node.config import NodeConfig
from kvcore.node.io import ClientConnected, ClientData, Event, Synced, TimerFired
from kvcore.node.node import Node
from kvcore.storage.memory import MemoryStorage
from kvcore.storage.overlay import Overlay

START = 1_767_225_600 * SECOND_NS
KEYS = 100_000
PUTS_AT_ONCE = 500
VALUE = b"v" * 64
CONNECT = b'CONNECT {"verbose":false,"headers":true,"no_responders":true}\r\nSUB _I.> 1\r\n'


class Turns:
    """A node with one client and a bucket of `keys` keys; `longest` times what follows."""

    def __init__(self, keys: int = KEYS, **config: object) -> None:
        self.stores = {"file": MemoryStorage(), "memory": MemoryStorage()}
        self.now = START
        self.node = Node(NodeConfig("n1", "ID"), self.stores, Random(1), self.now)
        self._ticket: int | None = None
        self._turn(TimerFired())
        self._settle()
        self._turn(ClientConnected(1, "127.0.0.1", 1))
        self._turn(ClientData(1, CONNECT))
        document: dict[str, object] = {
            "name": "KV_b",
            "subjects": ["$KV.b.>"],
            "max_msgs_per_subject": 1,
            "storage": "memory",
            **config,
        }
        self.ask("STREAM.CREATE.KV_b", document)
        self.fill(keys)

    def fill(self, keys: int) -> None:
        """Put so many keys, of which one in a hundred begins with `few.`."""
        for first in range(0, keys, PUTS_AT_ONCE):
            puts = b"".join(
                b"PUB $KV.b.%b.k%06d %d\r\n%b\r\n"
                % (b"many" if number % 100 else b"few", number, len(VALUE), VALUE)
                for number in range(first, min(first + PUTS_AT_ONCE, keys))
            )
            self._turn(ClientData(1, puts))
            self._settle()

    def ask(self, subject: str, body: dict[str, object] | None = None) -> list[float]:
        """A request of the API, and all turns that follow from it, in seconds."""
        payload = json.dumps(body).encode() if body is not None else b""
        line = f"PUB $JS.API.{subject} _I.a {len(payload)}\r\n".encode()
        return [self._turn(ClientData(1, line + payload + b"\r\n")), *self._settle()]

    def watch(self, name: str, pattern: str, policy: str = "last_per_subject") -> list[float]:
        """A consumer as a KV watch makes it, until it has delivered all."""
        config = {"name": name, "deliver_subject": f"_I.d{name}", "deliver_policy": policy,
                  "ack_policy": "none", "filter_subject": pattern, "num_replicas": 1,
                  "idle_heartbeat": 5 * SECOND_NS, "mem_storage": True}  # fmt: skip
        body: dict[str, object] = {"stream_name": "KV_b", "config": config}
        return self.ask(f"CONSUMER.CREATE.KV_b.{name}.{pattern}", body)

    def later(self, seconds: float) -> list[float]:
        """Time passes; the turns of what is due then."""
        self.now += int(seconds * SECOND_NS)
        return [self._turn(TimerFired()), *self._settle()]

    def _turn(self, event: Event) -> float:
        self.now += 1000
        begin = time.process_time()
        self.node.handle(event, self.now)
        effects = self.node.effects()
        for engine, batch in effects.batches.items():
            self.stores[engine].write(batch)
        taken = time.process_time() - begin
        self._ticket = effects.sync
        return taken

    def _settle(self) -> list[float]:
        """The turns until nothing is left to do at once."""
        turns: list[float] = []
        while True:
            if self._ticket is not None:
                turns.append(self._turn(Synced(self._ticket)))
            elif (at := self.node.deadline()) is not None and at <= self.now:
                turns.append(self._turn(TimerFired()))
            else:
                return turns


WATCHED = {
    "watch of all": ("$KV.b.>", "last_per_subject"),
    "watch of one in a hundred": ("$KV.b.few.>", "last_per_subject"),
    "watch of all but these": ("$KV.b.many.>", "last_per_subject"),
    "watch with a star first": ("$KV.*.many.>", "last_per_subject"),
    "watch of one key": ("$KV.b.many.k000001", "last_per_subject"),
    "watch of all, with history": ("$KV.b.>", "all"),
}


def longest_turns() -> Iterator[tuple[str, float, float]]:
    """Of requests that concern a bucket of 100,000 keys: the longest turn of each, and all of
    its turns together, in seconds."""
    node = Turns()
    gc.freeze()  # a server does this at its start
    for number, (name, (pattern, policy)) in enumerate(WATCHED.items()):
        yield name, *_judged(node.watch(f"c{number}", pattern, policy))
    subjects: dict[str, object] = {"subjects_filter": ">"}
    yield "STREAM.INFO", *_judged(node.ask("STREAM.INFO.KV_b"))
    yield "STREAM.INFO with subjects", *_judged(node.ask("STREAM.INFO.KV_b", subjects))
    some: dict[str, object] = {"filter": "$KV.b.many.>"}
    yield "purge of a part", *_judged(node.ask("STREAM.PURGE.KV_b", some))
    yield "purge of all", *_judged(Turns().ask("STREAM.PURGE.KV_b"))
    yield "delete of the stream", *_judged(Turns().ask("STREAM.DELETE.KV_b"))
    yield "max_age of all", *_judged(Turns(max_age=60 * SECOND_NS).later(61))


def _judged(turns: list[float]) -> tuple[float, float]:
    return max(turns), sum(turns)


def bytes_per_key(keys: int = KEYS) -> float:
    """What a key costs in memory beyond its value, in a stream on the memory engine."""
    text = {"name": "KV_b", "subjects": ["$KV.b.>"], "max_msgs_per_subject": 1}
    config: StreamConfig = normalised(from_document(text))
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    store = MemoryStorage()
    records = Overlay(store)
    stream = Stream(2, config, START, records)
    for number in range(keys):
        command = Publish(f"$KV.b.key.{number:06d}", "", None, bytes(64), START)
        stream.apply(command, number + 1)
        if number % PUTS_AT_ONCE == 0:
            store.write(records.take())
    store.write(records.take())
    gc.collect()
    taken = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    return taken / keys - 64


if __name__ == "__main__":  # in a process of its own: `python -m bench.turns`
    longest: dict[str, float] = {}
    for name, longest[name], total in longest_turns():
        sys.stderr.write(f"{name:27}  {longest[name] * 1e3:6.1f} ms of {total * 1e3:6.1f} ms\n")
    sys.stdout.write(json.dumps({"longest turn": longest, "bytes per key": bytes_per_key()}))
