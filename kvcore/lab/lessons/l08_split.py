"""Five servers that come apart: the worlds in which lesson 08's answers are tried.

A `Split` is a bucket of five replicas, clients that each sit on one server, and a history of
what they were told. `convict` plays the shortest story that a leader's commit rule can fail:
the leader alone on one side, a put on each side, the heal. Then the acknowledged writes are
held against the log of the healed cluster.

    split = await Split.open(cluster)
    ann = await split.client("n1")
    await cluster.partition(["n1", "n2"])
    await split.put(ann, "ann", b"green")       # "acked", "error" or "unknown"

Left out: storms of random faults; these stories are short enough to be read.
"""

import asyncio
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

import nats.errors
import nats.js.errors
from nats.js.errors import NoStreamResponseError
from nats.js.kv import KeyValue

from kvcore.check.history import Violation, judge
from kvcore.lab.cluster import Cluster, run_apart
from kvcore.lab.simulated import SimulatedCluster
from kvcore.lab.stories import group_logs
from kvcore.limits import SECOND_NS, SIMULATION_START_NS, Nanos
from kvcore.sim.operations import Entry, History
from kvcore.trace import Trace

BUCKET, KEY, GROUP = "flags", "c", "KV_flags"
SERVERS_COUNT = 5
HISTORY = 64
ACKED, ERROR, UNKNOWN = "acked", "error", "unknown"
_ASK_SECONDS = 0.1
_TRIES_MOST = 100
_ACK = re.compile(r'"seq": *(\d+)')

Rule = Callable[[tuple[int, ...], Any, int, int], int]


class Split:
    """The bucket, its clients, and what they were told."""

    def __init__(self, cluster: Cluster) -> None:
        assert isinstance(cluster, SimulatedCluster)
        self.cluster = cluster
        self.history = History()

    @classmethod
    async def open(cls, cluster: Cluster) -> "Split":
        """Makes the bucket, with a first value, and has n1 lead it."""
        split = cls(cluster)
        maker = (await cluster.connect()).jetstream(timeout=5)
        kv = await maker.create_key_value(
            bucket=BUCKET, replicas=SERVERS_COUNT, history=HISTORY, direct=True
        )
        await split.put(kv, "maker", b"red")
        await split.led_by("n1")
        return split

    @property
    def now(self) -> Nanos:
        """The world's clock."""
        return self.cluster.simulation.now

    async def led_by(self, name: str) -> None:
        """Returns when this server leads."""
        while await self.cluster.leader(BUCKET) != name:
            if await self.cluster.leader(BUCKET):
                await self.cluster.step_down(BUCKET, name)
            await asyncio.sleep(_ASK_SECONDS)

    async def client(self, server: str, *, patience: float = 1.0) -> KeyValue:
        """The bucket as a client of this server has it; it stays there."""
        urls = {each.name: each.url for each in self.cluster.servers}
        client = await self.cluster.connect(servers=[urls[server]], allow_reconnect=False)
        return await client.jetstream(timeout=patience).key_value(BUCKET)

    async def put(self, kv: KeyValue, client: str, value: bytes, *, key: str = KEY) -> str:
        """One put, written down: "acked", "error" (certainly not done) or "unknown"."""
        number = self.history.begin(client, "put", key, value, 0, self.now)
        try:
            revision = await kv.put(key, value)
        except (NoStreamResponseError, nats.js.errors.APIError) as error:
            self.history.refused(number, self.now, type(error).__name__)
            return ERROR
        except nats.errors.TimeoutError as error:
            self.history.unknown(number, type(error).__name__)
            return UNKNOWN
        self.history.ok(number, self.now, revision)
        return ACKED

    async def log(self) -> list[Entry]:
        """The bucket's log when all is whole again, oldest first."""
        kv = await self.client("n5", patience=5)
        found = []
        for key in await keys_of(kv):
            for each in await entries_of(kv, key):
                value, operation = each.value or b"", each.operation or ""
                found.append(Entry(each.revision or 0, key, value, operation))
        return sorted(found, key=lambda each: each.revision)


async def entries_of(kv: KeyValue, key: str) -> list[KeyValue.Entry]:
    """`await kv.history(key)`, asked again until there is an answer: a read does no harm.

    Oldest first; empty if the key was never written.
    """
    while True:
        try:
            return list(await kv.history(key))
        except nats.js.errors.NoKeysError:
            return []
        except nats.errors.Error:
            await asyncio.sleep(_ASK_SECONDS)


async def keys_of(kv: KeyValue) -> list[str]:
    """All keys, asked again until there is an answer."""
    while True:
        try:
            return sorted(await kv.keys())
        except nats.errors.Error:
            await asyncio.sleep(_ASK_SECONDS)


