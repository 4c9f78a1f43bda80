"""One seed of everything at once: clients at work, faults on a schedule, then the judges.

    outcome = storm(seed=7)
    print(outcome)

A storm makes a cluster with one bucket, lets clients use it while the nemesis strikes, heals
everything, and asks three kinds of judges. Raft's invariants are watched all along. What the
clients were told is compared with the healed log, and the replicas with each other. And the
cluster must have come back by itself: a leader soon, all replicas equal a little later.

The seed decides everything, so an outcome can be had again; with a rule swapped or a part
exchanged, it shows what that rule was for.

Left out: making a schedule shorter that convicts a build.
"""

import asyncio
from asyncio import AbstractEventLoop
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from kvcore.check.history import Violation, judge
from kvcore.check.observer import watch
from kvcore.jetstream.stream import Stream
from kvcore.limits import SECOND_NS
from kvcore.nats import headers
from kvcore.node.node import Node
from kvcore.sim.arrows import Records
from kvcore.sim.host import Host
from kvcore.sim.nemesis import ALL, Fault, Name, Nemesis, schedule
from kvcore.sim.operations import Entry, History
from kvcore.sim.run import Parts, SyncPolicy
from kvcore.sim.workload import Settings, Workload
from kvcore.sim.world import PARTS, World
from kvcore.trace import Trace

_LEADER_SECONDS = 2.0
_EQUAL_SECONDS = 10.0
_STEP_SECONDS = 0.05
_HANG_NS = 600 * SECOND_NS


@dataclass(frozen=True, slots=True)
class Weather:
    """What a storm is made of."""

    servers: int = 3
    replicas: int = 3
    storage: str = "file"
    sync: SyncPolicy = "always"
    faults: Mapping[Name, int] = field(default_factory=lambda: ALL)
    count: int = 4  # of faults
    lasting: tuple[float, float] = (0.3, 1.2)
    between: tuple[float, float] = (0.2, 0.8)
    calm: float = 0.3  # seconds of work before the first fault, and after the last
    operations: int = 220  # the clients go on until there are so many
    work: Settings = field(default_factory=Settings)
    rules: Mapping[str, Callable[..., Any]] = field(default_factory=dict)  # swapped everywhere
    parts: Parts = PARTS
    is_watched: bool = True  # by the invariants


@dataclass(slots=True)
class Outcome:
    """What a seed brought."""

    seed: int
    faults: Sequence[Fault] = ()
    struck: Sequence[str] = ()
    history: History = field(default_factory=History)
    log: Sequence[Entry] = ()
    leaders: int = 0  # who led the bucket, one after the other
    violations: list[Violation] = field(default_factory=list)
    leader_after: float | None = None  # seconds from the heal; None: never
    equal_after: float | None = None
    records: Records | None = None

    def fell_over(self, _loop: AbstractEventLoop, context: dict[str, Any]) -> None:
        """Some code raised what nobody caught: an assertion of a server's, as a rule."""
        error = context.get("exception")
        text = f"{type(error).__name__}: {error}" if error else str(context.get("message"))
        self.violations.append(Violation("assertion", text))

    @property
    def lost(self) -> int:
        """Acknowledged writes that are not in the log."""
        return sum(each.kind == "lost" for each in self.violations)

    def __str__(self) -> str:
        history = self.history
        what = (
            f"seed {self.seed}: {', '.join(self.struck)}; {len(history.operations)} operations, "
            f"{history.count('ok')} ok, {history.count('refused')} refused, "
            f"{history.count('unknown')} unknown; {self.leaders} leaders"
        )
        return "\n".join([what, *map(str, self.violations)])


def storm(seed: int, weather: Weather | None = None) -> Outcome:
    """Runs one seed to its end and judges it."""
    weather = weather or Weather()
    rng = Random(f"storm {seed}")
    outcome = Outcome(seed)
    with World(weather.servers, seed, sync=weather.sync, parts=weather.parts) as world:
        observer = watch(world) if weather.is_watched else None
        world.loop.set_exception_handler(outcome.fell_over)
        world.loop.stall_wall_ns = _HANG_NS  # a busy machine is no stall
        world.run(_weather(world, weather, rng, outcome))
        outcome.records = world.records
    if observer is not None and observer.violation is not None:
        outcome.violations.append(Violation("invariant", str(observer.violation)))
    outcome.leaders = _leaders(world.records.noted(), f"KV_{weather.work.bucket}")
    outcome.violations += judge(outcome.history, outcome.log, kept=weather.work.kept)
    return outcome


