"""The check of 06b: a learner's rule for votes, in cores, in an explorer, in a running server.

A rule for votes can be wrong in two ways. It may allow two leaders in a term, or a leader that
lacks what was committed: `kvcore.check.explore` visits thousands of states of three servers
that all obey the rule, and tells the shortest way to one that is wrong. Or it may refuse what
it must grant, so that nobody is ever elected: a table of small logs asks for that.

A rule is asked by plain values, and must not keep its own books: memory is lost in a crash.
So each server gets a copy of the function with a copy of all that it can remember, and a
restart gets a new one (`fresh`).

Left out: the disk. In lesson 10 the vote itself is lost.
"""

import asyncio
from collections.abc import Callable, Iterable
from copy import deepcopy
from dataclasses import replace
from inspect import iscoroutinefunction
from types import CellType, FunctionType
from typing import Any, TypeAlias

from nats.errors import Error as NatsError

from kvcore.check.explore import FIGURE_8, Bounds, Finding, explore
from kvcore.check.invariants import ELECTION_SAFETY
from kvcore.lab.cluster import Cluster
from kvcore.lab.exercise import exercise
from kvcore.lab.feedback import Verdict, not_yet, passed
from kvcore.lab.lessons.l06_race import Race
from kvcore.lab.simulated import SimulatedCluster
from kvcore.lab.trial import in_world
from kvcore.raft.messages import RequestVote
from kvcore.raft.rules import PAPER, Rules, Voter

Rule: TypeAlias = Callable[[Voter, RequestVote], bool]

SEARCHES: tuple[tuple[Bounds, tuple[str, ...]], ...] = (
    (Bounds(states=7_000), ()),
    (Bounds(states=4_000, restarts=0), FIGURE_8),
)
LOGS = tuple((index, term) for index in range(1, 5) for term in range(1, index + 1))
_ELECTION_SECONDS = 3.0
_SAFE = "at most one leader in a term, and each has all that was committed"


@exercise(
    "06b",
    names=("can_grant_vote",),
    seeds=2,
    hints=(
        (
            "Two questions: have I given this term's vote away, and would this leader know all "
            "that I know?"
        ),
        (
            "me.voted_for belongs to me.term: in a later term it binds nobody, and the same "
            "candidate may ask again. Of two logs the one with the later last term is newer, "
            "whatever the lengths; the length decides between equal terms."
        ),
        (
            "If request.term == me.term and me.voted_for is neither '' nor request.sender: False. "
            "Else compare the pairs (last_term, last_index): the request's must be at least mine."
        ),
    ),
    wrong={
        "double": "It said yes to two candidates in one term. Which field of `me` knows about "
        "the first yes?",
        "memory": "Your function kept its own notes, and the crash took them. What in `me` is "
        "on the disk?",
        "M10": "A log may be long because its server led alone and reached nobody. Which of the "
        "two numbers tells whose entries are newer?",
        "log": "The new leader lacks an entry that a majority had. What does the voter know of "
        "its own log, and what of the candidate's?",
        "short": "Both logs end in the same term, and one is shorter. What happens to the "
        "entries that it lacks, once it leads?",
        "stuck": "Safe, and useless: with these two servers left nobody is ever elected. Which "
        "of the two has to say yes?",
        "again": "The answer was lost, so the candidate asks again. It is the same candidate: "
        "does a second yes to it make a second leader?",
        "promise": "An async function answers with a coroutine, and any object counts as yes. Raft "
        "decides on what it holds already: what would you wait for?",
        "old vote": "The vote in `me.voted_for` was given in `me.term`. Does it bind you in a "
        "later one?",
    },
    compare="Tuples compare as the rule does: term first, then index. The long form asks one "
    "question after the other. Neither remembers anything: all it needs is in `me`.",
)
def check_06b(learner: Any, seeds: Iterable[int]) -> Verdict:
    """A restart, two searches, a table, and an election with the rule in one server."""
    if iscoroutinefunction(learner):
        seen = "can_grant_vote gave a coroutine, which nobody awaits"
        return not_yet(seen, "True or False; the function is called, not awaited", hint="promise")
    states = 0
    for seed in seeds:
        if not states:
            rule = _bare(fresh(learner))
            verdict = _restarted(learner, seed) if not _is_forgetful(rule) else None
            if verdict is not None:
                return verdict
            found = _searched(rule, seed)
            if isinstance(found, Verdict):
                return found
            states = found
            verdict = _refused(_bare(fresh(learner)), seed)
            if verdict is not None:
                return verdict
        verdict = in_world(_in_a_running_server, fresh(learner), seed=seed, servers=3)
        if verdict is not None:
            return verdict
    return passed(
        f"{states:,} states of three servers, a restart, {len(LOGS) ** 2} pairs of logs, and "
        "elections with your rule in one running server"
    )


