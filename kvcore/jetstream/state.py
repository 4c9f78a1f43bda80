"""What a stream is between two commands: its parts, its reads, its place in the store.

Commands change a stream (`stream.py`); everything else only looks. Consumers and the API
look often, and must not copy: a read by sequence or subject costs a dictionary lookup and
one record, a listing touches no values at all.

The store holds the messages, and one small record with what they can't tell. On start the
messages are scanned once and the rest is rebuilt: index, counts, ids, due times.

Left out: the rest of an answer's shape; `bodies.py` makes that.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from kvcore import limits
from kvcore.jetstream import conditions, consumer_config
from kvcore.jetstream.config import StreamConfig, decode_config
from kvcore.jetstream.consumer_config import ConsumerConfig
from kvcore.jetstream.dedup import RecentIds
from kvcore.jetstream.expiry import Expiry
from kvcore.jetstream.ledger import Ledger
from kvcore.jetstream.messages import Found, Messages
from kvcore.jetstream.origins import Positions, origins_of
from kvcore.jetstream.records import (
    StoredMessage,
    StreamRecord,
    decode_message,
    decode_stamped,
    decode_state,
    encode_stamped,
    encode_state,
)
from kvcore.jetstream.times import rfc3339
from kvcore.jetstream.transform import Transform
from kvcore.limits import RESTORE_SLICE_COUNT, Nanos
from kvcore.nats import subject as subjects
from kvcore.storage import keys
from kvcore.storage.overlay import Records


class ConsumerRecord(NamedTuple):
    """A consumer that the stream knows; how far it has come is in `ledgers`, or the host's
    business alone."""

    config: ConsumerConfig
    created: Nanos


@dataclass(slots=True)
class Budget:
    """Bytes that all streams of one engine on one server share; -1 is no bound."""

    limit: int = -1
    used: int = 0

    def has_room(self) -> bool:
        """Whether another message may come."""
        return self.limit < 0 or self.used <= self.limit


class StreamState:
    """A stream's state. A new one writes its first records at once; an existing one is
    rebuilt from `records`, and then `config` and `created` are those of the records. A host
    that has not the time for it says `at_once=False` and goes through `restoring` itself."""

    def __init__(
        self,
        gid: int,
        config: StreamConfig,
        created: Nanos,
        records: Records,
        budget: Budget | None = None,
        *,
        at_once: bool = True,
    ) -> None:
        state_key = keys.state(gid)
        stored = records.get(state_key + b"c")
        if stored is not None:
            created, encoded = decode_stamped(stored)
            config = decode_config(encoded)
        self.gid = gid
        self.config = config
        self.created = created
        self.consumers: dict[str, ConsumerRecord] = {}
        self.ledgers: dict[str, Ledger] = {}  # of those consumers whose progress the log keeps
        self.last_msg_id = ""
        self._records = records
        self._budget = budget or Budget()
        self._time: Nanos = 0
        self._messages = Messages(gid, records, in_file=config.storage == "file")
        self._recent = RecentIds(gid, records)
        self._expiry = Expiry()
        self.positions = Positions(gid, records)
        self._adopt(config)
        self._age_from = 0  # every message below this is exempt from max_age
        self._state_key = state_key
        state = records.get(state_key)
        if state is None:
            if config.first_seq:
                self._messages.skip_to(config.first_seq)
            self._save_config()
            self._save(0)
        elif at_once:
            for _ in self.restoring():
                pass

    def _adopt(self, config: StreamConfig) -> None:
        """Take a configuration for the one in force."""
        self.config = config
        self.origins = origins_of(config)
        wanted = config.subject_transform or {}
        target = str(wanted.get("dest") or "")
        self._transform = Transform.of(str(wanted.get("src") or ">"), target) if target else None

    def _named(self, subject: str) -> str:
        """What a message's subject becomes when it is stored."""
        transform = self._transform
        if transform is None or not subjects.matches(transform.source, subject):
            return subject
        return transform.apply(subject)

    def restoring(self) -> Iterator[None]:
        """Rebuild what is in memory from the records, in slices of some milliseconds."""
        view = self._records.view()
        try:
            for count, (seq, record) in enumerate(self._messages.restore(view), 1):
                if self.config.allow_msg_ttl and b"\r\nNats-TTL:" in record:
                    self._await_expiry(decode_message(seq, record))
                if count % RESTORE_SLICE_COUNT == 0:
                    yield
        finally:
            view.close()
        stored = self._records.get(self._state_key)
        assert stored is not None
        self._restore(decode_state(stored))
        self._budget.used += self._messages.bytes

    def _restore(self, state: StreamRecord) -> None:
        if state.last_seq > self._messages.last_seq:
            self._messages.skip_to(state.last_seq + 1)
        if not len(self._messages):
            self._messages.first_seq = state.first_seq
        self._messages.last_time = state.last_time
        self._time = state.time
        self.last_msg_id = state.last_msg_id
        self._recent.restore()
        self.positions.restore()
        for key, record in self._records.scan(*keys.consumers(self.gid)):
            created, consumer = decode_stamped(record)
            self.consumers[keys.suffix(key).decode()] = ConsumerRecord(
                consumer_config.decode(consumer), created
            )

    def _await_expiry(self, message: StoredMessage) -> None:
        """A message lives as long as its header says."""
        headers = conditions.read_headers(message.header or b"")
        ttl = conditions.read_ttl(headers.get(conditions.TTL, b""))
        self._expiry.add(message.seq, message.time, ttl or 0)

    def _save(self, index: int) -> None:
        """Write the state record: `index` is the last command that was applied."""
        messages = self._messages
        state = StreamRecord(
            index,
            messages.last_seq,
            messages.first_seq,
            self._time,
            messages.last_time,
            self.last_msg_id,
        )
        self._records.put(self._state_key, encode_state(state))

    def _save_config(self) -> None:
        record = encode_stamped(self.created, self.config.encode())
        self._records.put(self._state_key + b"c", record)

    # -- reads -----------------------------------------------------------------------------

    @property
    def first_seq(self) -> int:
        """The first message's sequence; when empty, the next message's; 0 before any."""
        return self._messages.first_seq

    @property
    def last_seq(self) -> int:
        """The last sequence that was given, even if its message is gone."""
        return self._messages.last_seq

    @property
    def messages(self) -> int:
        """How many messages there are."""
        return len(self._messages)

    @property
    def bytes(self) -> int:
        """What they count for, in nats-server's accounting."""
        return self._messages.bytes

    def state(self) -> dict[str, object]:
        """The `state` object of STREAM.INFO, with nats-server's keys."""
        messages = self._messages
        count = len(messages)
        deleted = messages.last_seq + 1 - messages.first_seq - count if count else 0
        out: dict[str, object] = {
            "messages": count,
            "bytes": messages.bytes,
            "first_seq": messages.first_seq,
            "first_ts": rfc3339(messages.time_of(messages.first_seq) if count else 0),
            "last_seq": messages.last_seq,
            "last_ts": rfc3339(messages.last_time),
        }
        if count:
            out["num_subjects"] = messages.subject_count()
        if deleted:
            out["num_deleted"] = deleted
        out["consumer_count"] = len(self.consumers)
        return out

    def missing(self) -> list[int]:
        """Sequences between first and last that are gone, for `deleted_details`."""
        return self._messages.missing(limits.DELETED_DETAILS_COUNT)

    def message(self, seq: int) -> StoredMessage | None:
        """The message with this sequence."""
        return self._messages.get(seq)

    def read(self, seqs: Iterable[int]) -> Iterator[Found]:
        """Of many messages the sequence, subject and record (`records.split`)."""
        return self._messages.read(seqs)

    @property
    def era(self) -> int:
        """What tells the contents of a stream in memory from those that it lost; else 0."""
        record = self._records.get(keys.era(self.gid))
        return 0 if record is None else int.from_bytes(record, "big")

    def subject_of(self, seq: int) -> str | None:
        """Its subject, without reading the message; None if it isn't there."""
        return self._messages.subject_of(seq) if seq in self._messages else None

    def last_seq_for(self, subject: str) -> int:
        """The last sequence of a subject or pattern, 0 if it has none."""
        return self._messages.last_matching(subject)

    def next_seq(self, filters: Sequence[str] = (), from_seq: int = 0) -> int:
        """The first sequence that matches at or after `from_seq`, 0 if there is none."""
        return self._messages.next_seq(filters, from_seq)

    def walk(self, filters: Sequence[str] = (), from_seq: int = 0) -> Iterator[Sequence[int]]:
        """As `sequences`, a slice at a time; see `index.py`."""
        return self._messages.walk(filters, from_seq)

    def walk_newest(self, filters: Sequence[str], up_to_seq: int) -> Iterator[Sequence[int]]:
        """As `last_per_subject`, a slice at a time."""
        return self._messages.walk_newest(filters, up_to_seq)

    @property
    def looked(self) -> int:
        """How many subjects and messages searches have looked at so far."""
        return self._messages.looked

    def sequences(self, filters: Sequence[str] = (), from_seq: int = 0) -> list[int]:
        """The sequences that match, ascending, from `from_seq` on."""
        return self._messages.sequences(filters, from_seq)

    def last_per_subject(
        self, filters: Sequence[str] = (), up_to_seq: int | None = None
    ) -> list[int]:
        """Each matching subject's newest sequence (at or below `up_to_seq`), ascending."""
        return self._messages.last_per_subject(filters, up_to_seq)

    def subjects(self, pattern: str = ">") -> dict[str, int]:
        """How many messages each matching subject has."""
        return self._messages.totals((pattern,))

    def count_for(self, subject: str) -> int:
        """How many messages a literal subject has."""
        return self._messages.count_for(subject)

    def near(self, pattern: str) -> list[str]:
        """The subjects that may match, ascending: those that begin as the pattern does."""
        return self._messages.near((pattern,))

    def may_match(self, pattern: str) -> int:
        """How many these are."""
        return self._messages.may_match((pattern,))

    def seq_at_time(self, time: Nanos) -> int:
        """The first sequence stored at or after `time`, one past the last if there is none."""
        return self._messages.seq_at_time(time)

    def has_room(self) -> bool:
        """Whether the server has bytes left for streams of this kind: what a leader stamps
        into `Publish.is_full`. Apply never asks, or a restart might refuse what it stored."""
        return self._budget.has_room()

    def release(self) -> None:
        """Give the budget its bytes back; the stream is about to be destroyed.

        A long answer may still be reading: it finds no more messages.
        """
        self._budget.used -= self._messages.bytes
        in_file = self.config.storage == "file"
        self._messages = Messages(self.gid, self._records, in_file=in_file)

    def next_expiry(self) -> Nanos | None:
        """When the leader shall propose an `Expire`, None if nothing is ever due."""
        due = self._expiry.next_due()
        if self.config.max_age and (seq := self._first_ageing()):
            aged = self._messages.time_of(seq) + self.config.max_age
            due = aged if due is None else min(due, aged)
        return due

    def _first_ageing(self) -> int:
        """The first message that `max_age` may drop, 0 if there is none."""
        seq = self._messages.next_seq((), self._age_from)
        while seq and self._expiry.is_never(seq):
            seq = self._messages.next_seq((), seq + 1)
        self._age_from = seq or self._messages.last_seq + 1
        return seq
