"""The rules for mirrors, sources and subject transforms, in nats-server's order and words.

A stream that copies from one that copies from it would copy for ever. `forms_cycle` walks
from a new configuration along the streams that it would copy from; it may not come back,
whatever the filters on the way let through.

Left out, and refused by `unsupported_origin`: origins in other domains, consumers made by
hand, and the mapping functions beyond `wildcard`.
"""

from collections.abc import Mapping
from typing import cast

from kvcore.jetstream import errors
from kvcore.jetstream.config import Json, StreamConfig
from kvcore.jetstream.errors import ApiError, ConfigError, invalid_config
from kvcore.jetstream.origins import origins_of
from kvcore.jetstream.transform import Transform
from kvcore.nats import subject as subjects

CYCLE = invalid_config("detected cycle")
_NAME_STOPS = " \t\r\n\f.*>\\/"

# The numbers of the same four rules for a mirror and for a source.
_RULES = {
    "mirror": (10150, 10151, 10154, 10152, "mirror subject filters can not overlap"),
    "source": (10144, 10145, 10146, 10147, "source filters can not overlap"),
}


def check_origins(config: StreamConfig) -> None:
    """Refuse a mirror or source that can't work; raises `ConfigError`."""
    if config.mirror is not None:
        _check_mirror(config)
    for source in config.sources:
        if not _is_name(source.get("name")):
            raise ConfigError(errors.SOURCE_NAME_INVALID)
        _check_filters("source", "the source:", source)
    sources = origins_of(config) if config.sources else ()
    if len({origin.key for origin in sources}) < len(sources):
        raise ConfigError(ApiError(400, 10140, "duplicate source configuration detected"))
    _check_transform(config.subject_transform)


def _check_mirror(config: StreamConfig) -> None:
    assert config.mirror is not None
    if config.first_seq:
        raise ConfigError(errors.MIRROR_WITH_FIRST_SEQ)
    if config.subjects:
        raise ConfigError(errors.MIRROR_WITH_SUBJECTS)
    if config.sources:
        raise ConfigError(errors.MIRROR_WITH_SOURCES)
    if config.subject_delete_marker_ttl:
        raise ConfigError(invalid_config("subject delete markers forbidden on mirrors"))
    if not _is_name(config.mirror.get("name")):
        raise ConfigError(errors.MIRROR_NAME_INVALID)
    _check_filters("mirror", "the mirror", config.mirror)


def _is_name(name: object) -> bool:
    return isinstance(name, str) and bool(name) and not any(c in _NAME_STOPS for c in name)


def _check_filters(kind: str, place: str, document: Json) -> None:
    both, source_number, target_number, overlap_number, overlap = _RULES[kind]
    pattern = str(document.get("filter_subject") or "")
    pairs = cast("list[dict[str, str]]", document.get("subject_transforms") or [])
    if pattern and pairs:
        text = f"{kind} with multiple subject transforms cannot also have a single subject filter"
        raise ConfigError(ApiError(400, both, text))
    if pattern and not subjects.is_valid_subject(pattern):
        text = f"subject filter '{pattern}' for {place} invalid subject"
        raise ConfigError(ApiError(500, 10049, text))
    for pair in pairs:
        _check_pair(f"{kind} transform", pair, source_number, target_number)
    filters = [pair.get("src") or ">" for pair in pairs]
    for at, one in enumerate(filters):
        if subjects.first_overlap((one,), filters[at + 1 :]):
            raise ConfigError(ApiError(400, overlap_number, overlap))


def _check_transform(document: Json | None) -> None:
    if document:
        _check_pair("stream transform", cast("dict[str, str]", document), 10155, 10156)


def _check_pair(what: str, pair: Mapping[str, str], in_source: int, in_target: int) -> None:
    source, target = pair.get("src") or "", pair.get("dest") or ""
    if source and not subjects.is_valid_subject(source):
        raise ConfigError(ApiError(400, in_source, f"{what} source: invalid subject {source}"))
    if target and Transform.of(source or ">", target) is None:
        reason = "invalid transform"
        if "{{" in target and "wildcard" not in target.lower():
            reason = "this function is not supported by this server yet"
        text = f"{what}: invalid mapping destination: {reason}"
        raise ConfigError(ApiError(400, in_target, text))


def unsupported_origin(config: StreamConfig) -> str:
    """The field of a mirror or source that kvcore doesn't have, "" if there is none."""
    documents = [config.mirror or {}, *config.sources]
    for name in ("external", "consumer"):
        if any(document.get(name) for document in documents):
            return name
    return ""


def forms_cycle(config: StreamConfig, others: Mapping[str, StreamConfig]) -> bool:
    """Whether such a stream would copy, through others perhaps, from itself."""
    reached = {config.name: config}
    ahead = [config]
    while ahead:
        for origin in origins_of(ahead.pop()):
            if origin.name == config.name:
                return True
            found = others.get(origin.name)
            if found is not None and found.name not in reached:
                reached[found.name] = found
                ahead.append(found)
    return False
