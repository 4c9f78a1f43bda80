"""Both compose files, whole: JupyterLab beside kvcore's servers, and three nats-servers.

    python -m pytest tests/containers/compose_whole.py        about a minute

Left out of `make test` for its time: images with JupyterLab are built. `make soak` has it.
"""

import asyncio
import re
import subprocess
import sys
import urllib.request
from pathlib import Path
from urllib.error import HTTPError

import pytest

from kvcore.lab import images
from kvcore.lab.engine import connect
from kvcore.lab.ports import free_ports
from tests.support.composed import composed, outlives
from tests.support.require import ROOT, require

LAB_BASE = "kvcore-lab-base:local"
CELL = """
import asyncio, os
from kvcore.lab import Cluster
import jupyterlab, matplotlib.pyplot, pandas
async def main():
    cluster = Cluster.nats(open("/secret/clients/url").read().strip())
    client = await cluster.connect()
    kv = await client.jetstream().create_key_value(bucket="lab", replicas=3)
    print(await kv.put("k", b"1"), os.getuid(), len(os.listdir("/opt/kvcore/work")) > 10)
    await client.close()
asyncio.run(main())
"""


@pytest.fixture
def bases(engine: None) -> dict[str, str]:
    """What to build on here: python:slim, or what is made of this Python."""
    client = connect()
    try:
        base = images._base(client, lambda line: None)
    finally:
        client.close()
    if base == images.BASE:
        return {}
    script = str(ROOT / "docker" / "base.py")
    command = [sys.executable, script, "--extra", "course", "--tag", LAB_BASE]
    subprocess.run(command, check=True, capture_output=True)
    return {"KVCORE_BASE": base, "KVCORE_LAB_BASE": LAB_BASE}


def status(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.status
    except HTTPError as error:
        with error:
            return error.code


def test_jupyterlab_wants_its_token_and_reaches_the_servers(
    bases: dict[str, str], tmp_path: Path
) -> None:
    *ports, port = free_ports(4)
    variables = bases | {f"N{at + 1}_PORT": str(each) for at, each in enumerate(ports)}
    with composed("compose.yaml", tmp_path, variables | {"LAB_PORT": str(port)}) as project:
        project.do("up", "-d", "--build")
        project.healthy(4)
        address = re.search(
            rf"http://127.0.0.1:{port}/lab\S*token=(\w+)", project.do("logs", "lab")
        )
        assert address is not None
        contents = f"http://127.0.0.1:{port}/api/contents"
        assert status(contents) == 403
        assert status(f"{contents}?token=wrong") == 403
        assert status(f"{contents}?token={address[1]}") == 200
        assert status(address[0]) == 200
        assert project.do("exec", "-T", "lab", "python3", "-c", CELL).split() == [
            *("1", "10001", "True")
        ]


@pytest.mark.parametrize("sync", ["", "always"])
@pytest.mark.usefixtures("engine")
def test_three_composed_nats_servers_outlive_one_of_them(tmp_path: Path, sync: str) -> None:
    require("go")
    client = connect()
    try:
        tag = images.image(client, "nats", say=lambda line: None)
    finally:
        client.close()
    ports = free_ports(3)
    variables = {f"NATS{at + 1}_PORT": str(port) for at, port in enumerate(ports)}
    variables |= {"NATS_IMAGE": tag, "NATS_PASSWORD": "0123e456", "NATS_SYNC": sync}
    urls = {f"nats{at + 1}": f"nats://kvcore:0123e456@127.0.0.1:{p}" for at, p in enumerate(ports)}
    with composed("compose.nats.yaml", tmp_path, variables) as project:
        project.do("up", "-d")
        asyncio.run(outlives(project, urls))
