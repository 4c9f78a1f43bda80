"""A door for whoever started the server: it makes partitions.

A partition of real processes needs somebody to lose their bytes. On one machine that is the
server itself: told to, it drops what it would send to some peers and clients and what they
send to it, and closes nothing, so that both ends see silence, as behind a broken switch.

The door is there with `--admin` alone. It listens on loopback, on a port of the system's
choice, and a visitor shows the token that stands in a file which only the server's owner can
read. One line of JSON comes in, one goes out:

    {"token": …, "do": "cut", "peers": ["n2"], "clients": ["*"]}       ──▶  {"ok": true, …}
    {"token": …, "do": "heal"}      {"token": …, "do": "status"}

`cut` replaces the cut before it. Peers are named; clients are `host:port`, or `*` for all.

Left out: everything else that one might like to administer; the system account has that.
"""

import asyncio
import hmac
import json
import os
import secrets
import socket
from pathlib import Path
from typing import Any

from kvcore import limits
from kvcore.limits import SECOND_NS
from kvcore.nats.json_text import loads
from kvcore.server.clients import Clients
from kvcore.server.listener import bind
from kvcore.server.mesh import Mesh

_ANSWER_S = 2.0  # what a server may take that isn't paused


class AdminError(Exception):
    """The server did not do it; the text says why."""


class Admin:
    """The door of one server; `open` makes the file, `close` removes it."""

    def __init__(self, server: str, clients: Clients, mesh: Mesh | None) -> None:
        self._server = server
        self._clients = clients
        self._mesh = mesh
        self._token = secrets.token_hex(32)
        self._listening: asyncio.Server | None = None
        self._path: Path | None = None
        self._visits: dict[asyncio.Task[None], None] = {}

    async def open(self, directory: str) -> Path:
        """Listen, and say where in a file in `directory`; raises OSError."""
        listener = bind("127.0.0.1", -1)
        self._listening = await asyncio.start_server(
            self._visit, sock=listener, limit=limits.ADMIN_LINE_BYTES
        )
        port = listener.getsockname()[1]
        self._path = Path(directory) / f"kvcore_{os.getpid()}.admin"
        self._path.unlink(missing_ok=True)
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump({"port": port, "token": self._token}, file)
        return self._path

    def close(self) -> None:
        """No more visits."""
        if self._listening is not None:
            self._listening.close()
        if self._path is not None:
            self._path.unlink(missing_ok=True)
        for task in list(self._visits):
            task.cancel()

    async def _visit(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._visits[task] = None
        try:
            async with asyncio.timeout(limits.ADMIN_TIMEOUT_NS / SECOND_NS):
                answer = self.answer(await reader.readline())
                writer.write(json.dumps(answer).encode() + b"\n")
                await writer.drain()
        except (OSError, ValueError):  # TimeoutError is one, too; a line too long is a ValueError
            pass
        finally:
            writer.close()
            del self._visits[task]

    def answer(self, line: bytes) -> dict[str, Any]:
        """What is done about one line."""
        try:
            said = loads(line)
        except ValueError:
            return {"error": "no JSON"}
        if not isinstance(said, dict):
            return {"error": "no JSON object"}
        token = said.get("token")
        if not isinstance(token, str) or not hmac.compare_digest(
            token.encode("utf-8", "replace"), self._token.encode()
        ):
            return {"error": "wrong token"}
        match said.get("do"):
            case "cut":
                peers, clients = _names(said.get("peers")), _names(said.get("clients"))
                if peers is None or clients is None:
                    return {"error": "peers and clients are lists of names"}
                if peers and self._mesh is None:
                    return {"error": "a server on its own has no peers"}
                if self._mesh is not None:
                    self._mesh.cut(peers)
                self._clients.cut(clients)
            case "heal":
                if self._mesh is not None:
                    self._mesh.heal()
                self._clients.heal()
            case "status":
                pass
            case _:
                return {"error": "do is cut, heal or status"}
        peers = self._mesh.peers if self._mesh is not None else ()
        return {"ok": True, "server": self._server, "peers": list(peers)}


def _names(said: object) -> tuple[str, ...] | None:
    if said is None:
        return ()
    if not isinstance(said, list) or not all(isinstance(name, str) for name in said):
        return None
    return tuple(said)


def ask(file: Path, do: str, **fields: Any) -> dict[str, Any]:
    """Have the server whose file this is do something; raises `AdminError`."""
    try:
        door = json.loads(file.read_text(encoding="utf-8"))
        where = ("127.0.0.1", int(door["port"]))
        with socket.create_connection(where, timeout=_ANSWER_S) as connection:
            line = json.dumps({"token": door["token"], "do": do, **fields})
            connection.sendall(line.encode() + b"\n")
            heard = connection.makefile("rb").readline()
    except (OSError, ValueError, KeyError) as error:
        raise AdminError(f"{file.name}: the server does not answer ({error})") from error
    answer = json.loads(heard) if heard else {"error": "the server closed the connection"}
    if "error" in answer:
        raise AdminError(f"{file.name}: {answer['error']}")
    return dict(answer)
