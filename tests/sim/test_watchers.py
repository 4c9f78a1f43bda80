"""Watchers of the official Python client while a bucket's leader hands over, or is killed.

Every later update comes within two seconds, in order, none twice and none left out. In virtual
time; `tests/interop/test_watchers.py` has three clients on processes.
"""

import asyncio

import pytest
from nats.errors import Error as NatsError

from kvcore.sim.world import World

SOON_S = 2.0
PUTS_AFTER = 40


def hand_over(world, bucket, how):
    """The leader ceases to lead."""
    leader = world.leader(f"KV_{bucket}")
    if how == "crash":
        world.crash(leader)
    else:
        world.step_down(f"KV_{bucket}")


async def put(kv, key):
    """Store a key, once and for all: when the client heard so."""
    while True:
        try:
            await kv.put(key, b"v")
        except (TimeoutError, NatsError):
            await asyncio.sleep(0.02)
        else:
            return asyncio.get_running_loop().time()


@pytest.mark.parametrize(
    ("how", "home"),  # whose server is killed has to find another one first, in its own time
    [("step-down", "on the leader"), ("step-down", "elsewhere"), ("crash", "elsewhere")],
)
@pytest.mark.parametrize("seed", range(10))
def test_a_watcher_sees_every_later_update_within_two_seconds(seed, how, home):
    with World(servers=3, seed=seed) as world:

        async def main():
            loop = asyncio.get_running_loop()
            maker = await world.connect()
            kv = await maker.jetstream().create_key_value(bucket="b", replicas=3)
            leader = world.leader("KV_b")
            urls = {name: f"nats://{name}:{host.config.port}" for name, host in world.hosts.items()}
            at = [leader] if home == "on the leader" else [n for n in urls if n != leader]
            watching = await world.connect(servers=[urls[at[0]]], allow_reconnect=False)
            writing = await world.connect(servers=[urls[at[-1]]])
            watcher = await (await watching.jetstream().key_value("b")).watchall()
            writer = await writing.jetstream(timeout=0.2).key_value("b")
            assert await watcher.updates() is None
            seen, acked = [], {}

            async def look():
                async for entry in watcher:
                    if entry is not None:
                        seen.append((entry.revision, entry.key, loop.time()))  # noqa: PERF401

            looking = asyncio.create_task(look())
            for number in range(10):
                acked[f"k{number}"] = await put(writer, f"k{number}")
            hurt_at = loop.time()
            hand_over(world, "b", how)
            for number in range(10, 10 + PUTS_AFTER):
                acked[f"k{number}"] = await put(writer, f"k{number}")
            await asyncio.sleep(SOON_S)
            looking.cancel()
            revisions = [revision for revision, _, _ in seen]
            assert revisions == sorted(set(revisions)), "in order, none twice"
            at_last = {key: revision for revision, key, _ in seen}
            for key, at_time in acked.items():
                assert at_last[key] == (await kv.get(key)).revision, "none left out"
                first = min(when for _, each, when in seen if each == key)
                assert first <= max(at_time, hurt_at) + SOON_S
            late = max(acked.values()) - hurt_at
            assert late < PUTS_AFTER * 0.1 + SOON_S, "writes went on, too"

        world.run(main())
