"""Flags and configuration file together: what one server process is to do.

nats-server's rule holds: a flag wins over the file. Everything is checked before anything
is opened, so a mistake costs one sentence and leaves no directory behind. What kvcore does
not have is never passed over in silence when it would make a server less safe than its
configuration says (TLS, permissions, accounts): that is refused. The rest (HTTP monitoring,
leaf nodes, websockets) is ignored with a warning.

Two defaults differ from nats-server's, on purpose: the address is 127.0.0.1, and an ack
waits for the disk. JetStream is on, except under the name `nats-server`, where scripts
expect to have to ask for it.

Left out: everything about how the settings are carried out.
"""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from kvcore import limits
from kvcore.limits import SECOND_NS, Nanos
from kvcore.node.config import User
from kvcore.server import conf, flags
from kvcore.server.conf import ConfError, Entry

Sync: TypeAlias = Literal["always", "interval", "never"]
DEFAULT_STORE = "./kvcore-data"


class SettingsError(Exception):
    """The server can't start as asked; the text is one sentence."""


@dataclass(frozen=True, slots=True)
class Settings:
    """One server process; sizes in bytes, times in nanoseconds, None where nothing was said."""

    host: str = "127.0.0.1"
    port: int = 4222
    server_name: str = ""
    tags: tuple[str, ...] = ()
    store_dir: str = DEFAULT_STORE
    jetstream: bool = True
    sync: Sync = "always"
    sync_interval: Nanos = limits.SYNC_INTERVAL_NS
    max_memory: int = -1
    max_storage: int = -1
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
    ports_dir: str = ""
    pid_file: str = ""
    log_file: str = ""
    log_time: bool = True
    debug: bool = False
    trace: bool = False
    record: str = ""
    parent_fd: int = -1
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
    if ignored := given.pop("ignored", ""):
        warnings.append(f"{ignored} comes later: nothing listens there")
    if name == "nats-server":
        found.setdefault("jetstream", False)
    _from_flags(given, found)
    settings = dataclasses.replace(Settings(), **found, warnings=tuple(warnings))  # type: ignore[arg-type]
    _check(settings)
    return settings


def _from_flags(given: dict[str, flags.Value], found: dict[str, object]) -> None:
    if "sync" in given and given["sync"] not in get_args(Sync):
        raise SettingsError(f"--sync is always, interval or never, not {given['sync']!r}")
    if "sync_interval" in given and given.get("sync", found.get("sync")) != "interval":
        raise SettingsError("--sync-interval goes with --sync interval")
    if ("user" in given) != ("password" in given):
        raise SettingsError("--user and --pass go together")
    if "user" in given:
        found["users"] = (User(str(given.pop("user")), str(given.pop("password"))),)
    if given.pop("no_jetstream", False):
        given["jetstream"] = False
    if given.pop("debug_trace", False):
        given["debug"] = given["trace"] = True
    found.update(given)


def _check(settings: Settings) -> None:
    if not -1 <= settings.port <= 65535:
        raise SettingsError(f"port {settings.port} is not between -1 and 65535")
    for size in ("max_payload", "max_control_line", "max_connections", "ping_interval"):
        if getattr(settings, size) <= 0:
            raise SettingsError(f"{size} must be greater than 0")
    if settings.max_payload > limits.PENDING_OUTPUT_BYTES:
        raise SettingsError(f"max_payload is at most {limits.PENDING_OUTPUT_BYTES} bytes")
    if settings.sync_interval <= 0:
        raise SettingsError("the sync interval must be greater than 0")
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
        _Keys(found, warnings).block(conf.parse(text, environment), _TOP)
    except ConfError as error:
        raise SettingsError(f"{path}:{error.line}: {error}") from error


class _Keys:
    """Fills `found` from blocks; each reader in the tables below is given this and an entry."""

    def __init__(self, found: dict[str, object], warnings: list[str]) -> None:
        self.found = found
        self.warnings = warnings

    def block(self, block: dict[str, Entry], readers: Mapping[str, "_Reader"]) -> None:
        for key, entry in block.items():
            reader = readers.get(key.lower())
            if reader is not None:
                reader(self, entry)
            elif not entry.used:
                from difflib import get_close_matches

                near = get_close_matches(key.lower(), readers, n=1)
                advice = f'did you mean "{near[0]}"?' if near else "kvcore has no such setting"
                raise ConfError(entry.line, f'unknown field "{key}": {advice}')


_Reader: TypeAlias = Callable[[_Keys, Entry], None]


def _as_text(entry: Entry) -> str:
    if not isinstance(entry.value, str):
        found = "list" if isinstance(entry.value, list) else "block"
        raise ConfError(entry.line, f"expected a single value, not a {found}")
    return entry.value


def _as_number(entry: Entry) -> int:
    number = conf.size(_as_text(entry))
    if number is None:
        raise ConfError(entry.line, f"expected a number, not {entry.value!r}")
    return number


def _as_switch(entry: Entry) -> bool:
    found = conf.switch(_as_text(entry))
    if found is None:
        raise ConfError(entry.line, f"expected true or false, not {entry.value!r}")
    return found


def _as_duration(entry: Entry) -> Nanos:
    """A text such as `2m`, or a plain number of seconds."""
    text = _as_text(entry)
    try:
        if text.replace(".", "", 1).isdecimal():
            return round(float(text) * SECOND_NS)
        return flags.parse_duration(text)
    except ValueError as error:
        raise ConfError(entry.line, str(error)) from error


def _as_block(entry: Entry) -> dict[str, Entry]:
    if not isinstance(entry.value, dict):
        raise ConfError(entry.line, "expected a block in braces")
    return entry.value


