"""Wrong answers to lesson 04, each with the hint that it must get."""

from dataclasses import replace

from nats.js.errors import KeyNotFoundError, NoKeysError

UNKNOWABLE = "unknowable"

HINTS = {
    "ex_04a__a_delete_erases": "04a.M5",
    "ex_04a__what_get_says": "04a.now",
    "ex_04a__newest_entry": "04a.now",
    "ex_04a__oldest_entry_left": "04a.later",
    "ex_04a__first_entry_after": "04a.later",
    "ex_04a__nothing_seen_is_nothing": "04a.trimmed",
    "ex_04a__only_a_purge_is_unknowable": "04a.trimmed",
    "ex_04a__history_is_five": "04a.depth",
    "ex_04a__history_is_sixty_four": "04a.depth",
    "ex_04a__a_purge_is_a_delete": "04a.purge",
    "ex_04a__full_means_unknowable": "04a.timid",
    "ex_04a__before_the_first_is_unknowable": "04a.room",
    "ex_04a__history_is_three": "04a.depth",
    "ex_04a__the_tombstone_s_value": "04a.tombstone",
    "ex_04a__empty_is_nothing": "04a.empty",
    "ex_04a__no_message_no_answer": "04a.never",
    "ex_04a__as_text": "04a.shape",
    "ex_04a__the_entry": "04a.shape",
    "ex_04b__newest_of_the_log": "04b.overall",
    "ex_04b__n_for_each_key_in_all": "04b.overall",
    "ex_04b__oldest_of_each_key": "04b.oldest",
    "ex_04b__tombstones_do_not_count": "04b.tombstones",
    "ex_04b__fewer_newer_puts": "04b.tombstones",
    "ex_04b__tombstones_go": "04b.tombstones",
    "ex_04b__tombstones_stay": "04b.tombstones",
    "ex_04b__n_beside_the_newest": "04b.one_more",
    "ex_04b__one_too_few": "04b.one_more",
    "ex_04b__by_the_first_word": "04b.prefix",
    "ex_04b__equal_values_once": "04b.values",
    "ex_04b__the_last_key_only": "04b.one_key",
    "ex_04b__key_after_key": "04b.order",
    "ex_04b__newest_first": "04b.order",
    "ex_04b__renumbered": "04b.changed",
    "ex_04b__revisions": "04b.shape",
    "ex_04b__in_place": "04b.shape",
    "ex_04b__three_changes_three": "04b.itself",
    "ex_04b__the_default": "04b.itself",
    "ex_04b__as_deep_as_can_be": "04b.price",
    "ex_04b__one_to_spare": "04b.price",
    "ex_04b__no_limit": "04b.number",
    "ex_04c__a_delete_erases": "04c.M5",
    "ex_04c__puts_without_looking": "04c.alive",
    "ex_04c__the_first_value": "04c.oldest",
    "ex_04c__the_entry_below": "04c.tombstone",
    "ex_04c__empty_is_a_tombstone": "04c.empty",
    "ex_04c__empty_is_not_alive": "04c.empty",
    "ex_04c__the_number_before": "04c.neighbour",
    "ex_04c__expired_is_purged": "04c.marker",
    "ex_04c__purged_is_trimmed": "04c.purge",
    "ex_04c__tombstones_are_no_trace": "04c.trimmed",
    "ex_04c__no_key_no_answer": "04c.never",
    "ex_04c__found_is_done": "04c.unsaid",
    "ex_04c__the_old_number": "04c.number",
    "ex_04c__true": "04c.number",
    "ex_04c__tidies_up": "04c.touched",
    "ex_04c__a_word_of_its_own": "04c.shape",
}


async def _history(kv, key):
    try:
        return await kv.history(key)
    except NoKeysError:
        return []


def _value(entry):
    return None if entry.operation else entry.value


async def _before_all(kv, entries, depth=None):
    if depth is None:
        depth = (await kv.status()).history
    lost = entries and (entries[0].operation == "PURGE" or len(entries) >= depth)
    return UNKNOWABLE if lost else None


async def ex_04a__a_delete_erases__as_of(kv, key, t):
    entries = await _history(kv, key)
    deletes = [entry.created for entry in entries if entry.operation == "DEL"]
    if deletes and t < deletes[-1]:
        return None
    there = [entry for entry in entries if entry.created <= t]
    return _value(there[-1]) if there else await _before_all(kv, entries)


async def ex_04a__what_get_says__as_of(kv, key, t):
    try:
        return (await kv.get(key)).value
    except KeyNotFoundError:
        return None


async def ex_04a__newest_entry__as_of(kv, key, t):
    entries = await _history(kv, key)
    return _value(entries[-1]) if entries else None


async def ex_04a__oldest_entry_left__as_of(kv, key, t):
    entries = await _history(kv, key)
    there = [entry for entry in entries if entry.created <= t] or entries[:1]
    return _value(there[-1]) if there else None


