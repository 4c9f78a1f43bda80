"""Who may come in, and how: the stanzas of a configuration file about users and TLS.

    authorization {
        default_permissions { subscribe: "_INBOX.>" }
        users: [ { user: ann, password: $2b$11$…, permissions { publish: ["orders.>"] } }
                 { nkey: UB…, permissions { publish { deny: "admin.>" } allow_responses: true } } ]
        timeout: 2
    }
    no_auth_user: ann
    accounts { $SYS { users: [ { user: admin, password: … } ] } }
    tls { cert_file: …, key_file: …, ca_file: …, verify: true, handshake_first: true, timeout: 2 }

They mean what they mean in nats-server. The permissions of `default_permissions` are those
of users who have none of their own. What is not understood is refused: half a safeguard is
worse than none, since one relies on it.

Left out: accounts but `$SYS`, JWT, and names taken from certificates (`verify_and_map`).
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from kvcore import limits
from kvcore.limits import Nanos
from kvcore.nats.nkeys import public_key
from kvcore.nats.permissions import Permissions, Responses, Rule, is_valid_entry
from kvcore.node.config import NkeyUser, User
from kvcore.server.conf import ConfError, Entry
from kvcore.server.readers import (
    Keys,
    Reader,
    as_block,
    as_duration,
    as_list,
    as_number,
    as_switch,
    as_text,
    checked_elsewhere,
    duration,
    later,
    text,
)

Version: TypeAlias = Literal["1.2", "1.3"]
_BCRYPT = re.compile(r"\$2[aby]\$(0[4-9]|[12]\d|3[01])\$[./A-Za-z0-9]{53}")


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """How to speak TLS; `handshake_first` is before INFO, not after it."""

    cert_file: str = ""
    key_file: str = ""
    ca_file: str = ""
    verify: bool = False
    handshake_first: bool = False
    timeout: Nanos = limits.TLS_TIMEOUT_NS
    min_version: Version = "1.2"


def _authorization(keys: Keys, entry: Entry) -> None:
    block = as_block(entry)
    keys.block(block, _AUTHORIZATION)
    default = _permissions_in(block, ("default_permissions", "default_permission", "permissions"))
    if _one_of(block, "user", "username") is not None:
        _add_user(keys, block, entry.line, default)
    elif _one_of(block, "password", "pass") is not None:
        raise ConfError(entry.line, "user and password go together")
    for key, users in block.items():
        if key.lower() == "users":
            _add_users(keys, users, default)


def _accounts(keys: Keys, entry: Entry) -> None:
    """`$SYS` alone: its users may do what any user may, since there is one account."""
    for name, account in as_block(entry).items():
        if name != "$SYS":
            raise ConfError(account.line, f"account {name}: accounts but $SYS come later")
        keys.block(as_block(account), {"users": _users})


def _users(keys: Keys, entry: Entry) -> None:
    _add_users(keys, entry, None)


def _add_users(keys: Keys, entry: Entry, default: Permissions | None) -> None:
    for item in as_list(entry):
        block = as_block(item)
        keys.block(block, _USER)
        _add_user(keys, block, item.line, default)


def _add_user(keys: Keys, block: dict[str, Entry], line: int, default: Permissions | None) -> None:
    permissions = _permissions_in(block, ("permissions", "permission", "authorization")) or default
    name = _one_of(block, "user", "username")
    password = _one_of(block, "password", "pass")
    nkey = _one_of(block, "nkey")
    if nkey is not None:
        if name is not None or password is not None:
            raise ConfError(line, "a user with an nkey has no name and no password")
        if public_key(as_text(nkey)) is None:
            raise ConfError(nkey.line, "no public nkey of a user: that is U and 55 characters")
        _append(keys, "nkeys", NkeyUser(as_text(nkey), permissions), nkey)
        return
    if name is None or password is None:
        raise ConfError(line, "user and password go together")
    secret = as_text(password)
    if secret.startswith("$2") and _BCRYPT.fullmatch(secret) is None:
        raise ConfError(password.line, "a password that begins with $2 is a hash made by bcrypt")
    _append(keys, "users", User(as_text(name), secret, permissions), name)


def _append(keys: Keys, setting: str, user: User | NkeyUser, entry: Entry) -> None:
    known = keys.found.get(setting, ())
    assert isinstance(known, tuple)
    name = as_text(entry)
    if any(name == (each.name if isinstance(each, User) else each.public) for each in known):
        raise ConfError(entry.line, f"user {name} is there twice")
    keys.found[setting] = (*known, user)


def _one_of(block: Mapping[str, Entry], *names: str) -> Entry | None:
    return next((entry for key, entry in block.items() if key.lower() in names), None)


# Permissions.


def _permissions_in(block: Mapping[str, Entry], names: tuple[str, ...]) -> Permissions | None:
    entry = _one_of(block, *names)
    if entry is None:
        return None
    publish, subscribe, responses = Rule(), Rule(), None
    for key, value in as_block(entry).items():
        match key.lower():
            case "publish" | "pub" | "import":
                publish = _rule(value, takes_queue=False)
            case "subscribe" | "sub" | "export":
                subscribe = _rule(value, takes_queue=True)
            case "allow_responses" | "publish_allow_responses":
                responses = _responses(value)
            case _ if not value.used:
                raise ConfError(value.line, f'unknown field "{key}" in permissions')
    if responses is not None and publish.allow is None:
        publish = Rule((), publish.deny)  # who may answer may not speak unasked
    return Permissions(publish, subscribe, responses)


def _rule(entry: Entry, *, takes_queue: bool) -> Rule:
    """A list is what is allowed; a block has `allow` and `deny`."""
    if not isinstance(entry.value, dict):
        return Rule(_subjects(entry, takes_queue=takes_queue))
    allow: tuple[str, ...] | None = None
    deny: tuple[str, ...] = ()
    for key, value in entry.value.items():
        match key.lower():
            case "allow":
                allow = _subjects(value, takes_queue=takes_queue)
            case "deny":
                deny = _subjects(value, takes_queue=takes_queue)
            case _ if not value.used:
                raise ConfError(value.line, f'unknown field "{key}": a rule has allow and deny')
    return Rule(allow, deny)


def _subjects(entry: Entry, *, takes_queue: bool) -> tuple[str, ...]:
    found = []
    for item in as_list(entry):
        subject = as_text(item)
        if not is_valid_entry(subject, takes_queue=takes_queue):
            raise ConfError(item.line, f'"{subject}" is no subject')
        found.append(subject)
    if not found:  # nats-server would allow everything, who wrote it may have meant nothing
        raise ConfError(entry.line, 'an empty list says nothing: leave it out, or deny ">"')
    return tuple(found)


def _responses(entry: Entry) -> Responses | None:
    if not isinstance(entry.value, dict):
        return Responses() if as_switch(entry) else None
    count, time = Responses().count, Responses().time
    for key, value in entry.value.items():
        match key.lower():
            case "max" | "max_msgs" | "max_messages" | "max_responses":
                count = as_number(value) or count
            case "expires" | "expiration" | "ttl":
                is_endless = as_text(value).startswith("-")
                time = -1 if is_endless else as_duration(value) or time
            case _ if not value.used:
                raise ConfError(value.line, f'unknown field "{key}" in allow_responses')
    return Responses(count, time)


# TLS.


def _tls(keys: Keys, entry: Entry) -> None:
    keys.found["tls"] = read_tls(entry)


def read_tls(entry: Entry) -> TlsSettings:
    """A `tls` block."""
    said: dict[str, str | bool | int] = {}
    for key, value in as_block(entry).items():
        fill = _TLS.get(key.lower())
        if fill is not None:
            setting, take = fill
            said[setting] = take(value)
        elif key.lower() == "insecure":
            raise ConfError(value.line, "insecure is for who connects, not for who listens")
        elif not value.used:
            raise ConfError(value.line, f"{key} comes later: this kvcore can't honour it")
    return TlsSettings(**said)  # type: ignore[arg-type]


def _first(entry: Entry) -> bool:
    word = as_text(entry).lower()
    if word not in ("true", "false", "on", "off", "yes", "no"):
        raise ConfError(entry.line, "handshake_first is true or false; its fallbacks come later")
    return as_switch(entry)


def _version(entry: Entry) -> str:
    word = as_text(entry)
    if word not in ("1.2", "1.3"):
        raise ConfError(entry.line, "min_version is 1.2 or 1.3")
    return word


_TLS: dict[str, tuple[str, Callable[[Entry], str | bool | int]]] = {
    "cert_file": ("cert_file", as_text),
    "key_file": ("key_file", as_text),
    "ca_file": ("ca_file", as_text),
    "verify": ("verify", as_switch),
    "handshake_first": ("handshake_first", _first),
    "first": ("handshake_first", _first),
    "immediate": ("handshake_first", _first),
    "timeout": ("timeout", as_duration),
    "min_version": ("min_version", _version),
}


def _read_with_its_user(_keys: Keys, entry: Entry) -> None:
    as_block(entry)


_NAMED: dict[str, Reader] = {
    "user": checked_elsewhere,
    "username": checked_elsewhere,
    "password": checked_elsewhere,
    "pass": checked_elsewhere,
    "permissions": _read_with_its_user,
}
_USER: dict[str, Reader] = {
    **_NAMED,
    "nkey": checked_elsewhere,
    "permission": _read_with_its_user,
    "authorization": _read_with_its_user,
    "allowed_connection_types": later("allowed_connection_types"),
}
_AUTHORIZATION: dict[str, Reader] = {
    **_NAMED,
    "token": text("token"),
    "users": lambda _keys, _entry: None,
    "timeout": duration("auth_timeout"),
    "default_permissions": _read_with_its_user,
    "default_permission": _read_with_its_user,
    "auth_callout": later("auth_callout"),
}
ACCESS: Mapping[str, Reader] = {
    "authorization": _authorization,
    "no_auth_user": text("no_auth_user"),
    "accounts": _accounts,
    "tls": _tls,
}
