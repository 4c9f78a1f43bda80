"""Three servers: kvcore beside a 3-node nats-server in both sync modes, and PySyncObj.

    make bench-cluster            or        python -m bench.cluster [--rounds 3] [--quick]

All of it is one run on one machine; kinds take turns. The disk's sync time is printed first.

- *nats-py*: the client that users have, 64 puts in flight on one connection to the leader's
  server. *bare socket*: the same frames from a client that only counts acks, so that what is
  left is the servers' own.
- *sequential p50*: one put after the other; the median.
- *kill to ack*: the bucket's leader gets a SIGKILL; a client of a surviving follower sends a
  put every 20 ms; the time until one that was sent afterwards is acked. *of its own client*:
  the same for a nats-py client that was connected to the killed server and has to reconnect.
- *start to ack*: three processes started, until the first put into a new R3 bucket is acked.
- PySyncObj is driven inside its leader (`pysyncobj_load.py`), since it has no clients, in both
  its ways of sending: every 0.1 s as it comes, and at once, where it warns that it truncates
  entries that it has applied. It is no dependency: `pip install pysyncobj` before.

Left out: assertions. The figures that were to be reached stand beside, and that is all.
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path

import nats
from nats.js import api

from bench import measure
from bench.run import OURS, RESULTS, THEIRS, plot, versions
from kvcore.lab.ports import free_ports
from tests.support import nats_cluster
from tests.support.nats_cluster import Cluster
from tests.support.require import ROOT
from tests.support.wait import eventually
from tests.support.wire import Wire

SYNCS = {"always": "always", "later": '"2m"'}
PLAIN = 'jetstream { store_dir: "%STORE%" }'
LOADS = (  # the row, its sync, its storage
    ("R3 file, sync before ack", "always", "file"),
    ("R3 file, sync later", "later", "file"),
    ("R3 memory", "later", "memory"),
)
RETRY_S = 0.02
CONNECT = '{"verbose":false,"headers":true,"no_responders":true,"user":"app","pass":"app"}'

Numbers = dict[str, dict[str, list[float]]]  # row, kind, rounds


def add(numbers: Numbers, row: str, kind: str, value: float) -> None:
    numbers.setdefault(row, {}).setdefault(kind, []).append(value)


def made(kind: str, directory: Path, sync: str) -> Cluster:
    cluster = nats_cluster.make(kind, directory, 3)
    wanted = f'jetstream {{ store_dir: "%STORE%", sync_interval: {SYNCS[sync]} }}'
    for name, config in cluster.configs.items():
        assert PLAIN in config
        cluster.configs[name] = config.replace(PLAIN, wanted)
    return cluster


@contextmanager
def running(kind: str, directory: Path, sync: str) -> Iterator[Cluster]:
    directory.mkdir()
    cluster = made(kind, directory, sync)
    try:
        start_all(cluster)
        eventually(lambda: is_serving(cluster), 60, "JetStream on every server")
        yield cluster
    finally:
        cluster.end()


def is_serving(cluster: Cluster) -> bool:
    answers = [cluster.ask(name, "INFO", within=2.0) or {"error": ""} for name in cluster.names]
    return not any("error" in answer for answer in answers)


def start_all(cluster: Cluster) -> None:
    """At the same time: a nats-server waits for nobody, but ours may."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(cluster.start, cluster.names))


async def connect(cluster: Cluster, name: str) -> nats.NATS:
    return await nats.connect(cluster.url(name), connect_timeout=5)


async def bucket(nc: nats.NATS, name: str, storage: str) -> object:
    """Asks until it is answered: a cluster that has just elected may lose a request."""
    kind = api.StorageType.FILE if storage == "file" else api.StorageType.MEMORY
    make = nc.jetstream(timeout=5).create_key_value
    end = time.monotonic() + 60
    while True:
        try:
            return await make(bucket=name, storage=kind, replicas=3, direct=True)
        except (nats.errors.Error, nats.js.errors.Error):
            if time.monotonic() > end:
                raise
            await asyncio.sleep(RETRY_S)


def leader_of(cluster: Cluster, stream: str) -> str:
    for name in cluster.running:
        with suppress(OSError, TimeoutError):
            answer = cluster.ask(name, f"STREAM.INFO.{stream}", within=2.0) or {}
            found = (answer.get("cluster") or {}).get("leader", "")
            if found in cluster.running:
                return found
    return ""


def wait_for_leader(cluster: Cluster, stream: str) -> str:
    return eventually(lambda: leader_of(cluster, stream), 60, "a stream leader")


