"""What one server is told before it starts, as one frozen value.

Flags, a configuration file or a test make a `NodeConfig`; the server never reads an
environment variable. Passwords arrive with the function that checks them, so that the
pure layers need no cryptography.

Left out: addresses to listen on and directories; those belong to the driver.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from kvcore import limits
from kvcore.jetstream.catalog import Identity
from kvcore.limits import Nanos
from kvcore.nats.auth import no_signature
from kvcore.nats.permissions import Permissions


def equal_secrets(given: str, expected: str) -> bool:
    """Whether two secrets are equal, in time that depends on their lengths alone."""
    a, b = (text.encode("utf-8", "surrogatepass") for text in (given, expected))
    difference = len(a) ^ len(b)
    for x, y in zip(a, b, strict=False):
        difference |= x ^ y
    return difference == 0


@dataclass(frozen=True, slots=True)
class User:
    """A name and its password; without permissions it may do everything."""

    name: str
    password: str = field(repr=False)
    permissions: Permissions | None = None


@dataclass(frozen=True, slots=True)
class NkeyUser:
    """A user who proves to own a key."""

    public: str  # "U…", 56 characters
    permissions: Permissions | None = None


@dataclass(frozen=True, slots=True)
class Timers:
    """How long a leader is silent at most, and how long its followers wait before they stand."""

    heartbeat: Nanos = limits.HEARTBEAT_NS
    election_min: Nanos = limits.ELECTION_MIN_NS
    election_max: Nanos = limits.ELECTION_MAX_NS


NATS_TIMERS = Timers(
    limits.NATS_HEARTBEAT_NS, limits.NATS_ELECTION_MIN_NS, limits.NATS_ELECTION_MAX_NS
)


@dataclass(frozen=True, slots=True)
class ClusterConfig:
    """The cluster that a server belongs to.

    `size` is how many servers it begins with, this one included: so many must have met, none
    of them with a past, before they found the meta group together. `members` names them where
    they are known in advance; then nobody has to meet first.
    """

    name: str
    size: int
    members: tuple[str, ...] = ()
    timers: Timers = Timers()


@dataclass(frozen=True, slots=True)
class NodeConfig:
    """One server's settings; sizes in bytes, times in nanoseconds."""

    server_name: str
    server_id: str
    host: str = "127.0.0.1"
    port: int = 4222
    advertise: str = ""  # HOST:PORT where a cluster's clients reach it; "": host and port
    version: str = "2.11.0"
    max_payload: int = limits.PAYLOAD_BYTES
    max_control_line: int = limits.CONTROL_LINE_BYTES
    max_connections: int = limits.CONNECTIONS_COUNT
    ping_interval: Nanos = limits.PING_INTERVAL_NS
    ping_max: int = limits.PINGS_OUT_COUNT
    auth_timeout: Nanos = limits.AUTH_TIMEOUT_NS
    users: tuple[User, ...] = ()
    token: str = field(default="", repr=False)
    check_secret: Callable[[str, str], bool] = field(default=equal_secrets, repr=False)
    nkeys: tuple[NkeyUser, ...] = ()
    check_signature: Callable[[str, bytes, str], bool] = field(default=no_signature, repr=False)
    no_auth_user: str = ""  # whom those without a secret are taken for
    tls_required: bool = False  # what INFO says of the driver's TLS
    tls_verify: bool = False
    jetstream: bool = True
    max_memory: int = -1  # bytes of memory streams; -1 is no bound
    max_storage: int = -1  # bytes of file streams
    engines: tuple[str, ...] = ("file",)  # that keep file streams; the first is the default
    tags: tuple[str, ...] = ()
    store_dir: str = ""  # for reports only, as are the next two
    http_host: str = ""
    http_port: int = 0
    cluster: ClusterConfig | None = None  # None: a server on its own
    lame_duck_grace: Nanos = limits.LAME_DUCK_GRACE_NS
    lame_duck_duration: Nanos = limits.LAME_DUCK_DURATION_NS

    @property
    def identity(self) -> Identity:
        """The server as the JetStream API's answers name it."""
        return Identity(
            self.server_name,
            self.server_id,
            self.version,
            self.host,
            self.max_memory,
            self.max_storage,
            self.cluster.name if self.cluster is not None else "",
            self.engines,
        )

    @property
    def auth_required(self) -> bool:
        """Whether a client must name itself before anything else."""
        return bool(self.users or self.nkeys or self.token) and not self.no_auth_user
