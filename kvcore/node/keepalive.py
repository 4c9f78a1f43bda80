"""Which connections want the server's attention, and when.

TCP doesn't tell that a peer has gone silent, so each side asks now and then: PING, and the
other says PONG. A connection that has just sent something is alive and is asked later; one
that left `ping_max` questions unanswered is stale. A client that owes a CONNECT has
`auth_timeout` for it.

Lame duck mode is the polite end of a server: its clients are told, given some time, and
then let go one after the other, so that they don't all knock at the next server at once.

There is one alarm per connection, moved only when it rings: a busy client costs nothing.

Left out: the short first PING after 2 s, with which nats-server measures a round trip.
"""

from collections.abc import Iterable
from enum import Enum

from kvcore.limits import Nanos
from kvcore.node.clients import Client
from kvcore.node.config import NodeConfig
from kvcore.node.wakeups import Wakeups


class Due(Enum):
    """What is to be done about a connection whose time has come."""

    NOTHING = "nothing"
    PING = "ping"
    STALE = "stale"
    LATE = "no CONNECT in time"


class Keepalive:
    """The alarms of all connections."""

    def __init__(self, config: NodeConfig) -> None:
        self._config = config
        self._alarms: Wakeups[int] = Wakeups()
        self._departures: Wakeups[int] = Wakeups()

    def deadline(self) -> Nanos | None:
        """When `due` or `departing` has something to say."""
        times = [at for at in (self._alarms.next(), self._departures.next()) if at is not None]
        return min(times, default=None)

    def greeted(self, client: Client, now: Nanos) -> None:
        """A new connection: it owes a CONNECT, or on an open server nothing."""
        wait = self._config.auth_timeout if client.is_guarded else self._config.ping_interval
        self._alarms.set(client.conn, now + wait)

    def admitted(self, client: Client, now: Nanos) -> None:
        """It has shown its secret."""
        self._alarms.set(client.conn, now + self._config.ping_interval)

    def gone(self, conn: int) -> None:
        """It needs no attention any more."""
        self._alarms.set(conn, None)
        self._departures.set(conn, None)

    def due(self, now: Nanos) -> list[int]:
        """The connections to `judge`, in order of time."""
        return self._alarms.take_due(now)

    def judge(self, client: Client, now: Nanos) -> Due:
        """What this connection's alarm means, and when the next one rings."""
        if client.is_guarded:
            return Due.LATE
        interval = self._config.ping_interval
        if now - client.last_in < interval:
            self._alarms.set(client.conn, client.last_in + interval)
            return Due.NOTHING
        session = client.session
        if session.pings_out >= self._config.ping_max:
            return Due.STALE
        session.pings_out += 1
        self._alarms.set(client.conn, now + interval)
        return Due.PING

    def disperse(self, conns: Iterable[int], now: Nanos) -> None:
        """Lame duck mode: when each of these is let go, after the grace, evenly spread."""
        leaving = list(conns)
        spread = max(self._config.lame_duck_duration - self._config.lame_duck_grace, 0)
        for place, conn in enumerate(leaving):
            delay = self._config.lame_duck_grace + spread * place // len(leaving)
            self._departures.set(conn, now + delay)

    def departing(self, now: Nanos) -> list[int]:
        """The connections that are let go now."""
        return self._departures.take_due(now)