async def _weather(world: World, weather: Weather, rng: Random, outcome: Outcome) -> None:
    workload = Workload(world.connect, lambda: world.now, rng, weather.work)
    outcome.history = workload.history
    group = f"KV_{weather.work.bucket}"
    await workload.create(replicas=weather.replicas, storage=weather.storage)
    for name in world.hosts if weather.rules else ():
        world.swap(name, **weather.rules)
    await workload.start()
    outcome.faults = schedule(
        rng, weather.count, faults=weather.faults, lasting=weather.lasting, between=weather.between
    )
    nemesis = Nemesis(world, group, outcome.faults)
    await asyncio.sleep(weather.calm)
    await nemesis.run()
    outcome.struck = nemesis.struck
    await _recover(world, group, outcome)
    await asyncio.sleep(weather.calm)
    while len(workload.history.operations) < weather.operations:  # noqa: ASYNC110 - virtual time
        await asyncio.sleep(_STEP_SECONDS)
    await workload.stop()
    await _equal(world, group, weather, outcome)
    if outcome.log:
        await workload.watched(outcome.log[-1].revision, 60)


async def _recover(world: World, group: str, outcome: Outcome) -> None:
    healed = world.elapsed
    if await _until(lambda: world.leader(group) != "", _LEADER_SECONDS):
        outcome.leader_after = (world.elapsed - healed) / SECOND_NS
    else:
        text = f"no leader within {_LEADER_SECONDS:g} s of the heal"
        outcome.violations.append(Violation("liveness", text))


async def _equal(world: World, group: str, weather: Weather, outcome: Outcome) -> None:
    stopped = world.elapsed

    def is_equal() -> bool:
        held = _replicas(world, group)
        applied = [view.applied for view in world.views(group)]
        return (
            len(held) == weather.replicas
            and len(dict.fromkeys(applied)) == 1
            and world.leader(group) != ""
            and all(each == next(iter(held.values())) for each in held.values())
        )

    if await _until(is_equal, _EQUAL_SECONDS):
        outcome.equal_after = (world.elapsed - stopped) / SECOND_NS
    else:
        text = f"replicas differ {_EQUAL_SECONDS:g} s after the heal: {world.views(group)}"
        outcome.violations.append(Violation("liveness", text))
    held = _replicas(world, group)
    leader = world.leader(group)
    outcome.log = held.get(leader) or max(held.values(), key=len, default=[])


async def _until(condition: Callable[[], bool], seconds: float) -> bool:
    for _ in range(round(seconds / _STEP_SECONDS)):
        if condition():
            return True
        await asyncio.sleep(_STEP_SECONDS)
    return condition()


def _replicas(world: World, group: str) -> dict[str, list[Entry]]:
    """What each running server holds of the bucket."""
    return {
        name: contents(host, group)
        for name, host in world.hosts.items()
        if isinstance(host.node, Node) and group in host.node.groups
    }


def contents(host: Host, group: str) -> list[Entry]:
    """The bucket's log as one server holds it."""
    assert isinstance(host.node, Node)
    stream = host.node.groups[group].machine
    assert isinstance(stream, Stream)
    start = len(f"$KV.{group.removeprefix('KV_')}.")
    found = []
    for sequence in stream.sequences():
        message = stream.message(sequence)
        if message is not None:
            operation = headers.find(message.header, b"KV-Operation") if message.header else None
            key = message.subject[start:]
            found.append(Entry(sequence, key, message.payload, operation or ""))
    return found


def _leaders(records: Iterable[Trace], group: str) -> int:
    return sum(
        record.kind == "role"
        and record.fields.get("group") == group
        and record.fields.get("role") == "leader"
        for record in records
    )
