"""The check of exercise 04b: what the history limit leaves, and which limit is deep enough.

The same script is written to two buckets of one world, one that keeps everything it can and
one with history n. Both give each message the same number, so what is left in the second is
what `trim` must leave of the first. The depth is tried out too: three changes, then a read of
the value before them.

Left out: purges and the bucket's other limits, which remove by other rules.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import lru_cache
from random import Random
from typing import Any

from nats.js.kv import KeyValue

from kvcore.lab.cluster import Cluster
from kvcore.lab.exercise import exercise
from kvcore.lab.feedback import Verdict, not_yet, passed, shown
from kvcore.lab.pictures import bucket_log
from kvcore.lab.trial import in_world
from kvcore.viz.logstrip import Entry

__all__ = ["check_04b"]

DEEPEST = 64
DEPTHS = (2, 1, 3, 2, 4, 5)
WORDS = ("color", "limit", "mode", "region", "size", "theme", "zone")


def _script(rng: Random, depth: int) -> list[tuple[str, str, str]]:
    """Writes whose first key comes early and rarely, and whose second comes often."""
    rare, often, third = rng.sample(WORDS, 3)
    keys = [rare, often, third, f"{often}.{rare}"]
    script = [("put", rare, "on"), ("put", often, "on"), ("put", keys[3], "on")]
    script += [("put", often, "on")] * depth + [("delete", often, "")]
    script += [("put", third, "on"), ("put", third, "off"), ("delete", third, "")]
    tail = [(rng.choice(("put", "put", "delete")), rng.choice(keys[1:])) for _ in range(8)]
    return script + [(kind, key, "on" if kind == "put" else "") for kind, key in tail]


async def _write(cluster: Cluster, depth: int, seed: int) -> tuple[list[Entry], list[int]]:
    js = (await cluster.connect()).jetstream()
    full = await js.create_key_value(bucket="full", history=DEEPEST)
    kept = await js.create_key_value(bucket="kept", history=depth)
    for kind, key, value in _script(Random(seed), depth):
        for kv in (full, kept):
            await _do(kv, kind, key, value)
    left = await bucket_log(js, "kept")
    survivors = [each.revision for each in left if each.state == "committed"]
    return await bucket_log(js, "full"), survivors


async def _do(kv: KeyValue, kind: str, key: str, value: str) -> None:
    await (kv.put(key, value.encode()) if kind == "put" else kv.delete(key))


@lru_cache(maxsize=64)
def _case(seed: int) -> tuple[int, tuple[Entry, ...], tuple[int, ...]]:
    depth = DEPTHS[(seed - 1) % len(DEPTHS)]
    log, survivors = in_world(_write, depth, seed=seed)
    return depth, tuple(log), tuple(survivors)


@exercise(
    "04b",
    names=("trim", "depth"),
    seeds=6,
    hints=(
        "A message falls when enough newer ones have come. Newer ones of what?",
        (
            "Each key counts its own messages, puts and tombstones alike, from the newest back. "
            "And the depth: after three more messages, as which one of its key does the value "
            "stand there?"
        ),
        (
            "Go through reversed(log) with a dict that counts the entries seen of each key; keep "
            "an entry while its key's count is below n, then reverse what you kept. For the "
            "depth: the value itself takes a place beside the three changes."
        ),
    ),
    wrong={
        "overall": "You kept the newest n of the whole log. What is left of a key that was "
        "written once, long ago?",
        "oldest": "The log runs from old to new. Which end of a key's messages does a get read?",
        "tombstones": "A delete is a message like any other. Does the limit ask what it says?",
        "one_more": "Count the key's messages that you kept. Does the newest one count?",
        "prefix": "Those are two keys, though one name begins like the other. Compare the whole "
        "key.",
        "values": "Two puts of the same value are two messages. What does the limit count?",
        "one_key": "You trimmed one key. Every key has the limit for itself.",
        "order": "The right messages, in another order. In which order does the stream keep them?",
        "changed": "The entries are the log's own, as they were: same revision, same value.",
        "shape": "trim returns a list of entries of the log.",
        "number": "depth is a whole number from 1 to 64: what you would pass as history=.",
        "itself": "With that depth, write it down: one value, then three changes. How many "
        "messages of the key are there in the end?",
        "price": "That is deep enough, and deeper than needed. What is the smallest that does it?",
    },
    compare="One walks back and counts, the other groups the positions by key first. The first "
    "needs no second look at the log; the second shows that keys never meet.",
)
def check_04b(learner: Any, seeds: Iterable[int]) -> Verdict:
    """`trim` beside a bucket that has that limit; then the depth on a bucket of its own."""
    trim, depth = learner
    first, count = 1, 0
    for count, seed in enumerate(seeds, start=1):
        first = seed if count == 1 else first
        n, log, survivors = _case(seed)
        got = trim([replace(each) for each in log], n)
        fault = _why(got, n, log, survivors)
        if fault is not None:
            kept = _numbers(got)
            return not_yet(
                f"trim(log, {n}) kept {shown(got) if kept is None else kept}",
                f"{list(survivors)}, as a bucket with history={n} does",
                seed=seed,
                hint=fault,
                trace=_trace(n, log, survivors),
            )
    return _judge_depth(depth, first) or passed(f"{count} logs, and the smallest depth")


def _numbers(got: object) -> list[int] | None:
    """The revisions of a list of entries; None if it is none."""
    if not isinstance(got, list | tuple) or not all(isinstance(each, Entry) for each in got):
        return None
    return [each.revision for each in got]


def _trace(n: int, log: Sequence[Entry], survivors: Sequence[int]) -> list[str]:
    lines = [f"  #{each.revision:<3} {each.label}" for each in log]
    marked = [
        f"{line:<28}{'' if each.revision in survivors else 'removed'}".rstrip()
        for line, each in zip(lines, log, strict=True)
    ]
    return [f"the log, and what a bucket with history={n} removed:", *marked]


def _why(got: object, n: int, log: Sequence[Entry], survivors: tuple[int, ...]) -> str | None:
    """Which wrong idea leaves these entries; None if they are right."""
    kept = _numbers(got)
    if kept is None:
        return "shape"
    assert isinstance(got, list | tuple)
    if any(each not in log for each in got):
        return "changed"
    if tuple(kept) == survivors:
        return None
    if sorted(kept) == list(survivors):
        return "order"
    return next((hint for hint, left in _wrong(n, log) if left == sorted(kept)), "")


def _wrong(n: int, log: Sequence[Entry]) -> list[tuple[str, list[int]]]:
    """What each wrong idea leaves."""
    keys = list(dict.fromkeys(each.key for each in log))
    mine = {key: [each for each in log if each.key == key] for key in keys}
    puts = [each for each in log if each.operation == "put"]
    newest = [each.revision for key in keys for each in mine[key][-n:]]
    ideas = [("overall", [each.revision for each in log[-n:]])]
    ideas += [("overall", [each.revision for each in log[len(log) - n * len(keys) :]])]
    ideas += [("oldest", [each.revision for key in keys for each in mine[key][:n]])]
    alive = [each for each in log if each.operation == "put" or each.revision not in newest]
    ideas += [("tombstones", [e.revision for e in alive if e.revision in newest])]
    ideas += [("tombstones", _counted(n, puts, lambda each: each.key))]
    past = sorted(_counted(n, puts, lambda each: each.key) + _tombs(log))
    ideas += [("tombstones", past)]
    ideas += [("tombstones", [each.revision for each in log if _puts_above(each, log) < n])]
    ideas += [("one_more", _counted(n + step, log, lambda each: each.key)) for step in (1, -1)]
    ideas += [("prefix", _counted(n, log, lambda each: each.key.split(".")[0]))]
    ideas += [("values", _counted(n, _distinct(log), lambda each: each.key))]
    for key in keys:
        others = [each.revision for each in log if each.key != key]
        ideas += [("one_key", others + [each.revision for each in mine[key][-n:]])]
    return [(hint, sorted(left)) for hint, left in ideas]


def _tombs(log: Sequence[Entry]) -> list[int]:
    return [each.revision for each in log if each.operation != "put"]


def _puts_above(entry: Entry, log: Sequence[Entry]) -> int:
    """How many newer puts the entry's key has."""
    newer = [each for each in log if each.key == entry.key and each.revision > entry.revision]
    return sum(each.operation == "put" for each in newer)


