"""A consumer's ledger: what it delivered, and what of that is settled.

A client that acknowledges wants each message again until it has said that it is done with
it. So a consumer keeps, per message delivered and not settled, the number of its first
delivery, and how often it was delivered again. Below all of these stands the ack floor:
everything up to there is settled. It is two numbers, since a consumer counts its deliveries
(1, 2, 3, ...) while messages have the stream's sequences, which have gaps.

The same ledger stands twice. The consumer that a leader runs has one, ahead of the log by
what is on its way; the stream's state has the other, which only `Acked` commands move.
What happened in one turn goes into one command as `moves`, in order, three numbers each:

    sequence u64, consumer sequence u64, u64: which delivery of this message it was,
        or 0 for "acknowledged", or 2^64 - 1 for "delivered as often as allowed"

Replaying the moves makes the same ledger. After a restart the consumer goes on from the
stream's, so what was delivered in the last turns before a crash may be delivered again.

Left out: time. When a message is due again is the leader's business (`redelivery.py`).
"""

from collections.abc import Callable
from struct import Struct

_MOVE = Struct(">QQQ")
_HEAD = Struct(">QQQQQ")
_ENTRY = Struct(">QQ?")
_ACKED = 0
_SPENT = (1 << 64) - 1
_NEAR = 64  # sequences that are looked up one by one


def delivery_move(seq: int, consumer_seq: int, count: int) -> bytes:
    """The message was delivered for the `count`th time, as `consumer_seq`."""
    return _MOVE.pack(seq, consumer_seq, count)


def ack_move(seq: int, consumer_seq: int) -> bytes:
    """The client is done with the message that it got as `consumer_seq`."""
    return _MOVE.pack(seq, consumer_seq, _ACKED)


def spent_move(seq: int) -> bytes:
    """The message was delivered as often as allowed, and never acknowledged."""
    return _MOVE.pack(seq, 0, _SPENT)


