"""Judges a history of operations against what the cluster holds when all is whole again.

A run under faults leaves two things: what clients were told, and the bucket's log on a healed
cluster. The log is the truth, and says in which order things happened. What clients were told
must agree with it:

    lost        an acknowledged write is not in the log
    phantom     the log has what nobody wrote, what was refused, or one write twice
    moved       a write was acknowledged at one revision and stands at another
    order       a write that began after another had ended stands before it
    condition   an update or a create took effect though its condition did not hold
    stale       a read found less than a client had been told of before it began
    dirty       a read or a watcher saw what the log does not have
    watch       a watcher was told out of order, twice, or not at all

An operation without an answer may be in the log or not; once it is, it counts from there on.

A log forgets: a purge takes a key's earlier entries, and a bucket keeps so many of each key.
What may have been forgotten so is not missed.

Left out: histories without a log to compare with; a judge of those has to try orders.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from kvcore.sim.operations import Entry, History, Operation, Watch

_OPERATION_OF = {"delete": "DEL", "purge": "PURGE"}


@dataclass(frozen=True, slots=True)
class Violation:
    """What is wrong, in a word and in a sentence, and the operations that show it."""

    kind: str
    text: str
    operations: tuple[Operation, ...] = ()

    def __str__(self) -> str:
        lines = [f"{self.kind}: {self.text}"]
        return "\n".join(lines + [f"    {operation.line()}" for operation in self.operations])


def judge(history: History, log: Sequence[Entry], *, kept: int = 64) -> list[Violation]:
    """All that is wrong; `kept` is how many entries of a key the bucket keeps."""
    return list(_Judge(history, log, kept).violations())


class _Judge:
    def __init__(self, history: History, log: Sequence[Entry], kept: int) -> None:
        self.history = history
        self.log = log
        self.kept = kept
        self.by_revision = {entry.revision: entry for entry in log}
        self.by_key: dict[str, list[Entry]] = {}
        for entry in log:
            self.by_key.setdefault(entry.key, []).append(entry)
        self.writes = [operation for operation in history.operations if operation.is_write]
        self.by_value = {(each.key, each.value): each for each in self.writes}

    def violations(self) -> Iterator[Violation]:
        yield from self.log_in_order()
        yield from self.lost()
        yield from self.phantoms()
        yield from self.order()
        yield from self.conditions()
        yield from self.reads()
        for watch in self.history.watches:
            yield from self.watched(watch)

    def log_in_order(self) -> Iterator[Violation]:
        for before, after in pairwise(self.log):
            if before.revision >= after.revision:
                text = f"revision {after.revision} follows {before.revision} in the log"
                yield Violation("order", text)

    def may_be_forgotten(self, key: str, revision: int) -> bool:
        """Whether the log may have had an entry there and dropped it."""
        later = [entry for entry in self.by_key.get(key, ()) if entry.revision > revision]
        return len(later) >= self.kept or any(entry.operation == "PURGE" for entry in later)

    def lost(self) -> Iterator[Violation]:
        for write in self.writes:
            if write.result != "ok":
                continue
            found = self.by_revision.get(write.revision)
            if found is None:
                if not self.may_be_forgotten(write.key, write.revision):
                    text = f"revision {write.revision} was acknowledged, and is not in the log"
                    yield Violation("lost", text, (write,))
            elif not _is(found, write):
                text = f"revision {write.revision} was acknowledged, and is another's: {found}"
                yield Violation("lost", text, (write,))

    def phantoms(self) -> Iterator[Violation]:
        places: dict[Operation, int] = {}
        for entry in self.log:
            write = self.by_value.get((entry.key, entry.value))
            if write is None or not _is(entry, write):
                yield Violation("phantom", f"nobody wrote {entry}")
            elif write.result == "refused":
                yield Violation("phantom", f"it was refused, and is in the log: {entry}", (write,))
            elif write in places:
                text = f"it is in the log twice, at {places[write]} and {entry.revision}"
                yield Violation("phantom", text, (write,))
            elif write.result == "ok" and write.revision != entry.revision:
                text = f"it was acknowledged at {write.revision}, and stands at {entry.revision}"
                yield Violation("moved", text, (write,))
            if write is not None:
                places[write] = entry.revision

    def placed(self) -> list[tuple[int, Operation]]:
        """Each write that took effect, and where; unknown ones where the log has them."""
        found = {write: write.revision for write in self.writes if write.result == "ok"}
        for entry in self.log:
            write = self.by_value.get((entry.key, entry.value))
            if write is not None and write.result == "unknown":
                found[write] = entry.revision
        return sorted(((revision, write) for write, revision in found.items()), key=_by_revision)

    def order(self) -> Iterator[Violation]:
        """Walks back from the last revision: whoever stands before must not begin after."""
        first: Operation | None = None  # of those that follow, the one that ended first
        following = 0
        for revision, write in reversed(self.placed()):
            if revision == following:
                yield Violation("order", f"revision {revision} was given twice", (write,))
            elif first is not None and write.began > (first.ended or 0):
                text = f"revision {revision} was begun after {first.revision} had been told"
                yield Violation("order", text, (first, write))
            following = revision
            if write.ended is not None and (first is None or write.ended < (first.ended or 0)):
                first = write

    def conditions(self) -> Iterator[Violation]:
        for entries in self.by_key.values():
            for before, entry in pairwise(entries):
                write = self.by_value.get((entry.key, entry.value))
                if write is None:
                    continue
                if write.kind == "update" and write.expected != before.revision:
                    text = f"it demanded {write.expected}, and follows {before.revision}"
                    yield Violation("condition", text, (write,))
                if write.kind == "create" and not before.operation:
                    text = f"the key had a value at {before.revision}"
                    yield Violation("condition", text, (write,))

    def reads(self) -> Iterator[Violation]:
        acked = _Known(self.history.operations)
        for read in self.history.operations:
            if read.kind != "get" or read.result != "ok":
                continue
            known = acked.before(read.key, read.began)
            if read.revision < known:
                text = f"it found {read.revision or 'nothing'}, and {known} was known before"
                yield Violation("stale", text, (read,))
            if not read.revision:
                continue
            entry = self.by_revision.get(read.revision)
            if entry is None and not self.may_be_forgotten(read.key, read.revision):
                text = f"it found revision {read.revision}, which the log does not have"
                yield Violation("dirty", text, (read,))
            elif entry is not None and (entry.key, entry.value) != (read.key, read.value):
                text = f"it found {read.value!r} at {read.revision}, which is {entry}"
                yield Violation("dirty", text, (read,))

    def watched(self, watch: Watch) -> Iterator[Violation]:
        who = f"the watcher of {watch.client}"
        for before, after in pairwise(watch.seen):
            if after.revision <= before.revision:
                how = "twice" if after.revision == before.revision else f"after {before.revision}"
                yield Violation("watch", f"{who} was told {after.revision} {how}")
        told = {entry.revision: entry for entry in watch.seen}
        for entry in watch.seen:
            held = self.by_revision.get(entry.revision)
            if held is None and not self.may_be_forgotten(entry.key, entry.revision):
                yield Violation("dirty", f"{who} was told {entry}, which the log does not have")
            elif held is not None and held != entry:
                yield Violation("dirty", f"{who} was told {entry}, which is {held}")
        for entry in self.log:
            if entry.revision > watch.after and entry.revision not in told:
                yield Violation("watch", f"{who} was never told {entry}")


class _Known:
    """For each key, the highest revision that any client had been told of by a moment."""

    def __init__(self, operations: Sequence[Operation]) -> None:
        self._ends: dict[str, list[int]] = {}
        self._highest: dict[str, list[int]] = {}
        done = [each for each in operations if each.result == "ok" and each.ended is not None]
        for each in sorted(done, key=lambda each: each.ended or 0):
            ends = self._ends.setdefault(each.key, [])
            highest = self._highest.setdefault(each.key, [])
            ends.append(each.ended or 0)
            highest.append(max(each.revision, highest[-1] if highest else 0))

    def before(self, key: str, moment: int) -> int:
        place = bisect_left(self._ends.get(key, []), moment)
        return self._highest[key][place - 1] if place else 0


def _is(entry: Entry, write: Operation) -> bool:
    """Whether the entry is what this write asked for."""
    operation = _OPERATION_OF.get(write.kind, "")
    return (entry.key, entry.value, entry.operation) == (write.key, write.value, operation)


def _by_revision(pair: tuple[int, Operation]) -> int:
    return pair[0]
