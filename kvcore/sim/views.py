"""What a simulated world lets one see: each server's part in a group, as it is at this moment.

A client can ask who leads. Terms, votes, logs and timers are nobody's business but the
servers', and a simulator may look inside them:

    for view in world.views("KV_b"):
        print(view.server, view.role, view.term, view.log)

Values are taken when one looks; nothing follows what happens later. A server that is down is
seen with what can be seen from outside: that it is down.

Left out: changing anything, but for a leader's handing over and for rules that were swapped.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from kvcore.limits import Nanos
from kvcore.node.node import Node
from kvcore.raft.core import Raft
from kvcore.raft.rules import Rules
from kvcore.raft.state import Role
from kvcore.sim.host import Host, State

META = "_meta_"
_RULES = tuple(field.name for field in fields(Rules))


@dataclass(frozen=True, slots=True)
class Place:
    """One entry of a log: where it stands, of which term, and what it is."""

    index: int
    term: int
    kind: str
    is_committed: bool  # as far as this server knows


@dataclass(frozen=True, slots=True)
class View:
    """One server's part in one group. A server that is down has no role, "" ."""

    server: str
    group: str
    state: str  # of the machine: up, paused, crashed, without power
    role: str = ""
    term: int = 0
    vote: str = ""
    leader: str = ""
    voters: tuple[str, ...] = ()
    learners: tuple[str, ...] = ()
    commit: int = 0
    applied: int = 0
    log: tuple[Place, ...] = ()  # what is kept of it
    last_index: int = 0
    deadline: Nanos | None = None  # when its timer runs out

    def __repr__(self) -> str:
        if not self.role:
            return f"{self.server} {self.state}"
        return (
            f"{self.server} {self.role} · term {self.term} · log to {self.last_index}, "
            f"committed to {self.commit}"
        )


def view(host: Host, group: str) -> View | None:
    """How a server stands to a group; None if it has no part in it."""
    if not isinstance(host.node, Node):
        return View(host.name, group, host.state.value)
    found = host.node.groups.get(group)
    if found is None:
        return None
    raft = found.raft
    state = raft.state
    return View(
        server=host.name,
        group=group,
        state=host.state.value,
        role=raft.role.value,
        term=raft.term,
        vote=state.hard.voted_for,
        leader=raft.leader,
        voters=state.members.voters,
        learners=state.members.learners,
        commit=raft.commit,
        applied=found.applied,
        log=_places(raft),
        last_index=raft.last_index,
        deadline=raft.deadline(),
    )


def _places(raft: Raft) -> tuple[Place, ...]:
    log, commit = raft.state.log, raft.commit
    return tuple(
        Place(entry.index, entry.term, entry.kind.name.lower(), entry.index <= commit)
        for entry in log.slice(log.first, log.last_index)
    )


def names_of(hosts: Iterable[Host]) -> dict[int, str]:
    """The names of all groups that any running server has, by id."""
    nodes = [host.node for host in hosts if isinstance(host.node, Node)]
    return {group.gid: name for node in nodes for name, group in node.groups.items()}


def leader_of(hosts: Iterable[Host], group: str) -> Host | None:
    """The running server that leads in the latest term; a leader that was cut off may not
    know of its successor."""
    latest, leader = 0, None
    for host in hosts:
        if host.state is not State.UP or not isinstance(host.node, Node):
            continue
        found = host.node.groups.get(group)
        if found is not None and found.role is Role.LEADER and found.term > latest:
            latest, leader = found.term, host
    return leader


def hand_over(leader: Host, group: str, to: str) -> None:
    """The leader of a group hands over, to the server named or to any follower."""
    node = leader.node
    assert isinstance(node, Node)
    voters = [name for name in node.groups[group].members.voters if name != leader.name]
    if not voters:
        raise ValueError(f"{group} has no other server")
    if to and to not in voters:
        raise ValueError(f"{to} has no vote in {group}; {', '.join(voters)} have")
    node.hand_over(group, to or voters[0])
    leader.wake()


def check_rules(rules: Mapping[str, Callable[..., Any]]) -> None:
    """Raises ValueError for a name that is no rule."""
    for name in rules:
        if name not in _RULES:
            raise ValueError(f"no rule {name!r}; there are {', '.join(_RULES)}")


def obey_rules(host: Host) -> None:
    """Each of the server's groups has the rules that its machine has now."""
    if isinstance(host.node, Node):
        rules = replace(Rules(), **host.rules)
        for group in host.node.groups.values():
            if group.raft.rules != rules:
                group.raft.rules = rules
