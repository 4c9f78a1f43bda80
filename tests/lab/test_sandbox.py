import asyncio
import functools
import inspect
import signal
import threading
import time

import pytest

from kvcore.lab import sandbox
from kvcore.lab.lessons.l10_persist import Turn
from kvcore.lab.sandbox import Failure, Value
from kvcore.sim import drive
from kvcore.sim.loop import VirtualLoop
from kvcore.viz import Entry
from tests.support import wrong_code
from tests.support.exercises import in_virtual_time
from tests.support.wrong_code import (
    endless,
    exits,
    fails,
    interrupted,
    sleeper,
    sleeps_for_ever,
    spins,
    stubborn,
    stubborn_coroutine,
    waits_for_nobody,
)

PATIENCE = 0.1  # 0.3 s of processor time is plenty for an endless loop
LIMIT_SECONDS = 5


def outer(values):
    return inner(values, 7)


def inner(values, place):
    return values[place]


class Rude:
    def __repr__(self):
        raise ValueError("no")


def timed(body, learner, patience=1.0):
    start = time.monotonic()
    outcome = sandbox.run(body, learner, patience=patience)
    assert time.monotonic() - start < LIMIT_SECONDS
    return outcome


def own_lines(code):
    """Each line of `code`: a clock may stop an endless loop at any of them."""
    return {line.strip() for line in inspect.getsource(code).splitlines()[1:]}


def told_line(outcome):
    return outcome.line.partition(": ")[2].strip()


def test_a_value_comes_back():
    assert timed(lambda: 7, endless) == Value(7)


@pytest.mark.parametrize("code", [endless, stubborn, sleeper], ids=lambda each: each.__name__)
def test_endless_code_is_stopped_and_its_line_is_shown(code):
    outcome = timed(code, code, PATIENCE)
    assert isinstance(outcome, Failure)
    assert outcome.kind == "loop"
    assert "still running after 0.3 s at line " in str(outcome)


@pytest.mark.parametrize(
    "code", [spins, sleeps_for_ever, stubborn_coroutine], ids=lambda each: each.__name__
)
def test_an_endless_coroutine_is_stopped_and_the_line_reached_is_shown(code):
    outcome = timed(lambda: in_virtual_time(code), code, PATIENCE)
    assert outcome.kind in {"loop", "wait"}
    assert told_line(outcome) in own_lines(code)


def test_a_wait_for_what_never_comes_ends_and_shows_where():
    outcome = timed(lambda: in_virtual_time(waits_for_nobody), waits_for_nobody)
    assert outcome.kind == "wait"
    assert "create_future" in outcome.line


def test_an_error_in_a_coroutine_shows_the_learners_line():
    outcome = timed(lambda: in_virtual_time(fails), fails)
    assert (outcome.kind, outcome.message) == ("error", "KeyError: 'missing'")
    assert outcome.line.endswith('return {}["missing"]')


def test_an_error_is_told_with_the_learners_lines_and_what_their_names_held():
    outcome = sandbox.run(lambda: outer([1, 2]), outer)
    assert outcome.line.endswith("return values[place]")
    told = "\n".join(outcome.trace)
    assert "return inner(values, 7)" in told
    assert "values = [1, 2], place = 7" in told
    assert outcome.trace[-1] == "IndexError: list index out of range"


def test_what_a_check_hands_over_is_told_with_its_fields():
    outcome = sandbox.run(lambda: outer(Entry(3, "a", "on")), outer)
    assert "values = Entry(revision=3, key='a', value='on'" in "\n".join(outcome.trace)
    outcome = sandbox.run(lambda: outer(Turn(None, (), (), ())), outer)
    assert "values = Turn(hard=None, entries=()" in "\n".join(outcome.trace)


def test_a_value_whose_repr_fails_does_no_harm_to_the_trace():
    outcome = sandbox.run(lambda: outer(Rude()), outer)
    assert "values = <Rude>, place = 7" in "\n".join(outcome.trace)


def test_a_loop_is_told_with_its_own_line_though_the_caller_is_in_the_same_file():
    outcome = timed(lambda: in_virtual_time(spins), spins, PATIENCE)
    assert told_line(outcome) in own_lines(spins)
    assert outcome.trace[-1] == outcome.message


def test_an_exit_is_an_error_and_does_not_leave():
    assert timed(exits, exits).kind == "error"


def test_an_interrupt_is_not_swallowed():
    with pytest.raises(KeyboardInterrupt):
        sandbox.run(interrupted, interrupted)


def test_the_former_alarm_is_restored():
    before = signal.getsignal(signal.SIGALRM)
    timed(endless, endless, PATIENCE)
    assert signal.getsignal(signal.SIGALRM) is before
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)


def test_without_an_alarm_steps_are_counted():
    outcomes = []
    thread = threading.Thread(target=lambda: outcomes.append(timed(endless, endless, PATIENCE)))
    thread.start()
    thread.join(LIMIT_SECONDS)
    assert outcomes[0].kind == "loop"
    assert told_line(outcomes[0]) in own_lines(endless)


def test_a_check_inside_a_running_world_leaves_that_world_as_it_was():
    outer = VirtualLoop(1)

    async def cell():
        ticking = asyncio.create_task(asyncio.sleep(10, "ticked"))
        await asyncio.sleep(1)
        task, clock = asyncio.current_task(), outer.now
        outcome = timed(lambda: in_virtual_time(spins), spins, PATIENCE)
        assert asyncio.current_task() is task
        assert asyncio.get_running_loop() is outer
        assert outer.now == clock
        assert outcome.kind in {"loop", "wait"}
        return await ticking

    try:
        assert drive.run(outer, cell()) == "ticked"
    finally:
        drive.drain(outer)
        outer.close()


def test_the_learners_files_are_found_through_wrappers_and_containers():
    wrapped = functools.partial(endless)
    here = {wrong_code.__file__: None}
    for learner in (endless, wrapped, (spins, 3), {"f": endless}, type("C", (), {"m": endless})):
        assert sandbox.files_of(learner) == here
    assert sandbox.files_of({"a": 1}) == {}
