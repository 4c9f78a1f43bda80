"""Telling those who listen what happened here: advisories, metrics and the API's audit.

Nobody listens, usually. So an event is dropped unless someone wants its subject, which is
one look-up in the interest that the broker has anyway, and a request is remembered for the
audit only while somebody wants the audit.

The audit tells who asked the API what, and what the answer was. A question has its answer
at once. A change has it when its command was applied, perhaps many turns later: until then
the request waits here under its reply subject, where the answer goes too. A request without
a reply subject has no answer that anyone could tell; its audit comes at once, with an
empty one; so does one that has to make room for others.

Left out: audits of requests whose server ended before they were answered.
"""

from collections import deque
from random import Random

from kvcore.jetstream import advisories
from kvcore.jetstream.advisories import Event
from kvcore.jetstream.times import rfc3339
from kvcore.limits import AUDITS_WAITING_COUNT
from kvcore.nats.session import Session
from kvcore.node.broker import Broker, Message
from kvcore.node.clients import ACCOUNT
from kvcore.node.config import NodeConfig
from kvcore.node.wakeups import Clock

# What nats-server doesn't audit: reads of messages, and what is no JetStream request.
_UNTOLD = ("$JS.API.DIRECT.", "$JS.API.STREAM.MSG.GET.", "$SYS.")


class Advisor:
    """Publishes events of one server."""

    def __init__(self, config: NodeConfig, broker: Broker, clock: Clock, rng: Random) -> None:
        self._config = config
        self._broker = broker
        self._clock = clock
        self._rng = rng
        self._waiting: dict[str, deque[dict[str, object]]] = {}  # by reply subject, oldest first
        self._count = 0

    def tell(self, event: Event) -> None:
        """Publish an event if anybody wants it."""
        if not self._broker.has_interest(event.subject):
            return
        if event.percent < 100 and self._rng.randrange(100) >= event.percent:
            return
        payload = advisories.encode(event, self._rng, self._clock.now)
        self._broker.publish(event.subject, "", None, payload)

    def asked(self, message: Message) -> None:
        """A client has sent the API a request; call it before the answer is made."""
        is_told = not message.subject.startswith(_UNTOLD)
        if not is_told or not self._broker.has_interest(advisories.AUDIT):
            return
        client = self._client(message.source)
        name, subject = self._config.server_name, message.subject
        asked = advisories.request(name, client, subject, message.payload)
        if not message.reply:
            self.tell(advisories.audit(asked, b""))
            return
        self._waiting.setdefault(message.reply, deque()).append(asked)
        self._count += 1
        if self._count > AUDITS_WAITING_COUNT:
            self._answered(next(iter(self._waiting)), b"")

    def answer(self, to: str, payload: bytes, header: bytes | None = None) -> None:
        """Publish an answer of the API, and audit what it answers."""
        self._broker.publish(to, "", header, payload)
        self._answered(to, payload)

    def _answered(self, reply: str, response: bytes) -> None:
        waiting = self._waiting.get(reply)
        if waiting is None:
            return
        asked = waiting.popleft()
        self._count -= 1
        if not waiting:
            del self._waiting[reply]
        self.tell(advisories.audit(asked, response))

    def _client(self, session: Session | None) -> dict[str, object]:
        """Who asks, as far as the server knows; None is the server itself."""
        if session is None:
            return {"acc": ACCOUNT, "server": self._config.server_name, "kind": "JetStream"}
        client = self._broker.clients[session.conn]
        about: dict[str, object] = {
            "start": rfc3339(client.since),
            "host": client.host,
            "id": client.conn,
            "acc": ACCOUNT,
            "user": session.user,
            "name": session.options.name,
            "lang": session.options.lang,
            "ver": session.options.version,
            "server": self._config.server_name,
            "kind": "Client",
            "client_type": "nats",
        }
        return {key: value for key, value in about.items() if value}