def is_healthy(cluster: Cluster, stream: str) -> bool:
    leader = leader_of(cluster, stream)
    if not leader:
        return False
    found = (cluster.ask(leader, f"STREAM.INFO.{stream}") or {}).get("cluster", {})
    replicas = found.get("replicas") or []
    return len(replicas) == 2 and all(each.get("current") for each in replicas)


# Loads.


def bare_puts(port: int, subject: str, count: int, at_once: int) -> tuple[float, list[float]]:
    """Puts a second over a bare socket, and the seconds of each when one is sent at a time."""
    taken: list[float] = []
    with Wire(port, CONNECT) as wire:
        wire.send(b"SUB _R.* 1\r\n")
        sent = acked = 0
        begin = time.perf_counter()
        while acked < count:
            frames = []
            while sent < count and sent - acked < at_once:
                head = f"PUB {subject}{sent % measure.KEYS} _R.{sent} {len(measure.VALUE)}\r\n"
                frames.append(head.encode() + measure.VALUE + b"\r\n")
                sent += 1
            at = time.perf_counter()
            if frames:
                wire.send(b"".join(frames))
            data = wire.socket.recv(1 << 16)
            assert data, "the server closed the connection"
            wire.buffer += data
            end = wire.buffer.rfind(b"\r\n") + 2
            got = wire.buffer.count(b"MSG _R.", 0, end)
            assert b'"error"' not in wire.buffer, bytes(wire.buffer[:300])
            del wire.buffer[:end]
            if at_once == 1 and got:
                taken.append(time.perf_counter() - at)
            acked += got
        return count / (time.perf_counter() - begin), taken


async def client_puts(cluster: Cluster, name: str, kv_name: str, count: int) -> float:
    nc = await connect(cluster, name)
    kv = await nc.jetstream(timeout=20).key_value(kv_name)
    rate = await measure.puts(kv, count, measure.IN_FLIGHT)
    await nc.close()
    return rate


