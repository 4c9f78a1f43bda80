"""What nats-py is asked to do, in cases; each has buckets of its own.

The same coroutines run against nats-server, against our process, and inside our simulated
world, so nothing here may read a clock or touch a socket.
"""

from nats.js import api

from tests.interop.records import Case, Recorder

CASES: dict[str, Case] = {}
LAST_CASES: dict[str, Case] = {}  # these look at the whole server, so they run alone, later


def case(function: Case) -> Case:
    CASES[function.__name__] = function
    return function


def last_case(function: Case) -> Case:
    LAST_CASES[function.__name__] = function
    return function


@case
async def options(r: Recorder) -> None:
    js = r.js
    create = js.create_key_value
    await r("plain", create(bucket="o_plain"))
    await r("plain again", create(bucket="o_plain"))
    await r("plain, other config", create(bucket="o_plain", history=2))
    await r("described", create(bucket="o_described", description="what it is"))
    await r("max_value_size", create(bucket="o_sized", max_value_size=20))
    await r("history", create(bucket="o_history", history=64))
    await r("history too large", create(bucket="o_history65", history=65))
    await r("ttl", create(bucket="o_ttl", ttl=3600))
    await r("short ttl", create(bucket="o_short", ttl=1.5))
    await r("ttl too short", create(bucket="o_tooshort", ttl=0.05))
    await r("max_bytes", create(bucket="o_bytes", max_bytes=4096))
    await r("memory", create(bucket="o_memory", storage=api.StorageType.MEMORY))
    await r("file", create(bucket="o_file", storage=api.StorageType.FILE))
    await r("replicas 1", create(bucket="o_r1", replicas=1))
    await r("replicas 3", create(bucket="o_r3", replicas=3))
    await r("replicas 6", create(bucket="o_r6", replicas=6))
    await r("direct", create(bucket="o_direct", direct=True))
    await r("not direct", create(bucket="o_indirect", direct=False))
    republish = api.RePublish(src="$KV.o_republish.>", dest="copies.>")
    await r("republish", create(bucket="o_republish", republish=republish))
    heads = api.RePublish(src="$KV.o_heads.>", dest="heads.>", headers_only=True)
    await r("republish heads", create(bucket="o_heads", republish=heads))
    circle = api.RePublish(src="$KV.o_circle.>", dest="$KV.o_circle.>")
    await r("republish in a circle", create(bucket="o_circle", republish=circle))
    await r(
        "placement", create(bucket="o_placed", placement=api.Placement(cluster="x", tags=["y"]))
    )
    await r("marker", create(bucket="o_marker", limit_marker_ttl=5))
    await r("marker too short", create(bucket="o_marker2", limit_marker_ttl=0.5))
    config = api.KeyValueConfig(bucket="o_config", history=7, ttl=60, description="by config")
    await r("by config", create(config))
    await r("bad name", create(bucket="bad.name"))
    for name in (
        *("plain", "described", "sized", "history", "ttl", "short", "bytes", "memory"),
        *("direct", "republish", "heads", "placed", "marker", "config"),
    ):
        bucket = f"o_{name}"
        kv = await r(f"bind {bucket}", js.key_value(bucket))
        await r(f"status {bucket}", kv.status())
    await r("bind missing", js.key_value("o_missing"))
    await r("delete", js.delete_key_value("o_plain"))
    await r("delete again", js.delete_key_value("o_plain"))
    await r("bind deleted", js.key_value("o_plain"))


