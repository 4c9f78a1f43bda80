"""Clients that use a bucket all at once, and write down what they were told.

Each client is nats-py's own, on a connection of its own, and does one thing after the other
to a few keys that all share: put, create, update with the revision it saw last, delete,
purge, get. Others watch. Whatever goes wrong with one operation is part of the history, and
the client goes on.

What was certainly not done is `refused`: the server said so, or nobody was there to be asked.
Everything else that fails is `unknown`; a request may even leave later, from the client's own
buffer.

Markers of deletion are published by hand, with a value, so that each can be told apart.

Left out: faults (`nemesis.py`), and judging (`kvcore.check.history`).
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from random import Random
from typing import Any

import nats.errors
import nats.js.errors
from nats.aio.client import Client
from nats.js.kv import KeyValue

from kvcore.limits import Nanos
from kvcore.sim.operations import Entry, History, Kind, Watch

_WEIGHTS: dict[Kind, int] = {
    "put": 8,
    "update": 5,
    "create": 2,
    "delete": 2,
    "purge": 1,
    "get": 6,
}
_REFUSALS = (nats.js.errors.APIError, nats.js.errors.NoStreamResponseError)
_HEADERS = {
    "delete": {"KV-Operation": "DEL"},
    "purge": {"KV-Operation": "PURGE", "Nats-Rollup": "sub"},
}


@dataclass(frozen=True, slots=True)
class Settings:
    """How much is asked, of what, and how patiently (in seconds)."""

    bucket: str = "b"
    clients: int = 4
    watchers: int = 1
    keys: int = 10
    timeout: float = 1.0
    pause: float = 0.02  # at most, between two operations of a client
    kept: int = 64
    direct: bool = True  # whether reads go to the stream's subject for them, or to the API


class Workload:
    """The clients of one run; `connect` is the world's, `now` its clock."""

    def __init__(
        self,
        connect: Callable[..., Awaitable[Client]],
        now: Callable[[], Nanos],
        rng: Random,
        settings: Settings,
    ) -> None:
        self.history = History()
        self.settings = settings
        self.is_over = False
        self._connect = connect
        self.now = now
        self._rng = rng
        self._tasks: list[asyncio.Task[None]] = []
        self._followers: list[asyncio.Task[None]] = []
        self._watchers: list[tuple[Client, KeyValue.KeyWatcher, Watch]] = []

    async def create(self, **config: Any) -> None:
        """Makes the bucket; the options are nats-py's."""
        client = await self._connect(name="maker")
        jetstream = client.jetstream(timeout=5)
        await jetstream.create_key_value(
            bucket=self.settings.bucket,
            history=self.settings.kept,
            direct=self.settings.direct,
            **config,
        )
        await client.close()

    async def start(self) -> None:
        """Clients and watchers begin."""
        settings = self.settings
        for number in range(settings.watchers):
            await self._watch(f"w{number + 1}", has_history=self._rng.random() < 0.5)
        for number in range(settings.clients):
            name = f"c{number + 1}"
            client = await self._connected(name)
            bucket = self._bucket(client)
            worker = _Worker(self, name, client, bucket, Random(self._rng.getrandbits(64)))
            self._tasks.append(asyncio.create_task(worker.run()))

    async def stop(self) -> None:
        """Each client ends what it is at, and leaves; watchers go on."""
        self.is_over = True
        await asyncio.gather(*self._tasks)

    async def watched(self, last: int, patience: float) -> None:
        """Returns when each watcher was told of revision `last`, or has lost patience."""
        deadline = self.now() + round(patience * 1e9)
        while self.now() < deadline and any(  # noqa: ASYNC110 - asking again costs nothing
            not watch.seen or watch.seen[-1].revision < last for _, _, watch in self._watchers
        ):
            await asyncio.sleep(0.1)

    async def log(self) -> list[Entry]:
        """The bucket's log as a new client finds it."""
        client = await self._connect(name="reader")
        bucket = await client.jetstream(timeout=5).key_value(self.settings.bucket)
        watcher = await bucket.watchall(include_history=True)
        found = []
        while (entry := await watcher.updates(timeout=5)) is not None:
            found.append(_entry(entry))
        await client.close()
        return found

    # Watchers.

    async def _watch(self, name: str, *, has_history: bool) -> None:
        client = await self._connected(name)
        bucket = await client.jetstream(timeout=5).key_value(self.settings.bucket)
        watcher = await bucket.watchall(include_history=has_history)
        watch = Watch(name, 0, [])
        self.history.watches.append(watch)
        self._watchers.append((client, watcher, watch))
        while (entry := await watcher.updates(timeout=5)) is not None:
            watch.seen.append(_entry(entry))
        if not has_history and watch.seen:
            watch.after = watch.seen[-1].revision
        self._followers.append(asyncio.create_task(_follow(watcher, watch)))

    def _bucket(self, client: Client) -> KeyValue:
        """As nats-py's `key_value` makes it, without asking a server."""
        name, jetstream = self.settings.bucket, client.jetstream(timeout=self.settings.timeout)
        return KeyValue(name, f"KV_{name}", f"$KV.{name}.", jetstream, self.settings.direct)

    async def _connected(self, name: str) -> Client:
        return await self._connect(
            name=name, max_reconnect_attempts=-1, reconnect_time_wait=0.1, connect_timeout=0.5
        )


