"""The log of one server, as a value: a tail of entries without gaps.

Raft's log begins at index 1 and grows for ever; what is kept is its tail. The log is trimmed
when the state machine has durably taken in what is forgotten, and begins at a later index
after a snapshot. To judge whether two logs agree at an index one must know the term there
(the Log Matching Property, Figure 3), so the entry before the first that may still be sent
always stays: the first entry of a trimmed log is there for its index and term alone, and
after a snapshot it is a mere marker.

    index        1   2   3   4   5   6   7
    whole log   [1] [1] [2] [2] [3]                 first = 1, base = 0
    trimmed             [2] [2] [3]                 first = 3, base = 3: 4 and 5 may be sent

`members` is the configuration at the trimmed end. Later ones are entries, and the last of
them in the log is in force, committed or not (section 6).

Left out: what of it is durable, committed or applied; `state.py` counts that.
"""

from dataclasses import dataclass

from kvcore.raft.entry import Entry, EntryKind, Members, decode_members

NOBODY = Members()
ENTRY_BYTES = 32  # of an entry beside its data, about


@dataclass(frozen=True, slots=True)
class Log:
    """Entries `first`, `first` + 1, …; nothing changes in it, a new log is made instead."""

    first: int = 1
    entries: tuple[Entry, ...] = ()
    members: Members = NOBODY

    def __len__(self) -> int:
        return len(self.entries)

    @property
    def last_index(self) -> int:
        """The last entry's index, 0 before the first."""
        return self.first + len(self.entries) - 1

    @property
    def last_term(self) -> int:
        """The last entry's term, 0 before the first."""
        return self.entries[-1].term if self.entries else 0

    @property
    def base(self) -> int:
        """The lowest index whose term is known: what follows it can be sent to others."""
        return 0 if self.first == 1 else self.first

    def term(self, index: int) -> int:
        """The term of the entry at this index; 0 where there is none, or none any more."""
        place = index - self.first
        return self.entries[place].term if 0 <= place < len(self.entries) else 0

    def slice(self, after: int, upto: int) -> tuple[Entry, ...]:
        """The entries of `(after, upto]`."""
        assert self.first - 1 <= after, f"entries after {after} are trimmed"
        return self.entries[after + 1 - self.first : max(0, upto + 1 - self.first)]

    def batch(self, after: int, most_bytes: int) -> tuple[Entry, ...]:
        """The entries after an index, up to so many bytes; one at least."""
        assert self.base <= after <= self.last_index, f"{after} is not in the log"
        size, upto = 0, after
        for entry in self.entries[after + 1 - self.first :]:
            size += ENTRY_BYTES + len(entry.data)
            if size > most_bytes and upto > after:
                break
            upto = entry.index
        return self.slice(after, upto)

    def spliced(self, keep: int, entries: tuple[Entry, ...]) -> "Log":
        """The log up to `keep`, then these entries."""
        assert self.first - 1 <= keep <= self.last_index, f"{keep} is beyond the log's end"
        assert not entries or entries[0].index == keep + 1, "a log has no holes"
        kept = self.entries if keep == self.last_index else self.slice(self.first - 1, keep)
        return Log(self.first, kept + entries, self.members)

    def trimmed(self, upto: int) -> "Log":
        """The log without the entries up to this index, which isn't the last."""
        assert self.first <= upto < self.last_index, f"can't trim {self.first}… up to {upto}"
        kept = self.entries[upto + 1 - self.first :]
        return Log(upto + 1, kept, self.members_at(upto + 1))

    def members_at(self, index: int) -> Members:
        """The configuration in force when this entry was the last."""
        found = self.last_change(index)
        return decode_members(self.entries[found - self.first].data) if found else self.members

    def last_change(self, upto: int) -> int:
        """The index of the last change of members up to an index; 0: none that is kept."""
        for place in range(min(upto, self.last_index) - self.first, -1, -1):
            if self.entries[place].kind is EntryKind.MEMBERS:
                return self.entries[place].index
        return 0

    def is_denied(self, index: int, term: int) -> bool:
        """Whether a log with this term at `index` isn't the one that mine was trimmed from.

        Terms never fall in a log, so one that has a later term before my base, or another at
        it, has another entry there than the one that was committed here.
        """
        if index < self.base:
            return term > self.term(self.base)
        return 0 < index == self.base and term != self.term(index)

    def is_other(self, index: int, term: int) -> bool:
        """Whether the entry here is known to be of another term; 0 is none that could be."""
        return 0 not in {term, self.term(index)} and self.term(index) != term

    def last_agreement(self, index: int, term: int) -> int:
        """The last place at or before `index` that may agree with a log of this term there.

        A log's terms never fall. Where mine is above theirs the two can't agree, nor between
        there and the beginning of that term: all of it is skipped at once (end of section
        5.3, the optional improvement). Below `base` nothing is known: the answer may be one less,
        and only a snapshot helps.
        """
        place = min(index, self.last_index)
        while place >= max(1, self.base) and self.term(place) > term:
            place -= 1
        return place
