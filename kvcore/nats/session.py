"""One connection's side of the conversation, as a state machine.

A connection is greeted with INFO. On a server with secrets it is then *guarded*: nothing
but a good CONNECT is answered. On an open server it may publish and subscribe at once,
under the defaults of one who said nothing. After CONNECT come commands in any order; the
first PING after it shows that the client is ready, and from then on it may be sent INFO
at any time.

           CONNECT              PING
    guarded ─────┐
                 ├─► connected ──────► ready
    greeted ─────┘
        any state ── end ──► closed

A session reads operations and says bytes; it reaches other clients only through whoever
routes. What it says waits in `out` until the turn ends, and a session with something to
say has put itself on the list that it was given, so that a turn touches only those.

A peer that breaks a rule for which the connection ends raises `ProtocolError`.

Left out: time (pings are counted here and sent by `node/keepalive.py`).
"""

from collections.abc import Callable, Mapping
from enum import Enum

from kvcore.limits import Nanos
from kvcore.nats import replies
from kvcore.nats.auth import Gate, Identity
from kvcore.nats.connect import ConnectOptions, amended
from kvcore.nats.ops import Pub, Sub, Unsub
from kvcore.nats.permissions import Rights
from kvcore.nats.subject import is_well_formed

AUTHORIZATION_VIOLATION = "Authorization Violation"
INVALID_PROTOCOL = "invalid client protocol"
NEEDS_HEADERS = "no responders requires headers support"
INVALID_SUBJECT = "Invalid Subject"

# Subjects that servers keep for what they say to each other, and to which nobody may have
# answers sent: they speak for consumers and for other servers.
_RESERVED = ("$NRG.", "_GR_.", "$GR.")
_RESERVED_REPLIES = ("_R_.", "$JS.ACK.", "_GR_.", "$GR.")
_RESERVED_QUEUE = "_sys_"
_VIOLATION = "Permissions Violation for"


class State(Enum):
    """How far a connection has come."""

    GUARDED = "guarded"
    GREETED = "greeted"
    CONNECTED = "connected"
    READY = "ready"
    CLOSED = "closed"


class Step(Enum):
    """What moves it."""

    CONNECT = "CONNECT"
    PING = "PING"
    END = "end"


TRANSITIONS: Mapping[tuple[State, Step], State] = {
    (State.GUARDED, Step.CONNECT): State.CONNECTED,
    (State.GREETED, Step.CONNECT): State.CONNECTED,
    (State.GREETED, Step.PING): State.GREETED,
    (State.CONNECTED, Step.CONNECT): State.CONNECTED,
    (State.CONNECTED, Step.PING): State.READY,
    (State.READY, Step.CONNECT): State.READY,
    (State.READY, Step.PING): State.READY,
    (State.GUARDED, Step.END): State.CLOSED,
    (State.GREETED, Step.END): State.CLOSED,
    (State.CONNECTED, Step.END): State.CLOSED,
    (State.READY, Step.END): State.CLOSED,
}


class ProtocolError(Exception):
    """The peer's fault, and the connection's end; `text` is said first unless empty."""

    def __init__(self, text: str) -> None:
        super().__init__(text or "malformed command")
        self.text = text


class Subscription:
    """A client's subscription: where it listens, and how much it still wants."""

    __slots__ = ("delivered", "filter", "max", "queue", "session", "sid", "subject", "wire_sid")
    is_local = is_server = False  # peers may serve it, and know that it is a client's

    def __init__(self, session: "Session", op: Sub) -> None:
        self.session = session
        self.subject = op.subject
        self.queue = op.queue
        self.sid = op.sid
        self.wire_sid = op.sid.encode("utf-8", "surrogateescape")
        self.delivered = 0  # messages since SUB
        self.max = 0  # the subscription ends when `delivered` reaches it; 0 is no end
        self.filter: Rights | None = None  # judges each message, where some are denied

    def __repr__(self) -> str:
        return f"Subscription({self.subject!r}, {self.queue!r}, sid={self.sid})"


