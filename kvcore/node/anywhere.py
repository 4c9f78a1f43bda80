"""Direct gets that any replica answers, which may be old: a bucket's own choice.

By default only the leader answers, and makes sure first that it leads still, so that nobody
reads what is older than what someone else has seen. It costs a round to the others, and who
is cut off from the majority can't read at all. The metadata `kvcore.reads=any` chooses as
nats-server does: all replicas join one queue group, any of them answers from what it has.

A replica takes part when it has heard from a leader once, while it votes and has not lost its
log. That keeps out one that was never told anything, not one that was cut off since.

Left out: how old an answer may be. Nobody knows.
"""

from collections.abc import Callable
from typing import Any

from kvcore.jetstream.answers import Action
from kvcore.jetstream.api import Api
from kvcore.jetstream.config import StreamConfig
from kvcore.jetstream.stream import Stream
from kvcore.node.broker import Broker, InternalSubscription, Message
from kvcore.node.groups import Group

READS = "kvcore.reads"
ANY = "any"


def may_be_stale(config: StreamConfig) -> bool:
    """Whether a stream's direct gets are answered by any replica."""
    return config.metadata.get(READS) == ANY


class ReadsAnywhere:
    """One replica's part in answering direct gets."""

    def __init__(
        self,
        group: Group[Any, Any],
        broker: Broker,
        api: Api,
        act: Callable[[list[Action]], None],
        server_name: str,
    ) -> None:
        self._group = group
        self._broker = broker
        self._api = api
        self._act = act
        self._name = server_name
        self._has_heard = False
        self._stream: Stream | None = None
        self._subscriptions: list[InternalSubscription] = []

    def refresh(self, stream: Stream) -> None:
        """Join or leave, as things are now."""
        self._stream = stream
        wanted = self._api.direct.subscriptions(stream) if self._takes_part(stream.config) else []
        if wanted == [each.subject for each in self._subscriptions]:
            return
        self.close()
        queue = f"_kvcore_direct_{stream.config.name}"
        subscribe = self._broker.subscribe
        self._subscriptions = [subscribe(each, self._on_read, queue) for each in wanted]

    def _takes_part(self, config: StreamConfig) -> bool:
        if not may_be_stale(config):
            return False
        group = self._group
        self._has_heard = self._has_heard or group.leader != ""
        is_voter = self._name in group.members.voters
        return is_voter and self._has_heard and not group.raft.is_recovering

    def _on_read(self, message: Message) -> None:
        assert self._stream is not None, "it was refreshed with one"
        self._act(
            self._api.direct.answer(self._stream, message.subject, message.reply, message.payload)
        )

    def close(self) -> None:
        """Leave."""
        for subscription in self._subscriptions:
            self._broker.unsubscribe(subscription)
        self._subscriptions = []
