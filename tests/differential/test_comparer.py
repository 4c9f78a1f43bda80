"""The comparison, without servers: what counts as a difference."""

import pytest

from tests.differential.__main__ import is_known
from tests.differential.comparer import LATE, Comparer
from tests.differential.permissions import KNOWN
from tests.differential.script import Op
from tests.differential.session import NotYetError, Step
from tests.interop.records import walk

LATE_KINDS = [NotYetError("d1: never heard the last"), TimeoutError()]


def step(value: object) -> Step:
    return Step(Op("stop"), {}, dict(walk(value)))


def paths(ours: list[Step], theirs: list[Step]) -> list[tuple[int, str]]:
    return [(each.at, each.path) for each in Comparer().compare(ours, theirs)]


def test_equal_results_do_not_differ() -> None:
    assert paths([step(1), step([2])], [step(1), step([2])]) == []


@pytest.mark.parametrize("late", LATE_KINDS)
def test_what_both_let_wait_in_vain_differs(late: Exception) -> None:
    assert paths([step(1), step(late)], [step(1), step(late)]) == [(1, LATE)]


@pytest.mark.parametrize("late", LATE_KINDS)
def test_what_ours_let_wait_in_vain_goes_before_other_differences(late: Exception) -> None:
    assert paths([step(1), step(late)], [step(2), step(3)]) == [(1, LATE)]


@pytest.mark.parametrize("late", LATE_KINDS)
def test_what_nats_server_alone_let_wait_is_an_ordinary_difference(late: Exception) -> None:
    found = paths([step(1)], [step(late)])
    assert found
    assert LATE not in [path for _, path in found]


def test_a_known_mistake_of_nats_servers_covers_its_own_script_call_and_path_alone():
    seed, known = next(iter(KNOWN.items()))
    path = known.path.replace("\\", "")
    assert is_known(seed, known.kind, path)
    assert not is_known(seed + 1, known.kind, path)
    assert not is_known(seed, "get", path)
    assert not is_known(seed, known.kind, "revision")