class _Worker:
    """One client: one operation after the other until the workload is over."""

    def __init__(
        self, workload: Workload, name: str, client: Client, bucket: KeyValue, rng: Random
    ) -> None:
        self._workload = workload
        self._name = name
        self._client = client
        self._bucket = bucket
        self._rng = rng
        self._known: dict[str, int] = {}  # revisions that it saw last

    async def run(self) -> None:
        """Until the workload is over; then the client leaves."""
        settings, rng = self._workload.settings, self._rng
        kinds, weights = list(_WEIGHTS), list(_WEIGHTS.values())
        count = 0
        while not self._workload.is_over:
            await asyncio.sleep(rng.uniform(0, settings.pause))
            count += 1
            kind = rng.choices(kinds, weights)[0]
            key = f"k{rng.randrange(settings.keys)}"
            if kind == "update" and key not in self._known:
                kind = "get"
            value = None if kind == "get" else f"{self._name}.{count}".encode()
            await self._do(kind, key, value)
        with suppress(nats.errors.Error):
            await self._client.close()

    async def _do(self, kind: Kind, key: str, value: bytes | None) -> None:
        history, now = self._workload.history, self._workload.now
        expected = self._known.get(key, 0) if kind == "update" else 0
        number = history.begin(self._name, kind, key, value, expected, now())
        found = None
        try:
            if value is None:
                revision, found = await _get(self._bucket, key)
            else:
                revision = await self._write(kind, key, value, expected)
        except _REFUSALS as error:
            history.refused(number, now(), type(error).__name__)
            self._known.pop(key, None)
        except (TimeoutError, nats.errors.Error, OSError) as error:
            history.unknown(number, type(error).__name__)
        else:
            history.ok(number, now(), revision, found)
            self._known[key] = revision

    async def _write(self, kind: Kind, key: str, value: bytes, expected: int) -> int:
        revision: int
        if kind == "put":
            revision = await self._bucket.put(key, value)
        elif kind == "create":
            revision = await self._bucket.create(key, value)
        elif kind == "update":
            revision = await self._bucket.update(key, value, last=expected)
        else:
            subject = f"$KV.{self._workload.settings.bucket}.{key}"
            jetstream = self._client.jetstream(timeout=self._workload.settings.timeout)
            ack = await jetstream.publish(subject, value, headers=dict(_HEADERS[kind]))
            revision = ack.seq
        return revision


async def _follow(watcher: KeyValue.KeyWatcher, watch: Watch) -> None:
    async for entry in watcher:
        if entry is not None:
            watch.seen.append(_entry(entry))


async def _get(bucket: KeyValue, key: str) -> tuple[int, bytes | None]:
    """The revision and the value of a key; a marker's own, and 0 for a key that never was."""
    try:
        entry = await bucket.get(key)
    except nats.js.errors.KeyNotFoundError as error:
        entry = error.entry
    return (entry.revision or 0, entry.value) if entry is not None else (0, None)


def _entry(entry: KeyValue.Entry) -> Entry:
    return Entry(entry.revision or 0, entry.key, entry.value or b"", entry.operation or "")