async def _values(r: Recorder, bucket: str, direct: bool) -> None:
    kv = await r("create", r.js.create_key_value(bucket=bucket, history=3, direct=direct))
    await r("get missing", kv.get("missing"))
    await r("put", kv.put("k", b"one"))
    await r("get", kv.get("k"))
    await r("put again", kv.put("k", b"two"))
    await r("put empty", kv.put("k", b""))
    await r("get empty", kv.get("k"))
    await r("put bytes", kv.put("bytes", bytes(range(256))))
    await r("get bytes", kv.get("bytes"))
    await r("put nested", kv.put("a.b.c", b"nested"))
    await r("get nested", kv.get("a.b.c"))
    await r("get part of a key", kv.get("a.b"))
    await r("odd key", kv.put("a/b=c_d-e.F", b"odd"))
    await r("get odd key", kv.get("a/b=c_d-e.F"))
    await r("revision", kv.get("k", revision=1))
    await r("revision 2", kv.get("k", revision=2))
    await r("revision of another key", kv.get("k", revision=4))
    await r("revision to come", kv.get("k", revision=99))
    await r("fourth", kv.put("k", b"four"))
    await r("revision trimmed", kv.get("k", revision=1))
    await r("large", kv.put("large", b"x" * 500_000))
    large = await kv.get("large")
    r.note("large is whole", large.value == b"x" * 500_000)
    await r("too large", kv.put("large", b"x" * (1024 * 1024 + 1)))
    for key in ("", ".a", "a.", "a b", "a*", ">", "ä"):
        await r(f"put bad {key!r}", kv.put(key, b"v"))
        await r(f"get bad {key!r}", kv.get(key))
    await r("put empty token", kv.put("a..b", b"v"))
    await r("get empty token", kv.get("a..b"))
    await r("put unchecked", kv.put("a$b", b"v", validate_keys=False))
    await r("get unchecked", kv.get("a$b", validate_keys=False))
    await r("status", kv.status())


@case
async def values(r: Recorder) -> None:
    await _values(r, "values", direct=False)


@case
async def values_direct(r: Recorder) -> None:
    await _values(r, "values_direct", direct=True)


@case
async def limits(r: Recorder) -> None:
    kv = await r("sized", r.js.create_key_value(bucket="l_sized", max_value_size=10))
    await r("fits", kv.put("k", b"0123456789"))
    await r("too long", kv.put("k", b"0123456789a"))
    await r("header counts", kv.create("k2", b"0"))
    await r("kept", kv.get("k"))
    kv = await r("bytes", r.js.create_key_value(bucket="l_bytes", max_bytes=150))
    await r("first", kv.put("a", b"0123456789"))
    await r("second", kv.put("b", b"0123456789"))
    await r("third", kv.put("c", b"0123456789"))
    await r("fourth", kv.put("d", b"0123456789"))
    await r("overwrite", kv.put("a", b"0123456789"))
    await r("overwrite longer", kv.put("a", b"0123456789012345678901234567890123456789"))
    await r("delete", kv.delete("a"))
    await r("purge", kv.purge("a"))
    await r("status", kv.status())


async def _changes(r: Recorder, bucket: str, direct: bool) -> None:
    kv = await r("bucket", r.js.create_key_value(bucket=bucket, history=5, direct=direct))
    await r("create", kv.create("k", b"one"))
    await r("create again", kv.create("k", b"two"))
    await r("update", kv.update("k", b"two", last=1))
    await r("update stale", kv.update("k", b"three", last=1))
    await r("update ahead", kv.update("k", b"three", last=99))
    await r("update missing", kv.update("missing", b"v", last=1))
    await r("update as create", kv.update("other", b"v", last=0))
    await r("update without revision", kv.update("other", b"v"))
    await r("delete", kv.delete("k"))
    await r("get deleted", kv.get("k"))
    await r("get deleted revision", kv.get("k", revision=4))
    await r("update deleted", kv.update("k", b"v", last=2))
    await r("create deleted", kv.create("k", b"again"))
    await r("delete stale", kv.delete("k", last=1))
    await r("delete with revision", kv.delete("k", last=5))
    await r("delete deleted", kv.delete("k"))
    await r("delete never there", kv.delete("never"))
    await r("put deleted", kv.put("k", b"back"))
    await r("history", kv.history("k"))
    await r("purge", kv.purge("k"))
    await r("get purged", kv.get("k"))
    await r("history of purged", kv.history("k"))
    await r("create purged", kv.create("k", b"anew"))
    await r("purge never there", kv.purge("never2"))
    await r("history of missing", kv.history("missing"))
    await r("status", kv.status())


