"""Clients on one simulated server that crashes: what they were told agrees with the log."""

import asyncio
from random import Random

from kvcore.check.history import judge
from kvcore.sim.workload import Settings, Workload
from kvcore.sim.world import World


def live(seed):
    with World(seed=seed) as world:
        workload = Workload(world.connect, lambda: world.now, Random(seed), Settings())

        async def main():
            await workload.create()
            await workload.start()
            for _ in range(3):
                await asyncio.sleep(0.5)
                world.crash()
                await asyncio.sleep(0.2)
                world.restart()
            await asyncio.sleep(1)
            await workload.stop()
            log = await workload.log()
            await workload.watched(log[-1].revision, 30)
            return log

        log = world.run(main())
        return workload.history, log


def test_a_server_that_crashes_keeps_what_it_acknowledged():
    unknown = 0
    for seed in range(5):
        history, log = live(seed)
        assert [str(each) for each in judge(history, log)] == []
        assert history.count("ok") > 200
        unknown += history.count("unknown")
        print(len(log), history.count("ok"), history.count("refused"), history.count("unknown"))
    assert unknown > 0  # some crash took the answer to what was done; which seed's is chance
