"""What lesson 10 calls right is what happens: in its worlds, and on nats-server where it is."""

import asyncio
import json
import subprocess
from random import Random

import nats
import pytest

from kvcore.check.explore import Bounds
from kvcore.lab import solutions
from kvcore.lab.lessons import l10, l10_persist, l10_torn, l10_worlds
from kvcore.sim.disk import SimulatedDisk
from tests.support.require import require
from tests.support.servers import command, running

SEEDS = range(1, 7)


@pytest.mark.parametrize("case", l10_worlds.CASES)
def test_each_case_of_10a_loses_what_the_lesson_says(case):
    losses = [l10_worlds.play(case, seed).lost for seed in SEEDS]
    assert ("some" if any(losses) else "none") == l10.LOSSES[case].right, losses


def test_the_form_of_10a_asks_for_each_world_that_there_is():
    assert list(l10.LOSSES) == list(l10_worlds.CASES)


def test_a_wrong_line_of_10a_is_answered_with_what_its_world_came_to():
    right = dict(solutions.references("10a")[0].ordered(("lost",))[0])
    verdict = l10.check_10a(right | {"R3, interval, power cut of all": "none"}, (1,))
    assert "of 20 acked writes are gone" in verdict.observed


def test_references_of_10b_are_explored_in_more_than_ten_thousand_states():
    for reference in solutions.references("10b"):
        verdict = l10_persist.check_10b(reference.ordered(("persist",))[0], (1,))
        states = int(verdict.observed.split()[0].replace(",", ""))
        assert states >= 10_000


def test_elections_within_smaller_bounds_are_explored_to_the_end():
    persist = solutions.references("10b")[0].ordered(("persist",))[0]
    bounds = Bounds(terms=2, proposals=0, restarts=1, in_flight=3, states=100_000)
    found = l10_persist.PowerCuts(persist, bounds).search()
    assert found.finding is None
    assert found.is_complete


def test_what_10c_calls_a_record_is_cut_and_filled_as_a_simulated_disk_does_it():
    """Whatever is left of a log of such records after a power cut, the references recover it."""
    recovers = [each.ordered(("recover",))[0] for each in solutions.references("10c")]
    torn = 0
    for seed in range(200):
        disk = SimulatedDisk(Random(seed))
        file = disk.create("log")
        disk.sync_directory()
        bodies = [b"body %d" % number for number in range(12)]
        for number, body in enumerate(bodies):
            file.write(l10_torn.record(body))
            if number == 5:
                file.sync()
        disk.power_cut()
        for recover in recovers:
            found = recover(disk.read("log"))
            assert found == bodies[: len(found)]
            assert len(found) >= 6
        torn += sum(8 + len(body) for body in found) < len(disk.read("log"))
    assert torn > 20


def accepted(kind, line, tmp_path):
    """Whether a server of this kind takes a line of 10d."""
    if line.startswith("jetstream"):
        file = tmp_path / "server.conf"
        file.write_text(f"port: -1\n{line}\n")
        done = subprocess.run(
            [*command(kind), "-t", "-c", str(file)], check=False, capture_output=True
        )
        return done.returncode == 0
    if line.startswith("serve"):
        flags = [*line.split()[1:], "-t"]
        done = subprocess.run([*command(kind), *flags], check=False, capture_output=True)
        return b"not defined" not in done.stderr + done.stdout
    storage = line.split()[-1]
    with running(kind) as server:
        return asyncio.run(creates(server.url, storage))


async def creates(url, storage):
    client = await nats.connect(url)
    try:
        wish = {"name": "KV_b", "subjects": ["$KV.b.>"], "storage": storage}
        told = await client.request("$JS.API.STREAM.CREATE.KV_b", json.dumps(wish).encode())
        return "error" not in json.loads(told.data)
    finally:
        await client.close()


@pytest.mark.parametrize("line", l10.LINES)
def test_servers_take_and_refuse_the_lines_of_10d_as_the_lesson_says(line, tmp_path):
    require("go")
    taken = [accepted(kind, line, tmp_path) for kind in ("nats-server", "kvcore")]
    right = {"nats-server": [True, True], "kvcore only": [False, True], "neither": [False, False]}
    assert taken == right[l10.LINES[line].right]