@case
async def changes(r: Recorder) -> None:
    await _changes(r, "changes", direct=False)


@case
async def changes_direct(r: Recorder) -> None:
    await _changes(r, "changes_direct", direct=True)


@case
async def keys(r: Recorder) -> None:
    kv = await r("bucket", r.js.create_key_value(bucket="keys", history=2))
    await r("none", kv.keys())
    for at in range(12):
        await kv.put(f"a.{at}", b"v" * at)
    await kv.put("b", b"v")
    await kv.put("a.3", b"again")
    await kv.delete("a.4")
    await kv.purge("a.5")
    await r("all", kv.keys())
    await r("filters", kv.keys(filters=["a.1"]))
    await r("two filters", kv.keys(filters=["b", "a.2"]))
    await r("filter matches none", kv.keys(filters=["zzz"]))
    await kv.delete("b")
    await r("after delete", kv.keys())


@case
async def history(r: Recorder) -> None:
    kv = await r("bucket", r.js.create_key_value(bucket="history", history=3))
    await r("none", kv.history("k"))
    for at in range(5):
        await kv.put("k", b"%d" % at)
        await kv.put("other", b"%d" % at)
    await r("three of five", kv.history("k"))
    await kv.delete("k")
    await r("with delete", kv.history("k"))
    await r("pattern", kv.history("*"))


@case
async def purge_deletes(r: Recorder) -> None:
    kv = await r("bucket", r.js.create_key_value(bucket="purge_deletes", history=5))
    for key in ("a", "b", "c"):
        await kv.put(key, b"1")
        await kv.put(key, b"2")
    await kv.delete("a")
    await kv.purge("b")
    await r("before", kv.status())
    await r("young markers stay", kv.purge_deletes())
    await r("after", kv.status())
    await r("history a", kv.history("a"))
    await r("history b", kv.history("b"))
    await r("all markers go", kv.purge_deletes(olderthan=-1))
    await r("at last", kv.status())
    await r("history a gone", kv.history("a"))
    await r("history c", kv.history("c"))


@case
async def watch(r: Recorder) -> None:
    kv = await r("bucket", r.js.create_key_value(bucket="watch", history=4))

    def end(update: object) -> bool:
        return getattr(update, "key", None) == "end"

    watcher = await r.watching(kv)
    await kv.put("a", b"1")
    await kv.put("b", b"1")
    await kv.put("end", b"")
    await r.live("empty bucket", watcher, end)
    for call, pattern, last, given in (
        ("all", ">", "q", {}),
        ("with history", ">", "q", {"include_history": True}),
        ("ignore deletes", ">", "q", {"ignore_deletes": True}),
        ("meta only", ">", "q", {"meta_only": True}),
        ("meta only, history", ">", "q", {"meta_only": True, "include_history": True}),
        ("headers only", ">", "q", {"headers_only": True}),
        ("inactive threshold", ">", "q", {"inactive_threshold": 10}),
        ("one key", "a", "a", {}),
        ("one key, history", "a", "a", {"include_history": True}),
        ("no such key", "none", "none", {}),
        ("pattern", "x.*", "x.q", {}),
        ("long pattern", "x.>", "x.q.q", {"include_history": True}),
    ):
        watcher = await r.watching(kv, pattern, **given)
        await kv.put("a", call.encode())
        await kv.put("x.y", call.encode())
        await kv.delete("a")
        await kv.put("x.y.z", call.encode())
        await kv.purge("x.y")
        revision = await kv.put(last, b"last of " + call.encode())

        def is_last(update: object, revision: int = revision) -> bool:
            return getattr(update, "revision", None) == revision

        await r.live(call, watcher, is_last)
    watcher = await kv.watchall()
    await r("consumer info", watcher._sub.consumer_info())
    await watcher.stop()


