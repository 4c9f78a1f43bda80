"""Advisories: what happened to streams and consumers, told to whoever listens.

A watchdog, an audit or a dead-letter queue wants to know that a stream was deleted, that a
message was given up, who asked for what. So nats-server publishes such events under
`$JS.EVENT.ADVISORY.…`, and the times that acknowledgements took under `$JS.EVENT.METRIC.…`;
anybody may subscribe, and a stream may keep them. They are news, not records: nobody
listening, nothing is said.

Here an event is a value: its subject, its type and its own fields. Who publishes it looks
for a listener first (`node/advising.py`), then adds what all events have:

    {"type": "io.nats.jetstream.advisory.v1.stream_action", "id": "…22 characters…",
     "timestamp": "…", "stream": "KV_b", "action": "create"}

Left out: advisories of elections, of quorums that come back, and of priority groups.
"""

from collections.abc import Sequence
from random import Random
from typing import NamedTuple

from kvcore.jetstream.acknowledgements import Said
from kvcore.jetstream.documents import write
from kvcore.jetstream.times import rfc3339
from kvcore.limits import AUDIT_TEXT_BYTES, Nanos

AUDIT = "$JS.EVENT.ADVISORY.API"
_ADVISORY = "$JS.EVENT.ADVISORY."
_METRIC = "$JS.EVENT.METRIC."
_LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_ID_LENGTH = 22
_VERBS = {"create": "CREATED", "modify": "UPDATED", "delete": "DELETED"}


class Event(NamedTuple):
    """One thing that happened. Of events with a `percent` below 100 only so many are told."""

    subject: str
    type: str
    fields: dict[str, object]
    percent: int = 100


def stream_action(stream: str, action: str) -> Event:
    """A stream was made, changed or dropped: `action` is create, modify or delete."""
    subject = f"{_ADVISORY}STREAM.{_VERBS[action]}.{stream}"
    return Event(subject, "advisory.v1.stream_action", {"stream": stream, "action": action})


def quorum_lost(stream: str, servers: Sequence[str]) -> Event:
    """No leader of a stream is left, nor can there be one."""
    subject = f"{_ADVISORY}STREAM.QUORUM_LOST.{stream}"
    replicas = [{"name": name, "current": False, "active": 0} for name in servers]
    return Event(
        subject, "advisory.v1.stream_quorum_lost", {"stream": stream, "replicas": replicas}
    )


def consumer_action(stream: str, consumer: str, action: str) -> Event:
    """A consumer was made or dropped: `action` is create or delete."""
    subject = f"{_ADVISORY}CONSUMER.{_VERBS[action]}.{stream}.{consumer}"
    fields = {**_of(stream, consumer), "action": action}
    return Event(subject, "advisory.v1.consumer_action", fields)


def paused(stream: str, consumer: str, until: Nanos, now: Nanos) -> Event:
    """A consumer was paused or goes on; `until` is 0 when a client ended the pause."""
    subject = f"{_ADVISORY}CONSUMER.PAUSE.{stream}.{consumer}"
    fields = {**_of(stream, consumer), "paused": now < until, "pause_until": rfc3339(until)}
    return Event(subject, "advisory.v1.consumer_pause", fields)


def naked(stream: str, said: Said) -> Event:
    """A client refused a message."""
    subject = f"{_ADVISORY}CONSUMER.MSG_NAKED.{stream}.{said.consumer}"
    return Event(subject, "advisory.v1.nak", _delivery(stream, said))


def terminated(stream: str, said: Said) -> Event:
    """A client wants a message never to be delivered again."""
    subject = f"{_ADVISORY}CONSUMER.MSG_TERMINATED.{stream}.{said.consumer}"
    fields = _delivery(stream, said)
    if reason := said.rest.decode("utf-8", "replace").strip():
        fields["reason"] = reason
    return Event(subject, "advisory.v1.terminated", fields)


def given_up(stream: str, consumer: str, seq: int, count: int) -> Event:
    """A message was delivered as often as allowed, and nobody acknowledged it."""
    subject = f"{_ADVISORY}CONSUMER.MAX_DELIVERIES.{stream}.{consumer}"
    fields = {**_of(stream, consumer), "stream_seq": seq, "deliveries": count}
    return Event(subject, "advisory.v1.max_deliver", fields)


def acknowledged(stream: str, said: Said, took: Nanos, percent: int) -> Event:
    """A client acknowledged a message `took` nanoseconds after its delivery."""
    subject = f"{_METRIC}CONSUMER.ACK.{stream}.{said.consumer}"
    fields = {**_delivery(stream, said), "ack_time": took}
    return Event(subject, "metric.v1.consumer_ack", fields, percent)


def snapshot_created(stream: str, state: dict[str, object]) -> Event:
    """A backup of the stream has begun."""
    subject = f"{_ADVISORY}STREAM.SNAPSHOT_CREATE.{stream}"
    return Event(subject, "advisory.v1.snapshot_create", {"stream": stream, "state": state})


def snapshot_completed(stream: str, start: Nanos, end: Nanos, error: str) -> Event:
    """All of a backup was sent; or it was not, and `error` says why."""
    subject = f"{_ADVISORY}STREAM.SNAPSHOT_COMPLETE.{stream}"
    fields: dict[str, object] = {"stream": stream, "start": rfc3339(start), "end": rfc3339(end)}
    if error:
        fields["error"] = error
    return Event(subject, "advisory.v1.snapshot_complete", fields)


def restore_created(stream: str) -> Event:
    """A restore of the stream has begun."""
    subject = f"{_ADVISORY}STREAM.RESTORE_CREATE.{stream}"
    return Event(subject, "advisory.v1.restore_create", {"stream": stream})


def restore_completed(stream: str, start: Nanos, end: Nanos, size: int) -> Event:
    """A restore is over, for good or ill, after `size` bytes of backup."""
    subject = f"{_ADVISORY}STREAM.RESTORE_COMPLETE.{stream}"
    times = {"start": rfc3339(start), "end": rfc3339(end)}
    return Event(
        subject, "advisory.v1.restore_complete", {"stream": stream, **times, "bytes": size}
    )


def audit(asked: dict[str, object], response: bytes) -> Event:
    """A client asked the API for something, see `request`, and this was the answer."""
    fields = {**asked, "response": shortened(response)}
    return Event(AUDIT, "advisory.v1.api_audit", fields)


def request(
    server: str, client: dict[str, object], subject: str, payload: bytes
) -> dict[str, object]:
    """What the audit says of a request, whatever the answer will be."""
    asked: dict[str, object] = {"server": server, "client": client, "subject": subject}
    return {**asked, "request": shortened(payload)} if payload else asked


def shortened(text: bytes) -> str:
    """A request or an answer for the audit, which may be large: its beginning, if so."""
    shown = text[:AUDIT_TEXT_BYTES].decode("utf-8", "replace")
    left = len(text) - AUDIT_TEXT_BYTES
    return f"{shown}… {left} bytes more" if left > 0 else shown


def encode(event: Event, rng: Random, now: Nanos) -> bytes:
    """The message to publish."""
    name = "".join(rng.choices(_LETTERS, k=_ID_LENGTH))
    about = {"type": f"io.nats.jetstream.{event.type}", "id": name, "timestamp": rfc3339(now)}
    return write({**about, **event.fields})


def _of(stream: str, consumer: str) -> dict[str, object]:
    return {"stream": stream, "consumer": consumer}


def _delivery(stream: str, said: Said) -> dict[str, object]:
    about = _of(stream, said.consumer)
    about |= {"consumer_seq": said.consumer_seq, "stream_seq": said.seq}
    return {**about, "deliveries": said.count}
