"""Flags and configuration file together: what one server process is to do.

nats-server's rule holds: a flag wins over the file. Everything is checked before anything
is opened, so a mistake costs one sentence and leaves no directory behind. What kvcore does
not have is never passed over in silence when it would make a server less safe than its
configuration says (accounts, parts of TLS): that is refused. The rest (leaf nodes,
websockets) is ignored with a warning.

Two defaults differ from nats-server's, on purpose: the address is 127.0.0.1, and an ack
waits for the disk. JetStream is on, except under the name `nats-server`, where scripts
expect to have to ask for it.

Left out: everything about how the settings are carried out.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from kvcore import limits
from kvcore.limits import Nanos
from kvcore.node.config import NkeyUser, User
from kvcore.server import clustering, conf, flags
from kvcore.server.access import ACCESS, TlsSettings
from kvcore.server.clustering import ClusterError, ClusterSettings
from kvcore.server.conf import ConfError, Entry
from kvcore.server.readers import (
    Keys,
    Reader,
    as_duration,
    as_list,
    as_switch,
    as_text,
    duration,
    ignored,
    later,
    number,
    switch,
    text,
)

Sync: TypeAlias = Literal["always", "interval", "never"]
DEFAULT_STORE = "./kvcore-data"


class SettingsError(Exception):
    """The server can't start as asked; the text is one sentence."""


@dataclass(frozen=True, slots=True)
class Settings:
    """One server process; sizes in bytes, times in nanoseconds, None where nothing was said."""

    host: str = "127.0.0.1"
    port: int = 4222
    http_host: str = ""  # that of `host` if nothing is said
    http_port: int = 0  # 0 is no monitoring over HTTP
    server_name: str = ""
    tags: tuple[str, ...] = ()
    store_dir: str = DEFAULT_STORE
    jetstream: bool = True
    engine: str = "file"  # that keeps file streams which name none
    sync: Sync = "always"
    sync_interval: Nanos = limits.SYNC_INTERVAL_NS
    max_memory: int = -1
    max_storage: int = -1
    advertise: str = ""
    max_payload: int = limits.PAYLOAD_BYTES
    max_control_line: int = limits.CONTROL_LINE_BYTES
    max_connections: int = limits.CONNECTIONS_COUNT
    ping_interval: Nanos = limits.PING_INTERVAL_NS
    ping_max: int = limits.PINGS_OUT_COUNT
    auth_timeout: Nanos = limits.AUTH_TIMEOUT_NS
    lame_duck_grace: Nanos = limits.LAME_DUCK_GRACE_NS
    lame_duck_duration: Nanos = limits.LAME_DUCK_DURATION_NS
    users: tuple[User, ...] = ()
    token: str = field(default="", repr=False)
    nkeys: tuple[NkeyUser, ...] = ()
    no_auth_user: str = ""
    tls: TlsSettings | None = None
    cluster: ClusterSettings | None = None
    ports_dir: str = ""
    pid_file: str = ""
    log_file: str = ""
    log_time: bool = True
    debug: bool = False
    trace: bool = False
    record: str = ""
    admin: bool = False
    parent_fd: int = -1
    synced_fd: int = -1
    check_only: bool = False
    warnings: tuple[str, ...] = ()


def read(given: dict[str, flags.Value], name: str, environment: Mapping[str, str]) -> Settings:
    """The settings of a server started as `name` with these flags; raises `SettingsError`."""
    given = dict(given)
    found: dict[str, object] = {}
    warnings: list[str] = []
    path = str(given.pop("config", ""))
    if path:
        _from_file(path, found, warnings, environment)
    if name == "nats-server":
        found.setdefault("jetstream", False)
    _from_flags(given, found)
    settings = dataclasses.replace(Settings(), **found, warnings=tuple(warnings))  # type: ignore[arg-type]
    settings = dataclasses.replace(settings, http_host=settings.http_host or settings.host)
    _check(settings)
    if settings.cluster is None:
        return settings
    name, jetstream = settings.server_name, settings.jetstream
    try:
        cluster = clustering.checked(settings.cluster, name, jetstream=jetstream)
    except ClusterError as error:
        raise SettingsError(str(error)) from error
    return dataclasses.replace(settings, cluster=cluster)


def _from_flags(given: dict[str, flags.Value], found: dict[str, object]) -> None:
    if "sync" in given and given["sync"] not in get_args(Sync):
        raise SettingsError(f"--sync is always, interval or never, not {given['sync']!r}")
    if "sync_interval" in given and given.get("sync", found.get("sync")) != "interval":
        raise SettingsError("--sync-interval goes with --sync interval")
    if ("user" in given) != ("password" in given):
        raise SettingsError("--user and --pass go together")
    if "user" in given:
        found["users"] = (User(str(given.pop("user")), str(given.pop("password"))),)
    _tls_from_flags(given, found)
    try:
        clustering.from_flags(given, found)
    except ClusterError as error:
        raise SettingsError(str(error)) from error
    if given.pop("no_jetstream", False):
        given["jetstream"] = False
    if given.pop("debug_trace", False):
        given["debug"] = given["trace"] = True
    found.update(given)


