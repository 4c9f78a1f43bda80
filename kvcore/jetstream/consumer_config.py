"""A consumer's configuration: what a client may ask of a reader, and what is refused.

A consumer is a cursor that the server keeps. Its configuration says where it starts
(`deliver_policy`), which subjects it sees, where it delivers and how it proves that it is
alive. It stands in the stream's log, so it is decided at apply: `admit` is called by the
stream's state machine, on every replica, with nothing but replicated data.

Two configurations are the same consumer when their normal forms are equal. The server's
own metadata keys (`_nats.…`) are added to answers only and never compared.

Left out, and refused with a JetStream error that says so: rate limits, replay at the
original speed and priority groups.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from kvcore import limits
from kvcore.jetstream import consumer_checks
from kvcore.jetstream.config import API_LEVEL, StreamConfig
from kvcore.jetstream.documents import kind, read_object, write
from kvcore.jetstream.errors import (
    CONSUMER_BOUND,
    CONSUMER_EXISTS,
    CONSUMER_MISSING,
    CONSUMERS_FULL,
    ApiError,
    ConfigError,
    invalid_json,
)
from kvcore.jetstream.gojson import quoted
from kvcore.jetstream.times import parse_rfc3339, rfc3339
from kvcore.limits import Nanos

_OWN = "_nats."
DELIVER_POLICIES = (
    "all", "last", "new", "by_start_sequence", "by_start_time", "last_per_subject",
)  # fmt: skip
_POLICIES = {
    "deliver_policy": DELIVER_POLICIES,
    "ack_policy": ("none", "all", "explicit"),
    "replay_policy": ("instant", "original"),
}
_TEXTS = (
    "name", "durable_name", "description", "filter_subject", "sample_freq", "deliver_subject",
    "deliver_group", "priority_policy",
)  # fmt: skip
_COUNTS = ("opt_start_seq", "rate_limit_bps")
_NUMBERS = (
    "ack_wait", "max_deliver", "max_waiting", "max_ack_pending", "max_batch", "max_expires",
    "max_bytes", "idle_heartbeat", "inactive_threshold", "num_replicas", "priority_timeout",
)  # fmt: skip
_FLAGS = ("flow_control", "headers_only", "mem_storage", "direct", "sourcing")
_TIMES = ("opt_start_time", "pause_until")
_LISTS = ("filter_subjects", "priority_groups")
_MAX_INT = (1 << 63) - 1
_NEVER_NEGATIVE = (
    "ack_wait", "idle_heartbeat", "inactive_threshold", "max_waiting", "max_batch", "max_expires",
    "max_bytes",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ConsumerConfig:
    """A consumer in normal form, its fields in nats-server's order. Times in ns."""

    durable_name: str = ""
    name: str = ""
    description: str = ""
    deliver_policy: str = "all"
    opt_start_seq: int = 0
    opt_start_time: Nanos | None = None
    ack_policy: str = "none"
    ack_wait: Nanos = 0
    max_deliver: int = -1
    backoff: tuple[Nanos, ...] = ()
    filter_subject: str = ""
    filter_subjects: tuple[str, ...] = ()
    replay_policy: str = "instant"
    sample_freq: str = ""
    max_waiting: int = 0
    max_ack_pending: int = 0
    flow_control: bool = False
    headers_only: bool = False
    max_batch: int = 0
    max_expires: Nanos = 0
    max_bytes: int = 0
    deliver_subject: str = ""
    deliver_group: str = ""
    idle_heartbeat: Nanos = 0
    inactive_threshold: Nanos = 0  # 0: it is never abandoned
    num_replicas: int = 0
    mem_storage: bool = False
    metadata: Mapping[str, str] = field(default_factory=dict)
    pause_until: Nanos | None = None

    @property
    def is_pull(self) -> bool:
        """Whether it delivers on request only."""
        return not self.deliver_subject

    @property
    def acks(self) -> bool:
        """Whether clients acknowledge what they get."""
        return self.ack_policy != "none"

    @property
    def sample_percent(self) -> int:
        """Of how many acknowledgements in a hundred others may hear."""
        percent = consumer_checks.sample_percent(self.sample_freq) if self.sample_freq else 0
        return percent or 0

    @property
    def filters(self) -> tuple[str, ...]:
        """The subjects it sees; empty is every one."""
        if self.filter_subject:
            return (self.filter_subject,)
        return self.filter_subjects

    def to_json(self) -> dict[str, object]:
        """The stored form: nats-server's keys, without those that it leaves out."""
        out: dict[str, object] = {}
        for name in self.__slots__:
            value = getattr(self, name)
            if name in _TIMES:
                value = None if value is None else rfc3339(value)
            elif isinstance(value, tuple):
                value = list(value)
            if value or name in _ALWAYS:
                out[name] = value
        return out

    def echo(self, version: str) -> dict[str, object]:
        """The form in answers: stored, with the server's own metadata added. Lists leave
        out what is about the server alone: their `version` is ""."""
        own = {"_nats.req.level": "1" if self.pause_until else "0"}
        if version:
            own |= {"_nats.level": str(API_LEVEL), "_nats.ver": version}
        return {**self.to_json(), "metadata": dict(sorted({**self.metadata, **own}.items()))}

    def encode(self) -> bytes:
        """The stored form as bytes; `decode` reads them."""
        return write(self.to_json())


_ALWAYS = ("deliver_policy", "ack_policy", "max_deliver", "replay_policy", "num_replicas")


def decode(stored: bytes) -> ConsumerConfig:
    """The configuration that `encode` wrote."""
    return _built(check_shape(read_object(stored)))


