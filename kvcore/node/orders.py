"""What an operator's orders mean to a node.

A server that goes has something to tell. Lame duck mode tells every client to look for
another server, in good time. A shutdown comes at once: there is one last turn, in which those
who wait for messages at a consumer hear `409 Server Shutdown`, so that nobody waits for what
won't come.

Left out: reading the configuration again.
"""

from typing import assert_never

from kvcore.limits import Nanos
from kvcore.node.broker import Broker
from kvcore.node.hosts import Hosts
from kvcore.node.io import Order


def obey(order: Order, broker: Broker, hosts: Hosts, now: Nanos) -> None:
    """Carry out what the operator wants."""
    match order:
        case Order.LAME_DUCK:
            broker.lame_duck(now)
        case Order.SHUT_DOWN:
            for host in hosts:
                host.take_leave()
        case _:
            assert_never(order)