def _as_list(entry: Entry) -> list[Entry]:
    return entry.value if isinstance(entry.value, list) else [entry]


def _text(setting: str) -> _Reader:
    return lambda keys, entry: keys.found.update({setting: _as_text(entry)})


def _number(setting: str) -> _Reader:
    return lambda keys, entry: keys.found.update({setting: _as_number(entry)})


def _switch(setting: str) -> _Reader:
    return lambda keys, entry: keys.found.update({setting: _as_switch(entry)})


def _duration(setting: str) -> _Reader:
    return lambda keys, entry: keys.found.update({setting: _as_duration(entry)})


def _ignored(what: str) -> _Reader:
    return lambda keys, entry: keys.warnings.append(f"line {entry.line}: {what} is ignored")


def _later(what: str) -> _Reader:
    def refuse(_keys: _Keys, entry: Entry) -> None:
        raise ConfError(entry.line, f"{what} comes later: this kvcore can't honour it")

    return refuse


def _listen(keys: _Keys, entry: Entry) -> None:
    host, colon, port = _as_text(entry).rpartition(":")
    if not port.lstrip("-").isdigit():
        raise ConfError(entry.line, "listen is HOST:PORT or a port")
    keys.found["port"] = int(port)
    if colon and host:
        keys.found["host"] = host.strip("[]")


def _tags(keys: _Keys, entry: Entry) -> None:
    keys.found["tags"] = tuple(_as_text(item) for item in _as_list(entry))


def _authorization(keys: _Keys, entry: Entry) -> None:
    block = _as_block(entry)
    keys.block(block, _AUTHORIZATION)
    if ("user" in block) != ("password" in block or "pass" in block):
        raise ConfError(entry.line, "user and password go together")
    if "user" in block:
        _add_user(keys, block, entry.line)


def _users(keys: _Keys, entry: Entry) -> None:
    for item in _as_list(entry):
        block = _as_block(item)
        keys.block(block, _USER)
        _add_user(keys, block, item.line)


def _add_user(keys: _Keys, block: dict[str, Entry], line: int) -> None:
    password = block.get("password") or block.get("pass")
    if "user" not in block or password is None:
        raise ConfError(line, "a user has a user and a password")
    if _as_text(password).startswith("$2"):
        raise ConfError(password.line, "bcrypt passwords come later: give the password itself")
    known = keys.found.get("users", ())
    assert isinstance(known, tuple)
    keys.found["users"] = (*known, User(_as_text(block["user"]), _as_text(password)))


def _accounts(keys: _Keys, entry: Entry) -> None:
    """`$SYS` alone: its users may do what any user may, since there is one account."""
    for name, account in _as_block(entry).items():
        if name != "$SYS":
            raise ConfError(account.line, f"account {name}: accounts but $SYS come later")
        keys.block(_as_block(account), {"users": _users})


def _jetstream(keys: _Keys, entry: Entry) -> None:
    if isinstance(entry.value, dict):
        keys.found["jetstream"] = True
        keys.block(entry.value, _JETSTREAM)
    elif entry.value in ("enabled", "enable", "disabled", "disable"):
        keys.found["jetstream"] = str(entry.value).startswith("enable")
    else:
        keys.found["jetstream"] = _as_switch(entry)


def _sync_interval(keys: _Keys, entry: Entry) -> None:
    if entry.value == "always":
        keys.found["sync"] = "always"
    else:
        keys.found["sync"] = "interval"
        keys.found["sync_interval"] = _as_duration(entry)


def _checked_elsewhere(_keys: _Keys, entry: Entry) -> None:
    _as_text(entry)


_USER: dict[str, _Reader] = {
    "user": _checked_elsewhere,
    "password": _checked_elsewhere,
    "pass": _checked_elsewhere,
    "permissions": _later("permissions"),
}
_AUTHORIZATION: dict[str, _Reader] = {
    **_USER,
    "token": _text("token"),
    "users": _users,
    "timeout": _duration("auth_timeout"),
    "default_permissions": _later("permissions"),
}
_JETSTREAM: dict[str, _Reader] = {
    "enabled": _switch("jetstream"),
    "store_dir": _text("store_dir"),
    "max_file_store": _number("max_storage"),
    "max_file": _number("max_storage"),
    "max_mem_store": _number("max_memory"),
    "max_memory_store": _number("max_memory"),
    "max_mem": _number("max_memory"),
    "sync_interval": _sync_interval,
}
_TOP: dict[str, _Reader] = {
    "port": _number("port"),
    "host": _text("host"),
    "net": _text("host"),
    "listen": _listen,
    "http": _ignored("HTTP monitoring"),
    "http_port": _ignored("HTTP monitoring"),
    "server_name": _text("server_name"),
    "server_tags": _tags,
    "max_payload": _number("max_payload"),
    "max_control_line": _number("max_control_line"),
    "max_connections": _number("max_connections"),
    "ping_interval": _duration("ping_interval"),
    "ping_max": _number("ping_max"),
    "ports_file_dir": _text("ports_dir"),
    "pid_file": _text("pid_file"),
    "log_file": _text("log_file"),
    "logtime": _switch("log_time"),
    "debug": _switch("debug"),
    "trace": _switch("trace"),
    "lame_duck_duration": _duration("lame_duck_duration"),
    "lame_duck_grace_period": _duration("lame_duck_grace"),
    "authorization": _authorization,
    "accounts": _accounts,
    "jetstream": _jetstream,
    "tls": _later("TLS"),
    "cluster": _later("clustering"),
    "leafnodes": _ignored("leafnodes"),
    "websocket": _ignored("websocket"),
}
