"""kill -9 of one, two and all of three servers in mid-load: acked is kept, by each of them.

The load and the check are those of one server (`load.py`); here the bucket has three replicas.
Each round, some servers are killed while writes are in flight, one of them that which the
client is connected to; they are started again, and as soon as the bucket takes writes it must
hold what was acked. Then each server in turn is made its leader and says what it has: all
three must say the same.

That the check can fail is shown by the last test, where an ack waits for no disk.
"""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from signal import SIGKILL

import pytest

from kvcore.lab.fleet import Fleet
from tests.durability.load import (
    CONFIG,
    STREAM,
    Load,
    LostError,
    Model,
    Stored,
    everything,
    settled,
)
from tests.support.require import require
from tests.support.wait import eventually
from tests.support.wire import Wire

ROUNDS = int(os.environ.get("KVCORE_CLUSTER_KILLS", "5"))
ACKS = 1_000
SERVING_S = 60.0  # a hang guard; how long it takes is printed
CONNECT = '{"verbose":false,"headers":true,"no_responders":true}'
NAMES = ("n1", "n2", "n3")
IMPOSSIBLE = b"NATS/1.0\r\nNats-Expected-Last-Subject-Sequence: 999999999\r\n\r\n"

Hurt = Callable[[Fleet, list[str]], None]


def kill(fleet: Fleet, names: list[str]) -> None:
    """SIGKILL for all of them in one moment."""
    for name in names:
        fleet.named(name).signal(SIGKILL)
    for name in names:
        fleet.crash(name)


def cut_power(fleet: Fleet, names: list[str]) -> None:
    kill(fleet, names)
    for name in names:
        fleet.power_cut(name)


class Rounds:
    """Three servers, the load on them, and what must be there after each round."""

    def __init__(self, fleet: Fleet, engine: str) -> None:
        self.fleet = fleet
        self.model = Model()
        self.random = Random(engine)
        self.load = Load(self.model, self.random)
        self.served_after: list[float] = []
        with self.wire("n1") as wire:
            metadata = {} if engine == "file" else {"kvcore.engine": engine}
            config = {**CONFIG, "num_replicas": 3, "metadata": metadata}
            answer = wire.api(f"STREAM.CREATE.{STREAM}", config)
            assert "error" not in answer, answer

    def wire(self, name: str) -> Wire:
        return Wire(self.fleet.named(name).port, CONNECT)

    def round(self, number: int, hurt: Hurt) -> None:
        """One round: the number of servers that are hurt goes 1, 2, 3, 1, 2, 3, …"""
        names = self.random.sample(NAMES, number % 3 + 1)
        if number % 2 == 0 and self.leader() not in names:
            names[-1] = self.leader()
        began = 0.0

        def now() -> None:
            nonlocal began
            began = time.monotonic()
            hurt(self.fleet, names)

        with self.wire(names[0]) as wire:
            flying = self.load.run(wire, ACKS + self.random.randrange(400), now)
        assert flying > 0, "no writes were in flight"
        down = [name for name in NAMES if self.fleet.named(name).status != "up"]
        for name in down:
            self.fleet.begin_restart(name)
        for name in down:
            self.fleet.wait(lambda name=name: self.fleet.listens(name))
        eventually(lambda: self.is_back(names[0]), SERVING_S, "the bucket takes writes again")
        self.served_after.append(time.monotonic() - began)
        with self.wire(names[0]) as wire:
            self.model.check(settled(wire, self.model, all_expired=True), time.monotonic())
        self.compare()

    def is_back(self, name: str) -> bool:
        """Whether writes are judged again; raises `LostError` if the bucket itself is gone."""
        if (self.info(name).get("error") or {}).get("err_code") == 10059:
            raise LostError("the bucket is gone")
        return self.serves(name)

    def serves(self, name: str) -> bool:
        """Whether a write is judged, through this server: one that can only be refused."""
        try:
            with self.wire(name) as wire:
                wire.send(b"SUB _INBOX.p 1\r\n")
                subject, size = f"$KV.load.probe _INBOX.p {len(IMPOSSIBLE)}", len(IMPOSSIBLE)
                wire.send(f"HPUB {subject} {size}\r\n".encode() + IMPOSSIBLE + b"\r\n")
                frame = wire.frame(1.0)
        except (OSError, AssertionError):
            return False
        return b"10071" in getattr(frame, "payload", b"")

    def info(self, name: str) -> dict:
        try:
            with self.wire(name) as wire:
                return wire.api(f"STREAM.INFO.{STREAM}")
        except (OSError, AssertionError, ValueError):  # ValueError: a status without a body
            return {}

    def leader(self) -> str:
        return eventually(
            lambda: next(
                (
                    found["leader"]
                    for name in NAMES
                    if (found := self.info(name).get("cluster") or {}).get("leader")
                ),
                "",
            ),
            SERVING_S,
            "the bucket has a leader",
        )

    def compare(self) -> None:
        """Each server leads once, and says what it has."""
        found: dict[str, list[Stored]] = {}
        for name in NAMES:
            eventually(lambda name=name: self.leads(name), SERVING_S, f"{name} leads")
            eventually(lambda name=name: self.serves(name), SERVING_S, f"{name} serves")
            with self.wire(name) as wire:
                found[name] = everything(wire)
        assert found["n1"] == found["n2"] == found["n3"]

    def leads(self, name: str) -> bool:
        """Whether a server leads; if not, the one that does is asked to hand over to it."""
        if self.leader() == name:
            return True
        body = json.dumps({"placement": {"preferred": name}}).encode()
        try:
            with self.wire(name) as wire:
                wire.api(f"STREAM.LEADER.STEPDOWN.{STREAM}", body)
        except (OSError, AssertionError, ValueError):
            pass
        return False


def rounds(tmp_path: Path, engine: str, hurt: Hurt, *flags: str, count: int = ROUNDS) -> Rounds:
    """Runs `count` rounds; raises `LostError` when the bucket is wrong."""
    if engine == "rocksdb":
        require("rocksdb")
    fleet = Fleet(3, tmp_path, flags)
    try:
        fleet.start()
        made = Rounds(fleet, engine)
        for number in range(count):
            made.round(number, hurt)
    finally:
        fleet.end()
    return made


@pytest.mark.parametrize("engine", ["file", "rocksdb"])
def test_kills_of_one_two_and_three_lose_no_acked_write(tmp_path: Path, engine: str) -> None:
    made = rounds(tmp_path, engine, kill)
    assert made.model.acked >= ROUNDS * ACKS
    assert made.load.refused > 0, "no compare-and-set was ever refused"
    print("serving again after", [round(each, 2) for each in made.served_after], "s")


@pytest.mark.parametrize("engine", ["file", "rocksdb"])
def test_power_cuts_of_one_two_and_three_lose_no_acked_write(tmp_path: Path, engine: str) -> None:
    made = rounds(tmp_path, engine, cut_power, count=3)
    assert made.model.acked >= 3 * ACKS


def test_with_sync_interval_power_cuts_of_all_three_take_acked_writes(tmp_path: Path) -> None:
    def cut_all(fleet: Fleet, _names: list[str]) -> None:
        cut_power(fleet, list(NAMES))

    with pytest.raises(LostError):
        rounds(tmp_path, "file", cut_all, "--sync", "interval", count=3)
