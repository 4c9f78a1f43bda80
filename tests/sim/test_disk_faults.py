"""Disks that fail under one of three servers: it stops, the others go on, and nothing acked goes.

A failed sync is never tried again. What is damaged is found by its checksum: the server refuses
to start rather than forget a stream, and the cluster keeps serving without it.
"""

import asyncio

import nats.errors
import pytest

from kvcore.sim.host import State
from kvcore.sim.world import World
from kvcore.storage.base import StorageError


async def bucket(world):
    client = await world.connect()
    return await client.jetstream(timeout=2).create_key_value(bucket="b", replicas=3, direct=True)


async def put_all(kv, start, count):
    revisions = {}
    for number in range(start, start + count):
        try:
            revisions[number] = await kv.put(f"k{number}", b"%d" % number)
        except nats.errors.Error:  # unknown, so not counted
            await asyncio.sleep(0.1)
    return revisions


async def values(kv, acked):
    return {number: (await kv.get(f"k{number}")).value for number in acked}


@pytest.mark.parametrize("call", ["write", "sync"])
@pytest.mark.parametrize("error", ["EIO", "ENOSPC"])
@pytest.mark.parametrize("victim", ["leader", "follower"])
def test_a_disk_that_fails_stops_its_server_and_nobody_else(call, error, victim):
    with World(3, seed=3) as world:

        async def main():
            kv = await bucket(world)
            acked = await put_all(kv, 0, 10)
            leader = world.leader("KV_b")
            name = leader if victim == "leader" else next(n for n in world.hosts if n != leader)
            before = world.host(name).syncs
            world.disk_fault(name, call, error)
            acked |= await put_all(kv, 10, 20)
            assert world.host(name).state is State.CRASHED
            assert world.host(name).syncs - before <= 1  # a failed sync is not tried again
            await asyncio.sleep(3)
            assert await values(kv, acked) == {number: b"%d" % number for number in acked}
            world.restart(name)
            await asyncio.sleep(3)
            views = world.views("KV_b")
            assert len({view.applied for view in views}) == 1
            assert len(acked) >= 15

        world.run(main())


@pytest.mark.parametrize("place", [0.1, 0.35, 0.6, 0.9])
def test_a_flipped_bit_is_found_and_never_costs_a_stream(place):
    with World(3, seed=4) as world:

        async def main():
            kv = await bucket(world)
            acked = await put_all(kv, 0, 20)
            leader = world.leader("KV_b")
            name = next(n for n in world.hosts if n != leader)
            world.crash(name)
            disk = world.host(name).disk
            file = max(disk.names(), key=lambda each: len(disk.read(each)))
            world.flip_bit(name, file, int(len(disk.read(file)) * place))
            with pytest.raises(StorageError):
                world.restart(name)
            assert world.host(name).state is State.CRASHED
            acked |= await put_all(kv, 20, 5)
            assert await values(kv, acked) == {number: b"%d" % number for number in acked}
            assert len(acked) >= 23  # one or two may have met the crash

        world.run(main())
