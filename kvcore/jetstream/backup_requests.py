"""`$JS.API.STREAM.SNAPSHOT.…` and `…RESTORE.…`: how a backup and its restore begin.

Both are more than a question and an answer. SNAPSHOT is answered with the stream's
configuration and state, which the client keeps beside the backup, and then the chunks come
to a subject of the client's. RESTORE gives that configuration back, is answered with a
subject of the server's, and the client sends the chunks there, each as a request.

Left out: the chunks (`node/backups.py`, `node/restores.py`).
"""

from kvcore import limits
from kvcore.jetstream import bodies
from kvcore.jetstream.answers import Action, Answer, ProposeMeta, SendBackup
from kvcore.jetstream.commands import BeginRestore
from kvcore.jetstream.documents import read_object, write
from kvcore.jetstream.engines import require_engine
from kvcore.jetstream.errors import (
    SNAPSHOT_SUBJECT_INVALID,
    STREAM_MISMATCH,
    ConfigError,
)
from kvcore.jetstream.requests import Asked, Call, Context, require_given, wrong_type
from kvcore.nats import subject as subjects


def snapshot(context: Context, call: Call) -> Action:
    """STREAM.SNAPSHOT. Watches and other consumers without a durable name stay out: they
    live as long as their client, who is not coming along."""
    require_given(call.payload)
    stream = context.stream(call.names[0])
    asked = Asked(
        call.payload,
        deliver_subject="",
        no_consumers=False,
        chunk_size=0,
        window_size=0,
        jsck=False,
    )
    to = asked.text("deliver_subject")
    if not subjects.is_valid_literal(to):
        raise ConfigError(SNAPSHOT_SUBJECT_INVALID)
    chunk = _within(
        asked.number("chunk_size") or limits.SNAPSHOT_CHUNK_BYTES,
        limits.SNAPSHOT_CHUNK_MIN_BYTES,
        limits.SNAPSHOT_CHUNK_MAX_BYTES,
    )
    window = _within(
        asked.number("window_size") or limits.SNAPSHOT_WINDOW_BYTES,
        limits.SNAPSHOT_WINDOW_MIN_BYTES,
        limits.SNAPSHOT_WINDOW_MAX_BYTES,
    )
    durable = [name for name, one in stream.consumers.items() if one.config.durable_name]
    answer = {"config": stream.config.to_json(), "state": stream.state()}
    return SendBackup(
        Answer(call.reply, bodies.success(call.what, answer)),
        call.names[0],
        to,
        () if asked.flag("no_consumers") else tuple(durable),
        chunk,
        max(window, chunk),
    )


def _within(value: int, least: int, most: int) -> int:
    return min(max(value, least), most)


def restore(context: Context, call: Call) -> Action:
    """STREAM.RESTORE. The state that comes along is the client's note; the backup decides."""
    require_given(call.payload)
    document = read_object(call.payload)
    config = document.get("config") or {}
    if not isinstance(config, dict):
        raise wrong_type("config", config)
    name = config.setdefault("name", call.names[0])
    if name != call.names[0]:
        raise ConfigError(STREAM_MISMATCH)
    require_engine(context.identity.engines, config)
    return ProposeMeta(BeginRestore(write(config), call.reply, call.now))
