"""Big buckets and busy consumers: the loads of a listing, beside nats-server.

nats-py makes an object of each message and is soon slower than either server. So listings
are measured twice: as a user of nats-py sees them, and through a bare socket that only
counts frames. The difference is the client's share.

Each function takes a server and returns a figure; `measure_all` gives the rows.
"""

import asyncio
import json
import socket
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import nats
from nats.js import api
from nats.js.errors import KeyWrongLastSequenceError, NoKeysError
from nats.js.kv import KeyValue

from tests.support.servers import Server

VALUE = b"v" * 64
SIZES = (10_000, 100_000)
DEPTH = 64
WRITERS = 8
INCREMENTS = 400
MESSAGES = 10_000
FETCHED = 250
LISTINGS = 3
WAIT_S = 60.0
_FRAME = b"MSG $KV."


class Raw:
    """A bare connection that can wait for what it counts."""

    def __init__(self, server: Server) -> None:
        self._socket = socket.create_connection((server.host, server.port), WAIT_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.send(b'CONNECT {"verbose":false,"headers":true,"no_responders":true}\r\n')
        self.ping()

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def ping(self) -> float:
        """Seconds of a round trip."""
        begin = time.perf_counter()
        self.send(b"PING\r\n")
        self.count(b"PONG\r\n", 1)
        return time.perf_counter() - begin

    def count(self, what: bytes, wanted: int) -> None:
        """Read until this has come so many times."""
        tail, seen = b"", 0
        while seen < wanted:
            data = tail + self._socket.recv(1 << 18)
            assert len(data) > len(tail), "the server closed the connection"
            seen += data.count(what)
            tail = data[-len(what) + 1 :]

    def request(self, subject: str, body: object) -> None:
        """Ask, and wait for an answer that is no error."""
        payload = json.dumps(body).encode()
        self.send(b"SUB _R 9\r\nPUB %b _R %d\r\n%b\r\n" % (subject.encode(), len(payload), payload))
        self.count(b'_response"', 1)
        self.send(b"UNSUB 9\r\n")

    def close(self) -> None:
        self._socket.close()


def fill(server: Server, name: str, keys: int) -> None:
    """A bucket in memory with so many keys."""
    raw = Raw(server)
    config = {"name": f"KV_{name}", "subjects": [f"$KV.{name}.>"], "max_msgs_per_subject": 1}
    config |= {"storage": "memory", "allow_direct": True, "allow_rollup_hdrs": True}
    config |= {"deny_delete": True, "discard": "new", "max_consumers": -1, "num_replicas": 1}
    raw.request(f"$JS.API.STREAM.CREATE.KV_{name}", config)
    raw.send(b"SUB _A 1\r\n")
    for first in range(0, keys, 1000):
        puts = (
            b"PUB $KV.%b.key.%06d _A %d\r\n%b\r\n" % (name.encode(), number, len(VALUE), VALUE)
            for number in range(first, min(first + 1000, keys))
        )
        raw.send(b"".join(puts))
        raw.count(b"MSG _A 1 ", min(1000, keys - first))
    raw.close()


def watch(raw: Raw, name: str, keys: int, headers_only: bool) -> float:
    """Seconds until a new watcher has had all keys."""
    config: dict[str, object] = {"name": f"w{time.monotonic_ns()}", "deliver_subject": "_W"}
    config |= {"deliver_policy": "last_per_subject", "ack_policy": "none", "mem_storage": True}
    config |= {"filter_subject": f"$KV.{name}.>", "num_replicas": 1, "headers_only": headers_only}
    subject = f"$JS.API.CONSUMER.CREATE.KV_{name}.{config['name']}.$KV.{name}.>"
    body = json.dumps({"stream_name": f"KV_{name}", "config": config}).encode()
    begin = time.perf_counter()
    raw.send(b"SUB _W 3\r\nPUB %b %d\r\n%b\r\n" % (subject.encode(), len(body), body))
    raw.count(_FRAME, keys)
    taken = time.perf_counter() - begin
    raw.send(b"UNSUB 3\r\n")
    return taken


def slowest_ping(server: Server, name: str, keys: int) -> float:
    """The longest round trip of a PING on one connection while another is listing."""
    listing, idle = Raw(server), Raw(server)
    reader = threading.Thread(target=watch, args=(listing, name, keys, False))
    reader.start()
    trips = [idle.ping()]
    while reader.is_alive():
        trips.append(idle.ping())
    reader.join()
    listing.close()
    idle.close()
    return max(trips)


async def client_watch(kv: KeyValue) -> float:
    begin = time.perf_counter()
    watcher = await kv.watchall()
    while await watcher.updates(timeout=WAIT_S) is not None:
        pass
    taken = time.perf_counter() - begin
    await watcher.stop()
    return taken


async def client_keys(kv: KeyValue, keys: int) -> float:
    begin = time.perf_counter()
    found = await kv.keys()
    assert len(found) == keys, len(found)
    return time.perf_counter() - begin


async def histories(nc: nats.NATS, times: int = 100) -> float:
    """Histories of one key, 64 deep, a second."""
    js = nc.jetstream()
    kv = await js.create_key_value(bucket="deep", history=DEPTH, storage=api.StorageType.MEMORY)
    for number in range(DEPTH):
        await kv.put("k", b"%d" % number)
    begin, got = time.perf_counter(), 0
    while got < times:
        with suppress(NoKeysError):  # nats-server's word that all is delivered may come first
            assert len(await kv.history("k")) == DEPTH
            got += 1
    return times / (time.perf_counter() - begin)


async def contention(server: Server) -> tuple[float, float]:
    """Eight writers count up one key by compare-and-set: successes a second, and how many
    tries each took."""
    clients = [await nats.connect(server.url) for _ in range(WRITERS)]
    js = clients[0].jetstream()
    kv = await js.create_key_value(bucket="cas", storage=api.StorageType.MEMORY, direct=True)
    await kv.put("n", b"0")
    tries = 0

    async def count_up(nc: nats.NATS) -> None:
        nonlocal tries
        mine = await nc.jetstream().key_value("cas")
        for _ in range(INCREMENTS // WRITERS):
            while True:
                tries += 1
                entry = await mine.get("n")
                try:
                    await mine.update("n", b"%d" % (int(entry.value or b"") + 1), entry.revision)
                except KeyWrongLastSequenceError:
                    continue
                break

    begin = time.perf_counter()
    await asyncio.gather(*(count_up(nc) for nc in clients))
    taken = time.perf_counter() - begin
    assert (await kv.get("n")).value == b"%d" % INCREMENTS
    for nc in clients:
        await nc.close()
    return INCREMENTS / taken, tries / INCREMENTS


async def consumers(nc: nats.NATS) -> Iterator[tuple[str, float]]:
    """Messages a second: fetched and acknowledged one by one, and pushed with acks."""
    js = nc.jetstream()
    await js.add_stream(name="WORK", subjects=["work"], storage=api.StorageType.MEMORY)
    for _ in range(MESSAGES // 500):
        await asyncio.gather(*(js.publish("work", VALUE) for _ in range(500)))
    pull = await js.pull_subscribe("work", durable="pull")
    begin, left = time.perf_counter(), MESSAGES
    while left:
        for message in await pull.fetch(FETCHED, timeout=WAIT_S):
            await message.ack()
            left -= 1
    await nc.flush()
    pulled = MESSAGES / (time.perf_counter() - begin)
    done, seen = asyncio.Event(), 0

    async def on_message(message: nats.aio.msg.Msg) -> None:
        nonlocal seen
        await message.ack()
        seen += 1
        if seen == MESSAGES:
            done.set()

    begin = time.perf_counter()
    config = api.ConsumerConfig(max_ack_pending=MESSAGES)
    await js.subscribe("work", cb=on_message, manual_ack=True, config=config)
    await asyncio.wait_for(done.wait(), WAIT_S)
    await nc.flush()
    pushed = MESSAGES / (time.perf_counter() - begin)
    return iter((("pull, fetch and ack", pulled), ("push and ack", pushed)))


def measure_all(server: Server) -> Iterator[tuple[str, str, float]]:
    """Name, unit and figure of each row, for one server in one round."""
    for keys in SIZES:
        name, before = f"n{keys}", server.rss()
        fill(server, name, keys)
        if keys == SIZES[-1]:
            grown = (server.rss() - before) / keys - len(VALUE)
            yield f"{keys:,} keys: RSS per key, values excluded", "B", grown
        raw = Raw(server)
        for headers_only, what in ((True, "keys()"), (False, "initial watch")):
            used = server.cpu()
            trials = [watch(raw, name, keys, headers_only) for _ in range(LISTINGS)]
            used = (server.cpu() - used) / LISTINGS
            yield f"{keys:,} keys: {what}, bare socket", "s", statistics.median(trials)
            yield f"{keys:,} keys: {what}, bare socket: server's processor", "s", used
        raw.close()
        if keys == SIZES[-1]:
            yield f"{keys:,} keys: slowest PING meanwhile", "s", slowest_ping(server, name, keys)

        async def by_client(name: str = name, keys: int = keys) -> tuple[float, float]:
            nc = await nats.connect(server.url)
            kv = await nc.jetstream().key_value(name)
            taken = await client_keys(kv, keys), await client_watch(kv)
            await nc.close()
            return taken

        listed, watched = asyncio.run(by_client())
        yield f"{keys:,} keys: keys(), nats-py", "s", listed
        yield f"{keys:,} keys: initial watch, nats-py", "s", watched

    async def others() -> list[tuple[str, str, float]]:
        nc = await nats.connect(server.url)
        rows = [(f"history of a key, {DEPTH} deep", "/s", await histories(nc))]
        rate, tries = await contention(server)
        rows.append((f"compare-and-set, {WRITERS} writers", "/s", rate))
        rows.append((f"compare-and-set, {WRITERS} writers: tries each", "", tries))
        rows += [(f"consumer: {what}", "/s", rate) for what, rate in await consumers(nc)]
        await nc.close()
        return rows

    yield from asyncio.run(others())