def admit(
    config_json: bytes,
    action: str,
    stream: StreamConfig,
    existing: ConsumerConfig | None,
    others: Sequence[ConsumerConfig],
) -> ConsumerConfig | ApiError:
    """Decide a CreateConsumer: the configuration to keep from now on, or the refusal.

    `existing` is the consumer of that name, `others` are those that the stream has beside
    it. The rules are judged in nats-server's order, since clients see only the first that
    is broken.
    """
    try:
        document = check_shape(read_object(config_json))
        _set_defaults(document, stream)
        consumer_checks.check(document, stream)
    except ConfigError as refused:
        return refused.error
    filters = [other.filters for other in others]
    if existing is None:
        return _admit_new(document, action, stream, filters)
    config = replace(_built(document), pause_until=existing.pause_until)
    if action == "first" and config.deliver_subject != existing.deliver_subject:
        return CONSUMER_BOUND
    if config != existing:
        if action == "create":
            return CONSUMER_EXISTS
        shared = consumer_checks.shared_work(config.filters, filters, stream)
        if shared is not None:
            return shared
    refusal = consumer_checks.check_update(existing, config) or (
        consumer_checks.unsupported(document)
    )
    return refusal or config


def _admit_new(
    document: dict[str, object],
    action: str,
    stream: StreamConfig,
    others: Sequence[tuple[str, ...]],
) -> ConsumerConfig | ApiError:
    if action == "update":
        return CONSUMER_MISSING
    if 0 < stream.max_consumers <= len(others):
        return CONSUMERS_FULL
    config = _built(document)
    refusal = (
        consumer_checks.workqueue_refusal(document, stream)
        or consumer_checks.shared_work(config.filters, others, stream)
        or consumer_checks.unsupported(document)
    )
    return refusal or config


def _set_defaults(document: dict[str, object], stream: StreamConfig) -> None:
    """Fill in what depends on other fields or on the stream."""
    acks = document.get("ack_policy", "none") != "none"
    backoff = document.get("backoff")
    assert backoff is None or isinstance(backoff, list)
    _set(document, "max_ack_pending", stream.consumer_limits.max_ack_pending)
    _set(document, "inactive_threshold", stream.consumer_limits.inactive_threshold)
    if not document.get("durable_name"):
        _set(document, "inactive_threshold", limits.CONSUMER_INACTIVE_NS)
    if not document.get("deliver_subject"):
        _set(document, "max_waiting", limits.PULLS_WAITING_COUNT)
    if acks:
        _set(document, "ack_wait", limits.ACK_WAIT_NS)
        _set(document, "max_ack_pending", limits.ACK_PENDING_COUNT)
    if backoff:
        document["ack_wait"] = backoff[0]


def _set(document: dict[str, object], name: str, value: int) -> None:
    if document.get(name, 0) in (0, None):
        document[name] = value


def _built(document: Mapping[str, object]) -> ConsumerConfig:
    known = {name: document[name] for name in ConsumerConfig.__slots__ if document.get(name)}
    if known.get("max_deliver", -1) < -1:  # type: ignore[operator]  # its shape was checked
        known["max_deliver"] = -1
    if known.get("max_ack_pending", -1) < -1:  # type: ignore[operator]
        known["max_ack_pending"] = -1
    for name in _NEVER_NEGATIVE:
        if known.get(name, 0) < 0:  # type: ignore[operator]
            del known[name]
    if known.get("pause_until", 0) < 0:  # type: ignore[operator]
        known["pause_until"] = 0
    for name in ("filter_subjects", "backoff"):
        if name in known:
            known[name] = tuple(known[name])  # type: ignore[arg-type]
    if "metadata" in known:
        theirs = known["metadata"].items()  # type: ignore[attr-defined]
        known["metadata"] = {key: value for key, value in theirs if not key.startswith(_OWN)}
    return ConsumerConfig(**known)  # type: ignore[arg-type]


def check_shape(document: Mapping[str, object]) -> dict[str, object]:
    """The document with times as numbers and nulls left out; raises `ConfigError` (10025)
    for an unknown field or a value of the wrong type."""
    out: dict[str, object] = {}
    for name, value in document.items():
        if value is None:
            continue
        if name in _TIMES:
            time = parse_rfc3339(value) if isinstance(value, str) else None
            if time is None:
                raise _wrong(name, value)
            out[name] = time
        elif name in _POLICIES:
            if value not in _POLICIES[name]:
                raise ConfigError(invalid_json(f"can not unmarshal {quoted(str(value))}"))
            out[name] = value
        elif _fits(name, value):
            out[name] = value
        else:
            raise _wrong(name, value)
    return out


def _fits(name: str, value: object) -> bool:
    if name in _TEXTS:
        return isinstance(value, str)
    if name in _FLAGS:
        return isinstance(value, bool)
    if name in _COUNTS or name in _NUMBERS:
        least = 0 if name in _COUNTS else -_MAX_INT
        return type(value) is int and least <= value <= _MAX_INT
    if name in _LISTS:
        return isinstance(value, list) and all(isinstance(item, str) for item in value)
    if name == "backoff":
        return isinstance(value, list) and all(type(item) is int for item in value)
    if name == "metadata":
        return isinstance(value, dict) and all(isinstance(item, str) for item in value.values())
    raise ConfigError(invalid_json(f"json: unknown field {quoted(name)}"))


def _wrong(name: str, value: object) -> ConfigError:
    text = f"json: cannot unmarshal {kind(value)} into Go struct field ConsumerConfig.config.{name}"
    return ConfigError(invalid_json(text))
