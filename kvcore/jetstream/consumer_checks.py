"""The rules that a consumer's configuration must keep, in nats-server's order.

A request may break several rules at once and the client is told of one, so the order is
part of the behaviour. The document's shape was checked before; here its values are judged
against each other and against the stream.

Left out: rules of what `unsupported` refuses.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from kvcore import limits
from kvcore.jetstream.config import StreamConfig
from kvcore.jetstream.errors import (
    REPLICAS_NEGATIVE,
    ApiError,
    ConfigError,
    invalid_config,
)
from kvcore.jetstream.gojson import quoted
from kvcore.nats import subject as subjects

Document: TypeAlias = Mapping[str, object]

DESCRIPTION_BYTES = 4096
METADATA_BYTES = 128 * 1024
_INT_DIGITS = 40  # no number worth reading is longer
HEARTBEAT_MIN_NS = 100 * limits.MILLISECOND_NS

NAME_SEPARATORS = ApiError(400, 10127, "Consumer name can not contain path separators")
FILTER_MISMATCH = ApiError(
    400, 10131, "Consumer create request did not match filtered subject from create subject"
)
FILTERS_IN_SUBJECT = ApiError(
    400, 10137, "consumer with multiple subject filters cannot use subject based API"
)
DURABLE_NOT_SET = ApiError(
    400, 10018, "consumer expected to be durable but a durable name was not set"
)
DURABLE_MISMATCH = ApiError(
    400, 10017, "consumer name in subject does not match durable name in request"
)
EPHEMERAL_DURABLE = ApiError(
    400, 10020, "consumer expected to be ephemeral but a durable name was set in request"
)


def check(document: Document, stream: StreamConfig) -> None:
    """Judge the values; raises `ConfigError` with the first rule that is broken."""
    for rule in (_check_counts, _check_delivery, _check_filters, _check_start, _check_rest):
        error = rule(document, stream)
        if error is not None:
            raise ConfigError(error)


def check_update(old: object, new: object) -> ApiError | None:
    """Whether a consumer may change so; both are `ConsumerConfig`s in normal form."""
    for name, words in _FIXED.items():
        if getattr(old, name) != getattr(new, name):
            return cannot(f"{words} can not be updated")
    pulled, pulls = (not getattr(config, "deliver_subject") for config in (old, new))  # noqa: B009
    if pulled and not pulls:
        return cannot("can not update pull consumer to push based")
    if pulls and not pulled:
        return cannot("can not update push consumer to pull based")
    if getattr(old, "max_waiting") != getattr(new, "max_waiting"):  # noqa: B009
        return cannot("max waiting can not be updated")
    return None


_FIXED = {
    "deliver_policy": "deliver policy",
    "mem_storage": "storage type",
    "opt_start_seq": "start sequence",
    "opt_start_time": "start time",
    "ack_policy": "ack policy",
    "replay_policy": "replay policy",
    "idle_heartbeat": "heart beats",
    "flow_control": "flow control",
}


def workqueue_refusal(document: Document, stream: StreamConfig) -> ApiError | None:
    """What a work queue demands of its consumers."""
    if stream.retention != "workqueue":
        return None
    if document.get("ack_policy") != "explicit":
        return ApiError(400, 10098, "workqueue stream requires explicit ack")
    if document.get("deliver_policy", "all") != "all":
        return ApiError(400, 10101, "consumer must be deliver all on workqueue stream")
    return None


def shared_work(
    filters: tuple[str, ...], others: Sequence[tuple[str, ...]], stream: StreamConfig
) -> ApiError | None:
    """A work queue's message goes to one consumer, so their filters may not overlap."""
    if stream.retention != "workqueue" or not others:
        return None
    if not filters:
        return ApiError(
            400, 10099, "multiple non-filtered consumers not allowed on workqueue stream"
        )
    overlaps = any(
        not theirs or any(subjects.overlaps(own, other) for own in filters for other in theirs)
        for theirs in others
    )
    if overlaps:
        return ApiError(400, 10100, "filtered consumer not unique on workqueue stream")
    return None


def unsupported(document: Document) -> ApiError | None:
    """What nats-server does and kvcore doesn't yet: refused, never half done."""
    for asked, what in _UNSUPPORTED:
        if asked(document):
            return cannot(f"{what} are not supported by this server yet")
    return None


