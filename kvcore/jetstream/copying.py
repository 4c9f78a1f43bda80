"""Copying from one stream to another: what to take next, and whether it still is the next.

The leader of a mirror reads its origin and proposes what it finds to the mirror's own log,
a slice at a time. Between the proposal and its application the world may change: the
mirror may be promoted, an earlier copy be refused by a limit, another leader have proposed
the same. So each copy says after which sequence of the origin it comes, and `is_next`, at
apply, takes it only there. Nothing is copied twice, and nothing is left out unnoticed.

Left out: carrying the proposals out; `node/following.py` does.
"""

from kvcore.jetstream.commands import Copy
from kvcore.jetstream.origins import Origin
from kvcore.jetstream.records import StoredMessage
from kvcore.jetstream.state import StreamState
from kvcore.limits import Nanos


def position(state: StreamState, origin: Origin, life: str) -> int:
    """The last sequence of the origin that was copied, 0 if none was."""
    return state.positions.of(origin.key, life) if origin.key else state.last_seq


def first(origin: Origin, stream: StreamState) -> int:
    """Where copying begins in the origin's stream."""
    if origin.start_seq:
        return origin.start_seq
    return 1 if origin.start_time is None else stream.seq_at_time(origin.start_time)


def copy_of(origin: Origin, message: StoredMessage, after: int, life: str, now: Nanos) -> Copy:
    """The command that stores a message of the origin here."""
    return Copy(
        origin.key, life, after, message.seq, origin.subject(message.subject),
        origin.header(message.header, message.seq, message.subject, life),
        message.payload, message.time, now,
    )  # fmt: skip


def is_next(state: StreamState, command: Copy) -> bool:
    """Whether a copy continues what was copied before, from what is an origin still."""
    if not command.source:
        is_ahead = command.after == state.last_seq < command.seq
        return is_ahead and state.config.mirror is not None
    is_known = any(origin.key == command.source for origin in state.origins)
    return is_known and state.positions.of(command.source, command.life) == command.after