def _bare(function: Any) -> Rule:
    """A plain yes or no, whatever the learner's function returns."""
    return lambda me, request: bool(function(me, request))


def fresh(function: Any) -> Any:
    """The function as it is after a restart: with its own copy of all that it can change."""
    if not isinstance(function, FunctionType):
        return deepcopy(function)
    space = dict(function.__globals__)
    for name in function.__code__.co_names:
        value = space.get(name)
        if isinstance(value, list | dict | set):
            space[name] = deepcopy(value)
        elif isinstance(value, FunctionType) and value.__globals__ is function.__globals__:
            space[name] = _copied(value, space)
    again = _copied(function, space)
    space[function.__name__] = again
    return again


def _copied(function: FunctionType, space: dict[str, Any]) -> FunctionType:
    cells = tuple(_cell(each) for each in function.__closure__ or ())
    copied = FunctionType(
        function.__code__, space, function.__name__, deepcopy(function.__defaults__), cells
    )
    copied.__kwdefaults__ = deepcopy(function.__kwdefaults__)
    copied.__dict__.update(deepcopy(function.__dict__))
    return copied


def _cell(cell: CellType) -> CellType:
    value = cell.cell_contents
    return CellType(deepcopy(value) if isinstance(value, list | dict | set) else value)


def _is_forgetful(rule: Rule) -> bool:
    """Whether it votes twice without any crash: then that is what is told."""
    me = Voter(2, "", 1, 1)
    asked = [RequestVote(name, 2, 1, 1) for name in ("n2", "n3")]
    return rule(me, asked[0]) and rule(replace(me, voted_for="n2"), asked[1])


def _restarted(learner: Any, seed: int) -> Verdict | None:
    """n1 votes for n2, restarts, and is asked by n3 in the same term."""
    race = Race(
        servers=3,
        seed=seed,
        rules=lambda: replace(PAPER, can_grant_vote=_bare(fresh(learner))),
    )
    race.silence("n3")
    race.stand("n2")
    race.run(40, lambda: race.leader == "n2")
    race.silence("n2")
    race.speak("n3")
    race.restart("n1")
    race.stand("n3")
    race.run(40)
    leaders = [name for _, name, term in race.reigns if term == race.reigns[0][2]]
    if len(leaders) < 2:
        return None
    return not_yet(
        f"{leaders[0]} and {leaders[1]} both lead term {race.reigns[0][2]}: n1 voted, restarted, "
        "and voted again",
        "one vote in a term, also after a restart",
        seed=seed,
        hint="memory",
        trace=race.told,
    )


def _searched(rule: Rule, seed: int) -> Verdict | int:
    """How many states were visited, or the shortest way to a wrong one."""
    states = 0
    for bounds, start in SEARCHES:
        rules = Rules(can_grant_vote=rule)
        found = explore(rules=rules, bounds=bounds, start=start)
        states += found.states
        if found.finding is not None:
            return _told(found.finding, rule, seed)
    return states


