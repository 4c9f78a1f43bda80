"""What a backup's records must be before a store takes them.

Checksums tell of accidents. They say nothing of someone who makes a backup by hand, and a
stream that was rebuilt from records that contradict each other would fail later, far from
the cause: in an index, in a consumer, at the next start. So each record is read here as its
owner would read it, against those that came before: known keys alone, each in its place,
sequences that rise, consumers that the API would have admitted,
and only messages that are there as delivered and not acknowledged.

Left out: whether a message obeys the stream's limits. They are enforced once it stands.
"""

from dataclasses import replace
from struct import error as StructError  # noqa: N812 - it is a class

from kvcore import limits
from kvcore.jetstream import checks, consumer_config, ledger
from kvcore.jetstream.archive import ArchiveError
from kvcore.jetstream.config import ConsumerLimits, StreamConfig
from kvcore.jetstream.consumer_config import ConsumerConfig
from kvcore.jetstream.errors import ApiError, ConfigError
from kvcore.jetstream.progress import is_tracked
from kvcore.jetstream.records import (
    MESSAGE,
    StreamRecord,
    decode_message,
    decode_stamped,
    decode_state,
)
from kvcore.jetstream.shapes import from_json
from kvcore.nats import subject as subjects
from kvcore.storage import keys

_ORDER = b"SCADM"
_ENTRY_BYTES = 17