_UNSUPPORTED: tuple[tuple[Callable[[Document], object], str], ...] = (
    (lambda d: d.get("rate_limit_bps"), "rate limited consumers"),
    (lambda d: d.get("replay_policy") == "original", "original speed consumers"),
    (lambda d: d.get("priority_groups") or d.get("priority_policy"), "priority groups"),
    (lambda d: d.get("direct") or d.get("sourcing"), "direct consumers"),
)


def cannot(text: str) -> ApiError:
    """A consumer that can't be made or changed for a reason that has no number."""
    return ApiError(500, 10012, text)


def _check_counts(document: Document, stream: StreamConfig) -> ApiError | None:
    for name in ("name", "durable_name"):
        if not _is_asset_name(_text(document, name)):
            label = "consumer durable name" if name == "durable_name" else "consumer name"
            return invalid_config(f"{label} can not contain '.', '*', '>', '\\', '/'")
    replicas = _number(document, "num_replicas")
    if replicas > stream.num_replicas:
        return ApiError(400, 10126, "consumer config replica count exceeds parent stream")
    if replicas < 0:
        return REPLICAS_NEGATIVE
    backoff = document.get("backoff") or []
    assert isinstance(backoff, list)
    if any(wait < 0 for wait in backoff):
        return ApiError(400, 10184, "consumer backoff needs to be positive")
    if _number(document, "ack_wait") < 0:
        return ApiError(400, 10183, "consumer ack wait needs to be positive")
    if 0 < _number(document, "max_deliver") < len(backoff):
        return ApiError(400, 10116, "max deliver is required to be > length of backoff values")
    if len(_text(document, "description").encode("utf-8", "replace")) > DESCRIPTION_BYTES:
        return ApiError(
            400, 10107, f"consumer description is too long, maximum allowed is {DESCRIPTION_BYTES}"
        )
    return None


def _is_asset_name(name: str) -> bool:
    return not any(character in ".*>\\/ \t\r\n\f" for character in name)


def _check_delivery(document: Document, stream: StreamConfig) -> ApiError | None:
    deliver = _text(document, "deliver_subject")
    if not deliver:
        return _check_pull(document, stream)
    if any(token in ("*", ">") for token in deliver.split(".")):
        return ApiError(400, 10079, "consumer deliver subject has wildcards")
    if not subjects.is_valid_literal(deliver):
        return ApiError(400, 10112, "invalid push consumer deliver subject")
    if any(subjects.matches(pattern, deliver) for pattern in stream.subjects):
        return ApiError(400, 10081, "consumer deliver subject forms a cycle")
    if document.get("max_waiting"):
        return ApiError(400, 10080, "consumer in push mode can not set max waiting")
    if _number(document, "max_ack_pending") > 0 and document.get("ack_policy", "none") == "none":
        return ApiError(400, 10082, "consumer requires ack policy for max ack pending")
    if 0 < _number(document, "idle_heartbeat") < HEARTBEAT_MIN_NS:
        return ApiError(400, 10083, "consumer idle heartbeat needs to be >= 100ms")
    return None


def _check_pull(document: Document, stream: StreamConfig) -> ApiError | None:
    if stream.retention == "workqueue" and document.get("ack_policy", "none") == "none":
        text = "consumer in pull mode requires explicit ack policy on workqueue stream"
        return ApiError(400, 10084, text)
    if document.get("rate_limit_bps"):
        return ApiError(400, 10086, "consumer in pull mode can not have rate limit set")
    if _number(document, "idle_heartbeat") > 0:
        return ApiError(400, 10088, "consumer idle heartbeat requires a push based consumer")
    if document.get("flow_control"):
        return ApiError(400, 10089, "consumer flow control requires a push based consumer")
    if 0 < _number(document, "max_expires") < limits.MILLISECOND_NS:
        return ApiError(400, 10115, "consumer max request expires needs to be >= 1ms")
    return None


def _check_filters(document: Document, stream: StreamConfig) -> ApiError | None:
    most = stream.consumer_limits.max_ack_pending
    if 0 < most < _number(document, "max_ack_pending"):
        text = f"consumer max ack pending exceeds system limit of {most}"
        return ApiError(400, 10121, text)
    limit = stream.consumer_limits.inactive_threshold
    if 0 < limit < _number(document, "inactive_threshold"):
        text = "consumer inactive threshold exceeds system limit of"
        return ApiError(400, 10153, f"{text} {_seconds(limit)}")
    single = _text(document, "filter_subject")
    several = document.get("filter_subjects") or []
    assert isinstance(several, list)
    if single and several:
        return ApiError(
            400, 10136, "consumer cannot have both FilterSubject and FilterSubjects specified"
        )
    if "" in several:
        return ApiError(400, 10139, "consumer filter in FilterSubjects cannot be empty")
    filters: list[str] = [single] if single else several
    if len(filters) > limits.PATTERNS_COUNT:
        return invalid_config(f"too many filters, maximum allowed is {limits.PATTERNS_COUNT}")
    wide = [pattern for pattern in filters if subjects.has_wildcard(pattern)]
    for pattern in filters:
        if not subjects.is_valid_subject(pattern):
            return invalid_config("invalid subject")
        inside = any(each != pattern and subjects.is_subset(pattern, each) for each in wide)
        if inside or filters.count(pattern) > 1:
            return ApiError(400, 10138, "consumer subject filters cannot overlap")
    return None


