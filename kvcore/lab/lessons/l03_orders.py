"""A counter's clients, led through every order of their requests, and what each order did.

A `Bench` is a world with some clients behind gates. One run starts the counter at a number,
lets the clients increment in one order, and keeps what was asked and what the key ended at.
`why` names the wrong idea behind a wrong run, from the requests that were made.

Left out: which orders to run. The lesson's check says that.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random
from typing import Any, TypeAlias

from nats.js.errors import KeyWrongLastSequenceError
from nats.js.kv import KeyValue

from kvcore.lab.cluster import Cluster
from kvcore.lab.exchanges import told
from kvcore.lab.feedback import shown
from kvcore.lab.trial import answer
from kvcore.sim.gate import Gate, Played, play
from kvcore.sim.orders import Orders
from kvcore.sim.wire import Exchange, Wire

Increment: TypeAlias = Callable[[KeyValue, str], Awaitable[Any]]
Jobs: TypeAlias = Mapping[str, tuple[Increment, int]]  # by client: what it calls, how often
Pick: TypeAlias = Callable[[Sequence[str]], str]

ORDERS_BOUND = 300
REQUESTS_BOUND = 24  # of one client in one order; a right answer needs at most 4 for each increment
PATIENCE_SECONDS = 2.0  # a client may wait so long between two tries
KEEPER = "counts"


@dataclass(frozen=True, slots=True)
class Run:
    """One order: what was asked, what the calls returned, where the key began and ended."""

    played: Played
    exchanges: tuple[Exchange, ...]
    start: int
    end: object
    wanted: int

    @property
    def is_right(self) -> bool:
        """Every increment is in the number, and every call returned its own."""
        if self.played.errors or self.played.endless or self.end != self.start + self.wanted:
            return False
        returned = [each for value in self.played.values.values() for each in value]
        ours = range(self.start + 1, self.start + self.wanted + 1)
        return all(type(each) is int for each in returned) and sorted(returned) == list(ours)

    @property
    def short(self) -> str:
        """The requests on one line."""
        calls = [told(each) for each in self.exchanges]
        return ", ".join(f"{call.client} {call.short}" for call in calls) or "no request"

    def trace(self) -> list[str]:
        """The order step by step."""
        steps = [told(each).text for each in self.exchanges]
        lines = [f"  {number:>2}. {step}" for number, step in enumerate(steps, start=1)]
        head = f"order {self.played.text}; the key starts at {self.start}:"
        return [head, *lines, f"the key ends at {shown(self.end)}, of {self.wanted} increments"]


class Bench:
    """A world with clients behind gates, and a keeper who sets the key up and looks at it."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.handles: dict[str, KeyValue] = {}
        self.gates: dict[str, Gate] = {}
        self.keeper: KeyValue
        self.wire: Wire

    @classmethod
    async def open(cls, cluster: Cluster, names: str, seed: int) -> "Bench":
        """Connects a client for each letter of `names`."""
        bench = cls(seed)
        keeper = (await cluster.connect()).jetstream()
        bench.keeper = await keeper.create_key_value(bucket=KEEPER)
        clients = {name: await cluster.connect() for name in names}
        for name, client in clients.items():
            bench.handles[name] = await client.jetstream().key_value(KEEPER)
            bench.gates[name] = Gate(client)
        bench.wire = Wire(clients)
        return bench

    async def run(
        self, jobs: Jobs, key: str, pick: Pick, *, patience: float = PATIENCE_SECONDS
    ) -> Run:
        """One order, decided by `pick`."""
        start = Random(self.seed).randrange(3, 90)
        await self.keeper.put(key, str(start).encode())
        self.wire.clear()
        work = {name: _calls(*job, self.handles[name], key) for name, job in jobs.items()}
        bound = REQUESTS_BOUND * sum(count for _, count in jobs.values())
        with _seeded(self.seed):
            played = await play(work, self.gates, pick, bound=bound, patience=patience)
        value = (await self.keeper.get(key)).value or b""
        end = int(value) if value.isdigit() else value
        wanted = sum(count for _, count in jobs.values())
        return Run(played, tuple(self.wire.exchanges), start, end, wanted)


async def _calls(increment: Increment, count: int, kv: KeyValue, key: str) -> list[object]:
    return [await answer(increment, kv, key) for _ in range(count)]


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Python's own dice repeat themselves meanwhile: a learner may wait a random while."""
    before = random.getstate()
    random.seed(seed)
    try:
        yield
    finally:
        random.setstate(before)


async def every_order(
    cluster: Cluster, jobs: Jobs, bound: int, seed: int
) -> tuple[Orders, list[Run]]:
    """Runs each order, at most `bound`; the wrong ones.

    Stops early at one that raises or never ends.
    """
    bench = await Bench.open(cluster, "".join(jobs), seed)
    orders = Orders(bound)
    wrong: list[Run] = []
    while orders.more():
        run = await bench.run(jobs, f"hits{orders.count}", orders.pick)
        if not run.is_right:
            wrong.append(run)
        if run.played.errors or run.played.endless:
            break
    return orders, wrong


async def replayed(cluster: Cluster, jobs: Jobs, order: Sequence[str], seed: int) -> Run:
    """An order once more, in a fresh world, where revisions begin at 1."""
    bench = await Bench.open(cluster, "".join(jobs), seed)
    steps = iter(order)

    def pick(ready: Sequence[str]) -> str:
        name = next(steps, ready[0])
        return name if name in ready else ready[0]

    return await bench.run(jobs, "hits", pick)


async def by_update(
    kv: KeyValue, key: str, *, rng: Random | None = None, wait_ms: float = 0
) -> int:
    """The increment of another program: right, and not the learner's.

    With `wait_ms` it waits before each new try, the longer the more often it was refused.
    """
    refusals = 0
    while True:
        entry = await kv.get(key)
        value = int(entry.value or b"0") + 1
        try:
            await kv.update(key, str(value).encode(), last=entry.revision)
        except KeyWrongLastSequenceError:
            refusals += 1
            if rng is not None:
                await asyncio.sleep(rng.uniform(0, wait_ms * refusals / 1000))
            continue
        return value


def why(run: Run) -> str:
    """The hint's key for a wrong run; an exception of the learner's own is raised again."""
    for error in run.played.errors.values():
        if not isinstance(error, KeyWrongLastSequenceError):
            raise error
        return "once"
    calls = [(each, told(each)) for each in run.exchanges]
    writes = [(each, call) for each, call in calls if each.subject.startswith("$KV.")]
    if any(call.asks.startswith("creates") for _, call in writes):
        return "revision"
    if any(call.asks.startswith("puts") for _, call in writes):
        return "M4"
    if run.played.endless:
        last = [each for each, _ in calls if each.client == run.played.endless[0]][-6:]
        return "stale" if all(each.subject.startswith("$KV.") for each in last) else "spin"
    stored = sum(call.outcome == "ok" for _, call in writes)
    if stored != run.wanted:
        return "skipped" if stored < run.wanted else "twice"
    return "value" if run.end == run.start + run.wanted else "half"
