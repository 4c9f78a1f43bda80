"""The rules of a stream's configuration, in nats-server's order and words.

`normalised` fills in what a client left out and refuses what can't work. Two of its duties
matter more than they look. Defaults make two different spellings of one bucket equal, so
that creating it twice is no error. And it warns at the moment of the mistake: a marker that
lives less than a second, or a rollup on a stream that can't be purged, would fail later and
far away.

`update_refusal` is about time: what may change while a stream lives. A deny flag is a
promise to readers, so it can be made but not taken back.

The text of each error is part of the protocol, because tools print it and tests match it.

Mirrors, sources and transforms have rules of their own: `origin_checks.py`.

Left out, and refused by `unsupported`: counters, atomic and batched publishing, schedules,
asynchronous persistence.
"""

from dataclasses import replace

from kvcore import limits
from kvcore.jetstream import errors
from kvcore.jetstream.config import StreamConfig
from kvcore.jetstream.engines import ENGINE, engine_refusal, named_engine
from kvcore.jetstream.errors import ApiError, ConfigError, invalid_config
from kvcore.jetstream.gojson import quoted
from kvcore.jetstream.origin_checks import check_origins, unsupported_origin
from kvcore.jetstream.transform import Transform
from kvcore.limits import SECOND_NS
from kvcore.nats import subject as subjects

DESCRIPTION_BYTES = 4 * limits.KIB
METADATA_BYTES = 128 * limits.KIB
_NAME_RULE = "stream name is required and can not contain '.', '*', '>', '\\', '/'"
_API_SPACES = ("$JS.>", "$JSC.>", "$NRG.>")


def normalised(config: StreamConfig) -> StreamConfig:
    """The normal form of a configuration; raises `ConfigError` with the first rule broken."""
    _check_texts(config)
    config = _with_defaults(config)
    _check_ages(config)
    if config.first_seq > limits.SEQUENCE_MAX:
        raise _refused(f"first sequence can not be larger than {limits.SEQUENCE_MAX}")
    config = _checked_markers(config)
    check_origins(config)
    if not config.subjects and config.mirror is None and not config.sources:
        config = replace(config, subjects=(config.name,))
    _check_subjects(config)
    config = _checked_republish(config)
    if not any((config.placement or {}).values()):
        config = replace(config, placement=None)
    elif config.placement and config.placement.get("preferred"):
        raise _refused("preferred server not permitted in placement")
    return config


def create_refusal(config: StreamConfig) -> ApiError | None:
    """What may not stand in a new stream's configuration; it precedes `normalised`."""
    if "/" in config.name or "\\" in config.name:
        return errors.STREAM_NAME_SEPARATORS
    if config.sealed:
        return invalid_config("stream configuration for create can not be sealed")
    if config.mirror_direct and config.mirror is None:
        return invalid_config("stream has no mirror but does have mirror direct")
    return None


def unsupported(config: StreamConfig, *, in_cluster: bool = False) -> ApiError | None:
    """What nats-server does and kvcore doesn't: refused, never half done. A server on its
    own has no place for a second replica."""
    if config.num_replicas > 1 and not in_cluster:
        return errors.REPLICAS_UNSUPPORTED
    asked = {
        "allow_msg_counter": config.allow_msg_counter,
        "allow_atomic": config.allow_atomic,
        "allow_msg_schedules": config.allow_msg_schedules,
        "allow_batched": config.allow_batched,
        "persist_mode": config.persist_mode == "async",
    }
    origin = unsupported_origin(config)
    for name, is_asked in {origin: bool(origin), **asked}.items():
        if is_asked:
            return invalid_config(f"{name} is not supported by this server yet")
    return engine_refusal(config)


def updated(
    old: StreamConfig, new: StreamConfig, *, in_cluster: bool = False
) -> StreamConfig | ApiError:
    """The configuration after an update, both in normal form, or why it may not change so."""
    if new.num_replicas > 1 and not in_cluster:
        return errors.REPLICAS_UNSUPPORTED
    refusal = _update_refusal(old, new)
    if refusal is not None:
        return refusal
    if new.sealed:
        return replace(
            new, max_age=0, discard="new", deny_delete=True, deny_purge=True,
            allow_rollup_hdrs=False,
        )  # fmt: skip
    return new


def _update_refusal(old: StreamConfig, new: StreamConfig) -> ApiError | None:
    update = "stream configuration update can not"
    if new.storage != old.storage:
        return invalid_config(f"{update} change storage type")
    if named_engine(new) != named_engine(old):
        return invalid_config(f"{update} change {ENGINE}")
    if new.retention != old.retention and "workqueue" in (new.retention, old.retention):
        return invalid_config(f"{update} change retention policy to/from workqueue")
    if old.sealed and not new.sealed:
        return invalid_config(f"{update} unseal a sealed stream")
    if old.deny_delete and not new.deny_delete:
        return invalid_config(f"{update} cancel deny message deletes")
    if old.deny_purge and not new.deny_purge:
        return invalid_config(f"{update} cancel deny purge")
    if new.mirror is not None and new.mirror != old.mirror:
        return errors.MIRROR_NOT_UPDATABLE
    if old.allow_msg_ttl and not new.allow_msg_ttl:
        return invalid_config("message TTL status can not be disabled")
    if new.allow_msg_counter != old.allow_msg_counter:
        return invalid_config(f"{update} change message counter setting")
    if old.allow_msg_schedules and not new.allow_msg_schedules:
        return invalid_config("message schedules can not be disabled")
    if new.persist_mode != old.persist_mode:
        return invalid_config(f"{update} change persist mode")
    return None


def _refused(text: str) -> ConfigError:
    return ConfigError(invalid_config(text))


