"""A power cut between any effect and its `Synced` loses nothing that was acknowledged."""

import pytest

from kvcore.storage.base import StorageError
from tests.support.groups import Server
from tests.support.stores import (
    RenamesWithoutDirectorySync,
    SyncsBeforeWriting,
    simulated,
)

SEEDS = 200


class Life:
    """A server whose turns and syncs interleave at random until the power goes."""

    def __init__(self, disk, rng, early_acks, plant=lambda fs: fs):
        self.server = Server(plant(disk))
        self._rng = rng
        self._early_acks = early_acks
        self._tickets = []  # the mark of each batch that waits for a sync
        self.acked = []

    def turn(self, commands):
        group = self.server.group
        for command in commands:
            group.propose(command)
        if mark := group.flush():
            self._tickets.append(mark)
        if self._early_acks:
            self.acked += commands
        self.server.write()
        if self._rng.random() < 0.4:
            self.sync()

    def sync(self):
        self.server.file.sync()
        covered = self._tickets[: self._rng.randint(0, len(self._tickets))]
        del self._tickets[: len(covered)]
        for mark in covered:  # the others' reports are still on their way
            outcomes = self.server.persisted(mark)
            if not self._early_acks:
                self.acked += [command for _, command in outcomes]


def story(seed, early_acks=False, plant=lambda fs: fs):
    """Several lives; AssertionError if an acknowledged command is lost, doubled or moved."""
    disk, rng = simulated(seed)
    proposed, number, reapplied = [], 0, 0
    for _ in range(4):
        life = Life(disk, rng, early_acks, plant)
        commands = life.server.machine.commands
        assert commands == proposed[: len(commands)], "what was found is not what was proposed"
        del proposed[len(commands) :]
        for _ in range(rng.randrange(40)):
            turn = [b"%d" % (number + place) for place in range(rng.randint(1, 5))]
            number += len(turn)
            proposed += turn
            life.turn(turn)
        disk.power_cut()
        again = Server(plant(disk), lead=rng.random() < 0.5)  # or dies before its first sync
        reapplied += len(again.machine.applied_here)
        found = again.machine.commands
        assert found == proposed[: len(found)], "order or content changed"
        lost = [command for command in life.acked if command not in found]
        assert not lost, f"{len(lost)} acknowledged commands are gone"
        disk.power_cut()
    return reapplied


def test_200_seeds_of_power_cuts_lose_no_acknowledged_command():
    assert sum(story(seed) for seed in range(SEEDS)) > SEEDS  # tails were re-applied


def test_acknowledging_before_the_sync_loses_commands_in_the_same_test():
    caught = 0
    for seed in range(SEEDS):
        try:
            story(seed, early_acks=True)
        except AssertionError:
            caught += 1
    assert caught > SEEDS // 2


@pytest.mark.parametrize("plant", [SyncsBeforeWriting, RenamesWithoutDirectorySync])
def test_a_store_with_a_planted_bug_loses_commands_in_the_same_test(plant):
    caught = 0
    for seed in range(SEEDS):
        try:
            story(seed, plant=plant)
        except (AssertionError, StorageError):
            caught += 1
    assert caught > 0
