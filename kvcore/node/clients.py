"""What the server keeps for each connection, and what it counts.

A `Client` joins the three things that the wire keeps apart: where the connection comes
from, the parser that reads its bytes, and the session that answers. Counters live here and
in the session; those of a connection that has ended go into the server's sum.

Left out: where other servers are (`peers.py` tells), and round-trip times.
"""

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random

from kvcore import limits
from kvcore.limits import Nanos
from kvcore.nats.auth import Gate, Identity, Known
from kvcore.nats.parser import Parser
from kvcore.nats.permissions import Rights
from kvcore.nats.session import Session, State
from kvcore.node.config import NodeConfig

API_LEVEL = 1  # of the JetStream API: what a 2.11 server has
ACCOUNT = "$G"  # nats-server's name for the account of a server without accounts


class Client:
    """One connection. `last_in` is when it last sent anything; `warned` is whether it was told
    that the subject of the message on its way is bad."""

    __slots__ = ("host", "last_in", "parser", "port", "session", "since", "warned")

    def __init__(self, session: Session, parser: Parser, host: str, port: int, now: Nanos) -> None:
        self.session = session
        self.parser = parser
        self.host = host
        self.port = port
        self.since = now
        self.last_in = now
        self.warned = False

    def __repr__(self) -> str:
        return f"Client({self.conn}, {self.session.state.value}, {self.session.options.name!r})"

    @property
    def conn(self) -> int:
        """The number that the driver gave the connection: its `client_id`."""
        return self.session.conn

    @property
    def is_guarded(self) -> bool:
        """Whether it still owes a CONNECT with a good secret."""
        return self.session.state is State.GUARDED


@dataclass(frozen=True, slots=True)
class Stats:
    """What one server has seen so far, of its clients: bytes are of headers and payloads,
    and the server's own subscriptions don't count."""

    in_msgs: int = 0
    in_bytes: int = 0
    out_msgs: int = 0
    out_bytes: int = 0
    connections: int = 0
    total_connections: int = 0
    subscriptions: int = 0
    slow_consumers: int = 0


@dataclass(slots=True)
class Traffic:
    """The sum over the connections that have ended."""

    in_msgs: int = 0
    in_bytes: int = 0
    out_msgs: int = 0
    out_bytes: int = 0

    def add(self, session: Session) -> None:
        """Counts a session in."""
        self.in_msgs += session.in_msgs
        self.in_bytes += session.in_bytes
        self.out_msgs += session.out_msgs
        self.out_bytes += session.out_bytes


def gate_of(config: NodeConfig) -> Gate:
    """The server's secrets in the form that the wire judges them by."""
    users = {
        user.name: Known(Identity(user.name, user.permissions), user.password)
        for user in config.users
    }
    nkeys = {user.public: Known(Identity(user.public, user.permissions)) for user in config.nkeys}
    return Gate(
        users,
        config.token,
        config.check_secret,
        nkeys,
        config.check_signature,
        config.no_auth_user,
    )


def rights_by_name(config: NodeConfig, clock: Callable[[], Nanos]) -> dict[str, Rights]:
    """What the users may do for whom there is something that they may not."""
    gate = gate_of(config)
    identities = [known.identity for known in (*gate.users.values(), *gate.nkeys.values())]
    return {each.name: Rights(each.permissions, clock) for each in identities if each.permissions}


def new_nonce(config: NodeConfig, rng: Random) -> bytes:
    """What the owners of nkeys are asked to sign; nothing where there are none."""
    if not config.nkeys:
        return b""
    return base64.urlsafe_b64encode(rng.randbytes(limits.NONCE_BYTES)).rstrip(b"=")


def info_fields(config: NodeConfig) -> Mapping[str, object]:
    """What INFO tells every client; `client_id` and `client_ip` come on top."""
    fields: dict[str, object] = {
        "server_id": config.server_id,
        "server_name": config.server_name,
        "version": config.version,
        "proto": 1,
        "go": "python",
        "host": config.host,
        "port": config.port,
        "headers": True,
    }
    if config.auth_required:
        fields["auth_required"] = True
    if config.tls_required:
        fields["tls_required"] = True
    if config.tls_verify:
        fields["tls_verify"] = True
    if config.cluster is not None:
        fields["cluster"] = config.cluster.name
    fields["max_payload"] = config.max_payload
    if config.jetstream:
        fields["jetstream"] = True
    fields["api_lvl"] = API_LEVEL
    return fields
