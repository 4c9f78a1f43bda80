"""Checks of lesson 02: a bucket read as its stream, and revisions foretold.

Each compares with kvcore itself. 02a writes a bucket step by step in a world of its own and
keeps, after each step, the messages as `js.get_msg` gives them and what `kv.get` says; the
first step at which an answer differs tells which idea is wrong. 02b runs its script before
it judges. 02c makes the learner's stream and does to it what a bucket must bear.

Left out: markers that a limit leaves behind (lesson 04), and settings that only matter on
several servers.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from random import Random
from typing import Any, TypeAlias

from nats.js.api import RawStreamMsg
from nats.js.client import JetStreamContext
from nats.js.errors import KeyNotFoundError, NotFoundError
from nats.js.kv import KeyValue

from kvcore.lab import quiz
from kvcore.lab.cluster import Cluster
from kvcore.lab.exercise import exercise
from kvcore.lab.feedback import Verdict, not_yet, passed, shown
from kvcore.lab.lessons.l02_settings import check_02c
from kvcore.lab.trial import in_world

__all__ = ["check_02a", "check_02b", "check_02c"]

Found: TypeAlias = tuple[bytes, int] | None
PREFIX = "$KV.flags."
STREAM = "KV_flags"
WORDS = ("color", "limit", "mode", "region", "size", "theme", "zone")


# -- 02a: kv_get and kv_keys over a raw log ------------------------------------------------


@dataclass(frozen=True, slots=True)
class Step:
    """A bucket after one operation: its messages, and what kvcore's own client finds."""

    operation: str
    key: str
    log: tuple[RawStreamMsg, ...]
    truth: Mapping[str, Found]

    def messages(self) -> list[RawStreamMsg]:
        """A copy that the learner's code may change."""
        return [replace(each) for each in self.log]

    def trace(self) -> list[str]:
        """The log as the learner's function got it."""
        lines = [f"  #{m.seq}  {m.subject}  {m.headers or ''}  {m.data!r}" for m in self.log]
        return [f"after {self.operation!r} the stream has:", *lines]


def _script(rng: Random) -> list[tuple[str, str]]:
    """Operations that tell wrong ideas apart, the telling ones first, then some at random."""
    one, two = rng.sample(WORDS, 2)
    part = rng.choice(("eu", "us", "dark"))
    keys = [one, two, f"{one}.{part}", f"{two}.{one}", f"{one}{part}"]
    steps = [("put", one), ("put", two), ("put", one), ("put", keys[2]), ("put", keys[3])]
    steps += [("put empty", one), ("delete", one), ("put", one), ("delete", keys[2])]
    steps += [("purge", two), ("put", two), ("put", keys[4])]
    kinds = ("put", "put", "put", "put empty", "delete", "purge")
    return steps + [(rng.choice(kinds), rng.choice(keys)) for _ in range(6)]


async def _write(cluster: Cluster, seed: int) -> list[Step]:
    rng = Random(seed)
    js = (await cluster.connect()).jetstream()
    kv = await js.create_key_value(bucket="flags", history=64 if seed % 2 else 1)
    script = _script(rng)
    truth: dict[str, Found] = {key: None for _, key in script}
    log: list[RawStreamMsg] = []
    steps = []
    for number, (kind, key) in enumerate(script, start=1):
        await _do(kv, kind, key, f"{key[:3]}{number}".encode())
        log = await _reread(js, log, PREFIX + key)
        truth[key] = await _truth(kv, key)
        steps.append(Step(f"{kind} {key}", key, tuple(log), dict(truth)))
    for key, found in truth.items():
        assert found == await _truth(kv, key)
    return steps


async def _do(kv: KeyValue, kind: str, key: str, value: bytes) -> None:
    if kind == "delete":
        await kv.delete(key)
    elif kind == "purge":
        await kv.purge(key)
    else:
        await kv.put(key, b"" if kind == "put empty" else value)


async def _reread(
    js: JetStreamContext, log: list[RawStreamMsg], subject: str
) -> list[RawStreamMsg]:
    """The log with the newest message, and without those of its subject that it pushed out."""
    newest = await js.get_last_msg(STREAM, subject)
    kept = [m for m in log if m.subject != subject or await _is_there(js, m.seq or 0)]
    return [*kept, newest]


async def _is_there(js: JetStreamContext, seq: int) -> bool:
    try:
        await js.get_msg(STREAM, seq)
    except NotFoundError:
        return False
    return True


