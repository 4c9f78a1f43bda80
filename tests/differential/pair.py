"""Two servers, one of each kind, and scripts that run on both at once.

Many scripts are in flight, so that one's waiting is another's work. A difference counts
when it comes again: the script runs twice more, and one run without a difference makes it
`unsteady` instead of found; nats-server's own answers may depend on its threads' order.
Where ours let a script wait in vain, once is enough.
"""

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field

from tests.differential import session
from tests.differential.comparer import LATE, Comparer, Difference
from tests.differential.script import Script
from tests.differential.session import Step
from tests.support.servers import running

IN_FLIGHT = 16
SURE = 3  # as often must a script differ

Steps = list[Step]
Alter = Callable[[Steps], Steps]


@dataclass(frozen=True, slots=True)
class Ran:
    """A script, what it gave on both servers, and what differs."""

    script: Script
    ours: Steps
    theirs: Steps
    differences: list[Difference]


def as_is(steps: Steps) -> Steps:
    return steps


@dataclass
class Pair:
    """Both servers' addresses, and what was seen so far."""

    ours: str
    theirs: str
    comparer: Comparer = field(default_factory=Comparer)
    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    unsteady: list[Ran] = field(default_factory=list)
    count: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    async def once(self, script: Script, alter: Alter = as_is) -> Ran:
        bucket = f"d{next(self.count):06d}"  # as long each time: it counts as bytes
        ours, theirs = await asyncio.gather(
            session.run(self.ours, bucket, script), session.run(self.theirs, bucket, script)
        )
        ours = alter(ours)
        return Ran(script, ours, theirs, self.comparer.compare(ours, theirs))

    async def ran(self, script: Script) -> Ran:
        first = await self.once(script)
        for step in first.theirs:
            self.outcomes[step.op.kind, step.outcome] += 1
        again = first
        for _ in range(SURE - 1):
            if not again.differences or again.differences[0].path == LATE:
                break
            again = await self.once(script)
        if first.differences and not again.differences:
            self.unsteady.append(first)
        return again

    async def all(self, scripts: Iterable[Script]) -> AsyncIterator[Ran]:
        """Every script's run, as they end."""
        waiting = iter(scripts)
        tasks = {
            asyncio.ensure_future(self.ran(script))
            for script in itertools.islice(waiting, IN_FLIGHT)
        }
        while tasks:
            done, tasks = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for script in itertools.islice(waiting, len(done)):
                tasks.add(asyncio.ensure_future(self.ran(script)))
            for task in done:
                yield task.result()

    def missing(self, expected: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
        return [each for each in expected if not self.outcomes[each]]


@asynccontextmanager
async def servers(ours: str = "kvcore") -> AsyncIterator[Pair]:
    """One server of each kind for the length of a `with` block."""
    with ExitStack() as stack:
        yield Pair(
            stack.enter_context(running(ours)).url,
            stack.enter_context(running("nats-server")).url,
        )
