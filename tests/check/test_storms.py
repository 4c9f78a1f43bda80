"""Two hundred storms, and two hundred each of power cuts and of crashes on memory: nothing acked
is lost, nothing appears that nobody wrote, and the cluster comes back by itself.

Each seed is a cluster of three, clients at work, faults on a schedule, and the judges. Run with
`-s` to see what each seed was made of.
"""

from dataclasses import replace

import pytest

from kvcore.check.storm import Weather, storm
from kvcore.sim.workload import Settings

WORK = Settings(clients=5, watchers=0, pause=0.1)
WEATHER = Weather(work=WORK, count=3, lasting=(0.3, 0.9), between=(0.2, 0.6))
WATCHED = replace(WEATHER, count=4, work=replace(WORK, watchers=1))  # half of the seeds
CHUNKS = 10
SEEDS = 20  # in each chunk

POWER = {"power": 1, "outage": 1}
CUTS = Weather(
    work=WORK,
    faults=POWER,
    count=3,
    operations=0,
    lasting=(0.05, 0.4),
    between=(0.05, 0.3),
    calm=0.05,
)
CRASHES = Weather(
    work=replace(WORK, pause=0.25),
    storage="memory",
    faults={"crash": 1},
    count=2,
    operations=0,
    lasting=(0.2, 0.3),
    between=(0.6, 0.7),  # one at a time: the one before has caught up again
    calm=0.1,
)


def seeds(chunk):
    return range(chunk * SEEDS, (chunk + 1) * SEEDS)


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_what_clients_are_told_is_true_through_any_storm(chunk):
    for seed in seeds(chunk):
        outcome = storm(seed, WATCHED if chunk % 2 else WEATHER)
        print(outcome)
        assert outcome.violations == [], str(outcome)
        assert len(outcome.struck) >= 3, str(outcome)
        assert len(outcome.history.operations) >= 200, str(outcome)
        assert outcome.leaders >= 2, str(outcome)


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_power_cuts_of_one_two_and_all_servers_lose_nothing_that_was_acked(chunk):
    for seed in seeds(chunk):
        outcome = storm(seed, CUTS)
        print(outcome)
        assert outcome.violations == [], str(outcome)


def test_with_a_sync_now_and_then_power_cuts_of_all_servers_lose_what_was_acked():
    outage = replace(CUTS, sync="interval", faults={"outage": 1}, count=1, is_watched=False)
    lost = []
    for seed in range(10):
        outcome = storm(seed, outage)
        lost.append(outcome.lost)
        kinds = [each.kind for each in outcome.violations]
        assert "liveness" not in kinds, str(outcome)
        assert "assertion" not in kinds, str(outcome)
    print("lost in each seed:", lost)
    assert sum(lost) > 0


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_memory_buckets_lose_nothing_that_was_acked_when_one_server_crashes_at_a_time(chunk):
    for seed in seeds(chunk):
        outcome = storm(seed, CRASHES)
        print(outcome)
        assert outcome.violations == [], str(outcome)
