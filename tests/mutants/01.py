"""Wrong answers to lesson 01, each with the hint that must meet it.

Wrong answers to the two forms (01a, 01c) are made from their own lists of tempting ones; the
two below are the whole-form misconceptions.
"""

from nats.js.errors import KeyNotFoundError, NoKeysError

HINTS = {
    "ex_01a__eleven_everywhere": "01a.newline",
    "ex_01a__twelve_everywhere": "01a.argument",
    "ex_01b__no_value_is_no_error": "01b.empty",
    "ex_01b__empty_is_none": "01b.empty",
    "ex_01b__returns_bytes": "01b.text",
    "ex_01b__prints_bytes": "01b.text",
    "ex_01b__strips": "01b.newline",
    "ex_01b__raises_when_missing": "01b.missing",
    "ex_01b__missing_is_empty": "01b.missing",
    "ex_01b__remembers": "01b.deleted",
    "ex_01b__last_message": "01b.deleted",
    "ex_01b__from_history": "01b.deleted",
    "ex_01b__wrong_attribute": "01b.error",
    "ex_01b__strict_decode": "01b.bytes",
    "ex_01b__drops_bytes": "01b.bytes",
    "ex_01b__swallows_everything": "01b.swallowed",
    "ex_01b__swallows_nats": "01b.swallowed",
}

ex_01a__eleven_everywhere = {
    "argument": 11,
    "both": 11,
    "pipe": 11,
    "printf": 11,
    "empty argument": 11,
    "frame": 5,
    "added by": "echo",
}
ex_01a__twelve_everywhere = {
    "argument": 12,
    "both": 12,
    "pipe": 12,
    "printf": 12,
    "empty argument": 12,
    "frame": 5,
    "added by": "nats kv put",
}


async def ex_01b__no_value_is_no_error(kv, key):
    try:
        return (await kv.get(key)).value.decode("utf-8", errors="replace")
    except KeyNotFoundError:
        return None


async def ex_01b__empty_is_none(kv, key):
    try:
        entry = await kv.get(key)
    except KeyNotFoundError:
        return None
    return entry.value.decode("utf-8", errors="replace") if entry.value else None


async def ex_01b__returns_bytes(kv, key):
    try:
        return (await kv.get(key)).value or b""
    except KeyNotFoundError:
        return None


async def ex_01b__prints_bytes(kv, key):
    try:
        return str((await kv.get(key)).value or b"")
    except KeyNotFoundError:
        return None


async def ex_01b__strips(kv, key):
    try:
        entry = await kv.get(key)
    except KeyNotFoundError:
        return None
    return (entry.value or b"").decode("utf-8", errors="replace").strip()


async def ex_01b__raises_when_missing(kv, key):
    entry = await kv.get(key)
    return (entry.value or b"").decode("utf-8", errors="replace")


async def ex_01b__missing_is_empty(kv, key):
    try:
        entry = await kv.get(key)
    except KeyNotFoundError:
        return ""
    return (entry.value or b"").decode("utf-8", errors="replace")


async def ex_01b__wrong_attribute(kv, key):
    try:
        return (await kv.get(key)).data.decode("utf-8", errors="replace")
    except KeyNotFoundError:
        return None


_seen = {}


async def ex_01b__remembers(kv, key):
    try:
        entry = await kv.get(key)
        _seen[kv, key] = (entry.value or b"").decode("utf-8", errors="replace")
    except KeyNotFoundError:
        pass
    return _seen.get((kv, key))


async def ex_01b__last_message(kv, key):
    from nats.js.errors import NotFoundError

    try:
        message = await kv._js.get_msg(kv._stream, subject=f"{kv._pre}{key}")
    except NotFoundError:
        return None
    return (message.data or b"").decode("utf-8", errors="replace")


async def ex_01b__from_history(kv, key):
    try:
        found = await kv.history(key)
    except NoKeysError:
        return None
    values = [entry.value for entry in found if entry.operation is None]
    return (values[-1] or b"").decode("utf-8", errors="replace") if values else None


async def ex_01b__strict_decode(kv, key):
    try:
        entry = await kv.get(key)
    except KeyNotFoundError:
        return None
    return (entry.value or b"").decode()


async def ex_01b__drops_bytes(kv, key):
    try:
        entry = await kv.get(key)
    except KeyNotFoundError:
        return None
    return (entry.value or b"").decode("utf-8", errors="ignore")


async def ex_01b__swallows_everything(kv, key):
    try:
        entry = await kv.get(key)
        return (entry.value or b"").decode("utf-8", errors="replace")
    except Exception:  # noqa: BLE001 - the mistake
        return None


async def ex_01b__swallows_nats(kv, key):
    import nats.errors

    try:
        entry = await kv.get(key)
    except nats.errors.Error:
        return None
    return (entry.value or b"").decode("utf-8", errors="replace")
