"""The storage contract, on every engine, against a dict."""

import tempfile
from random import Random

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from kvcore.sim.disk import SimulatedDisk
from kvcore.storage.appendfile import AppendFile
from kvcore.storage.base import Batch, StorageError
from kvcore.storage.files import OsFileSystem
from kvcore.storage.memory import MemoryStorage
from tests.support.stores import ALL, TINY_FLOOR_BYTES, apply, contents, rocks_store

KEYS = st.binary(max_size=3)
VALUES = st.binary(max_size=40)
WRITES = st.lists(st.tuples(KEYS, st.none() | VALUES), max_size=8)
RANGES = st.lists(st.tuples(KEYS, KEYS), max_size=2)


class MemoryEngine:
    durable = False

    def open(self):
        return MemoryStorage()

    def done(self):
        pass


class FilesEngine:
    durable = True

    def __init__(self):
        self._directory = tempfile.TemporaryDirectory()

    def open(self):
        return AppendFile(OsFileSystem(self._directory.name), TINY_FLOOR_BYTES)

    def done(self):
        self._directory.cleanup()


class RocksEngine:
    durable = True

    def __init__(self):
        self._directory = tempfile.TemporaryDirectory()

    def open(self):
        return rocks_store(self._directory.name, TINY_FLOOR_BYTES)

    def done(self):
        self._directory.cleanup()


class SimulatedEngine:
    durable = True

    def __init__(self):
        self._disk = SimulatedDisk(Random(1))

    def open(self):
        return AppendFile(self._disk, TINY_FLOOR_BYTES)

    def done(self):
        pass


ENGINES = [MemoryEngine, FilesEngine, SimulatedEngine, RocksEngine]


@pytest.fixture(params=ENGINES)
def engine(request):
    engine = request.param()
    yield engine
    engine.done()


@pytest.fixture
def store(engine):
    store = engine.open()
    yield store
    store.close()


class Contract(RuleBasedStateMachine):
    """Any order of batches, views and restarts reads as the dict does."""

    engine_class = MemoryEngine
    views = Bundle("views")

    def __init__(self):
        super().__init__()
        self.engine = self.engine_class()
        self.store = self.engine.open()
        self.model = {}
        self.opened = []

    @rule(writes=WRITES, ranges=RANGES)
    def write(self, writes, ranges):
        batch = Batch(list(writes), list(ranges))
        self.store.write(batch)
        self.model = apply(self.model, batch)

    @rule(count=st.integers(1, 60), size=st.integers(0, 60))
    def overwrite_often(self, count, size):
        """Enough bytes that compactions begin, go on and end."""
        for number in range(count):
            batch = Batch([(b"hot%d" % (number % 3), b"x" * size)])
            self.store.write(batch)
            self.model = apply(self.model, batch)

    @rule()
    def sync(self):
        self.store.sync()

    @rule(target=views)
    def take_view(self):
        view = self.store.view()
        self.opened.append(view)
        return view, dict(self.model)

    @rule(taken=views)
    def a_view_is_frozen(self, taken):
        view, then = taken
        if view in self.opened:
            assert contents(view) == then

    @rule(taken=consumes(views))
    def close_view(self, taken):
        view, _ = taken
        view.close()
        if view in self.opened:
            self.opened.remove(view)

    @rule(start=KEYS, end=KEYS)
    def scan_of_a_part(self, start, end):
        part = sorted(item for item in self.model.items() if start <= item[0] < end)
        assert list(self.store.scan(start, end)) == part

    @rule()
    def restart(self):
        if self.engine.durable:
            for view in self.opened:
                view.close()
            self.opened = []
            self.store.close()
            self.store = self.engine.open()

    @invariant()
    def reads_as_the_model(self):
        assert contents(self.store) == self.model
        assert self.store.get(b"never written") is None

    def teardown(self):
        self.store.close()
        self.engine.done()


class ContractOnFiles(Contract):
    engine_class = FilesEngine


class ContractOnSimulatedDisk(Contract):
    engine_class = SimulatedEngine


class ContractOnRocks(Contract):
    engine_class = RocksEngine


FEW = settings(
    max_examples=25, stateful_step_count=30, deadline=None, database=None, derandomize=True,
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
TestMemoryKeepsTheContract = Contract.TestCase
TestMemoryKeepsTheContract.settings = FEW
TestFilesKeepTheContract = ContractOnFiles.TestCase
TestFilesKeepTheContract.settings = FEW
TestSimulatedDiskKeepsTheContract = ContractOnSimulatedDisk.TestCase
TestSimulatedDiskKeepsTheContract.settings = FEW
TestRocksKeepsTheContract = ContractOnRocks.TestCase
TestRocksKeepsTheContract.settings = FEW


def test_an_empty_value_is_a_value(store):
    store.write(Batch([(b"k", b"")]))
    assert store.get(b"k") == b""
    assert list(store.scan(*ALL)) == [(b"k", b"")]


def test_ranges_are_emptied_before_the_writes_of_their_batch(store):
    store.write(Batch([(b"a", b"1"), (b"b", b"1"), (b"c", b"1")]))
    store.write(Batch([(b"b", b"2")], [(b"a", b"c")]))
    assert contents(store) == {b"b": b"2", b"c": b"1"}


def test_a_later_write_of_a_batch_wins(store):
    store.write(Batch([(b"k", b"1"), (b"k", None), (b"k", b"3"), (b"gone", b"1"), (b"gone", None)]))
    assert contents(store) == {b"k": b"3"}


def test_an_empty_batch_changes_nothing(store):
    store.write(Batch())
    assert contents(store) == {}


def test_a_scan_of_a_view_survives_writes_before_and_behind_it(store):
    for number in range(2000):
        store.write(Batch([(b"%04d" % number, b"old")]))
    view = store.view()
    seen = []
    for place, (key, value) in enumerate(view.scan(*ALL)):
        seen.append((key, value))
        if place % 100 == 0:
            batch = Batch([(b"%04d" % ((place + 700) % 2000), b"new"), (b"x%d" % place, b"new")])
            batch.ranges.append((b"%04d" % (place + 150), b"%04d" % (place + 180)))
            store.write(batch)
    assert seen == [(b"%04d" % number, b"old") for number in range(2000)]
    view.close()


def test_a_closed_view_is_refused(store):
    view = store.view()
    view.close()
    view.close()
    with pytest.raises(StorageError, match="closed"):
        view.get(b"k")
    with pytest.raises(StorageError, match="closed"):
        list(view.scan(*ALL))


def test_no_old_value_is_kept_once_the_views_are_closed(store):
    store.write(Batch([(b"k", b"1")]))
    first, second = store.view(), store.view()
    store.write(Batch([(b"k", b"2")]))
    first.close()
    assert second.get(b"k") == b"1"
    second.close()
    store.write(Batch([(b"k", b"3")]))
    assert store.get(b"k") == b"3"
