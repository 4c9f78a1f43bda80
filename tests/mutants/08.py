"""Wrong answers to lesson 08, each with the hint that it must get."""

import asyncio

from nats.errors import TimeoutError as NoAnswerError
from nats.js.errors import KeyWrongLastSequenceError, NoStreamResponseError

from kvcore.lab.lessons.l08 import entries_of

HINTS = {
    "ex_08a__two_are_enough": "08a.M11",
    "ex_08a__all_answer": "08a.silence",
    "ex_08a__nothing_while_parted": "08a.majority",
    "ex_08a__merged": "08a.merged",
    "ex_08a__first_sent": "08a.merged",
    "ex_08a__refused_wins": "08a.refused",
    "ex_08b__the_paper_s": "08b.paper",
    "ex_08b__one_follower": "08b.two",
    "ex_08b__all_of_them": "08b.M8",
    "ex_08b__nothing_ever": "08b.behind",
    "ex_08b__one_too_many": "08b.beyond",
    "ex_08b__how_many": "08b.behind",
    "ex_08b__the_list": "08b.number",
    "ex_08b__two_voted": "08b.vote",
    "ex_08b__earlier_term": "08b.M9",
    "ex_08b__no_match": "08b.matches",
    "ex_08b__kept": "08b.truncation",
    "ex_08b__forgot_the_brackets": "08b.error",
    "ex_08c__blind_put": "08c.M12",
    "ex_08c__puts_after_a_look": "08c.M12",
    "ex_08c__refreshed": "08c.refreshed",
    "ex_08c__refreshed_after_a_refusal": "08c.refreshed",
    "ex_08c__time_out_is_failed": "08c.failed",
    "ex_08c__no_response_is_failed": "08c.second",
    "ex_08c__refused_is_another_s": "08c.own",
    "ex_08c__newest_only": "08c.newest",
    "ex_08c__assumes": "08c.claims",
    "ex_08c__true": "08c.value",
    "ex_08c__gives_up_after_a_look": "08c.gave up",
    "ex_08c__lets_it_out": "08c.out",
    "ex_08c__at_once": "08c.spin",
    "ex_08c__waits_for_ever": "08c.never",
    "ex_08d__merge": "08d.resolve",
    "ex_08d__failed": "08d.M12",
    "ex_08d__safe_put": "08d.M4",
}

_SIX = {
    "w1": "unknown",
    "w2": "acked",
    "w3": "unknown",
    "w4": "unknown",
    "w5": "error",
    "w6": "acked",
    "final": "w6",
}
ex_08a__two_are_enough__six = _SIX | {"w1": "acked", "w3": "acked"}
ex_08a__all_answer__six = _SIX | {"w1": "error", "w3": "error", "w4": "error"}
ex_08a__nothing_while_parted__six = _SIX | {"w2": "error", "w6": "error", "final": "w1"}
ex_08a__merged__six = _SIX | {"final": "w3"}
ex_08a__first_sent__six = _SIX | {"final": "w1"}
ex_08a__refused_wins__six = _SIX | {"final": "w5"}


