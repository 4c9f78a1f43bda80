"""Real nats-servers in a lab's cluster: the same verbs, and none left when the kernel is gone."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest
from nats.errors import NoRespondersError
from nats.errors import TimeoutError as NatsTimeoutError
from nats.js.errors import NoStreamResponseError, ServiceUnavailableError

from kvcore.lab import programs
from kvcore.lab.cluster import Cluster, NotInThisWorld
from kvcore.lab.nats_processes import NoNatsServer
from kvcore.lab.remote import to_the_end
from tests.support.require import require
from tests.support.wait import eventually

KERNEL = """
import asyncio, sys, time
from kvcore.lab import Cluster
cluster = Cluster.nats_processes(1)
if sys.argv[1] == "paused":
    asyncio.run(cluster.pause())
print(cluster.members[0].pid, cluster.directory, flush=True)
time.sleep(60)
"""


def runs(pid):
    """Whether the process is there, and no zombie."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text(encoding="ascii")
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


async def bucket(cluster, name, **settings):
    client = await cluster.connect()
    js = client.jetstream(timeout=30)  # a new group may need a second election
    await js.create_key_value(bucket=name, **settings)
    return await opened(client, name)


async def at_last(ask, within=60.0):
    """The answer of `ask`, asked again while real servers elect, agree or catch up.

    They answer nothing, or 503, for up to nine seconds after the server that leads their
    metadata has crashed; and others than a bucket's leader hear of its subject a moment late.
    """
    deadline = time.monotonic() + within
    while True:
        try:
            return await ask()
        except (
            NatsTimeoutError,
            NoRespondersError,
            NoStreamResponseError,
            ServiceUnavailableError,
        ):
            assert time.monotonic() < deadline, f"nobody answers within {within} s"


async def opened(client, name):
    return await at_last(partial(client.jetstream(timeout=2).key_value, name))


async def led(cluster, name, within=60.0):
    """Who leads, once most servers name the same one."""
    deadline = time.monotonic() + within
    while not (leader := await cluster.leader(name)):
        assert time.monotonic() < deadline, f"nobody leads within {within} s"
    return leader


async def value(cluster, name, key):
    kv = await opened(await cluster.connect(), name)
    return (await at_last(partial(kv.get, key))).value


def test_the_environment_opens_a_nats_server_that_is_hurt_and_keeps_what_it_has(monkeypatch):
    require("go")
    monkeypatch.setenv("KVCORE_WORLD", "nats-processes")

    async def main():
        cluster = Cluster.open(servers=1)
        pid, directory = cluster.members[0].pid, cluster.directory
        assert set(cluster.can) == {
            *("crash", "restart", "pause", "resume", "step_down", "disconnect", "shell")
        }
        kv = await bucket(cluster, "b")
        assert await kv.put("key", b"value") == 1
        assert cluster.clients[0]._server_info["go"].startswith("go1.")
        assert repr(cluster) == "Cluster nats-processes · n1 up · 1 client"
        await cluster.pause()
        assert repr(cluster.servers) == "[n1 paused]"
        await cluster.resume()
        await cluster.crash()
        assert repr(cluster.servers) == "[n1 crashed]"
        assert not runs(pid)
        await cluster.restart()
        assert await value(cluster, "b", "key") == b"value"
        pid = cluster.members[0].pid
        cluster.close()
        assert repr(cluster) == "Cluster nats-processes · closed"
        assert not runs(pid)
        assert not directory.exists()

    asyncio.run(to_the_end(main))


def test_three_servers_go_on_without_one_that_crashes_and_it_catches_up():
    require("go")

    async def main():
        cluster = Cluster.nats_processes(3)
        kv = await bucket(cluster, "b", replicas=3)
        await at_last(partial(kv.put, "key", b"before"))
        leader = await led(cluster, "b")
        url = next(each.url for each in cluster.servers if each.name == leader)
        other = next(each.name for each in cluster.servers if each.name != leader)
        await cluster.crash(other)  # perhaps the one that the client is connected to
        client = await cluster.connect(servers=[url])
        kv = await opened(client, "b")
        await at_last(partial(kv.put, "key", b"after"))
        await cluster.restart(other)
        assert await value(cluster, "b", "key") == b"after"
        cluster.close()

    asyncio.run(to_the_end(main))


@pytest.mark.parametrize("verb", ["partition", "heal"])
def test_a_partition_is_refused_in_a_sentence_that_names_the_containers(verb):
    require("go")

    async def main():
        cluster = Cluster.nats_processes(1)
        with pytest.raises(NotInThisWorld, match=r'Cluster\.docker\(3, image="nats"\) can'):
            await getattr(cluster, verb)()
        with pytest.raises(NotInThisWorld, match=r"no power_cut; Cluster\.sim\(\)"):
            await cluster.power_cut()
        cluster.close()

    asyncio.run(to_the_end(main))


def test_a_ports_file_that_is_being_written_is_looked_at_again():
    require("go")

    async def main():
        cluster = Cluster.nats_processes(1)
        process, port = cluster.members[0], cluster.members[0].port
        (file,) = process.directory.glob("*.ports")
        whole = file.read_text()
        file.write_text(whole[: len(whole) // 2])
        assert not process.ready()
        file.write_text(whole)
        assert process.ready()
        assert process.port == port
        cluster.close()

    asyncio.run(to_the_end(main))


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_paused_server_has_stopped_when_pause_returns():
    require("go")

    async def main():
        cluster = Cluster.nats_processes(1)
        for _ in range(20):
            await cluster.pause()
            threads = Path(f"/proc/{cluster.members[0].pid}/task").iterdir()
            states = {(each / "stat").read_text().rpartition(")")[2].split()[0] for each in threads}
            assert states == {"T"}
            await cluster.resume()
        cluster.close()

    asyncio.run(to_the_end(main))


def test_real_nats_is_on_this_machine_unless_a_url_says_where(monkeypatch):
    require("go")
    monkeypatch.setenv("KVCORE_WORLD", "nats")
    monkeypatch.delenv("NATS_URL", raising=False)

    async def main():
        cluster = Cluster.open(servers=1)
        beside = Cluster.beside(1)
        assert (cluster.world, beside.world) == ("nats-processes", "nats-processes")
        monkeypatch.setenv("NATS_URL", cluster.urls[0])
        assert Cluster.open(servers=1).world == "nats"
        beside.close()
        monkeypatch.setenv("KVCORE_WORLD", "sim")
        beside = Cluster.beside(1)
        assert beside.world == "processes"
        beside.close()

    asyncio.run(to_the_end(main))


def test_without_the_program_a_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setattr(programs, "found", lambda _name: iter(()))
    with pytest.raises(NoNatsServer, match=r"go install .*nats-server.*Cluster\.processes\(3\)"):
        Cluster.nats_processes(3)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("state", ["serving", "paused"])
def test_no_nats_server_outlives_a_kernel_that_was_killed(state, tmp_path):
    require("go")
    kernel = subprocess.Popen(
        [sys.executable, "-c", KERNEL, state],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    with kernel:
        pid, directory = kernel.stdout.readline().split()
        assert runs(int(pid))
        kernel.send_signal(signal.SIGKILL)
    eventually(lambda: not runs(int(pid)) and not Path(directory).exists())