def load(cluster: Cluster, label: str, storage: str, numbers: Numbers, count: int) -> None:
    async def create() -> None:
        nc = await connect(cluster, "n1")
        await bucket(nc, "bench", storage)
        await nc.close()

    asyncio.run(create())
    leader = wait_for_leader(cluster, "KV_bench")
    port, kind = cluster.ports[leader], cluster.kind
    bare_puts(port, "$KV.bench.k", 300, 8)
    rate, _ = bare_puts(port, "$KV.bench.k", count, measure.IN_FLIGHT)
    add(numbers, f"{label}, 64 in flight, bare socket (/s)", kind, rate)
    rate = asyncio.run(client_puts(cluster, leader, "bench", count // 2))
    add(numbers, f"{label}, 64 in flight, nats-py (/s)", kind, rate)
    _, taken = bare_puts(port, "$KV.bench.k", min(500, count), 1)
    add(numbers, f"{label}, sequential p50, bare socket (s)", kind, statistics.median(taken))


# Faults and starts.


async def unmoved(_error: Exception) -> None:
    """A server was killed, and its client says so."""


async def next_ack(nc: nats.NATS, subject: str, killed: Callable[[], None]) -> float:
    """Seconds from the kill to the first ack of a put that was sent after it."""
    acked: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    inbox = nc.new_inbox()

    async def heard(message: object) -> None:
        if b'"seq"' in message.data and not acked.done():  # type: ignore[attr-defined]
            acked.set_result(None)

    await nc.subscribe(inbox, cb=heard)
    await nc.flush()
    killed()
    begin = time.perf_counter()
    while not acked.done():
        with suppress(nats.errors.Error):
            await nc.publish(subject, measure.VALUE, reply=inbox)
        await asyncio.wait([acked], timeout=RETRY_S)
        assert time.perf_counter() - begin < 60, "no ack within a minute"
    return time.perf_counter() - begin


def kill_to_ack(cluster: Cluster, stream: str, subject: str, *, own: bool) -> float:
    """SIGKILL the leader once; its servers are three again afterwards."""
    leader = wait_for_leader(cluster, stream)
    eventually(lambda: is_healthy(cluster, stream), 60, "three current replicas")
    followers = [name for name in cluster.names if name != leader]

    async def run() -> float:
        urls = [cluster.url(name) for name in ([leader, *followers] if own else followers[:1])]
        nc = await nats.connect(
            urls, dont_randomize=True, reconnect_time_wait=RETRY_S, max_reconnect_attempts=-1,
            error_cb=unmoved,
        )  # fmt: skip
        process = cluster.running[leader].process
        taken = await next_ack(nc, subject, process.kill)
        await nc.close()
        return taken

    taken = asyncio.run(run())
    cluster.kill(leader)
    cluster.start(leader)
    return taken


def faults(cluster: Cluster, numbers: Numbers, kills: int) -> None:
    async def create() -> None:
        nc = await connect(cluster, "n1")
        kv = await bucket(nc, "faults", "file")
        await kv.put("k", measure.VALUE)  # type: ignore[attr-defined]
        await nc.close()

    asyncio.run(create())
    for own, row in ((False, "SIGKILL of the leader to the next ack (s)"),
                     (True, "the same, of its own client (s)")):  # fmt: skip
        for _ in range(kills):
            taken = kill_to_ack(cluster, "KV_faults", "$KV.faults.k", own=own)
            add(numbers, row, cluster.kind, taken)


def start_to_ack(kind: str, directory: Path) -> float:
    """Seconds from three process starts to the first acked put of a new R3 bucket."""
    directory.mkdir()
    cluster = made(kind, directory, "always")

    async def first() -> None:
        nc = await connect(cluster, "n1")
        js = nc.jetstream(timeout=2)
        while True:
            with suppress(nats.errors.Error, nats.js.errors.Error):
                kv = await js.create_key_value(
                    bucket="first", storage=api.StorageType.FILE, replicas=3
                )
                await kv.put("k", measure.VALUE)
                break
            await asyncio.sleep(RETRY_S)
        await nc.close()

    begin = time.perf_counter()
    try:
        start_all(cluster)
        asyncio.run(first())
        return time.perf_counter() - begin
    finally:
        cluster.end()


# PySyncObj, and the simulator.


def pysyncobj(directory: Path, count: int, *, use_batch: bool) -> dict[str, float]:
    directory.mkdir()
    ports = [str(port) for port in free_ports(3)]
    with ExitStack() as stack:
        members = []
        for at in range(3):
            own = [*ports[at:], *ports[:at]]
            words = [sys.executable, "-m", "bench.pysyncobj_load", str(directory)]
            member = subprocess.Popen(
                [*words, str(count), str(int(use_batch)), *own], stdout=subprocess.PIPE, cwd=ROOT
            )
            stack.callback(member.wait)
            stack.callback(member.kill)
            members.append(member)
        import selectors

        with selectors.DefaultSelector() as ready:
            for member in members:
                ready.register(member.stdout, selectors.EVENT_READ)  # type: ignore[arg-type]
            found = ready.select(120)
            assert found, "PySyncObj said nothing within 120 s"
            return json.loads(found[0][0].fileobj.readline())  # type: ignore[union-attr]


_SIMULATED = """
import json, statistics, time
begin = time.perf_counter()
from kvcore.lab.cluster import Cluster
imported = time.perf_counter() - begin
import asyncio
from nats.js import api
ready, idle = [], {1: [], 20: []}
for seed in range(5):
    begin = time.perf_counter()
    cluster = Cluster.sim(servers=3, seed=seed)
    ready.append(time.perf_counter() - begin)
    cluster.close()
for buckets in idle:
    for seed in range(3 if buckets == 1 else 1):
        cluster = Cluster.sim(servers=3, seed=seed)
        async def make():
            nc = await cluster.connect()
            for number in range(buckets):
                await nc.jetstream().create_key_value(bucket=f"b{number}", replicas=3)
            await nc.close()
        cluster.call(make())
        begin = time.perf_counter()
        for _ in range(12):  # one statement may take 10 s of real time, no more
            cluster.call(asyncio.sleep(5))
        idle[buckets].append(time.perf_counter() - begin)
        cluster.close()
print(json.dumps({
    "simulator: import (s)": imported,
    "simulator: Cluster.sim(servers=3) ready (s)": statistics.median(ready),
    "simulator: first Cluster.sim(servers=3) ready (s)": ready[0],
    "simulator: idle minute, 3 servers, 1 bucket (s)": statistics.median(idle[1]),
    "simulator: idle minute, 3 servers, 20 buckets (s)": statistics.median(idle[20]),
}))
"""


def simulated() -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, "-c", _SIMULATED], capture_output=True, text=True, cwd=ROOT, check=False
    )
    if done.returncode:
        sys.stdout.write(f"simulator: {done.stderr.strip().splitlines()[-1]}\n")
        return {}
    return dict(json.loads(done.stdout.splitlines()[-1]))


