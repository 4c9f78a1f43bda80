"""The broker: clients' bytes in, clients' bytes out, and in between who hears whom.

This is a whole NATS server without JetStream. Bytes become operations (`nats/parser`),
operations move a session (`nats/session`), publications go to those who want them
(`routing`), alarms ring (`keepalive`); here they meet. Streams and the API join as
subscribers with a function instead of a socket, so that nothing here knows of them.

What clients are told is collected and drained once per turn: one write per connection,
in the order in which they first had something to hear.

A publish is taken word for word: `PUB a.*` is a message on a subject that has a star in it,
and whoever subscribed to `a.*` or `a.>` gets it. Only a pedantic client is told that it is
odd, and even its message goes on its way, as in nats-server. A stream that doesn't want such
a subject must refuse it: `Message.subject` says what was published.

A publish that nobody takes is not an error, but a request would wait in vain: to a client
that asked for it (`no_responders`), the reply subject gets a status of 503 at once.

Left out: a bound on subscriptions per client; accounts.
"""

from collections.abc import Callable, Iterable
from dataclasses import asdict, replace
from itertools import groupby
from operator import itemgetter
from random import Random
from typing import assert_never

from kvcore.limits import Nanos
from kvcore.nats import replies
from kvcore.nats.headers import encode
from kvcore.nats.ops import Connect, Ignored, Op, Ping, Pong, Pub, Sub, Unsub, Violation
from kvcore.nats.parser import Parser
from kvcore.nats.replies import Routed
from kvcore.nats.session import (
    AUTHORIZATION_VIOLATION,
    ProtocolError,
    Session,
    State,
    Subscription,
)
from kvcore.nats.subject import has_wildcard, is_well_formed
from kvcore.node.clients import ACCOUNT, Client, Stats, Traffic, gate_of, info_fields, new_nonce
from kvcore.node.config import NodeConfig
from kvcore.node.elsewhere import PeerSubscription
from kvcore.node.keepalive import Due, Keepalive
from kvcore.node.permits import is_permitted
from kvcore.node.routing import Handler, InternalSubscription, Message, Router
from kvcore.trace import Field, Sink, Trace

__all__ = ["Broker", "Handler", "InternalSubscription", "Message"]

CONNECTIONS_EXCEEDED = "maximum connections exceeded"
AUTHENTICATION_TIMEOUT = "Authentication Timeout"
STALE_CONNECTION = "Stale Connection"
SLOW_CONSUMER = "Slow Consumer"
INVALID_PUBLISH_SUBJECT = "Invalid Publish Subject"

_LEADS = itemgetter(0)  # the subject that leads to a message's takers