class Session:
    """The state of one connection, and what it has yet to be told."""

    __slots__ = (
        "clock",
        "conn",
        "dirty",
        "gate",
        "in_bytes",
        "in_msgs",
        "nonce",
        "options",
        "out",
        "out_bytes",
        "out_msgs",
        "pending_bytes",
        "pings_out",
        "rights",
        "state",
        "subscriptions",
        "user",
    )

    def __init__(
        self,
        conn: int,
        gate: Gate,
        dirty: "list[Session]",
        clock: Callable[[], Nanos] = int,
        nonce: bytes = b"",
    ) -> None:
        self.conn = conn
        self.gate = gate
        self.dirty = dirty
        self.clock = clock  # for what a user may do for some time only
        self.nonce = nonce  # to be signed by an nkey's owner
        self.user = ""
        self.rights: Rights | None = None  # None: may do everything
        self.state = State.GUARDED if gate.newcomer is None else State.GREETED
        self._become(gate.newcomer or Identity())
        self.options = ConnectOptions()
        self.subscriptions: dict[str, Subscription] = {}
        self.out: list[bytes] = []
        self.pending_bytes = 0  # of `out`, deliveries only
        self.pings_out = 0  # sent and not answered
        self.in_msgs = self.in_bytes = self.out_msgs = self.out_bytes = 0

    def say(self, data: bytes) -> None:
        """Bytes for the client, sent when the turn ends."""
        if not self.out:
            self.dirty.append(self)
        self.out.append(data)

    def take_output(self) -> bytes:
        """All that was said and not yet taken."""
        data = b"".join(self.out)
        self.out.clear()
        self.pending_bytes = 0
        return data

    def acknowledge(self) -> None:
        """`+OK` to those who asked for it."""
        if self.options.verbose:
            self.say(replies.OK)

    def connect(self, raw: bytes) -> None:
        """CONNECT, first or repeated; the secret is judged before anything else is."""
        try:
            self.options = amended(self.options, raw)
        except ValueError as error:
            raise ProtocolError("") from error
        identity = self.gate.admits(self.options, self.nonce)
        if identity is None:
            raise ProtocolError(AUTHORIZATION_VIOLATION)
        self._move(Step.CONNECT)
        self._become(identity)
        if self.options.protocol not in (0, 1):
            raise ProtocolError(INVALID_PROTOCOL)
        if self.options.no_responders and not self.options.headers:
            raise ProtocolError(NEEDS_HEADERS)
        self.acknowledge()

    def ping(self) -> bool:
        """PING; whether the answer should be followed by a fresh INFO."""
        self.say(replies.PONG)
        before = self.state
        self._move(Step.PING)
        return before is not self.state and self.takes_info

    @property
    def takes_info(self) -> bool:
        """Whether the client understands an INFO now."""
        return self.state is State.READY and self.options.protocol >= 1

    def may_publish(self, op: Pub) -> bool:
        """Whether a PUB is permitted; if not, the client is told."""
        rights = self.rights
        if op.subject.startswith(_RESERVED) or (
            rights is not None and not rights.may_publish(op.subject)
        ):
            return self.deny_publish(op.subject)
        return not op.reply.startswith(_RESERVED_REPLIES) or self.deny_reply(op.reply)

    def deny_publish(self, subject: str) -> bool:
        """Tells the client that it may not publish there, nor have the server do it."""
        self.say(replies.err(f"{_VIOLATION} Publish to {replies.quoted(subject)}"))
        return False

    def deny_reply(self, reply: str) -> bool:
        """Tells the client that it may not be answered there."""
        self.say(replies.err(f"{_VIOLATION} Publish with Reply of {replies.quoted(reply)}"))
        return False

    def subscribe(self, op: Sub) -> Subscription | None:
        """SUB; None if it is not permitted, badly put, or the sid is taken (no error)."""
        new = None
        rights = self.rights
        if op.queue == _RESERVED_QUEUE or (
            rights is not None and not rights.may_subscribe(op.subject, op.queue)
        ):
            using = f" using queue {replies.quoted(op.queue)}" if op.queue else ""
            text = f"{_VIOLATION} Subscription to {replies.quoted(op.subject)}{using}"
            self.say(replies.err(text))
            return None
        if op.sid not in self.subscriptions:
            if not is_well_formed(op.subject):
                self.say(replies.err(INVALID_SUBJECT))
                return None
            new = self.subscriptions[op.sid] = Subscription(self, op)
            if rights is not None and rights.needs_filter(op.subject, op.queue):
                new.filter = rights
        self.acknowledge()
        return new

    def unsubscribe(self, op: Unsub) -> Subscription | None:
        """UNSUB; the subscription if it ends now, None if it lives on or never was."""
        sub = self.subscriptions.get(op.sid)
        if sub is not None:
            sub.max = op.max if op.max > sub.delivered else 0
            if not sub.max:
                del self.subscriptions[op.sid]
        self.acknowledge()
        return sub if sub is not None and not sub.max else None

    def take_subscriptions(self) -> list[Subscription]:
        """All of them, which end here: the connection does, or it says CONNECT anew."""
        ended = list(self.subscriptions.values())
        self.subscriptions.clear()
        return ended

    def end(self) -> None:
        """Nothing is read from it any more."""
        self._move(Step.END)

    def _become(self, identity: Identity) -> None:
        granted = identity.permissions
        self.user = identity.name
        self.rights = None if granted is None else Rights(granted, self.clock)

    def _move(self, step: Step) -> None:
        assert (self.state, step) in TRANSITIONS, f"{step} in {self.state}"
        self.state = TRANSITIONS[self.state, step]
