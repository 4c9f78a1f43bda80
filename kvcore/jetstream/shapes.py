"""Reading a stream configuration that a client sent, as strictly as nats-server does.

A misspelt limit that is silently ignored loses data months later. So an unknown field, a
text where a number belongs, or a number that doesn't fit is refused, and the error names
the field in the words of Go's decoder, which is what the clients' users know.

A field that is null keeps its default, except those that are one of a few words.

Left out: whether the values make sense together; `checks.py` judges that.
"""

import json
from collections.abc import Mapping
from typing import Final

from kvcore.jetstream.config import Json, StreamConfig, from_document
from kvcore.jetstream.documents import kind, read_object
from kvcore.jetstream.errors import ConfigError, invalid_json
from kvcore.jetstream.gojson import quoted
from kvcore.jetstream.times import parse_rfc3339

_GO_TYPE: Final = "StreamConfigRequest.StreamConfig"
_TEXTS: Final = "map[string]string"
_RANGES = {
    "int": (-(1 << 63), (1 << 63) - 1),
    "int32": (-(1 << 31), (1 << 31) - 1),
    "int64": (-(1 << 63), (1 << 63) - 1),
    "time.Duration": (-(1 << 63), (1 << 63) - 1),
    "uint64": (0, (1 << 64) - 1),
}
_WORDS = {
    "retention": ("limits", "interest", "workqueue"),
    "discard": ("old", "new"),
    "storage": ("file", "memory"),
    "persist_mode": ("default", "async"),
}
_PLACEMENT = {"cluster": "string", "tags": "[]string", "preferred": "string"}
_TRANSFORM = {"src": "string", "dest": "string"}
_SOURCE = {
    "name": "string",
    "opt_start_seq": "uint64",
    "opt_start_time": "time.Time",
    "filter_subject": "string",
    "subject_transforms": "[]server.SubjectTransformConfig",
    "external": "server.ExternalStream",
    "consumer": "server.StreamConsumerSource",
}
_OBJECTS: dict[str, dict[str, str]] = {
    "server.Placement": _PLACEMENT,
    "server.SubjectTransformConfig": _TRANSFORM,
    "server.RePublish": {**_TRANSFORM, "headers_only": "bool"},
    "server.ExternalStream": {"api": "string", "deliver": "string"},
    "server.StreamConsumerSource": {"name": "string", "deliver_subject": "string"},
    "server.StreamSource": _SOURCE,
    "server.StreamConsumerLimits": {
        "inactive_threshold": "time.Duration",
        "max_ack_pending": "int",
    },
}
# What an object inside the configuration says even when it was not told. Of the others an
# empty one is as good as none, so that two such configurations are the same.
_ALWAYS_SAID = frozenset({"src", "dest", "name", "api", "deliver"})
_FIELDS = {
    "name": "string",
    "description": "string",
    "subjects": "[]string",
    "max_consumers": "int",
    "max_msgs": "int64",
    "max_bytes": "int64",
    "max_age": "time.Duration",
    "max_msgs_per_subject": "int64",
    "max_msg_size": "int32",
    "num_replicas": "int",
    "no_ack": "bool",
    "duplicate_window": "time.Duration",
    "placement": "server.Placement",
    "mirror": "server.StreamSource",
    "sources": "[]server.StreamSource",
    "first_seq": "uint64",
    "subject_transform": "server.SubjectTransformConfig",
    "republish": "server.RePublish",
    "allow_direct": "bool",
    "mirror_direct": "bool",
    "discard_new_per_subject": "bool",
    "sealed": "bool",
    "deny_delete": "bool",
    "deny_purge": "bool",
    "allow_rollup_hdrs": "bool",
    "consumer_limits": "server.StreamConsumerLimits",
    "allow_msg_ttl": "bool",
    "subject_delete_marker_ttl": "time.Duration",
    "allow_msg_counter": "bool",
    "allow_atomic": "bool",
    "allow_msg_schedules": "bool",
    "allow_batched": "bool",
    "metadata": _TEXTS,
    "pedantic": "bool",  # of the request, not of the configuration
}


def from_json(payload: bytes) -> StreamConfig:
    """A configuration as it was sent, before `checks.normalised`; raises `ConfigError`."""
    known: Json = {}
    for name, value in read_object(payload).items():
        if name in _WORDS:
            _check_word(name, value)
        elif name == "compression":
            if value not in ("none", "s2"):
                raise ConfigError(invalid_json("unknown compression algorithm"))
        elif name not in _FIELDS:
            raise _unknown(name)
        if value is not None:
            known[name] = _read(_FIELDS.get(name, "string"), value, name)
    known.setdefault("name", "")
    if known.get("persist_mode") == "default":
        del known["persist_mode"]
    return from_document(known)


def _read(go_type: str, value: object, path: str) -> object:
    """The value if it has the type; inside it, Go's zero value stands for a null."""
    if go_type.startswith("[]"):
        if not isinstance(value, list):
            raise _mismatch(value, path, go_type)
        return [_read_item(go_type[2:], item, path) for item in value]
    if go_type == _TEXTS:
        if not isinstance(value, dict):
            raise _mismatch(value, path, go_type)
        return {key: _read_item("string", item, path) for key, item in value.items()}
    if go_type in _OBJECTS:
        if not isinstance(value, dict):
            raise _mismatch(value, path, go_type)
        return _read_fields(_OBJECTS[go_type], value, path)
    if go_type in _RANGES:
        low, high = _RANGES[go_type]
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise _mismatch(value, path, go_type)
        if isinstance(value, float) or not low <= value <= high:
            raise _mismatch(value, path, go_type, f" {value}")
    elif go_type == "time.Time":
        _check_time(value)
    elif not isinstance(value, bool if go_type == "bool" else str):
        raise _mismatch(value, path, go_type)
    return value


def _check_time(value: object) -> None:
    if not isinstance(value, str):
        raise ConfigError(invalid_json("Time.UnmarshalJSON: input is not a JSON string"))
    if parse_rfc3339(value) is None:
        text = quoted(value, html=False)
        form = '"2006-01-02T15:04:05Z07:00"'
        raise ConfigError(
            invalid_json(f'parsing time {text} as {form}: cannot parse {text} as "2006"')
        )


def _read_item(go_type: str, value: object, path: str) -> object:
    if value is None:
        return "" if go_type == "string" else {}
    return _read(go_type, value, path)


def _read_fields(shape: Mapping[str, str], value: Mapping[str, object], path: str) -> Json:
    out: Json = {}
    for name, item in value.items():
        if name not in shape:
            raise _unknown(name)
        if item is None:
            continue
        read = _read(shape[name], item, f"{path}.{name}")
        if read:
            out[name] = read
    return {name: "" for name in shape if name in _ALWAYS_SAID} | out


def _check_word(name: str, value: object) -> None:
    if value not in _WORDS[name]:
        raw = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        raise ConfigError(invalid_json(f"can not unmarshal {quoted(raw, html=False)}"))


def _mismatch(value: object, path: str, go_type: str, number: str = "") -> ConfigError:
    return ConfigError(
        invalid_json(
            f"json: cannot unmarshal {kind(value)}{number} into Go struct field "
            f"{_GO_TYPE}.{path} of type {go_type}"
        )
    )


def _unknown(name: str) -> ConfigError:
    return ConfigError(invalid_json(f"json: unknown field {quoted(name, html=False)}"))