@case
async def watch_combined(r: Recorder) -> None:
    kv = await r("bucket", r.js.create_key_value(bucket="watch_combined", history=4))
    for at in range(3):
        await kv.put("a", b"%d" % at)
        await kv.put("b", b"%d" % at)
    await kv.delete("a")
    for call, given in (
        ("history, no deletes", {"include_history": True, "ignore_deletes": True}),
        ("meta, no deletes", {"meta_only": True, "ignore_deletes": True}),
        (
            "all options",
            {
                "include_history": True,
                "ignore_deletes": True,
                "meta_only": True,
                "headers_only": True,
                "inactive_threshold": 60,
            },
        ),
    ):
        watcher = await r.watching(kv, **given)
        await kv.delete("b")
        last = await kv.put("b", call.encode())
        await r.live(
            call, watcher, lambda update, last=last: getattr(update, "revision", 0) == last
        )
    for call, given in (
        ("watchall", {}),
        ("watchall, history", {"include_history": True}),
        ("watchall, meta only", {"meta_only": True}),
    ):
        watching = await kv.watchall(**given)
        updates = []
        while (update := await watching.updates(timeout=20)) is not None:
            updates.append(update)
        await r(f"{call}, stop", watching.stop())
        r.note(call, updates)
    watching = await kv.watch("a")
    updates = []
    async for update in watching:
        if update is None:
            break
        updates.append(update)
    r.note("iterated", updates)
    await watching.stop()
    for pattern in ("", ".", "a b", "x..y"):
        await r(f"watch {pattern!r}", kv.watch(pattern))
    await r("delete bucket", r.js.delete_key_value("watch_combined"))
    await r("watch of a deleted bucket", kv.watch("a"))
    await r("keys of a deleted bucket", kv.keys())
    await r("history of a deleted bucket", kv.history("a"))
    await r("status of a deleted bucket", kv.status())
    await r("get of a deleted bucket", kv.get("a"))
    await r("put of a deleted bucket", kv.put("a", b"v"))
    await r("delete of a deleted bucket", kv.delete("a"))
    await r("purge of a deleted bucket", kv.purge("a"))


@case
async def unchecked_keys(r: Recorder) -> None:
    kv = await r("bucket", r.js.create_key_value(bucket="unchecked", history=4))
    await r("create", kv.create("a$b", b"1", validate_keys=False))
    await r("create there", kv.create("a$b", b"1", validate_keys=False))
    await r("update", kv.update("a$b", b"2", last=1, validate_keys=False))
    await r("update stale", kv.update("a$b", b"2", last=1, validate_keys=False))
    await r("put", kv.put("a$b", b"3", validate_keys=False))
    await r("get", kv.get("a$b", revision=2, validate_keys=False))
    await r("delete", kv.delete("a$b", last=3, validate_keys=False))
    await r("history", kv.history("a$b"))
    for key in ("", ".a", "a.", "a b", "ä"):
        await r(f"create {key!r}", kv.create(key, b"v"))
        await r(f"update {key!r}", kv.update(key, b"v", last=0))
        await r(f"delete {key!r}", kv.delete(key))