async def _truth(kv: KeyValue, key: str) -> Found:
    try:
        entry = await kv.get(key)
    except KeyNotFoundError:
        return None
    return entry.value or b"", entry.revision or 0


@lru_cache(maxsize=64)
def _steps(seed: int) -> tuple[Step, ...]:
    return tuple(in_world(_write, seed=seed))


@exercise(
    "02a",
    names=("kv_get", "kv_keys"),
    seeds=6,
    hints=(
        "Which messages of the log concern this key, and which one of them decides?",
        (
            "The subject says whose message it is, all of it. The newest one decides: it holds "
            "either a value, or a header that says the key is gone."
        ),
        (
            "Go through reversed(stream). At the first message whose subject equals PREFIX + key: "
            "None if its headers have KV-Operation DEL or PURGE, else (data, seq). kv_keys asks "
            "the same of each distinct subject."
        ),
    ),
    wrong={
        "M1": "You counted this key's messages. Print message.seq of the log: who else uses "
        "up numbers?",
        "position": "A place in the list is no sequence. What happens to the places when an "
        "old message has been removed?",
        "M5": "The newest message of this key is a tombstone. It has no value to give: which "
        "header tells?",
        "older": "You went past the tombstone and found a value from before the delete. What "
        "did the delete mean?",
        "forever": "A delete is one message of the log, not the last word. What came after it?",
        "purge": "There are two kinds of tombstone. Print the headers of the newest message of "
        "this key.",
        "empty": "No bytes is a value too. What is the only thing that tells a delete from an "
        "empty put?",
        "first": "The log runs from old to new. Which end did you start from?",
        "prefix": "That message belongs to another key. Compare the whole subject: what does "
        "`a.b` share with `a`, and with `b`?",
        "subject": "A key is what a client passes to put. Which part of the subject is the "
        "bucket's?",
        "twice": "A key has many messages in the log. How often is it a key of the bucket?",
        "shape": "kv_get returns (value, revision), or None. kv_keys returns a list of keys.",
    },
    compare="One walks back from the newest message and stops early; the other makes one pass "
    "and remembers every key. For a single get the first reads less, for many gets the second.",
)
def check_02a(learner: Any, seeds: Iterable[int]) -> Verdict:
    """Both functions, after each step of each script."""
    kv_get, kv_keys = learner
    count = 0
    for seed in seeds:
        for step in _steps(seed):
            verdict = _judge_get(kv_get, step, seed) or _judge_keys(kv_keys, step, seed)
            if verdict is not None:
                return verdict
            count += 1
    return passed(f"every key after each of {count} writes, as kvcore's own get finds it")


def _judge_get(kv_get: Any, step: Step, seed: int) -> Verdict | None:
    for key in dict.fromkeys((step.key, *step.truth)):
        want = step.truth[key]
        got = kv_get(step.messages(), key)
        if _same(got, want):
            continue
        return not_yet(
            f"after {step.operation!r}: kv_get(stream, {key!r}) gave {shown(got)}",
            f"{shown(want)}, as kvcore's own get answers",
            seed=seed,
            hint=_why_get(got, step, key),
            trace=step.trace(),
        )
    return None


def _same(got: object, want: Found) -> bool:
    if want is None or not _is_pair(got):
        return got is want
    assert isinstance(got, tuple | list)
    return (got[0] or b"", got[1]) == want


def _is_pair(got: object) -> bool:
    is_two = isinstance(got, tuple | list) and len(got) == 2
    return is_two and isinstance(got[0], bytes | None) and isinstance(got[1], int)  # type: ignore[index]


def _why_get(got: Any, step: Step, key: str) -> str:
    """Which wrong idea gives this answer."""
    mine = [each for each in step.log if each.subject == PREFIX + key]
    want = step.truth[key]
    if got is None:
        return _why_missing(step, key)
    if not _is_pair(got):
        return "shape"
    value, revision = got[0] or b"", got[1]
    if want is None:
        newest = mine[-1] if mine else None
        if newest is None or revision not in [each.seq for each in mine]:
            return "prefix"
        if revision != newest.seq:
            return "older"
        return "purge" if (newest.headers or {}).get("KV-Operation") == "PURGE" else "M5"
    if value == want[0]:
        return "M1" if revision == len(mine) else "position" if revision <= len(step.log) else ""
    if len(mine) > 1 and value == (mine[0].data or b""):
        return "first"
    return "older" if value in [each.data for each in mine] else "prefix"


