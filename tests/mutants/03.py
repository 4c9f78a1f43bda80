"""Wrong answers to lesson 03, each with the hint that it must get."""

import asyncio
import contextlib

from nats.js.errors import APIError, KeyNotFoundError, KeyWrongLastSequenceError

HINTS = {
    "ex_03a__put": "03a.M4",
    "ex_03a__put_after_some_refusals": "03a.M4",
    "ex_03a__look_again_then_put": "03a.M4",
    "ex_03a__no_retry": "03a.once",
    "ex_03a__one_retry": "03a.gave up",
    "ex_03a__retry_without_reading": "03a.stale",
    "ex_03a__old_value_on_a_fresh_revision": "03a.half",
    "ex_03a__for_ever": "03a.spin",
    "ex_03a__forgets_the_refused": "03a.skipped",
    "ex_03a__gives_up_in_silence": "03a.skipped",
    "ex_03a__raises_the_forgotten": "03a.other error",
    "ex_03a__raises_its_own": "03a.other error",
    "ex_03a__writes_to_be_sure": "03a.twice",
    "ex_03a__update_without_last": "03a.revision",
    "ex_03a__one_python": "03a.lock",
    "ex_03a__returns_the_revision": "03a.value",
    "ex_03a__forgot_to_convert": "03a.error",
    "ex_03b__put": "03b.both",
    "ex_03b__look_then_put": "03b.M4",
    "ex_03b__one_removes_all": "03b.other",
    "ex_03b__token_forgotten": "03b.other",
    "ex_03b__gone_is_given_back": "03b.expired",
    "ex_03b__look_then_delete": "03b.race",
    "ex_03b__waits_for_the_lock": "03b.waits",
    "ex_03b__only_once": "03b.stuck",
    "ex_03b__keeps_it": "03b.kept",
    "ex_03b__never_yours": "03b.honest",
    "ex_03b__lets_the_refusal_out": "03b.refused",
    "ex_03b__looks_then_creates": "03b.refused",
    "ex_03b__forgot_to_encode": "03b.error",
    "ex_03c__failed": "03c.M12",
    "ex_03c__never_sure": "03c.lazy",
    "ex_03c__newest_or_nothing": "03c.newest",
    "ex_03c__unchanged_is_failed": "03c.late",
    "ex_03c__first_that_is_left": "03c.trimmed",
    "ex_03c__asks_again": "03c.retry",
    "ex_03c__fresh_revision": "03c.twice",
    "ex_03c__somebody_wrote": "03c.claims",
    "ex_03c__put_again": "03c.overwrote",
    "ex_03c__true_or_false": "03c.word",
}


async def _read(kv, key):
    entry = await kv.get(key)
    return int(entry.value), entry.revision


async def ex_03a__put__increment(kv, key):
    number, _ = await _read(kv, key)
    await kv.put(key, b"%d" % (number + 1))
    return number + 1


async def ex_03a__put_after_some_refusals__increment(kv, key):
    for _ in range(25):
        number, revision = await _read(kv, key)
        try:
            await kv.update(key, b"%d" % (number + 1), last=revision)
        except KeyWrongLastSequenceError:
            continue
        return number + 1
    await kv.put(key, b"%d" % (number + 1))
    return number + 1


async def ex_03a__look_again_then_put__increment(kv, key):
    while True:
        number, revision = await _read(kv, key)
        if (await _read(kv, key))[1] == revision:
            await kv.put(key, b"%d" % (number + 1))
            return number + 1


async def ex_03a__no_retry__increment(kv, key):
    number, revision = await _read(kv, key)
    await kv.update(key, b"%d" % (number + 1), last=revision)
    return number + 1


async def ex_03a__one_retry__increment(kv, key):
    for attempt in range(3):
        number, revision = await _read(kv, key)
        try:
            await kv.update(key, b"%d" % (number + 1), last=revision)
        except KeyWrongLastSequenceError:
            if attempt == 2:
                raise
        else:
            return number + 1
    return None


async def ex_03a__retry_without_reading__increment(kv, key):
    number, revision = await _read(kv, key)
    while True:
        try:
            await kv.update(key, b"%d" % (number + 1), last=revision)
        except KeyWrongLastSequenceError:
            continue
        return number + 1


async def ex_03a__old_value_on_a_fresh_revision__increment(kv, key):
    number, revision = await _read(kv, key)
    for _ in range(30):
        try:
            await kv.update(key, b"%d" % (number + 1), last=revision)
        except KeyWrongLastSequenceError as error:
            revision = int(str(error).rpartition(" ")[2])
        else:
            return number + 1
    return None


async def ex_03a__for_ever__increment(kv, key):
    while True:
        number, revision = await _read(kv, key)
        try:
            await kv.update(key, b"%d" % (number + 1), last=revision)
        except KeyWrongLastSequenceError:
            await asyncio.sleep(0.001)
        else:
            return number + 1


async def ex_03a__forgets_the_refused__increment(kv, key):
    number, revision = await _read(kv, key)
    with contextlib.suppress(KeyWrongLastSequenceError):
        await kv.update(key, b"%d" % (number + 1), last=revision)
    return number + 1


async def ex_03a__gives_up_in_silence__increment(kv, key):
    for _ in range(30):
        number, revision = await _read(kv, key)
        try:
            await kv.update(key, b"%d" % (number + 1), last=revision)
        except KeyWrongLastSequenceError:
            continue
        return number + 1
    return None


async def ex_03a__raises_the_forgotten__increment(kv, key):
    refusals = []
    for _ in range(30):
        number, revision = await _read(kv, key)
        try:
            await kv.update(key, b"%d" % (number + 1), last=revision)
        except KeyWrongLastSequenceError as error:
            refusals.append(error)
        else:
            return number + 1
    raise error  # noqa: F821 - Python forgets the name at the end of its except


