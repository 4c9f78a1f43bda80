"""What a stream's limits refuse, and what they drop.

Two policies meet a full stream. With discard `new` the newcomer is refused, and nothing is
lost: that is what buckets use. With discard `old` the oldest messages go, whatever key they
belong to. History is a third limit, and always drops the subject's own oldest. A newcomer
that only replaces its subject's oldest is not refused for room that it leaves unchanged.

A purge is a bound on sequences in every form: `keep` and `seq` only move the bound.

When the last message of a subject dies of age, a stream with `subject_delete_marker_ttl`
leaves a marker behind, so that watchers learn of it. A marker leaves none itself, nor does
a purge marker of the KV clients.

Left out: interest and work queues; what consumers have to say about that is in `stream.py`.
"""

from kvcore.jetstream import conditions, errors
from kvcore.jetstream.config import StreamConfig
from kvcore.jetstream.errors import ApiError
from kvcore.jetstream.gojson import seconds
from kvcore.jetstream.messages import Messages
from kvcore.jetstream.records import StoredMessage, bytes_of
from kvcore.limits import SECOND_NS


def refusal(
    config: StreamConfig,
    messages: Messages,
    subject: str,
    header: bytes | None,
    payload: bytes,
    *,
    is_rollup: bool,
) -> ApiError | None:
    """Why a stream that discards new messages has no room for this one."""
    if config.discard != "new":
        return None
    replaces = 0 < config.max_msgs_per_subject <= messages.count_for(subject)
    if replaces and config.discard_new_per_subject and not is_rollup:
        return errors.MAX_PER_SUBJECT
    if 0 < config.max_msgs <= len(messages) and not replaces:
        return errors.MAX_MESSAGES
    if config.max_bytes > 0:
        size = bytes_of(subject, header, payload, in_file=config.storage == "file")
        if messages.bytes + size > config.max_bytes and not (
            replaces and messages.size_of(messages.first_for(subject)) >= size
        ):
            return errors.MAX_BYTES
    return None


def enforce(config: StreamConfig, messages: Messages, subject: str) -> list[int]:
    """Drop what exceeds the limits after a message of `subject` was stored."""
    removed = _enforce_history(config.max_msgs_per_subject, messages, subject)
    if config.discard == "old":
        removed += _enforce_totals(config, messages)
    return removed


def enforce_all(config: StreamConfig, messages: Messages) -> list[int]:
    """Drop what exceeds limits that were just lowered."""
    removed = _enforce_totals(config, messages) if config.discard == "old" else []
    if config.max_msgs_per_subject > 0:
        for subject in messages.matching(()):
            removed += _enforce_history(config.max_msgs_per_subject, messages, subject)
    return removed


def _enforce_history(depth: int, messages: Messages, subject: str) -> list[int]:
    removed: list[int] = []
    while 0 < depth < messages.count_for(subject):
        seq = messages.first_for(subject)
        messages.remove(seq)
        removed.append(seq)
    return removed


def _enforce_totals(config: StreamConfig, messages: Messages) -> list[int]:
    removed: list[int] = []
    while (0 < config.max_msgs < len(messages)) or (0 < config.max_bytes < messages.bytes):
        seq = messages.first_seq
        messages.remove(seq)
        removed.append(seq)
    return removed


def purge(messages: Messages, pattern: str, keep: int, seq: int) -> list[int]:
    """Drop messages that match (`""` is all): those below `seq`, or all but the last `keep`."""
    if seq == 1:
        return []
    filters = () if pattern in ("", ">") else (pattern,)
    if not filters and not keep and not seq:
        return messages.clear(messages.last_seq + 1)
    if not filters and seq > messages.last_seq:
        return messages.clear(seq)  # the next message gets this sequence
    if keep:
        matching = messages.sequences(filters)
        if keep >= len(matching):
            return []
        seq = matching[-keep]
    return messages.remove_below(filters, seq or messages.last_seq + 1)


def marker_seconds(config: StreamConfig) -> int:
    """How long a limit marker lives, 0 if the stream leaves none."""
    return config.subject_delete_marker_ttl // SECOND_NS


def leaves_marker(config: StreamConfig, messages: Messages, message: StoredMessage) -> bool:
    """Whether a message that dies of age leaves a marker: its subject's last, and no marker."""
    if not marker_seconds(config) or messages.count_for(message.subject) != 1:
        return False
    if message.header is None:
        return True
    headers = conditions.read_headers(message.header)
    return (
        not headers.get(conditions.MARKER_REASON)
        and headers.get(conditions.KV_OPERATION) != b"PURGE"
    )


def marker(config: StreamConfig) -> bytes:
    """The header block of a limit marker; its body is empty."""
    ttl = seconds(marker_seconds(config))
    return (
        f"NATS/1.0\r\nNats-Marker-Reason: MaxAge\r\nNats-TTL: {ttl}\r\nNats-Rollup: sub\r\n\r\n"
    ).encode()
