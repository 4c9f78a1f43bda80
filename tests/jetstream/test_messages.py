"""The index over a stream's messages against a list that is searched from end to end."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kvcore import limits
from kvcore.jetstream.filters import matcher
from kvcore.jetstream.messages import Messages
from kvcore.nats import subject as subjects
from kvcore.storage.memory import MemoryStorage
from kvcore.storage.overlay import Overlay

names = st.sampled_from(["k.a", "k.b", "k.a.b", "k.b.a", "l", "k"])
filters = st.lists(
    st.sampled_from(["k.a", "k.*", "k.>", ">", "*", "k.*.b", "l", "none"]), max_size=2
).map(tuple)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("append"), names, st.integers(0, 3)),
        st.tuples(st.just("append"), names, st.integers(0, 3)),
        st.tuples(st.just("remove"), st.integers(1, 30)),
        st.tuples(st.just("remove_below"), filters, st.integers(1, 30)),
        st.tuples(st.just("skip_to"), st.integers(1, 3)),
        st.tuples(st.just("clear"), st.integers(1, 3)),
    ),
    max_size=30,
)


def build(script) -> tuple[Messages, list[tuple[int, str, int]]]:
    messages = Messages(2, Overlay(MemoryStorage()), in_file=True)
    model: list[tuple[int, str, int]] = []
    time = 0
    for verb, *arguments in script:
        if verb == "append":
            time += arguments[1]
            model.append((messages.last_seq + 1, arguments[0], time))
            messages.append(arguments[0], None, b"", time)
        elif verb == "remove" and arguments[0] in messages:
            messages.remove(arguments[0])
            model = [entry for entry in model if entry[0] != arguments[0]]
        elif verb == "remove_below":
            gone = [e for e in model if e[0] < arguments[1] and allowed(arguments[0], e[1])]
            assert messages.remove_below(*arguments) == [entry[0] for entry in gone]
            model = [entry for entry in model if entry not in gone]
        elif verb == "skip_to":
            messages.skip_to(messages.last_seq + arguments[0])
        elif verb == "clear":
            assert messages.clear(messages.last_seq + arguments[0]) == [e[0] for e in model]
            model = []
    return messages, model


def play(messages: Messages, step) -> None:
    """Carry out one step of a script."""
    verb, *arguments = step
    match verb:
        case "append":
            messages.append(arguments[0], None, b"", 100)
        case "remove" if arguments[0] in messages:
            messages.remove(arguments[0])
        case "remove_below":
            messages.remove_below(*arguments)
        case "clear":
            messages.clear(messages.last_seq + arguments[0])


def allowed(patterns: tuple[str, ...], subject: str) -> bool:
    return not patterns or any(subjects.matches(pattern, subject) for pattern in patterns)


@settings(max_examples=200, deadline=None)
@given(steps, filters, st.integers(0, 35))
def test_every_read_agrees_with_a_full_search(script, patterns, at):
    messages, model = build(script)
    found = [(seq, subject) for seq, subject, _ in model if allowed(patterns, subject)]
    assert messages.sequences(patterns, at) == [seq for seq, _ in found if seq >= at]
    assert messages.next_seq(patterns, at) == min((s for s, _ in found if s >= at), default=0)
    assert messages.last_per_subject(patterns) == sorted({sub: s for s, sub in found}.values())
    until = {subject: seq for seq, subject in found if seq <= at}
    assert messages.last_per_subject(patterns, at) == sorted(until.values())
    totals: dict[str, int] = {}
    for _, subject in found:
        totals[subject] = totals.get(subject, 0) + 1
    assert messages.totals(patterns) == totals
    assert messages.seq_at_time(at) == next(
        (seq for seq, _, time in model if time >= at), messages.last_seq + 1
    )
    assert len(messages) == len(model)
    for pattern in patterns:
        last = max((s for s, subject, _ in model if allowed((pattern,), subject)), default=0)
        assert messages.last_matching(pattern) == last


@given(filters, names)
def test_a_compiled_filter_matches_what_the_subject_rules_match(patterns, subject):
    assert matcher(patterns)(subject) == allowed(patterns, subject)


def test_a_key_costs_little_memory():
    """One string and one integer are shared by both dicts."""
    messages = Messages(2, Overlay(MemoryStorage()), in_file=True)
    messages.append("k." + "x" * 50, None, b"", 1)
    messages.append("k." + "x" * 50, None, b"", 1)
    messages.remove(1)
    (subject,) = messages._sequences_of
    assert messages._subject_of[2] is subject


@pytest.fixture
def small_slices(monkeypatch):
    monkeypatch.setattr(limits, "SEARCH_SLICE_COUNT", 2)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps, filters, st.integers(0, 35), steps)
def test_a_search_in_slices_finds_what_was_there_at_its_start_and_is_left(
    small_slices, script, patterns, at, meanwhile
):
    """Between two steps others write: what is stored is not found, nor what is removed."""
    _, model = build(script)
    frozen = [(seq, subject) for seq, subject, _ in model if allowed(patterns, subject)]
    until = {subject: seq for seq, subject in frozen if seq <= at}
    expected = ([seq for seq, _ in frozen if seq >= at], sorted(until.values()))
    for number in range(2):
        messages, _ = build(script)
        walk = (messages.walk, messages.walk_newest)[number](patterns, at)
        found, gone, changes = [], [], iter(meanwhile)
        for part in walk:
            found += part
            there = list(messages._subject_of)
            play(messages, next(changes, ("none",)))
            gone += [seq for seq in there if seq not in messages and seq not in found]
        assert found == [seq for seq in expected[number] if seq not in gone]
