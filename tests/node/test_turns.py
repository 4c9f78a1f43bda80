"""Tickets and wake-ups: the two small queues under a server's turn."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvcore.node.turns import Tickets
from kvcore.node.wakeups import Wakeups


def test_tickets_ascend_and_a_later_one_covers_the_earlier():
    tickets = Tickets()
    first = tickets.issue([("a", 1)])
    second = tickets.issue([("b", 5), ("a", 2)])
    assert second > first
    assert tickets.redeem(second) == [("a", 1), ("b", 5), ("a", 2)]
    assert tickets.redeem(second) == []


def test_a_ticket_that_was_never_issued_is_a_bug_of_the_driver():
    with pytest.raises(AssertionError):
        Tickets().redeem(1)


@given(st.lists(st.tuples(st.integers(0, 5), st.none() | st.integers(0, 50)), max_size=200))
def test_wake_ups_behave_as_a_dict_of_times(moves):
    wakeups, model = Wakeups(), {}
    for key, at in moves:
        wakeups.set(key, at)
        model.pop(key, None)
        if at is not None:
            model[key] = at
        assert wakeups.next() == min(model.values(), default=None)
    due = wakeups.take_due(25)
    assert sorted(due) == sorted(k for k, at in model.items() if at <= 25)
    assert [model[k] for k in due] == sorted(model[k] for k in due)
    assert wakeups.next() == min((at for at in model.values() if at > 25), default=None)
