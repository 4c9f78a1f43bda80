"""CONNECT: what a client says about itself, and what holds if it says nothing.

A client opens with one JSON object. Every field may be missing, and the defaults favour a
human at a terminal: `CONNECT {}` asks for a `+OK` after each command (`verbose`) and for a
sharp eye on subjects (`pedantic`). Libraries switch both off. A second CONNECT amends the
first: fields that it doesn't name stay as they were, but the subscriptions made since then
end (as in nats-server; no library does it).

Field names are compared without regard to case, null is no answer, and a field of the
wrong type spoils the whole object, whether we use the field or not: a client that writes
`"headers":1` would otherwise believe that it has headers.

Left out: what JWT and accounts' fields mean; they are read and go unused.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from kvcore.nats.json_text import Json, loads

# Each field of CONNECT by its type; those in `_OURS` become options of the same value.
_TYPES: Mapping[str, type] = {
    **dict.fromkeys(("verbose", "pedantic", "echo", "headers", "no_responders"), bool),
    **dict.fromkeys(("tls_required", "new_account"), bool),
    **dict.fromkeys(("user", "pass", "auth_token", "name", "lang", "version"), str),
    **dict.fromkeys(("jwt", "nkey", "sig", "proxy_sig", "account", "remote_account"), str),
    **dict.fromkeys(("import", "export"), dict),
    "protocol": int,
}
_OURS: tuple[str, ...] = (
    "verbose",
    "pedantic",
    "echo",
    "headers",
    "no_responders",
    "protocol",
    "user",
    "pass",
)
_OURS += ("auth_token", "nkey", "sig", "name", "lang", "version")
_INT64 = 1 << 63


class BadConnectError(ValueError):
    """The text of a CONNECT that can't be taken."""


@dataclass(frozen=True, slots=True)
class ConnectOptions:
    """The fields of CONNECT that a server acts upon or reports."""

    verbose: bool = True
    pedantic: bool = True
    echo: bool = True
    headers: bool = False
    no_responders: bool = False
    protocol: int = 0  # 1: understands INFO at any time
    user: str = ""
    password: str = field(default="", repr=False)
    auth_token: str = field(default="", repr=False)
    nkey: str = ""  # a public key, and
    sig: str = field(default="", repr=False)  # the greeting's nonce signed with it
    name: str = ""
    lang: str = ""
    version: str = ""


def amended(options: ConnectOptions, raw: bytes) -> ConnectOptions:
    """The options after a CONNECT with this text; raises ValueError if it is no good."""
    given = loads(raw)
    if given is None:
        return options
    if not isinstance(given, dict):
        raise BadConnectError("CONNECT takes an object")
    changes: dict[str, Json] = {}
    for key, value in given.items():
        name = key.casefold()
        if name in _TYPES and value is not None:
            _check(name, value)
            if name in _OURS:
                changes["password" if name == "pass" else name] = value
    return replace(options, **changes)  # type: ignore[arg-type]


def _check(name: str, value: Json) -> None:
    wanted = _TYPES[name]
    if not isinstance(value, wanted) or (wanted is int and isinstance(value, bool)):
        raise BadConnectError(f"{name} is not a {wanted.__name__}")
    if isinstance(value, int) and not -_INT64 <= value < _INT64:
        raise BadConnectError(f"{name} is out of range")
