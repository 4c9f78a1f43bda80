"""A cluster that one terminal runs and others drive: `kvcore cluster up` and its helpers.

The process that started the servers owns them: it alone can start one again, and they end
with it. So other terminals ask it. While it runs there is a file in its directory, readable
by its owner alone, that says on which loopback port it listens and which token it wants:

    kvcore-cluster/cluster.json     {"port": …, "token": …, "servers": {"n1": "nats://…", …}}
    kvcore-cluster/n1/              store/  log  …

    {"token": …, "do": "kill", "words": ["n2"]}  ──▶  {"said": "n2 is killed"}

Visitors are heard on threads, but what they ask for is done on the thread that runs the
cluster (`Supervisor.next`), one thing after the other.

Left out: what the orders look like on a command line, and the table; those are in `cli/`.
"""

import hmac
import json
import os
import queue
import secrets
import socket
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from kvcore.lab.asking import ask
from kvcore.lab.fleet import Fleet
from kvcore.server.admin import AdminError

STATE = "cluster.json"
_LINE_BYTES = 64 * 1024
_ORDER_SECONDS = 30.0


class SupervisorError(Exception):
    """It can't be done; the text is one sentence that says what to do."""


class Supervisor:
    """Runs servers in `directory` until `is_over`."""

    def __init__(
        self, servers: int, directory: Path, flags: Sequence[str], *, first_port: int
    ) -> None:
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        if (directory / STATE).exists() and _is_alive(directory):
            raise SupervisorError(f"a cluster runs in {directory} already: kvcore cluster down")
        self.fleet = Fleet(servers, directory, flags, first_port=first_port)
        self.is_over = False
        self._token = secrets.token_hex(32)
        self._door = socket.create_server(("127.0.0.1", 0))
        self._orders: queue.Queue[tuple[str, list[str], queue.SimpleQueue[str]]] = queue.Queue()
        self._did: dict[str, Callable[[list[str]], str]] = {
            "kill": lambda words: self._each(words, self.fleet.crash, "is killed"),
            "pause": lambda words: self._each(words, self.fleet.pause, "stands still"),
            "resume": lambda words: self._each(words, self.fleet.resume, "goes on"),
            "restart": lambda words: self._each(words, self._restart, "is up again"),
            "power-cut": lambda words: self._each(words, self.fleet.power_cut, "has no power"),
            "partition": self._partition,
            "heal": self._heal,
            "down": self._down,
        }

    def start(self) -> None:
        """Starts the servers, and lets other terminals in once they are ready."""
        self.fleet.start()
        threading.Thread(target=self._listen, name="door", daemon=True).start()
        servers = {each.name: f"nats://127.0.0.1:{each.port}" for each in self.fleet.members}
        state = {"port": self._door.getsockname()[1], "token": self._token, "servers": servers}
        path = self.directory / STATE
        path.unlink(missing_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(state, file)

    def next(self, within: float) -> str:
        """Carries out what was asked for first, waiting so many seconds for it; what was done,
        "" if nothing."""
        try:
            do, words, answer = self._orders.get(timeout=within)
        except queue.Empty:
            return ""
        try:
            said = self._did[do](words)
        except (ValueError, RuntimeError, TimeoutError, AdminError) as error:
            answer.put(json.dumps({"error": str(error)}))
            return f"{do} {' '.join(words)}: {error}"
        answer.put(json.dumps({"said": said}))
        return said

    def end(self) -> None:
        """Ends the servers; their directories stay."""
        (self.directory / STATE).unlink(missing_ok=True)
        self._door.close()
        self.fleet.end()

    # Orders.

    def _each(self, words: list[str], do: Callable[[str], object], done: str) -> str:
        if not words:
            raise ValueError(f"which server? there are {', '.join(self._names)}")
        for name in words:
            self.fleet.named(name)
        for name in words:
            do(name)
        return f"{', '.join(words)} {done}"

    def _restart(self, name: str) -> None:
        self.fleet.begin_restart(name)
        self.fleet.wait(lambda: self.fleet.listens(name))

    def _partition(self, words: list[str]) -> str:
        """`n1` from the rest, or groups such as `n1,n2 n3`."""
        groups = [word.split(",") for word in words]
        if not groups:
            raise ValueError("which servers? say `n1` to cut it off, or groups such as `n1,n2 n3`")
        self.fleet.partition(groups)
        rest = [name for name in self._names if not any(name in group for group in groups)]
        sides = [" ".join(group) for group in [*groups, rest] if group]
        return f"the network is {' | '.join(sides)}"

    def _heal(self, _words: list[str]) -> str:
        self.fleet.heal()
        return "the network is whole"

    def _down(self, _words: list[str]) -> str:
        self.is_over = True
        return "the cluster is ending"

    @property
    def _names(self) -> list[str]:
        return [process.name for process in self.fleet.members]

    # Other terminals.

    def _listen(self) -> None:
        while True:
            try:
                visitor, _ = self._door.accept()
            except OSError:  # the door is closed
                return
            threading.Thread(target=self._hear, args=(visitor,), daemon=True).start()

    def _hear(self, visitor: socket.socket) -> None:
        try:
            with visitor:
                visitor.settimeout(_ORDER_SECONDS)
                line = visitor.makefile("rb").readline(_LINE_BYTES)
                visitor.sendall(self._answer(line).encode() + b"\n")
        except OSError:  # the visitor left
            return

    def _answer(self, line: bytes) -> str:
        try:
            said = json.loads(line)
            token, do, words = str(said["token"]), str(said["do"]), list(map(str, said["words"]))
        except (ValueError, KeyError, TypeError, RecursionError):
            return json.dumps({"error": "no order"})
        if not hmac.compare_digest(token.encode("utf-8", "replace"), self._token.encode()):
            return json.dumps({"error": "wrong token"})
        if do == "status":
            return json.dumps({"said": "", "servers": status(self.fleet)})
        if do not in self._did:
            return json.dumps({"error": f"no order {do!r}"})
        answer: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._orders.put((do, words, answer))
        try:
            return answer.get(timeout=_ORDER_SECONDS)
        except queue.Empty:
            return json.dumps({"error": f"{do} takes too long"})


def order(directory: Path, do: str, words: Sequence[str] = ()) -> dict[str, Any]:
    """Has the cluster that runs in `directory` do something; raises `SupervisorError`."""
    try:
        state = json.loads((directory / STATE).read_text(encoding="utf-8"))
        where = ("127.0.0.1", int(state["port"]))
        with socket.create_connection(where, timeout=_ORDER_SECONDS) as connection:
            line = json.dumps({"token": state["token"], "do": do, "words": list(words)})
            connection.sendall(line.encode() + b"\n")
            answer = json.loads(connection.makefile("rb").readline())
    except FileNotFoundError:
        advice = "start one with `kvcore cluster up`, or name its --dir"
        raise SupervisorError(f"no cluster runs in {directory}: {advice}") from None
    except (OSError, ValueError, KeyError) as error:
        raise SupervisorError(f"the cluster in {directory} does not answer: {error}") from error
    if "error" in answer:
        raise SupervisorError(str(answer["error"]))
    return dict(answer)


def _is_alive(directory: Path) -> bool:
    try:
        order(directory, "status")
    except SupervisorError:
        return False
    return True


# What the table shows.


def status(fleet: Fleet) -> list[dict[str, Any]]:
    """A row for each server: its name, address, state, whom it leads and what it holds."""
    reports = _reports(fleet)
    rows = []
    for process in fleet.members:
        found = reports.get(process.name, {})
        meta = found.get("meta_cluster") or {}
        leads = ["_meta_"] if meta.get("leader") == process.name else []
        holds = 0
        for account in found.get("account_details") or ():
            for stream in account.get("stream_detail") or ():
                holds += 1
                if (stream.get("cluster") or {}).get("leader") == process.name:
                    leads.append(stream["name"])
        rows.append(
            {
                "server": process.name,
                "url": f"nats://127.0.0.1:{process.port}",
                "state": process.status if process.status != "up" or found else "up, silent",
                "cut": list(fleet.cut_from(process.name)),
                "leads": leads,
                "streams": holds,
                "messages": found.get("messages", 0),
            }
        )
    return rows


def _reports(fleet: Fleet) -> dict[str, dict[str, Any]]:
    """What each server that is up says of its streams."""
    found: dict[str, dict[str, Any]] = {}
    body = b'{"accounts":true,"streams":true,"raft":true}'
    deadline = time.monotonic() + 1.0
    for process in fleet.members:
        if process.status != "up" or process.name in found:
            continue
        within = max(0.05, min(0.3, deadline - time.monotonic()))
        answers = ask(
            process.port, "$SYS.REQ.SERVER.PING.JSZ", body, within=within, most=len(fleet.members)
        )
        for answer in answers:
            name = str((answer.get("server") or {}).get("name"))
            found.setdefault(name, answer.get("data") or {})
    return found