def _length(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))


def _check_texts(config: StreamConfig) -> None:
    if not config.name or any(character in " \t\r\n\f.*>\\/" for character in config.name):
        raise _refused(_NAME_RULE)
    if _length(config.name) > limits.STREAM_NAME_BYTES:
        longest = limits.STREAM_NAME_BYTES
        raise _refused(f"stream name is too long, maximum allowed is {longest}")
    if _length(config.description) > DESCRIPTION_BYTES:
        raise _refused(f"stream description is too long, maximum allowed is {DESCRIPTION_BYTES}")
    size = sum(_length(key) + _length(value) for key, value in config.metadata.items())
    if size > METADATA_BYTES:
        raise _refused(f"stream metadata exceeds maximum size of {METADATA_BYTES} bytes")


def with_replicas(config: StreamConfig) -> StreamConfig:
    """The configuration with a number of replicas that can be; none said is one."""
    replicas = config.num_replicas or 1
    if replicas > limits.REPLICAS_COUNT:
        raise _refused(f"maximum replicas is {limits.REPLICAS_COUNT}")
    if replicas < 0:
        raise ConfigError(errors.REPLICAS_NEGATIVE)
    return replace(config, num_replicas=replicas)


def _with_defaults(config: StreamConfig) -> StreamConfig:
    return replace(
        with_replicas(config),
        max_msgs=_bound(config.max_msgs),
        max_msgs_per_subject=_bound(config.max_msgs_per_subject),
        max_bytes=_bound(config.max_bytes),
        max_msg_size=_bound(config.max_msg_size),
        max_consumers=_bound(config.max_consumers),
        duplicate_window=_window(config),
    )


def _bound(value: int) -> int:
    return value if value > 0 else -1


def _window(config: StreamConfig) -> int:
    if config.duplicate_window or config.mirror is not None or config.sources:
        return config.duplicate_window
    longest = limits.DUPLICATE_WINDOW_NS
    return min(config.max_age, longest) if config.max_age > 0 else longest


def _check_ages(config: StreamConfig) -> None:
    if config.max_age < 0:
        raise _refused("max age can not be negative")
    if 0 < config.max_age < limits.MAX_AGE_MIN_NS:
        raise _refused("max age needs to be >= 100ms")
    if config.duplicate_window < 0:
        raise _refused("duplicates window can not be negative")
    if 0 < config.max_age < config.duplicate_window:
        raise _refused("duplicates window can not be larger then max age")
    if 0 < config.duplicate_window < limits.DUPLICATE_WINDOW_MIN_NS:
        raise _refused("duplicates window needs to be >= 100ms")
    if config.deny_purge and config.allow_rollup_hdrs:
        raise _refused("roll-ups require the purge permission")
    if config.discard_new_per_subject:
        if config.discard != "new":
            raise _refused("discard new per subject requires discard new policy to be set")
        if config.max_msgs_per_subject <= 0:
            raise _refused("discard new per subject requires max msgs per subject > 0")


def _checked_markers(config: StreamConfig) -> StreamConfig:
    ttl = config.subject_delete_marker_ttl
    if ttl < 0:
        raise _refused("subject delete marker TTL must not be negative")
    if not ttl:
        return config
    if ttl < limits.MARKER_TTL_MIN_NS:
        raise _refused(f"subject delete marker TTL must be at least {_MARKER_MIN}")
    config = replace(config, allow_msg_ttl=True)
    if config.allow_rollup_hdrs:
        return config
    return replace(config, allow_rollup_hdrs=True, deny_purge=False)


_MARKER_MIN = f"{limits.MARKER_TTL_MIN_NS // SECOND_NS} second"


def _check_subjects(config: StreamConfig) -> None:
    if len(config.subjects) > limits.PATTERNS_COUNT:
        raise _refused(f"too many subjects, maximum allowed is {limits.PATTERNS_COUNT}")
    for at, subject in enumerate(config.subjects):
        if not subjects.is_valid_subject(subject):
            raise _refused("invalid subject")
        if subject == ">" and not config.no_ack:
            raise _refused("capturing all subjects requires no-ack to be true")
        if subject == ">" and config.num_replicas != 1:
            raise _refused("capturing all subjects requires replicas of 1")
        if not config.no_ack:
            _check_reserved(subject)
        pair = subjects.first_overlap((subject,), config.subjects[at + 1 :])
        if pair is not None:
            one, other = (quoted(each, html=False) for each in pair)
            raise _refused(f"subject {one} overlaps with {other}")


def _checked_republish(config: StreamConfig) -> StreamConfig:
    """An empty source is every subject; an empty target republishes nothing."""
    if config.republish is None:
        return config
    source = str(config.republish.get("src") or ">")
    target = str(config.republish.get("dest") or "")
    if any(subjects.overlaps(target, subject) for subject in config.subjects):
        raise _refused("stream configuration for republish destination forms a cycle")
    if target and Transform.of(source, target) is None:
        text = f"republish with transform from '{source}' to '{target}' not valid"
        raise _refused(f"stream configuration for {text}")
    flag = {"headers_only": True} if config.republish.get("headers_only") else {}
    return replace(config, republish={"src": source, "dest": target, **flag})


def _check_reserved(subject: str) -> None:
    for space in _API_SPACES:
        if subjects.overlaps(subject, space) and not subjects.is_subset(subject, "$JS.EVENT.>"):
            raise _refused("subjects that overlap with jetstream api require no-ack to be true")
    if subjects.overlaps(subject, "$SYS.>") and not subjects.is_subset(subject, "$SYS.ACCOUNT.>"):
        raise _refused("subjects that overlap with system api require no-ack to be true")
