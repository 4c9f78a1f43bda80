"""The index over one stream's messages: which sequence has which subject, without values.

A bucket answers three questions all day: what is the last sequence of this subject, what is
in this sequence, and which sequences match this filter. None of them may read values that
nobody asked for, and the index must cost little, since a key's whole price in memory is
what bounds a bucket. So the index is two dicts that share their strings and integers, and
the subjects in order:

    subject of     sequence → subject, ascending because sequences only grow
    sequences of   subject → its only sequence, or an ascending list if there are more
    names          the subjects, sorted: a pattern's literal beginning is a range of them

A literal costs a lookup, `few.>` what there is below `few.`, whatever else the bucket has.

A long search must not hold up everybody else. So `walk` and `walk_newest` are generators:
each step looks at about `limits.SEARCH_SLICE_COUNT` subjects or messages and yields the
sequences found, ascending. The search is frozen at its first step, but for messages that
are removed meanwhile, which are not found any more (those yielded already are the caller's
business). Either the messages are looked at in order; or, where the subjects that may match
are few beside them, those are looked at, and their sequences merged. `looked` counts both.

Removing the first message moves `first_seq` up to the next that is left; each sequence is
passed once in a stream's life, so that is cheap in the long run.

Left out: the messages themselves, and their times.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from heapq import merge
from itertools import chain, islice

from kvcore import limits
from kvcore.jetstream.filters import bounds, is_literal, matcher, takes_all_between
from kvcore.storage.ordered import SortedKeys

_BESIDE = 4  # so many messages for each subject that may match: look at the subjects


class Index:
    """The subjects and sequences of a stream; see the module's text."""

    __slots__ = ("_names", "_sequences_of", "_subject_of", "first_seq", "last_seq", "looked")

    def __init__(self) -> None:
        self._subject_of: dict[int, str] = {}
        self._sequences_of: dict[str, int | list[int]] = {}
        self._names = SortedKeys("")
        self.first_seq = 0
        self.last_seq = 0
        self.looked = 0

    # -- changes ---------------------------------------------------------------------------

    def _add(self, seq: int, subject: str) -> None:
        """Take up the next message."""
        assert seq > self.last_seq, "sequences only grow"
        if not self._subject_of:
            self.first_seq = seq
        known = self._sequences_of.get(subject)
        if known is None:
            self._sequences_of[subject] = seq
            self._names.add(subject)
        elif isinstance(known, int):
            subject = self._subject_of[known]  # one string for all of a subject's messages
            self._sequences_of[subject] = [known, seq]
        else:
            subject = self._subject_of[known[0]]
            known.append(seq)
        self._subject_of[seq] = subject
        self.last_seq = seq

    def _drop(self, seq: int) -> None:
        """Forget one message, which must be there."""
        subject = self._subject_of.pop(seq)
        known = self._sequences_of[subject]
        if isinstance(known, int):
            del self._sequences_of[subject]
            self._names.remove(subject)
        else:
            del known[bisect_left(known, seq)]
            if len(known) == 1:
                self._sequences_of[subject] = known[0]
        if seq == self.first_seq:
            self._advance()

    def _drop_below(self, filters: Sequence[str], bound: int) -> list[int]:
        """Forget the messages that match and whose sequence is below `bound`, ascending."""
        removed: list[int] = []
        gone: list[str] = []
        for subject in self.matching(filters):
            known = self._known(subject)
            cut = bisect_left(known, bound)
            if not cut:
                continue
            removed += known[:cut]
            if cut == len(known):
                gone.append(subject)
                del self._sequences_of[subject]
            else:
                self._sequences_of[subject] = known[cut:] if cut + 1 < len(known) else known[-1]
        self._names.remove_all(gone)
        for seq in removed:
            del self._subject_of[seq]
        if removed and self.first_seq not in self._subject_of:
            self._advance()
        removed.sort()
        return removed

    def _drop_all(self) -> list[int]:
        removed = list(self._subject_of)
        self._subject_of = {}
        self._sequences_of = {}
        self._names = SortedKeys("")
        return removed

    def skip_to(self, next_seq: int) -> None:
        """Let the next message have this sequence, which may leave a gap."""
        assert next_seq > self.last_seq, "sequences only grow"
        self.last_seq = next_seq - 1
        if not self._subject_of:
            self.first_seq = next_seq

    def _advance(self) -> None:
        if not self._subject_of:
            self.first_seq = self.last_seq + 1
            return
        first = self.first_seq + 1
        for seq in range(first, first + limits.SEARCH_SLICE_COUNT):
            if seq in self._subject_of:
                self.first_seq = seq
                return
        self.first_seq = next(iter(self._subject_of))  # a wide gap is jumped over

    # -- one message, one subject ----------------------------------------------------------

    def __len__(self) -> int:
        return len(self._subject_of)

    def __contains__(self, seq: int) -> bool:
        return seq in self._subject_of

    def subject_of(self, seq: int) -> str:
        """The subject of a message that is there."""
        return self._subject_of[seq]

    def subject_count(self) -> int:
        """How many subjects have a message."""
        return len(self._sequences_of)

    def count_for(self, subject: str) -> int:
        """How many messages a literal subject has."""
        known = self._sequences_of.get(subject)
        if known is None:
            return 0
        return 1 if isinstance(known, int) else len(known)

    def first_for(self, subject: str) -> int:
        """The first sequence of a literal subject that has one."""
        known = self._sequences_of[subject]
        return known if isinstance(known, int) else known[0]

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

    def _known(self, subject: str) -> list[int]:
        """A subject's sequences, ascending; none if it has none any more."""
        known = self._sequences_of.get(subject)
        if known is None:
            return []
        return [known] if isinstance(known, int) else known

    # -- searches --------------------------------------------------------------------------

    def matching(self, filters: Sequence[str]) -> list[str]:
        """The subjects that match any of the filters (none at all: every subject)."""
        near = self.near(filters)
        if not filters or all(is_literal(p) or takes_all_between(p) for p in filters):
            return near
        return list(filter(matcher(filters), near))

    def near(self, filters: Sequence[str]) -> list[str]:
        """Every subject that may match, once."""
        found: list[str] = []
        for pattern in filters or (">",):
            if not is_literal(pattern):
                found += self._names.between(*bounds(pattern))
            elif pattern in self._sequences_of:
                found.append(pattern)
        return found if len(filters) <= 1 else list(dict.fromkeys(found))

    def may_match(self, filters: Sequence[str]) -> int:
        """At most so many subjects match: how many one would look at to know."""
        if not filters:
            return len(self._sequences_of)
        return sum(1 if is_literal(p) else self._names.count(*bounds(p)) for p in filters)

    def _all_match(self, filters: Sequence[str]) -> bool:
        """Whether it is plain that every subject matches."""
        return not filters or any(
            takes_all_between(p) and self._names.count(*bounds(p)) == len(self._sequences_of)
            for p in filters
        )

    def walk(self, filters: Sequence[str] = (), from_seq: int = 0) -> Iterator[Sequence[int]]:
        """The sequences that match, from `from_seq` on, a slice at a time."""
        if self._all_match(filters):
            yield from self._walk_messages((), from_seq)
        elif _BESIDE * self.may_match(filters) <= self._span(from_seq):
            yield from self._walk_subjects(filters, from_seq)
        else:
            yield from self._walk_messages(filters, from_seq)

    def walk_newest(
        self, filters: Sequence[str] = (), up_to_seq: int | None = None
    ) -> Iterator[Sequence[int]]:
        """The newest sequence of each subject that matches; as it stood at `up_to_seq` if
        given, as far as those messages are still there. A slice at a time."""
        end = self.last_seq if up_to_seq is None else up_to_seq
        if len(self._subject_of) > len(self._sequences_of):
            yield from self._walk_subjects(filters, 0, end)
            return
        for found in self.walk(filters):  # each is its subject's newest
            yield found if not found or found[-1] <= end else found[: bisect_right(found, end)]

    def sequences(self, filters: Sequence[str] = (), from_seq: int = 0) -> list[int]:
        """The sequences that match, ascending, from `from_seq` on."""
        return list(chain.from_iterable(self.walk(filters, from_seq)))

    def last_per_subject(
        self, filters: Sequence[str] = (), up_to_seq: int | None = None
    ) -> list[int]:
        """As `walk_newest`, at once."""
        return list(chain.from_iterable(self.walk_newest(filters, up_to_seq)))

    def next_seq(self, filters: Sequence[str] = (), from_seq: int = 0) -> int:
        """The first sequence that matches at or after `from_seq`, 0 if there is none."""
        if not filters:
            return self._next(from_seq)
        if len(filters) == 1 and is_literal(filters[0]):
            known = self._known(filters[0])
            at = bisect_left(known, from_seq)
            return known[at] if at < len(known) else 0
        return next((found[0] for found in self.walk(filters, from_seq) if found), 0)

    def totals(self, filters: Sequence[str] = ()) -> dict[str, int]:
        """How many messages each subject that matches has, in the order of subjects."""
        return {subject: self.count_for(subject) for subject in self.matching(filters)}

    def missing(self, most: int) -> list[int]:
        """The first sequences between first and last that are gone, at most so many: a gap
        may be of any width, and only its beginning is written down."""
        found: list[int] = []
        expected = self.first_seq if self._subject_of else self.last_seq + 1
        for seq in chain(self._subject_of, (self.last_seq + 1,)):
            found += range(expected, min(seq, expected + most - len(found)))
            if len(found) >= most:
                break
            expected = seq + 1
        return found

    def _next(self, from_seq: int) -> int:
        """The first message at or after a sequence."""
        start = max(from_seq, self.first_seq)
        near = min(start + limits.SEARCH_SLICE_COUNT, self.last_seq + 1)
        for seq in range(start, near):
            if seq in self._subject_of:
                return seq
        return next(iter(self._all_from(near)), 0)

    def _span(self, from_seq: int) -> int:
        """At most so many messages are there from a sequence on."""
        return min(len(self._subject_of), self.last_seq + 1 - from_seq)

    def _all_from(self, from_seq: int) -> list[int]:
        if from_seq <= self.first_seq:
            return list(self._subject_of)
        if self.last_seq - from_seq < len(self._subject_of):
            return [seq for seq in range(from_seq, self.last_seq + 1) if seq in self._subject_of]
        return [seq for seq in self._subject_of if seq >= from_seq]

    def _walk_messages(self, filters: Sequence[str], from_seq: int) -> Iterator[Sequence[int]]:
        """Look at the messages in order."""
        matches, size = matcher(filters), limits.SEARCH_SLICE_COUNT
        there = self._all_from(from_seq)
        for start in range(0, len(there), size):
            part, subject_of = there[start : start + size], self._subject_of
            self.looked += len(part)
            if filters:
                named = ((seq, subject_of.get(seq)) for seq in part)
                yield [seq for seq, subject in named if subject is not None and matches(subject)]
            else:
                yield part if not start else [seq for seq in part if seq in subject_of]

    def _walk_subjects(
        self, filters: Sequence[str], from_seq: int, newest_until: int | None = None
    ) -> Iterator[Sequence[int]]:
        """Look at the subjects that may match, then put their sequences in order: all from
        `from_seq` on, or of each the newest until a sequence."""
        runs: list[list[int]] = []
        names, matches = self.near(filters), matcher(filters)
        depth = len(self._subject_of) // max(len(self._sequences_of), 1)
        size = max(1, limits.SEARCH_SLICE_COUNT // (1 if newest_until is not None else depth + 1))
        for start in range(0, len(names), size):
            run: list[int] = []
            for subject in filter(matches, names[start : start + size]):
                known = self._known(subject)
                if newest_until is None:
                    run += known[bisect_left(known, from_seq) :]
                elif at := bisect_right(known, newest_until):
                    run.append(known[at - 1])
            run.sort()
            self.looked += min(size, len(names) - start) + len(run)
            runs.append(run)
            if start + size < len(names):
                yield ()
        there, size = merge(*runs) if len(runs) > 1 else chain(*runs), limits.SEARCH_SLICE_COUNT
        while part := list(islice(there, size)):
            self.looked += len(part)
            yield [seq for seq in part if seq in self._subject_of]
