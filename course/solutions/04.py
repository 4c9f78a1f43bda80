"""Reference answers of lesson 04. `reveal` shows them after a pass, or after three tries."""

from contextlib import suppress

from nats.js.errors import NoKeysError, NotFoundError

UNKNOWABLE = "unknowable"


async def ex_04a__walk_back__as_of(kv, key, t):
    """Walk back to the newest entry that was there at t."""
    try:
        entries = await kv.history(key)
    except NoKeysError:
        return None
    for entry in reversed(entries):
        if entry.created <= t:
            return None if entry.operation else entry.value
    depth = (await kv.status()).history
    if entries[0].operation == "PURGE" or len(entries) == depth:
        return UNKNOWABLE
    return None


async def ex_04a__play_forward__as_of(kv, key, t):
    """Start from what is known before the first entry, and play the entries up to t."""
    limit = (await kv.status()).history
    entries = []
    with suppress(NoKeysError):
        entries = await kv.history(key)
    complete = len(entries) < limit and not (entries and entries[0].operation == "PURGE")
    value = None if complete else UNKNOWABLE
    for entry in entries:
        if entry.created > t:
            break
        value = None if entry.operation else entry.value
    return value


def ex_04b__count_back__trim(log, n):
    """Walk back, and count what each key has had."""
    had = {}
    kept = []
    for entry in reversed(log):
        had[entry.key] = had.get(entry.key, 0) + 1
        if had[entry.key] <= n:
            kept.append(entry)
    return kept[::-1]


ex_04b__count_back__depth = 1 + 3  # the value, and what came over it


def ex_04b__by_key__trim(log, n):
    """Note the revisions of each key, keep the ends of the lists, and look at the log again."""
    revisions = {}
    for entry in log:
        revisions.setdefault(entry.key, []).append(entry.revision)
    survivors = {number for numbers in revisions.values() for number in numbers[-n:]}
    return [entry for entry in log if entry.revision in survivors]


ex_04b__by_key__depth = 3 + 1


async def ex_04c__through_history__undelete(js, kv, key):
    """Walk back through kv.history, past the delete tombstones."""
    try:
        entries = await kv.history(key)
    except NoKeysError:
        return "no trace"
    if entries[-1].operation is None:
        return "alive"
    for entry in reversed(entries):
        if entry.operation is None:
            return await kv.put(key, entry.value)
        if entry.operation == "PURGE":
            message = await js.get_msg("KV_limits", entry.revision)
            return "expired" if "Nats-Marker-Reason" in message.headers else "purged"
    return "trimmed"


async def _messages(js, subject):
    """The subject's messages in the stream, newest first."""
    state = (await js.stream_info("KV_limits")).state
    for number in range(state.last_seq, state.first_seq - 1, -1):
        try:
            message = await js.get_msg("KV_limits", number)
        except NotFoundError:
            continue
        if message.subject == subject:
            yield message


async def ex_04c__through_the_stream__undelete(js, kv, key):
    """Read the stream's messages by number, and judge by their headers alone."""
    said = "no trace"
    async for message in _messages(js, f"$KV.limits.{key}"):
        headers = message.headers or {}
        if "Nats-Marker-Reason" in headers:
            return "expired"
        operation = headers.get("KV-Operation")
        if operation == "PURGE":
            return "purged"
        if operation is None:
            if said == "no trace":
                return "alive"
            return (await js.publish(message.subject, message.data or b"")).seq
        said = "trimmed"
    return said
