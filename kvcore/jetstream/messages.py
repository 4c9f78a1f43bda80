"""The messages of one stream: values in the store, and a small index over them in memory.

A bucket answers three questions all day: what is the last sequence of this subject, what is
in this sequence, and which sequences match this filter. None of them may read values that
nobody asked for, and the index must cost little, since a key's whole price in memory is
what bounds a bucket. So the index is two dicts that share their strings and integers:

    subject of     sequence → subject, ascending because sequences only grow
    sequences of   subject → its only sequence, or an ascending list if there are more

Times and sizes stay in the records: they are read when a message goes, or by the rare
search by time. Removing the first message moves `first_seq` up to the next that is left;
each sequence is passed once in a stream's life, so that is cheap in the long run.

A stream that was never written has first and last sequence 0. One that was emptied has its
first sequence just after its last.

Left out: why messages come and go. Limits, expiry and purges are `retention.py`'s.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence

from kvcore.jetstream.filters import is_literal, matcher
from kvcore.jetstream.records import (
    MESSAGE,
    StoredMessage,
    decode_message,
    encode_message,
    message_bytes,
    message_time,
)
from kvcore.limits import Nanos
from kvcore.storage import keys
from kvcore.storage.overlay import Records


class Messages:
    """What one group stores; the owner tells it what to append and what to remove."""

    __slots__ = (
        "_gid",
        "_in_file",
        "_records",
        "_sequences_of",
        "_subject_of",
        "bytes",
        "first_seq",
        "last_seq",
        "last_time",
    )

    def __init__(self, gid: int, records: Records, *, in_file: bool) -> None:
        self._gid = gid
        self._records = records
        self._in_file = in_file
        self._subject_of: dict[int, str] = {}
        self._sequences_of: dict[str, int | list[int]] = {}
        self.bytes = 0
        self.first_seq = 0
        self.last_seq = 0
        self.last_time: Nanos = 0

    # -- changes ---------------------------------------------------------------------------

    def append(self, subject: str, header: bytes | None, payload: bytes, time: Nanos) -> int:
        """Store a message under the next sequence, which is returned."""
        seq = self.last_seq + 1
        record = encode_message(
            subject.encode("utf-8", "surrogateescape"), header or b"", payload, time
        )
        self._records.put(keys.message(self._gid, seq), record)
        self.last_time = time
        self._index(seq, subject, record)
        return seq

    def restore(self) -> Iterator[tuple[int, bytes]]:
        """Rebuild the index from the store; yields each sequence and record on the way."""
        for key, record in self._records.scan(*keys.messages(self._gid)):
            seq = keys.number(key)
            end = MESSAGE.size + int.from_bytes(record[8:10], "big")
            self._index(seq, record[MESSAGE.size : end].decode("utf-8", "surrogateescape"), record)
            yield seq, record

    def _index(self, seq: int, subject: str, record: bytes) -> None:
        assert seq > self.last_seq, "sequences only grow"
        if not self._subject_of:
            self.first_seq = seq
        known = self._sequences_of.get(subject)
        if known is None:
            self._sequences_of[subject] = seq
        elif isinstance(known, int):
            subject = self._subject_of[known]  # one string for all of a subject's messages
            self._sequences_of[subject] = [known, seq]
        else:
            subject = self._subject_of[known[0]]
            known.append(seq)
        self._subject_of[seq] = subject
        self.last_seq = seq
        self.bytes += message_bytes(record, in_file=self._in_file)

    def remove(self, seq: int) -> None:
        """Drop one message, which must be there."""
        subject = self._subject_of[seq]
        known = self._sequences_of[subject]
        if isinstance(known, int):
            del self._sequences_of[subject]
        else:
            del known[bisect_left(known, seq)]
            if len(known) == 1:
                self._sequences_of[subject] = known[0]
        self._drop(seq)
        if seq == self.first_seq:
            self._advance()

    def remove_below(self, filters: Sequence[str], bound: int) -> list[int]:
        """Drop every message that matches and whose sequence is below `bound`."""
        removed: list[int] = []
        for subject in self.matching(filters):
            known = self._sequences_of[subject]
            if isinstance(known, int):
                gone = [known] if known < bound else []
                left: list[int] = [] if gone else [known]
            else:
                cut = bisect_left(known, bound)
                gone, left = known[:cut], known[cut:]
            if not gone:
                continue
            removed += gone
            if not left:
                del self._sequences_of[subject]
            else:
                self._sequences_of[subject] = left if len(left) > 1 else left[0]
        for seq in removed:
            self._drop(seq)
        if self.first_seq not in self._subject_of and removed:
            self._advance()
        removed.sort()
        return removed

    def clear(self, next_seq: int) -> list[int]:
        """Drop everything; the next message gets `next_seq`."""
        removed = list(self._subject_of)
        self._records.delete_range(*keys.messages(self._gid))
        self._subject_of = {}
        self._sequences_of = {}
        self.bytes = 0
        self.skip_to(next_seq)
        return removed

    def skip_to(self, next_seq: int) -> None:
        """Let the next message have this sequence, which may leave a gap."""
        assert next_seq > self.last_seq, "sequences only grow"
        self.last_seq = next_seq - 1
        if not self._subject_of:
            self.first_seq = next_seq

    def _drop(self, seq: int) -> None:
        key = keys.message(self._gid, seq)
        record = self._records.get(key)
        assert record is not None, f"message {seq} is indexed but not stored"
        self.bytes -= message_bytes(record, in_file=self._in_file)
        self._records.delete(key)
        del self._subject_of[seq]

    def _advance(self) -> None:
        if not self._subject_of:
            self.first_seq = self.last_seq + 1
            return
        seq = self.first_seq + 1
        while seq not in self._subject_of:
            seq += 1
        self.first_seq = seq

    # -- reads -----------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self._subject_of)

    def __contains__(self, seq: int) -> bool:
        return seq in self._subject_of

    def get(self, seq: int) -> StoredMessage | None:
        """The message with this sequence."""
        if seq not in self._subject_of:
            return None
        return decode_message(seq, self._record(seq))

    def subject_of(self, seq: int) -> str:
        """The subject of a message that is there."""
        return self._subject_of[seq]

    def time_of(self, seq: int) -> Nanos:
        """When a message that is there was stored."""
        return message_time(self._record(seq))

    def size_of(self, seq: int) -> int:
        """What a message that is there counts for in `bytes`."""
        return message_bytes(self._record(seq), in_file=self._in_file)

    def _record(self, seq: int) -> bytes:
        record = self._records.get(keys.message(self._gid, seq))
        assert record is not None, f"message {seq} is indexed but not stored"
        return record

    def subject_count(self) -> int:
        """How many subjects have a message."""
        return len(self._sequences_of)

    def count_for(self, subject: str) -> int:
        """How many messages a literal subject has."""
        known = self._sequences_of.get(subject)
        if known is None:
            return 0
        return 1 if isinstance(known, int) else len(known)

    def last_for(self, subject: str) -> int:
        """The last sequence of a literal subject, 0 if it has none."""
        known = self._sequences_of.get(subject)
        if known is None:
            return 0
        return known if isinstance(known, int) else known[-1]

    def last_matching(self, pattern: str) -> int:
        """As `last_for`, of a subject or pattern."""
        if is_literal(pattern):
            return self.last_for(pattern)
        return max(map(self.last_for, self.matching((pattern,))), default=0)

    def first_for(self, subject: str) -> int:
        """The first sequence of a literal subject that has one."""
        known = self._sequences_of[subject]
        return known if isinstance(known, int) else known[0]

    def matching(self, filters: Sequence[str]) -> list[str]:
        """The subjects that match any of the filters (none at all: every subject)."""
        if not filters:
            return list(self._sequences_of)
        if all(map(is_literal, filters)):
            return [subject for subject in dict.fromkeys(filters) if subject in self._sequences_of]
        matches = matcher(filters)
        return [subject for subject in self._sequences_of if matches(subject)]

    def sequences(self, filters: Sequence[str] = (), from_seq: int = 0) -> list[int]:
        """The sequences that match, ascending, from `from_seq` on."""
        if not filters:
            return self._all_from(from_seq)
        if not all(map(is_literal, filters)):
            subjects = len(self._sequences_of)
            if len(self._subject_of) <= 2 * subjects or self.last_seq - from_seq < subjects:
                return self._scan(filters, from_seq)
        found: list[int] = []
        for subject in self.matching(filters):
            known = self._sequences_of[subject]
            if isinstance(known, list):
                found += known[bisect_left(known, from_seq) :]
            elif known >= from_seq:
                found.append(known)
        found.sort()
        return found

    def _scan(self, filters: Sequence[str], from_seq: int) -> list[int]:
        """As `sequences`, where there are fewer messages to look at than subjects, or nearly."""
        matches = matcher(filters)
        if from_seq <= self.first_seq:
            return [seq for seq, subject in self._subject_of.items() if matches(subject)]
        return [seq for seq in self._all_from(from_seq) if matches(self._subject_of[seq])]

    def _all_from(self, from_seq: int) -> list[int]:
        if from_seq <= self.first_seq:
            return list(self._subject_of)
        if self.last_seq - from_seq < len(self._subject_of):
            return [seq for seq in range(from_seq, self.last_seq + 1) if seq in self._subject_of]
        return [seq for seq in self._subject_of if seq >= from_seq]

    def next_seq(self, filters: Sequence[str] = (), from_seq: int = 0) -> int:
        """The first sequence that matches at or after `from_seq`, 0 if there is none."""
        if len(filters) == 1 and is_literal(filters[0]):
            known = self._sequences_of.get(filters[0], 0)
            if isinstance(known, int):
                return known if known >= from_seq else 0
            at = bisect_left(known, from_seq)
            return known[at] if at < len(known) else 0
        start = max(from_seq, self.first_seq)
        matches = matcher(filters)
        subject_of = self._subject_of
        nearby = self.last_seq - start < 2 * len(subject_of)
        for seq in range(start, self.last_seq + 1) if nearby else self._all_from(start):
            subject = subject_of.get(seq)
            if subject is not None and matches(subject):
                return seq
        return 0

    def last_per_subject(
        self, filters: Sequence[str] = (), up_to_seq: int | None = None
    ) -> list[int]:
        """The newest sequence of each subject that matches, ascending; as it stood at
        `up_to_seq` if given, as far as those messages are still there."""
        if len(self._subject_of) == len(self._sequences_of):  # each is its subject's newest
            every = self.sequences(filters)
            return every if up_to_seq is None else every[: bisect_right(every, up_to_seq)]
        found: list[int] = []
        for subject in self.matching(filters):
            known = self._sequences_of[subject]
            if isinstance(known, int):
                known = [known]
            at = len(known) if up_to_seq is None else bisect_right(known, up_to_seq)
            if at:
                found.append(known[at - 1])
        found.sort()
        return found

    def totals(self, filters: Sequence[str] = ()) -> dict[str, int]:
        """How many messages each subject that matches has, in the order of first use."""
        return {subject: self.count_for(subject) for subject in self.matching(filters)}

    def seq_at_time(self, time: Nanos) -> int:
        """The first sequence stored at or after `time`, one past the last if there is none."""
        stored = list(self._subject_of)
        at = bisect_left(stored, time, key=self.time_of)
        return stored[at] if at < len(stored) else self.last_seq + 1

    def missing(self) -> list[int]:
        """The sequences between first and last that are gone."""
        if not self._subject_of:
            return []
        return [
            seq for seq in range(self.first_seq, self.last_seq + 1) if seq not in self._subject_of
        ]
