"""Checks of lesson 04: what a bucket still says about its past, and what it can't say any more.

04a asks for a key's value at earlier moments. A script of puts, deletes and purges runs in a
world of its own, minutes apart; what was written is known, what is left is read back, and the
moments lie between the writes. "unknowable" is required exactly where a message is gone that
would tell. A key with just as many messages as history allows is open: nothing is gone, but
the messages don't say so, and both answers are taken.

Trimming and the depth are in `l04_trim`, undelete in `l04_undelete`.

Left out: expiry and compaction in 04a. They take messages without leaving a trace.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from random import Random
from typing import Any, TypeAlias

from nats.js.errors import NoKeysError
from nats.js.kv import KeyValue

from kvcore.lab.cluster import Cluster
from kvcore.lab.exercise import exercise
from kvcore.lab.feedback import Verdict, not_yet, passed, shown
from kvcore.lab.lessons.l04_trim import check_04b
from kvcore.lab.lessons.l04_undelete import check_04c
from kvcore.lab.trial import answer, in_world

__all__ = ["check_04a", "check_04b", "check_04c"]

UNKNOWABLE = "unknowable"
DEPTHS = (4, 3, 5)
GUESSES = (5, 3, 4, 64, 10)  # histories that somebody may write down instead of asking
KEYS = ("limit", "flag", "mode", "mode.eu", "note", "theme", "never")  # asked about in this order
Told: TypeAlias = bytes | str | None


@dataclass(frozen=True, slots=True)
class Written:
    """One message of a key: when it was written, what by, and the value (None: a tombstone)."""

    moment: datetime
    operation: str
    value: bytes | None


@dataclass(frozen=True, slots=True)
class Past:
    """All that was ever written to a key, how many of the newest are left, when to ask."""

    key: str
    depth: int
    written: tuple[Written, ...]
    left: int
    moments: tuple[datetime, ...]

    @property
    def kept(self) -> tuple[Written, ...]:
        """What `kv.history` gives."""
        return self.written[len(self.written) - self.left :]

    def at(self, moment: datetime) -> Told:
        """The value that the key truly had."""
        before = [each for each in self.written if each.moment <= moment]
        return before[-1].value if before else None

    def allowed(self, moment: datetime) -> tuple[Told, ...]:
        """What may be answered from the messages that are left."""
        if any(each.moment <= moment for each in self.kept):
            return (self.at(moment),)
        if self.left < len(self.written) or (self.kept and self.kept[0].operation == "purge"):
            return (UNKNOWABLE,)
        return (None, UNKNOWABLE) if self.left == self.depth else (None,)


def _script(rng: Random, depth: int) -> list[tuple[str, str]]:
    """Each key's own writes in order, keys shuffled together."""
    lines = {
        "limit": ["put"] * 2 + ["delete"] + ["put"] * depth,
        "flag": ["put", "put", "purge", "put"][: max(3, depth - 1)],
        "mode": ["put", "delete"],
        "mode.eu": ["put", "delete", "put"][: max(2, depth - 1)],
        "note": ["put", "empty"],
        "theme": ["put"],
    }
    left = {key: list(kinds) for key, kinds in lines.items()}
    script = []
    while left:
        key = rng.choice(list(left))
        script.append((left[key].pop(0), key))
        left = {each: kinds for each, kinds in left.items() if kinds}
    return script


async def _live(cluster: Cluster, rng: Random, depth: int) -> tuple[KeyValue, list[Past]]:
    """The bucket after the script; of each key its past, and moments between its writes."""
    js = (await cluster.connect()).jetstream()
    kv = await js.create_key_value(bucket="limits", history=depth)
    script = _script(rng, depth)
    written: dict[str, list[Written]] = {key: [] for key in KEYS}
    moments: dict[str, list[datetime]] = {key: [] for key in KEYS}
    for number, (kind, key) in enumerate(script, start=1):
        moments[key].append(await _later(cluster, rng))
        await _later(cluster, rng)
        value = b"" if kind == "empty" else f"{key[:2]}{number}".encode()
        if kind in ("put", "empty"):
            await kv.put(key, value)
        else:
            await (kv.delete(key) if kind == "delete" else kv.purge(key))
        gone = kind in ("delete", "purge")
        written[key].append(Written(cluster.now(), kind, None if gone else value))
        await _later(cluster, rng)
    now = await _later(cluster, rng)
    pasts = []
    for key in KEYS:
        left = await _left(kv, key)
        pasts.append(Past(key, depth, tuple(written[key]), left, (*moments[key], now)))
    return kv, pasts


async def _later(cluster: Cluster, rng: Random) -> datetime:
    await asyncio.sleep(rng.randint(1, 9) * 60)
    return cluster.now()


async def _left(kv: KeyValue, key: str) -> int:
    try:
        return len(await kv.history(key))
    except NoKeysError:
        return 0


