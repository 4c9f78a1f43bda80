"""The streams of one server by name: what the API and the reports see of them.

A stream that this server has and doesn't lead is known here, but the API doesn't see it: who
asks for it is answered by its leader.

Left out: what a host does (`hosting.py`).
"""

from collections.abc import Callable, Iterator

from kvcore.jetstream.cluster import ClusterView
from kvcore.jetstream.consumers import Consumers
from kvcore.jetstream.stream import Stream
from kvcore.node.hosting import Host


class Hosts:
    """The hosts of one server; to the API it is the `catalog.Catalog`."""

    def __init__(self) -> None:
        self._by_name: dict[str, Host] = {}
        self.report: Callable[[str], dict[str, object]] = lambda _name: {}
        self.cluster: ClusterView | None = None

    def __iter__(self) -> Iterator[Host]:
        return iter(self._by_name.values())

    def add(self, host: Host) -> None:
        """A stream was assigned to this server."""
        self._by_name[host.name] = host

    def remove(self, name: str) -> Host:
        """A stream is gone."""
        return self._by_name.pop(name)

    def __getitem__(self, name: str) -> Host:
        """The host of a stream that was assigned to this server."""
        return self._by_name[name]

    def get(self, name: str) -> Host | None:
        """The host of a stream, leading or not."""
        return self._by_name.get(name)

    def has(self, host: Host) -> bool:
        """Whether the host is still the one of its stream."""
        return self._by_name.get(host.name) is host

    def names(self) -> list[str]:
        """The streams that this server leads."""
        return [name for name, host in self._by_name.items() if host.is_leading]

    def stream(self, name: str) -> Stream | None:
        """A stream that this server leads."""
        host = self._by_name.get(name)
        return host.stream if host is not None and host.is_leading else None

    def consumers(self, name: str) -> Consumers:
        """Its consumers; the stream must exist."""
        return self._by_name[name].consumers

    def origins(self, name: str) -> dict[str, object]:
        """What it copies from, and how far it has come."""
        return self.report(name)
