"""Ports for servers that don't run yet."""

import socket
from contextlib import ExitStack

from kvcore.lab import ports


def test_a_port_is_given_once_and_lies_below_those_that_the_kernel_hands_out():
    given = [port for _ in range(20) for port in ports.free_ports(3)]
    assert len(set(given)) == 60
    with socket.create_server(("127.0.0.1", 0)) as handed_out:
        assert max(given) < handed_out.getsockname()[1]


def test_a_port_that_somebody_listens_on_is_not_given(monkeypatch):
    with ExitStack() as held:
        taken = ports.free_ports(3)
        for port in taken[:2]:
            held.enter_context(socket.create_server(("127.0.0.1", port)))
        monkeypatch.setattr(ports, "_given", {})
        monkeypatch.setattr(ports, "_candidates", lambda: iter(taken))
        assert ports.free_ports(1) == taken[2:]
