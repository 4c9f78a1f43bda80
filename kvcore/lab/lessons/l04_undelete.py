"""The check of exercise 04c: a deleted value put back, or the reason why it can't be.

One bucket of a world of its own gets keys in every state that the lesson has shown: alive,
deleted once and twice, trimmed to tombstones, purged, expired behind a marker, never there.
The learner's function is asked about each; then the stream is read again: one put more, or
nothing at all, and every other key as it was.

Left out: a writer who comes in between. Lesson 03 has the means against it.
"""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

from nats.js.client import JetStreamContext
from nats.js.errors import KeyNotFoundError, NoKeysError
from nats.js.kv import KeyValue

from kvcore.lab.cluster import Cluster
from kvcore.lab.exercise import exercise
from kvcore.lab.feedback import Verdict, not_yet, passed, shown
from kvcore.lab.trial import answer, in_world

__all__ = ["check_04c"]

REASONS = ("alive", "purged", "expired", "trimmed", "no trace")
DEPTHS = (4, 3)
TTL_SECONDS = 3600  # of the value that expires, and of the marker that it leaves


@dataclass(frozen=True, slots=True)
class Case:
    """A key, what was done to it, and what must come of it: a value put back, or a reason."""

    key: str
    done: tuple[str, ...]
    want: bytes | str


def _cases(rng: Random, depth: int) -> list[Case]:
    old, new = (b"%d" % number for number in rng.sample(range(10, 99), 2))
    first, second = f"put {old.decode()}", f"put {new.decode()}"
    return [
        Case("deleted", (first, second, "delete"), new),
        Case("deleted.twice", (first, "delete", "delete"), old),
        Case("deleted.empty", (first, "put ", "delete"), b""),
        Case("alive", (first, second), "alive"),
        Case("alive.empty", (first, "put "), "alive"),
        Case("alive.again", (first, "delete", second), "alive"),
        Case("purged", (first, second, "purge"), "purged"),
        Case("purged.deleted", (first, "purge", "delete"), "purged"),
        Case("purged.before", ("put 1", "purge", second, "delete"), new),
        Case("expired", ("expire",), "expired"),
        Case("expired.deleted", ("expire", "delete"), "expired"),
        Case("trimmed", (first, *["delete"] * depth), "trimmed"),
        Case("never", (), "no trace"),
        Case("compacted", (first, "compact"), "no trace"),
    ]


@exercise(
    "04c",
    names=("undelete",),
    seeds=2,
    hints=(
        (
            "Read the key's messages from the newest back. Which is the first that is not a delete "
            "tombstone?"
        ),
        (
            "A put: that is the value, or the key is alive if nothing stands above it. A purge "
            "tombstone or a limit marker: what was there is gone. kv.history calls both PURGE; "
            "their headers differ."
        ),
        (
            "entries = await kv.history(key); NoKeysError is 'no trace'. The newest without "
            "operation: 'alive'. Go through reversed(entries), skip DEL; a put: return await "
            "kv.put(key, its value). A PURGE: js.get_msg('KV_limits', revision) has the headers; "
            "Nats-Marker-Reason means 'expired'."
        ),
    ),
    wrong={
        "M5": "A value of this key can still be read. Print kv.history of it: what stands below "
        "the delete tombstones?",
        "alive": "This key has a value, and nothing to undo. What is its newest message?",
        "oldest": "That value is an old one. Which was the newest before the delete?",
        "tombstone": "You put back the empty value of a tombstone. Which attribute tells a "
        "tombstone from an empty put?",
        "empty": "An empty value was put, and is a value. What else would make an entry a "
        "tombstone?",
        "neighbour": "kv.get looks at the key's last message, a tombstone, and the number before "
        "it may belong to another key. Which call gives all of this key's own messages?",
        "marker": "kv.history calls it PURGE, but nobody purged. Fetch the message itself with "
        "js.get_msg and print its headers.",
        "purge": "On the way back you meet a purge tombstone. What did it leave of what was "
        "there before it?",
        "trimmed": "Only delete tombstones are left of this key. What removed the put below them?",
        "never": "kv.history raises NoKeysError for a key without any message. Which of the words "
        "is that?",
        "unsaid": "The stream has no new message of this key. What puts a value into a bucket?",
        "number": "The value is back. Return the revision that its put got.",
        "touched": "Nothing could be put back, and yet the stream changed. Look first, then write.",
        "shape": "undelete returns a revision, or one of the five words.",
    },
    compare="One walks back through kv.history and looks at a header once; the other reads the "
    "stream's messages by number and never asks the key-value API. The first is what a client "
    "library would do; the second would work in a language that has none. If somebody else might "
    "write meanwhile, both would need update with the tombstone's revision, as in lesson 03.",
)
def check_04c(undelete: Any, seeds: Iterable[int]) -> Verdict:
    """Each case, in a fresh bucket for each seed."""
    count = 0
    for seed in seeds:
        verdict = in_world(_judge, undelete, seed=seed)
        if isinstance(verdict, Verdict):
            return verdict
        count += verdict
    return passed(f"{count} keys: what could come back is back, and nothing else changed")


