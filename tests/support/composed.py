"""A project of compose's for tests: its ports are free ones, and nothing of it stays behind."""

import asyncio
import os
import secrets
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import nats
from nats.errors import Error as NatsError

from kvcore.lab.engine import connect
from tests.support.engine import compose
from tests.support.require import ROOT
from tests.support.wait import eventually

WITHIN_S = 90.0  # nats-server gives up its leadership after 10 s, and elects within 4 to 9 s


@dataclass(frozen=True)
class Composed:
    """A file of docker/, under a name and with variables of its own."""

    file: str
    name: str
    env: dict[str, str]

    def do(self, *words: str) -> str:
        command = [*compose(), "-p", self.name, "-f", str(ROOT / "docker" / self.file), *words]
        done = subprocess.run(command, env=self.env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout

    def healthy(self, count: int) -> None:
        """Waits until so many containers run, and all of them are well by their own account."""
        eventually(lambda: self._health() == ["healthy"] * count, WITHIN_S)

    def _health(self) -> list[str]:
        client = connect()
        try:
            running = client.containers.list(filters=self._ours())
            return [each.attrs["State"].get("Health", {}).get("Status") for each in running]
        finally:
            client.close()

    def left(self) -> list[str]:
        told = self._ours()
        client = connect()
        try:
            things = client.containers.list(all=True, filters=told)
            things += client.networks.list(filters=told) + client.volumes.list(filters=told)
            return [thing.name for thing in things]
        finally:
            client.close()

    def _ours(self) -> dict[str, str]:
        return {"label": f"com.docker.compose.project={self.name}"}


@contextmanager
def composed(file: str, home: Path, variables: Mapping[str, str]) -> Iterator[Composed]:
    """Not up yet; is down afterwards, and its volumes are gone."""
    kept = {name: os.environ[name] for name in ("PATH", "DOCKER_HOST") if name in os.environ}
    env = {**kept, "HOME": str(home), "DOCKER_BUILDKIT": "0", **variables}
    project = Composed(file, f"kvcore{secrets.token_hex(4)}", env)
    try:
        yield project
    finally:
        project.do("down", "-v", "-t", "1")
        assert project.left() == []


async def outlives(project: Composed, urls: Mapping[str, str]) -> None:
    """A bucket of theirs is written and read, and again when its leader has been killed."""
    eventually(lambda: all(map(says_who_it_is, urls.values())), WITHIN_S)
    first = await nats.connect(next(iter(urls.values())), allow_reconnect=False)
    kv = await bucket(first)
    before = await put(kv, b"1")
    leader = (await first.jetstream().stream_info("KV_b")).cluster.leader
    await first.close()
    other = next(name for name in urls if name != leader)
    client = await nats.connect(urls[other], allow_reconnect=False)
    kv = await client.jetstream(timeout=2.0).key_value("b")
    await asyncio.to_thread(project.do, "kill", leader)
    assert await put(kv, b"2") > before
    assert (await kv.get("k")).value == b"2"
    await client.close()


def says_who_it_is(url: str) -> bool:
    """Whether a server is behind the published port, which answers before there is one."""
    host, _, port = url.rpartition("@")[2].partition(":")
    try:
        with socket.create_connection((host, int(port)), 5) as connection:
            return connection.recv(5) == b"INFO "
    except OSError:
        return False


async def bucket(client: nats.NATS):
    """A bucket on three servers, once they agree on who leads them."""
    async with asyncio.timeout(WITHIN_S):
        while True:
            with suppress(NatsError):
                js = client.jetstream(timeout=2.0)
                return await js.create_key_value(bucket="b", replicas=3)
            await asyncio.sleep(0.1)


async def put(kv, value: bytes) -> int:
    async with asyncio.timeout(WITHIN_S):
        while True:
            with suppress(NatsError):
                return await kv.put("k", value)
            await asyncio.sleep(0.1)
