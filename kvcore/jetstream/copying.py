"""Copying from one stream to another: what to take next, and whether it still is the next.

The leader of a mirror reads its origin and proposes what it finds to the mirror's own log,
a slice at a time. Between the proposal and its application the world may change: the
mirror may be promoted, an earlier copy be refused by a limit, another leader have proposed
the same. So each copy says after which sequence of the origin it comes, and `is_next`, at
apply, takes it only there. Nothing is copied twice, and nothing is left out unnoticed.

Left out: carrying the proposals out; `node/following.py` does.
"""

from dataclasses import dataclass

from kvcore.jetstream import conditions, errors, retention
from kvcore.jetstream.commands import Copy
from kvcore.jetstream.errors import ApiError
from kvcore.jetstream.filters import matcher
from kvcore.jetstream.origins import Origin
from kvcore.jetstream.outcome import Outcome, Refused
from kvcore.jetstream.records import StoredMessage
from kvcore.jetstream.state import StreamState
from kvcore.jetstream.storing import Storing
from kvcore.limits import (
    COPIES_PER_TURN_BYTES,
    COPIES_PER_TURN_COUNT,
    COPIES_PER_TURN_SEEN,
    Nanos,
)


@dataclass(frozen=True, slots=True)
class Slice:
    """Part of an origin in one `life` of it: what follows those up to `after`. `ahead` is the
    next sequence to look at, and `lag` how many there are from there on that may be wanted."""

    life: str
    after: int
    ahead: int
    last_seq: int
    lag: int
    messages: tuple[StoredMessage, ...]

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing yet: neither messages nor more to look at."""
        return not self.messages and self.ahead > self.last_seq

    def lag_at(self, reached: int) -> int:
        """How many are wanted still by who has reached a sequence."""
        return self.lag + sum(message.seq > reached for message in self.messages)


def slice_of(  # noqa: PLR0917 - one call for each way to an origin
    stream: StreamState,
    filters: tuple[str, ...],
    life: str,
    after: int,
    ahead: int,
    most: int = COPIES_PER_TURN_COUNT,
) -> Slice:
    """What to copy next of an origin, from `ahead` on."""
    is_wanted = matcher(filters)
    start = max(ahead, stream.first_seq)
    found: list[StoredMessage] = []
    size = 0
    for seq in range(start, min(start + COPIES_PER_TURN_SEEN, stream.last_seq + 1)):
        subject = stream.subject_of(seq)
        if subject is not None and is_wanted(subject):
            message = stream.message(seq)
            assert message is not None
            size += len(message.payload) + len(message.header or b"")
            if found and size > COPIES_PER_TURN_BYTES:
                break
            found.append(message)
        ahead = seq + 1
        if len(found) >= most:
            break
    lag = max(stream.last_seq + 1 - max(ahead, stream.first_seq), 0)
    if lag and stream.messages <= COPIES_PER_TURN_SEEN:
        lag = len(stream.sequences(filters, ahead))
    lag = min(lag, stream.messages)
    return Slice(life, after, ahead, stream.last_seq, lag, tuple(found))


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


class Copying(Storing):
    """A stream that can take over another stream's messages."""

    def copy_refusal(self, command: Copy) -> ApiError | None:
        """Why a copy can't be stored now; its origin has to wait until it can."""
        config, block = self.config, command.header
        if config.sealed:
            return errors.STREAM_SEALED
        if 0 <= config.max_msg_size < len(block) + len(command.payload):
            return errors.MESSAGE_TOO_LARGE
        return retention.refusal(
            config, self._messages, self._named(command.subject), block or None,
            command.payload, is_rollup=b"\r\nNats-Rollup:" in block,
        )  # fmt: skip

    def _copy(self, command: Copy) -> Outcome:
        """Store another stream's message, if it is the next one to come from there."""
        outcome = Outcome(kind="Copy")
        is_mirror = not command.source
        if not is_next(self, command):
            return outcome
        refusal = self.copy_refusal(command)
        if refusal is not None:
            outcome.result = Refused(refusal)
            return outcome
        headers = conditions.read_headers(command.header)
        msg_id = "" if is_mirror else conditions.text(headers.get(conditions.MSG_ID, b""))
        if not is_mirror:
            self.positions.set(command.source, command.life, command.seq)
            if msg_id and self._recent.find(msg_id):
                return outcome
        self._time = max(self._time, command.stored)
        time = command.stored if is_mirror else self._time
        place = command.seq if is_mirror else self.last_seq + 1
        subject = self._named(command.subject)
        if self.config.retention == "interest" and not self._is_wanted(subject):
            self._messages.skip_to(place + 1)
            self._messages.last_time = time
            return outcome
        if place > self.last_seq + 1:
            self._messages.skip_to(place)
        ttl, block = 0, command.header or None
        if self.config.allow_msg_ttl and conditions.TTL in headers:
            ttl, block = self._raised(conditions.read_ttl(headers[conditions.TTL]) or 0, block)
        outcome.previous = self._messages.last_for(subject) if self.config.republish else 0
        outcome.stored, outcome.removed = self._store(subject, block, command.payload, ttl, time)
        outcome.subject = subject
        if self.config.republish:
            outcome.message = StoredMessage(place, subject, block, command.payload, time)
        if not is_mirror:
            self._note_id(msg_id, place)
        rollup = headers.get(conditions.ROLLUP, b"")
        if self.config.allow_rollup_hdrs and rollup.lower() in (b"sub", b"all"):
            outcome.removed += self._roll_up(rollup, subject, place)
        return outcome