def _judge_keys(kv_keys: Any, step: Step, seed: int) -> Verdict | None:
    want = sorted(key for key, found in step.truth.items() if found is not None)
    got = kv_keys(step.messages())
    is_list = isinstance(got, list | tuple | set | frozenset | dict)
    is_list = is_list and all(isinstance(each, str) for each in got)
    if is_list and sorted(got) == want:
        return None
    return not_yet(
        f"after {step.operation!r}: kv_keys(stream) gave {shown(got)}",
        f"{want} in any order, as kvcore has it",
        seed=seed,
        hint=_why_keys(list(got), want, step) if is_list else "shape",
        trace=step.trace(),
    )


def _why_keys(got: list[str], want: list[str], step: Step) -> str:
    if any(each.startswith("$KV.") for each in got):
        return "subject"
    if any(each not in step.truth for each in got):
        return "prefix"
    extra = [each for each in got if each not in want]
    if extra:
        return "purge" if step.operation.startswith("purge") else "M5"
    if len(set(got)) < len(got):
        return "twice"
    return _why_missing(step, next(each for each in want if each not in got))


def _why_missing(step: Step, key: str) -> str:
    """Why a key that has a value may be taken for one that has none."""
    found = step.truth[key]
    if found is not None and found[0] == b"":
        return "empty"
    if any(each.subject == PREFIX + key and each.headers for each in step.log):
        return "forever"
    return "prefix" if "." in key else ""


# -- 02b: the revisions of an interleaving -------------------------------------------------

_LINES = (
    "2 put size=10",
    "3 get size",
    "4 put colour=blue",
    "5 delete size",
    "6 put size=12",
    "7 get colour",
    "8 put colour=grey in stock",
)
_TEMPTING: tuple[Mapping[object, str], ...] = (
    {1: "M1"},
    {1: "M1", 3: "read"},
    {2: "M1", 4: "read"},
    {2: "delete", 3: "delete"},
    {1: "restart", 2: "M1", 3: "M1", 4: "delete"},
    {2: "M1", 5: "newest"},
    {6: "server", 7: "server", 4: "server"},
)


async def _happened(cluster: Cluster, _seed: int) -> list[int]:
    js = (await cluster.connect()).jetstream()
    shop = await js.create_key_value(bucket="shop", history=5)
    stock = await js.create_key_value(bucket="stock", history=5)
    await shop.put("colour", b"red")
    found = [await shop.put("size", b"10"), (await shop.get("size")).revision or 0]
    found.append(await shop.put("colour", b"blue"))
    await shop.delete("size")
    found.append((await js.get_last_msg("KV_shop", "$KV.shop.size")).seq or 0)
    found += [await shop.put("size", b"12"), (await shop.get("colour")).revision or 0]
    return [*found, await stock.put("colour", b"grey")]


@exercise(
    "02b",
    kind="prediction",
    names=("revisions",),
    seeds=1,
    hints=(
        "Write the stream of `shop` as a numbered list, one line for each message it stores.",
        "Each bucket has one counter. What stores a message moves it; what only reads does not.",
        (
            "shop's list: red, size 10, blue, tombstone, size 12. A put's revision is its place. "
            "A get returns the place of the newest message of its key. stock has a list of its own."
        ),
    ),
    wrong={
        "M1": "That counts the messages of one key. Look at the first experiment again: what did "
        "the second put to `a` return, and why?",
        "read": "Does a get store anything? Read the stream's last sequence before and after one.",
        "delete": "What did the stream hold after the delete in the third experiment that it "
        "did not hold before?",
        "restart": "A deleted key's earlier messages had numbers. Where would a fresh count "
        "for this key be kept?",
        "newest": "That is the newest message of the bucket. Whose is it?",
        "server": "Two buckets are two streams. Which of the two does this put go to?",
    },
    compare="Writing the stream down as a list answers every line; no rule per line is needed.",
)
def check_02b(learner: object, seeds: Iterable[int]) -> Verdict:
    """What the script gives on kvcore decides."""
    truth = in_world(_happened, seed=next(iter(seeds), 1))
    required = "what the script gives on a fresh kvcore"
    questions = {
        line: quiz.Question(right, wrong=wrong, required=required)
        for line, right, wrong in zip(_LINES, truth, _TEMPTING, strict=True)
    }
    return quiz.judge(learner, questions, "revisions", "kvcore ran the script and agrees.")