class Broker:
    """All connections of one server and the interest of everyone on it.

    `on_interest` is called with a subject after a client began or ceased to want it.
    """

    def __init__(self, config: NodeConfig, rng: Random, now: Nanos, trace: Sink) -> None:
        self._config = config
        self._now = now
        self._trace = trace
        self._rng = rng
        self._gate = gate_of(config)
        self._info = self._said = info_fields(config)
        self.router = Router(rng, self._spent, self._overrun)
        self._keepalive = Keepalive(config)
        self._dirty: list[Session] = []
        self._closes: list[int] = []
        self._past = Traffic()
        self._seen = 0
        self._slow_consumers = 0
        self.clients: dict[int, Client] = {}
        self.is_lame_duck = False
        self.on_interest: Callable[[str], None] = lambda _subject: None

    # What the driver tells.

    def connected(self, conn: int, host: str, port: int, now: Nanos) -> None:
        """A connection was accepted: greet it, or turn it away if there are too many."""
        assert conn not in self.clients, "a connection's number is never used again"
        self._now = now
        nonce = new_nonce(self._config, self._rng)
        session = Session(conn, self._gate, self._dirty, lambda: self._now, nonce)
        parser = Parser(self._config.max_payload, self._config.max_control_line)
        client = Client(session, parser, host, port, now)
        is_full = len(self.clients) >= self._config.max_connections
        self.clients[conn] = client
        self._seen += 1
        self._say_info(client)
        self._tell("client-connected", conn=conn, host=host, port=port)
        if is_full:
            self._refuse(client, CONNECTIONS_EXCEEDED)
        elif self.is_lame_duck:
            self._end(client, "lame duck")
        else:
            self._keepalive.greeted(client, now)

    def data(self, conn: int, data: bytes, now: Nanos) -> None:
        """Bytes from a connection; those after its end are dropped."""
        client = self.clients.get(conn)
        if client is None:
            return
        self._now = client.last_in = now
        try:
            for op in client.parser.feed(data):
                if isinstance(op, Pub):
                    self._publish(client, op)
                else:
                    self._handle(client, op)
                if client.session.state is State.CLOSED:
                    return
            self._judge_partial(client)
        except ProtocolError as error:
            self._refuse(client, error.text)

    def closed(self, conn: int, reason: str, now: Nanos) -> None:
        """The connection is gone. The driver's reason "Slow Consumer" is counted."""
        self._now = now
        client = self.clients.get(conn)
        if client is not None:
            self._slow_consumers += reason == SLOW_CONSUMER
            self._end(client, reason, is_ours=False)

    def on_timer(self, now: Nanos) -> None:
        """Pings, late comers, and departures in lame duck mode."""
        self._now = now
        for conn in self._keepalive.due(now):
            client = self.clients.get(conn)
            if client is None:  # an earlier one's end was the last straw for it
                continue
            match self._keepalive.judge(client, now):
                case Due.PING:
                    client.session.say(replies.PING)
                case Due.STALE:
                    self._refuse(client, STALE_CONNECTION)
                case Due.LATE:
                    self._refuse(client, AUTHENTICATION_TIMEOUT)
                case Due.NOTHING:
                    pass
                case never:
                    assert_never(never)
        for conn in self._keepalive.departing(now):
            if conn in self.clients:
                self._end(self.clients[conn], "lame duck")

    def deadline(self) -> Nanos | None:
        """When `on_timer` wants to be called."""
        return self._keepalive.deadline()

    def lame_duck(self, now: Nanos) -> None:
        """Tell the clients that the server will go, and let them go one by one."""
        self._now = now
        if self.is_lame_duck:
            return
        self.is_lame_duck = True
        self._info = {**self._info, "ldm": True}
        self._tell("lame-duck", clients=len(self.clients))
        if self._config.cluster is None:  # else what peers know changes too: `tell_urls`
            self._say_info_to_all()
        self._keepalive.disperse(self.clients, now)

    def tell_urls(self, urls: tuple[str, ...]) -> None:
        """Tell the clients where all servers are, if that or what we are has changed."""
        known = {name: value for name, value in self._info.items() if name != "connect_urls"}
        info = {**known, "connect_urls": urls} if urls else known
        if info != self._said:
            self._info = info
            self._say_info_to_all()

    def drain(self) -> tuple[dict[int, bytes], tuple[int, ...]]:
        """What to write to each connection, and which to close after that."""
        writes = {session.conn: session.take_output() for session in self._dirty}
        self._dirty.clear()
        closes = tuple(self._closes)
        self._closes.clear()
        return writes, closes

    # What the rest of the server wants.

    def subscribe(
        self, subject: str, handler: Handler, queue: str = "", *, is_local: bool = False
    ) -> InternalSubscription:
        """Calls the handler with each message on the subject, while it is being routed; with
        `is_local` only with those of this server's own clients."""
        sub = InternalSubscription(subject, handler, queue, is_local=is_local)
        self.router.add(sub)
        return sub

    def unsubscribe(self, sub: InternalSubscription) -> None:
        """The handler is not called again, not even for a message on its way."""
        assert not sub.is_over, "a subscription ends once"
        sub.is_over = True
        self.router.drop(sub)

    def publish(self, subject: str, reply: str, header: bytes | None, payload: bytes) -> int:
        """A message from the server itself; returns how many took it."""
        return self.router.route(subject, Message(subject, reply, header, payload))

    def deliver(self, messages: Iterable[Routed]) -> None:
        """Messages from the server itself, in order, to clients: each a tuple of the subject
        that leads to them, the one that they see, the reply, the header and the payload.

        The server's own subscribers get none: a stream must not store a message under a
        subject that isn't its own, nor two consumers feed each other's streams for ever.
        """
        for to, run in groupby(messages, _LEADS):
            self.router.route_run(to, list(run))

    def has_client(self, subject: str) -> bool:
        """Whether a client would take a message on this subject."""
        return self.router.has_client(subject)

    def takers(self, subject: str) -> list[Subscription | PeerSubscription]:
        """What clients want of a subject, here and on other servers."""
        return self.router.client_takers(subject)

    def has_interest(self, subject: str) -> bool:
        """Whether anyone wants this subject, a client or a stream, here or elsewhere."""
        return self.router.has_interest(subject)

    def is_served(self, subject: str) -> bool:
        """Whether a server itself listens there: a stream, the API."""
        return self.router.is_served(subject)

    @property
    def stats(self) -> Stats:
        """The server's counters, live and past connections together."""
        total, subscriptions = replace(self._past), 0
        for client in self.clients.values():
            total.add(client.session)
            subscriptions += len(client.session.subscriptions)
        return Stats(
            **asdict(total),
            connections=len(self.clients),
            total_connections=self._seen,
            subscriptions=subscriptions,
            slow_consumers=self._slow_consumers,
        )

    # One operation of a client.

    def _handle(self, client: Client, op: Op) -> None:
        session = client.session
        if session.state is State.GUARDED:
            self._guard(op)
        match op:
            case Pub():
                self._publish(client, op)
            case Connect(options):
                self._connect(client, options)
            case Ping():
                if session.ping():
                    self._say_info(client, connect_info=True)
            case Pong():
                session.pings_out = 0
            case Sub():
                sub = session.subscribe(op)
                if sub is not None:
                    self.router.add(sub)
                    self.on_interest(sub.subject)
            case Unsub():
                ended = session.unsubscribe(op)
                if ended is not None:
                    self._forget([ended])
            case Ignored():
                pass
            case Violation(text):
                self._judge_partial(client)
                raise ProtocolError(text)
            case never:
                assert_never(never)

    def _connect(self, client: Client, options: bytes) -> None:
        before = client.session.state
        client.session.connect(options)
        if before is State.GUARDED:
            self._keepalive.admitted(client, self._now)
        elif before is not State.GREETED:
            self._forget(client.session.take_subscriptions())
        said = client.session.options
        self._tell("client-connect", conn=client.conn, name=said.name, lang=said.lang)

    def _publish(self, client: Client, op: Pub) -> None:
        session = client.session
        if session.state is State.GUARDED:
            self._guard(op)
        options = session.options
        if op.has_header_verb and not options.headers:
            raise ProtocolError("")
        message = Message(op.subject, op.reply, op.header, op.payload, session)
        session.in_msgs += 1
        session.in_bytes += message.size
        if options.pedantic:
            self._judge_subject(client, op.subject)
            client.warned = False
        if not is_permitted(session, op, self.router.is_served):
            return
        if options.verbose:
            session.say(replies.OK)
        taken = self.router.route(op.subject, message, session)
        if not taken and op.reply and options.no_responders:
            self._no_responders(session, op)

    def _no_responders(self, session: Session, op: Pub) -> None:
        sub = self.router.own_taker(session, op.reply)
        if sub is not None:
            header = encode([("Nats-Subject", op.subject)], "503")
            self.router.send(sub, Message(op.reply, "", header, b""))

    def _guard(self, op: Op) -> None:
        """On a guarded connection only a CONNECT, good or bad, is looked at."""
        is_connect = isinstance(op, Connect) or (isinstance(op, Violation) and op.of_connect)
        if not is_connect:
            raise ProtocolError(AUTHORIZATION_VIOLATION)

    def _judge_partial(self, client: Client) -> None:
        """Ends a connection as soon as the command on its way can't be allowed."""
        if client.is_guarded and client.parser.partial[:1] not in (b"", b"C", b"c"):
            raise ProtocolError(AUTHORIZATION_VIOLATION)
        if client.parser.awaits_headers and not client.session.options.headers:
            raise ProtocolError("")
        if client.parser.awaited_subject and client.session.options.pedantic:
            self._judge_subject(client, client.parser.awaited_subject)

    def _judge_subject(self, client: Client, subject: str) -> None:
        """Tells a pedantic client, once a message, that nobody publishes to such a subject."""
        if not client.warned and (has_wildcard(subject) or not is_well_formed(subject)):
            client.session.say(replies.err(INVALID_PUBLISH_SUBJECT))
            client.warned = True

    # Ends, and what is told.

    def _spent(self, sub: Subscription) -> None:
        """It has had as many messages as it asked for."""
        del sub.session.subscriptions[sub.sid]
        self._forget([sub])

    def _overrun(self, session: Session) -> None:
        """One turn gave it more than it may have unread: it hears no more of it."""
        if session.state is not State.CLOSED:
            self._slow_consumers += 1
            session.out.clear()
            self._dirty.remove(session)
            self._refuse(self.clients[session.conn], SLOW_CONSUMER)

    def _refuse(self, client: Client, text: str) -> None:
        if text:
            client.session.say(replies.err(text))
        self._end(client, text or "malformed command")

    def _end(self, client: Client, reason: str, *, is_ours: bool = True) -> None:
        """Forgets the connection, and asks the driver to close it if it was our wish."""
        session = client.session
        session.end()
        del self.clients[client.conn]
        self._keepalive.gone(client.conn)
        self._past.add(session)
        if is_ours:
            self._closes.append(client.conn)
        elif session.out:
            session.out.clear()
            self._dirty.remove(session)
        self._tell("client-closed", conn=client.conn, reason=reason)
        self._forget(session.take_subscriptions())

    def _forget(self, ended: list[Subscription]) -> None:
        for sub in ended:
            self.router.drop(sub)
        for sub in ended:
            self.on_interest(sub.subject)

    def _say_info(self, client: Client, *, connect_info: bool = False) -> None:
        about: dict[str, object] = {"client_id": client.conn, "client_ip": client.host}
        if client.session.nonce:
            about["nonce"] = client.session.nonce.decode()
        more = {"connect_info": True, "remote_account": ACCOUNT} if connect_info else {}
        client.session.say(replies.info({**self._info, **about, **more}))

    def _say_info_to_all(self) -> None:
        self._said = self._info
        for client in self.clients.values():
            if client.session.takes_info:
                self._say_info(client)

    def _tell(self, kind: str, **fields: Field) -> None:
        self._trace(Trace(self._now, self._config.server_name, kind, fields))
