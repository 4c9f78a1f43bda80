"""Streams come to this server and go: their groups are started, found again, and ended.

The meta group says which streams there are. For each that is assigned to this server there
is a group on one of its engines, a machine made from the records there, and a host. At the
start of a process the groups are found again by what the meta group had decided; what other
groups have left in the store is swept up.

Left out: streams that are assigned to other servers only.
"""

from collections.abc import Iterable, Mapping

from kvcore.jetstream.commands import decode_stream, encode
from kvcore.jetstream.outcome import StreamAssignment
from kvcore.jetstream.state import Budget
from kvcore.jetstream.stream import Stream
from kvcore.node.engines import engine_of, hard_of
from kvcore.node.following import Following
from kvcore.node.groups import MEMORY, Group, destroy_all_but
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
        server_name: str,
        default_engine: str,
        overlays: Mapping[str, Overlay],
        budgets: Mapping[str, Budget],
        replicas: Replicas,
        hosts: Hosts,
        following: Following,
        restores: Restores,
        around: Surroundings,
    ) -> None:
        self._server_name = server_name
        self._default_engine = default_engine  # of a stream that names none
        self._overlays = overlays
        self._budgets = budgets
        self._replicas = replicas
        self._hosts = hosts
        self._following = following
        self._restores = restores
        self._around = around

    def recover(self, assignments: Iterable[StreamAssignment]) -> None:
        """Take up what was assigned before the process began."""
        known = list(assignments)
        live = {keys.META_GID, *(each.gid for each in known)}
        for engine, overlay in self._overlays.items():
            if engine != MEMORY:
                destroy_all_but(live, overlay)
        for assignment in known:
            self._start(assignment)

    def assign(self, assignment: StreamAssignment) -> Host:
        """The host of a stream as it was decided now; its group starts if it is new."""
        host = self._hosts.get(assignment.config.name) or self._start(assignment)
        host.assignment = assignment
        return host

    def end(self, assignment: StreamAssignment) -> None:
        """The stream is deleted: nothing of it remains."""
        host = self._hosts[assignment.config.name]
        host.dismiss()
        self._hosts.remove(host.name)
        self._following.forget(host)
        host.stream.release()
        self._replicas.remove(host)
        host.group.destroy()
        self._around.tell("stream-deleted", stream=assignment.config.name)

    def _start(self, assignment: StreamAssignment) -> Host:
        engine = engine_of(assignment.gid, assignment.config, self._overlays, self._default_engine)
        records = self._overlays[engine]
        restored = self._restores.take(assignment.gid)
        stream = restored or Stream(
            assignment.gid, assignment.config, assignment.created, records, self._budgets[engine]
        )
        group = Group(
            assignment.gid, engine, records, hard_of(engine, self._overlays), stream, encode,
            decode_stream, self._server_name,
        )  # fmt: skip
        host = Host(group, stream, assignment, self._around)
        host.is_restored = restored is not None
        self._hosts.add(host)
        self._replicas.add(host)
        return host
