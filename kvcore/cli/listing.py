"""The commands that act on whole buckets.

A list of keys is a consumer that delivers the last message of each key, without its value
unless it is shown. Deletes stay in a bucket as markers; `compact` removes what they hide,
and the markers themselves once they are old enough for every watcher to have seen them.

Left out: changing one (`editing.py`), and mirrors' and sources' own options.
"""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

from kvcore.cli import layout
from kvcore.cli.abandoned import abandoned, show_abandoned
from kvcore.cli.bucket import Buckets, Json, KeyEntry
from kvcore.cli.commands import CommandError, Values
from kvcore.cli.progress import tracked
from kvcore.cli.session import confirm, on_server, say
from kvcore.cli.status import show_status
from kvcore.cli.values import many, optional_text, switch, text, whole
from kvcore.limits import MINUTE_NS, SECOND_NS

YOUNG_MARKER_NS = 30 * MINUTE_NS  # `compact` keeps deletes that are younger


def add(values: Values) -> int:
    """Make a bucket."""
    bucket = text(values, "bucket")
    age = whole(values, "ttl")
    config: Json = {
        "name": f"KV_{bucket}",
        "subjects": [f"$KV.{bucket}.>"],
        "retention": "limits",
        "max_consumers": -1,
        "max_msgs": -1,
        "max_bytes": whole(values, "max-bucket-size") or -1,
        "discard": "new",
        "max_age": age,
        "max_msgs_per_subject": whole(values, "history"),
        "max_msg_size": whole(values, "max-value-size") or -1,
        "storage": optional_text(values, "storage") or "file",
        "num_replicas": whole(values, "replicas"),
        "duplicate_window": min(age, 2 * MINUTE_NS) or 2 * MINUTE_NS,
        "deny_delete": True,
        "allow_rollup_hdrs": True,
        "compression": "s2" if switch(values, "compress") else "none",
        "allow_direct": True,
        "mirror_direct": False,
        "consumer_limits": {},
    }
    if description := optional_text(values, "description"):
        config["description"] = description
    if marker := whole(values, "marker-ttl"):
        config |= {"allow_msg_ttl": True, "subject_delete_marker_ttl": marker}
    tags, cluster = list(many(values, "tags")), optional_text(values, "cluster")
    if tags or cluster:
        config["placement"] = {"tags": tags, "cluster": cluster or ""}
    if labels := many(values, "metadata"):
        config["metadata"] = dict(label.split("=", 1) for label in labels)
    if destination := optional_text(values, "republish-destination"):
        config["republish"] = {
            "src": optional_text(values, "republish-source") or "",
            "dest": destination,
            "headers_only": switch(values, "republish-headers"),
        }

    async def work(buckets: Buckets) -> None:
        say(show_status(bucket, await buckets.create(bucket, config), plain=buckets.is_kvcore))

    return on_server(work, values)


def ls(values: Values) -> int:
    """List buckets, or a bucket's keys."""
    bucket = optional_text(values, "bucket")

    async def work(buckets: Buckets) -> None:
        if bucket is None:
            await _list_buckets(buckets, values)
        else:
            await _list_keys(buckets, bucket, values)

    return on_server(work, values)


async def _list_buckets(buckets: Buckets, values: Values) -> None:
    streams = await buckets.list()
    names = sorted(stream["config"]["name"].removeprefix("KV_") for stream in streams)
    if switch(values, "names"):
        say("".join(f"{name}\n" for name in names))
        return
    if not streams:
        say("No Key-Value buckets found\n")
        return
    now = datetime.now(UTC)
    rows = []
    for stream in sorted(streams, key=lambda one: (one["state"]["bytes"], one["config"]["name"])):
        state, last = stream["state"], stream["state"]["last_ts"]
        age = now - datetime.fromisoformat(last[:19] + "+00:00") if state["last_seq"] else None
        rows.append(
            (
                stream["config"]["name"].removeprefix("KV_"),
                stream["config"].get("description", ""),
                layout.local(stream["created"]),
                layout.size(state["bytes"]),
                f"{state['messages']:,}",
                layout.duration(round(age.total_seconds() * SECOND_NS)) if age else "never",
            )
        )
    head = ("Bucket", "Description", "Created", "Size", "Values", "Last Update")
    say(layout.table("Key-Value Buckets", head, rows) + "\n")


async def _list_keys(buckets: Buckets, bucket: str, values: Values) -> None:
    verbose, values_too = switch(values, "verbose"), switch(values, "display-value")
    found = _live(
        buckets.watch(
            bucket,
            optional_text(values, "key") or ">",
            once=True,
            deliver_policy="last_per_subject",
            headers_only=not (verbose and values_too),
        )
    )
    try:
        entries = [entry async for entry in tracked(found, "keys")]
    except CommandError as error:
        if "bucket" in str(error):
            raise CommandError(f"unable to load bucket: {error}") from error
        raise
    if verbose:
        head = ["Key", "Created", "Delta", "Revision"] + ["Value"] * values_too
        rows = [
            [e.key, layout.local(e.created), "0", str(e.revision)]
            + [e.value.decode("utf-8", "replace")] * values_too
            for e in entries
        ]
        say(layout.table(f"Contents for bucket '{bucket}'", head, rows, right=(2, 3)) + "\n")
    else:
        say("".join(f"{entry.key}\n" for entry in entries))
    if not entries and (verbose or not switch(values, "names")):
        say("No keys found in bucket\n")


async def _live(entries: AsyncIterator[KeyEntry]) -> AsyncIterator[KeyEntry]:
    async for entry in entries:
        if entry.operation == "PUT":
            yield entry


def info(values: Values) -> int:
    """Show a bucket's configuration and state."""
    bucket = optional_text(values, "bucket")
    if bucket is None:
        raise CommandError("cannot prompt for user input without a terminal")

    async def work(buckets: Buckets) -> None:
        say(show_status(bucket, await buckets.info(bucket), plain=buckets.is_kvcore))
        consumers = await buckets.consumers(bucket)
        say(show_abandoned(abandoned(consumers, datetime.now(UTC))))

    return on_server(work, values)


def compact(values: Values) -> int:
    """Drop what deleted keys leave behind."""
    bucket = text(values, "bucket")
    confirm(values, f"Compact bucket {bucket}?")

    async def work(buckets: Buckets) -> None:
        found = buckets.watch(bucket, ">", once=True, deliver_policy="last_per_subject")
        markers = [entry async for entry in found if entry.operation != "PUT"]
        now = datetime.now(UTC)

        async def each() -> AsyncIterator[KeyEntry]:
            for marker in markers:
                yield marker

        async for marker in tracked(each(), "compact", total=len(markers)):
            age = now - datetime.fromisoformat(marker.created)
            young = age.total_seconds() * SECOND_NS < YOUNG_MARKER_NS
            await buckets.purge_subject(bucket, marker.key, keep=1 if young else 0)

    return on_server(work, values)
