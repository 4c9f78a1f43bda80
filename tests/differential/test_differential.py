"""Random scripts through nats-py on kvcore and on nats-server: the same results.

What may differ is in `permissions.py`; what must have been met, in `outcomes.py`. A script
that differs is shrunk and printed. `python -m tests.differential --seed N` runs one again.
"""

import asyncio
import itertools
import os
from dataclasses import dataclass
from functools import cache

import pytest
import uvloop

from tests.differential.expiring import is_expiring
from tests.differential.generator import generate
from tests.differential.outcomes import EXPECTED
from tests.differential.pair import Pair, Ran, servers
from tests.differential.planted import FAULTS
from tests.differential.printer import report
from tests.differential.shrinker import shrink
from tests.support.require import require

OURS = os.environ.get("KVCORE_INTEROP_OURS", "kvcore")
SCRIPTS = 500
SHOWN = 3  # as many differences are shrunk
MOST_UNSTEADY = 5  # scripts that differ once, and then no more
FEW_OPERATIONS = 5


@dataclass
class Everything:
    """All scripts' runs, the reports of those that differ, and what became of each fault."""

    pair: Pair
    runs: list[Ran]
    reports: list[str]
    found: dict[str, Ran]  # by a fault's name; shrunk, unless it takes seconds to show


def showing(pair: Pair, runs: list[Ran], name: str) -> Ran | None:
    """The shortest script that a fault makes differ; one without waiting, if there is one."""
    found = []
    for ran in runs:
        differences = pair.comparer.compare(FAULTS[name](ran.ours), ran.theirs)
        if differences:
            found.append(Ran(ran.script, ran.ours, ran.theirs, differences))
    return min(found, key=lambda ran: (waits(ran), len(ran.script.ops)), default=None)


def waits(ran: Ran) -> bool:
    return is_expiring(ran.script.seed)


async def run_all() -> Everything:
    async with servers(OURS) as pair:
        runs = [ran async for ran in pair.all(generate(seed) for seed in range(SCRIPTS))]
        differ = [ran for ran in runs if ran.differences]
        reports = [report(await shrink(pair, ran)) for ran in differ[:SHOWN]]
        reports += [f"seed {ran.script.seed}" for ran in differ[SHOWN:]]
        fresh = Pair(pair.ours, pair.theirs, count=itertools.count(100_000))

        async def small(name: str) -> tuple[str, Ran | None]:
            ran = showing(pair, runs, name)
            quick = ran is not None and not waits(ran)
            return name, await shrink(fresh, ran, FAULTS[name]) if ran and quick else ran

        found = dict(await asyncio.gather(*(small(name) for name in FAULTS)))
        return Everything(pair, runs, reports, {name: ran for name, ran in found.items() if ran})


@cache
def everything() -> Everything:
    """Run once for all tests here."""
    return uvloop.run(run_all())


def test_random_scripts_get_nats_servers_results_from_ours() -> None:
    require("go")
    reports = everything().reports
    assert len(everything().runs) == SCRIPTS
    assert not reports, f"{len(reports)} scripts differ:\n" + "\n\n".join(reports)


def test_scripts_seldom_differ_by_chance() -> None:
    require("go")
    unsteady = everything().pair.unsteady
    told = [f"seed {ran.script.seed}: {ran.differences[0]}" for ran in unsteady]
    assert len(unsteady) <= MOST_UNSTEADY, "\n".join(told)


def test_every_permission_is_needed() -> None:
    require("go")
    assert not everything().pair.comparer.unused()


def test_every_listed_outcome_was_met() -> None:
    require("go")
    assert not everything().pair.missing(EXPECTED)


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_found_and_shrunk_to_a_few_operations(name: str) -> None:
    require("go")
    small = everything().found.get(name)
    assert small is not None, f"{SCRIPTS} scripts don't show it"
    assert waits(small) or len(small.script.ops) <= FEW_OPERATIONS, report(small)
