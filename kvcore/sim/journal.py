"""What came to a world from outside, so that it can live through it again.

A simulated server is a function of its seed and of what it is told. Its own chance, its
disk's and its links' come from the seed; from outside come only what clients send and what
the verbs do. That is what a journal keeps. To rewind a world is to make another with the same
seed, tell it the same at the same moments, and stop earlier.

The clients themselves are not made again: what they know is of a time that has not come yet.
Where the replay stops, their connections end.

Left out: worlds whose code has changed in between; they may go another way.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from kvcore import limits
from kvcore.limits import Nanos
from kvcore.node.io import ClientClosed, ClientConnected, ClientData
from kvcore.sim.errors import NotInThisWorld

ClientEvent: TypeAlias = ClientConnected | ClientData | ClientClosed


class Replayable(Protocol):
    """A server's machine, as a replay sees it."""

    def replay(self, event: ClientEvent) -> None:
        """The server hears again what a client once said."""

    def end_replay(self) -> None:
        """The connections of that time are over."""


class Theatre(Protocol):
    """A world, as a replay sees it."""

    journal: "Journal"

    @property
    def elapsed(self) -> Nanos:
        """How long the world has existed."""

    @property
    def machines(self) -> Mapping[str, Replayable]:
        """By name."""


@dataclass(frozen=True, slots=True)
class Said:
    """A client's event on one server."""

    at: Nanos
    host: str
    event: ClientEvent


@dataclass(frozen=True, slots=True)
class Done:
    """A verb of the world's, and what it was given."""

    at: Nanos
    verb: str
    arguments: tuple[Any, ...]


class Journal:
    """In the order of time; times count from the world's beginning."""

    def __init__(self) -> None:
        self._lines: list[Said | Done] = []
        self._is_full = False

    def keep(self, line: Said | Done) -> None:
        """One more; a world that is told too much can't be rewound any more."""
        if len(self._lines) < limits.JOURNAL_COUNT:
            self._lines.append(line)
        else:
            self._is_full = True

    async def replay(self, world: Theatre, until: Nanos) -> None:
        """Tells another world all that came before `until`, and waits for that moment."""
        if self._is_full:
            raise NotInThisWorld("This world has been told too much to live through it again.")
        for line in self._lines:
            if line.at >= until:
                break
            await _wait(world, line.at)
            match line:
                case Said(_, host, event):
                    world.journal.keep(line)
                    world.machines[host].replay(event)
                case Done(_, verb, arguments):
                    getattr(world, verb)(*arguments)  # which writes its own line
        await _wait(world, until)
        for machine in world.machines.values():
            machine.end_replay()


async def _wait(world: Theatre, at: Nanos) -> None:
    loop = asyncio.get_running_loop()
    left = at - world.elapsed
    if left <= 0:
        return
    moment = loop.create_future()
    loop.call_at(loop.time() + left / limits.SECOND_NS, moment.set_result, None)
    await moment
