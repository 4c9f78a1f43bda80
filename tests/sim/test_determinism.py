"""The same seed gives the same trace, byte for byte, whatever the process."""

import os
import subprocess
import sys

SCRIPT = """
import asyncio
import sys
from kvcore.sim.world import World, disconnect

world = World(seed=int(sys.argv[1]))

async def main():
    client = await world.connect()
    kv = await client.jetstream().create_key_value(bucket="b", history=3, ttl=300.0)
    others = [await world.connect() for _ in range(3)]
    buckets = [await other.jetstream().key_value("b") for other in others]
    watcher = await kv.watchall()

    async def write(number, bucket):
        for turn in range(15):
            await bucket.put(f"key.{turn % 4}", f"{number}.{turn}".encode())
            if turn % 5 == 4:
                await bucket.delete(f"key.{turn % 4}")

    await asyncio.gather(*[write(*each) for each in enumerate(buckets)])
    disconnect(others[0])
    await asyncio.sleep(1)
    world.crash()
    await asyncio.sleep(3)
    world.restart()
    await asyncio.sleep(5)
    await asyncio.gather(*[write(*each) for each in enumerate(buckets)])
    world.power_cut()
    await asyncio.sleep(1)
    world.restart()
    await asyncio.sleep(400)
    print(await kv.keys() if (await kv.status()).values else "nothing")
    print(await (await client.jetstream().key_value("b")).put("last", b"x"))
    for seen in range(200):
        try:
            print(await watcher.updates(timeout=1))
        except TimeoutError:
            break

world.run(main())
world.close()
print(world.trace_text())
"""


def run(seed: int, hash_seed: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(seed)],
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def test_the_same_seed_gives_the_same_trace_under_any_hash_seed():
    one, other = run(7, "1"), run(7, "2")
    assert len(one) > 50_000
    assert one == other


def test_another_seed_gives_another_trace():
    assert run(7, "1") != run(8, "1")
