"""After a crash the surviving state is a prefix of the batches, and at least the synced ones."""

from random import Random

import pytest

from kvcore.storage.appendfile import AppendFile
from kvcore.storage.base import StorageError
from tests.support.stores import (
    TINY_FLOOR_BYTES,
    PowerCutDirectory,
    RenamesWithoutDirectorySync,
    SyncsBeforeWriting,
    contents,
    power_cut_story,
    random_batch,
    simulated,
)

SEEDS = 200


def test_power_cuts_at_random_points_of_200_seeds_take_no_synced_batch():
    lost = compactions = 0
    for seed in range(SEEDS):
        disk, rng = simulated(seed)
        story_lost, story_compactions = power_cut_story(disk, rng)
        lost += story_lost
        compactions += story_compactions
    assert lost > SEEDS  # the disk did forget: unsynced batches went
    assert compactions > SEEDS


def test_real_files_cut_after_their_synced_length_keep_every_synced_batch(tmp_path):
    lost = 0
    for seed in range(20):
        rng = Random(seed)
        story_lost, _ = power_cut_story(PowerCutDirectory(tmp_path / str(seed), rng), rng)
        lost += story_lost
    assert lost > 20


@pytest.mark.parametrize("plant", [SyncsBeforeWriting, RenamesWithoutDirectorySync])
def test_the_same_check_catches_a_planted_bug(plant):
    caught = 0
    for seed in range(SEEDS):
        disk, rng = simulated(seed)
        try:
            power_cut_story(disk, rng, plant)
        except (AssertionError, StorageError):
            caught += 1
    assert caught > SEEDS // 10


def test_what_an_opened_store_shows_is_durable_without_another_sync():
    """Else a second power cut could take back what was read after the first."""
    for seed in range(100):
        disk, rng = simulated(seed)
        store = AppendFile(disk, TINY_FLOOR_BYTES)
        for _ in range(rng.randrange(120)):
            store.write(random_batch(rng))
        disk.power_cut()
        first = contents(AppendFile(disk, TINY_FLOOR_BYTES))
        disk.power_cut()
        assert contents(AppendFile(disk, TINY_FLOOR_BYTES)) == first
