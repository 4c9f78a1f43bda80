"""The checks of lesson 05. 05a asks for a bucket's copy that is right in the end.

What the learner's cache is fed is what nats-py's watchers delivered in a simulated world: of a
bucket with a past, of an empty one, of one whose line was cut and whose server crashed, and of
two watchers, the second opened while the first still had entries under way. The deliveries are
recorded once a seed; then the cache gets them one by one, `ready` is looked at after each, and
in the end every key is compared with the bucket.

Whether a value was skipped is in `l05_skipped`.

Left out: keys whose tombstone was compacted while a watcher was away; no delivery tells of them.
"""

import asyncio
from collections.abc import Coroutine, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from random import Random
from typing import Any, TypeAlias

from nats.aio.client import Client
from nats.js.kv import KeyValue

from kvcore.lab.cluster import Cluster
from kvcore.lab.exercise import exercise
from kvcore.lab.feedback import Verdict, not_yet, passed, shown
from kvcore.lab.lessons.l05_skipped import check_05b
from kvcore.lab.pictures import bucket_log
from kvcore.lab.trial import in_world

__all__ = ["check_05a", "check_05b"]

Fed: TypeAlias = Sequence[KeyValue.Entry | None]
KEYS = ("limit", "mode", "note", "theme", "zone", "zone.eu", "never")  # asked in this order
BUCKET = "copy"


@dataclass(frozen=True, slots=True)
class Case:
    """What befell, what was delivered, and what the bucket holds in the end."""

    story: str
    fed: tuple[KeyValue.Entry | None, ...]
    want: dict[str, bytes | None]


class _Feed:
    """A watcher's deliveries, as they come."""

    def __init__(self, watcher: KeyValue.KeyWatcher) -> None:
        self.fed: list[KeyValue.Entry | None] = []
        self._job = asyncio.create_task(self._listen(watcher))

    async def _listen(self, watcher: KeyValue.KeyWatcher) -> None:
        async for entry in watcher:
            self.fed.append(entry)

    async def heard(self) -> int:
        """How many there are, once all that is under way has come."""
        await asyncio.sleep(0.5)
        return len(self.fed)


class _Writer:
    """Writes lines as "limit=7", "limit-" (delete), "limit!" (purge), with values of its own."""

    def __init__(self, kv: KeyValue, rng: Random) -> None:
        self._kv, self._rng = kv, rng

    async def __call__(self, *lines: str) -> None:
        for line in lines:
            if line.endswith("-"):
                await self._kv.delete(line[:-1])
            elif line.endswith("!"):
                await self._kv.purge(line[:-1])
            else:
                key, _, value = line.partition("=")
                number = b"" if value == "empty" else b"%d" % self._rng.randint(10, 99)
                await self._kv.put(key, number)

    def some(self, *lines: str) -> list[str]:
        """The same lines in another order."""
        return self._rng.sample(lines, len(lines))


@dataclass(frozen=True, slots=True)
class _Scene:
    cluster: Cluster
    reader: Client
    kv: KeyValue  # the reader's
    write: _Writer


async def _with_a_past(scene: _Scene) -> Fed:
    write = scene.write
    await write(*write.some("limit", "mode", "theme", "zone", "zone.eu"), "note=empty")
    await write(*write.some("theme-", "zone", "zone!"))
    feed = _Feed(await scene.kv.watchall())
    await feed.heard()
    await write(*write.some("limit", "zone.eu-", "note=empty"), "limit", "zone")
    await feed.heard()
    return feed.fed


async def _empty(scene: _Scene) -> Fed:
    feed = _Feed(await scene.kv.watchall())
    await feed.heard()
    await scene.write(*scene.write.some("limit", "mode", "zone"), "zone-", "note=empty")
    await feed.heard()
    return feed.fed


