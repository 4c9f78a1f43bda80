"""The invariants of Raft, watched in a whole simulated world after each turn of a server.

`watch(world)` puts an observer on every machine. From then on a property that ceases to hold
is found in the turn in which it does, by name, for the meta group and for every stream's.

Left out: the properties themselves, see `invariants.py`.
"""

from kvcore.check.invariants import Invariants, InvariantViolated
from kvcore.node.node import Node
from kvcore.raft.state import State
from kvcore.sim.world import World


class Observer:
    """Looks at one world's groups. The first violation is kept; nothing is looked at after it."""

    def __init__(self, world: World) -> None:
        self.violation: InvariantViolated | None = None
        self.looks = 0
        self._world = world
        self._memories: dict[int, Invariants] = {}  # by group

    def look(self) -> None:
        """A server's turn is over."""
        if self.violation is not None:
            return
        self.looks += 1
        groups: dict[int, dict[str, State]] = {}
        for name, host in self._world.hosts.items():
            if isinstance(host.node, Node):
                for group in host.node.groups.values():
                    groups.setdefault(group.gid, {})[name] = group.raft.state
        try:
            for gid, states in groups.items():
                self._memories.setdefault(gid, Invariants()).observe(states)
        except InvariantViolated as violation:
            self.violation = violation


def watch(world: World) -> Observer:
    """Puts an observer on every machine of the world."""
    observer = Observer(world)
    for host in world.hosts.values():
        host.on_turn = observer.look
    return observer
