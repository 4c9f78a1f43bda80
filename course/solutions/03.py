"""Reference answers of lesson 03. `reveal` shows them after a pass, or after three tries."""

import asyncio
import random

from nats.js.errors import APIError, KeyNotFoundError, KeyWrongLastSequenceError


async def ex_03a__loop__increment(kv, key):
    """Read, let the server compare, and on a refusal begin again."""
    refusals = 0
    while True:
        entry = await kv.get(key)
        number = int(entry.value) + 1
        try:
            await kv.update(key, str(number).encode(), last=entry.revision)
        except KeyWrongLastSequenceError:
            refusals += 1
            if refusals == 30:
                raise
        else:
            return number


async def ex_03a__back_off__increment(kv, key, refusals=0):
    """The same, with a wait that grows and is partly random, so that a crowd gets apart."""
    entry = await kv.get(key)
    number = int(entry.value) + 1
    try:
        await kv.update(key, b"%d" % number, last=entry.revision)
    except KeyWrongLastSequenceError:
        if refusals == 40:
            raise
        await asyncio.sleep(random.uniform(0, 0.001 * min(refusals + 1, 16)))
        return await ex_03a__back_off__increment(kv, key, refusals + 1)
    return number


async def ex_03b__create_and_delete__acquire(kv, lock, owner):
    """The first message of the key wins; the token is its revision."""
    try:
        return await kv.create(lock, owner.encode())
    except KeyWrongLastSequenceError:
        return None


async def ex_03b__create_and_delete__release(kv, lock, token):
    try:
        return await kv.delete(lock, last=token)
    except APIError:
        return False


async def ex_03b__empty_is_free__acquire(kv, lock, owner):
    """The key stays; an empty name means that the lock is free."""
    try:
        entry = await kv.get(lock)
        revision, name = entry.revision, entry.value
    except KeyNotFoundError:
        revision, name = 0, b""
    if name:
        return None
    try:
        return await kv.update(lock, owner.encode(), last=revision)
    except KeyWrongLastSequenceError:
        return None


async def ex_03b__empty_is_free__release(kv, lock, token):
    try:
        await kv.update(lock, b"", last=token)
    except KeyWrongLastSequenceError:
        return False
    return True


async def ex_03c__read__outcome_of(kv, key, my_value, revision):
    """If it was done, it stands right behind `revision`: look there."""
    entries = await kv.history(key)
    if any(entry.value == my_value for entry in entries):
        return "done"
    revisions = [entry.revision for entry in entries]
    if revision in revisions and revisions[-1] > revision:
        return "not done"
    return "unknown"


async def ex_03c__make_sure__outcome_of(kv, key, my_value, revision):
    """If nobody has written since, write the old value again: then it can't be done any more."""
    before = None
    for entry in await kv.history(key):
        if entry.value == my_value:
            return "done"
        if entry.revision > revision:
            return "not done" if before == revision else "unknown"
        before, old = entry.revision, entry.value
    try:
        await kv.update(key, old, last=revision)
    except KeyWrongLastSequenceError:
        return await ex_03c__make_sure__outcome_of(kv, key, my_value, revision)
    return "not done"
