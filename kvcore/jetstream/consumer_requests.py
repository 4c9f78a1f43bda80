"""`$JS.API.CONSUMER.…`: what a client may ask of consumers.

CREATE has grown three shapes: the stream alone in the subject (nats-py's ordered
consumers), the consumer's name after it, and the filter after that (everybody else), whose
dots make it many tokens. An old fourth one, DURABLE.CREATE, is read the same way. What the
subject says must agree with the body, and that is judged here; whether the stream will have
such a consumer is judged at apply.

Left out: MSG.NEXT, which is a subject of each pull consumer (`pulls.py`).
"""

from collections.abc import Iterator

from kvcore import limits
from kvcore.jetstream import bodies
from kvcore.jetstream.answers import Action, Answer, Answers, ProposeStream
from kvcore.jetstream.commands import CreateConsumer, DeleteConsumer, PauseConsumer
from kvcore.jetstream.consumer_checks import (
    DURABLE_MISMATCH,
    DURABLE_NOT_SET,
    EPHEMERAL_DURABLE,
    FILTER_MISMATCH,
    FILTERS_IN_SUBJECT,
    NAME_SEPARATORS,
)
from kvcore.jetstream.consumer_config import check_shape
from kvcore.jetstream.documents import read_object, write
from kvcore.jetstream.errors import (
    CONSUMER_BOUND,
    CONSUMER_NOT_FOUND,
    REPLICAS_UNSUPPORTED,
    STREAM_MISMATCH,
    ApiError,
    ConfigError,
    invalid_json,
)
from kvcore.jetstream.gojson import quoted
from kvcore.jetstream.requests import Asked, Call, Context, Fields, require_empty, wrong_type
from kvcore.jetstream.times import parse_rfc3339

_NAME_LENGTH = 8
_LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def create(context: Context, call: Call) -> Action:
    """CONSUMER.CREATE in its three shapes."""
    return _create(context, call, durable=False)


def create_durable(context: Context, call: Call) -> Action:
    """CONSUMER.DURABLE.CREATE."""
    return _create(context, call, durable=True)


def _create(context: Context, call: Call, *, durable: bool) -> Action:
    document, config = _read(call.payload)
    name = call.names[1] if len(call.names) > 1 else str(config.get("name", ""))
    refusal = _contradiction(call.names, name, document, config, durable=durable)
    if refusal is not None:
        raise ConfigError(refusal)
    if _replicas(config) > 1 and not context.identity.cluster:
        raise ConfigError(REPLICAS_UNSUPPORTED)
    stream_name = call.names[0]
    context.stream(stream_name)
    wanted = document.get("config") or {}
    assert isinstance(wanted, dict)
    if _is_bound_elsewhere(context, stream_name, name, document):
        raise ConfigError(CONSUMER_BOUND)
    if name:  # the subject's wins over the body's
        wanted["name"] = name
    command = CreateConsumer(
        write(wanted),
        name or _new_name(context, stream_name),
        str(document.get("action") or "") or _seen(context, stream_name, name),
        call.reply,
        call.now,
    )
    return ProposeStream(stream_name, command)


def _seen(context: Context, stream_name: str, name: str) -> str:
    """The action of a request that names none: whether it means to add the consumer."""
    return "first" if context.catalog.consumers(stream_name).get(name) is None else ""


def _is_bound_elsewhere(
    context: Context, stream_name: str, name: str, document: dict[str, object]
) -> bool:
    """Whether a push consumer that somebody listens to is to deliver to another subject."""
    known = context.catalog.consumers(stream_name).get(name)
    wanted = document.get("config") or {}
    assert isinstance(wanted, dict)
    if known is None or not known.interested or document.get("action") == "create":
        return False
    return bool(wanted.get("deliver_subject")) and not known.listens_to(wanted["deliver_subject"])


def _read(payload: bytes) -> tuple[dict[str, object], dict[str, object]]:
    """The request and its configuration, both of the right shape."""
    document = read_object(payload)
    for name, value in document.items():
        if name not in ("stream_name", "config", "action", "pedantic"):
            raise ConfigError(invalid_json(f"json: unknown field {quoted(name)}"))
        expected = {"config": dict, "pedantic": bool}.get(name, str)
        if value is not None and not isinstance(value, expected):
            raise wrong_type(name, value)
    action = document.get("action") or ""
    if action not in ("", "create", "update"):
        text = f"unknown consumer action: {quoted(str(action), html=False)}"
        raise ConfigError(invalid_json(text))
    config = document.get("config") or {}
    assert isinstance(config, dict)
    return document, check_shape(config)