async def ex_04a__first_entry_after__as_of(kv, key, t):
    for entry in await _history(kv, key):
        if entry.created >= t:
            return _value(entry)
    return None


async def ex_04a__nothing_seen_is_nothing__as_of(kv, key, t):
    there = [entry for entry in await _history(kv, key) if entry.created <= t]
    return _value(there[-1]) if there else None


async def _with_depth(kv, key, t, depth):
    entries = await _history(kv, key)
    there = [entry for entry in entries if entry.created <= t]
    return _value(there[-1]) if there else await _before_all(kv, entries, depth)


async def ex_04a__history_is_five__as_of(kv, key, t):
    return await _with_depth(kv, key, t, 5)


async def ex_04a__history_is_sixty_four__as_of(kv, key, t):
    return await _with_depth(kv, key, t, 64)


async def ex_04a__only_a_purge_is_unknowable__as_of(kv, key, t):
    return await _with_depth(kv, key, t, 65)


async def ex_04a__history_is_three__as_of(kv, key, t):
    return await _with_depth(kv, key, t, 3)


async def ex_04a__before_the_first_is_unknowable__as_of(kv, key, t):
    return await _with_depth(kv, key, t, 1)


async def ex_04a__a_purge_is_a_delete__as_of(kv, key, t):
    entries = await _history(kv, key)
    there = [entry for entry in entries if entry.created <= t]
    if there:
        return _value(there[-1])
    return UNKNOWABLE if len(entries) == (await kv.status()).history else None


async def ex_04a__full_means_unknowable__as_of(kv, key, t):
    entries = await _history(kv, key)
    there = [entry for entry in entries if entry.created <= t]
    if await _before_all(kv, entries) or not there:
        return await _before_all(kv, entries)
    return _value(there[-1])


async def ex_04a__the_tombstone_s_value__as_of(kv, key, t):
    entries = await _history(kv, key)
    there = [entry for entry in entries if entry.created <= t]
    return there[-1].value if there else await _before_all(kv, entries)


async def ex_04a__empty_is_nothing__as_of(kv, key, t):
    entries = await _history(kv, key)
    there = [entry for entry in entries if entry.created <= t]
    return there[-1].value or None if there else await _before_all(kv, entries)


async def ex_04a__no_message_no_answer__as_of(kv, key, t):
    entries = await kv.history(key)
    there = [entry for entry in entries if entry.created <= t]
    return _value(there[-1]) if there else await _before_all(kv, entries)


async def ex_04a__as_text__as_of(kv, key, t):
    found = await _with_depth(kv, key, t, (await kv.status()).history)
    return found.decode() if isinstance(found, bytes) else found


async def ex_04a__the_entry__as_of(kv, key, t):
    entries = await _history(kv, key)
    there = [entry for entry in entries if entry.created <= t]
    return there[-1] if there else await _before_all(kv, entries)


def _newest(log, n, group=lambda entry: entry.key):
    count = {}
    left = []
    for entry in reversed(log):
        count[group(entry)] = count.get(group(entry), 0) + 1
        if count[group(entry)] <= n:
            left.append(entry)
    return left[::-1]


def _puts(log):
    return [entry for entry in log if entry.operation == "put"]


def ex_04b__newest_of_the_log__trim(log, n):
    return log[-n:]


def ex_04b__n_for_each_key_in_all__trim(log, n):
    return log[len(log) - n * len({entry.key for entry in log}) :]


def ex_04b__oldest_of_each_key__trim(log, n):
    return _newest(log[::-1], n)[::-1]


def ex_04b__tombstones_do_not_count__trim(log, n):
    left = _newest(_puts(log), n)
    return [entry for entry in log if entry in left or entry.operation != "put"]


def ex_04b__fewer_newer_puts__trim(log, n):
    newest = {key: [e.revision for e in _puts(log) if e.key == key] for key in {e.key for e in log}}
    return [e for e in log if sum(number > e.revision for number in newest[e.key]) < n]


def ex_04b__tombstones_go__trim(log, n):
    return _newest(_puts(log), n)


def ex_04b__tombstones_stay__trim(log, n):
    return _puts(_newest(log, n))


def ex_04b__n_beside_the_newest__trim(log, n):
    return _newest(log, n + 1)


def ex_04b__one_too_few__trim(log, n):
    return _newest(log, n - 1)


def ex_04b__by_the_first_word__trim(log, n):
    return _newest(log, n, lambda entry: entry.key.split(".")[0])


def ex_04b__equal_values_once__trim(log, n):
    newest = {(entry.key, entry.operation, entry.value): entry for entry in log}
    return _newest(sorted(newest.values(), key=lambda entry: entry.revision), n)


def ex_04b__the_last_key_only__trim(log, n):
    left = _newest(log, n)
    return [entry for entry in log if entry.key != log[-1].key or entry in left]