@exercise(
    "04a",
    names=("as_of",),
    seeds=3,
    hints=(
        (
            "Which of the messages that kv.history gives were there at t? And when none was: what "
            "may have been there before them?"
        ),
        (
            "The newest entry created at or before t answers. Without one, ask what can have "
            "removed older entries of this key: the history limit, or a purge. If neither did, "
            "there was nothing."
        ),
        (
            "entries = await kv.history(key), [] on NoKeysError. The last entry with created <= t: "
            "its value, or None if it has an operation. Otherwise UNKNOWABLE if entries[0] is a "
            "PURGE, or if there are as many as (await kv.status()).history; else None."
        ),
    ),
    wrong={
        "M5": "You take a delete for an eraser. Print what kv.history gives for this key: is the "
        "value that it had at t still there?",
        "now": "That is what the key holds now. Each entry has .created: which of them were "
        "there at t?",
        "later": "That entry was written after t. Nobody could have read it then.",
        "trimmed": 'No message that old is left, but there were some. Is "I see nothing" the '
        'same as "there was nothing"?',
        "purge": "The oldest message of this key is a purge tombstone. What did it take with it "
        "when it came?",
        "timid": "An entry from before t is left. What could have changed the key between that "
        "entry and t without leaving a message?",
        "room": "This key has fewer messages than history allows. Has the limit ever had a "
        "reason to remove one of them?",
        "depth": "How many messages a key may keep is a setting of the bucket. Where can you "
        "read it?",
        "tombstone": "A tombstone's value is empty, and so is an empty put's. Which attribute of "
        "the entry tells them apart?",
        "empty": "No bytes is a value too. What tells an empty put from a tombstone?",
        "never": "kv.history raises NoKeysError for a key that has no message at all. What is "
        "the answer for such a key?",
        "shape": "Return the value as bytes, or None, or UNKNOWABLE.",
    },
    compare="One walks back to the entry that answers, the other makes one pass and remembers. "
    "Both must ask the bucket how deep its history is: the messages don't say.",
)
def check_04a(as_of: Any, seeds: Iterable[int]) -> Verdict:
    """Each key between its writes, in a fresh bucket for each seed."""
    count = 0
    for seed in seeds:
        verdict = in_world(_judge, as_of, seed=seed)
        if isinstance(verdict, Verdict):
            sees = verdict.hint == "trimmed" and _sees_a_limit(as_of, seed)
            return replace(verdict, hint="depth") if sees else verdict
        count += verdict
    return passed(f"{count} questions about 7 keys, answered as the messages that are left allow")


async def _judge(cluster: Cluster, as_of: Any, seed: int) -> Verdict | int:
    rng = Random(seed)
    depth = DEPTHS[(seed - 1) % len(DEPTHS)]
    kv, pasts = await _live(cluster, rng, depth)
    for past in pasts:
        for moment in past.moments:
            allowed = past.allowed(moment)
            try:
                got = await answer(as_of, kv, past.key, moment)
            except NoKeysError:
                return _verdict("NoKeysError", allowed, past, moment, seed)
            if not _same(got, allowed):
                return _verdict(got, allowed, past, moment, seed)
    return sum(len(past.moments) for past in pasts)


def _sees_a_limit(as_of: Any, seed: int) -> bool:
    """Whether some other depth makes the answer "unknowable": then the depth is a guess."""
    return any(in_world(_is_unsure, as_of, depth, seed=seed) for depth in GUESSES)


async def _is_unsure(cluster: Cluster, as_of: Any, depth: int, _seed: int) -> bool:
    """What is said of the time before the first put, when the limit has removed that put."""
    js = (await cluster.connect()).jetstream()
    kv = await js.create_key_value(bucket="limits", history=depth)
    begin = cluster.now()
    await asyncio.sleep(60)
    for number in range(depth + 1):
        await kv.put("limit", b"%d" % number)
    return bool(await answer(as_of, kv, "limit", begin) == UNKNOWABLE)


def _same(got: object, allowed: tuple[Told, ...]) -> bool:
    return any(type(got) is type(each) and got == each for each in allowed)


def _verdict(
    got: object, allowed: tuple[Told, ...], past: Past, moment: datetime, seed: int
) -> Verdict:
    when = f"{moment:%H:%M:%S}"
    return not_yet(
        f"as_of(kv, {past.key!r}, {when}) gave {shown(got)}, history is {past.depth}",
        f"{shown(allowed[0])}; the trace has all that was written",
        seed=seed,
        hint=_why(got, allowed, past, moment),
        trace=_trace(past, moment),
    )


def _trace(past: Past, moment: datetime) -> list[str]:
    """The key's whole past, with what is gone marked, and the moment in question."""
    lines = [f"key {past.key!r}, history {past.depth}; asked for {moment:%H:%M:%S}"]
    gone = len(past.written) - past.left
    for place, each in enumerate(past.written):
        value = "" if each.value is None else repr(each.value)
        note = "   (removed)" if place < gone else ""
        lines.append(f"  {each.moment:%H:%M:%S}  {each.operation:<7} {value}{note}")
    return lines if past.written else [*lines, "  nothing was ever written"]


def _why(got: object, allowed: tuple[Told, ...], past: Past, moment: datetime) -> str:
    """Which wrong idea gives this answer."""
    if got == "NoKeysError":
        return "never"
    if not isinstance(got, bytes | str | None) or (isinstance(got, str) and got != UNKNOWABLE):
        return "shape"
    want = allowed[0]
    if got == UNKNOWABLE:
        if any(each.moment <= moment for each in past.kept):
            return "timid"
        return "depth" if past.left > min(DEPTHS) - 1 else "room"
    if want == UNKNOWABLE:
        return _why_sure(got, past)
    if want is None:
        return "tombstone" if got == b"" else _why_value(got, past, moment)
    if got is None:
        return "empty" if want == b"" else "M5"
    return _why_value(got, past, moment)


def _why_sure(got: object, past: Past) -> str:
    """A value, or None, where nobody can know."""
    if got is not None:
        return "now" if got == past.written[-1].value else "later"
    return "purge" if past.kept[0].operation == "purge" else "trimmed"


def _why_value(got: object, past: Past, moment: datetime) -> str:
    if got == past.written[-1].value:
        return "now"
    after = [each.value for each in past.written if each.moment > moment]
    if got in after:
        return "later"
    return "M5" if got is None else ""
