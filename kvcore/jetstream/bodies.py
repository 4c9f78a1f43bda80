"""The JSON bodies of the API's answers: which fields, in which form.

Each answer names its `type`, errors included: the CLI refuses a body whose type doesn't
belong to its request. Durations are integers of nanoseconds, times are RFC 3339, a time
that never was is year 1. Fields that nats-server leaves out when empty are left out.

Left out: the `cluster` object of a server that has others around it (`cluster.py`).
"""

from base64 import b64encode
from collections.abc import Iterable, Mapping

from kvcore import limits
from kvcore.jetstream.catalog import Catalog, Identity
from kvcore.jetstream.config import API_LEVEL
from kvcore.jetstream.documents import write
from kvcore.jetstream.errors import ApiError
from kvcore.jetstream.records import StoredMessage
from kvcore.jetstream.stream import Stream
from kvcore.jetstream.times import rfc3339
from kvcore.limits import Nanos

_TYPE = "io.nats.jetstream.api.v1."

# What an answer has besides its type when it is an error: counts of nothing.
_BESIDE_ERROR: Mapping[str, Mapping[str, object]] = {
    "stream_info": {"total": 0, "offset": 0, "limit": 0},
    "stream_purge": {"purged": 0},
    "stream_restore": {"deliver_subject": ""},
    "stream_names": {"total": 0, "offset": 0, "limit": 0, "streams": None},
    "stream_list": {"total": 0, "offset": 0, "limit": 0, "streams": []},
    "consumer_names": {"total": 0, "offset": 0, "limit": 0, "consumers": []},
    "consumer_pause": {"paused": False, "pause_until": "0001-01-01T00:00:00Z"},
    "consumer_list": {"total": 0, "offset": 0, "limit": 0, "consumers": []},
}


def success(what: str, fields: Mapping[str, object]) -> bytes:
    """The answer to a request of the kind `what`, such as "stream_info"."""
    return write({"type": f"{_TYPE}{what}_response", **fields})


def failure(what: str, error: ApiError) -> bytes:
    """The same request refused."""
    beside = _BESIDE_ERROR.get(what, {})
    return write({"type": f"{_TYPE}{what}_response", "error": error.to_json(), **beside})


def usage(catalog: Catalog) -> dict[str, int]:
    """What the streams that this server leads hold."""
    out = dict.fromkeys(_USES, 0)
    for name in catalog.names():
        stream = catalog.stream(name)
        if stream is None:
            continue
        in_memory = stream.config.storage == "memory"
        out["streams"] += 1
        out["consumers"] += len(catalog.consumers(name))
        reserved = max(0, stream.config.max_bytes)
        out["reserved_memory" if in_memory else "reserved_storage"] += reserved
        out["memory" if in_memory else "storage"] += stream.bytes
    return out


_USES = ("memory", "storage", "reserved_memory", "reserved_storage", "streams", "consumers")


def account_info(
    identity: Identity, usages: Iterable[Mapping[str, int]], total: int, errors: int
) -> dict[str, object]:
    """What `$JS.API.INFO` says: use, as the servers have told it, and limits of the only
    account."""
    sums = dict.fromkeys(_USES, 0)
    for each in usages:
        for name in _USES:
            sums[name] += each.get(name, 0)
    return {
        **sums,
        "limits": {
            "max_memory": identity.max_memory,
            "max_storage": identity.max_storage,
            "max_streams": -1,
            "max_consumers": -1,
            "max_ack_pending": -1,
            "memory_max_stream_bytes": -1,
            "storage_max_stream_bytes": -1,
            "max_bytes_required": False,
        },
        "api": {"level": API_LEVEL, "total": total, "errors": errors},
    }


def stream_created(stream: Stream, version: str, now: Nanos) -> dict[str, object]:
    """A stream as CREATE and UPDATE answer it."""
    return {
        "config": stream.config.echo(version),
        "created": rfc3339(stream.created),
        "state": stream.state(),
        "ts": rfc3339(now),
    }


def stream_listed(stream: Stream, now: Nanos) -> dict[str, object]:
    """A stream as LIST shows it."""
    return {
        "config": stream.config.to_json(),
        "created": rfc3339(stream.created),
        "state": stream.state(),
        "ts": rfc3339(now),
    }


def stream_info(
    stream: Stream,
    identity: Identity,
    now: Nanos,
    *,
    subjects_filter: str = "",
    offset: int = 0,
    deleted_details: bool = False,
    listed: tuple[int, int] = (0, 0),
) -> dict[str, object]:
    """A stream as INFO shows it: with `subjects_filter` a page of its subjects, with
    `deleted_details` the sequences of its gaps. `listed` is for whoever writes the subjects
    himself: how many match, and how many are on the page; their place is left empty."""
    state = stream.state()
    total = limit = start = 0
    if listed[0]:
        total, limit, start = listed[0], limits.SUBJECTS_PAGE_COUNT, offset
        if listed[1]:
            state["subjects"] = {}
    elif subjects_filter:
        counts = stream.subjects(subjects_filter)
        total = len(counts)
        if total:
            limit, start = limits.SUBJECTS_PAGE_COUNT, offset
            shown = {subject: counts[subject] for subject in sorted(counts)[start : start + limit]}
            if shown:
                state["subjects"] = shown
    if deleted_details and (missing := stream.missing()):
        state["deleted"] = missing
    return {
        "total": total,
        "offset": start,
        "limit": limit,
        "config": stream.config.echo(identity.version),
        "created": rfc3339(stream.created),
        "state": state,
        "cluster": {"leader": identity.name},
        "ts": rfc3339(now),
    }


def stored_message(message: StoredMessage, *, no_header: bool = False) -> dict[str, object]:
    """A message as MSG.GET shows it; its header block and payload are base64."""
    out: dict[str, object] = {"subject": message.subject, "seq": message.seq}
    if message.header and not no_header:
        out["hdrs"] = b64encode(message.header).decode()
    if message.payload:
        out["data"] = b64encode(message.payload).decode()
    out["time"] = rfc3339(message.time)
    return {"message": out}


def pause(until: Nanos, now: Nanos) -> dict[str, object]:
    """What CONSUMER.PAUSE says."""
    out: dict[str, object] = {"paused": now < until, "pause_until": rfc3339(until)}
    if now < until:
        out["pause_remaining"] = until - now
    return out


def page(items: list[str], offset: int, limit: int) -> tuple[list[str], dict[str, object]]:
    """The slice of a listing that starts at `offset`, and the three numbers beside it."""
    start = min(max(offset, 0), len(items))
    numbers: dict[str, object] = {"total": len(items), "offset": start, "limit": limit}
    return items[start : start + limit], numbers
