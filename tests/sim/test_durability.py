"""Power cuts at random moments: what was acked is there, unless the server was told to lie.

Each seed runs a few writers, each with keys of its own, until the power goes at a random
moment. After the restart a key's value must be that of its last acked operation, or of a
later one whose answer never came. What breaks that is counted as lost.
"""

import asyncio
from random import Random

import nats.errors
import pytest
from nats.js.errors import Error as JetStreamError
from nats.js.errors import KeyNotFoundError

from kvcore import limits
from kvcore.sim.run import Parts
from kvcore.sim.world import PARTS, World
from kvcore.storage.appendfile import AppendFile
from kvcore.storage.memory import MemoryStorage

SEEDS = 200


class Writer:
    """Changes its own keys one after the other, and remembers what it was told."""

    def __init__(self, kv, name, rng):
        self.kv = kv
        self.rng = rng
        self.keys = [f"{name}.{number}" for number in range(2)]
        self.possible = {key: [None] for key in self.keys}  # last acked value, and later ones
        self.acked = 0

    async def run(self):
        for number in range(1000):
            key = self.rng.choice(self.keys)
            value = b"%d" % number
            delete = self.rng.random() < 0.2
            self.possible[key].append(None if delete else value)
            if delete:
                await self.kv.delete(key)
            else:
                await self.kv.put(key, value)
            self.possible[key] = self.possible[key][-1:]
            self.acked += 1

    async def lost(self, kv):
        missing = 0
        for key, possible in self.possible.items():
            try:
                value = (await kv.get(key)).value
            except KeyNotFoundError:
                value = None
            missing += value not in possible
        return missing


def cut_once(seed, sync="always", parts=PARTS):
    """One world, one power cut: how many operations were acked, how many keys are wrong."""
    rng = Random(f"cut {seed}")
    world = World(seed=seed, sync=sync, parts=parts)
    writers = []

    async def before():
        client = await world.connect()
        kv = await client.jetstream().create_key_value(bucket="b")
        writers.extend(Writer(kv, f"w{number}", Random(f"{seed}{number}")) for number in range(3))
        tasks = [asyncio.create_task(writer.run()) for writer in writers]
        await asyncio.sleep(rng.uniform(0, 0.015))
        world.power_cut()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def after():
        world.restart()
        client = await world.connect()
        try:
            kv = await client.jetstream().key_value("b")
        except JetStreamError:
            return sum(writer.acked > 0 for writer in writers)  # the bucket itself is gone
        return sum([await writer.lost(kv) for writer in writers])

    try:
        world.run(before())
        return sum(writer.acked for writer in writers), world.run(after())
    finally:
        world.close()


def cut_all(seeds, **options):
    results = [cut_once(seed, **options) for seed in seeds]
    return sum(acked for acked, _ in results), sum(lost for _, lost in results)


def test_no_acked_operation_is_lost_by_200_power_cuts():
    acked, lost = cut_all(range(SEEDS))
    assert acked > 10 * SEEDS
    assert lost == 0


@pytest.mark.parametrize("sync", ["interval", "never"])
def test_without_a_sync_before_the_ack_power_cuts_lose_what_was_acked(sync):
    acked, lost = cut_all(range(40), sync=sync)
    assert acked > 0
    assert lost > 0


def test_a_sync_that_does_nothing_is_caught():
    class Liar(AppendFile):
        def sync(self):
            pass

    liar = Parts(PARTS.make_node, lambda disk: {"memory": MemoryStorage(), "file": Liar(disk)})
    assert cut_all(range(40), parts=liar)[1] > 0


def test_a_sync_before_the_write_is_caught():
    class Early(AppendFile):
        """Writes a batch only when the next one comes, so that syncs are one batch early."""

        late = None

        def write(self, batch):
            if self.late is not None:
                super().write(self.late)
            self.late = batch

    early = Parts(PARTS.make_node, lambda disk: {"memory": MemoryStorage(), "file": Early(disk)})
    try:
        lost = cut_all(range(40), parts=early)[1]
    except (AssertionError, nats.errors.Error, KeyError):
        lost = 1  # the server itself fell over what it read
    assert lost > 0


def test_with_interval_what_is_older_than_the_interval_is_safe():
    world = World(seed=1, sync="interval")

    async def main():
        client = await world.connect()
        kv = await client.jetstream().create_key_value(bucket="b")
        await kv.put("key", b"old")
        await asyncio.sleep(limits.SYNC_INTERVAL_NS / limits.SECOND_NS + 1)
        world.power_cut()
        world.restart()
        fresh = await world.connect()
        kv = await fresh.jetstream().key_value("b")
        assert (await kv.get("key")).value == b"old"

    try:
        world.run(main())
    finally:
        world.close()