def _told(finding: Finding, rule: Rule, seed: int) -> Verdict:
    return not_yet(
        f"after {len(finding.events)} events: {finding.evidence}",
        _SAFE,
        seed=seed,
        hint="double" if finding.name == ELECTION_SAFETY else _why(rule),
        trace=str(finding).splitlines(),
    )


def _why(rule: Rule) -> str:
    """Which comparison of logs is wrong, by what the rule says to three of them."""
    me = Voter(5, "", 3, 3)
    older_and_longer = rule(me, RequestVote("n2", 5, 4, 2))
    older_and_shorter = rule(me, RequestVote("n2", 5, 2, 2))
    if older_and_longer and not older_and_shorter:
        return "M10"
    return "log" if older_and_shorter else "short"


def _refused(rule: Rule, seed: int) -> Verdict | None:
    """What must be granted, or a group stands still."""
    me, asks = Voter(5, "n2", 3, 3), RequestVote("n2", 5, 3, 3)
    for is_pre in (False, True):
        later = RequestVote("n3", 6, 3, 3, is_pre=is_pre)
        if not rule(me, later) and rule(replace(me, voted_for=""), later):
            seen = f"no to a candidate of term 6, for I voted in term 5: {_line(me, later)}"
            return _no(seen, "yes: each term has a vote of its own", "old vote", seed)
    if not rule(me, asks) and rule(replace(me, voted_for=""), asks):
        seen = f"no to the same candidate when it asks again: {_line(me, asks)}"
        return _no(seen, "yes: the first answer may be lost", "again", seed)
    for one in LOGS:
        for other in LOGS:
            for is_pre in (False, True):
                asked = RequestVote("n2", 6, *other, is_pre=is_pre)
                answers = (
                    rule(Voter(5 + (not is_pre), "", *one), asked),
                    rule(Voter(5 + (not is_pre), "", *other), replace(asked, **_log(one))),
                )
                if not any(answers):
                    return _no(
                        f"two servers are left, their logs end at {_end(one)} and {_end(other)}, "
                        "and neither votes for the other",
                        "of any two logs at least one is good enough for the other's server",
                        "stuck",
                        seed,
                    )
    return None


def _log(log: tuple[int, int]) -> dict[str, Any]:
    return {"last_index": log[0], "last_term": log[1]}


def _end(log: tuple[int, int]) -> str:
    return f"entry {log[0]} of term {log[1]}"


def _line(me: Voter, request: RequestVote) -> str:
    return f"{me} and {request}"


def _no(seen: str, wanted: str, hint: str, seed: int) -> Verdict:
    return not_yet(seen.partition(": Voter")[0], wanted, seed=seed, hint=hint, trace=[seen])


async def _in_a_running_server(cluster: Cluster, rule: Any, seed: int) -> Verdict | None:
    """The rule decides in one follower; the leader goes; its vote is needed for the next."""
    assert isinstance(cluster, SimulatedCluster)
    client = await cluster.connect(reconnect_time_wait=0.05, max_reconnect_attempts=-1)
    kv = await client.jetstream().create_key_value(bucket="flags", replicas=3)
    await kv.put("dark", b"on")
    world = cluster.simulation
    leader = world.leader("KV_flags")
    name = next(each for each in world.hosts if each != leader)
    world.swap(name, can_grant_vote=_bare(rule))
    await cluster.crash(leader)
    await asyncio.sleep(_ELECTION_SECONDS)
    try:
        await kv.put("dark", b"off")
    except (NatsError, TimeoutError) as error:
        views = [str(each) for each in world.views("KV_flags")]
        return not_yet(
            f"your rule ran in {name}; after {leader} had crashed a put ended in "
            f"{type(error).__name__}",
            f"a new leader within {_ELECTION_SECONDS:g} s: the vote of {name} is needed",
            seed=seed,
            hint="stuck",
            trace=views,
        )
    return None
