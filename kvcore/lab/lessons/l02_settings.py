"""The check of exercise 02c: a bucket's stream, set up by hand and then used as a bucket.

The learner's settings make a stream in a world of its own. Then a client does to it what a
bucket must bear: keys with dots, values that stay, history, purge, an erasure by number, a
direct read, more puts than there is room for, and a put that comes late. The first thing that
goes wrong is what the learner is told, not the name of the field; the trace has the wire
until then.

Left out: settings that only matter on several servers.
"""

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, TypeAlias

from nats.aio.client import Client
from nats.errors import NoRespondersError
from nats.js.client import JetStreamContext
from nats.js.errors import (
    APIError,
    BadBucketError,
    KeyNotFoundError,
    NoStreamResponseError,
)
from nats.js.kv import KeyValue

from kvcore.lab.cluster import Cluster
from kvcore.lab.exercise import exercise
from kvcore.lab.feedback import Verdict, not_yet, passed, shown
from kvcore.lab.simulated import SimulatedCluster
from kvcore.lab.trial import in_world

_FIELDS: Mapping[str, type] = {
    "name": str,
    "subjects": list,
    "retention": str,
    "max_msgs_per_subject": int,
    "discard": str,
    "deny_delete": bool,
    "allow_rollup_hdrs": bool,
    "allow_direct": bool,
}
_LATE = ("stored", "refused", "dropped")
_CHOICES = {"retention": ("limits", "interest", "workqueue"), "discard": ("old", "new")}
_FRAME = re.compile(r" (receive|send) conn=\d+ bytes=\d+ text='(.*)'$")
_FRAMES = 8  # of the wire, in a trace
_FRAME_CHARACTERS = 150
_FULL = {"max_bytes": 150, "max_msgs_per_subject": 1}
Fault: TypeAlias = tuple[str, str, str] | None  # observed, required, hint
Probe: TypeAlias = Callable[[Client, JetStreamContext, KeyValue], Awaitable[Fault]]


@exercise(
    "02c",
    kind="config",
    names=("settings", "late_put"),
    seeds=1,
    hints=(
        "Take the fields one by one: what would a user of the bucket notice if it were wrong?",
        (
            "A value must stay until its key is written again. No message may vanish without a "
            "tombstone. Nothing in the table looks at the revision that a writer has read."
        ),
        (
            "Subjects: everything below $KV.shop. Limits as the only reason to remove; five "
            "messages a subject; a full bucket refuses. Erasing by number is off, rollup and "
            "direct reads are on. A put carries no condition."
        ),
    ),
    wrong={
        "address": "A put to key `size` is published to $KV.shop.size. Would this stream take it?",
        "subjects": "A key may have dots. One wildcard takes one token, the other takes all "
        "that follow: which did you write?",
        "wide": "Another bucket lives below $KV too. How much of the subject is this bucket's?",
        "interest": "Nobody was waiting for the message when it came. Who has to be there for "
        "a value to be kept?",
        "workqueue": "In a work queue each message is handed out once. How many readers may a "
        "key have?",
        "history": "Count the messages that one key may keep. The bucket shall remember five.",
        "old": "A full bucket made room by itself. Whose value paid for it, and did anybody "
        "delete that key?",
        "deny_delete": "A message was erased by its number and left no tombstone. How would "
        "somebody who follows the bucket learn of it?",
        "rollup": "kv.purge sends one tombstone that replaces the key's earlier messages. Which "
        "field lets a header do that?",
        "direct": "Direct reads are those that any server with a copy may answer. The "
        "official CLI's buckets have them.",
        "M17": "`new` asks whether a message fits the limits. What in this put could tell the "
        "stream which revision its writer had read?",
    },
    compare="The same dict in other words: `nats kv add shop --history 5` writes these fields.",
)
def check_02c(learner: Any, seeds: Iterable[int]) -> Verdict:
    """A stream is made of the settings, and used as a bucket."""
    settings, late_put = learner
    wrong = _misshapen(settings, late_put)
    if wrong is not None:
        return wrong
    for seed in seeds:
        fault = in_world(_probe, settings, late_put, seed=seed)
        if fault is not None:
            (observed, required, hint), wire = fault
            return not_yet(observed, required, seed=seed, hint=hint, trace=wire)
    return passed("eight fields and a late put, on a stream made of them")


def _misshapen(settings: Any, late_put: Any) -> Verdict | None:
    if not isinstance(settings, Mapping) or sorted(settings) != sorted(_FIELDS):
        return not_yet("settings has other fields", ", ".join(_FIELDS))
    for field, kind in _FIELDS.items():
        value = settings[field]
        if type(value) is not kind:
            return not_yet(f"{field}: {shown(value)}", f"a value of type {kind.__name__}")
        if value not in _CHOICES.get(field, (value,)):
            return not_yet(f"{field}: {shown(value)}", "one of " + ", ".join(_CHOICES[field]))
    if settings["name"] != "KV_shop":
        return not_yet(f"name: {shown(settings['name'])}", "the name in the cell: it is right")
    if late_put not in _LATE:
        return not_yet(f"late_put: {shown(late_put)}", "one of " + ", ".join(_LATE))
    return None


