"""Ports for servers that don't run yet.

A cluster's servers must know each other's ports before the first of them starts, and each must
find its own free again after a crash. A port that the kernel hands out for the asking (from
32768 on, on Linux) may by then be the near end of somebody's connection. These ports lie below.

Left out: two processes that ask in the same moment may be given the same port; among twenty
thousand that is rare, and the server that comes second says so.
"""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from random import SystemRandom

LOWEST, BEYOND = 12_000, 32_000

_given: dict[int, None] = {}  # by this process: a killed server leaves its port free


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that nobody listens on just now and that this process never gave before.

    Raises OSError when there are none left.
    """
    found: list[int] = []
    candidates = _candidates()
    with ExitStack() as held:
        while len(found) < count:
            port = next(candidates, None)
            if port is None:
                raise OSError(f"no {count} free ports between {LOWEST} and {BEYOND}")
            with suppress(OSError):
                held.enter_context(socket.create_server(("127.0.0.1", port)))
                _given[port] = None
                found.append(port)
    return found


def _candidates() -> Iterator[int]:
    every = list(range(LOWEST, BEYOND))
    SystemRandom().shuffle(every)
    return (port for port in every if port not in _given)
