"""The verbs of a cluster of containers, and that nothing of it stays behind."""

import asyncio
import gc
import os
import signal
import subprocess
import sys

import pytest

from kvcore.lab import Cluster, NotInThisWorld
from kvcore.lab import engine as engines
from kvcore.lab.engine import CLUSTER, OWNER, NoEngineError
from tests.support.require import ROOT
from tests.support.wait import eventually


@pytest.mark.usefixtures("engine")
def test_each_verb_does_what_it_does_in_the_other_worlds() -> None:
    async def main() -> None:
        async with Cluster.docker(3) as cluster:
            client = await cluster.connect(servers=[cluster.servers[0].url])
            bucket = await client.jetstream().create_key_value(bucket="b", replicas=3)
            await bucket.put("k", b"1")
            await cluster.crash("n2")
            assert [card.status for card in cluster.servers] == ["up", "crashed", "up"]
            await bucket.put("k", b"2")
            await cluster.restart("n2")
            again = await cluster.connect(servers=[cluster.servers[1].url])
            assert (await (await again.jetstream().key_value("b")).get("k")).value == b"2"
            await cluster.pause("n3")
            assert cluster.servers[2].status == "paused"
            await cluster.resume("n3")
            assert repr(cluster) == "Cluster docker · n1 up, n2 up, n3 up · 2 clients"
            with pytest.raises(NotInThisWorld, match=r"Cluster\.sim\(\)"):
                await cluster.power_cut("n1")
            with pytest.raises(ValueError, match="no server 'n9'"):
                await cluster.crash("n9")

    asyncio.run(main())
    assert left() == []


@pytest.mark.usefixtures("engine")
def test_a_restarted_server_keeps_its_address_and_what_it_stored() -> None:
    async def main() -> None:
        async with Cluster.docker(1) as cluster:
            client = await cluster.connect()
            bucket = await client.jetstream().create_key_value(bucket="b")
            await bucket.put("k", b"1")
            before = cluster.urls
            await cluster.crash()
            await cluster.restart()
            assert cluster.urls == before
            again = await cluster.connect()
            assert (await (await again.jetstream().key_value("b")).get("k")).value == b"1"

    asyncio.run(main())


@pytest.mark.usefixtures("engine")
def test_a_killed_kernel_leaves_no_container_network_or_volume() -> None:
    code = (
        "from kvcore.lab import Cluster; c = Cluster.docker(1); print(c.name, flush=True); input()"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert child.stdin is not None
    assert child.stdout is not None
    lines = iter(child.stdout.readline, "")
    name = next(line for line in lines if line.startswith("kvcore-")).strip()
    assert name in left()
    child.send_signal(signal.SIGKILL)
    child.wait(20)
    child.stdin.close()
    child.stdout.close()
    eventually(lambda: left() == [], 30.0)


@pytest.mark.usefixtures("engine")
def test_what_a_dead_owner_left_is_cleaned_and_what_a_living_one_has_is_not() -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait(20)
    with engines.engine() as client:
        mine = engines.labels("kvcore-mine")
        theirs = mine | {CLUSTER: "kvcore-theirs"}
        theirs[OWNER] = theirs[OWNER].rpartition(":")[0] + f":{dead.pid}"
        client.networks.create("kvcore-mine-clients", labels=mine)
        client.networks.create("kvcore-theirs-clients", labels=theirs)
        try:
            assert engines.clean(client) == ["kvcore-theirs"]
            assert left() == ["kvcore-mine"]
            assert engines.clean(client, all_owners=True) == ["kvcore-mine"]
        finally:
            engines.remove(client, "kvcore-mine")
            engines.remove(client, "kvcore-theirs")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_without_an_engine_the_message_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    with pytest.raises(NoEngineError, match=r"unset DOCKER_HOST.*Cluster\.processes\(3\)") as told:
        Cluster.docker(3)
    assert told.value.__suppress_context__  # a notebook shows one error, not four
    del told
    gc.collect()  # docker-py leaves the socket that couldn't connect to the collector


@pytest.mark.parametrize(
    ("error", "host", "is_installed", "said"),
    [
        ("PermissionError(13, 'Permission denied')", "", True, "usermod -aG docker"),
        ("PermissionError(13, 'Permission denied')", "unix:///s", True, "usermod -aG docker"),
        ("FileNotFoundError(2, 'No such file or directory')", "", False, "apt install docker.io"),
        ("FileNotFoundError(2, 'No such file or directory')", "", True, "systemctl start docker"),
        ("Connection refused", "tcp://127.0.0.1:1", True, "tcp://127.0.0.1:1 (Connection refused)"),
        ("port is required: rubbish", "rubbish", False, "rubbish (port is required"),
        ("read timed out", "", False, "not running (read timed out)"),
    ],
)
def test_the_remedy_fits_the_cause(error: str, host: str, is_installed: bool, said: str) -> None:
    assert said in engines.remedy(error, host, is_installed=is_installed)


def left() -> list[str]:
    with engines.engine() as client:
        return sorted(engines.clusters(client))
