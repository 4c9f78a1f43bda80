"""Checks of lesson 06: how many copies, a rule for votes, a time-out, and who leads.

06a asks for a count and for three choices, and its evidence is a race of Raft cores with so
many of them silent. 06c runs the learner's range of time-outs in healthy groups and in groups
that lost their leader. 06b and 06d stand in `l06_vote.py` and `l06_leader.py`.

Left out: the price of a copy in bytes and in time; lesson 07 waits for copies.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from kvcore.lab.exercise import exercise
from kvcore.lab.feedback import Verdict, not_yet, passed, shown
from kvcore.lab.lessons.l06_leader import check_06d
from kvcore.lab.lessons.l06_race import Race, elections, quiet
from kvcore.lab.lessons.l06_vote import check_06b
from kvcore.lab.quiz import Question
from kvcore.lab.quiz import judge as judge_answers

__all__ = ["check_06a", "check_06b", "check_06c", "check_06d"]

SIZES = range(1, 8)
_TEMPTING: Mapping[str, Callable[[int], int]] = {
    "M7": lambda n: n // 2,
    "spare": lambda n: n - 1,
    "quorum": lambda n: n // 2 + 1,
    "half": lambda n: (n + 1) // 2,
}
_PATIENCE_MS = 5_000.0
CHOICES = {
    "cache": Question(
        1,
        wrong={2: "fewest", 3: "fewest", 5: "fewest"},
        required="the fewest copies that this bucket needs",
    ),
    "one of four": Question(
        3,
        wrong={1: "M2", 2: "two", 4: "four", 5: "four"},
        required="puts go on whichever server is down, with the fewest copies",
    ),
    "two of five": Question(
        5,
        wrong={1: "M2", 2: "two", 3: "any two", 4: "four"},
        required="puts go on whichever two servers are down, with the fewest copies",
    ),
}


@exercise(
    "06a",
    names=("tolerates", "copies"),
    seeds=2,
    hints=(
        "How many must be left, so that they are more than half of all that have a copy?",
        (
            "Of n copies a majority is n // 2 + 1, the dead counted in n. Whatever is not needed "
            "for it may fail. An even n has one copy more than it needs for that."
        ),
        (
            "tolerates: subtract the majority from n. copies: no failure to survive needs 1; for "
            "f failures find the smallest n with tolerates(n) == f."
        ),
    ),
    wrong={
        "M7": "Half may fail, you say. Then the other half is left: is a half of an even number "
        "more than half of it?",
        "spare": "One survivor of several would have to decide alone. How could it tell dead "
        "servers from servers that it can't hear?",
        "quorum": "That many must live. How many may fail?",
        "half": "Try it for one copy. What is left of it when your number have failed?",
        "M2": "One copy is on one server, and any server may fail. How many copies did the "
        "bucket have that nobody had asked for?",
        "two": "With two copies, a majority is two. Look at the row R2 of the heat map: what "
        "does one failure do to it?",
        "four": "It would do, or would it? Compare it with the odd number below it: which "
        "failures does the extra copy survive?",
        "any two": "Two of three copies may be on the two servers that fail. How many are left, "
        "of how many?",
        "fewest": "Each copy costs a disk and a message for each write. What happens to this "
        "bucket's owner when its values are gone?",
    },
    compare="One subtracts the majority, the other counts failures up while a majority is left. "
    "The choices are the same numbers read backwards: the smallest odd n that survives.",
)
def check_06a(learner: Any, seeds: Iterable[int]) -> Verdict:
    """The count for each size, against cores that were silenced; then the three choices."""
    tolerates, copies = learner
    for seed in seeds:
        given = [tolerates(n) for n in SIZES]
        wanted = [(n - 1) // 2 for n in SIZES]
        for n, got, want in zip(SIZES, given, wanted, strict=True):
            if got != want or isinstance(got, bool):
                key = next((k for k, f in _TEMPTING.items() if given == list(map(f, SIZES))), "")
                failed = got if isinstance(got, int) and 0 <= got <= n else want
                race, said = _with_silent(n, failed, seed)
                return not_yet(
                    f"tolerates({n}) is {shown(got)}; {failed} of {n} silent: {said}",
                    "the most failures after which there is always a leader, for 1 to 7 copies",
                    seed=seed,
                    hint=key,
                    trace=[f"{n} servers, {failed} of them silent:", *race.told[-20:]],
                )
    verdict = judge_answers(copies, CHOICES, "copies", "")
    if not verdict.observed.startswith("3 of 3"):
        return verdict
    return passed("1 to 7 copies, and three choices")


def _with_silent(servers: int, failed: int, seed: int) -> tuple[Race, str]:
    """A race in which so many fall silent, the leader first; and what came of it."""
    race = Race(servers=servers, seed=seed)
    race.begin()
    for name in race.names[:failed]:
        race.silence(name)
    race.run(_PATIENCE_MS, lambda: race.leader != "")
    leader = race.leader
    return race, f"{leader} leads" if leader else f"nobody leads in {_PATIENCE_MS / 1000:g} s"


ELECTIONS_COUNT = 100
SLOW_MS, SPLIT_MOST, QUIET_SECONDS, RAN_OUT_MOST = 3_000, 10, 60, 2
FAR_HEARTBEAT_MS, FAR_DELAY_MS = 200, (5.0, 40.0)
LOSS = 0.05


@exercise(
    "06c",
    names=("time_out",),
    kind="config",
    seeds=3,
    hints=(
        (
            "Three things pull: heartbeats that may be lost, a crowd that must not stand together, "
            "and a user who waits."
        ),
        (
            "The shortest must outlast several heartbeats of 200 ms. The distance to the longest "
            "must be many times what a question and its answer take, 80 ms. The longest is what "
            "users wait."
        ),
        "Take a shortest of six heartbeats, and a longest of twice that.",
    ),
    wrong={
        "none": "All timers ran for the same time, so all stood together, and each voted for "
        "itself. What must differ from server to server?",
        "narrow": "They differ, but by less than a question and its answer take. How far apart "
        "must two servers wake, so that the first is done before the second?",
        "heartbeat": "The leader was well, and its next heartbeat was on its way. In which "
        "unit, and how often, does it send them?",
        "one lost": "One message in twenty is lost here. How many heartbeats in a row may be "
        "lost before your shortest timer runs out?",
        "slow": "Nothing was elected by mistake, and users waited. What is the longest that "
        "your servers keep quiet about a dead leader?",
        "order": "A pair: the shortest, then the longest, in milliseconds.",
    },
    compare="Both outlast at least five heartbeats, and both spread the timers over many round "
    "trips. The first begins fewer rehearsals for nothing; the second lets fewer servers stand "
    "together.",
)
def check_06c(time_out: Any, seeds: Iterable[int]) -> Verdict:
    """Healthy groups for a while, then elections, counted."""
    wanted = "(shortest, longest) in milliseconds, both above 0"
    if not _is_pair(time_out):
        return not_yet(f"time_out is {shown(time_out)}", wanted, hint="order")
    shortest, longest = time_out
    for seed in seeds:
        verdict = _healthy(shortest, longest, seed) or _elected(shortest, longest, seed)
        if verdict is not None:
            return verdict
    return passed(f"{QUIET_SECONDS} s with messages lost, {ELECTIONS_COUNT} elections, each seed")


def _is_pair(given: object) -> bool:
    if not isinstance(given, tuple | list) or len(given) != 2:
        return False
    if not all(isinstance(each, int | float) and not isinstance(each, bool) for each in given):
        return False
    return bool(0 < given[0] <= given[1])


def _healthy(shortest: float, longest: float, seed: int) -> Verdict | None:
    for loss, key in ((0.0, "heartbeat"), (LOSS, "one lost")):
        race = quiet(
            QUIET_SECONDS,
            time_out=(shortest, longest),
            seed=seed,
            loss=loss,
            heartbeat=FAR_HEARTBEAT_MS,
            delay=FAR_DELAY_MS,
        )
        if race.rehearsals > RAN_OUT_MOST:
            lost = f", {loss:.0%} of messages lost".replace("%", " %") if loss else ""
            return not_yet(
                f"no server fails{lost}: {race.rehearsals} timers run out in "
                f"{race.ms / 1000:.1f} s, {max(0, len(race.reigns) - 1)} needless elections",
                f"at most {RAN_OUT_MOST} in {QUIET_SECONDS} s; heartbeats come every "
                f"{FAR_HEARTBEAT_MS} ms",
                seed=seed,
                hint=key,
                trace=race.told[:16],
            )
    return None


def _elected(shortest: float, longest: float, seed: int) -> Verdict | None:
    first = (seed - 1) * ELECTIONS_COUNT + 1
    found = elections(
        ELECTIONS_COUNT,
        first=first,
        time_out=(shortest, longest),
        heartbeat=FAR_HEARTBEAT_MS,
        delay=FAR_DELAY_MS,
    )
    split = [each for each in found if each.terms > 1]
    slow = [each for each in found if each.milliseconds > SLOW_MS]
    if len(split) > SPLIT_MOST:
        return not_yet(
            f"{len(split)} of {len(found)} elections had a split vote and needed another term",
            f"at most {SPLIT_MOST} of {len(found)}",
            seed=seed,
            hint="none" if shortest == longest else "narrow",
            trace=max(split, key=lambda each: each.terms).told[-16:],
        )
    if len(slow) > len(found) // 20:
        return not_yet(
            f"{len(slow)} of {len(found)} elections took more than {SLOW_MS} ms",
            f"at most {len(found) // 20} of {len(found)}",
            seed=seed,
            hint="slow",
            trace=max(slow, key=lambda each: each.milliseconds).told[-16:],
        )
    return None