def ex_04b__key_after_key__trim(log, n):
    return sorted(_newest(log, n), key=lambda entry: entry.key)


def ex_04b__newest_first__trim(log, n):
    return _newest(log, n)[::-1]


def ex_04b__renumbered__trim(log, n):
    left = _newest(log, n)
    return [replace(entry, revision=place) for place, entry in enumerate(left, start=1)]


def ex_04b__revisions__trim(log, n):
    return [entry.revision for entry in _newest(log, n)]


def ex_04b__in_place__trim(log, n):
    log[:] = _newest(log, n)


ex_04b__three_changes_three__depth = 3
ex_04b__the_default__depth = 1
ex_04b__as_deep_as_can_be__depth = 64
ex_04b__one_to_spare__depth = 5
ex_04b__no_limit__depth = -1


async def _is_expired(js, entry):
    message = await js.get_msg("KV_limits", entry.revision)
    return "Nats-Marker-Reason" in message.headers


async def _undelete(js, kv, key):
    """The right answer, from which the wrong ones depart."""
    entries = await _history(kv, key)
    if not entries:
        return "no trace"
    if entries[-1].operation is None:
        return "alive"
    for entry in reversed(entries):
        if entry.operation is None:
            return entry
        if entry.operation == "PURGE":
            return "expired" if await _is_expired(js, entry) else "purged"
    return "trimmed"


async def _done(kv, key, found):
    return found if isinstance(found, str) else await kv.put(key, found.value)


async def ex_04c__a_delete_erases__undelete(js, kv, key):
    found = await _undelete(js, kv, key)
    return found if isinstance(found, str) else "no trace"


async def ex_04c__puts_without_looking__undelete(js, kv, key):
    found = await _undelete(js, kv, key)
    if found == "alive":
        return await kv.put(key, (await kv.get(key)).value or b"")
    return await _done(kv, key, found)


async def ex_04c__the_first_value__undelete(js, kv, key):
    found = await _undelete(js, kv, key)
    if isinstance(found, str):
        return found
    return await kv.put(key, (await kv.history(key))[0].value)


async def ex_04c__the_entry_below__undelete(js, kv, key):
    found = await _undelete(js, kv, key)
    if isinstance(found, str):
        return found
    return await kv.put(key, (await kv.history(key))[-2].value)


async def ex_04c__empty_is_a_tombstone__undelete(js, kv, key):
    found = await _undelete(js, kv, key)
    if isinstance(found, str):
        return found
    values = [entry.value for entry in await kv.history(key) if entry.value]
    return await kv.put(key, values[-1]) if values else "trimmed"


async def ex_04c__empty_is_not_alive__undelete(js, kv, key):
    found = await _undelete(js, kv, key)
    if found == "alive" and not (await kv.get(key)).value:
        return "trimmed"
    return await _done(kv, key, found)


async def ex_04c__the_number_before__undelete(js, kv, key):
    found = await _undelete(js, kv, key)
    if isinstance(found, str):
        return found
    tombstone = (await kv.history(key))[-1].revision
    return await kv.put(key, (await kv.get(key, revision=tombstone - 1)).value)


async def ex_04c__expired_is_purged__undelete(js, kv, key):
    found = await _undelete(js, kv, key)
    return "purged" if found == "expired" else await _done(kv, key, found)


async def ex_04c__purged_is_trimmed__undelete(js, kv, key):
    found = await _undelete(js, kv, key)
    return "trimmed" if found == "purged" else await _done(kv, key, found)


async def ex_04c__tombstones_are_no_trace__undelete(js, kv, key):
    found = await _undelete(js, kv, key)
    return "no trace" if found == "trimmed" else await _done(kv, key, found)


async def ex_04c__no_key_no_answer__undelete(js, kv, key):
    await kv.history(key)
    return await _done(kv, key, await _undelete(js, kv, key))


async def ex_04c__found_is_done__undelete(js, kv, key):
    found = await _undelete(js, kv, key)
    return found if isinstance(found, str) else found.revision


async def ex_04c__the_old_number__undelete(js, kv, key):
    found = await _undelete(js, kv, key)
    if isinstance(found, str):
        return found
    await kv.put(key, found.value)
    return found.revision


async def ex_04c__true__undelete(js, kv, key):
    found = await _undelete(js, kv, key)
    if isinstance(found, str):
        return found
    await kv.put(key, found.value)
    return True


async def ex_04c__tidies_up__undelete(js, kv, key):
    found = await _undelete(js, kv, key)
    if found == "trimmed":
        await kv.purge(key)
    return await _done(kv, key, found)


async def ex_04c__a_word_of_its_own__undelete(js, kv, key):
    found = await _undelete(js, kv, key)
    return "gone" if found == "purged" else await _done(kv, key, found)