def ex_08b__the_paper_s__at_append(matches, log, term, commit):
    return sorted(matches, reverse=True)[len(matches) // 2]


def ex_08b__one_follower__at_append(matches, log, term, commit):
    return sorted(matches, reverse=True)[1]


def ex_08b__all_of_them__at_append(matches, log, term, commit):
    return max(commit, min(matches))


def ex_08b__nothing_ever__at_append(matches, log, term, commit):
    return commit


def ex_08b__one_too_many__at_append(matches, log, term, commit):
    return log.last_index + 1


def ex_08b__how_many__at_append(matches, log, term, commit):
    return len(matches)


def ex_08b__the_list__at_append(matches, log, term, commit):
    return matches


def ex_08b__forgot_the_brackets__at_append(matches, log, term, commit):
    return log.last_index()


ex_08b__two_voted__violated = {"broken": "one vote a term", "truncation": "right"}
ex_08b__earlier_term__violated = {"broken": "of its own term", "truncation": "right"}
ex_08b__no_match__violated = {"broken": "what precedes it matches", "truncation": "right"}
ex_08b__kept__violated = {"broken": "a majority has it", "truncation": "wrong"}


async def _wait():
    await asyncio.sleep(0.2)


async def ex_08c__blind_put__store_once(kv, key, value, revision):
    while True:
        try:
            return await kv.put(key, value)
        except (NoAnswerError, NoStreamResponseError):
            await _wait()


async def ex_08c__puts_after_a_look__store_once(kv, key, value, revision):
    while True:
        try:
            return await kv.update(key, value, last=revision)
        except (NoAnswerError, NoStreamResponseError):
            await _wait()
        except KeyWrongLastSequenceError:
            return await kv.put(key, value)


async def ex_08c__refreshed__store_once(kv, key, value, revision):
    while True:
        try:
            return await kv.update(key, value, last=revision)
        except (NoAnswerError, NoStreamResponseError):
            await _wait()
        except KeyWrongLastSequenceError:
            revision = (await kv.get(key)).revision


async def ex_08c__refreshed_after_a_refusal__store_once(kv, key, value, revision):
    while True:
        try:
            return await kv.update(key, value, last=revision)
        except (NoAnswerError, NoStreamResponseError):
            await _wait()
            revision = (await entries_of(kv, key))[-1].revision
        except KeyWrongLastSequenceError as error:
            revision = int(str(error).rpartition(" ")[2])


async def ex_08c__time_out_is_failed__store_once(kv, key, value, revision):
    while True:
        try:
            return await kv.update(key, value, last=revision)
        except (NoAnswerError, KeyWrongLastSequenceError):
            return None
        except NoStreamResponseError:
            await _wait()


async def ex_08c__no_response_is_failed__store_once(kv, key, value, revision):
    while True:
        try:
            return await kv.update(key, value, last=revision)
        except NoAnswerError:
            await _wait()
        except (NoStreamResponseError, KeyWrongLastSequenceError):
            return None


async def ex_08c__refused_is_another_s__store_once(kv, key, value, revision):
    while True:
        try:
            return await kv.update(key, value, last=revision)
        except (NoAnswerError, NoStreamResponseError):
            await _wait()
        except KeyWrongLastSequenceError:
            return None


async def ex_08c__newest_only__store_once(kv, key, value, revision):
    while True:
        try:
            return await kv.update(key, value, last=revision)
        except (NoAnswerError, NoStreamResponseError):
            await asyncio.sleep(3)
        except KeyWrongLastSequenceError:
            entry = (await entries_of(kv, key))[-1]
            return entry.revision if entry.value == value else None


async def ex_08c__assumes__store_once(kv, key, value, revision):
    try:
        return await kv.update(key, value, last=revision)
    except (NoAnswerError, NoStreamResponseError, KeyWrongLastSequenceError):
        return revision + 1


async def ex_08c__true__store_once(kv, key, value, revision):
    while True:
        try:
            return bool(await kv.update(key, value, last=revision))
        except (NoAnswerError, NoStreamResponseError):
            await _wait()
        except KeyWrongLastSequenceError:
            return value in [each.value for each in await entries_of(kv, key)]


async def ex_08c__gives_up_after_a_look__store_once(kv, key, value, revision):
    try:
        return await kv.update(key, value, last=revision)
    except (NoAnswerError, NoStreamResponseError, KeyWrongLastSequenceError):
        found = [e.revision for e in await entries_of(kv, key) if e.value == value]
        return found[0] if found else None


async def ex_08c__lets_it_out__store_once(kv, key, value, revision):
    return await kv.update(key, value, last=revision)


async def ex_08c__at_once__store_once(kv, key, value, revision):
    while True:
        try:
            return await kv.update(key, value, last=revision)
        except (NoAnswerError, NoStreamResponseError):
            continue
        except KeyWrongLastSequenceError:
            found = [e.revision for e in await entries_of(kv, key) if e.value == value]
            return found[0] if found else None


async def ex_08c__waits_for_ever__store_once(kv, key, value, revision):
    try:
        return await kv.update(key, value, last=revision)
    except (NoAnswerError, NoStreamResponseError, KeyWrongLastSequenceError):
        while value not in [each.value for each in await entries_of(kv, key)]:
            await asyncio.sleep(1)


_FACTS = {
    "both sides of a cut can acknowledge puts to one key": False,
    "revisions decide between two acknowledged values": False,
    "a put that timed out may be stored after the heal": True,
    "a plain put can replace a value its writer never saw": True,
    "the order of the puts tells which unanswered one survives": False,
}
_BOTH, _RESOLVE, _TIMED_OUT, _PLAIN, _ORDER = _FACTS
ex_08d__merge__facts = _FACTS | {_RESOLVE: True}
ex_08d__failed__facts = _FACTS | {_TIMED_OUT: False}
ex_08d__safe_put__facts = _FACTS | {_PLAIN: False}
