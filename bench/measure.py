"""What the benchmark measures: loads that nats-py makes, memory, syncs, and the disk itself.

Every load is a coroutine on one connection; it returns operations a second, or seconds.
Both servers get the same calls.
"""

import asyncio
import os
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import nats
from nats.js import api
from nats.js.kv import KeyValue

from tests.support.require import find, program
from tests.support.servers import Server, command, start

IN_FLIGHT = 64
KEYS = 1_000
VALUE = b"v" * 64
WATCHED = 10_000

SYNC_ALWAYS = 'jetstream { store_dir: "%STORE%", sync_interval: always }\n'
NATS_DEFAULT = 'jetstream { store_dir: "%STORE%" }\n'


def fdatasync_seconds(times: int = 200) -> list[float]:
    """How long it takes to append 4 KiB and sync it, where the servers' stores will be."""
    taken = []
    sync = getattr(os, "fdatasync", os.fsync)
    with tempfile.NamedTemporaryFile(prefix="kvcore-bench-") as file:
        for _ in range(times):
            start_at = time.perf_counter()
            os.write(file.fileno(), b"x" * 4096)
            sync(file.fileno())
            taken.append(time.perf_counter() - start_at)
    return taken


def launch(kind: str, store: Path, sync: str) -> Server:
    """A server whose acks wait for the disk (`always`), or for nothing (`default`)."""
    if kind == "kvcore":
        return start(kind, store, "--sync", "always" if sync == "always" else "interval")
    return start(kind, store, config=SYNC_ALWAYS if sync == "always" else NATS_DEFAULT)


async def bucket(nc: nats.NATS, name: str, storage: str) -> KeyValue:
    kind = api.StorageType.FILE if storage == "file" else api.StorageType.MEMORY
    return await nc.jetstream().create_key_value(bucket=name, storage=kind, direct=True)


async def many(count: int, at_once: int, call: Callable[[int], Awaitable[object]]) -> float:
    """Calls a second, `at_once` of them in flight."""
    numbers = iter(range(count))

    async def worker() -> None:
        for number in numbers:
            await call(number)

    begin = time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(at_once)))
    return count / (time.perf_counter() - begin)


async def puts(kv: KeyValue, count: int, at_once: int) -> float:
    return await many(count, at_once, lambda number: kv.put(f"k{number % KEYS}", VALUE))


async def gets(kv: KeyValue, count: int, at_once: int) -> float:
    return await many(count, at_once, lambda number: kv.get(f"k{number % KEYS}"))


async def initial_watch(nc: nats.NATS, kv: KeyValue) -> float:
    """Seconds until a new watcher has had all of 10,000 keys."""
    await many(WATCHED, IN_FLIGHT, lambda number: kv.put(f"w.{number}", VALUE))
    await nc.flush()
    begin = time.perf_counter()
    watcher = await kv.watchall()
    seen = 0
    while await watcher.updates(timeout=60) is not None:
        seen += 1
    taken = time.perf_counter() - begin
    await watcher.stop()
    assert seen >= WATCHED, seen
    return taken


def first_put(kind: str, directory: Path, sync: str) -> float:
    """Seconds from starting the process to the first acked put, connection included."""

    async def run(server: Server) -> None:
        nc = await nats.connect(server.url)
        kv = await bucket(nc, "first", "file")
        await kv.put("k", VALUE)
        await nc.close()

    begin = time.perf_counter()
    server = launch(kind, directory / f"first-{time.monotonic_ns()}", sync)
    try:
        asyncio.run(run(server))
        return time.perf_counter() - begin
    finally:
        server.kill()


def syncs_per_ack(
    kind: str, directory: Path, sync: str, storage: str, at_once: int
) -> float | None:
    """Syncs of the server during a put load, per ack, counted by strace; None without it."""
    if find("strace") is None:
        return None
    trace = directory / f"strace-{kind}-{time.monotonic_ns()}"
    calls = "fsync,fdatasync,sync_file_range,msync"
    argv = [program("strace"), "-D", "-f", "--seccomp-bpf", "-qq", "-e", f"trace={calls}"]
    argv += ["-o", str(trace), *command(kind)]
    store = directory / f"strace-store-{time.monotonic_ns()}"
    config = None if kind == "kvcore" else SYNC_ALWAYS if sync == "always" else NATS_DEFAULT
    flags = ("--sync", "always" if sync == "always" else "interval") if kind == "kvcore" else ()
    server = start(kind, store, *flags, argv=argv, config=config)
    count = 400 if at_once == 1 else 2_000

    async def run() -> int:
        nc = await nats.connect(server.url)
        kv = await bucket(nc, "synced", storage)
        before = _count(trace)
        await puts(kv, count, at_once)
        after = _count(trace)
        await nc.close()
        return after - before

    try:
        return asyncio.run(run()) / count
    finally:
        server.stop()


def _count(trace: Path) -> int:
    return len(re.findall(r" (?:fsync|fdatasync|sync_file_range|msync)\(", trace.read_text()))


def simulator_rows() -> dict[str, float]:
    """Wall seconds: a one-server world ready after import, and an idle simulated minute."""
    begin = time.perf_counter()
    from kvcore.sim.world import World

    imported = time.perf_counter() - begin
    ready, idle = [], []
    for seed in range(7):
        begin = time.perf_counter()
        world = World(seed=seed)
        ready.append(time.perf_counter() - begin)

        async def connect(world: World = world) -> None:
            nc = await world.connect()
            await bucket(nc, "b", "file")

        world.run(connect())
        begin = time.perf_counter()
        world.run(asyncio.sleep(60))
        idle.append(time.perf_counter() - begin)
        world.close()
    return {
        "import (s)": imported,
        "world ready (s)": statistics.median(ready),
        "first world ready (s)": ready[0],
        "idle simulated minute (s)": statistics.median(idle),
    }


if __name__ == "__main__":  # in a process of its own: `python -m bench.measure`
    import json

    sys.stdout.write(json.dumps(simulator_rows()))
