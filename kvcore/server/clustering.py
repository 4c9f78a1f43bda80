"""The cluster that a server joins, as flags and configuration file say it.

    kvcore serve -n n1 --cluster nats://127.0.0.1:6222 --cluster_name c \\
                 --routes nats://127.0.0.1:6222,nats://127.0.0.1:6223,nats://127.0.0.1:6224

    cluster {
        name: c, listen: 127.0.0.1:6222
        routes: [ nats://127.0.0.1:6223, nats://127.0.0.1:6224 ]
        authorization { user: ann, password: …, timeout: 2 }    # or secret_file: …
        tls { cert_file: …, key_file: …, ca_file: … }           # or both
    }

They mean what they mean in nats-server, whose words these are; `secret_file`, `size` and
`timers` are ours. A server's own address may be among the routes, so that all servers can
have one list. How many servers found the cluster together is the number of addresses in that
list, this server's included, unless `size` says another.

A password proves itself both ways here and never travels, so it can't be kept as a hash.

Left out: `accounts`, `compression`, `pool_size` and other stanzas about nats-server's routes;
`no_advertise` and the like are ignored with a warning.
"""

import dataclasses
import stat
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Literal, TypeAlias, get_args
from urllib.parse import urlsplit

from kvcore import limits
from kvcore.limits import Nanos
from kvcore.node.config import NATS_TIMERS, ClusterConfig, Timers
from kvcore.server.access import TlsSettings, read_tls
from kvcore.server.conf import ConfError, Entry
from kvcore.server.readers import (
    Keys,
    Reader,
    as_block,
    as_duration,
    as_list,
    as_number,
    as_text,
    ignored,
    later,
)
from kvcore.server.secrets import is_hash

TimersName: TypeAlias = Literal["kvcore", "nats"]
_TIMERS: dict[str, Timers] = {"kvcore": Timers(), "nats": NATS_TIMERS}


class ClusterError(Exception):
    """The cluster makes no sense as described; the text is one sentence."""


@dataclass(frozen=True, slots=True)
class Route:
    """Where a peer listens, and as whom we come if not as ourselves."""

    host: str
    port: int
    user: str = ""
    password: str = field(default="", repr=False)

    @property
    def address(self) -> str:
        """`host:port`."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class ClusterSettings:
    """One server's place in its cluster."""

    name: str = ""
    host: str = "127.0.0.1"
    port: int = limits.CLUSTER_PORT
    advertise: str = ""  # host:port that others are told; "" is where we listen
    routes: tuple[Route, ...] = ()
    size: int = 0  # 0: as many as there are routes
    timers: TimersName = "kvcore"
    user: str = ""
    password: str = field(default="", repr=False)
    secret_file: str = ""
    secret: bytes = field(default=b"", repr=False)
    timeout: Nanos = limits.PEER_AUTH_TIMEOUT_NS
    tls: TlsSettings | None = None

    @property
    def has_secret(self) -> bool:
        """Whether a stranger can be told from a peer."""
        return bool(self.secret or self.password or self.tls is not None)

    def key(self, route: Route | None = None) -> bytes:
        """What is proved: ours, or that of a route with a user of its own."""
        if route is not None and route.user:
            return _key(route.user, route.password)
        if self.secret:
            return b"secret\n" + self.secret
        return _key(self.user, self.password) if self.password else b""

    def config(self) -> ClusterConfig:
        """What the node is told."""
        return ClusterConfig(self.name, self.size or self._counted(), timers=_TIMERS[self.timers])

    def _counted(self) -> int:
        """The distinct servers that the routes name, and ourselves."""
        mine = (_plain(self.host), self.port)
        others = {(_plain(route.host), route.port) for route in self.routes} - {mine}
        return len(others) + 1


def _key(user: str, password: str) -> bytes:
    return f"user\n{user}\n{password}".encode()


def _plain(host: str) -> str:
    """One name for this machine, which has several."""
    return "127.0.0.1" if host in ("localhost", "::1", "0.0.0.0", "::") else host  # noqa: S104


# The command line.