async def _broken(scene: _Scene) -> Fed:
    """The line is cut while values are overwritten; then the server crashes."""
    cluster, write = scene.cluster, scene.write
    await write(*write.some("limit", "mode", "theme", "zone"))
    feed = _Feed(await scene.kv.watchall())
    await feed.heard()
    await write("limit", "mode")
    await cluster.disconnect(scene.reader)
    await write(*write.some("limit", "limit", "mode", "zone.eu", "theme-"), "limit", "zone!")
    await asyncio.sleep(4)
    await cluster.crash("n1")
    await cluster.restart("n1")
    await asyncio.sleep(6)  # both clients are back
    await write(*write.some("limit", "mode-", "zone.eu", "note=empty"), "mode")
    await asyncio.sleep(25)
    return feed.fed


async def _handed_over(scene: _Scene) -> Fed:
    """A second watcher begins; then come the first one's late entries, and it is stopped."""
    write = scene.write
    await write("limit", "mode", "theme", "note=empty", "zone.eu", "zone.eu-")
    first = _Feed(await scene.kv.watchall())
    begun = await first.heard()
    late = write.some("limit", "mode", "theme-", "zone")
    await write(*late)
    until = await first.heard()
    await write(*write.some("limit", "mode-", "theme", "zone!", "zone.eu"))
    second = _Feed(await scene.kv.watchall())
    known = await second.heard()
    await write("note=empty")
    await second.heard()
    return [*first.fed[:begun], *second.fed[:known], *first.fed[begun:until], *second.fed[known:]]


STORIES = (
    ("a bucket with a past", _with_a_past, 5),
    ("an empty bucket", _empty, 1),
    ("history 1, a cut and a crash", _broken, 1),
    ("a second watcher, and late entries of the first", _handed_over, 64),
)


async def _record(cluster: Cluster, seed: int) -> Case:
    story, play, depth = STORIES[(seed - 1) % len(STORIES)]
    js = (await cluster.connect()).jetstream()
    kv = await js.create_key_value(bucket=BUCKET, history=depth)
    reader = await cluster.connect()
    theirs = await reader.jetstream().key_value(BUCKET)
    fed = await play(_Scene(cluster, reader, theirs, _Writer(kv, Random(seed))))
    want: dict[str, bytes | None] = dict.fromkeys(KEYS)
    for entry in await bucket_log(js, BUCKET):
        if entry.state == "committed":
            want[entry.key] = entry.value.encode() if entry.operation == "put" else None
    return Case(story, tuple(fed), want)


@lru_cache(maxsize=64)
def _case(seed: int) -> Case:
    return in_world(_record, seed=seed)


@exercise(
    "05a",
    names=("LocalCache",),
    seeds=8,
    hints=(
        (
            "Go through experiment 1's deliveries with your cache. What does each of the three "
            "kinds, a put, a tombstone and None, change in it?"
        ),
        (
            "For each key remember the newest revision you have seen, tombstones included, and "
            "what came with it. Anything older is ignored. None says that the initial data is "
            "complete, even if there was none."
        ),
        (
            "apply: if entry is None, self.ready = True. Else if the key is new, or "
            "entry.revision is larger than that of the entry kept for the key, keep the entry. "
            "get: None if nothing is kept or what is kept has an operation; else its value."
        ),
    ),
    wrong={
        "M6": "More of the initial data was to come when it said ready. Which delivery says that "
        "it is complete?",
        "empty_bucket": "The bucket was empty, so no entry came before the None. What else could "
        "tell that the initial data is complete?",
        "late": "None was delivered, and the cache is not ready. What does it wait for?",
        "flips": "It was ready, and then took that back. Can initial data become incomplete?",
        "tombstones": "The key was deleted, and the cache still has something. Which attribute "
        "says that an entry is no put?",
        "order": "An older entry came after a newer one, from the watcher that was being "
        "replaced. What in an entry tells its age?",
        "revived": "The newest message of this key is a tombstone, then an older put came. How "
        "can the cache still know, of a key that is gone, when it went?",
        "empty_value": "No bytes is a value too. What tells an empty put from a tombstone?",
        "initial": "This key was written before the watch began, and never since. Which "
        "deliveries told of it?",
        "gap": "The newest entry of this key was delivered, and the cache does not have it. What "
        "made apply leave it out? Must revisions follow each other without gaps?",
        "missing": "Nothing of this key was ever delivered. What is the answer for it?",
        "shape": "ready is an attribute or a property, True or False; apply and get are plain "
        "functions, and get gives bytes or None.",
        "error": "Read the line above: which of its values may be None, or not there yet?",
    },
    compare="One keeps the newest entry of each key; the other keeps all it heard, and thinks "
    "when asked. Both keep the tombstones: a cache that forgets a key forgets when it went. One "
    "newest revision for the whole cache is enough as long as each watcher follows every key.",
)
def check_05a(local_cache: Any, seeds: Iterable[int]) -> Verdict:
    """A fresh cache for each seed's deliveries."""
    count = 0
    for seed in seeds:
        case = _case(seed)
        verdict = _judge(local_cache, case, seed)
        if verdict is not None:
            return verdict
        count += len(case.fed)
    return passed(f"{count} deliveries of {len(STORIES)} kinds of story; the copies are equal")