def _seconds(time: int) -> str:
    return f"{time / 1_000_000_000:g}s"


# policy: its name in errors, then whether a sequence and a time belong to it.
_STARTS = {
    "all": ("all", False, False),
    "last": ("last", False, False),
    "last_per_subject": ("last per subject", False, False),
    "new": ("new", False, False),
    "by_start_sequence": ("by start sequence", True, False),
    "by_start_time": ("by start time", False, True),
}


def _check_start(document: Document, _stream: StreamConfig) -> ApiError | None:
    policy = _text(document, "deliver_policy") or "all"
    words, wants_sequence, wants_time = _STARTS[policy]
    has_sequence = bool(document.get("opt_start_seq"))
    has_time = document.get("opt_start_time") is not None
    opening = f"consumer delivery policy is deliver {words}, but optional"
    if wants_sequence and not has_sequence:
        return ApiError(400, 10094, f"{opening} start sequence is not set")
    if wants_time and not has_time:
        return ApiError(400, 10094, f"{opening} start time is not set")
    if has_sequence and not wants_sequence:
        return ApiError(400, 10094, f"{opening} start sequence is also set")
    if has_time and not wants_time:
        return ApiError(400, 10094, f"{opening} start time is also set")
    filtered = document.get("filter_subject") or document.get("filter_subjects")
    if policy == "last_per_subject" and not filtered:
        return ApiError(400, 10094, f"{opening} filter subject is not set")
    return None


def sample_percent(text: str) -> int | None:
    """The number in a `sample_freq` such as `10%` or `10`; None if it is none."""
    digits = text.removesuffix("%")
    bare = digits.removeprefix("+").removeprefix("-" if digits.startswith("-") else "")
    if not bare.isascii() or not bare.isdigit() or len(bare) > _INT_DIGITS:
        return None
    return int(digits) if abs(int(digits)) <= limits.SEQUENCE_MAX else None


def _check_sampling(text: str) -> ApiError | None:
    percent = sample_percent(text) if text else 0
    if percent is not None and percent >= 0:
        return None
    digits = text.removesuffix("%")
    is_long = digits.lstrip("+-").isascii() and digits.lstrip("+-").isdigit()
    fault = "value out of range" if is_long else "invalid syntax"
    why = f"strconv.Atoi: parsing {quoted(digits, html=False)}: {fault}"
    why = why if percent is None else "<nil>"
    return ApiError(400, 10095, f"failed to parse consumer sampling configuration: {why}")


def _check_rest(document: Document, _stream: StreamConfig) -> ApiError | None:
    refusal = _check_sampling(_text(document, "sample_freq"))
    if refusal is not None:
        return refusal
    if document.get("flow_control") and not document.get("idle_heartbeat"):
        return ApiError(400, 10108, "consumer with flow control also needs heartbeats")
    durable = document.get("durable_name")
    if durable and document.get("name") and durable != document["name"]:
        return ApiError(
            400, 10132, "Consumer Durable and Name have to be equal if both are provided"
        )
    metadata = document.get("metadata") or {}
    assert isinstance(metadata, dict)
    size = sum(len(key.encode("utf-8", "replace")) for key in metadata) + sum(
        len(value.encode("utf-8", "replace")) for value in metadata.values()
    )
    if size > METADATA_BYTES:
        kib = METADATA_BYTES // 1024
        return ApiError(400, 10135, f"consumer metadata exceeds maximum size of {kib}KB")
    if document.get("priority_groups") and document.get("priority_policy", "none") in ("", "none"):
        return ApiError(400, 10196, "consumer can not have priority groups when policy is none")
    return None


def _text(document: Document, name: str) -> str:
    value = document.get(name, "")
    assert isinstance(value, str)
    return value


def _number(document: Document, name: str) -> int:
    value = document.get(name, 0)
    assert isinstance(value, int)
    return value
