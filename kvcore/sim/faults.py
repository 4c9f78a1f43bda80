"""What can befall a world: its servers, its network, its disks, and its servers' rules.

Each verb does one thing at once, and writes a line into the journal, so that a world that is
rewound lives through it again. A verb that makes no sense now (a crash of what is down)
raises ValueError in a sentence.

Left out: verbs at random, see `nemesis.py`.
"""

import errno
from collections.abc import Callable, Sequence
from typing import Any, Literal, Self, TypeAlias

from kvcore.limits import Nanos
from kvcore.sim import views
from kvcore.sim.host import Host, State
from kvcore.sim.journal import Done, Journal
from kvcore.sim.links import Links, Pair
from kvcore.sim.loop import VirtualLoop

Call: TypeAlias = Literal["write", "sync"]
_ERRORS = {"EIO": errno.EIO, "ENOSPC": errno.ENOSPC}


class Faults:
    """The part of a `World` that breaks it; the world makes the attributes."""

    hosts: dict[str, Host]
    links: Links
    loop: VirtualLoop
    journal: Journal
    _apart: dict[Pair, None]  # servers and clients, by a partition
    _one_way: dict[Pair, None]

    @property
    def elapsed(self) -> Nanos:
        """How long the world has existed."""
        raise NotImplementedError

    def note(self, kind: str, **fields: str | int | bool | None) -> None:
        """One record in the trace."""
        raise NotImplementedError

    def host(self, name: str | None = None) -> Host:
        """A machine by its server's name; the only one, if there is one."""
        if name is None and len(self.hosts) == 1:
            return next(iter(self.hosts.values()))
        if name not in self.hosts:
            raise ValueError(f"no server {name!r}; there are {', '.join(self.hosts)}")
        return self.hosts[name]

    # Servers.

    def crash(self, name: str | None = None) -> None:
        """The server's process is killed; its disk keeps what it wrote."""
        host = self._running(name)
        self._done("crash", host.name)
        host.crash()

    def restart(self, name: str | None = None) -> None:
        """Starts a server that is down; one that runs is killed first.

        Raises StorageError when the server refuses what its disk holds; it stays down then.
        """
        host = self.host(name)
        self._done("restart", host.name)
        if host.state in (State.UP, State.PAUSED):
            host.crash()
        host.start()

    def pause(self, name: str | None = None) -> None:
        """The server's process stops; its connections stay open and silent."""
        host = self._running(name)
        self._done("pause", host.name)
        if host.state is State.UP:
            host.pause()

    def resume(self, name: str | None = None) -> None:
        """A paused server goes on."""
        host = self._running(name)
        self._done("resume", host.name)
        if host.state is State.PAUSED:
            host.resume()

    def power_cut(self, name: str | None = None) -> None:
        """The machine loses its power; what was not synced may be gone."""
        host = self._running(name)
        self._done("power_cut", host.name)
        host.power_cut()

    def step_down(self, group: str, to: str = "") -> None:
        """The group's leader hands over, to the server named or to any that follows it.

        A group has its stream's name (a bucket's is `KV_` and the bucket's), or `_meta_`.
        """
        self._done("step_down", group, to)
        leader = views.leader_of(self.hosts.values(), group)
        if leader is None:
            raise ValueError(f"{group} has no leader")
        views.hand_over(leader, group, to)

    def _running(self, name: str | None) -> Host:
        host = self.host(name)
        if host.state in (State.CRASHED, State.DARK):
            raise ValueError(f"{host.name} is {host.state.value}; restart it first")
        return host

    # The network.

    def partition(self, *groups: Sequence[str]) -> None:
        """The network comes apart: what is in different groups hears nothing of each other.

        Groups name servers, and clients by the name that they connect with. Servers that no
        group names are one group more; clients that none names reach every server. What an
        earlier call has cut is whole again, one-way cuts aside.
        """
        pieces = [list(group) for group in groups]
        named = [name for piece in pieces for name in piece]
        if len(dict.fromkeys(named)) < len(named):
            raise ValueError("a server or client can't be in two groups")
        pieces.append([name for name in self.hosts if name not in named])
        self._done("partition", *groups)
        self._apart = {
            (one, other): None
            for piece in pieces
            for one in piece
            for others in pieces
            for other in others
            if others is not piece
        }
        text = " | ".join(" ".join(piece) for piece in pieces if piece)
        self.note("partition", groups=text)
        self._cut()

    def cut(self, sender: str, to: str) -> None:
        """What the one server sends to the other is lost from now on; the way back is open."""
        pair = self.host(sender).name, self.host(to).name
        self._done("cut", *pair)
        self._one_way[pair] = None
        self.note("cut", sender=sender, to=to)
        self._cut()

    def heal(self) -> None:
        """The network is whole again."""
        self._done("heal")
        self._apart, self._one_way = {}, {}
        self.note("heal")
        self._cut()

    def _cut(self) -> None:
        servers = {pair: None for pair in self._apart if all(name in self.hosts for name in pair)}
        clients = {pair: None for pair in self._apart if pair[0] not in self.hosts}
        self.links.cut(servers | self._one_way)
        self.loop.network.cut({pair: None for pair in clients if pair[1] in self.hosts})

    # Disks.

    def disk_fault(self, name: str | None, call: Call, error: str = "EIO") -> None:
        """The next write or sync of this disk fails, with EIO or ENOSPC."""
        host = self.host(name)
        self._done("disk_fault", host.name, call, error)
        host.note("disk-fault", call=call, error=error)
        host.disk.fail(call, OSError(_ERRORS[error], error))

    def mend_disk(self, name: str | None) -> None:
        """No fault waits on this disk any more."""
        host = self.host(name)
        self._done("mend_disk", host.name)
        host.disk.mend()

    def flip_bit(self, name: str | None, file: str, offset: int, mask: int = 0x01) -> None:
        """A byte on this disk is not what was written; nobody notices until it is read."""
        host = self.host(name)
        self._done("flip_bit", host.name, file, offset, mask)
        host.note("bit-flip", file=file, offset=offset)
        host.disk.damage(file, offset, mask)

    # Rules.

    def swap(self, name: str | None, **rules: Callable[..., Any]) -> "Swapped":
        """Puts other functions in the place of rules of one server's Raft, in all its groups.

        They stay through restarts of that server, until `undo`.
        """
        host = self.host(name)
        views.check_rules(rules)
        before = dict(host.rules)
        self._set_rules(host.name, before | rules)
        return Swapped(self, host.name, before)

    def _set_rules(self, name: str, rules: dict[str, Callable[..., Any]]) -> None:
        host = self.hosts[name]
        self._done("_set_rules", name, rules)
        host.note("swap", rules=" ".join(rules))
        host.rules = dict(rules)
        views.obey_rules(host)

    def _done(self, verb: str, *arguments: Any) -> None:
        self.journal.keep(Done(self.elapsed, verb, arguments))


class Swapped:
    """Rules that stand in for a server's own, until `undo` or the end of a `with`."""

    def __init__(self, world: Faults, name: str, before: dict[str, Callable[..., Any]]) -> None:
        self._world = world
        self._name = name
        self._before = before

    def undo(self) -> None:
        """The rules from before are in force again."""
        self._world._set_rules(self._name, self._before)  # noqa: SLF001 - the world's own value

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.undo()
