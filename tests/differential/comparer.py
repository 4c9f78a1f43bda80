"""Compares two runs of a script, step by step, leaf by leaf.

Two values are the same when they are equal and of the same type. What differs and is
covered by a permission is counted as that permission's use; the rest is a `Difference`.
So is whatever ours let wait in vain, even if nats-server did too: a server that falls
silent is like any other.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.differential.permissions import PERMISSIONS, Permission
from tests.differential.session import Step

ABSENT = "(absent)"
LATE = "(in vain)"


@dataclass(frozen=True, slots=True)
class Difference:
    """One leaf of one step that is not the same."""

    at: int
    kind: str
    path: str
    ours: object
    theirs: object

    def __str__(self) -> str:
        return f"{self.path or 'result'}: ours {self.ours!r}, nats-server's {self.theirs!r}"


def _told(step: Step) -> object:
    """How a step ended, with the words of what was raised."""
    return f"{step.outcome} {step.facts.get('text', '')}".rstrip()


@dataclass
class Comparer:
    """Compares, and remembers which permissions were needed."""

    permissions: Sequence[Permission] = PERMISSIONS
    used: Counter[Permission] = field(default_factory=Counter)
    _covering: dict[tuple[str, str], list[Permission]] = field(default_factory=dict)

    def compare(self, ours: Sequence[Step], theirs: Sequence[Step]) -> list[Difference]:
        """The differences of the first step that has any; a wait in vain goes before."""
        for at, mine in enumerate(ours):
            if mine.is_late:
                return [Difference(at, mine.op.kind, LATE, _told(mine), _told(theirs[at]))]
        before: set[str] = set()
        for at, (mine, other) in enumerate(zip(ours, theirs, strict=True)):
            if mine.facts != other.facts:
                found = self._of_step(at, mine, other, before)
                if found:
                    return found
            before.add(mine.op.kind)
        return []

    def _of_step(self, at: int, mine: Step, other: Step, before: set[str]) -> list[Difference]:
        found = []
        kind = mine.op.kind
        for path in [*other.facts, *(path for path in mine.facts if path not in other.facts)]:
            a, b = mine.facts.get(path, ABSENT), other.facts.get(path, ABSENT)
            if a == b and type(a) is type(b):
                continue
            allowed = self._permission(kind, path, before) if type(a) is type(b) else None
            if allowed is None:
                found.append(Difference(at, kind, path, a, b))
            else:
                self.used[allowed] += 1
        return found

    def _permission(self, kind: str, path: str, before: set[str]) -> Permission | None:
        if (kind, path) not in self._covering:
            entries = [entry for entry in self.permissions if entry.covers(kind, path)]
            self._covering[kind, path] = entries
        for entry in self._covering[kind, path]:
            if not entry.after or any(re.fullmatch(entry.after, other) for other in before):
                return entry
        return None

    def unused(self) -> list[Permission]:
        return [entry for entry in self.permissions if not self.used[entry]]