class Ledger:
    """One consumer's; `start` is the first sequence that it looks at, and `last_seq` the
    stream's last when it was created. `touched` collects the sequences whose entries
    changed, for whoever writes them down; he clears it."""

    def __init__(self, policy: str, start: int, last_seq: int) -> None:
        self.policy = policy
        self.delivered_consumer = 0
        self.delivered_stream = start - 1
        self.floor_consumer = 0
        self.floor_stream = start - 1
        self.last_seq = last_seq
        self.pending: dict[int, int] = {}  # sequence → consumer sequence of its first delivery
        self.again: dict[int, int] = {}  # sequence → deliveries after the first
        self.touched: dict[int, None] = {}

    def copy(self) -> "Ledger":
        """The same ledger, to go its own way."""
        other = Ledger(self.policy, 1, self.last_seq)
        other.delivered_consumer = self.delivered_consumer
        other.delivered_stream = self.delivered_stream
        other.floor_consumer = self.floor_consumer
        other.floor_stream = self.floor_stream
        other.pending = dict(self.pending)
        other.again = dict(self.again)
        return other

    def needs(self, seq: int) -> bool:
        """Whether a message that matches the filters must stay for this consumer. One that
        was delivered too often without success stays as well: nobody was done with it."""
        if seq in self.again:
            return True
        if seq <= self.floor_stream:
            return False
        return self.policy != "explicit" or seq > self.delivered_stream or seq in self.pending

    # -- what happens ----------------------------------------------------------------------

    def deliver(self, seq: int, consumer_seq: int, count: int) -> None:
        """A message went out for the `count`th time."""
        self.delivered_consumer = max(self.delivered_consumer, consumer_seq)
        self.delivered_stream = max(self.delivered_stream, seq)
        if self.policy == "none":
            self.floor_consumer, self.floor_stream = self.delivered_consumer, self.delivered_stream
            return
        self.pending.setdefault(seq, consumer_seq)
        if count > 1:
            self.again[seq] = count - 1
        self.touched[seq] = None

    def ack(self, seq: int, consumer_seq: int) -> list[int]:
        """A message is acknowledged, and with policy "all" those before it; what is settled
        by that."""
        if self.policy != "all":
            return self.settle(seq)
        if consumer_seq <= self.floor_consumer or seq <= self.floor_stream:
            return []
        settled = [other for other in self.pending if other <= seq]
        for other in settled:
            self._drop(other)
        self.floor_consumer, self.floor_stream = consumer_seq, seq
        return settled

    def settle(self, seq: int) -> list[int]:
        """This one message needs no acknowledgement any more; it is gone, perhaps."""
        consumer_seq = self.pending.get(seq)
        if consumer_seq is None and seq not in self.again:
            return []
        self._drop(seq)
        if consumer_seq is not None:
            self._raise_floor(consumer_seq, seq)
        return [seq]

    def give_up(self, seq: int) -> None:
        """A message is not delivered again; that it was in vain stays on record. The floor
        stays too, as nobody acknowledged anything."""
        self.pending.pop(seq, None)
        self.again[seq] = self.again.get(seq, 0) + 1
        self.touched[seq] = None

    def _drop(self, seq: int) -> None:
        self.pending.pop(seq, None)
        self.again.pop(seq, None)
        self.touched[seq] = None

    def _raise_floor(self, consumer_seq: int, seq: int) -> None:
        """Move the floor over what is settled, when the first above it was."""
        if not self.pending:
            self.floor_consumer, self.floor_stream = self.delivered_consumer, self.delivered_stream
        elif consumer_seq == self.floor_consumer + 1:
            self.floor_consumer, self.floor_stream = consumer_seq, seq
            above = self._next_pending(seq)
            if above:
                self.floor_consumer, self.floor_stream = self.pending[above] - 1, above - 1

    def _next_pending(self, seq: int) -> int:
        """The first pending sequence above `seq`, 0 if there is none. It is nearly always
        near, but a narrow filter on a large stream leaves gaps of any size."""
        for above in range(seq + 1, min(seq + _NEAR, self.delivered_stream) + 1):
            if above in self.pending:
                return above
        return min((other for other in self.pending if other > seq), default=0)

    def replay(self, moves: bytes, is_there: Callable[[int], bool]) -> list[int]:
        """Carry out a command's moves; the sequences that are settled now. `is_there` says
        whether the stream still has a message: one that is gone needs no acknowledgement."""
        settled: list[int] = []
        for seq, consumer_seq, count in _MOVE.iter_unpack(moves):
            if count == _ACKED:
                settled += self.ack(seq, consumer_seq)
            elif count == _SPENT:
                self.give_up(seq)
            else:
                self.deliver(seq, consumer_seq, count)
                if self.policy == "none":
                    settled.append(seq)
                elif not is_there(seq):
                    self.settle(seq)
        return settled

    # -- as records ------------------------------------------------------------------------

    def encode(self) -> bytes:
        """The record of everything but the entries."""
        return _HEAD.pack(
            self.delivered_consumer,
            self.delivered_stream,
            self.floor_consumer,
            self.floor_stream,
            self.last_seq,
        )

    def encode_entry(self, seq: int) -> bytes | None:
        """The record of one message that isn't settled; None: it is."""
        if seq not in self.pending and seq not in self.again:
            return None
        return _ENTRY.pack(self.pending.get(seq, 0), self.again.get(seq, 0), seq in self.pending)

    def read_entry(self, seq: int, record: bytes) -> None:
        """Take in what `encode_entry` wrote; call it in the order of the sequences."""
        consumer_seq, again, is_pending = _ENTRY.unpack(record)
        if is_pending:
            self.pending[seq] = consumer_seq
        if again:
            self.again[seq] = again


def decode(policy: str, record: bytes) -> Ledger:
    """The ledger that `encode` wrote, without its entries."""
    ledger = Ledger(policy, 1, 0)
    (
        ledger.delivered_consumer,
        ledger.delivered_stream,
        ledger.floor_consumer,
        ledger.floor_stream,
        ledger.last_seq,
    ) = _HEAD.unpack(record)
    return ledger
