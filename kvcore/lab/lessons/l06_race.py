"""Elections of pure Raft cores, hundreds in a second: who leads next, and how long it takes.

An election is a race of timers, and a race says little when it is run once. A `Race` is a
group of servers that are nothing but Raft (`kvcore.raft.core`), with links that delay each
message by a few milliseconds and lose some, and disks that are done at once. It has no sockets
and no storage, so that two hundred elections cost a second.

    race = Race(servers=5, time_out=(300, 600), seed=1)
    race.begin()                 # n1 leads
    race.silence("n1")           # its machine says nothing more
    race.until_led()             # milliseconds until somebody else leads

Left out: what clients see. A simulated cluster shows that.
"""

import heapq
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from kvcore.limits import MILLISECOND_NS, Nanos
from kvcore.raft.core import Raft
from kvcore.raft.entry import Members
from kvcore.raft.messages import Message, RequestVote
from kvcore.raft.rules import PAPER, Rules
from kvcore.raft.state import Role, State, founded, recovered

HEARTBEAT_MS = 50
DELAY_MS = (0.5, 5.0)  # one way
WAIT_MS = 20_000.0  # a race that nobody has won by then is given up
_WARM_MS = 400.0


@dataclass(frozen=True, slots=True)
class Won:
    """How a race ended: who leads, after how long, and how many terms it took."""

    leader: str  # "" if nobody won in `WAIT_MS`
    milliseconds: float
    terms: int
    told: tuple[str, ...]


