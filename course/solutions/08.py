"""Reference answers of lesson 08. `reveal` shows them after a pass, or after three tries."""

import asyncio

from nats.errors import TimeoutError as NoAnswerError
from nats.js.errors import KeyWrongLastSequenceError, NoStreamResponseError

from kvcore.lab.lessons.l08 import entries_of

ex_08a__predicted__six = {
    "w1": "unknown",
    "w2": "acked",
    "w3": "unknown",
    "w4": "unknown",
    "w5": "error",
    "w6": "acked",
    "final": "w6",
}


def ex_08b__the_longest__at_append(matches, log, term, commit):
    """What anybody has, which is what the leader has."""
    return max(commit, *matches)


ex_08b__the_longest__violated = {"broken": "a majority has it", "truncation": "right"}


def ex_08b__own_log__at_append(matches, log, term, commit):
    """Whatever the leader appended is committed."""
    return log.last_index


ex_08b__own_log__violated = {"broken": "a majority has it", "truncation": "right"}


async def ex_08c__look_when_refused__store_once(kv, key, value, revision):
    """The same request again and again; whoever stands behind the revision then, is known."""
    while True:
        try:
            return await kv.update(key, value, last=revision)
        except (NoAnswerError, NoStreamResponseError):
            await asyncio.sleep(0.2)
        except KeyWrongLastSequenceError:
            found = [e.revision for e in await entries_of(kv, key) if e.value == value]
            return found[0] if found else None


async def ex_08c__look_after_each__store_once(kv, key, value, revision):
    """After each try without an answer it reads first, and asks again only behind `revision`."""
    while True:
        entries = await entries_of(kv, key)
        for entry in entries:
            if entry.value == value:
                return entry.revision
        if entries[-1].revision != revision:
            return None
        try:
            return await kv.update(key, value, last=revision)
        except (NoAnswerError, NoStreamResponseError, KeyWrongLastSequenceError):
            await asyncio.sleep(0.1)


ex_08d__ticked__facts = {
    "both sides of a cut can acknowledge puts to one key": False,
    "revisions decide between two acknowledged values": False,
    "a put that timed out may be stored after the heal": True,
    "a plain put can replace a value its writer never saw": True,
    "the order of the puts tells which unanswered one survives": False,
}
