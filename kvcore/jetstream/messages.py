"""The messages of one stream: values in the store, and the index over them in memory.

Times and sizes stay in the records: they are read when a message goes, or by the rare
search by time. Everything that can be known without a value is `index.py`'s.

A stream that was never written has first and last sequence 0. One that was emptied has its
first sequence just after its last.

Left out: why messages come and go. Limits, expiry and purges are `retention.py`'s.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeAlias

from kvcore.jetstream.index import Index
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
from kvcore.storage.base import Reader
from kvcore.storage.overlay import Records

Found: TypeAlias = tuple[int, str, bytes]  # a message's sequence, subject and record


class Messages(Index):
    """What one group stores; the owner tells it what to append and what to remove."""

    __slots__ = ("_gid", "_in_file", "_records", "bytes", "last_time")

    def __init__(self, gid: int, records: Records, *, in_file: bool) -> None:
        super().__init__()
        self._gid = gid
        self._records = records
        self._in_file = in_file
        self.bytes = 0
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
        self._add(seq, subject)
        self.bytes += message_bytes(record, in_file=self._in_file)
        return seq

    def restore(self, source: Reader) -> Iterator[tuple[int, bytes]]:
        """Rebuild the index from a store; yields each sequence and record on the way."""
        for key, record in source.scan(*keys.messages(self._gid)):
            seq = keys.number(key)
            end = MESSAGE.size + int.from_bytes(record[8:10], "big")
            self._add(seq, record[MESSAGE.size : end].decode("utf-8", "surrogateescape"))
            self.bytes += message_bytes(record, in_file=self._in_file)
            yield seq, record

    def remove(self, seq: int) -> None:
        """Drop one message, which must be there."""
        self._discard([seq])
        self._drop(seq)

    def remove_below(self, filters: Sequence[str], bound: int) -> list[int]:
        """Drop every message that matches and whose sequence is below `bound`."""
        removed = self._drop_below(filters, bound)
        self._discard(removed)
        return removed

    def clear(self, next_seq: int) -> list[int]:
        """Drop everything; the next message gets `next_seq`."""
        removed = self._drop_all()
        self._records.delete_range(*keys.messages(self._gid))
        self.bytes = 0
        self.skip_to(next_seq)
        return removed

    def _discard(self, seqs: Sequence[int]) -> None:
        """Take messages' records out of the store."""
        get, in_file = self._records.reader(), self._in_file
        gone = [keys.message(self._gid, seq) for seq in seqs]
        for key in gone:
            record = get(key)
            assert record is not None, f"{key!r} is indexed but not stored"
            self.bytes -= message_bytes(record, in_file=in_file)
        self._records.delete_all(gone)

    # -- reads -----------------------------------------------------------------------------

    def get(self, seq: int) -> StoredMessage | None:
        """The message with this sequence."""
        subject = self._subject_of.get(seq)
        return None if subject is None else decode_message(seq, self._record(seq), subject)

    def read(self, seqs: Iterable[int]) -> Iterator[Found]:
        """The sequence, subject and record of each, which must be there. A record is read when
        it is taken; nothing may change meanwhile."""
        get, key_of, gid = self._records.reader(), keys.message, self._gid
        for seq in seqs:
            record = get(key_of(gid, seq))
            assert record is not None, f"message {seq} is indexed but not stored"
            yield seq, self._subject_of[seq], record

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

    def seq_at_time(self, time: Nanos) -> int:
        """The first sequence stored at or after `time`, one past the last if there is none."""
        stored = list(self._subject_of)
        at = bisect_left(stored, time, key=self.time_of)
        return stored[at] if at < len(stored) else self.last_seq + 1
