"""Real processes that are one cluster: their verbs, and what core NATS does across them."""

import asyncio
import os
import signal
import subprocess
import sys
from contextlib import closing, suppress
from pathlib import Path

import nats
import pytest

from kvcore.lab import Cluster
from kvcore.lab.fleet import Fleet
from tests.support.wait import eventually


@pytest.fixture
def three():
    cluster = Cluster.processes(3)
    yield cluster
    cluster.close()


def run(cluster, main):
    """Runs `main`, and closes the clients that it made."""

    async def to_the_end():
        try:
            await main()
        finally:
            for client in cluster.clients:
                await client.close()

    asyncio.run(to_the_end())


async def at(cluster, name, **options):
    """A client of one server."""
    url = next(server.url for server in cluster.servers if server.name == name)
    return await cluster.connect(servers=[url], name=name, **options)


async def passes(one, other, subject) -> bool:
    """Whether a message published by one client reaches the other soon."""
    heard = await other.subscribe(subject)
    try:
        await other.flush(timeout=1)
    except nats.errors.Error:  # it connects again
        return False
    try:
        for _ in range(40):
            await one.publish(subject, b"x")
            try:
                await heard.next_msg(timeout=0.05)
            except nats.errors.TimeoutError:
                continue
            return True
        return False
    finally:
        await heard.unsubscribe()


async def until(look, within=60.0):
    async with asyncio.timeout(within):
        while not await look():
            await asyncio.sleep(0.01)


def test_clients_of_different_servers_hear_each_other_and_a_partition_is_silence(three):
    async def main():
        one, two, third = [await at(three, name) for name in ("n1", "n2", "n3")]
        await until(lambda: passes(one, two, "before"))
        await three.partition(["n1"])
        assert not await passes(one, two, "cut")
        assert not await passes(third, one, "cut.back")
        await until(lambda: passes(two, third, "rest"))
        assert one.is_connected  # silence, not a close
        assert one.stats["reconnects"] == 0
        await three.heal()
        await until(lambda: passes(one, two, "healed"))
        await until(lambda: passes(third, one, "healed.back"))

    run(three, main)


def test_the_leader_is_whom_most_servers_name_though_the_first_one_asked_is_cut_off(three):
    async def main():
        client = await three.connect()
        await client.jetstream().create_key_value(bucket="b", replicas=3)

        async def is_first():
            with suppress(RuntimeError):  # not every server knows the leader at once
                await three.step_down("b", "n1")
            return await three.leader("b") == "n1"

        async def is_another():
            return await three.leader("b") in {"n2", "n3"}

        await until(is_first)
        await three.partition(["n1"], ["n2", "n3"])
        await until(is_another)
        await three.heal()

    run(three, main)


def test_a_client_that_a_group_names_is_cut_off_with_it(three):
    async def main():
        one = await at(three, "n1", max_reconnect_attempts=-1, reconnect_time_wait=0.05)
        other = await at(three, "n2")
        await until(lambda: passes(other, one, "before"))
        apart = await three.connect(servers=[three.urls[1]], name="ann", reconnect_time_wait=0.05)
        await three.partition(["n1", "n2", "n3"], ["ann"])
        with pytest.raises(nats.errors.TimeoutError):
            await apart.flush(timeout=1)
        await until(lambda: passes(other, one, "servers"))
        await three.heal()
        await until(lambda: passes(other, apart, "healed"))

    run(three, main)


def test_a_server_that_restarts_in_a_partition_stays_behind_it(three):
    async def main():
        two, third = await at(three, "n2"), await at(three, "n3")
        await three.crash("n1")
        await three.partition(["n1"])
        await three.restart("n1")
        one = await at(three, "n1")
        assert not await passes(one, two, "cut")
        await until(lambda: passes(two, third, "rest"))
        await three.heal()
        await until(lambda: passes(one, two, "healed"))

    run(three, main)


def test_a_paused_server_is_cut_off_by_the_others_and_hears_of_it_when_it_goes_on(three):
    async def main():
        one, two = await at(three, "n1"), await at(three, "n2")
        await until(lambda: passes(one, two, "before"))
        await three.pause("n1")
        await three.partition(["n1"])
        await three.resume("n1")
        assert not await passes(one, two, "cut")
        await three.heal()
        await until(lambda: passes(one, two, "healed"))

    run(three, main)


def test_groups_that_make_no_sense_are_refused(tmp_path):
    fleet = Fleet(3, tmp_path)
    with pytest.raises(ValueError, match="no server or client 'n9'; there are n1, n2, n3"):
        fleet.partition([["n9"]])
    with pytest.raises(ValueError, match="n1 is in two groups"):
        fleet.partition([["n1"], ["n1", "n2"]])
    with pytest.raises(ValueError, match="which server"):
        fleet.named(None)
    fleet.partition([["n1"], ["n2"]])
    assert [fleet.cut_from(name) for name in ("n1", "n2", "n3")] == [
        ("n2", "n3"),
        ("n1", "n3"),
        ("n1", "n2"),
    ]


SCRIPT = """
from kvcore.lab import Cluster
cluster = Cluster.processes(3)
print(*(each.pid for each in cluster.members), flush=True)
input()
"""


def test_servers_end_with_the_process_that_started_them_however_it_went():
    parent = subprocess.Popen(
        [sys.executable, "-c", SCRIPT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with parent:
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(pids) == 3
        parent.kill()
    eventually(lambda: not any(_runs(pid) for pid in pids))


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2][:3]
    except OSError:
        return False


def test_a_power_cut_takes_what_was_not_synced_and_no_more():
    cluster = Cluster.processes(1)

    async def main():
        client = await cluster.connect()
        kv = await client.jetstream().create_key_value(bucket="b")
        for number in range(50):
            await kv.put(f"k{number}", b"v")
        await cluster.power_cut()
        assert cluster.servers[0].status == "crashed"
        await cluster.restart()
        client = await cluster.connect()
        kv = await client.jetstream().key_value("b")
        assert sorted(await kv.keys()) == sorted(f"k{number}" for number in range(50))

    with closing(cluster):
        run(cluster, main)


def test_what_never_was_synced_a_power_cut_takes():
    cluster = Cluster.processes(1, flags=["--sync", "never"])

    async def main():
        client = await cluster.connect()
        kv = await client.jetstream().create_key_value(bucket="b")
        for number in range(200):
            await kv.put(f"k{number}", bytes(1000))
        await cluster.power_cut()
        await cluster.restart()
        client = await cluster.connect()
        found = await client.jetstream().streams_info()
        assert sum(info.state.messages for info in found) < 200

    with closing(cluster):
        run(cluster, main)


def test_a_server_stops_by_the_signal_that_it_gets(three):
    three.members[0].end(signal.SIGTERM)
    assert three.servers[0].status == "crashed"
    left = [each.name for each in three.members[0].directory.iterdir()]
    assert not [name for name in left if name.endswith((".ports", ".admin"))]
