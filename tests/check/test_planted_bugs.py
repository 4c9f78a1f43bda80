"""Bugs planted into a whole cluster, each of which the judges must convict within some seeds.

What a judge has never convicted it may be blind to. Each bug here breaks one rule of Raft or
of the disk, in every server, and keeps all the rest. `storm` says of each seed whether what
clients were told still agrees with what the healed cluster holds.
"""

from dataclasses import replace

import pytest

from kvcore.check.storm import Weather, storm
from kvcore.raft.log import Log
from kvcore.raft.rules import PAPER
from kvcore.sim.workload import Settings
from kvcore.storage.appendfile import AppendFile
from kvcore.storage.memory import MemoryStorage
from kvcore.sim.world import PARTS

WORK = Settings(clients=5, watchers=0, pause=0.03)
WEATHER = Weather(work=WORK, is_watched=False, operations=0)
SEEDS = 60


def convicted(weather, kinds=("lost", "phantom", "moved", "order", "stale", "dirty", "condition")):
    """The first seed whose history is wrong, and how; whatever it is."""
    for seed in range(SEEDS):
        found = [each.kind for each in storm(seed, weather).violations if each.kind in kinds]
        if found:
            return seed, found
    return None


def ack_before_quorum(matches, log, term, commit):
    """The leader counts itself alone."""
    return max(commit, max(matches))


def commit_by_counting_any_term(matches, log, term, commit):
    """Figure 8: an entry of an earlier term is committed because a majority has it."""
    on_majority = sorted(matches, reverse=True)[len(matches) // 2]
    return max(commit, on_majority)


def truncate_whatever_follows(log, previous_index, previous_term, entries):
    """Section 5.3 the wrong way: what follows the message's entries is cut, contradicting or
    not, so that a message that is late takes away what was acknowledged since."""
    if log.term(previous_index) != previous_term:
        return None
    return previous_index


def test_an_ack_before_a_quorum_is_convicted():
    found = convicted(replace(WEATHER, rules={"advance_commit": ack_before_quorum}))
    print(found)
    assert found
