"""Finds servers for the streams of commands that the meta group's leader is about to propose.

What has been proposed and not yet applied counts as well, or a hundred buckets made at once
would all go to the same server.

Left out: the rule itself (`placement.py`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from kvcore.jetstream import placement
from kvcore.jetstream.commands import (
    BeginRestore,
    CompleteRestore,
    CreateStream,
    MetaCommand,
    UpdateStream,
)
from kvcore.jetstream.config import StreamConfig
from kvcore.jetstream.outcome import StreamAssignment
from kvcore.jetstream.placement import Place, UnplacedError


class Planner:
    """The leader's view: `places` tells which servers there are, `leader_of` who leads a
    stream (or ""), `own` is this server's name."""

    def __init__(
        self,
        places: Callable[[], Sequence[Place]],
        leader_of: Callable[[str], str],
        own: str = "",
    ) -> None:
        self._places = places
        self._leader_of = leader_of
        self._own = own
        self._proposed: list[tuple[tuple[str, int], tuple[str, ...]]] = []  # not yet applied

    def placed(
        self,
        command: CreateStream | UpdateStream | BeginRestore | CompleteRestore,
        config: StreamConfig,
        streams: Mapping[str, StreamAssignment],
    ) -> CreateStream | UpdateStream | BeginRestore | CompleteRestore:
        """The command with the servers that shall hold its stream, or why there are none."""
        known = streams.get(config.name)
        now_at: Sequence[str] = known.peers if known is not None else ()
        leader = self._leader_of(config.name)
        if isinstance(command, BeginRestore | CompleteRestore):
            now_at, leader = (self._own,), self._own  # its records are gathered here
        try:
            peers = self.peers(config, streams, now_at=now_at, leader=leader)
        except UnplacedError as refused:
            if isinstance(command, CompleteRestore):
                return replace(command, holder=self._own)  # it stays where it is
            return replace(command, unplaced=str(refused))
        if isinstance(command, BeginRestore):
            return replace(command, holder=self._own)
        if isinstance(command, CompleteRestore):
            command = replace(command, holder=self._own)
        command = replace(command, peers=peers)
        added = tuple(name for name in peers if name not in now_at)
        self._proposed.append((_known_by(command), added))
        return command

    def peers(
        self,
        config: StreamConfig,
        streams: Mapping[str, StreamAssignment],
        *,
        now_at: Sequence[str] = (),
        leader: str = "",
        without: Sequence[str] = (),
    ) -> tuple[str, ...]:
        """Servers for a stream, in the order of preference; raises `UnplacedError`."""
        counts = placement.held(
            [
                *(each.peers for each in streams.values()),
                *(added for _, added in self._proposed),
            ]
        )
        places = [replace(each, held=counts.get(each.name, 0)) for each in self._places()]
        known = streams.get(config.name)
        return placement.place(
            config,
            places,
            now_at=now_at,
            leader=leader,
            without=without,
            is_at_home=known is not None and known.config.placement == config.placement,
        )

    def forget(self, command: MetaCommand) -> None:
        """It was applied: from now on the streams tell where they are."""
        self._proposed = [each for each in self._proposed if each[0] != _known_by(command)]

    def clear(self) -> None:
        """This server leads no more, and knows of no proposals."""
        self._proposed.clear()


def _known_by(command: MetaCommand) -> tuple[str, int]:
    return command.reply, command.time
