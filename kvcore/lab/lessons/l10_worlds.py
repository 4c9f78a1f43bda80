"""The eight worlds of 10a: writes, a fault, and what is left of what was acked.

`play` runs one case with one seed, in a simulated world of its own, and counts. A test plays
each of them with many seeds (tests/lessons/test_storage_engines.py); the check plays the one
that a learner got wrong, so that the verdict says how many writes it cost.

Left out: other schedules. "none" is what these faults can do to writes that all servers have.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeAlias

from nats.errors import Error as NatsError
from nats.js.errors import NotFoundError
from nats.js.kv import KeyValue

from kvcore.lab.cluster import Cluster, run_apart
from kvcore.sim.run import SyncPolicy

WRITES = 20
_PAUSE_SECONDS = 0.05
_TRIES = 100

Fault: TypeAlias = Callable[[Cluster, str], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Case:
    """A bucket's replicas, how its servers sync, and what befalls them."""

    replicas: int
    sync: SyncPolicy
    fault: Fault
    is_lagging: bool = False  # one follower hears nothing of the writes


@dataclass(frozen=True, slots=True)
class Left:
    """What a world came to."""

    acked: int
    lost: int


async def _kill_all(cluster: Cluster, _leader: str) -> None:
    for server in cluster.servers:
        await cluster.crash(server.name)
    for server in cluster.servers:
        await cluster.restart(server.name)


async def _cut_all(cluster: Cluster, _leader: str) -> None:
    for server in cluster.servers:
        await cluster.power_cut(server.name)
    for server in cluster.servers:
        await cluster.restart(server.name)


async def _cut_leader(cluster: Cluster, leader: str) -> None:
    await cluster.power_cut(leader)
    await asyncio.sleep(1)
    await cluster.restart(leader)


async def _cut_the_witness(cluster: Cluster, leader: str) -> None:
    """The one follower that has the writes loses its power; then the leader is cut off."""
    witness, lagging = followers(cluster, leader)
    await cluster.power_cut(witness)
    await cluster.partition([leader], [witness, lagging])
    await cluster.restart(witness)
    await asyncio.sleep(3)
    await cluster.heal()
    await asyncio.sleep(1)


CASES = {
    "R1, always, power cut": Case(1, "always", _cut_all),
    "R1, interval, kill -9": Case(1, "interval", _kill_all),
    "R1, interval, power cut": Case(1, "interval", _cut_all),
    "R3, always, power cut of all": Case(3, "always", _cut_all),
    "R3, interval, power cut of all": Case(3, "interval", _cut_all),
    "R3, never, kill -9 of all": Case(3, "never", _kill_all),
    "R3, interval, power cut of the leader": Case(3, "interval", _cut_leader),
    "R3, interval, partition and one power cut": Case(
        3, "interval", _cut_the_witness, is_lagging=True
    ),
}


def followers(cluster: Cluster, leader: str) -> tuple[str, str]:
    """The two others, by name."""
    first, second = (each.name for each in cluster.servers if each.name != leader)
    return first, second


def play(name: str, seed: int) -> Left:
    """What a case comes to with this seed."""
    case = CASES[name]

    async def main(cluster: Cluster) -> Left:
        return await _play(cluster, case)

    return run_apart(main, seed=seed, servers=case.replicas, sync=case.sync)


async def _play(cluster: Cluster, case: Case) -> Left:
    client = await cluster.connect()
    js = client.jetstream()
    await js.create_key_value(bucket="desk", replicas=case.replicas)
    leader = await cluster.leader("desk") if case.replicas > 1 else cluster.servers[0].name
    if case.is_lagging:
        witness, lagging = followers(cluster, leader)
        await cluster.partition([lagging], [leader, witness])
    url = next(each.url for each in cluster.servers if each.name == leader)
    near = await cluster.connect(servers=[url])
    kv = await near.jetstream().key_value("desk")
    acked = []
    for number in range(WRITES):
        await kv.put(f"k{number}", b"x")
        acked.append(f"k{number}")
        await asyncio.sleep(_PAUSE_SECONDS)
    await near.close()
    await case.fault(cluster, leader)
    left = await _keys(cluster)
    return Left(len(acked), sum(key not in left for key in acked))


async def _keys(cluster: Cluster) -> list[str]:
    """All keys, once a leader answers; none if the bucket is gone, too."""
    client = await cluster.connect()
    for _ in range(_TRIES):
        try:
            kv: KeyValue = await client.jetstream().key_value("desk")
            await kv.put("probe", b"")
            return list(await kv.keys())
        except NotFoundError:
            return []
        except (NatsError, TimeoutError):
            await asyncio.sleep(0.1)
    return []
