"""compose.yaml's three servers, as whoever types its first command gets them.

The image is the one that `Cluster.docker` builds. Left out: JupyterLab beside them, whose image
takes a minute, and compose.nats.yaml; `make soak SOAKS=compose` has both.
"""

import asyncio
import re
import socket
from pathlib import Path

import pytest

from kvcore.lab import images
from kvcore.lab.engine import connect
from kvcore.lab.ports import free_ports
from tests.support.composed import composed, outlives

SERVERS = ("n1", "n2", "n3")


@pytest.mark.usefixtures("engine")
def test_the_composed_servers_ask_for_their_password_and_outlive_one_of_them(
    tmp_path: Path,
) -> None:
    client = connect()
    try:
        tag = images.image(client, "kvcore", say=lambda line: None)
        client.images.get(tag).tag("kvcore", "compose")
    finally:
        client.close()
    ports = {f"N{at + 1}_PORT": str(port) for at, port in enumerate(free_ports(3))}
    with composed("compose.yaml", tmp_path, ports) as project:
        project.do("up", "-d", "--no-build", *SERVERS)
        project.healthy(3)
        said = re.search(r"NATS_URL=(\S+)", project.do("logs", "secret"))
        assert said is not None
        urls = dict(zip(SERVERS, said[1].split(","), strict=True))
        assert b"Authorization Violation" in told_without_password(urls["n1"])
        asyncio.run(outlives(project, urls))


def told_without_password(url: str) -> bytes:
    host, _, port = url.rpartition("@")[2].partition(":")
    with socket.create_connection((host, int(port)), 10) as connection:
        connection.sendall(b"CONNECT {}\r\nPING\r\n")
        return b"".join(iter(lambda: connection.recv(4096), b""))