class RecordChecks:
    """Checks the records of one archive, in order; raises `ArchiveError`. The stream must
    be the one of `config`, and stay on its storage."""

    def __init__(self, config: StreamConfig) -> None:
        self._wanted = config
        self._state: StreamRecord | None = None
        self._config: StreamConfig | None = None
        self._consumers: dict[str, ConsumerConfig] = {}
        self._ledgers: dict[str, ledger.Ledger] = {}
        self._ids: dict[bytes, None] = {}
        self._open: dict[int, None] = {}  # sequences that a consumer waits for
        self._last_key = b""
        self._last_letter = 0
        self._last_seq = 0

    def check(self, key: bytes, value: bytes) -> None:
        """One record; `key` is its letter and what follows the group."""
        letter, suffix = key[:1], key[1:]
        place = _ORDER.find(letter)
        if place < self._last_letter or (place == self._last_letter and key <= self._last_key):
            raise ArchiveError(f"the record {key!r} is out of place")
        self._last_letter, self._last_key = place, key
        if letter != b"S" and self._state is None:
            raise ArchiveError("the stream's own record is missing")
        try:
            match letter:
                case b"S":
                    self._check_state(suffix, value)
                case b"C":
                    self._check_consumer(suffix.decode(), value)
                case b"A":
                    self._check_progress(suffix, value)
                case b"D":
                    self._check_id(suffix, value)
                case _:
                    self._check_message(suffix, value)
        except (StructError, UnicodeDecodeError, IndexError, ConfigError) as error:
            raise ArchiveError(f"the record {key!r} is not readable: {error}") from error

    def finish(self) -> None:
        """All records were given."""
        if self._state is None or self._config is None:
            raise ArchiveError("the stream's own record is missing")
        if self._open:
            raise ArchiveError(
                f"a consumer waits for message {next(iter(self._open))}, which is not there"
            )

    def _check_state(self, suffix: bytes, value: bytes) -> None:
        if suffix == b"":
            state = self._state = decode_state(value)
            numbers = (state.last_seq, state.first_seq, state.time, state.last_time)
            if max(numbers) > limits.SEQUENCE_MAX:
                raise ArchiveError("the stream's own record has impossible numbers")
            if state.first_seq > state.last_seq + 1:
                raise ArchiveError("the stream begins after its end")
        elif suffix == b"c":
            _, encoded = decode_stamped(value)
            self._config = _sound(encoded)
            if self._config.name != self._wanted.name:
                raise ArchiveError(
                    f"the backup is of the stream {self._config.name}, not {self._wanted.name}"
                )
            if self._config.storage != self._wanted.storage:
                raise ArchiveError(f"the backup is of a stream in {self._config.storage} storage")
        elif suffix[:1] == b"o":
            suffix.decode()
            seq, life = decode_stamped(value)
            life.decode()
            if seq > limits.SEQUENCE_MAX:
                raise ArchiveError("a source's position is impossible")
        else:
            raise ArchiveError(f"the stream has no record {suffix!r}")

    def _check_consumer(self, name: str, value: bytes) -> None:
        if self._config is None:
            raise ArchiveError("the stream's configuration is missing")
        _, encoded = decode_stamped(value)
        # The stream's subjects and limits may have changed since the consumer was admitted.
        once = replace(
            self._config, subjects=(), max_consumers=-1, consumer_limits=ConsumerLimits()
        )
        others = list(self._consumers.values())
        admitted = consumer_config.admit(encoded, "", once, None, others)
        if isinstance(admitted, ApiError):
            raise ArchiveError(f"the consumer {name}: {admitted.description}")
        if admitted.durable_name != name:
            raise ArchiveError(f"the consumer {name} has another name in its configuration")
        config = consumer_config.decode(encoded)
        if replace(admitted, pause_until=config.pause_until) != config:
            raise ArchiveError(f"the consumer {name} has settings that no server would keep")
        self._consumers[name] = config

    def _check_progress(self, suffix: bytes, value: bytes) -> None:
        encoded, dot, number = suffix.partition(b".")
        name = encoded.decode()
        config = self._consumers.get(name)
        if config is None or self._config is None or not is_tracked(config, self._config):
            raise ArchiveError(f"the position of {name} belongs to no consumer")
        if not dot:
            self._ledgers[name] = position = ledger.decode(config.ack_policy, value)
            stream = (position.delivered_stream, position.floor_stream, position.last_seq)
            counts = (position.delivered_consumer, position.floor_consumer)
            if max(*stream, *counts) > limits.SEQUENCE_MAX:
                raise ArchiveError(f"the position of {name} is impossible")
            return
        position = self._ledgers[name] if name in self._ledgers else _missing(name)
        seq = _number(number)
        if len(value) != _ENTRY_BYTES or value[-1] > 1:
            raise ArchiveError(f"what {name} waits for is not readable")
        position.read_entry(seq, value)
        first = position.pending.get(seq, 1)
        again = position.again.get(seq, 0)
        if not (0 < seq <= position.delivered_stream and again <= limits.SEQUENCE_MAX):
            raise ArchiveError(f"{name} waits for message {seq}, which it never delivered")
        if not 0 < first <= position.delivered_consumer or not (seq in position.pending or again):
            raise ArchiveError(f"{name} waits for message {seq}, which it never delivered")
        self._open[seq] = None

    def _check_id(self, suffix: bytes, value: bytes) -> None:
        time, msg_id = decode_stamped(value)
        if not 0 < _number(suffix) <= self._end or time > limits.SEQUENCE_MAX:
            raise ArchiveError("a message id belongs to no message")
        if msg_id in self._ids:
            raise ArchiveError("a message id is there twice")
        self._ids[msg_id] = None

    def _check_message(self, suffix: bytes, value: bytes) -> None:
        seq = _number(suffix)
        _, subject_length, header_length = MESSAGE.unpack_from(value)
        if MESSAGE.size + subject_length + header_length > len(value):
            raise ArchiveError(f"message {seq} is cut short")
        message = decode_message(seq, value)
        if not self._last_seq < seq <= self._end:
            raise ArchiveError(f"message {seq} is not in the stream")
        if message.time > limits.SEQUENCE_MAX:
            raise ArchiveError(f"message {seq} was stored at an impossible time")
        if not subjects.is_valid_literal(message.subject):
            raise ArchiveError(f"message {seq} has an impossible subject")
        header = message.header
        if header is not None and not _is_header(header):
            raise ArchiveError(f"message {seq} has an impossible header")
        self._last_seq = seq
        self._open.pop(seq, None)

    @property
    def _end(self) -> int:
        assert self._state is not None
        return self._state.last_seq


def _sound(encoded: bytes) -> StreamConfig:
    config = checks.normalised(from_json(encoded))
    # What is sealed may be restored, and where the meta group has found places for it.
    open_again = replace(config, sealed=False, num_replicas=1)
    refusal = checks.create_refusal(open_again) or checks.unsupported(open_again)
    if refusal is not None:
        raise ArchiveError(f"the stream's configuration: {refusal.description}")
    return config


def _number(suffix: bytes) -> int:
    if len(suffix) != 8:
        raise ArchiveError(f"{suffix!r} is no sequence")
    return int.from_bytes(suffix)


def _missing(name: str) -> ledger.Ledger:
    raise ArchiveError(f"the position of {name} is missing")


def _is_header(block: bytes) -> bool:
    is_small = len(block) <= limits.HEADER_BYTES
    return is_small and block.startswith(b"NATS/1.0") and block.endswith(b"\r\n\r\n")


def stored_key(gid: int, key: bytes) -> bytes:
    """Where a record of an archive stands in the store of the group `gid`."""
    return keys.span(key[:1], gid)[0] + key[1:]
