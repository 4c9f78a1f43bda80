"""A real run, written down so that it can be run again.

Both drivers claim to run the same core. The proof is a recording: the seed, the settings,
every event with its time, and where each turn ended. Played into a fresh `Node` over empty
memory stores, it must ask for exactly the effects that the real server was asked for, byte
by byte; each turn's line carries a digest of them, so a difference names its turn.

The file is one JSON list per line, bytes as Latin-1 text:

    {"kvcore": 1, "seed": …, "now": …, "config": {…}}     the first line
    ["C", now, conn, host, port]  ["D", now, conn, bytes]  ["X", now, conn, reason]
    ["c", now, peer]  ["d", now, peer, bytes]  ["x", now, peer, reason]
    ["T", now]  ["S", now, ticket]  ["M", now, memory, cpu, cores]  ["O", now, order]
    ["E", digest]                                          end of a turn

It holds all that clients sent, their passwords too: it is readable by its owner alone.

Left out: runs that begin with a store that isn't empty.
"""

import dataclasses
import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any, assert_never

from kvcore.limits import Nanos
from kvcore.nats.permissions import Permissions, Responses, Rule
from kvcore.node.config import ClusterConfig, NkeyUser, NodeConfig, Timers, User
from kvcore.node.io import (
    ClientClosed,
    ClientConnected,
    ClientData,
    Effects,
    Event,
    Measured,
    Operator,
    Order,
    PeerClosed,
    PeerConnected,
    PeerData,
    Synced,
    TimerFired,
)
from kvcore.server.driver import Core
from kvcore.server.secrets import Secrets, check_signature
from kvcore.storage.base import Storage
from kvcore.storage.memory import MemoryStorage

FORMAT = 1
MakeCore = Callable[[NodeConfig, dict[str, Storage], Random, Nanos], Core]


class ReplayError(Exception):
    """The recording can't be read, or its replay asked for other effects."""


def digest(effects: Effects) -> str:
    """Sixteen hex digits that differ when anything in `effects` does, its order included."""
    sha = hashlib.sha256()
    for conn, data in effects.writes.items():
        sha.update(b"write %d %d\n" % (conn, len(data)))
        sha.update(data)
    for conn in effects.closes:
        sha.update(b"close %d\n" % conn)
    for peer, data in effects.peers.items():
        sha.update(f"peer {peer} {len(data)}\n".encode())
        sha.update(data)
    for peer in effects.unlinks:
        sha.update(f"unlink {peer}\n".encode())
    for engine, batch in effects.batches.items():
        sha.update(f"batch {engine} {batch.ranges!r}\n".encode())
        for key, value in batch.writes:
            sha.update(b"%d %d\n" % (len(key), -1 if value is None else len(value)))
            sha.update(key)
            sha.update(value or b"")
    sha.update(f"sync {effects.sync} {effects.is_vital}\n".encode())
    return sha.hexdigest()[:16]


class RunRecorder:
    """Writes events and turns to a new file at `path`; raises OSError."""

    def __init__(self, path: str, config: NodeConfig, seed: int, now: Nanos) -> None:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        self._out = os.fdopen(descriptor, "w", encoding="utf-8")
        said = dataclasses.asdict(config)
        del said["check_secret"], said["check_signature"]
        self._line({"kvcore": FORMAT, "seed": seed, "now": now, "config": said})

    def event(self, event: Event, now: Nanos) -> None:
        """One event, before it is handled."""
        self._line(_encode(event, now))

    def turn(self, effects: Effects) -> None:
        """The end of a turn, and what it asked for."""
        self._line(["E", digest(effects)])

    def close(self) -> None:
        """Nothing more will happen."""
        self._out.close()

    def _line(self, value: object) -> None:
        self._out.write(json.dumps(value, separators=(",", ":")))
        self._out.write("\n")


