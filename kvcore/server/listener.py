"""Where clients come in: a listening socket, and one small object per connection.

The socket is bound before anything else is opened, so that a port in use costs nothing,
and so that `-p -1` knows its port before the server introduces itself.

A connection is an `asyncio.Protocol`, not a pair of streams: bytes arrive in a callback and
go straight to the driver, which is several times faster than a task that awaits a reader.

Left out: TLS, which `tls.py` puts between the two, and websockets.
"""

import asyncio
import errno
import json
import socket
from pathlib import Path
from typing import cast

from kvcore.node.config import NodeConfig
from kvcore.server.driver import Driver

BACKLOG_COUNT = 1024  # connections that the kernel holds for us


class ListenError(Exception):
    """The address can't be listened on; the text says which and why."""


def bind(host: str, port: int, *, port_flag: str = "-p", host_flag: str = "-a") -> socket.socket:
    """A listening socket; port -1 is any free one. Raises `ListenError`, which names the flag
    with which another port or address is chosen."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, max(port, 0)), family=family, backlog=BACKLOG_COUNT)
    except OSError as error:
        where = shown(host, port)
        reason = _reason(error, port_flag, host_flag)
        raise ListenError(f"can't listen on {where}: {reason}") from error


def _reason(error: OSError, port_flag: str, host_flag: str) -> str:
    """Why, without the address that the standard library adds, and what to do about it."""
    if error.errno == errno.EADDRINUSE:
        advice = "stop what listens there, or choose another port"
        return f"address already in use; {advice} with {port_flag}"
    if error.errno == errno.EACCES:
        advice = "ports below 1024 are the system's, choose another"
        return f"permission denied; {advice} with {port_flag}"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"this machine has no such address; choose another with {host_flag}"
    reason = (error.strerror or str(error)).lower()
    return f"{reason}; choose another address with {host_flag}"


def shown(host: str, port: int) -> str:
    """`host:port` as it is written in a URL, without a port that isn't chosen yet."""
    address = f"[{host}]" if ":" in host else host
    return address if port < 0 else f"{address}:{port}"


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach `host`."""
    return host in ("localhost", "::1") or host.startswith("127.")


class Connection(asyncio.Protocol):
    """One client's socket; everything it hears goes to the driver."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._conn = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is open."""
        # uvloop's transports do what asyncio.Transport says without being one
        self._transport = cast("asyncio.Transport", transport)
        self._conn = self._driver.connected(self._transport)

    def data_received(self, data: bytes) -> None:
        """Bytes, in pieces of any size."""
        self._driver.data(self._conn, data)

    def eof_received(self) -> bool:
        """The client will say no more: close, but after what this turn has for it."""
        asyncio.get_running_loop().call_soon(self._transport.close)
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is closed, by whichever side."""
        self._driver.closed(self._conn, str(exc) if exc else "Client Closed")


def write_ports_file(
    directory: str, name: str, pid: int, config: NodeConfig, cluster: tuple[str, int] | None = None
) -> Path:
    """Tell scripts that started us on any free port which one it is; the file's path. `cluster`
    is where peers come in."""
    ports = {"nats": [f"nats://{_reached(config.host, config.port)}"]}
    if config.http_port:
        ports["monitoring"] = [f"http://{_reached(config.http_host, config.http_port)}"]
    if cluster is not None:
        ports["cluster"] = [f"nats://{_reached(*cluster)}"]
    path = Path(directory) / f"{name}_{pid}.ports"
    unfinished = path.with_suffix(".tmp")
    unfinished.write_text(json.dumps(ports, separators=(",", ":")), encoding="utf-8")
    unfinished.replace(path)
    return path


def _reached(host: str, port: int) -> str:
    """An address at which this machine reaches what listens there."""
    return shown("127.0.0.1" if host in ("0.0.0.0", "") else host, port)  # noqa: S104  # compared only