# The run.


def one_round(directory: Path, number: int, kinds: list[str], numbers: Numbers, given) -> None:
    count = 2_000 if given.quick else 8_000
    order = kinds if number % 2 == 0 else kinds[::-1]
    for label, sync, storage in LOADS:
        for kind in order:
            with running(kind, directory / f"{kind}-{storage}-{sync}-{number}", sync) as cluster:
                load(cluster, label, storage, numbers, count)
    for kind in order:
        taken = start_to_ack(kind, directory / f"{kind}-start-{number}")
        add(numbers, "three processes, start to first acked R3 put (s)", kind, taken)
    for kind in order:
        with running(kind, directory / f"{kind}-faults-{number}", "always") as cluster:
            faults(cluster, numbers, given.kills)
    if find_spec("pysyncobj") is not None:
        for use_batch in (True, False):
            place = directory / f"pysyncobj-{number}-{use_batch}"
            found = pysyncobj(place, count // 2, use_batch=use_batch)
            way = "sent every 0.1 s" if use_batch else "sent at once"
            add(numbers, f"PySyncObj in its leader, {way}, 64 in flight (/s)", "PySyncObj",
                found["rate"])  # fmt: skip
            add(numbers, f"PySyncObj in its leader, {way}, one at a time p50 (s)", "PySyncObj",
                found["p50"])  # fmt: skip


def lines(numbers: Numbers) -> Iterator[str]:
    width = max(map(len, numbers))
    yield f"{'':{width}}  {OURS:>10}  {THEIRS:>11}  {'PySyncObj':>10}   ratio  {OURS}: all rounds"
    for row, by_kind in numbers.items():
        middle = {kind: statistics.median(values) for kind, values in by_kind.items()}
        cells = [_shown(middle.get(kind)) for kind in (OURS, THEIRS, "PySyncObj")]
        found = ratio_of(row, by_kind)
        ratio = f"{found:.2f}x" if found else ""
        every = " ".join(_shown(value) for value in by_kind.get(OURS, []))
        yield f"{row:{width}}  {cells[0]:>10}  {cells[1]:>11}  {cells[2]:>10}  {ratio:>6}  {every}"


def ratio_of(row: str, by_kind: dict[str, list[float]]) -> float | None:
    """How much faster ours is, if both were measured; a row that isn't a rate is of seconds."""
    if OURS not in by_kind or THEIRS not in by_kind:
        return None
    found = statistics.median(by_kind[OURS]) / statistics.median(by_kind[THEIRS])
    return found if row.endswith("(/s)") else 1 / found


def _shown(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def main() -> None:
    parser = argparse.ArgumentParser(description="three servers of each kind, side by side")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--kills", type=int, default=3, help="of the leader, in each round")
    parser.add_argument("--quick", action="store_true", help="one small round")
    parser.add_argument("--only", choices=[OURS, THEIRS], help="one kind alone")
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args()
    say, numbers = sys.stdout.write, {}
    syncs = sorted(measure.fdatasync_seconds())
    disk = {"median (ms)": statistics.median(syncs) * 1e3, "p90 (ms)": syncs[-20] * 1e3}
    say(f"fdatasync of 4 KiB: {disk['median (ms)']:.3f} ms median, {disk['p90 (ms)']:.3f} ms p90\n")
    about = versions()
    say("".join(f"{name}: {value}\n" for name, value in about.items()))
    kinds = [given.only] if given.only else [OURS, THEIRS]
    begin = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="kvcore-bench-") as temporary:
        for number in range(1 if given.quick else given.rounds):
            one_round(Path(temporary), number, kinds, numbers, given)
            say(f"round {number + 1}: {time.perf_counter() - begin:.0f} s\n")
            sys.stdout.flush()
    for row, value in simulated().items():
        add(numbers, row, OURS, value)
    about["load after"] = f"{os.getloadavg()[0]:.2f}"
    say("\n" + "\n".join(lines(numbers)) + "\n")
    given.out.mkdir(parents=True, exist_ok=True)
    document = {"about": about, "fdatasync": disk, "rows": numbers}
    (given.out / "cluster.json").write_text(json.dumps(document, indent=1) + "\n")
    (given.out / "cluster.txt").write_text("\n".join(lines(numbers)) + "\n")
    ratios = [(row, ratio) for row, by_kind in numbers.items() if (ratio := ratio_of(row, by_kind))]
    plot(ratios, given.out / "cluster.png")


if __name__ == "__main__":
    main()