def _judge(local_cache: Any, case: Case, seed: int) -> Verdict | None:
    cache = local_cache()
    for place, entry in enumerate(((), *case.fed)):
        done = cache.apply(entry) if place else None
        if isinstance(done, Coroutine):
            done.close()
            return not_yet(
                "apply gave a coroutine, which nobody awaits",
                "apply is called, not awaited",
                seed=seed,
                hint="shape",
                trace=_trace(case, place),
            )
        verdict = _judge_ready(cache.ready, case, place, seed)
        if verdict is not None:
            return verdict
    for key in KEYS:
        got, want = cache.get(key), case.want[key]
        if type(got) is not type(want) or got != want:
            return not_yet(
                f"after {len(case.fed)} deliveries get({key!r}) gave {shown(got)}",
                f"{shown(want)}, as in the bucket ({case.story})",
                seed=seed,
                hint=_why(got, want, [e for e in case.fed if e and e.key == key], case),
                trace=_trace(case, len(case.fed)),
            )
    return None


def _judge_ready(ready: object, case: Case, place: int, seed: int) -> Verdict | None:
    fed = case.fed[:place]
    want = None in fed
    is_last = 0 < place == case.fed.index(None)  # complete, and None has yet to say so
    if ready is want or (is_last and isinstance(ready, bool)):
        return None
    hint = "M6"
    if not isinstance(ready, bool):
        hint = "shape"
    elif want:
        hint = "late" if any(fed[: fed.index(None)]) else "empty_bucket"
        hint = hint if fed[-1] is None and fed.count(None) == 1 else "flips"
    return not_yet(
        f"after {place} deliveries ready is {shown(ready)}",
        f"{want}: None has {'' if want else 'not '}been delivered ({case.story})",
        seed=seed,
        hint=hint,
        trace=_trace(case, place),
    )


def _why(got: object, want: bytes | None, fed: list[KeyValue.Entry], case: Case) -> str:
    """Which wrong idea leaves this value."""
    if not isinstance(got, bytes | None):
        return "shape"
    if not fed:
        return "missing"
    newest = max(each.revision or 0 for each in fed)
    is_late = fed[-1].revision != newest
    if want is None:
        return "revived" if is_late and not fed[-1].operation and got else "tombstones"
    if got is None and want == b"":
        return "empty_value"
    if is_late:
        return "order"
    was_initial = newest in [e.revision for e in case.fed[: case.fed.index(None)] if e]
    return "initial" if was_initial else "gap"


def _trace(case: Case, place: int) -> list[str]:
    """The story's deliveries, up to where it went wrong."""
    lines = [f"{case.story}; delivered were"]
    for entry in case.fed[:place]:
        if entry is None:
            lines.append("  None")
        else:
            what = {"DEL": "deleted", "PURGE": "purged"}.get(
                entry.operation or "", f"= {entry.value!r}"
            )
            lines.append(f"  #{entry.revision:<3} {entry.key} {what}")
    held = ", ".join(f"{key}={value!r}" for key, value in case.want.items() if value is not None)
    return [*lines, f"the bucket in the end: {held}"]