@case
async def markers_and_status(r: Recorder) -> None:
    create = r.js.create_key_value
    plain = await r("plain", create(bucket="status_plain", history=3))
    full = await r("full", create(bucket="status_full", history=5, ttl=3600, limit_marker_ttl=90.5))
    for name, kv in (("plain", plain), ("full", full)):
        await kv.put("k", b"v")
        status = await kv.status()
        for field in ("bucket", "values", "history", "ttl", "marker_ttl"):
            r.note(f"{name}, {field}", getattr(status, field))
        await r(f"{name}, delete with ttl", kv.delete("k", msg_ttl=3600))
        await r(f"{name}, create with ttl", kv.create("t", b"v", msg_ttl=3600))
        await r(f"{name}, purge with ttl", kv.purge("t", msg_ttl=3600))
        await r(f"{name}, purge with a short ttl", kv.purge("t", msg_ttl=0.1))
        await r(f"{name}, history", kv.history("k"))
        for age in (3600, 0):
            await r(f"{name}, purge_deletes {age}", kv.purge_deletes(olderthan=age))
        await r(f"{name}, status", kv.status())


@case
async def watch_many(r: Recorder) -> None:
    kv = await r("bucket", r.js.create_key_value(bucket="watch_many", history=2))
    for at in range(600):
        await kv.put(f"k{at % 250}", b"%d" % at)
    for call, history in (("values", False), ("history", True)):
        watcher = await r.watching(kv, include_history=history)
        last = await kv.put("last", call.encode())
        await r.live(
            call, watcher, lambda update, last=last: getattr(update, "revision", 0) == last
        )
    await r("keys", kv.keys())


@case
async def ttl(r: Recorder) -> None:
    kv = await r("bucket", r.js.create_key_value(bucket="ttl", history=3, limit_marker_ttl=2))
    watcher = await r.watching(kv)
    await r("with ttl", kv.create("k", b"v", msg_ttl=1))
    await r("stays", kv.create("stays", b"v", msg_ttl=3600))
    await r("no ttl", kv.create("for_ever", b"v"))
    await r("below a second", kv.create("brief", b"v", msg_ttl=0.5))
    await r("negative", kv.create("negative", b"v", msg_ttl=-1))
    await r("get", kv.get("k"))

    def gone(update: object) -> bool:
        return getattr(update, "operation", None) == "PURGE"

    await r.live("marker", watcher, gone)
    await r("get expired", kv.get("k"))
    await r("history of expired", kv.history("k"))
    await r("create expired", kv.create("k", b"again"))
    await r("purge with ttl", kv.purge("stays", msg_ttl=1))
    await r("history of purged", kv.history("stays"))

    async def purge_marker_gone() -> bool:
        info = await r.js.stream_info("KV_ttl", subjects_filter="$KV.ttl.stays")
        return not (info.state.subjects or {})

    await r.until(purge_marker_gone)
    await r("status", kv.status())


@case
async def ttl_without_marker(r: Recorder) -> None:
    kv = await r("bucket", r.js.create_key_value(bucket="ttl_plain", history=2))
    await r("with ttl", kv.create("k", b"v", msg_ttl=1))
    await r("get", kv.get("k"))

    async def gone() -> bool:
        return (await kv.status()).values == 0

    await r.until(gone)
    await r("get expired", kv.get("k"))
    await r("create again", kv.create("k", b"again"))
    await r("status", kv.status())


@case
async def ttl_of_bucket(r: Recorder) -> None:
    kv = await r("bucket", r.js.create_key_value(bucket="ttl_bucket", ttl=1))
    await r("put", kv.put("k", b"v"))
    await r("get", kv.get("k"))

    async def gone() -> bool:
        return (await kv.status()).values == 0

    await r.until(gone)
    await r("get expired", kv.get("k"))
    await r("keys", kv.keys())
    await r("status", kv.status())


@case
async def ttl_of_bucket_with_marker(r: Recorder) -> None:
    create = r.js.create_key_value
    kv = await r("bucket", create(bucket="ttl_marker", ttl=1, limit_marker_ttl=3, history=2))
    watcher = await r.watching(kv)
    await r("put", kv.put("k", b"v"))
    await r("put 2", kv.put("k", b"w"))
    await r.live("marker", watcher, lambda u: getattr(u, "operation", None) == "PURGE")
    await r("history", kv.history("k"))
    await r("status", kv.status())


