"""An overlay reads as if the turn's batch were written, and hands over that batch."""

from hypothesis import given, settings
from hypothesis import strategies as st

from kvcore.storage import keys, ordered
from kvcore.storage.base import Batch
from kvcore.storage.memory import MemoryStorage
from kvcore.storage.ordered import SortedKeys
from kvcore.storage.overlay import Overlay
from tests.support.stores import contents

KEYS = st.binary(max_size=2)
OPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), KEYS, st.binary(max_size=4)),
        st.tuples(st.just("delete"), KEYS),
        st.tuples(st.just("delete all"), st.lists(KEYS, max_size=40, unique=True)),
        st.tuples(st.just("range"), KEYS, KEYS),
        st.tuples(st.just("take")),
        st.tuples(st.just("view")),
    ),
    max_size=60,
)


@given(OPS)
@settings(max_examples=200, deadline=None, database=None, derandomize=True)
def test_an_overlay_reads_as_a_dict_whatever_was_taken_and_views_stay_frozen(ops):
    store = MemoryStorage()
    overlay, model, views = Overlay(store), {}, []
    for op in ops:
        match op:
            case ("put", key, value):
                overlay.put(key, value)
                model[key] = value
            case ("delete", key):
                overlay.delete(key)
                model.pop(key, None)
            case ("delete all", gone):
                overlay.delete_all(gone)
                model = {k: v for k, v in model.items() if k not in gone}
            case ("range", start, end):
                overlay.delete_range(start, end)
                model = {k: v for k, v in model.items() if not start <= k < end}
            case ("take",):
                store.write(overlay.take())
                assert contents(store) == model
            case ("view",):
                views.append((overlay.view(), dict(model)))
        assert contents(overlay) == model
    for view, then in views:
        assert contents(view) == then
        view.close()


def test_a_key_that_was_put_and_deleted_in_one_turn_costs_no_write():
    overlay = Overlay(MemoryStorage())
    overlay.put(b"k", b"v")
    overlay.delete(b"k")
    assert not overlay.take()


def test_deleting_a_stored_key_after_putting_it_still_deletes_it():
    store = MemoryStorage()
    store.write(Batch([(b"k", b"old")]))
    overlay = Overlay(store)
    overlay.put(b"k", b"new")
    overlay.delete(b"k")
    store.write(overlay.take())
    assert contents(store) == {}


def test_a_reader_sees_what_was_written_before_it_was_taken():
    store = MemoryStorage()
    store.write(Batch([(b"a", b"1"), (b"b", b"1"), (b"c", b"1")]))
    overlay = Overlay(store)
    assert [overlay.reader()(key) for key in (b"a", b"b", b"c", b"d")] == [b"1", b"1", b"1", None]
    overlay.put(b"a", b"2")
    overlay.delete_range(b"b", b"c")
    assert [overlay.reader()(key) for key in (b"a", b"b", b"c")] == [b"2", None, b"1"]


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 400), st.integers(0, 400))))
@settings(max_examples=100, deadline=None, database=None, derandomize=True)
def test_sorted_keys_are_a_sorted_set(steps):
    there, sorted_keys = set(), SortedKeys(b"")
    for kind, one, other in steps:
        key, end = b"%03d" % one, b"%03d" % other
        if kind <= 1 and key not in there:
            there.add(key)
            sorted_keys.add(key)
        elif kind == 2 and key in there:
            there.remove(key)
            sorted_keys.remove(key)
        elif kind == 3:
            taken = sorted(k for k in there if key <= k < end)
            assert sorted_keys.first(key, end, 1000) == taken
            assert sorted_keys.take_range(key, end) == taken
            there.difference_update(taken)
        elif kind == 4:
            gone = sorted(k for k in there if k <= key) if one % 2 else sorted(there)[::3]
            sorted_keys.remove_all(gone)
            there.difference_update(gone)
        assert len(sorted_keys) == len(there)
    assert sorted_keys.first(b"", None, 1000) == sorted(there)


def test_sorted_keys_split_and_join_their_chunks(monkeypatch):
    from random import Random

    monkeypatch.setattr(ordered, "CHUNK_KEYS", 8)
    rng, there, sorted_keys = Random(1), {}, SortedKeys(b"")
    for _ in range(5000):
        key = b"%04d" % rng.randrange(600)
        if key in there:
            del there[key]
            sorted_keys.remove(key)
        else:
            there[key] = True
            sorted_keys.add(key)
        if rng.random() < 0.01:
            end = b"%04d" % rng.randrange(600)
            for gone in sorted_keys.take_range(key, end):
                del there[gone]
        if rng.random() < 0.01:
            many = [key for key in there if rng.random() < 0.5]
            sorted_keys.remove_all(many)
            for gone in many:
                del there[gone]
    assert sorted_keys.first(b"", None, 1000) == sorted(there)
    assert max(map(len, sorted_keys._chunks)) <= 8


def test_keys_of_a_group_sort_by_number_and_stay_within_their_range():
    numbers = [0, 1, 255, 256, 2**32, 2**63]
    made = [keys.message(7, number) for number in numbers]
    assert made == sorted(made)
    assert [keys.number(key) for key in made] == numbers
    start, end = keys.messages(7)
    assert all(start <= key < end for key in made)
    assert not start <= keys.message(8, 0) < end
    assert keys.suffix(keys.consumer(7, "c")) == b"c"


def test_the_ranges_of_a_group_hold_all_but_its_hard_state():
    made = [keys.entry(3, 1), keys.state(3), keys.message(3, 9), keys.dedup(3, b"x")]
    made += [keys.consumer(3, "c")]
    for key in made:
        assert sum(start <= key < end for start, end in keys.data_spans(3)) == 1
    for other in (keys.hard_state(3), keys.state(4), keys.IDENTITY):
        assert not any(start <= other < end for start, end in keys.data_spans(3))


def test_a_machines_record_begins_with_its_applied_index():
    assert keys.applied_index(None) == 0
    assert keys.applied_index(keys.encode_index(77) + b"the machine's own") == 77
