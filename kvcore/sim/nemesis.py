"""Faults on a schedule that a seed draws: what else may go wrong while clients are at work.

A schedule is a list of faults, each with the moment at which it strikes and the time after
which it is undone. It is drawn before anything happens, so it can be read, kept, shortened
and run again. Who is struck is settled when it strikes: more often than not the group's
leader, for that is where it hurts.

    crash      the process is killed, and started again later
    power      the machine loses its power, and what its disk had not synced
    outage     two machines lose it at once, or all
    pause      the process stands still, and goes on later with all that has come
    isolate    one server is cut off from the others
    divide     the servers fall into two groups by chance
    deaf       what one server sends to another is lost; the way back is open
    disk       the next write or sync fails; the server must stop, and is started again
    step-down  the leader hands over

Faults may overlap. `run` returns when each has struck and is undone, and the network is whole.

Left out: what clients do meanwhile (`workload.py`), and whether all was well (`kvcore.check`).
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from random import Random
from typing import Literal, TypeAlias

from kvcore.sim.host import State
from kvcore.sim.world import World

Name: TypeAlias = Literal[
    "crash", "power", "outage", "pause", "isolate", "divide", "deaf", "disk", "step-down"
]
ALL: Mapping[Name, int] = {
    "crash": 4,
    "power": 3,
    "outage": 1,
    "pause": 2,
    "isolate": 4,
    "divide": 2,
    "deaf": 2,
    "disk": 2,
    "step-down": 2,
}
_DEPOSING: tuple[Name, ...] = ("crash", "power", "isolate", "step-down")
_LEADER_SHARE = 0.6
_AGAIN_SECONDS = 0.1
_ELECTION_SECONDS = 0.7
_DOWN = (State.CRASHED, State.DARK)


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: when it strikes and for how long, in seconds. `chance` settles the rest."""

    at: float
    name: Name
    lasts: float
    is_at_leader: bool
    chance: int

    def __str__(self) -> str:
        return f"{self.at:6.3f} s  {self.name} for {self.lasts:.3f} s"


def schedule(
    rng: Random,
    count: int,
    *,
    faults: Mapping[Name, int] = ALL,
    lasting: tuple[float, float] = (0.3, 1.5),
    between: tuple[float, float] = (0.2, 1.2),
) -> list[Fault]:
    """So many faults, weighted as given, with seconds between one's begin and the next's."""
    names, weights = list(faults), list(faults.values())
    deposing = [name for name in names if name in _DEPOSING]
    drawn, at = [], 0.0
    for number in range(count):
        at += rng.uniform(*between)
        name = rng.choices(names, weights)[0]
        lasts, is_at_leader = rng.uniform(*lasting), rng.random() < _LEADER_SHARE
        if number == 0 and deposing:
            name, lasts, is_at_leader = rng.choice(deposing), lasting[1], True
        drawn.append(Fault(at, name, lasts, is_at_leader, rng.getrandbits(32)))
        at += _ELECTION_SECONDS if number == 0 else 0  # nobody undoes the first too early
    return drawn


class Nemesis:
    """Strikes one world; `group` is whose leader it looks for."""

    def __init__(self, world: World, group: str, faults: Sequence[Fault]) -> None:
        self.world = world
        self.group = group
        self.faults = faults
        self.struck: list[str] = []  # what was done to whom

    async def run(self) -> None:
        """All faults, each undone; the network is whole and every server runs at the end."""
        await asyncio.gather(*(self._one(fault) for fault in self.faults))
        self.world.heal()
        for name, host in self.world.hosts.items():
            if host.state is State.PAUSED:
                self.world.resume(name)
            self._restart(name)

    async def _one(self, fault: Fault) -> None:
        await asyncio.sleep(fault.at)
        rng = Random(fault.chance)
        while not (target := self._target(fault, rng)):  # noqa: ASYNC110 - virtual time
            await asyncio.sleep(_AGAIN_SECONDS)  # until someone is up again
        self.struck.append(f"{fault.name} {target}")
        self._strike(fault.name, target, rng)
        await asyncio.sleep(fault.lasts)
        self._undo(fault.name, target)

    def _target(self, fault: Fault, rng: Random) -> str:
        up = [name for name, host in self.world.hosts.items() if host.state is State.UP]
        leader = self.world.leader(self.group)
        if leader in up and fault.is_at_leader:
            return leader
        return rng.choice(up) if up else ""

    def _strike(self, name: Name, target: str, rng: Random) -> None:
        world = self.world
        others = [each for each in world.hosts if each != target]
        if name == "crash":
            world.crash(target)
        elif name == "power":
            world.power_cut(target)
        elif name == "outage":
            spared = others if rng.random() < 0.5 else []
            for each, host in world.hosts.items():
                if host.state not in _DOWN and each not in spared[1:]:
                    world.power_cut(each)
        elif name == "pause":
            world.pause(target)
        elif name == "isolate":
            world.partition([target])
        elif name == "divide":
            world.partition([target, *rng.sample(others, rng.randrange(len(others) + 1))])
        elif name == "deaf":
            pair = (target, rng.choice(others))
            world.cut(*(pair if rng.random() < 0.5 else pair[::-1]))
        elif name == "disk":
            call: Literal["write", "sync"] = "write" if rng.random() < 0.5 else "sync"
            world.disk_fault(target, call, "EIO" if rng.random() < 0.5 else "ENOSPC")
        elif name == "step-down":
            with suppress(ValueError):  # nobody leads, so nobody has to step down
                world.step_down(self.group)

    def _undo(self, name: Name, target: str) -> None:
        if name in ("isolate", "divide", "deaf"):
            self.world.heal()
        elif name == "pause":
            if self.world.host(target).state is State.PAUSED:
                self.world.resume(target)
        elif name == "outage":
            for each in self.world.hosts:
                self._restart(each)
        else:
            if name == "disk":
                self.world.mend_disk(target)
            self._restart(target)

    def _restart(self, name: str) -> None:
        if self.world.host(name).state in _DOWN:
            self.world.restart(name)