@case
async def publish_headers(r: Recorder) -> None:
    await r("bucket", r.js.create_key_value(bucket="headers", history=5))
    subject, stream = "$KV.headers.k", "KV_headers"
    for call, headers in (
        ("message id", {"Nats-Msg-Id": "one"}),
        ("message id again", {"Nats-Msg-Id": "one"}),
        ("expected stream", {"Nats-Expected-Stream": stream}),
        ("other stream", {"Nats-Expected-Stream": "KV_other"}),
        ("last sequence", {"Nats-Expected-Last-Sequence": "2"}),
        ("wrong last sequence", {"Nats-Expected-Last-Sequence": "2"}),
        ("last message id", {"Nats-Expected-Last-Msg-Id": "one"}),
        ("set message id", {"Nats-Msg-Id": "two"}),
        ("right message id", {"Nats-Expected-Last-Msg-Id": "two"}),
        ("last of subject", {"Nats-Expected-Last-Subject-Sequence": "5"}),
        ("not a number", {"Nats-Expected-Last-Subject-Sequence": "x"}),
        (
            "last of another subject",
            {
                "Nats-Expected-Last-Subject-Sequence": "0",
                "Nats-Expected-Last-Subject-Sequence-Subject": "$KV.headers.none",
            },
        ),
        ("rollup of nonsense", {"Nats-Rollup": "foo"}),
        ("ttl of nonsense", {"Nats-TTL": "abc"}),
        ("ttl zero", {"Nats-TTL": "0"}),
        ("ttl never", {"Nats-TTL": "never"}),
        ("ttl minutes", {"Nats-TTL": "1m"}),
        ("ttl ms", {"Nats-TTL": "500ms"}),
        ("own header", {"My-Header": "value", "my-header": "lower"}),
        ("rollup sub", {"Nats-Rollup": "sub"}),
        ("rollup all", {"Nats-Rollup": "all"}),
    ):
        await r(call, r.js.publish(subject, b"v", headers=headers))
    await r("last", r.js.get_last_msg(stream, subject))
    await r("no such stream", r.js.publish("nobody.listens", b"v"))
    await r("info", r.js.stream_info(stream))


@case
async def stream_calls(r: Recorder) -> None:
    js, stream = r.js, "KV_stream"
    kv = await r("bucket", js.create_key_value(bucket="stream", history=5, direct=True))
    for at in range(10):
        await kv.put(f"k{at % 3}", b"%d" % at)
    await r("by seq", js.get_msg(stream, seq=4))
    await r("by seq, direct", js.get_msg(stream, seq=4, direct=True))
    await r("by subject", js.get_msg(stream, subject="$KV.stream.k1"))
    await r("by subject, direct", js.get_msg(stream, subject="$KV.stream.k1", direct=True))
    await r("next", js.get_msg(stream, seq=3, subject="$KV.stream.k0", next=True))
    await r(
        "next, direct", js.get_msg(stream, seq=3, subject="$KV.stream.k0", next=True, direct=True)
    )
    await r("next of pattern", js.get_msg(stream, seq=3, subject="$KV.stream.*", next=True))
    await r("last", js.get_last_msg(stream, "$KV.stream.k2"))
    await r("no such seq", js.get_msg(stream, seq=99))
    await r("no such seq, direct", js.get_msg(stream, seq=99, direct=True))
    await r("no such stream", js.get_msg("KV_none", seq=1))
    await r("subjects", js.stream_info(stream, subjects_filter=">"))
    await r("delete a message", js.delete_msg(stream, 4))
    await r("purge a subject", js.purge_stream(stream, subject="$KV.stream.k1", keep=1))
    await r("purge up to", js.purge_stream(stream, seq=6))
    await r("info", js.stream_info(stream))
    await r("purge all", js.purge_stream(stream))
    await r("purge no such stream", js.purge_stream("KV_none"))
    await r("empty", js.stream_info(stream))
    await r("which stream", js.find_stream_name_by_subject("$KV.stream.k"))
    await r("which stream, none", js.find_stream_name_by_subject("nobody.listens"))
    await r("delete", js.delete_stream(stream))
    await r("info of deleted", js.stream_info(stream))