def replay(path: str | Path, make_core: MakeCore) -> str:
    """Play the recording into a fresh core; a digest over all its effects.

    Raises `ReplayError` at the first turn whose effects differ from the recorded ones.
    """
    total = hashlib.sha256()
    with Path(path).open(encoding="utf-8") as lines:
        head = json.loads(next(lines, "{}"))
        if head.get("kvcore") != FORMAT:
            raise ReplayError(f"{path} is no recording of format {FORMAT}")
        stores: dict[str, Storage] = {"file": MemoryStorage(), "memory": MemoryStorage()}
        core = make_core(_config(head["config"]), stores, Random(head["seed"]), head["now"])
        turn = 0
        for number, line in enumerate(lines, start=2):
            if not line.endswith("\n"):
                break  # the server was killed in the middle of this line
            fields = json.loads(line)
            if fields[0] != "E":
                core.handle(_decode(fields), fields[1])
                continue
            turn += 1
            effects = core.effects()
            found = digest(effects)
            if found != fields[1]:
                raise ReplayError(f"{path}, line {number}: turn {turn} asks for other effects")
            for engine, batch in effects.batches.items():
                stores[engine].write(batch)
            core.deadline()
            total.update(found.encode())
    return total.hexdigest()


def _config(said: dict[str, object]) -> NodeConfig:
    users, nkeys, tags = (said.pop(key, []) for key in ("users", "nkeys", "tags"))
    cluster = said.pop("cluster", None)
    engines = said.pop("engines", ["file"])
    assert isinstance(engines, list)
    assert isinstance(users, list)
    assert isinstance(nkeys, list)
    assert isinstance(tags, list)
    for user in (*users, *nkeys):
        user["permissions"] = _permissions(user["permissions"])
    return dataclasses.replace(
        NodeConfig(server_name="", server_id=""),
        users=tuple(User(**user) for user in users),
        nkeys=tuple(NkeyUser(**user) for user in nkeys),
        tags=tuple(tags),
        engines=tuple(engines),
        cluster=_cluster(cluster) if isinstance(cluster, dict) else None,
        check_secret=Secrets().check_secret,
        check_signature=check_signature,
        **said,  # type: ignore[arg-type]
    )


def _cluster(said: dict[str, Any]) -> ClusterConfig:
    timers, members = Timers(**said.pop("timers")), tuple(said.pop("members"))
    return ClusterConfig(timers=timers, members=members, **said)


def _permissions(said: dict[str, dict[str, list[str]]] | None) -> Permissions | None:
    if said is None:
        return None
    rules = []
    for each in (said["publish"], said["subscribe"]):
        allow = None if each["allow"] is None else tuple(each["allow"])
        rules.append(Rule(allow, tuple(each["deny"])))
    responses = Responses(**said["responses"]) if said["responses"] else None  # type: ignore[arg-type]
    return Permissions(rules[0], rules[1], responses)


def _encode(event: Event, now: Nanos) -> list[str | int]:
    match event:
        case ClientConnected(conn, host, port):
            return ["C", now, conn, host, port]
        case ClientData(conn, data):
            return ["D", now, conn, data.decode("latin-1")]
        case ClientClosed(conn, reason):
            return ["X", now, conn, reason]
        case PeerConnected(peer):
            return ["c", now, peer]
        case PeerData(peer, data):
            return ["d", now, peer, data.decode("latin-1")]
        case PeerClosed(peer, reason):
            return ["x", now, peer, reason]
        case TimerFired():
            return ["T", now]
        case Synced(ticket):
            return ["S", now, ticket]
        case Measured(memory, cpu, cores):
            return ["M", now, memory, cpu, cores]
        case Operator(order):
            return ["O", now, order.value]
        case _:
            assert_never(event)


def _decode(fields: list[object]) -> Event:
    match fields:
        case ["C", int(), int(conn), str(host), int(port)]:
            return ClientConnected(conn, host, port)
        case ["D", int(), int(conn), str(data)]:
            return ClientData(conn, data.encode("latin-1"))
        case ["X", int(), int(conn), str(reason)]:
            return ClientClosed(conn, reason)
        case ["c", int(), str(peer)]:
            return PeerConnected(peer)
        case ["d", int(), str(peer), str(data)]:
            return PeerData(peer, data.encode("latin-1"))
        case ["x", int(), str(peer), str(reason)]:
            return PeerClosed(peer, reason)
        case ["T", int()]:
            return TimerFired()
        case ["S", int(), int(ticket)]:
            return Synced(ticket)
        case ["M", int(), int(memory), int(cpu), int(cores)]:
            return Measured(memory, cpu, cores)
        case ["O", int(), str(order)]:
            return Operator(Order(order))
        case _:
            raise ReplayError(f"no event: {fields!r}")
