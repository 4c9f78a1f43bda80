"""Routing: one published message to everyone who wants it.

Subscribers are of three kinds. A client's subscription gets a MSG on its connection; the
server's own (a stream, the API) are functions, called there and then. Both sit in the same
tree, so a stream is found as any client is, and a publisher can't tell them apart: that is
NATS's own trick, and the reason why "who leads this stream" is a question of interest. The
third kind is a peer, which wants a message for somebody of its own. Peers stand in a tree
apart (`elsewhere.py`); a server on its own has none.

A message goes over one link at most: what a peer sends is for our own subscribers.

Handlers run inside `route`, and may publish in turn. That is safe because the takers of a
message are fixed before the first is served, and each is asked again whether it still
wants it when its turn comes.

A message is formatted at most twice, with headers and without, however many take it: only
the subscription's number differs, and the payload's bytes are shared until the turn's end.

Left out: what travels between servers (`peers.py`).
"""

from collections.abc import Callable, Sequence
from itertools import chain
from random import Random
from typing import Protocol, TypeAlias

from kvcore import limits
from kvcore.nats import replies
from kvcore.nats.interest import Interest
from kvcore.nats.permissions import Rights
from kvcore.nats.replies import Routed
from kvcore.nats.session import Session, State, Subscription
from kvcore.node.elsewhere import Elsewhere, PeerSubscription


class Message:
    """A published message on its way. Treat it as a value: nobody changes one.

    `source` is the client's session that published it, None for the server's own messages.
    `is_answered` may be set by who has it from our own client and answers it: then no other
    server is to do so.
    """

    __slots__ = (
        "_bare", "_full", "header", "is_answered", "payload", "reply", "source", "subject"
    )  # fmt: skip

    def __init__(
        self,
        subject: str,
        reply: str,
        header: bytes | None,
        payload: bytes,
        source: Session | None = None,
    ) -> None:
        self.subject = subject
        self.reply = reply
        self.header = header
        self.payload = payload
        self.source = source
        self.is_answered = False
        self._bare: tuple[bytes, bytes] | None = None
        self._full: tuple[bytes, bytes] | None = None

    def __repr__(self) -> str:
        return f"Message({self.subject!r}, {self.reply!r}, {self.header!r}, {self.payload!r})"

    @property
    def rights(self) -> Rights | None:
        """What its publisher may have the server say; None is everything."""
        return self.source.rights if self.source is not None else None

    @property
    def size(self) -> int:
        """Bytes of header and payload."""
        return len(self.payload) + (len(self.header) if self.header is not None else 0)

    def frame(self, *, with_header: bool) -> tuple[bytes, bytes]:
        """What stands before and after the sid, for a client that takes headers or not."""
        if with_header and self.header is not None:
            if self._full is None:
                self._full = replies.delivery(self.subject, self.reply, self.header, self.payload)
            return self._full
        if self._bare is None:
            self._bare = replies.delivery(self.subject, self.reply, None, self.payload)
        return self._bare


class PeerMessage(Message):
    """One that a peer sent: its publisher is no client of ours, but known by name."""

    __slots__ = ("_rights",)

    def __init__(
        self, subject: str, reply: str, header: bytes | None, payload: bytes, rights: Rights | None
    ) -> None:
        super().__init__(subject, reply, header, payload)
        self._rights = rights

    @property
    def rights(self) -> Rights | None:
        """What its publisher may have the server say; None is everything."""
        return self._rights


Handler: TypeAlias = Callable[[Message], None]


class InternalSubscription:
    """A function of this server that wants messages.

    `is_local`: only those that come from this server's own clients, and nobody is told.
    """

    __slots__ = ("handler", "is_local", "is_over", "queue", "subject")
    is_server = True

    def __init__(
        self, subject: str, handler: Handler, queue: str = "", *, is_local: bool = False
    ) -> None:
        self.subject = subject
        self.queue = queue
        self.handler = handler
        self.is_local = is_local
        self.is_over = False


Taker: TypeAlias = Subscription | InternalSubscription


