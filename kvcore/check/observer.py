"""The invariants of Raft, watched in a whole simulated world after each turn of a server.

`watch(world)` puts an observer on every machine. From then on a property that ceases to hold
is found in the turn in which it does, by name, for the meta group and for every stream's.

Left out: the properties themselves, see `invariants.py`.
"""

from functools import partial

from kvcore.check.invariants import Invariants, InvariantViolated
from kvcore.node.node import Node
from kvcore.sim.host import Host
from kvcore.sim.world import World


class Observer:
    """Looks at one world's groups. The first violation is kept; nothing is looked at after it."""

    def __init__(self) -> None:
        self.violation: InvariantViolated | None = None
        self.looks = 0
        self._memories: dict[int, Invariants] = {}  # by group

    def look(self, host: Host) -> None:
        """A server's turn is over."""
        if self.violation is not None or not isinstance(host.node, Node):
            return
        self.looks += 1
        try:
            for group in host.node.groups.values():
                memory = self._memories.setdefault(group.gid, Invariants())
                memory.observe({host.name: group.raft.state})
        except InvariantViolated as violation:
            self.violation = violation


def watch(world: World) -> Observer:
    """Puts an observer on every machine of the world."""
    observer = Observer()
    for host in world.hosts.values():
        host.on_turn = partial(observer.look, host)
    return observer
