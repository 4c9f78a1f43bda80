"""`$JS.API.INFO` and `$JS.API.STREAM.…`: what a client may ask of streams.

Questions are answered from applied state. What changes state becomes a proposal, and only
what no state can make right is refused before: bad JSON, or a name in the body that is not
the subject's.

In a cluster, what the meta group's leader can't know it has gathered from the streams' leaders.

Left out: backups (`backup_requests.py`) and the verbs of a cluster (`cluster_requests.py`).
"""

from kvcore import limits
from kvcore.jetstream import bodies, reads, subject_pages
from kvcore.jetstream.answers import Action, Answer, Answers, Gather, ProposeMeta, ProposeStream
from kvcore.jetstream.commands import (
    CreateStream,
    DeleteMessage,
    DeleteStream,
    Purge,
    UpdateStream,
)
from kvcore.jetstream.documents import read_object
from kvcore.jetstream.engines import require_engine
from kvcore.jetstream.errors import (
    BAD_REQUEST,
    NO_MESSAGE_FOUND,
    STREAM_MISMATCH,
    ConfigError,
    invalid_json,
)
from kvcore.jetstream.gojson import quoted
from kvcore.jetstream.requests import (
    Asked,
    Call,
    Context,
    Fields,
    is_empty,
    require_empty,
    wrong_type,
)
from kvcore.limits import Nanos
from kvcore.nats import subject as subjects


def account_info(context: Context, call: Call) -> Fields | Action:
    """INFO; nats-server ignores the payload."""
    if context.catalog.cluster is not None:
        return Gather(call.what, call.reply, (), {})
    return bodies.account_info(
        context.identity, [bodies.usage(context.catalog)], context.total, context.errors
    )


def create(context: Context, call: Call) -> Action:
    """STREAM.CREATE."""
    _require_name(call)
    require_engine(context.identity.engines, read_object(call.payload))
    return ProposeMeta(CreateStream(call.payload, call.reply, call.now))


def update(context: Context, call: Call) -> Action:
    """STREAM.UPDATE."""
    _require_name(call)
    context.require(call.names[0])
    return ProposeMeta(UpdateStream(call.payload, call.reply, call.now))


def _require_name(call: Call) -> None:
    """The configuration must have the name that the subject has."""
    name = read_object(call.payload).get("name")
    if name is not None and not isinstance(name, str):
        raise wrong_type("name", name)
    if name != call.names[0]:
        raise ConfigError(STREAM_MISMATCH)


def delete(context: Context, call: Call) -> Action:
    """STREAM.DELETE."""
    require_empty(call.payload)
    context.require(call.names[0])
    return ProposeMeta(DeleteStream(call.names[0], call.reply, call.now))


def info(context: Context, call: Call) -> Fields | Action:
    """STREAM.INFO; what doesn't even look like JSON is ignored, as on nats-server."""
    body = call.payload if call.payload.lstrip()[:1] in (b"{", b"[") else b""
    asked = Asked(body, offset=0, subjects_filter="", deleted_details=False)
    stream, pattern = context.stream(call.names[0]), asked.text("subjects_filter")
    offset, is_detailed = max(asked.number("offset"), 0), asked.flag("deleted_details")

    def shown(listed: tuple[int, int] = (0, 0)) -> dict[str, object]:
        fields = bodies.stream_info(
            stream,
            context.identity,
            call.now,
            subjects_filter="" if is_long else pattern,
            offset=offset,
            deleted_details=is_detailed,
            listed=listed,
        )
        name = call.names[0]
        return {**fields, **context.group(name), **context.catalog.origins(name)}

    is_long = bool(pattern) and subject_pages.is_long(stream, pattern)
    if not is_long:
        return shown()
    texts = subject_pages.pages(
        stream, pattern, offset, lambda listed: bodies.success(call.what, shown(listed))
    )
    return Answers(None if text is None else Answer(call.reply, text) for text in texts)


def names(context: Context, call: Call) -> Fields:
    """STREAM.NAMES, perhaps of those that could hold a subject."""
    found, numbers = _listed(context, call, limits.NAMES_PAGE_COUNT)
    return {**numbers, "streams": found or None}


def listing(context: Context, call: Call) -> Fields | Action:
    """STREAM.LIST, perhaps of those that could hold a subject."""
    found, numbers = _listed(context, call, limits.LIST_PAGE_COUNT)
    if context.catalog.cluster is not None:
        return Gather(call.what, call.reply, tuple(found), numbers)
    return {**numbers, "streams": [listed(context, name, call.now) for name in found]}


def listed(context: Context, name: str, now: Nanos) -> Fields:
    """A stream as LIST shows it."""
    fields = bodies.stream_listed(context.stream(name), now)
    return {**fields, **context.group(name), **context.catalog.origins(name)}


def _listed(context: Context, call: Call, limit: int) -> tuple[list[str], dict[str, object]]:
    asked = Asked(call.payload, offset=0, subject="")
    wanted = asked.text("subject")
    found = [
        name
        for name, config in sorted(context.configs().items())
        if not wanted or any(subjects.overlaps(own, wanted) for own in config.subjects)
    ]
    return bodies.page(found, asked.number("offset"), limit)


def purge(context: Context, call: Call) -> Action:
    """STREAM.PURGE."""
    asked = Asked(call.payload, filter="", keep=0, seq=0)
    keep, seq = asked.count("keep"), asked.count("seq")
    if keep and seq:
        raise ConfigError(BAD_REQUEST)
    context.stream(call.names[0])
    command = Purge(asked.text("filter"), keep, seq, call.reply, call.now)
    return ProposeStream(call.names[0], command)


def message_delete(context: Context, call: Call) -> Action:
    """STREAM.MSG.DELETE."""
    if is_empty(call.payload):
        raise ConfigError(BAD_REQUEST)
    asked = Asked(call.payload, seq=0, no_erase=False)
    context.stream(call.names[0])
    command = DeleteMessage(asked.count("seq"), asked.flag("no_erase"), call.reply, call.now)
    return ProposeStream(call.names[0], command)


def message_get(context: Context, call: Call) -> Fields:
    """STREAM.MSG.GET: one message, in JSON."""
    if not call.payload.strip():
        raise ConfigError(BAD_REQUEST)
    try:
        request, unknown = reads.parse(call.payload)
    except reads.WrongFieldError as error:
        raise wrong_type(error.name, error.value) from None
    if unknown:
        raise ConfigError(invalid_json(f"json: unknown field {quoted(unknown)}"))
    batched = request.batch > 0 or request.max_bytes > 0 or request.multi_last
    if batched or request.is_empty or request.is_contradictory:
        raise ConfigError(BAD_REQUEST)
    message = reads.find(context.stream(call.names[0]), request)
    if message is None:
        raise ConfigError(NO_MESSAGE_FOUND)
    return bodies.stored_message(message, no_header=request.no_hdr)
