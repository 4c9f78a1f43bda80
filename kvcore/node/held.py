"""The streams that a server holds, led here or not: a catalog for when nobody leads.

Whoever asks how a stream is, while it has no leader, is told by a server that has a replica.

Left out: everything that only a leader may say.
"""

from collections.abc import Mapping

from kvcore.jetstream.cluster import ClusterView
from kvcore.jetstream.consumers import Consumers
from kvcore.jetstream.stream import Stream
from kvcore.node.hosts import Hosts


class Held:
    """A `catalog.Catalog` of replicas."""

    def __init__(self, hosts: Hosts, view: ClusterView) -> None:
        self._hosts = hosts
        self.cluster: ClusterView | None = view

    def names(self) -> list[str]:
        """The streams that have a replica here."""
        return [host.name for host in self._hosts]

    def stream(self, name: str) -> Stream | None:
        """A replica's state, as far as its log has come here."""
        host = self._hosts.get(name)
        return host.stream if host is not None else None

    def consumers(self, name: str) -> Consumers:
        """Its consumers, which deliver nothing here."""
        return self._hosts.consumers(name)

    def origins(self, _name: str) -> Mapping[str, object]:
        """What it copies from; only a leader copies."""
        return {}
