"""Every order in which something can happen, one after the other: a walk over a tree of choices.

A race shows itself in one order in twenty, and a test that tries five at random says that all
is well. If a run is decided by its choices alone, each run can be made again up to a choice
and then turn off. So the tree is walked depth first without ever being built: a run takes
the first option at each new choice; the next run repeats the last one up to its deepest
choice with an option left, and takes that.

    orders = Orders()
    while orders.more():
        start_afresh()
        while something_can_happen:
            happen(orders.pick(what_can_happen))

`more` is false when every leaf has been visited: `count` runs, no two with the same choices.

Left out: leaving out orders that come to the same thing (partial-order reduction). The
trees here are small, and "all 70 orders" is easier to believe than "8 that stand for 70".
"""

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Orders:
    """The runs so far, as the choices that the next one repeats. At most `bound` runs."""

    def __init__(self, bound: int = 1000) -> None:
        self.bound = bound
        self.count = 0
        self._taken: list[int] = []
        self._options: list[int] = []
        self._at = 0

    def more(self) -> bool:
        """Whether there is a run left; if so, it begins now."""
        if self.count and not self._turn_off():
            return False
        if self.count >= self.bound:
            return False
        self.count += 1
        self._at = 0
        return True

    @property
    def complete(self) -> bool:
        """Whether no order is left that has not been run."""
        pairs = zip(self._taken, self._options, strict=True)
        return self.count > 0 and all(taken == options - 1 for taken, options in pairs)

    def pick(self, options: Sequence[T]) -> T:
        """One of the options: as in the run before, the next one, or the first."""
        if self._at == len(self._taken):
            self._taken.append(0)
            self._options.append(len(options))
        if self._options[self._at] != len(options):
            raise RuntimeError("the same choices led elsewhere: the run is not repeatable")
        self._at += 1
        return options[self._taken[self._at - 1]]

    def _turn_off(self) -> bool:
        """Goes back to the deepest choice with an option left, and takes that."""
        if self.complete:
            return False
        del self._taken[self._at :], self._options[self._at :]
        while self._taken[-1] == self._options[-1] - 1:
            self._taken.pop()
            self._options.pop()
        self._taken[-1] += 1
        return True
