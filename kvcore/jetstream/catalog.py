"""What the API may know of its server: which streams it leads, and what it is called.

The API answers questions about streams that it doesn't own. It sees them through a
`Catalog`, which the node implements on its groups, and a test on a dictionary.

Left out: servers elsewhere. Gathering states over the mesh comes with replication.
"""

from typing import Protocol

from kvcore.jetstream.consumers import Consumers
from kvcore.jetstream.meta import Meta
from kvcore.jetstream.stream import Stream


class Catalog(Protocol):
    """The streams that this server leads. Properties are read afresh at each request."""

    @property
    def server_name(self) -> str: ...
    @property
    def server_id(self) -> str: ...
    @property
    def version(self) -> str: ...
    @property
    def host(self) -> str: ...
    @property
    def max_memory(self) -> int:
        """Bytes that memory streams may hold together; -1 is no bound."""

    @property
    def max_storage(self) -> int:
        """Bytes that file streams may hold together; -1 is no bound."""

    @property
    def meta(self) -> Meta: ...
    def stream(self, name: str) -> Stream | None:
        """The stream of this name, None if there is none here."""

    def consumers(self, name: str) -> Consumers:
        """The consumers of a stream that exists."""
