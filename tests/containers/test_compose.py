"""compose.yaml's three servers, as whoever types its first command gets them.

The image is the one that `Cluster.docker` builds. Left out: JupyterLab beside them, whose image
takes a minute; `make soak SOAKS=compose` has that, and compose.nats.yaml.
"""

import asyncio
import os
import re
import secrets
import socket
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import nats
import pytest
from nats.errors import Error as NatsError

from kvcore.lab import images
from kvcore.lab.engine import connect
from kvcore.lab.ports import free_ports
from tests.support.engine import compose
from tests.support.require import ROOT
from tests.support.wait import eventually

FILE = ROOT / "docker" / "compose.yaml"
WITHIN_S = 60.0
SERVERS = ("n1", "n2", "n3")


@dataclass(frozen=True)
class Composed:
    """A project of compose's, and how to tell it something."""

    name: str
    env: dict[str, str]

    def do(self, *words: str) -> str:
        command = [*compose(), "-p", self.name, "-f", str(FILE), *words]
        done = subprocess.run(command, env=self.env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout

    def health(self) -> list[str]:
        """What the images' own checks say of the containers that run."""
        told = {"label": f"com.docker.compose.project={self.name}"}
        client = connect()
        try:
            running = client.containers.list(filters=told)
            return [each.attrs["State"].get("Health", {}).get("Status") for each in running]
        finally:
            client.close()

    def left(self) -> list[str]:
        told = {"label": f"com.docker.compose.project={self.name}"}
        client = connect()
        try:
            things = client.containers.list(all=True, filters=told)
            things += client.networks.list(filters=told) + client.volumes.list(filters=told)
            return [thing.name for thing in things]
        finally:
            client.close()


@pytest.fixture
def composed(engine: None, tmp_path: Path) -> Iterator[Composed]:
    client = connect()
    try:
        tag = images.image(client, "kvcore", say=lambda line: None)
        client.images.get(tag).tag("kvcore", "compose")
    finally:
        client.close()
    ports = {f"N{at + 1}_PORT": str(port) for at, port in enumerate(free_ports(3))}
    kept = {name: os.environ[name] for name in ("PATH", "DOCKER_HOST") if name in os.environ}
    project = Composed(f"kvcore{secrets.token_hex(4)}", kept | ports | {"HOME": str(tmp_path)})
    try:
        project.do("up", "-d", "--no-build", *SERVERS)
        eventually(lambda: project.health() == ["healthy"] * len(SERVERS), WITHIN_S)
        yield project
    finally:
        project.do("down", "-v", "-t", "1")
        assert project.left() == []


async def put(kv, value: bytes) -> int:
    async with asyncio.timeout(WITHIN_S):
        while True:
            with suppress(NatsError):
                return await kv.put("k", value)
            await asyncio.sleep(0.1)


def test_the_composed_servers_ask_for_their_password_and_outlive_one_of_them(
    composed: Composed,
) -> None:
    said = re.search(r"NATS_URL=(\S+)", composed.do("logs", "secret"))
    assert said is not None
    urls = dict(zip(SERVERS, said[1].split(","), strict=True))
    assert b"Authorization Violation" in told_without_password(urls["n1"])

    async def main() -> None:
        first = await nats.connect(urls["n1"], allow_reconnect=False)
        await led(first)
        kv = await first.jetstream().create_key_value(bucket="b", replicas=3)
        before = await put(kv, b"1")
        leader = (await first.jetstream().stream_info("KV_b")).cluster.leader
        await first.close()
        other = next(name for name in SERVERS if name != leader)
        client = await nats.connect(urls[other], allow_reconnect=False)
        kv = await client.jetstream(timeout=2.0).key_value("b")
        await asyncio.to_thread(composed.do, "kill", leader)
        assert await put(kv, b"2") > before
        assert (await kv.get("k")).value == b"2"
        await client.close()

    asyncio.run(main())


async def led(client: nats.NATS) -> None:
    async with asyncio.timeout(WITHIN_S):
        while True:
            with suppress(NatsError):
                await client.jetstream(timeout=1.0).account_info()
                return


def told_without_password(url: str) -> bytes:
    host, _, port = url.rpartition("@")[2].partition(":")
    with socket.create_connection((host, int(port)), 10) as connection:
        connection.sendall(b"CONNECT {}\r\nPING\r\n")
        return b"".join(iter(lambda: connection.recv(4096), b""))
