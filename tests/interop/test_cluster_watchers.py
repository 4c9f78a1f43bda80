"""Watchers of three clients on three real servers: every later update once, whatever happens.

The servers are told apart by what they are to the watcher: the bucket's leader, or the server
that the watcher is connected to. Waits end with the condition; their bounds only keep a broken
run from hanging (`tests/sim/test_watchers.py` measures how soon, in virtual time).
"""

import asyncio
import itertools
import re
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Protocol

import nats
import pytest

from tests.interop.walks import build_node
from tests.support.nats_cluster import Cluster, cluster
from tests.support.require import program, require
from tests.support.wait import eventually

HANG_S = 60.0  # a client notices a lost message by the heartbeats, which come every 5 s


@pytest.fixture(scope="module")
def servers() -> Iterator[Cluster]:
    require("go")
    with cluster("kvcore") as found:
        yield found


class Watcher(Protocol):
    """A watch of a bucket; `keys` are those that came, in the order in which they came."""

    keys: list[str]

    def end(self) -> None: ...


class Printing:
    """A program that prints a key for each update."""

    def __init__(self, words: list[str], pattern: str) -> None:
        self.process = subprocess.Popen(
            words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self.keys: list[str] = []
        self._pattern = pattern
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for line in lines:
                self.keys += re.findall(self._pattern, line)

    def end(self) -> None:
        self.process.kill()
        self.process.wait(HANG_S)
        self._reader.join(HANG_S)


class Python:
    """nats-py's `watchall`, in a loop and thread of its own."""

    def __init__(self, url: str, bucket: str) -> None:
        self.keys: list[str] = []
        self._loop = asyncio.new_event_loop()
        self._ended = asyncio.Event()
        self._thread = threading.Thread(
            target=self._loop.run_until_complete, args=[self._watch(url, bucket)]
        )
        self._thread.start()

    async def _watch(self, url: str, bucket: str) -> None:
        client = await nats.connect(url, error_cb=_quiet, reconnect_time_wait=0.1)
        watcher = await (await client.jetstream().key_value(bucket)).watchall()
        reading = asyncio.create_task(self._read(watcher))
        await self._ended.wait()
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        await client.close()

    async def _read(self, watcher) -> None:
        while True:
            entry = await watcher._updates.get()
            if entry is not None:
                self.keys.append(entry.key)

    def end(self) -> None:
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join(HANG_S)
        assert not self._thread.is_alive()
        self._loop.close()


async def _quiet(_: Exception) -> None:
    """Lost connections are what the test is about."""


def by_cli(servers: Cluster, at: str, bucket: str) -> Watcher:
    words = [program("nats"), "--server", servers.url(at), "--no-context", "kv", "watch", bucket]
    return Printing(words, r"\bk\d+\b")


def by_nats_py(servers: Cluster, at: str, bucket: str) -> Watcher:
    return Python(servers.url(at), bucket)


def by_nats_js(servers: Cluster, at: str, bucket: str) -> Watcher:
    require("node")
    return Printing([*build_node("follow.mjs"), servers.url(at), bucket], r"^k\d+$")


CLIENTS = {"cli": by_cli, "nats-py": by_nats_py, "nats.js": by_nats_js}


def leader_of(servers: Cluster, stream: str, at: str) -> str:
    info = servers.ask(at, f"STREAM.INFO.{stream}", within=2.0) or {}
    return str(info.get("cluster", {}).get("leader", ""))


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("how", ["step-down", "leader's SIGKILL", "own server's SIGKILL"])
def test_a_watcher_sees_every_later_update_once(servers, how, client):
    bucket = f"w_{how[0]}_{client.replace('.', '_')}"
    servers.settled()
    create = ("kv", "add", bucket, "--replicas", "3")
    eventually(lambda: not servers.cli(*create, check=False).returncode, HANG_S)
    stream = f"KV_{bucket}"
    leader = eventually(lambda: leader_of(servers, stream, "n1"), HANG_S)
    at, third = (name for name in servers.names if name != leader)
    killed = {"step-down": "", "leader's SIGKILL": leader}.get(how, at)
    watcher = CLIENTS[client](servers, at, bucket)
    acked: list[str] = []
    tries = itertools.count()

    def put() -> bool:
        key = f"k{next(tries)}"  # another one each time, for a lost answer tells nothing
        done = servers.cli("kv", "put", bucket, key, "v", at=third, check=False)
        acked.extend([] if done.returncode else [key])
        return not done.returncode

    def shows_all() -> bool:
        return set(acked) <= set(watcher.keys)

    try:
        eventually(put, HANG_S)
        eventually(shows_all, HANG_S, "what was there, or came first")
        if killed:
            servers.kill(killed)
        else:
            servers.cli("stream", "cluster", "step-down", stream, at=third)
        for _ in range(5):
            eventually(put, HANG_S)
        eventually(shows_all, HANG_S, f"none missed of {acked}")
        eventually(put, HANG_S)
        eventually(shows_all, HANG_S, f"none missed of {acked}")
        twice = [key for key, count in Counter(watcher.keys).items() if count > 1]
        assert twice == [], "none twice"
        assert watcher.keys == sorted(watcher.keys, key=lambda key: int(key[1:])), "in order"
    finally:
        watcher.end()
        if killed:
            servers.start(killed)