@case
async def streams(r: Recorder) -> None:
    js, add = r.js, r.js.add_stream
    await r("plain", add(name="S1", subjects=["s1.>"]))
    await r("same", add(name="S1", subjects=["s1.>"]))
    await r("other", add(name="S1", subjects=["s1.*"]))
    await r("overlap", add(name="S1b", subjects=["s1.a"]))
    await r("no subjects", add(name="S2"))
    await r("bad name", js.stream_info("a.b"))
    await r("publish", js.publish("s1.a", b"1"))
    await r("publish 2", js.publish("s1.b", b"22"))
    await r("max_msgs", js.update_stream(name="S1", subjects=["s1.>"], max_msgs=1))
    await r("info", js.stream_info("S1"))
    await r(
        "storage", js.update_stream(name="S1", subjects=["s1.>"], storage=api.StorageType.MEMORY)
    )
    await r("update missing", js.update_stream(name="S9", subjects=["s9.>"]))
    await r("old", add(name="S3", subjects=["s3"], max_msgs=2, discard=api.DiscardPolicy.OLD))
    for at in range(4):
        await r(f"old {at}", js.publish("s3", b"%d" % at))
    await r("old info", js.stream_info("S3"))
    await r("new", add(name="S4", subjects=["s4"], max_msgs=2, discard=api.DiscardPolicy.NEW))
    for at in range(4):
        await r(f"new {at}", js.publish("s4", b"%d" % at))
    await r(
        "new per subject",
        add(
            name="S5",
            subjects=["s5.*"],
            max_msgs_per_subject=1,
            discard=api.DiscardPolicy.NEW,
            discard_new_per_subject=True,
        ),
    )
    await r("per subject a", js.publish("s5.a", b""))
    await r("per subject a again", js.publish("s5.a", b""))
    await r("per subject b", js.publish("s5.b", b""))
    await r("marker needs ttl", add(name="S6", subjects=["s6"], subject_delete_marker_ttl=5))
    await r("sealed at birth", add(name="S7", subjects=["s7"], sealed=True))
    for name in ("S1", "S3", "S4", "S5"):
        await r(f"delete {name}", js.delete_stream(name))


@case
async def core(r: Recorder) -> None:
    nc = r.nc
    await r("nobody", nc.request("core.nobody", b"", timeout=5))
    got: list[tuple[str, bytes, object]] = []

    async def note(message: object) -> None:
        got.append((message.subject, message.data, message.headers))  # type: ignore[attr-defined]

    await nc.subscribe("core.one.*", cb=note)
    await nc.subscribe("core.>", cb=note)
    limited = await nc.subscribe("core.limited", cb=note)
    await limited.unsubscribe(2)
    await nc.publish("core.one.a", b"1")
    await nc.publish("core.one.a.b", b"2", headers={"A": "b"})
    for _ in range(3):
        await nc.publish("core.limited", b"3")
    await nc.flush()

    async def all_here() -> bool:
        return len(got) >= 8

    await r.until(all_here)
    r.note("delivered", sorted(got, key=repr))

    async def answer(message: object) -> None:
        await message.respond(b"yes")  # type: ignore[attr-defined]

    await nc.subscribe("core.service", queue="q", cb=answer)
    response = await nc.request("core.service", b"?", timeout=5)
    r.note("answer", response.data)
    r.note("max payload", nc.max_payload)
    r.note("connected name", nc._server_info.get("server_name"))


@last_case
async def whole_server(r: Recorder) -> None:
    await r("account", r.js.account_info())
    infos = await r.js.streams_info()
    r.note("streams", [info.config.name for info in infos])
