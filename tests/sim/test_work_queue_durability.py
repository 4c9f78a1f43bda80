"""Power cuts while a work queue is being worked on: what was confirmed stays done.

A worker pulls tasks and asks for each acknowledgement to be confirmed. After a power cut at
a random moment no confirmed task may come again, and every task that was put and never
acknowledged must come.
"""

import asyncio
import contextlib
from random import Random

import nats.errors
import pytest

from kvcore.jetstream.answers import Delivery
from kvcore.jetstream.tracked import TrackedConsumer
from kvcore.sim.world import World

SEEDS = 40
TASKS = 30


def cut_once(seed, sync="always"):
    """How many tasks were confirmed, and how many of those came again or tasks never came."""
    rng = Random(f"work {seed}")
    world = World(seed=seed, sync=sync)
    done, tried = set(), set()

    async def work(sub, done, tried):
        while True:
            for message in await sub.fetch(rng.randint(1, 4), timeout=1):
                tried.add(message.data)
                await message.ack_sync(timeout=1)
                done.add(message.data)

    async def before():
        client = await world.connect()
        js = client.jetstream()
        await js.add_stream(name="WORK", subjects=["work.>"], retention="workqueue")
        for number in range(TASKS):
            await js.publish("work.all", b"%d" % number)
        sub = await js.pull_subscribe("work.>", durable="worker")
        task = asyncio.create_task(work(sub, done, tried))
        await asyncio.sleep(rng.uniform(0, 0.05))
        world.power_cut()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def after():
        world.restart()
        client = await world.connect()
        sub = await client.jetstream().pull_subscribe("work.>", durable="worker")
        again, tried_again = set(), set()
        await asyncio.sleep(31)  # what was on its way has its ack wait to go by
        with contextlib.suppress(nats.errors.TimeoutError):
            await work(sub, again, tried_again)
        wanted = {b"%d" % number for number in range(TASKS)}
        return len(tried_again & done) + len(wanted - tried - tried_again)

    try:
        world.run(before())
        return len(done), world.run(after())
    finally:
        world.close()


@pytest.mark.parametrize("part", range(4))
def test_no_confirmed_task_comes_again_and_none_is_lost_by_power_cuts(part):
    results = [cut_once(seed) for seed in range(part, SEEDS, 4)]
    assert sum(confirmed for confirmed, _ in results) > SEEDS // 4
    assert sum(wrong for _, wrong in results) == 0


def test_a_confirmation_before_the_sync_is_caught(monkeypatch):
    honest = TrackedConsumer.acknowledge

    def hasty(self, said, now):
        honest(self, said, now)
        self._said += [Delivery(reply, reply, "", None, b"") for reply in self._replies]
        self._replies = []

    monkeypatch.setattr(TrackedConsumer, "acknowledge", hasty)
    assert sum(wrong for _, wrong in map(cut_once, range(16))) > 0