def from_flags(given: dict[str, str | int | bool], found: dict[str, object]) -> None:
    """Move what flags say of the cluster from `given` into `found["cluster"]`; raises
    `ClusterError`."""
    names = [name for name in given if name.startswith("cluster_") or name == "routes"]
    said = {name: given.pop(name) for name in names}
    before = found.get("cluster")
    assert before is None or isinstance(before, ClusterSettings)
    if not said:
        return
    if before is None and "cluster_listen" not in said:
        what = "solicited routes require" if "routes" in said else "this flag requires"
        raise ClusterError(f"{what} cluster capabilities, e.g. --cluster nats://127.0.0.1:6222")
    settings = before or ClusterSettings()
    change: dict[str, object] = {}
    for name, value in said.items():
        match name:
            case "cluster_listen":
                change |= _listen(str(value), "--cluster")
            case "routes":
                words = str(value).split(",")
                change["routes"] = tuple(read_route(word.strip(), "--routes") for word in words)
            case _:
                change[name.removeprefix("cluster_")] = value
    found["cluster"] = dataclasses.replace(settings, **change)  # type: ignore[arg-type]


def read_route(text: str, where: str) -> Route:
    """An address such as `nats://user:password@host:port`; raises `ClusterError`."""
    advice = f"{where}: {_shown(text)!r} is no address such as nats://127.0.0.1:6222"
    try:
        parts = urlsplit(text if "://" in text else f"nats://{text}")
        port = parts.port
    except ValueError:
        if text.endswith(":-1"):  # any free port
            return dataclasses.replace(read_route(text.removesuffix(":-1") + ":0", where), port=-1)
        raise ClusterError(advice) from None
    if parts.scheme not in ("nats", "nats-route", "tls") or not parts.hostname or parts.path:
        raise ClusterError(advice)
    if port is None:
        raise ClusterError(f"{advice}: the port is missing")
    if bool(parts.username) != bool(parts.password):
        raise ClusterError(f"{where}: user and password go together")
    return Route(parts.hostname, port, parts.username or "", parts.password or "")


def _shown(text: str) -> str:
    """An address as it may be repeated: without a password."""
    scheme, mark, rest = text.partition("://") if "://" in text else ("", "", text)
    return scheme + mark + rest.rpartition("@")[2]


def _listen(text: str, where: str) -> dict[str, object]:
    address = read_route(text, where)
    found: dict[str, object] = {"host": address.host, "port": address.port}
    if address.user:
        found |= {"user": address.user, "password": address.password}
    return found


# What must hold.


def checked(settings: ClusterSettings, server_name: str, *, jetstream: bool) -> ClusterSettings:
    """The settings with their secret read and their holes filled; raises `ClusterError`."""
    if jetstream and not server_name:
        raise ClusterError("a JetStream cluster requires a server name: -n or --server_name")
    if jetstream and not settings.name:
        raise ClusterError("a JetStream cluster requires a name: --cluster_name")
    if any(char.isspace() for char in settings.name):
        raise ClusterError("a cluster's name has no white space")
    if not -1 <= settings.port <= 65535:
        raise ClusterError(f"the cluster's port {settings.port} is not between -1 and 65535")
    if jetstream and not settings.routes and not settings.size:
        advice = "--routes, or --cluster_size 1 for the first server of a cluster that will grow"
        raise ClusterError(f"a JetStream cluster requires configured routes: {advice}")
    if settings.size < 0:
        raise ClusterError("--cluster_size is how many servers found the cluster: 1 or more")
    if settings.timers not in get_args(TimersName):
        raise ClusterError(f"--timers is kvcore or nats, not {settings.timers!r}")
    if settings.password and settings.secret_file:
        raise ClusterError("a cluster has a secret file, or user and password: not both")
    if is_hash(settings.password):
        advice = "write it plainly into a file of your own, or use --cluster_secret_file"
        raise ClusterError(f"a cluster's password can't be kept as a hash: {advice}")
    tls = settings.tls
    if tls is not None and not (tls.cert_file and tls.key_file and tls.ca_file):
        raise ClusterError("a cluster's TLS needs cert_file, key_file and ca_file")
    if settings.advertise:
        read_route(settings.advertise, "--cluster_advertise")
    secret = _read_secret(settings.secret_file) if settings.secret_file else b""
    return dataclasses.replace(settings, name=settings.name or "kvcore", secret=secret)


