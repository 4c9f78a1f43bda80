"""Who may come in: a token, a name and password, or a signature, judged at CONNECT.

A server without secrets lets everyone in, even those who never say CONNECT. A server with
secrets answers nothing until it has seen a good one, and says no more than "Authorization
Violation" to a bad one: a stranger learns neither whether the name or the password was
wrong nor, from the time it took, how much of it was right.

An *nkey* is a name that is a public key. The server puts a number that it never used before
(a nonce) into its greeting, and who owns the key signs it: nothing secret is sent at all.

`no_auth_user` names the user that those without any secret are taken for.

Comparing in constant time, hashing and verifying signatures are the business of
cryptography, so they come in as functions.

Left out: JWT, accounts.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from kvcore.nats.connect import ConnectOptions
from kvcore.nats.permissions import Permissions


@dataclass(frozen=True, slots=True)
class Identity:
    """Someone who was let in; "" is the name of those who have none."""

    name: str = ""
    permissions: Permissions | None = None  # None: may do everything


@dataclass(frozen=True, slots=True)
class Known:
    """What a server knows of a user; for an nkey the name is the key and says it all."""

    identity: Identity
    password: str = field(default="", repr=False)


def no_signature(_key: str, _nonce: bytes, _signature: str) -> bool:
    """Refuses: there is nobody who could check."""
    return False


@dataclass(frozen=True, slots=True)
class Gate:
    """The secrets of one server: users by name, nkeys by public key, a token, "" for none."""

    users: Mapping[str, Known]
    token: str = field(repr=False)
    check_secret: Callable[[str, str], bool] = field(repr=False)  # given, expected
    nkeys: Mapping[str, Known] = field(default_factory=dict)
    check_signature: Callable[[str, bytes, str], bool] = field(default=no_signature, repr=False)
    no_auth_user: str = ""

    @property
    def is_open(self) -> bool:
        """Whether the server has no secrets at all."""
        return not (self.users or self.nkeys or self.token)

    @property
    def newcomer(self) -> Identity | None:
        """Who someone is that has said nothing yet; None if that is nobody."""
        if self.is_open:
            return Identity()
        known = self.users.get(self.no_auth_user) or self.nkeys.get(self.no_auth_user)
        return known.identity if known is not None else None

    def admits(self, options: ConnectOptions, nonce: bytes = b"") -> Identity | None:
        """Who these options are from; None for those without a good secret.

        An unknown name costs as much time as a known one.
        """
        if self.is_open:
            return Identity()
        if self.nkeys and options.nkey:
            owner = self.nkeys.get(options.nkey)
            is_signed = self.check_signature(options.nkey, nonce, options.sig)
            return owner.identity if owner is not None and is_signed else None
        if self.no_auth_user and not (options.user or options.password or options.auth_token):
            return self.newcomer
        if self.token and options.auth_token:
            return Identity() if self.check_secret(options.auth_token, self.token) else None
        known = self.users.get(options.user)
        expected = self._decoy if known is None else known.password
        is_equal = self.check_secret(options.password, expected)
        return known.identity if known is not None and is_equal else None

    @property
    def _decoy(self) -> str:
        """The longest password, a hash if there is one: what a stranger is compared with."""
        return max((user.password for user in self.users.values()), key=len, default="")