class OnChange(Protocol):
    """Is told of each taker that comes or goes."""

    def __call__(self, taker: Taker, *, is_added: bool) -> None:
        """It came, or it went."""


class Router:
    """Finds the takers of a message and gives it to them.

    `on_spent` is called with a client's subscription that has had all that it asked for,
    `on_slow` with a session that was given more in one turn than it may have unread. In a
    cluster, `elsewhere` is what peers want, and `on_change` hears of each taker of ours.
    """

    def __init__(
        self,
        rng: Random,
        on_spent: Callable[[Subscription], None],
        on_slow: Callable[[Session], None],
    ) -> None:
        self.interest: Interest[Taker] = Interest()
        self.elsewhere: Elsewhere | None = None
        self.on_change: OnChange | None = None
        self._rng = rng
        self._on_spent = on_spent
        self._on_slow = on_slow

    def add(self, sub: Taker) -> None:
        """From now on it gets what it wants."""
        self.interest.insert(sub)
        if self.on_change is not None:
            self.on_change(sub, is_added=True)

    def drop(self, sub: Taker) -> None:
        """It gets no more."""
        self.interest.remove(sub)
        if self.on_change is not None:
            self.on_change(sub, is_added=False)

    def route(
        self,
        to: str,
        message: Message,
        source: Session | None = None,
        *,
        clients_only: bool = False,
    ) -> int:
        """Gives the message to all who want subject `to`; returns how many took it."""
        match = self.interest.match(to)
        count = 0
        for sub in match.plain:
            if clients_only and isinstance(sub, InternalSubscription):
                continue
            count += self._give(sub, to, message, source)
        elsewhere = self.elsewhere
        served: list[str] = []
        for members in match.queues:
            if self._give_one(members, to, message, source, clients_only):
                count += 1
                if elsewhere is not None:
                    served.append(members[0].queue)
        if elsewhere is None or not elsewhere.interest.match(to):
            return count
        routed = (to, message.subject, message.reply, message.header, message.payload)
        user = source.user if source is not None and source.rights is not None else ""
        clients_only = clients_only or message.is_answered
        return count + elsewhere.send(
            to, routed, served=served, clients_only=clients_only, user=user
        )

    def receive(
        self,
        to: str,
        message: Message,
        *,
        is_plain: bool,
        queues: Sequence[str],
        clients_only: bool,
    ) -> None:
        """Gives a message that came from a peer to our own takers, as the peer asks."""
        match = self.interest.match(to)
        for sub in match.plain if is_plain else ():
            if isinstance(sub, InternalSubscription) and (clients_only or sub.is_local):
                continue
            self._give(sub, to, message, None)
        for members in match.queues if queues else ():
            if members[0].queue in queues:
                self._give_one(members, to, message, None, clients_only)

    def route_run(self, to: str, run: Sequence[Routed]) -> None:
        """Gives many messages, each a tuple that begins with `to`, to the clients that want it.

        A watch has one plain subscription, so who hears it is judged once, not per message.
        """
        sub = self._only_client(to)
        away = None if self.elsewhere is None else self.elsewhere.interest.match(to)
        if away and sub is None and self._is_for_one_link(to, run):
            return
        if sub is None or away:
            for _, subject, reply, header, payload in run:
                message = Message(subject, reply, header, payload)
                self.route(to, message, clients_only=True)
            return
        session = sub.session
        pieces = replies.deliveries(run, sub.sid, with_header=session.options.headers)
        sub.delivered += len(run)
        session.out_msgs += len(run)
        session.out_bytes += sum(len(each[4]) + len(each[3] or b"") for each in run)
        self._write(session, pieces, sum(map(len, pieces)))

    def _is_for_one_link(self, to: str, run: Sequence[Routed]) -> bool:
        """Gives the messages to the one peer that wants them, if nobody here does."""
        if self.elsewhere is None or self._own_clients(to):
            return False
        link = self.elsewhere.only_link(to)
        if link is not None:
            self.elsewhere.send_run(link, run)
        return link is not None

    def _only_client(self, to: str) -> Subscription | None:
        """The one client's subscription for a subject, if it takes all that comes."""
        match = self.interest.match(to)
        takers = [sub for sub in match.plain if isinstance(sub, Subscription)]
        if match.queues or len(takers) != 1:
            return None
        sub = takers[0]
        session = sub.session
        is_judged = sub.max or sub.filter is not None or session.rights is not None
        return None if is_judged or session.state is State.CLOSED else sub

    def has_client(self, subject: str) -> bool:
        """Whether a client, of this server or of a peer, wants this subject."""
        if self._own_clients(subject):
            return True
        return self.elsewhere is not None and bool(self.elsewhere.clients(subject))

    def client_takers(self, subject: str) -> list[Subscription | PeerSubscription]:
        """What clients want of this subject, all members of queues included: each of our own
        subscriptions, and for each peer what it said."""
        theirs = [] if self.elsewhere is None else self.elsewhere.clients(subject)
        return [*self._own_clients(subject), *theirs]

    def _own_clients(self, subject: str) -> list[Subscription]:
        match = self.interest.match(subject)
        takers = chain(match.plain, *match.queues)
        return [sub for sub in takers if isinstance(sub, Subscription)]

    def has_interest(self, subject: str) -> bool:
        """Whether anyone wants it, here or elsewhere."""
        if self.interest.match(subject):
            return True
        return self.elsewhere is not None and self.elsewhere.has_interest(subject)

    def is_served(self, subject: str) -> bool:
        """Whether a server's own subscribers want it, here or elsewhere: a stream, the API.
        What a server says to its own clients alone isn't such."""
        match = self.interest.match(subject)
        for sub in chain(match.plain, *match.queues):
            if isinstance(sub, InternalSubscription) and not sub.is_local:
                return True
        return self.elsewhere is not None and self.elsewhere.is_served(subject)

    def own_taker(self, session: Session, subject: str) -> Subscription | None:
        """A plain subscription of this session for this subject, the literal one first."""
        mine = [
            sub
            for sub in self.interest.match(subject).plain
            if isinstance(sub, Subscription) and sub.session is session
        ]
        return next((sub for sub in mine if sub.subject == subject), mine[0] if mine else None)

    def send(self, sub: Subscription, message: Message) -> None:
        """Writes the message to one subscription, uncounted."""
        head, tail = message.frame(with_header=sub.session.options.headers)
        self._write(sub.session, (head, sub.wire_sid, tail), len(head) + len(tail))

    def _write(self, session: Session, pieces: Sequence[bytes], size: int) -> None:
        if not session.out:
            session.dirty.append(session)
        session.out += pieces
        session.pending_bytes += size
        if session.pending_bytes > limits.PENDING_OUTPUT_BYTES:
            self._on_slow(session)

    def _give_one(
        self,
        members: Sequence[Taker],
        to: str,
        message: Message,
        source: Session | None,
        clients_only: bool,
    ) -> bool:
        """Gives it to one member of a queue group: chance says who is asked first."""
        first = self._rng.randrange(len(members)) if len(members) > 1 else 0
        for at in range(len(members)):
            sub = members[(first + at) % len(members)]
            if clients_only and isinstance(sub, InternalSubscription):
                continue
            if self._give(sub, to, message, source):
                return True
        return False

    def _give(self, sub: Taker, to: str, message: Message, source: Session | None) -> bool:
        if isinstance(sub, InternalSubscription):
            if sub.is_over:
                return False
            sub.handler(message)
            return True
        session = sub.session
        if session.state is State.CLOSED or (session is source and not session.options.echo):
            return False
        if sub.max and sub.delivered >= sub.max:
            return False
        if sub.filter is not None and not sub.filter.may_hear(to, sub.queue):
            return False
        sub.delivered += 1
        session.out_msgs += 1
        session.out_bytes += message.size
        if session.rights is not None:
            session.rights.heard(message.reply)
        self.send(sub, message)
        if sub.delivered == sub.max and sub.sid in session.subscriptions:
            self._on_spent(sub)
        return True
