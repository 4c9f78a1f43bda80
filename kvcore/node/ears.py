"""What clients say to a stream's consumers: acknowledgements, pull requests, flow control.

Each consumer that its clients acknowledge to, or pull from, has subjects of its own, so that
whoever leads the stream hears them by ordinary interest routing. They come and go with the
consumer, and with the leadership.

Left out: what is done with what is heard (`jetstream/consumers.py`).
"""

from collections.abc import Callable

from kvcore.jetstream.consumers import Consumers
from kvcore.node.broker import Broker, Handler, InternalSubscription, Message
from kvcore.node.wakeups import Clock

_NEXT = "$JS.API.CONSUMER.MSG.NEXT."


class Ears:
    """The subscriptions for the consumers of one stream; `touch` is called when something
    was heard."""

    def __init__(self, broker: Broker, clock: Clock, touch: Callable[[], None]) -> None:
        self._broker = broker
        self._clock = clock
        self._touch = touch
        self._consumers: Consumers | None = None
        self._flow: InternalSubscription | None = None
        self._of_consumers: dict[str, list[InternalSubscription]] = {}

    def open(self, consumers: Consumers) -> None:
        """Listen for all of these; who is heard already stays so."""
        self._consumers = consumers
        if self._flow is None:
            subject = f"$JS.FC.{consumers.stream.config.name}.>"
            self._flow = self._broker.subscribe(subject, self._on_flow_reply)
        for each in consumers.stream.ledgers:
            self.add(each)

    def add(self, name: str) -> None:
        """Listen for a consumer, if clients have something to say to it."""
        if self._consumers is None or name in self._of_consumers:
            return
        stream, consumer = self._consumers.stream, self._consumers.get(name)
        if consumer is None or name not in stream.ledgers:
            return
        wanted: list[tuple[str, Handler]] = [(f"{_NEXT}{stream.config.name}.{name}", self._on_pull)]
        if consumer.config.acks:
            wanted.append((f"$JS.ACK.{stream.config.name}.{name}.>", self._on_ack))
        self._of_consumers[name] = [self._broker.subscribe(*pair) for pair in wanted]

    def remove(self, name: str) -> None:
        """The consumer is gone."""
        for subscription in self._of_consumers.pop(name, ()):
            self._broker.unsubscribe(subscription)

    def close(self) -> None:
        """Hear nothing any more."""
        if self._flow is not None:
            self._broker.unsubscribe(self._flow)
        self._flow = self._consumers = None
        for name in list(self._of_consumers):
            self.remove(name)

    def _on_flow_reply(self, message: Message) -> None:
        assert self._consumers is not None, "it listens"
        self._consumers.on_flow_reply(message.subject, self._clock.now)
        self._touch()

    def _on_ack(self, message: Message) -> None:
        assert self._consumers is not None, "it listens"
        self._consumers.on_acknowledgement(
            message.subject, message.reply, message.payload, self._clock.now
        )
        self._touch()

    def _on_pull(self, message: Message) -> None:
        assert self._consumers is not None, "it listens"
        name = message.subject.rpartition(".")[2]
        self._consumers.on_pull(name, message.reply, message.payload, self._clock.now)
        self._touch()
