"""The commands that act on one key.

A put looks up its bucket first, so that a wrong name is answered at once with words instead
of a time-out. `create` after a delete is an update of the delete marker, as in every client:
the marker is a message, so the key's last revision is not zero.

Left out: the commands on whole buckets, which are in `listing.py`.
"""

import os
import sys

from kvcore.cli import layout
from kvcore.cli.bucket import ApiError, Buckets, ttl_header
from kvcore.cli.commands import CommandError, Values
from kvcore.cli.progress import tracked
from kvcore.cli.session import confirm, on_server, say
from kvcore.cli.values import optional_text, read_number, switch, text, whole

WRONG_LAST_SEQUENCE = 10071


def _value(values: Values) -> bytes:
    given = optional_text(values, "value") or ""
    if given or sys.stdin is None or sys.stdin.isatty():
        return os.fsencode(given)
    return sys.stdin.buffer.read()


def put(values: Values) -> int:
    """Put a value."""
    value = _value(values)

    async def work(buckets: Buckets) -> None:
        await _publish(buckets, values, value, {})
        _echo(values)

    return on_server(work, values)


def _echo(values: Values) -> None:
    say(f"{optional_text(values, 'value') or ''}\n")


async def _publish(
    buckets: Buckets, values: Values, value: bytes, headers: dict[str, str], refused: str = ""
) -> None:
    """Put, with nats.go's words for a revision that isn't the expected one."""
    bucket = text(values, "bucket")
    await buckets.info(bucket)
    try:
        await buckets.put(bucket, text(values, "key"), value, headers)
    except ApiError as error:
        known = error.err_code == WRONG_LAST_SEQUENCE
        raise error.at_publish(f": {refused}" if refused and known else "") from error


def _expecting(revision: int) -> dict[str, str]:
    return {"Nats-Expected-Last-Subject-Sequence": str(revision)}


def create(values: Values) -> int:
    """Put a value if the key has none."""
    value = _value(values)
    expiry = ttl_header(whole(values, "ttl"))
    bucket, key = text(values, "bucket"), text(values, "key")

    async def work(buckets: Buckets) -> None:
        try:
            await _publish(buckets, values, value, _expecting(0) | expiry, "key exists")
        except CommandError as error:
            if not isinstance(error.__cause__, ApiError) or "key exists" not in str(error):
                raise
            last = await buckets.last(bucket, key)
            if last.operation == "PUT":
                raise
            headers = _expecting(last.revision) | expiry
            await _publish(buckets, values, value, headers, "key exists")
        _echo(values)

    return on_server(work, values)


def update(values: Values) -> int:
    """Put a value if the last revision is the expected one."""
    revision = read_number(text(values, "revision"))
    value = os.fsencode(text(values, "value"))

    async def work(buckets: Buckets) -> None:
        headers = _expecting(revision)
        await _publish(buckets, values, value, headers, "nats: key revision mismatch")
        _echo(values)

    return on_server(work, values)


def get(values: Values) -> int:
    """Show a value."""
    bucket, key = text(values, "bucket"), text(values, "key")

    async def work(buckets: Buckets) -> None:
        entry = await buckets.get(bucket, key, whole(values, "revision"))
        if switch(values, "raw"):
            sys.stdout.buffer.write(entry.value)
            sys.stdout.flush()
            return
        created = layout.local(entry.created)
        say(f"{bucket} > {key} revision: {entry.revision} created @ {created}\n\n")
        say(layout.shown_value(entry.value) + "\n")

    return on_server(work, values)


def delete(values: Values) -> int:
    """Mark a key deleted, or remove the bucket."""
    bucket, key = text(values, "bucket"), optional_text(values, "key")
    confirm(values, f"Delete key {bucket} > {key}?" if key else f"Delete bucket {bucket}?")

    async def work(buckets: Buckets) -> None:
        if key is None:
            await buckets.remove(bucket)
        else:
            await _publish(buckets, values, b"", {"KV-Operation": "DEL"})

    return on_server(work, values)


def purge(values: Values) -> int:
    """Mark a key deleted and drop its history."""
    confirm(values, f"Purge key {text(values, 'bucket')} > {text(values, 'key')}?")
    headers = {"KV-Operation": "PURGE", "Nats-Rollup": "sub"}
    headers |= ttl_header(whole(values, "ttl"))

    async def work(buckets: Buckets) -> None:
        await _publish(buckets, values, b"", headers)

    return on_server(work, values)


def history(values: Values) -> int:
    """Show a key's revisions."""

    async def work(buckets: Buckets) -> None:
        await _show_history(buckets, text(values, "bucket"), text(values, "key"))

    return on_server(work, values)


async def _show_history(buckets: Buckets, bucket: str, key: str) -> None:
    found = buckets.watch(bucket, key, once=True, deliver_policy="all")
    rows = [
        (
            entry.key,
            str(entry.revision),
            entry.operation,
            layout.local(entry.created),
            str(len(entry.value)),
            layout.shortened(layout.printable(entry.value)),
        )
        async for entry in tracked(found, "history")
    ]
    if not rows:
        raise CommandError("nats: key not found")
    head = ("Key", "Revision", "Op", "Created", "Length", "Value")
    say(layout.table(f"History for {bucket} > {key}", head, rows, right=(1,)) + "\n")


def revert(values: Values) -> int:
    """Put an old revision's value again."""
    confirm(values, f"Revert to revision {text(values, 'revision')}?")
    bucket, key = text(values, "bucket"), text(values, "key")
    revision = read_number(text(values, "revision"))

    async def work(buckets: Buckets) -> None:
        info = await buckets.info(bucket)
        if info["config"]["max_msgs_per_subject"] == 1:
            raise CommandError("cannot revert key in a bucket where history=1")
        old = await buckets.get(bucket, key, revision)
        last = await buckets.last(bucket, key)
        await _publish(buckets, values, old.value, _expecting(last.revision))
        await _show_history(buckets, bucket, key)

    return on_server(work, values)


def watch(values: Values) -> int:
    """Show changes as they happen, until interrupted."""
    bucket, key = text(values, "bucket"), optional_text(values, "key") or ">"
    options: dict[str, object] = {"deliver_policy": "last_per_subject"}
    if revision := whole(values, "revision"):
        options = {"deliver_policy": "by_start_sequence", "opt_start_seq": revision}
    elif switch(values, "updates"):
        options = {"deliver_policy": "new"}
    elif switch(values, "history"):
        options = {"deliver_policy": "all"}

    async def work(buckets: Buckets) -> None:
        async for entry in buckets.watch(bucket, key, once=False, **options):
            if entry.operation != "PUT" and not switch(values, "deletes"):
                continue
            line = f"[{layout.local(entry.created)}] {entry.operation} {bucket} > {entry.key}"
            tail = b": " + entry.value if entry.operation == "PUT" else b""
            sys.stdout.buffer.write(line.encode() + tail + b"\n")
            sys.stdout.flush()

    return on_server(work, values)