def _read_secret(path: str) -> bytes:
    try:
        mode = Path(path).stat().st_mode
        with Path(path).open("rb") as file:
            secret = file.read(limits.CLUSTER_SECRET_MAX_BYTES + 1).strip()
    except OSError as error:
        raise ClusterError(f"can't read the secret file {path}: {error.strerror}") from error
    if stat.S_IMODE(mode) & 0o077:
        raise ClusterError(f"others may read the secret file {path}: chmod 600 {path}")
    least, most = limits.CLUSTER_SECRET_MIN_BYTES, limits.CLUSTER_SECRET_MAX_BYTES
    if not least <= len(secret) <= most:
        advice = f"openssl rand -hex 32 > {path}"
        raise ClusterError(f"the secret in {path} must have {least} to {most} bytes: {advice}")
    return secret


def is_this_machine(host: str) -> bool:
    """Whether an address that a socket reports is a loopback address."""
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


# The configuration file.


def read_cluster(keys: Keys, entry: Entry) -> None:
    """The `cluster` block."""
    inner = Keys({}, keys.warnings)
    inner.block(as_block(entry), _CLUSTER)
    keys.found["cluster"] = ClusterSettings(**inner.found)  # type: ignore[arg-type]


def _fill(setting: str, take: Reader) -> Reader:
    """Reads with `take`, whose mistakes are told with the line."""

    def read(keys: Keys, entry: Entry) -> None:
        try:
            take(keys, entry)
        except ClusterError as error:
            raise ConfError(entry.line, f"{setting}: {error}") from error

    return read


def _read_listen(keys: Keys, entry: Entry) -> None:
    text = as_text(entry)
    if text.lstrip("-").isdigit():
        keys.found["port"] = int(text)
    else:
        keys.found.update(_listen(text, "listen"))


def _read_routes(keys: Keys, entry: Entry) -> None:
    routes = [read_route(as_text(item), "routes") for item in as_list(entry)]
    keys.found["routes"] = tuple(routes)


def _read_authorization(keys: Keys, entry: Entry) -> None:
    for key, value in as_block(entry).items():
        match key.lower():
            case "user" | "username":
                keys.found["user"] = as_text(value)
            case "pass" | "password":
                keys.found["password"] = as_text(value)
            case "timeout":
                keys.found["timeout"] = as_duration(value)
            case "token":
                raise ConfError(value.line, "Cluster authorization does not support tokens")
            case "users":
                raise ConfError(value.line, "Cluster authorization does not allow multiple users")
            case "permissions" | "default_permissions":
                raise ConfError(value.line, f"{key} of a cluster comes later")
            case _ if not value.used:
                raise ConfError(value.line, f'unknown field "{key}" in cluster authorization')
    if bool(keys.found.get("user")) != bool(keys.found.get("password")):
        raise ConfError(entry.line, "user and password go together")


def _read_tls(keys: Keys, entry: Entry) -> None:
    keys.found["tls"] = dataclasses.replace(read_tls(entry), verify=True)


def _text(setting: str) -> Reader:
    return lambda keys, entry: keys.found.update({setting: as_text(entry)})


def _number(setting: str) -> Reader:
    return lambda keys, entry: keys.found.update({setting: as_number(entry)})


_CLUSTER: dict[str, Reader] = {
    "name": _text("name"),
    "host": _text("host"),
    "net": _text("host"),
    "port": _number("port"),
    "listen": _fill("listen", _read_listen),
    "advertise": _text("advertise"),
    "cluster_advertise": _text("advertise"),
    "routes": _fill("routes", _read_routes),
    "authorization": _read_authorization,
    "secret_file": _text("secret_file"),
    "size": _number("size"),
    "timers": _text("timers"),
    "tls": _read_tls,
    "permissions": later("permissions of a cluster"),
    **{
        name: ignored(f"cluster.{name}")
        for name in ("no_advertise", "connect_retries", "pool_size", "accounts", "compression")
    },
}
