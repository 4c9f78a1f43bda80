"""A stream's configuration: every field that clients may send, and the JSON they see.

A bucket is a stream, and a stream is mostly its configuration. Clients send it in very
different shapes (nats-py leaves fields out, nats.go sends -1s, the CLI sends back what the
server added), and all of them expect that creating the same stream twice is no error. So a
configuration has one normal form, this frozen value, and two are the same when they are
equal. `checks.py` has the rules, `shapes.py` reads what a client sent.

`to_json` writes each key that nats-server writes, and leaves out those that it leaves out.

Metadata keys that begin with `_nats.` are the server's own. `_nats.req.level` is stored (1
if a feature of API level 1 is used); `_nats.ver` and `_nats.level` are added to answers
only, by `echo`, and dropped when a client sends them back.

Left out: the features named in `checks.unsupported`. Their fields are read and checked for
shape, and then refused.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias, cast

from kvcore.limits import Nanos

Json: TypeAlias = dict[str, object]

API_LEVEL = 1
_REQUIRED_LEVEL = "_nats.req.level"
_DYNAMIC = ("_nats.ver", "_nats.level")


@dataclass(frozen=True, slots=True)
class ConsumerLimits:
    """Defaults and bounds for a stream's consumers; 0 is none."""

    inactive_threshold: Nanos = 0
    max_ack_pending: int = 0


@dataclass(frozen=True, slots=True)
class StreamConfig:
    """A stream as its owner wants it. Sizes in bytes, times in nanoseconds, -1 is no bound."""

    name: str
    description: str = ""
    subjects: tuple[str, ...] = ()
    retention: str = "limits"
    max_consumers: int = -1
    max_msgs: int = -1
    max_bytes: int = -1
    max_age: Nanos = 0
    max_msgs_per_subject: int = -1
    max_msg_size: int = -1
    discard: str = "old"
    storage: str = "file"
    num_replicas: int = 1
    no_ack: bool = False
    duplicate_window: Nanos = 0
    placement: Json | None = None
    mirror: Json | None = None
    sources: tuple[Json, ...] = ()
    compression: str = "none"
    first_seq: int = 0
    subject_transform: Json | None = None
    republish: Json | None = None
    allow_direct: bool = False
    mirror_direct: bool = False
    discard_new_per_subject: bool = False
    sealed: bool = False
    deny_delete: bool = False
    deny_purge: bool = False
    allow_rollup_hdrs: bool = False
    consumer_limits: ConsumerLimits = ConsumerLimits()
    allow_msg_ttl: bool = False
    subject_delete_marker_ttl: Nanos = 0
    allow_msg_counter: bool = False
    allow_atomic: bool = False
    allow_msg_schedules: bool = False
    persist_mode: str = ""
    allow_batched: bool = False
    metadata: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> Json:
        """The stored form, with nats-server's keys in nats-server's order."""
        out: Json = {}
        for name in self.__slots__:
            value = getattr(self, name)
            if name in _OMITTED_WHEN_EMPTY and not value:
                continue
            if isinstance(value, ConsumerLimits):
                value = {key: getattr(value, key) for key in value.__slots__ if getattr(value, key)}
            out[name] = list(value) if isinstance(value, tuple) else value
        return out

    def echo(self, version: str) -> Json:
        """The form in answers: stored, with the server's own metadata added."""
        out = self.to_json()
        own = {"_nats.level": str(API_LEVEL), "_nats.ver": version}
        out["metadata"] = dict(sorted({**self.metadata, **own}.items()))
        return out

    def encode(self) -> bytes:
        """The stored form as bytes, for a command or a record."""
        return json.dumps(self.to_json(), separators=(",", ":")).encode()


_OMITTED_WHEN_EMPTY = frozenset({
    "description", "subjects", "no_ack", "duplicate_window", "placement", "mirror", "sources",
    "first_seq", "subject_transform", "republish", "discard_new_per_subject",
    "subject_delete_marker_ttl", "allow_msg_counter", "allow_atomic", "allow_msg_schedules",
    "persist_mode", "allow_batched", "metadata",
})  # fmt: skip


def from_document(document: Mapping[str, object]) -> StreamConfig:
    """A configuration from fields whose types are right; those left out have defaults."""
    values = {name: value for name, value in document.items() if name in _SLOTS}
    for name in ("subjects", "sources"):
        values[name] = tuple(cast("Sequence[object]", values.get(name) or ()))
    own = cast("Mapping[str, int]", values.get("consumer_limits") or {})
    values["consumer_limits"] = ConsumerLimits(**own)
    metadata = dict(cast("Mapping[str, str]", values.get("metadata") or {}))
    for key in _DYNAMIC:
        metadata.pop(key, None)
    values["metadata"] = metadata
    config = StreamConfig(**values)  # type: ignore[arg-type]  # the reader checked the types
    needs_ttl = config.allow_msg_ttl or config.subject_delete_marker_ttl > 0
    metadata[_REQUIRED_LEVEL] = "1" if needs_ttl else "0"
    return config


def decode_config(stored: bytes) -> StreamConfig:
    """The configuration that `encode` wrote."""
    document: Json = json.loads(stored)
    return from_document(document)


_SLOTS = frozenset(StreamConfig.__slots__)
