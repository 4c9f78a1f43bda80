"""Streams come to this server and go: their groups are started, found again, and ended.

The meta group says which streams there are. For each that is assigned to this server there
is a group on one of its engines, a machine made from the records there, and a host. At the
start of a process the groups are found again by what the meta group had decided; what other
groups have left in the store is swept up.

Left out: streams that are assigned to other servers only.
"""

from collections.abc import Callable, Iterable, Mapping

from kvcore.jetstream.commands import decode_stream, encode
from kvcore.jetstream.outcome import StreamAssignment
from kvcore.jetstream.state import Budget
from kvcore.jetstream.stream import Stream
from kvcore.node.config import NodeConfig
from kvcore.node.engines import engine_of, hard_of
from kvcore.node.following import Following
from kvcore.node.group_records import destroy, destroy_all_but, found
from kvcore.node.groups import MEMORY, Group, Wiring
from kvcore.node.hosting import Host, Surroundings
from kvcore.node.hosts import Hosts
from kvcore.node.replicas import Replicas
from kvcore.node.restores import Restores
from kvcore.storage import keys
from kvcore.storage.overlay import Overlay


class Streams:
    """Starts and ends the hosts of one server."""

    def __init__(  # noqa: PLR0917 - one call, in the node
        self,
        config: NodeConfig,
        overlays: Mapping[str, Overlay],
        budgets: Mapping[str, Budget],
        replicas: Replicas,
        hosts: Hosts,
        following: Following,
        restores: Restores,
        around: Surroundings,
        wire: Callable[[str, str], Wiring],
    ) -> None:
        self._server_name = config.server_name
        self._is_alone = config.cluster is None
        self._default_engine = config.engines[0]  # of a stream that names none
        self._overlays = overlays
        self._budgets = budgets
        self._replicas = replicas
        self._hosts = hosts
        self._following = following
        self._restores = restores
        self._around = around
        self._wire = wire

    def recover(self, assignments: Iterable[StreamAssignment], old_upto: int = 0) -> None:
        """Take up what was assigned before the process began, or before a snapshot came;
        groups up to `old_upto` are old (see `assign`)."""
        known = list(assignments)
        live = {keys.META_GID, *(each.gid for each in known)}
        for engine, overlay in self._overlays.items():
            if engine != MEMORY:
                destroy_all_but(live, overlay)
        for assignment in known:
            self.assign(assignment, is_old=assignment.gid <= old_upto)

    def assign(self, assignment: StreamAssignment, *, is_old: bool = False) -> Host | None:
        """The host of a stream as it was decided now; its group starts if it is new. None: it
        is on other servers. `is_old`: this server may have had it before its disk was emptied."""
        host = self._hosts.get(assignment.config.name)
        if host is None and not self._is_here(assignment):
            return None
        host = host or self._start(assignment, is_old=is_old)
        host.assignment = assignment
        return host

    def _is_here(self, assignment: StreamAssignment) -> bool:
        """Whether a stream is to be on this server, or was and may still be needed. One without
        peers was made by a server on its own: in a cluster it is where it was, nowhere else."""
        is_own = self._is_alone and not assignment.peers
        if is_own or self._server_name in assignment.peers:
            return True
        gid = assignment.gid
        engine = engine_of(gid, assignment.config, self._overlays, self._default_engine)
        return hard_of(engine, self._overlays).get(keys.hard_state(gid)) is not None

    def end(self, assignment: StreamAssignment) -> None:
        """The stream is deleted: nothing of it remains."""
        host = self._hosts.get(assignment.config.name)
        if host is None:
            return
        host.dismiss()
        self.leave(host)
        self._around.tell("stream-deleted", stream=assignment.config.name)

    def leave(self, host: Host) -> None:
        """The stream goes on without this server."""
        host.withdraw()
        self._hosts.remove(host.name)
        self._following.forget(host)
        host.stream.release()
        self._replicas.remove(host)
        overlays, engine = self._overlays, host.group.engine
        destroy(host.group.gid, overlays[engine], hard_of(engine, overlays))

    def _start(self, assignment: StreamAssignment, *, is_old: bool) -> Host:
        gid, overlays, name = assignment.gid, self._overlays, self._server_name
        engine = engine_of(gid, assignment.config, overlays, self._default_engine)
        founders: tuple[str, ...] | None = assignment.founders
        if assignment.peers and not assignment.is_founder(name):
            founders = None
        is_forgotten = is_old and bool(assignment.peers)
        records, hard = overlays[engine], hard_of(engine, overlays)
        state = found(gid, name, records, hard, founders, is_forgotten=is_forgotten)
        is_first = state.commit == 1 and state.delivered == 0 and assignment.peers[:1] == (name,)
        restored = self._restores.take(gid)
        stream = restored or self._made(assignment, engine)
        group = Group(
            gid, engine, stream, encode, decode_stream, state,
            self._wire(engine, assignment.config.name),
        )  # fmt: skip
        host = Host(group, stream, assignment, self._around)
        host.is_restored = restored is not None
        self._hosts.add(host)
        self._replicas.add(host)
        if is_first:
            group.stand()
        return host

    def remake(self, host: Host) -> Stream:
        """The stream of a host from its records, which are others now."""
        return self._made(host.assignment, host.group.engine)

    def _made(self, assignment: StreamAssignment, engine: str) -> Stream:
        return Stream(
            assignment.gid, assignment.config, assignment.created, self._overlays[engine],
            self._budgets[engine],
        )  # fmt: skip
