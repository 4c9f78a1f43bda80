"""What monitoring may look at: one server, at one moment.

A `Sight` is made anew for each question and points into the live server, so it costs nothing
and copies nothing. Whoever holds one reads and never writes.

Left out: the documents themselves (`monitor.py` and its neighbours).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from kvcore.jetstream.api import Api
from kvcore.limits import SECOND_NS, Nanos
from kvcore.node.broker import Broker
from kvcore.node.config import NodeConfig
from kvcore.node.groups import Group
from kvcore.node.hosts import Hosts
from kvcore.node.io import Measured
from kvcore.node.peers import Peers

Document: TypeAlias = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Report:
    """An answer: HTTP's status code, and what becomes JSON."""

    status: int
    document: Document


@dataclass(frozen=True, slots=True)
class Usage:
    """What the server's process takes: bytes of memory, and the share of one core that it
    used since the measurement before (None before the second). `cores` is the machine's."""

    memory: int
    cores: int
    cpu_percent: float | None


@dataclass(frozen=True, slots=True)
class Sight:
    """One server at the time `now`; `is_leading` is whether its JetStream API is served."""

    config: NodeConfig
    started: Nanos
    now: Nanos
    broker: Broker
    hosts: Hosts
    api: Api
    is_leading: bool
    peers: Peers
    usage: Usage | None = None
    meta_group: Group[Any, Any] | None = None


class Gauge:
    """Keeps the last measurement of the process; `usage` is None before the first."""

    def __init__(self) -> None:
        self.usage: Usage | None = None
        self._last: tuple[Nanos, Measured] | None = None

    def read(self, measured: Measured, now: Nanos) -> None:
        """Take in a measurement."""
        percent = None
        if self._last is not None and now > self._last[0]:
            at, before = self._last
            percent = round(100 * (measured.cpu - before.cpu) / (now - at), 1)
        self.usage = Usage(measured.memory, measured.cores, percent)
        self._last = now, measured


def uptime(passed: Nanos) -> str:
    """A length of time as nats-server shows it: `2d3h0m5s`, in whole seconds."""
    seconds = max(0, passed) // SECOND_NS
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    years, days = divmod(days, 365)
    parts = ((years, "y"), (days, "d"), (hours, "h"), (minutes, "m"), (seconds, "s"))
    shown = [f"{count}{unit}" for count, unit in parts]
    while len(shown) > 1 and shown[0].startswith("0"):
        del shown[0]
    return "".join(shown)
