"""What an operator's orders mean to a node.

A server that goes has something to tell. Lame duck mode tells every client to look for
another server, in good time, and lets others lead what this one leads. A shutdown comes at
once: there is one last turn, in which those who wait for messages at a consumer hear
`409 Server Shutdown`, so that nobody waits for what won't come.

Left out: reading the configuration again.
"""

from collections.abc import Callable
from typing import TypeAlias, assert_never

from kvcore.limits import Nanos
from kvcore.node.broker import Broker
from kvcore.node.hosts import Hosts
from kvcore.node.io import Order

HandOver: TypeAlias = Callable[[], None]


def obey(order: Order, broker: Broker, hosts: Hosts, hand_over: HandOver, now: Nanos) -> None:
    """Carry out what the operator wants."""
    match order:
        case Order.LAME_DUCK:
            broker.lame_duck(now)
            hand_over()
        case Order.SHUT_DOWN:
            for host in hosts:
                host.take_leave()
        case _:
            assert_never(order)
