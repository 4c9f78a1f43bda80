"""A group's log on its way to the store: written, cut, and trimmed.

Entries stand in the store one by one, encoded once, under keys that sort as their indices do
(`storage/keys.py`). What Raft takes back is removed from there on; the rest of the turn's
writes may put other entries in the same places.

A log is trimmed at its beginning when the effects of what goes are durable. A group of one
keeps nothing but the last applied entry, which says the term before the next one. A group of
several keeps the last few thousand, so that a follower that was away for a while need not be
sent everything; and it trims seldom, a thousand entries at a time.

The log of a group on the `memory` engine is in memory alone; term and vote never are.

Operators may let acknowledgements go before the sync (`--sync`). Then entries of streams may be
lost, and nothing else: term and vote, and whatever the meta group decides, are synced and
awaited by any policy (`has_vital`). Else a server might vote twice in a term, or give a stream
an identity that another one has had.

Left out: reading it all again (`group_records.py`).
"""

from kvcore import limits
from kvcore.node import group_records
from kvcore.raft.core import Raft
from kvcore.raft.entry import Entry, EntryKind, encode_entry, encode_hard_state
from kvcore.raft.state import Ready
from kvcore.storage import keys
from kvcore.storage.overlay import Overlay

FILE = "file"
MEMORY = "memory"

_SLACK = 4  # a log is trimmed when it is a fourth longer than it needs to be


class StoredLog:
    """The log of one group; `first` is the first entry that is in the store."""

    def __init__(self, gid: int, records: Overlay, hard: Overlay, engine: str, first: int) -> None:
        self._gid = gid
        self._records = records
        self._hard = hard
        self._in_memory = engine == MEMORY
        self._first = first
        self.has_vital = False  # whether something was written that is synced by any policy
        self._bytes = 0  # of commands, since the log was trimmed last

    def write(self, ready: Ready) -> bool:
        """Put what has to be kept into the batch; whether a sync must come before it counts."""
        gid, records = self._gid, self._records
        if ready.hard is not None or (gid == keys.META_GID and not ready.is_durable):
            self.has_vital = True
        if ready.hard is not None:
            self._hard.put(keys.hard_state(gid), encode_hard_state(ready.hard))
        for entry in ready.entries:
            self._bytes += len(entry.data)
        if self._in_memory:
            self._note_era(ready)
            return ready.hard is not None
        if ready.truncate_from is not None:
            records.delete_range(keys.entry(gid, ready.truncate_from), keys.entries(gid)[1])
        for entry in ready.entries:
            records.put(keys.entry(gid, entry.index), encode_entry(entry))
        return not ready.is_durable

    def _note_era(self, ready: Ready) -> None:
        """A log in memory begins, perhaps again: what is in it from now on is of this term."""
        first = ready.entries[0] if ready.entries else None
        if first is not None and first.index == 1 and first.kind is not EntryKind.MEMBERS:
            self._records.put(keys.era(self._gid), keys.encode_index(first.term))

    def wipe(self) -> None:
        """Remove it, and the machine's records with it."""
        group_records.wipe(self._gid, self._records)
        self._first, self._bytes = 1, 0

    def begin_after(self, index: int, term: int) -> None:
        """The machine's records come from elsewhere, and are those of this index."""
        if not self._in_memory:
            marker = Entry(index, term, EntryKind.NOOP, b"")
            self._records.put(keys.entry(self._gid, index), encode_entry(marker))
        self._first = index

    def trim(self, raft: Raft, durable: int) -> None:
        """Let the log go up to `durable`, an index whose effects no crash can take back."""
        upto = durable - 1
        if len(raft.members.others("")) > 1:
            upto = min(upto, self._spare(raft))
        raft.trim(upto)
        first = raft.state.first
        if first > self._first and not self._in_memory:
            start, end = keys.entry(self._gid, self._first), keys.entry(self._gid, first)
            self._records.delete_range(start, end)
        self._first = first

    def _spare(self, raft: Raft) -> int:
        """Up to where the log can go, with enough left for those who lag; seldom anything."""
        log, most = raft.state.log, limits.LOG_KEPT_COUNT
        is_long = len(log) > most + most // _SLACK
        if not is_long and self._bytes < limits.LOG_KEPT_BYTES:
            return 0
        size, upto = 0, log.last_index
        for entry in reversed(log.entries[-most:]):
            upto = entry.index - 1
            size += len(entry.data)
            if size > limits.LOG_KEPT_BYTES // _SLACK:
                break
        self._bytes = size
        return upto
