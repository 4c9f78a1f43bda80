"""Reference answers of lesson 01."""

from nats.js.errors import KeyNotFoundError

ex_01a__counted = {
    "argument": 11,
    "both": 11,
    "pipe": 12,
    "printf": 11,
    "empty argument": 12,
    "frame": 5,
    "added by": "echo",
}


async def ex_01b__ask_and_decode(kv, key):
    """Ask, take the one error that means no value, decode the rest."""
    try:
        entry = await kv.get(key)
    except KeyNotFoundError:
        return None
    return (entry.value or b"").decode("utf-8", errors="backslashreplace")


async def ex_01b__watch_the_key(kv, key):
    """Watch the key: its last entry says what was done to it."""
    watcher = await kv.watch(key)
    try:
        entry = await watcher.updates(timeout=5)
    finally:
        await watcher.stop()
    if entry is None or entry.operation in ("DEL", "PURGE"):
        return None
    try:
        return entry.value.decode()
    except UnicodeDecodeError:
        return repr(entry.value)


ex_01c__by_outcome = {
    "creates": "true",
    "replicated": "true-if",
    "replicated by": "A",
    "pipe": "false",
    "pipe by": "D",
    "prints": "true-if",
    "prints by": "D",
}
ex_01c__tried = {
    "creates": "true",
    "replicated": "true-if",
    "replicated by": "C",
    "pipe": "false",
    "pipe by": "F",
    "prints": "true-if",
    "prints by": "D",
}
