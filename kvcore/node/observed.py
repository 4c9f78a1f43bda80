"""What a server lets others see of itself, without anything changing.

Drivers, tests, pictures and the monitoring ask the same things: which streams are led here,
how long the logs are, who is connected. They get it from the parts that know it, afresh
each time; nothing here is kept, and nothing decides anything.

Left out: what the answers look like (`monitor.py`).
"""

from collections.abc import Mapping

from kvcore.jetstream.api import Api
from kvcore.jetstream.stream import Stream
from kvcore.limits import Nanos
from kvcore.node import monitor
from kvcore.node.broker import Broker
from kvcore.node.config import NodeConfig
from kvcore.node.groups import AnyGroup
from kvcore.node.hosts import Hosts
from kvcore.node.meta_group import MetaGroup, MetaReplica
from kvcore.node.peers import Peers
from kvcore.node.questions import Question
from kvcore.node.sight import Gauge, Report, Sight
from kvcore.node.wakeups import Clock


class Observed:
    """The part of a `Node` that is looked at; the node makes the attributes."""

    config: NodeConfig
    _started: Nanos
    _clock: Clock
    _broker: Broker
    _hosts: Hosts
    _api: Api
    _gauge: Gauge
    peers: Peers
    _meta_replica: MetaReplica

    @property
    def _meta_group(self) -> MetaGroup:
        return self._meta_replica.group

    def report(self, question: Question, now: Nanos) -> Report:
        """What the server says of itself; nothing changes. Raises `QuestionError`."""
        return monitor.report(self._sight(now), question)

    def _sight(self, now: Nanos) -> Sight:
        return Sight(
            self.config, self._started, now, self._broker, self._hosts, self._api,
            self.is_leading, self.peers, self._gauge.usage,
            self._meta_group,
        )  # fmt: skip

    @property
    def streams(self) -> Mapping[str, Stream]:
        """The streams that this server leads; look, don't touch."""
        found = {name: self._hosts.stream(name) for name in self._hosts.names()}
        return {name: stream for name, stream in found.items() if stream is not None}

    @property
    def groups(self) -> Mapping[str, AnyGroup]:
        """This server's part in each group, by its stream's name; `_meta_` is one, too."""
        return {"_meta_": self._meta_group} | {host.name: host.group for host in self._hosts}

    @property
    def is_leading(self) -> bool:
        """Whether the JetStream API is being served."""
        return self._meta_group.is_leader

    @property
    def term(self) -> int:
        """The meta group's term, which rises with each start."""
        return self._meta_group.term

    @property
    def log_end(self) -> int:
        """Entries in all logs of this server since it was made, trimmed ones included."""
        return self._meta_group.last_index + sum(h.group.last_index for h in self._hosts)

    @property
    def committed(self) -> int:
        """How many of them are committed and applied."""
        return self._meta_group.applied + sum(h.group.applied for h in self._hosts)

    @property
    def connections(self) -> int:
        """How many clients are connected."""
        return len(self._broker.clients)
