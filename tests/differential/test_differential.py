"""Random scripts through nats-py on kvcore and on nats-server: the same results.

What may differ is in `permissions.py`; what must have been met, in `outcomes.py`. A script
that differs is shrunk and printed. `python -m tests.differential --seed N` runs one again.
"""

import asyncio
import os
from functools import cache

import pytest

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


@cache
def everything() -> tuple[Pair, list[Ran], list[str]]:
    """All scripts' runs, and the reports of those that differ."""

    async def run() -> tuple[Pair, list[Ran], list[str]]:
        async with servers(OURS) as pair:
            runs = [ran async for ran in pair.all(generate(seed) for seed in range(SCRIPTS))]
            differ = [ran for ran in runs if ran.differences]
            reports = [report(await shrink(pair, ran)) for ran in differ[:SHOWN]]
            return pair, runs, reports + [f"seed {ran.script.seed}" for ran in differ[SHOWN:]]

    return asyncio.run(run())


def test_random_scripts_get_nats_servers_results_from_ours() -> None:
    require("go")
    _, runs, reports = everything()
    assert len(runs) == SCRIPTS
    assert not reports, f"{len(reports)} scripts differ:\n" + "\n\n".join(reports)


def test_scripts_seldom_differ_by_chance() -> None:
    require("go")
    unsteady = everything()[0].unsteady
    told = [f"seed {ran.script.seed}: {ran.differences[0]}" for ran in unsteady]
    assert len(unsteady) <= MOST_UNSTEADY, "\n".join(told)


def test_every_permission_is_needed() -> None:
    require("go")
    assert not everything()[0].comparer.unused()


def test_every_listed_outcome_was_met() -> None:
    require("go")
    assert not everything()[0].missing(EXPECTED)


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_found_and_shrunk_to_a_few_operations(name: str) -> None:
    require("go")
    pair, runs, _ = everything()
    alter = FAULTS[name]
    found = []
    for ran in runs:
        differences = pair.comparer.compare(alter(ran.ours), ran.theirs)
        if differences:
            found.append(Ran(ran.script, ran.ours, ran.theirs, differences))
    assert found, f"{SCRIPTS} scripts don't show it"
    found.sort(key=lambda ran: len(ran.script.ops))

    async def smallest() -> Ran:
        async with servers(OURS) as fresh:
            small = [await shrink(fresh, ran, alter) for ran in found[:1]]
        return min(small, key=lambda ran: len(ran.script.ops))

    small = asyncio.run(smallest())
    assert len(small.script.ops) <= FEW_OPERATIONS, report(small)
