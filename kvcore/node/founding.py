"""How servers that have just met become a cluster, once.

A cluster begins with a meta group, and all of its founders must begin it with the same
members: two groups that know nothing of each other would be two clusters, each sure of itself.
So servers that are new say whom they would found it with, and keep to what they have said:

    fresh, meets enough fresh servers  → proposes the first names, in the order of names
    all that it proposed propose the same                      → founds it with them
    meets one that has founded it, undecided yet, with me      → founds it as that one did
    meets one that has a past otherwise                        → joins: waits to be added

A proposal is never changed while the process lives. With more fresh servers than the cluster's
size two proposals could stand against each other; then nobody founds anything, which harms
nobody, and an operator sees it in the trace.

A server whose disk was emptied is fresh as well. It must not found what it belonged to once,
for it has forgotten its votes: so a founder names the founders to others only until the
group's log has anything but its first entry. After that the leader sends the log, and until
it has come the newcomer promises nothing.

Left out: servers whose members are all named in advance (`ClusterConfig.members`); they found
the group at once, without meeting.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TypeAlias

from kvcore.node.frames import Hello


@dataclass(frozen=True, slots=True)
class Propose:
    """Tell everybody that the cluster shall begin with these."""

    founders: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """Begin the meta group with these members."""

    founders: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Join:
    """The cluster exists: wait for its leader."""


Step: TypeAlias = Propose | Found | Join


def next_step(me: Hello, others: Iterable[Hello]) -> Step | None:
    """What a server does that knows these others; None is to wait. While it is fresh,
    `me.founders` is what it proposed."""
    if not me.is_fresh:
        return None
    met = [each for each in others if each.jetstream]
    past = [each for each in met if not each.is_fresh]
    if past:
        is_new = all(me.name in each.founders for each in past)
        return Found(past[0].founders) if is_new else Join()
    fresh = {each.name: each for each in met if each.size == me.size}
    if not me.founders:
        names = sorted((me.name, *fresh))[: me.size]
        return Propose(tuple(names)) if me.name in names and len(names) == me.size else None
    agreed = (
        name == me.name or (name in fresh and fresh[name].founders == me.founders)
        for name in me.founders
    )
    return Found(me.founders) if all(agreed) else None


def proposing(me: Hello, founders: tuple[str, ...]) -> Hello:
    """The introduction of a server that proposes these founders."""
    return replace(me, founders=founders)


def settled(me: Hello, founders: tuple[str, ...]) -> Hello:
    """The introduction of one that belongs to a group; `founders` while nothing else has
    happened in it."""
    return replace(me, is_fresh=False, founders=founders)