@dataclass(frozen=True, slots=True)
class Conviction:
    """What a rule did in one world: the judge's words, and the events that led there."""

    seed: int
    said: str  # what the client of the lone leader was told
    violations: tuple[Violation, ...]
    events: tuple[str, ...]

    @property
    def is_guilty(self) -> bool:
        """Whether an acknowledged write is gone."""
        return any(each.kind == "lost" for each in self.violations)

    def lines(self) -> list[str]:
        """The verdict and the events, to be printed."""
        if not self.is_guilty:
            return [f"seed {self.seed}: the lone leader said {self.said!r}; nothing is lost"]
        lost = next(each for each in self.violations if each.kind == "lost")
        found = [str(replace(lost, text=lost.text.partition(": Entry")[0]))]
        return [f"seed {self.seed}: convicted", *found, "what happened:", *self.events]


def convict(rule: Rule, seed: int = 1) -> Conviction:
    """Swaps `rule` in for the leader's advance_commit, in a world of its own, and judges it."""
    return run_apart(lambda cluster: _tried(cluster, rule, seed), seed=seed, servers=SERVERS_COUNT)


async def _tried(cluster: Cluster, rule: Rule, seed: int) -> Conviction:
    split = await Split.open(cluster)
    ann, bo = await split.client("n1"), await split.client("n4")
    began = split.now
    cluster.swap("n1", advance_commit=rule)
    await cluster.partition(["n1"])
    said = await split.put(ann, "ann", b"green")
    for number in range(_TRIES_MOST):
        if await split.put(bo, "bo", f"blue{number}".encode()) == ACKED:
            break
        await asyncio.sleep(_ASK_SECONDS)
    await cluster.heal()
    await asyncio.sleep(1)
    events = tuple(_events(split, began, split.now))
    violations = tuple(judge(split.history, await split.log(), kept=HISTORY))
    return Conviction(seed, said, violations, events)


def meet(*first: str, seed: int = 1) -> str:
    """What the key is in the end, after nobody had a majority and these servers met first.

    red was acknowledged. Then n1 and n2, n3, and n4 and n5 are apart, and a put of green at n1
    ends in a time-out. Without names all meet at once.
    """
    color: str = run_apart(lambda cluster: _met(cluster, first), seed=seed, servers=SERVERS_COUNT)
    return color


async def _met(cluster: Cluster, first: tuple[str, ...]) -> str:
    split = await Split.open(cluster)
    ann = await split.client("n1")
    await cluster.partition(["n1", "n2"], ["n3"], ["n4", "n5"])
    await split.put(ann, "ann", b"green")
    if first:
        await cluster.partition(first)
        await asyncio.sleep(2)
    await cluster.heal()
    await asyncio.sleep(1)
    return (await split.log())[-1].value.decode()


def _events(split: Split, since: Nanos, until: Nanos) -> Iterator[str]:
    """The records of the bucket's group in words, on the clock that the judge's lines have."""
    logs = group_logs(split.cluster, BUCKET, at=until)
    texts = {
        (log.name, each.term, each.index): each.text
        for log in logs
        for each in (*log.entries, *log.truncated)
    }
    for each in split.cluster.simulation.records:
        if since <= each.time <= until and each.fields.get("group", GROUP) == GROUP:
            text = _in_words(each, texts)
            if text:
                yield f"  {(each.time - SIMULATION_START_NS) / SECOND_NS:7.4f} s  {text}"


def _in_words(record: Trace, texts: Mapping[tuple[str, int, int], str]) -> str:
    """An event in words; empty for what is not told."""
    about, text = record.fields, str(record.fields.get("text", ""))
    match record.kind:
        case "swap":
            return f"{record.server} gets another rule: {about['rules']}"
        case "partition":
            return f"the network parts: {about['groups']}"
        case "heal":
            return "the network is whole"
        case "append" if record.server in ("n1", "n4"):
            first, last, term = (cast("int", about[name]) for name in ("first", "last", "term"))
            what = ", ".join(
                texts.get((record.server, term, at), "") for at in range(first, last + 1)
            )
            does = "begins anew, appends" if first == 1 else "appends"
            place = f"index {last}" if first == last else f"indices {first} to {last}"
            return f"{record.server} {does} {what}, term {term}, at {place}"
        case "role" if about["role"] == "leader":
            return f"{record.server} leads term {about['term']}"
        case "truncate":
            return f"{record.server} cuts its log from index {about['from']} on"
        case "send" if (found := _ACK.search(text)) and GROUP in text:
            return f"the client of {record.server} is told: revision {found[1]}"
        case _:
            return ""