async def _judge(cluster: Cluster, undelete: Any, seed: int) -> Verdict | int:
    rng = Random(seed)
    depth = DEPTHS[(seed - 1) % len(DEPTHS)]
    cases = _cases(rng, depth)
    js = (await cluster.connect()).jetstream()
    kv = await _prepared(js, rng.sample(cases, len(cases)), depth)
    for case in cases:
        verdict = await _judge_case(js, kv, undelete, case, seed)
        if verdict is not None:
            return verdict
    return len(cases)


async def _prepared(js: JetStreamContext, cases: list[Case], depth: int) -> KeyValue:
    """The bucket with every key in its state, messages of other keys between."""
    kv = await js.create_key_value(bucket="limits", history=depth, limit_marker_ttl=TTL_SECONDS)
    for case in cases:
        if case.done[:1] == ("expire",):
            await kv.create(case.key, b"7", msg_ttl=TTL_SECONDS)
    await asyncio.sleep(TTL_SECONDS + 60)
    for step in range(max(len(case.done) for case in cases)):
        for case in cases:
            if step < len(case.done):
                await _do(js, kv, case.key, case.done[step])
    return kv


async def _do(js: JetStreamContext, kv: KeyValue, key: str, step: str) -> None:
    if step.startswith("put "):
        await kv.put(key, step[4:].encode())
    elif step == "delete":
        await kv.delete(key)
    elif step == "purge":
        await kv.purge(key)
    elif step == "compact":
        await kv.delete(key)
        await js.purge_stream("KV_limits", subject=f"$KV.limits.{key}")


@dataclass(frozen=True, slots=True)
class Seen:
    """What the learner's function gave, and what the stream says about what it did."""

    got: object
    written: int
    last: int
    now: bytes | None


async def _judge_case(
    js: JetStreamContext, kv: KeyValue, undelete: Any, case: Case, seed: int
) -> Verdict | None:
    messages = await _messages(kv, case.key)
    before = (await js.stream_info("KV_limits")).state.last_seq
    try:
        got = await answer(undelete, js, kv, case.key)
    except (NoKeysError, KeyNotFoundError) as error:
        got = error
    after = (await js.stream_info("KV_limits")).state.last_seq
    now = await _value(kv, case.key) if after > before else None
    fault = _fault(Seen(got, after - before, after, now), case)
    if fault is None:
        return None
    observed, hint = fault
    required = "the value back, by one put, and its revision"
    if isinstance(case.want, str):
        required = f"{case.want!r}, and no message more"
    trace = [f"key {case.key!r}: {', '.join(case.done) or 'never written'}; left of it:", *messages]
    return not_yet(
        f"undelete(js, kv, {case.key!r}) {observed}", required, seed=seed, hint=hint, trace=trace
    )


async def _messages(kv: KeyValue, key: str) -> list[str]:
    try:
        entries = await kv.history(key)
    except NoKeysError:
        return ["  nothing"]
    return [f"  #{e.revision:<3} {e.operation or 'PUT':<6} {e.value!r}" for e in entries]


async def _value(kv: KeyValue, key: str) -> bytes | None:
    try:
        return (await kv.get(key)).value or b""
    except KeyNotFoundError:
        return None


def _fault(seen: Seen, case: Case) -> tuple[str, str] | None:
    """What is wrong, and its hint."""
    got = seen.got
    if isinstance(got, Exception):
        return f"raised {type(got).__name__}", "never" if case.want == "no trace" else "neighbour"
    if seen.written and isinstance(case.want, str):
        return f"wrote a message and returned {shown(got)}", _why_written(case, seen.now)
    if isinstance(got, str) and got not in REASONS:
        return f"returned {shown(got)}", "shape"
    if isinstance(case.want, str):
        return None if got == case.want else (f"returned {shown(got)}", _why_said(got, case))
    if not seen.written:
        return f"returned {shown(got)}", "M5" if isinstance(got, str) else "unsaid"
    if seen.now != case.want or seen.written > 1:
        return f"put {shown(seen.now)}", _why_put(seen.now, case)
    if type(got) is not int or got != seen.last:
        return f"put it back and returned {shown(got)}", "number"
    return None


_SAID: Mapping[str, str] = {
    "alive": "alive", "purged": "purge", "expired": "marker", "trimmed": "trimmed",
    "no trace": "never",
}  # fmt: skip


def _why_said(got: object, case: Case) -> str:
    """A wrong word, or none, where nothing was to be put."""
    if not isinstance(got, str):
        return "shape"
    if case.want == "alive" and case.key == "alive.empty":
        return "empty"
    return _SAID[str(case.want)]


def _why_written(case: Case, now: bytes | None) -> str:
    """Something was put where nothing was to be put."""
    if case.want == "alive":
        return "empty" if case.key == "alive.empty" else "alive"
    return "tombstone" if now == b"" else "touched"


def _why_put(now: bytes | None, case: Case) -> str:
    if now == b"":
        return "tombstone"
    if case.want == b"":
        return "empty"
    return "oldest" if now is not None else "unsaid"
