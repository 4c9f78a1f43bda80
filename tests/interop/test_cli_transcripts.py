"""The official CLI, typed at our server and at nats-server: the same answers, line by line.

Every family runs on a fresh server of each kind, side by side. `differences.py` lists what
may differ; each entry must be needed, and a difference planted in any line is found.

nats-server lists some things in any order (it ranges over Go's maps). So where ours differs,
nats-server is asked again: each of our answers must be one of those that it gave.
"""

import os
import tempfile
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.interop.differences import DIFFERENCES
from tests.interop.families import CONFIGS, FAMILIES
from tests.interop.planted import mutants
from tests.interop.transcript import Difference, Entry, Masks, Typist, compare
from tests.support.require import require
from tests.support.servers import running

SIDE_BY_SIDE = 4
ASKED_AGAIN = 4  # an order of two is missed once in 32 times

# nats-server against itself shows that the masks are enough: KVCORE_INTEROP_OURS=nats-server
OURS = os.environ.get("KVCORE_INTEROP_OURS", "kvcore")


def _type(family: str, kind: str) -> list[Entry]:
    config = CONFIGS.get(family)
    with (
        tempfile.TemporaryDirectory(prefix="kvcore-home-") as home,
        running(kind, config=config) as server,
    ):
        return Typist(server, Path(home)).type(FAMILIES[family])


class Transcriber:
    """Runs families in the background; `of` waits for both sides of one."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(SIDE_BY_SIDE)
        slowest_first = sorted(FAMILIES, key=lambda family: family != "ttl")
        self._sides: dict[str, tuple[Future[list[Entry]], Future[list[Entry]]]] = {
            family: (
                self._pool.submit(_type, family, OURS),
                self._pool.submit(_type, family, "nats-server"),
            )
            for family in slowest_first
        }

    def of(self, family: str) -> tuple[list[Entry], list[Entry]]:
        ours, theirs = self._sides[family]
        return ours.result(), theirs.result()

    def close(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)


@pytest.fixture(scope="module")
def transcriber() -> Iterator[Transcriber]:
    require("go")
    transcriber = Transcriber()
    yield transcriber
    transcriber.close()


@pytest.mark.parametrize("family", FAMILIES)
def test_same_commands_give_the_same_lines_and_exit_codes(
    transcriber: Transcriber, family: str
) -> None:
    ours, theirs = transcriber.of(family)
    found = compare(ours, theirs, Masks(DIFFERENCES))
    for _ in range(ASKED_AGAIN):
        if not found or len(ours) != len(theirs):
            break
        again = _type(family, "nats-server")
        theirs = _nearer(ours, theirs, again)
        found = compare(ours, theirs, Masks(DIFFERENCES))
    assert not found, f"{len(found)} commands differ:\n" + "\n".join(found)


def _nearer(ours: list[Entry], first: list[Entry], again: list[Entry]) -> list[Entry]:
    """Of each command the answer that ours is equal to, if it is equal to one."""
    pairs = zip(ours, first, again, strict=True)
    return [other if _differ(one, known) else known for one, known, other in pairs]


def _differ(one: Entry, other: Entry) -> list[str]:
    return compare([one], [other], Masks(DIFFERENCES))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_planted_difference_in_any_line_is_found(transcriber: Transcriber, family: str) -> None:
    _, theirs = transcriber.of(family)
    masks = Masks(DIFFERENCES)
    assert compare(theirs, theirs, masks) == []
    planted = 0
    for entry in theirs:
        for mutant in mutants(entry, masks):
            assert compare([mutant], [entry], masks), f"not found: {mutant.text()}"
            planted += 1
    assert planted > len(theirs)
    assert compare(theirs[:-1], theirs, masks), "a missing command is not found"


def test_every_listed_difference_is_needed(transcriber: Transcriber) -> None:
    unused = set(DIFFERENCES)
    for family in FAMILIES:
        for side in transcriber.of(family):
            masks = Masks(DIFFERENCES)
            for entry in side:
                masks.entry(entry)
            unused -= set(masks.used)
    assert not unused, f"remove: {[(entry.command, entry.field) for entry in unused]}"


def test_an_entry_that_would_mask_a_whole_line_is_refused() -> None:
    masks = Masks([Difference("kv get", r"^(?P<all>.*)$", "hides everything")])
    with pytest.raises(AssertionError, match="whole line"):
        masks.line("kv get b k", "hello")


def test_an_entry_masks_its_own_commands_alone() -> None:
    masks = Masks([Difference("^kv get", r"at (?P<time>\d+)", "the time")])
    assert masks.line("kv get b k", "at 12") == "at <time>"
    assert masks.line("kv put b k", "at 12") == "at 12"


def test_an_answer_must_be_one_that_nats_server_gave() -> None:
    def entry(*lines: str) -> Entry:
        return Entry("stream info", 0, lines, ())

    ours, other, third = entry("a", "b"), entry("b", "a"), entry("b", "c")
    assert _nearer([ours, ours], [other, ours], [ours, other]) == [ours, ours]
    assert _differ(ours, _nearer([ours], [other], [third])[0])
