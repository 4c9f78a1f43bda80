"""Message ids seen lately, so that a retried publish is stored once.

A client that got no answer can't tell whether its message was stored, and publishes again.
With a `Nats-Msg-Id` the stream remembers the id for `duplicate_window` and answers the
second time with the first sequence. The window is measured in the log's time, so that every
replica forgets at the same command.

Ids are kept in the store too, under the sequence that they led to: a message that was
overwritten or purged since must still be recognised after a restart.

Left out: a bound on their number; a stream that wants fewer sets a shorter window.
"""

from collections import deque

from kvcore.jetstream.records import decode_stamped, encode_stamped
from kvcore.limits import Nanos
from kvcore.storage import keys
from kvcore.storage.overlay import Records


class RecentIds:
    """Message id → sequence, for as long as the window lasts."""

    __slots__ = ("_gid", "_order", "_records", "_sequence_of")

    def __init__(self, gid: int, records: Records) -> None:
        self._gid = gid
        self._records = records
        self._sequence_of: dict[str, int] = {}
        self._order: deque[tuple[Nanos, str]] = deque()

    def restore(self) -> None:
        """Read back the ids that were kept."""
        for key, record in self._records.scan(*keys.dedups(self._gid)):
            time, msg_id = decode_stamped(record)
            self._remember(
                msg_id.decode("utf-8", "surrogateescape"), int.from_bytes(keys.suffix(key)), time
            )

    def find(self, msg_id: str) -> int:
        """The sequence that an id led to, 0 if it isn't known (any more)."""
        return self._sequence_of.get(msg_id, 0)

    def add(self, msg_id: str, seq: int, time: Nanos) -> None:
        """Remember an id that isn't known."""
        self._remember(msg_id, seq, time)
        record = encode_stamped(time, msg_id.encode("utf-8", "surrogateescape"))
        self._records.put(keys.dedup(self._gid, seq.to_bytes(8)), record)

    def forget_before(self, time: Nanos) -> None:
        """Forget the ids that were seen at or before `time`."""
        order = self._order
        while order and order[0][0] <= time:
            seq = self._sequence_of.pop(order.popleft()[1])
            self._records.delete(keys.dedup(self._gid, seq.to_bytes(8)))

    def _remember(self, msg_id: str, seq: int, time: Nanos) -> None:
        assert msg_id not in self._sequence_of, "a known id is a duplicate"
        self._sequence_of[msg_id] = seq
        self._order.append((time, msg_id))

    def __len__(self) -> int:
        return len(self._order)