async def _probe(
    cluster: Cluster, settings: Any, late_put: str, _seed: int
) -> tuple[tuple[str, str, str], list[str]] | None:
    """The first fault, and the last frames on the wire before it."""
    client = await cluster.connect()
    js = client.jetstream()
    await js.create_key_value(bucket="stock")
    fault = await _use(client, js, settings, late_put)
    return None if fault is None else (fault, _wire(cluster))


async def _use(client: Client, js: JetStreamContext, settings: Any, late_put: str) -> Fault:
    try:
        await js.add_stream(**settings)
        kv = await js.key_value("shop")
    except BadBucketError:
        per_subject = f"max_msgs_per_subject: {settings['max_msgs_per_subject']}"
        return f"{per_subject}: nats-py says this is no bucket", "1 to 64, here 5", "history"
    except APIError as error:
        overlap = error.err_code == 10065 or settings["subjects"] == [">"]
        required = "a stream that the server accepts beside bucket `stock`"
        return f"the server said: {error.description}", required, "wide" if overlap else "address"
    for probe in _PROBES:
        fault = await probe(client, js, kv)
        if fault is not None:
            return fault
    fault = await _full(js, settings)
    if fault is not None:
        return fault
    happened = await _late(js, settings)
    if late_put != happened:
        return f"late_put: {late_put}; on kvcore it was {happened}", "what a try shows", "M17"
    return None


def _wire(cluster: Cluster) -> list[str]:
    """The newest frames of the world, one a line, reply addresses shortened."""
    assert isinstance(cluster, SimulatedCluster)
    found = [_FRAME.search(line) for line in cluster.trace_text().splitlines()]
    frames = [(each[1], each[2]) for each in found if each is not None][-_FRAMES:]
    lines = ["the last frames at the server, oldest first:"]
    for way, text in frames:
        short = re.sub(r"(_INBOX\.\w{4})[\w.]*", r"\1…", text)
        cut = short if len(short) <= _FRAME_CHARACTERS else short[:_FRAME_CHARACTERS] + " …"
        lines.append(f"  {way:<8} {cut}")
    return lines


async def _keys(_client: Client, _js: JetStreamContext, kv: KeyValue) -> Fault:
    for key in ("size", "size.eu", "size.eu.north.bergen"):
        try:
            await kv.put(key, b"10")
        except NoStreamResponseError:
            hint = "subjects" if "." in key else "address"
            return f"a put to key {key!r} found no stream", "every key has its subject", hint
    return None


async def _values(_client: Client, js: JetStreamContext, kv: KeyValue) -> Fault:
    required = "a value stays until its key is written again"
    try:
        await kv.get("size")
    except KeyNotFoundError:
        return "get('size') right after its put: key not found", required, "interest"
    try:
        await kv.keys()
    except APIError as error:
        return f"kv.keys() failed: {error.description}", "any number of readers", "workqueue"
    for number in range(7):
        await kv.put("colour", b"%d" % number)
    state = (await js.stream_info("KV_shop", subjects_filter="$KV.shop.colour")).state
    kept = (state.subjects or {}).get("$KV.shop.colour", 0)
    if kept != 5:
        return f"of 7 puts to one key the stream keeps {kept}", "it keeps 5", "history"
    return None


async def _erasing(_client: Client, js: JetStreamContext, kv: KeyValue) -> Fault:
    try:
        await kv.purge("colour")
    except APIError as error:
        return f"kv.purge('colour') failed: {error.description}", "purge works", "rollup"
    try:
        await js.delete_msg("KV_shop", 1)
    except APIError:
        return None
    return "a client erased message 1 by its number", "only a tombstone deletes", "deny_delete"


async def _direct(client: Client, _js: JetStreamContext, _kv: KeyValue) -> Fault:
    try:
        await client.request("$JS.API.DIRECT.GET.KV_shop.$KV.shop.size.eu", b"")
    except NoRespondersError:
        return "a direct read of key 'size.eu' found nobody to answer", "it is answered", "direct"
    return None


async def _full(js: JetStreamContext, settings: Mapping[str, Any]) -> Fault:
    """The same stream with room for a few values only."""
    await js.delete_stream("KV_shop")
    await js.add_stream(**(dict(settings) | _FULL))
    kv = await js.key_value("shop")
    for key in "abcdefg":
        try:
            await kv.put(key, b"1")
        except APIError:
            return None
    return "the bucket was full, took one more put, and lost key 'a'", "it refuses the put", "old"


async def _late(js: JetStreamContext, settings: Mapping[str, Any]) -> str:
    """What becomes of a put whose writer has read a revision that is no longer the newest."""
    await js.delete_stream("KV_shop")
    await js.add_stream(**settings)
    kv = await js.key_value("shop")
    await kv.put("size", b"10")
    first, second = await kv.get("size"), await kv.get("size")
    assert first.revision == second.revision
    await kv.put("size", b"11")
    try:
        revision = await kv.put("size", b"12")
    except APIError:
        return "refused"
    return "stored" if (await kv.get("size")).revision == revision else "dropped"


_PROBES: tuple[Probe, ...] = (_keys, _values, _erasing, _direct)
