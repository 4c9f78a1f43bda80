"""The checks that a publish must pass, in the order that clients rely on.

Only the first failure is told, so the order is part of the protocol:

    sealed → size → header size → expected stream → TTL disabled → last sequence of the subject
    → last sequence → duplicate id → last id → rollup → resources → TTL form → the store's limits

The duplicate check is not a refusal, but stands in the middle, so `before_duplicate` and
`after_duplicate` are two functions. The last two are `stream.py`'s and `retention.py`'s.

A subject with a wildcard is refused: nats-server would store it under its literal text,
where no reader can ask for it alone.

Left out: counters, schedules and atomic batches. Their headers are refused, since a client
that sends them relies on them.
"""

from kvcore.jetstream import conditions, errors
from kvcore.jetstream.commands import Publish
from kvcore.jetstream.conditions import Headers, read_sequence, read_ttl, text
from kvcore.jetstream.errors import ApiError
from kvcore.jetstream.filters import is_literal
from kvcore.jetstream.state import StreamState
from kvcore.limits import HEADER_BYTES

_UNSUPPORTED = {
    b"Nats-Incr": errors.COUNTERS_DISABLED,
    b"Nats-Schedule": errors.SCHEDULES_DISABLED,
    b"Nats-Batch-Id": errors.BATCHES_DISABLED,
    b"Nats-Stream-Source": errors.SOURCE_HEADER_DENIED,
}


def before_duplicate(state: StreamState, command: Publish, headers: Headers) -> ApiError | None:
    """The checks that come before the duplicate id."""
    config = state.config
    if config.sealed:
        return errors.STREAM_SEALED
    if ("*" in command.subject or ">" in command.subject) and not is_literal(command.subject):
        return errors.WILDCARD_SUBJECT
    header_bytes = len(command.header) if command.header else 0
    if 0 <= config.max_msg_size < header_bytes + len(command.payload):
        return errors.MESSAGE_TOO_LARGE
    if header_bytes >= HEADER_BYTES:
        return errors.HEADER_TOO_LARGE
    return _expectations(state, command.subject, headers) if headers else None


def _expectations(state: StreamState, subject: str, headers: Headers) -> ApiError | None:
    if (value := headers.get(conditions.EXPECTED_STREAM)) and text(value) != state.config.name:
        return errors.STREAM_DOES_NOT_MATCH
    if (
        (value := headers.get(conditions.TTL))
        and not state.config.allow_msg_ttl
        and read_ttl(value)
    ):
        return errors.TTL_DISABLED
    if refusal := subject_moved_on(state, subject, headers):
        return refusal
    if (value := headers.get(conditions.EXPECTED_LAST_SEQ)) and read_sequence(
        value
    ) != state.last_seq:
        return errors.wrong_last_sequence(state.last_seq)
    for key, refusal in _UNSUPPORTED.items():
        if headers.get(key):
            return refusal
    return None


def subject_moved_on(state: StreamState, subject: str, headers: Headers) -> ApiError | None:
    """The refusal of a write whose subject has another last message than it expected."""
    if value := headers.get(conditions.EXPECTED_SUBJECT_SEQ):
        other = headers.get(conditions.EXPECTED_SUBJECT)
        last = state.last_seq_for(text(other) if other else subject)
        if read_sequence(value) != last:
            return errors.wrong_last_sequence(last)
    elif headers.get(conditions.EXPECTED_SUBJECT):
        return errors.SUBJECT_SEQUENCE_MISSING
    return None


def after_duplicate(state: StreamState, command: Publish, headers: Headers) -> ApiError | None:
    """The checks that come after it, up to the server's resources."""
    config = state.config
    if (value := headers.get(conditions.EXPECTED_LAST_MSG_ID)) and text(value) != state.last_msg_id:
        return errors.wrong_last_msg_id(state.last_msg_id)
    if value := headers.get(conditions.ROLLUP):
        if not config.allow_rollup_hdrs or config.deny_purge:
            return errors.ROLLUP_DENIED
        if value.lower() not in (b"sub", b"all"):
            return errors.rollup_invalid(text(value.lower()))
    return errors.INSUFFICIENT_RESOURCES if command.is_full else None
