"""What a group uses of its server, as one value: stores, a clock, links, the trace.

A group is the same on a server of its own, in a cluster and in a test. What differs is what
it is wired to, and each wire that a test doesn't need leads nowhere.

Left out: the group (`groups.py`).
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from kvcore.node.config import Timers
from kvcore.node.group_trace import Tell, untold
from kvcore.node.wakeups import Clock
from kvcore.storage.overlay import Overlay


def nothing() -> None:
    """Nobody needs to know."""


def _nowhere(_peer: str, _gid: int, _data: bytes) -> None:
    """A group of one has nobody to send to."""


@dataclass(frozen=True, slots=True)
class Wiring:
    """What a group uses of its server. `records` is the overlay of the group's engine, `hard`
    that of the durable one (the same one for a group on files). `send` takes a message to a
    peer, `tell` is for the trace."""

    records: Overlay
    hard: Overlay
    clock: Clock = field(default_factory=lambda: Clock(0))
    timers: Timers = field(default_factory=Timers)
    rng: Random = field(default_factory=lambda: Random(0))
    send: Callable[[str, int, bytes], None] = _nowhere
    tell: Tell = untold