def _counted(n: int, log: Sequence[Entry], group: Any) -> list[int]:
    """The newest n of each group."""
    left: list[int] = []
    seen: dict[str, int] = {}
    for each in reversed(log):
        seen[group(each)] = seen.get(group(each), 0) + 1
        if seen[group(each)] <= n:
            left.append(each.revision)
    return left[::-1]


def _distinct(log: Sequence[Entry]) -> list[Entry]:
    """The newest entry of each key with each value."""
    newest = {(each.key, each.operation, each.value): each for each in log}
    return sorted(newest.values(), key=lambda each: each.revision)


# -- the depth -----------------------------------------------------------------------------


CHANGES = ("put 3.20", "put 32.0", "delete", "put 0")


async def _left(cluster: Cluster, depth: int, _seed: int) -> list[int]:
    """The revisions of a value and of the next three changes of its key that can be read."""
    js = (await cluster.connect()).jetstream()
    kv = await js.create_key_value(bucket="prices", history=depth)
    for change in CHANGES:
        kind, _, value = change.partition(" ")
        await _do(kv, kind, "tea", value)
    log = await bucket_log(js, "prices")
    return [each.revision for each in log if each.state == "committed"]


def _judge_depth(depth: Any, seed: int) -> Verdict | None:
    required = "the smallest history with which a value outlives three changes"
    if type(depth) is not int or not 1 <= depth <= DEEPEST:
        return not_yet(f"depth: {shown(depth)}", required, hint="number")
    left = in_world(_left, depth, seed=seed)
    if 1 not in left:
        said, hint = f"history={depth}: the value was gone", "itself"
    elif depth > 1 and 1 in in_world(_left, depth - 1, seed=seed):
        said, hint = f"history={depth} keeps it, and history={depth - 1} keeps it too", "price"
    else:
        return None
    trace = [f"a value and three changes of its key, in a bucket with history={depth}:"]
    for number, change in enumerate(CHANGES, start=1):
        trace.append(f"  #{number} {change:<10}{'' if number in left else 'removed'}".rstrip())
    return not_yet(said, required, seed=seed, hint=hint, trace=trace)
