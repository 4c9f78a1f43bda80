"""What a leader knows of each follower, and how it sends to it.

Figure 2 gives a leader two numbers for each follower: `match`, the highest entry known to be
there, which is a fact and only grows; and `next`, where to send from, which is a guess. With
one message at a time the guess is corrected by each answer. To keep a pipe full the leader
counts an entry as sent the moment it sends it, and goes on; so it has to know whether it is
guessing or streaming:

    PROBE      the two logs' point of agreement is not known: one message, then wait
    REPLICATE  it is known: `next` runs ahead, up to a window of messages without an answer
    SNAPSHOT   what the follower needs is trimmed: pieces of a snapshot, one at a time

Any doubt (a refusal, a broken link) leads back to PROBE. `MOVES` has the moves that exist.

Left out: clocks. When a follower was last heard is no part of this value.
"""

from enum import Enum
from typing import NamedTuple

from kvcore import limits


class Mode(Enum):
    """How a leader sends to a follower."""

    PROBE = "probe"
    REPLICATE = "replicate"
    SNAPSHOT = "snapshot"


MOVES: dict[Mode, tuple[Mode, ...]] = {
    Mode.PROBE: (Mode.REPLICATE, Mode.SNAPSHOT),
    Mode.REPLICATE: (Mode.PROBE, Mode.SNAPSHOT),
    Mode.SNAPSHOT: (Mode.PROBE, Mode.REPLICATE),
}


class Sending(NamedTuple):
    """A snapshot on its way; `last` 0: its first piece has not been made yet."""

    last: int = 0  # the index that it is of
    term: int = 0
    members: bytes = b""
    offset: int = 0
    is_asked: bool = False  # the host was asked for the piece at `offset`


class Progress(NamedTuple):
    """One follower, as its leader sees it."""

    name: str
    next: int
    match: int = 0
    mode: Mode = Mode.PROBE
    is_waiting: bool = False  # in PROBE: a message is on its way
    in_flight: tuple[int, ...] = ()  # in REPLICATE: the last index of each message
    told: int = 0  # the commit index sent last
    asked: int = 0  # the read round sent last
    round: int = 0  # the read round that it answered last
    recover_to: int = -1  # it has lost its log, and doesn't count up to here; -1: it has not
    sending: Sending = Sending()

    @property
    def counted(self) -> int:
        """The match that may be counted for a commit."""
        return self.match if self.recover_to < 0 else 0

    @property
    def has_room(self) -> bool:
        """Whether another message with entries may be sent now."""
        if self.mode is Mode.REPLICATE:
            return len(self.in_flight) < limits.APPENDS_IN_FLIGHT_COUNT
        return self.mode is Mode.PROBE and not self.is_waiting

    def probing(self, next_index: int) -> "Progress":
        """In PROBE, from this index on."""
        assert next_index > self.match, "what it has is not sent again"
        assert self.mode is Mode.PROBE or Mode.PROBE in MOVES[self.mode]
        return self._replace(
            mode=Mode.PROBE, next=next_index, is_waiting=False, in_flight=(), sending=Sending()
        )

    def needing_snapshot(self) -> "Progress":
        """In SNAPSHOT, before the first piece."""
        assert Mode.SNAPSHOT in MOVES[self.mode], "one snapshot at a time"
        return self._replace(mode=Mode.SNAPSHOT, is_waiting=False, in_flight=(), sending=Sending())

    def sent(self, upto: int, commit: int) -> "Progress":
        """After a message with entries up to `upto`."""
        assert self.has_room, "the window is full"
        assert upto >= self.next, "a message without entries is a heartbeat"
        if self.mode is Mode.PROBE:
            return self._replace(is_waiting=True, told=commit)
        return self._replace(next=upto + 1, in_flight=(*self.in_flight, upto), told=commit)

    def taken(self, index: int) -> "Progress":
        """After an answer that says: I have your log up to here."""
        assert index >= 0, "an index is a place in the log"
        match, mode = max(self.match, index), self.mode
        if mode is Mode.SNAPSHOT and not 0 < self.sending.last <= match:
            return self._replace(match=match)
        if mode is Mode.REPLICATE and not self.in_flight and match == self.match:
            return self
        left = tuple(last for last in self.in_flight if last > index)
        return self._replace(
            match=match,
            next=match + 1 if mode is not Mode.REPLICATE else max(self.next, match + 1),
            mode=Mode.REPLICATE,
            is_waiting=False,
            in_flight=left,
            sending=Sending(),
        )

    def fallen_back(self, index: int) -> "Progress":
        """After a refusal of what it had: a crash has taken unsynced entries from it. An old
        refusal that arrives late costs no more than sending again."""
        assert index < self.match, "it has all that it had"
        return self._replace(match=index).probing(index + 1)

    def lost(self, recover_to: int) -> "Progress":
        """After the follower said that it lost its log: nothing that it had counts any more."""
        assert recover_to >= 0, "up to somewhere"
        mode = Mode.SNAPSHOT if self.mode is Mode.SNAPSHOT else Mode.PROBE
        return self._replace(
            match=0, mode=mode, is_waiting=False, in_flight=(), recover_to=recover_to
        )
