"""What the API may know of its server: what it is called, and which streams it leads.

The API answers questions about streams that it doesn't own. It sees them through a
`Catalog`, which the node implements on its groups, and a test on a dictionary.

Left out: streams that other servers lead. `cluster` says that they exist, and the node
gathers what their leaders know (`answers.Gather`).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from kvcore.jetstream.cluster import ClusterView
from kvcore.jetstream.consumers import Consumers
from kvcore.jetstream.stream import Stream


@dataclass(frozen=True, slots=True)
class Identity:
    """A server, as answers name it. The bounds are in bytes, -1 is none."""

    name: str
    id: str
    version: str
    host: str = "127.0.0.1"
    max_memory: int = -1  # what all memory streams may hold
    max_storage: int = -1  # what all file streams may hold
    cluster: str = ""  # the name of its cluster, "" for a server on its own
    engines: tuple[str, ...] = ("file",)  # that keep file streams


class Catalog(Protocol):
    """The streams that this server leads, read afresh at each request."""

    def names(self) -> Iterable[str]:
        """The streams' names, in any order that doesn't change by itself."""

    def stream(self, name: str) -> Stream | None:
        """The stream of this name, None if there is none here."""

    def consumers(self, name: str) -> Consumers:
        """The consumers of a stream that exists."""

    @property
    def cluster(self) -> ClusterView | None:
        """The servers around this one; None for a server on its own."""

    def origins(self, name: str) -> Mapping[str, object]:
        """The `mirror` or `sources` to show of a stream; empty for one that copies nothing."""