def _tls_from_flags(given: dict[str, flags.Value], found: dict[str, object]) -> None:
    """`--tls=false` switches it off; any other of its flags switches it on."""
    before = found.get("tls")
    assert before is None or isinstance(before, TlsSettings)
    names = {"tls_cert": "cert_file", "tls_key": "key_file", "tls_ca": "ca_file"}
    names["tls_verify"] = "verify"
    said = {names[key]: given.pop(key) for key in names if key in given}
    wanted = given.pop("tls", None)
    if wanted is False:
        found["tls"] = None
    elif wanted or said:
        found["tls"] = dataclasses.replace(before or TlsSettings(), **said)  # type: ignore[arg-type]


def _check(settings: Settings) -> None:
    for port in (settings.port, settings.http_port):
        if not -1 <= port <= 65535:
            raise SettingsError(f"port {port} is not between -1 and 65535")
    for size in ("max_payload", "max_control_line", "max_connections", "ping_interval"):
        if getattr(settings, size) <= 0:
            raise SettingsError(f"{size} must be greater than 0")
    if settings.max_payload > limits.PENDING_OUTPUT_BYTES:
        raise SettingsError(f"max_payload is at most {limits.PENDING_OUTPUT_BYTES} bytes")
    if settings.cluster is not None and settings.max_payload > limits.CLUSTER_PAYLOAD_BYTES:
        most = limits.CLUSTER_PAYLOAD_BYTES
        raise SettingsError(f"max_payload is at most {most} bytes in a cluster")
    if settings.engine not in ("file", "rocksdb"):
        raise SettingsError(f"--engine is file or rocksdb, not {settings.engine!r}")
    if settings.engine == "rocksdb" and settings.record:
        raise SettingsError("--record goes with --engine file")
    if settings.sync_interval <= 0:
        raise SettingsError("the sync interval must be greater than 0")
    users = [user.name for user in settings.users] + [user.public for user in settings.nkeys]
    if settings.no_auth_user and settings.no_auth_user not in users:
        raise SettingsError(f"no_auth_user {settings.no_auth_user} is none of the users")
    if (tls := settings.tls) is not None and not (tls.cert_file and tls.key_file):
        raise SettingsError("TLS needs a certificate and its key: --tlscert and --tlskey")
    if any(char.isspace() for char in settings.server_name):
        raise SettingsError("a server name has no white space")


# The configuration file: one reader per key.


def _from_file(
    path: str, found: dict[str, object], warnings: list[str], environment: Mapping[str, str]
) -> None:
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise SettingsError(f"can't read configuration file {path}: {reason}") from error
    try:
        Keys(found, warnings).block(conf.parse(text, environment), _TOP)
    except ConfError as error:
        raise SettingsError(f"{path}:{error.line}: {error}") from error


def _address(key: str, host_setting: str, port_setting: str) -> Reader:
    """Fills two settings from `HOST:PORT`, or one from a port."""

    def read_address(keys: Keys, entry: Entry) -> None:
        host, colon, port = as_text(entry).rpartition(":")
        if not port.lstrip("-").isdigit():
            raise ConfError(entry.line, f"{key} is HOST:PORT or a port")
        keys.found[port_setting] = int(port)
        if colon and host:
            keys.found[host_setting] = host.strip("[]")

    return read_address


def _tags(keys: Keys, entry: Entry) -> None:
    keys.found["tags"] = tuple(as_text(item) for item in as_list(entry))


def _jetstream(keys: Keys, entry: Entry) -> None:
    if isinstance(entry.value, dict):
        keys.found["jetstream"] = True
        keys.block(entry.value, _JETSTREAM)
    elif entry.value in ("enabled", "enable", "disabled", "disable"):
        keys.found["jetstream"] = str(entry.value).startswith("enable")
    else:
        keys.found["jetstream"] = as_switch(entry)


def _sync_interval(keys: Keys, entry: Entry) -> None:
    if entry.value == "always":
        keys.found["sync"] = "always"
    else:
        keys.found["sync"] = "interval"
        keys.found["sync_interval"] = as_duration(entry)


_JETSTREAM: dict[str, Reader] = {
    "enabled": switch("jetstream"),
    "store_dir": text("store_dir"),
    "max_file_store": number("max_storage"),
    "max_file": number("max_storage"),
    "max_mem_store": number("max_memory"),
    "max_memory_store": number("max_memory"),
    "max_mem": number("max_memory"),
    "sync_interval": _sync_interval,
}
_TOP: dict[str, Reader] = {
    "port": number("port"),
    "host": text("host"),
    "net": text("host"),
    "listen": _address("listen", "host", "port"),
    "http": _address("http", "http_host", "http_port"),
    "http_host": text("http_host"),
    "http_port": number("http_port"),
    "monitor_port": number("http_port"),
    "https": later("HTTPS for monitoring"),
    "https_port": later("HTTPS for monitoring"),
    "server_name": text("server_name"),
    "server_tags": _tags,
    "client_advertise": text("advertise"),
    "max_payload": number("max_payload"),
    "max_control_line": number("max_control_line"),
    "max_connections": number("max_connections"),
    "ping_interval": duration("ping_interval"),
    "ping_max": number("ping_max"),
    "ports_file_dir": text("ports_dir"),
    "pid_file": text("pid_file"),
    "log_file": text("log_file"),
    "logtime": switch("log_time"),
    "debug": switch("debug"),
    "trace": switch("trace"),
    "lame_duck_duration": duration("lame_duck_duration"),
    "lame_duck_grace_period": duration("lame_duck_grace"),
    **ACCESS,
    "jetstream": _jetstream,
    "cluster": clustering.read_cluster,
    "leafnodes": ignored("leafnodes"),
    "websocket": ignored("websocket"),
}