async def ex_03a__raises_its_own__increment(kv, key):
    for _ in range(30):
        number, revision = await _read(kv, key)
        with contextlib.suppress(KeyWrongLastSequenceError):
            await kv.update(key, b"%d" % (number + 1), last=revision)
            return number + 1
    raise RuntimeError("gave up")


async def ex_03a__writes_to_be_sure__increment(kv, key):
    for _ in range(30):
        number, revision = await _read(kv, key)
        try:
            revision = await kv.update(key, b"%d" % (number + 1), last=revision)
            await kv.update(key, b"%d" % (number + 1), last=revision)
        except KeyWrongLastSequenceError:
            continue
        return number + 1
    return None


async def ex_03a__update_without_last__increment(kv, key):
    for _ in range(30):
        number, _ = await _read(kv, key)
        try:
            await kv.update(key, b"%d" % (number + 1))
        except KeyWrongLastSequenceError:
            continue
        return number + 1
    return None


_mine = {}


async def ex_03a__one_python__increment(kv, key):
    lock = _mine.setdefault(asyncio.get_running_loop(), asyncio.Lock())
    async with lock:
        number, _ = await _read(kv, key)
        await kv.put(key, b"%d" % (number + 1))
        return number + 1


async def ex_03a__returns_the_revision__increment(kv, key):
    for _ in range(30):
        number, revision = await _read(kv, key)
        try:
            return await kv.update(key, b"%d" % (number + 1), last=revision)
        except KeyWrongLastSequenceError:
            continue
    return None


async def ex_03a__forgot_to_convert__increment(kv, key):
    entry = await kv.get(key)
    await kv.update(key, entry.value + 1, last=entry.revision)


async def ex_03b__put__acquire(kv, lock, owner):
    return await kv.put(lock, owner.encode())


async def ex_03b__look_then_put__acquire(kv, lock, owner):
    try:
        await kv.get(lock)
    except KeyNotFoundError:
        return await kv.put(lock, owner.encode())
    return None


async def ex_03b__one_removes_all__release(kv, lock, token):
    try:
        await kv.get(lock)
    except KeyNotFoundError:
        return False
    return await kv.delete(lock)


async def ex_03b__token_forgotten__release(kv, lock, token):
    return await kv.delete(lock)


async def ex_03b__gone_is_given_back__release(kv, lock, token):
    try:
        entry = await kv.get(lock)
    except KeyNotFoundError:
        return True
    return entry.revision == token and await kv.delete(lock, last=token)


async def ex_03b__look_then_delete__release(kv, lock, token):
    try:
        entry = await kv.get(lock)
    except KeyNotFoundError:
        return False
    return entry.revision == token and await kv.delete(lock)


async def ex_03b__waits_for_the_lock__acquire(kv, lock, owner):
    while True:
        try:
            return await kv.create(lock, owner.encode())
        except KeyWrongLastSequenceError:
            await asyncio.sleep(0.5)


async def ex_03b__only_once__acquire(kv, lock, owner):
    try:
        return await kv.update(lock, owner.encode(), last=0)
    except KeyWrongLastSequenceError:
        return None


async def ex_03b__keeps_it__release(kv, lock, token):
    try:
        return (await kv.get(lock)).revision == token
    except KeyNotFoundError:
        return False


async def ex_03b__never_yours__release(kv, lock, token):
    with contextlib.suppress(APIError):
        await kv.delete(lock, last=token)
    return False


async def ex_03b__lets_the_refusal_out__release(kv, lock, token):
    try:
        return await kv.delete(lock, last=token)
    except KeyWrongLastSequenceError:
        return False


async def ex_03b__looks_then_creates__acquire(kv, lock, owner):
    try:
        await kv.get(lock)
    except KeyNotFoundError:
        return await kv.create(lock, owner.encode())
    return None


async def ex_03b__forgot_to_encode__acquire(kv, lock, owner):
    return await kv.create(lock, owner)


async def ex_03c__failed__outcome_of(kv, key, my_value, revision):
    return "not done"


async def ex_03c__never_sure__outcome_of(kv, key, my_value, revision):
    return "unknown"


async def ex_03c__newest_or_nothing__outcome_of(kv, key, my_value, revision):
    return "done" if (await kv.get(key)).value == my_value else "not done"


async def ex_03c__unchanged_is_failed__outcome_of(kv, key, my_value, revision):
    entries = await kv.history(key)
    return "done" if my_value in [entry.value for entry in entries] else "not done"


async def ex_03c__first_that_is_left__outcome_of(kv, key, my_value, revision):
    after = [entry for entry in await kv.history(key) if entry.revision > revision]
    if not after:
        return "unknown"
    return "done" if after[0].value == my_value else "not done"


async def ex_03c__asks_again__outcome_of(kv, key, my_value, revision):
    try:
        await kv.update(key, my_value, last=revision)
    except KeyWrongLastSequenceError:
        return "not done"
    return "done"


async def ex_03c__fresh_revision__outcome_of(kv, key, my_value, revision):
    entry = await kv.get(key)
    await kv.update(key, my_value, last=entry.revision)
    return "done"


async def ex_03c__somebody_wrote__outcome_of(kv, key, my_value, revision):
    return "done" if (await kv.get(key)).revision > revision else "unknown"


async def ex_03c__put_again__outcome_of(kv, key, my_value, revision):
    if (await kv.get(key)).value != my_value:
        await kv.put(key, my_value)
    return "done"


async def ex_03c__true_or_false__outcome_of(kv, key, my_value, revision):
    return (await kv.get(key)).value == my_value
