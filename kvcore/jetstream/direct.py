"""Direct gets: who answers them, and on which subjects.

A stream that allows it answers direct gets under its own name. Where it is missing, the first
of its mirrors that may do so stands in. The leader answers, after it has made sure that it
leads still (`read_by`); a bucket may let any replica answer instead (`node/anywhere.py`).

Left out: what is asked and answered (`reads.py`).
"""

from kvcore.jetstream import reads
from kvcore.jetstream.answers import Action
from kvcore.jetstream.catalog import Catalog
from kvcore.jetstream.cluster import ClusterView
from kvcore.jetstream.config import StreamConfig
from kvcore.jetstream.stream import Stream

_DIRECT = "$JS.API.DIRECT.GET."
_MESSAGE = "$JS.API.STREAM.MSG.GET."


def is_direct(subject: str) -> bool:
    """Whether a request is a direct get."""
    return subject.startswith(_DIRECT)


def _stands_for(origin: str, config: StreamConfig) -> bool:
    return config.mirror_direct and (config.mirror or {}).get("name") == origin


class DirectGets:
    """Direct gets of the streams of one server."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def subscriptions(self, stream: Stream) -> list[str]:
        """Where a stream's direct gets arrive; ask again after an update."""
        direct = f"{_DIRECT}{stream.config.name}"
        return [direct, f"{direct}.>"] if stream.config.allow_direct else []

    def origin_subscriptions(self, stream: Stream) -> list[str]:
        """Those of its origin that a mirror answers, while it `stands_in`."""
        config = stream.config
        if config.mirror is None or not config.mirror_direct:
            return []
        direct = f"{_DIRECT}{config.mirror['name']}"
        return [direct, f"{direct}.>"]

    def stands_in(self, name: str) -> bool:
        """Whether a mirror has its origin's direct gets to answer: nobody else does."""
        stream = self._catalog.stream(name)
        if stream is None or stream.config.mirror is None:
            return False
        return self._direct(str(stream.config.mirror["name"])) is stream

    def _direct(self, name: str) -> Stream | None:
        """Who answers direct gets of a stream: itself, or else its first mirror."""
        catalog = self._catalog
        stream = catalog.stream(name)
        if stream is not None and stream.config.allow_direct:
            return stream
        if catalog.cluster is not None:
            return self._elsewhere(name, catalog.cluster)
        for other in sorted(catalog.names()):
            mirror = catalog.stream(other)
            if mirror is not None and _stands_for(name, mirror.config):
                return mirror
        return None

    def _elsewhere(self, name: str, cluster: ClusterView) -> Stream | None:
        """The mirror that stands in for a stream which this server doesn't lead: None if the
        stream's leader answers, or the first of its mirrors on another server."""
        known = cluster.streams()
        if name in known and known[name].config.allow_direct and cluster.leader_of(name):
            return None
        for other in sorted(known):
            if _stands_for(name, known[other].config) and cluster.leader_of(other):
                return self._catalog.stream(other)
        return None

    def read_by(self, subject: str) -> Stream | None:
        """The stream of which a request reads a message, None for other requests. Its leader
        must make sure that it leads still, before it answers with what it has."""
        if subject.startswith(_DIRECT):
            return self._direct(subject.removeprefix(_DIRECT).partition(".")[0])
        if subject.startswith(_MESSAGE):
            return self._catalog.stream(subject.removeprefix(_MESSAGE))
        return None

    def answer(self, stream: Stream, subject: str, reply: str, payload: bytes) -> list[Action]:
        """Answer a direct get from a replica, whether it leads or not."""
        if not reply:
            return []
        key = subject.removeprefix(_DIRECT).partition(".")[2]
        if key:
            return [reads.direct_get_last(stream, reply, key, payload)]
        return [reads.direct_get(stream, reply, payload)]

    def handle(self, subject: str, reply: str, payload: bytes) -> list[Action]:
        """Answer a direct get from the stream that this server leads."""
        stream = self._direct(subject.removeprefix(_DIRECT).partition(".")[0])
        return [] if stream is None else self.answer(stream, subject, reply, payload)
