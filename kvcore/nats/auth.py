"""Who may come in: a token or a name and password, judged once, at CONNECT.

A server without secrets lets everyone in, even those who never say CONNECT. A server with
secrets answers nothing until it has seen a good one, and says no more than "Authorization
Violation" to a bad one: a stranger learns neither whether the name or the password was
wrong nor, from the time it took, how much of it was right. The comparison comes in as a
function, since doing it in constant time is the business of cryptography.

Left out: nkeys, JWT, accounts, permissions, hashed passwords.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from kvcore.nats.connect import ConnectOptions


@dataclass(frozen=True, slots=True)
class Gate:
    """The secrets of one server: passwords by user name, and a token, "" for none."""

    users: Mapping[str, str] = field(repr=False)
    token: str = field(repr=False)
    check_secret: Callable[[str, str], bool] = field(repr=False)  # given, expected

    @property
    def is_closed(self) -> bool:
        """Whether a client must show a secret before anything else."""
        return bool(self.users or self.token)

    def admits(self, options: ConnectOptions) -> bool:
        """Whether these options carry a good secret; an unknown name costs as much time."""
        if not self.is_closed:
            return True
        if self.token and options.auth_token:
            return self.check_secret(options.auth_token, self.token)
        known = self.users.get(options.user)
        equal = self.check_secret(options.password, known or "")
        return equal and known is not None