class Race:
    """See the module's text. Times are in milliseconds; `loss` is the share of messages lost."""

    def __init__(
        self,
        *,
        servers: int = 5,
        time_out: tuple[float, float] = (300, 600),
        seed: int = 1,
        loss: float = 0.0,
        heartbeat: float = HEARTBEAT_MS,
        delay: tuple[float, float] = DELAY_MS,
        rules: Callable[[], Rules] = lambda: PAPER,
    ) -> None:
        self.names = tuple(f"n{number + 1}" for number in range(servers))
        self._make_rules = rules
        self._heartbeat, self._delay = heartbeat, delay
        times = [round(each * MILLISECOND_NS) for each in (heartbeat, *time_out)]
        self._timers = (times[0], times[1], times[2])
        self._seed, self._loss = seed, loss
        self._links = Random(f"{seed}/links")
        self._now: Nanos = 0
        self._count = 0
        self._flying: list[tuple[Nanos, int, str, Message]] = []
        self._silent: dict[str, None] = {}
        self.told: list[str] = []
        self.reigns: list[tuple[float, str, int]] = []  # when, who, term
        self.rehearsals = 0  # how often a follower's timer ran out
        self._members = Members(self.names)
        self.cores = {name: self._core(founded(name, self._members)) for name in self.names}
        for name in self.names:
            self._settle(name)

    def _core(self, state: State) -> Raft:
        chance = Random(f"{self._seed}/{state.server}/{self._now}")
        return Raft(state, self._make_rules(), self._timers, chance, self._now)

    @property
    def ms(self) -> float:
        """The time since the race was made."""
        return self._now / MILLISECOND_NS

    @property
    def leader(self) -> str:
        """Who leads in the latest term, of those that are heard."""
        leading = [
            (raft.term, name)
            for name, raft in self.cores.items()
            if raft.role is Role.LEADER and name not in self._silent
        ]
        return max(leading)[1] if leading else ""

    # What is done to it.

    def begin(self, leader: str = "n1") -> None:
        """Has one elected, and lets it lead for a while that the seed draws."""
        self.stand(leader)
        self.run(_WARM_MS + self._links.uniform(0, self._heartbeat))

    def stand(self, name: str) -> None:
        """Makes a server stand for election now, without a rehearsal."""
        self.cores[name].stand(self._now, is_rehearsed=True)
        self._settle(name)

    def silence(self, name: str) -> None:
        """Nothing goes out of a server, and nothing comes in, from now on."""
        self._silent[name] = None
        self._tell(f"{name} falls silent")

    def speak(self, name: str) -> None:
        """A silent server is heard again."""
        del self._silent[name]
        self._tell(f"{name} is heard again")

    def restart(self, name: str) -> None:
        """The server forgets all but its disk, and takes its rules anew."""
        state = self.cores[name].state
        self._tell(f"{name} crashes and restarts")
        again = recovered(name, state.hard, state.log.entries, 0)
        self.cores[name] = self._core(again)
        self._settle(name)

    def run(self, milliseconds: float, until: Callable[[], bool] = lambda: False) -> None:
        """Lets time pass; `until` ends it early."""
        end = self._now + round(milliseconds * MILLISECOND_NS)
        while not until():
            name, at = self._next_timer()
            if self._flying and self._flying[0][0] <= at:
                at = self._flying[0][0]
                name = ""
            if at > end:
                self._now = end
                return
            self._now = max(self._now, at)
            if name:
                self._time_is_up(name)
            else:
                self._deliver()

    def until_led(self) -> Won:
        """Runs until a server that is heard leads."""
        begun = self.ms
        before = max(raft.term for raft in self.cores.values())
        self.run(WAIT_MS, lambda: self.leader != "")
        terms = max(raft.term for raft in self.cores.values()) - before
        return Won(self.leader, self.ms - begun, terms, tuple(self.told))

    # How it works.

    def _next_timer(self) -> tuple[str, Nanos]:
        soonest, who = 1 << 62, ""
        for name, raft in self.cores.items():
            at = None if name in self._silent else raft.deadline()
            if at is not None and at < soonest:
                soonest, who = at, name
        return who, soonest

    def _time_is_up(self, name: str) -> None:
        raft = self.cores[name]
        was_follower = raft.role is Role.FOLLOWER
        raft.on_timer(self._now)
        if was_follower and raft.role is not Role.FOLLOWER:
            self.rehearsals += 1
            self._tell(f"{name}'s timer runs out")
        self._settle(name)

    def _deliver(self) -> None:
        _, _, to, message = heapq.heappop(self._flying)
        if to in self._silent or message.sender in self._silent:
            return
        self.cores[to].step(message, self._now)
        self._settle(to)

    def _settle(self, name: str) -> None:
        raft = self.cores[name]
        is_known = any(reign[1:] == (name, raft.term) for reign in self.reigns[-8:])
        if raft.role is Role.LEADER and not is_known:
            self.reigns.append((self.ms, name, raft.term))
            self._tell(f"{name} leads term {raft.term}")
        while (ready := raft.ready()) is not None:
            raft.on_persisted(ready.number)
            for to, message in (*ready.send_now, *ready.send_after_persist):
                self._post(name, to, message)

    def _post(self, sender: str, to: str, message: Message) -> None:
        if isinstance(message, RequestVote) and not message.is_pre and to != sender:
            line = f"{sender} stands for election in term {message.term}"
            if not any(line in each for each in self.told[-8:]):
                self._tell(line)
        delay, is_lost = self._links.uniform(*self._delay), self._links.random() < self._loss
        if is_lost or sender in self._silent:
            return
        self._count += 1
        arrives = self._now + round(delay * MILLISECOND_NS)
        heapq.heappush(self._flying, (arrives, self._count, to, message))

    def _tell(self, line: str) -> None:
        self.told.append(f"{self.ms:9.1f} ms  {line}")


def elections(count: int = 200, *, first: int = 1, **settings: Any) -> list[Won]:
    """So many elections after the loss of a leader, each of a group and a seed of its own."""
    found = []
    for seed in range(first, first + count):
        race = Race(seed=seed, **settings)
        race.begin()
        race.silence(race.leader or "n1")
        found.append(race.until_led())
    return found


def quiet(seconds: float = 20, most: int = 20, **settings: Any) -> Race:
    """A group in which no server breaks, for so long: no timer need run out.

    It ends early when more than `most` have.
    """
    race = Race(**settings)
    race.begin()
    race.run(seconds * 1000, lambda: race.rehearsals > most)
    return race