def _contradiction(
    names: list[str],
    name: str,
    document: dict[str, object],
    config: dict[str, object],
    *,
    durable: bool,
) -> ApiError | None:
    """Where the subject and the body disagree, in nats-server's order."""
    if (document.get("stream_name") or "") != names[0]:
        return STREAM_MISMATCH
    if "/" in name or "\\" in name:
        return NAME_SEPARATORS
    durable_name = config.get("durable_name", "")
    if durable and not durable_name:
        return DURABLE_NOT_SET
    if durable_name and len(names) == 1:
        return EPHEMERAL_DURABLE
    if durable_name and durable_name != name:
        return DURABLE_MISMATCH
    subject_filter = ".".join(names[2:])
    if subject_filter and config.get("filter_subjects"):
        return FILTERS_IN_SUBJECT
    if subject_filter and config.get("filter_subject", "") != subject_filter:
        return FILTER_MISMATCH
    return None


def _replicas(config: dict[str, object]) -> int:
    replicas = config.get("num_replicas", 0)
    assert isinstance(replicas, int)
    return replicas


def _new_name(context: Context, stream_name: str) -> str:
    """A name for a consumer whose client gave none, not in use on the stream."""
    taken = context.stream(stream_name).consumers
    while True:
        name = "".join(context.rng.choices(_LETTERS, k=_NAME_LENGTH))
        if name not in taken:
            return name


def info(context: Context, call: Call) -> Fields:
    """CONSUMER.INFO."""
    require_empty(call.payload)
    context.stream(call.names[0])
    consumer = context.catalog.consumers(call.names[0]).get(call.names[1])
    if consumer is None:
        raise ConfigError(CONSUMER_NOT_FOUND)
    return {**consumer.info(call.now, context.identity.version), **context.group(call.names[0])}


def delete(context: Context, call: Call) -> Action:
    """CONSUMER.DELETE."""
    require_empty(call.payload)
    context.stream(call.names[0])
    return ProposeStream(call.names[0], DeleteConsumer(call.names[1], call.reply, call.now))


def pause(context: Context, call: Call) -> Action:
    """CONSUMER.PAUSE; without a time it resumes."""
    asked = Asked(call.payload, pause_until="")
    text = asked.text("pause_until")
    until = parse_rfc3339(text) if text else 0
    if until is None:
        raise wrong_type("pause_until", text)
    context.stream(call.names[0])
    command = PauseConsumer(call.names[1], max(until, 0), call.reply, call.now)
    return ProposeStream(call.names[0], command)


def names(context: Context, call: Call) -> Fields:
    """CONSUMER.NAMES."""
    asked = Asked(call.payload, offset=0, subject="")
    found = _names(context, call.names[0])
    page, numbers = bodies.page(found, asked.number("offset"), limits.NAMES_PAGE_COUNT)
    return {**numbers, "consumers": page}


def listing(context: Context, call: Call) -> Fields | Action:
    """CONSUMER.LIST. Those that still search for what they deliver end it first, in slices."""
    asked = Asked(call.payload, offset=0)
    found = _names(context, call.names[0])
    page, numbers = bodies.page(found, asked.number("offset"), limits.LIST_PAGE_COUNT)
    known = context.catalog.consumers(call.names[0])
    consumers = [known.get(name) for name in page]

    def shown() -> Fields:
        group = context.group(call.names[0])
        listed = [{**one.info(call.now, ""), **group} for one in consumers if one]
        return {**numbers, "consumers": listed}

    def slices() -> Iterator[Answer | None]:
        for one in consumers:
            while one is not None and not one.is_ready:
                one.search()
                yield None
        yield Answer(call.reply, bodies.success(call.what, shown()))

    is_long = any(one is not None and not one.is_ready for one in consumers)
    return Answers(slices()) if is_long else shown()


def _names(context: Context, stream_name: str) -> list[str]:
    context.stream(stream_name)
    return [consumer.name for consumer in context.catalog.consumers(stream_name)]
