"""A snapshot taken in slices, while the stream goes on, is the stream at one index."""

from itertools import islice
from random import Random

import pytest

from kvcore import limits
from kvcore.jetstream.commands import DeleteMessage, Expire, Publish, Purge
from kvcore.jetstream.stream import Stream
from kvcore.limits import SECOND_NS
from kvcore.node.snapshots import Incoming, Outgoing
from kvcore.sim.disk import SimulatedDisk
from kvcore.storage import keys, memory
from kvcore.storage.appendfile import AppendFile
from kvcore.storage.base import Batch
from kvcore.storage.files import OsFileSystem
from kvcore.storage.memory import MemoryStorage
from kvcore.storage.overlay import Overlay
from tests.support.stores import TINY_FLOOR_BYTES, contents, rocks_store
from tests.support.stream_rig import START, header_block, stream_config

GID = 2
SUBJECTS = [f"s.{number}" for number in range(60)]


def engines(tmp_path):
    return {
        "memory": MemoryStorage,
        "files": lambda: AppendFile(OsFileSystem(tmp_path / "store"), TINY_FLOOR_BYTES),
        "rocksdb": lambda: rocks_store(tmp_path / "rocks"),
        "simulated": lambda: AppendFile(SimulatedDisk(Random(1)), TINY_FLOOR_BYTES),
    }


def new_stream(records):
    config = stream_config(max_msgs_per_subject=2, max_age=9 * SECOND_NS, allow_msg_ttl=True)
    return Stream(GID, config, START, records)


def random_command(rng, stream, now):
    """A put, most often one under CAS that is right half the time, or one that removes."""
    kind, subject = rng.random(), rng.choice(SUBJECTS)
    if kind < 0.04:
        return Purge(rng.choice(["", subject]), 0, 0, "r", now)
    if kind < 0.10:
        return DeleteMessage(
            rng.randint(1, max(1, stream.last_seq)), no_erase=False, reply="r", time=now
        )
    if kind < 0.20:
        return Expire(now)
    headers = {}
    if kind < 0.60:
        expected = stream.last_seq_for(subject) if rng.random() < 0.5 else rng.randint(0, 50)
        headers["Nats-Expected-Last-Subject-Sequence"] = str(expected)
    if rng.random() < 0.2:
        headers["Nats-TTL"] = str(rng.randint(1, 5))
    if rng.random() < 0.2:
        headers["Nats-Msg-Id"] = str(rng.randint(1, 30))
    return Publish(subject, "r", header_block(headers), rng.randbytes(30), now)


def replayed(commands):
    """What a leader that applied just these commands has in its store."""
    overlay = Overlay(MemoryStorage())
    stream = new_stream(overlay)
    for index, command in enumerate(commands, 1):
        stream.apply(command, index)
    return contents(overlay), stream


def answers(stream):
    """What the stream would say to anyone."""
    return stream.state(), [stream.message(seq) for seq in stream.sequences()], stream.consumers


ENGINES = ["memory", "files", "simulated", "rocksdb"]


def installed(pieces):
    """The store of a follower, whose group has another id there, after it took the pieces in."""
    incoming, store = Incoming(), MemoryStorage()
    for piece in pieces:
        store.write(Batch(list(incoming.feed(GID, piece.data))))
    incoming.finish()
    return store


@pytest.mark.parametrize("engine", ENGINES)
def test_the_pieces_sent_to_a_follower_make_the_leaders_state_at_their_index(
    tmp_path, engine, monkeypatch
):
    monkeypatch.setattr(memory, "SLICE_KEYS", 4)
    monkeypatch.setattr(limits, "INSTALL_CHUNK_BYTES", 300)
    rng = Random(engine)
    storage = engines(tmp_path)[engine]()
    overlay = Overlay(storage)
    stream, commands, now, taken = new_stream(overlay), [], START, 0
    outgoing, pieces = None, []
    for _ in range(1500):
        now += rng.randrange(SECOND_NS // 10)
        commands.append(random_command(rng, stream, now))
        stream.apply(commands[-1], len(commands))
        if rng.random() < 0.05:
            storage.write(overlay.take())
        if outgoing is None and rng.random() < 0.05:
            outgoing, pieces = Outgoing(GID, overlay.view(), len(commands), now), []
        if outgoing is not None and rng.random() < 0.5:
            offset = sum(len(piece.data) for piece in pieces)
            pieces.append(outgoing.piece(offset, now))
            assert outgoing.piece(offset, now) == pieces[-1]  # it may be asked for again
            if pieces[-1].is_done:
                outgoing.close()
                then, leader = replayed(commands[: outgoing.index])
                store = installed(pieces)
                assert contents(store) == then
                assert answers(new_stream(Overlay(store))) == answers(leader)
                outgoing, taken = None, taken + 1
    assert taken > 8
    storage.close()


@pytest.mark.parametrize("engine", ENGINES)
def test_a_snapshot_in_slices_equals_the_leaders_state_at_its_index(tmp_path, engine, monkeypatch):
    monkeypatch.setattr(memory, "SLICE_KEYS", 4)  # read ahead less than a slice
    rng = Random(engine)
    storage = engines(tmp_path)[engine]()
    overlay = Overlay(storage)
    stream, commands, now, taken = new_stream(overlay), [], START, 0
    running = None  # (index, view, its scan, what was read so far)
    for _ in range(1500):
        now += rng.randrange(SECOND_NS // 10)
        commands.append(random_command(rng, stream, now))
        stream.apply(commands[-1], len(commands))
        if rng.random() < 0.05:  # a turn ends anywhere between, so views hold unwritten parts
            storage.write(overlay.take())
        if rng.random() < 0.02:
            storage.sync()
        if running is None and rng.random() < 0.05:
            view = overlay.view()
            running = (len(commands), view, view.scan(b"", b"\xff"), {})
        if running is not None and rng.random() < 0.5:
            index, view, scan, read = running
            piece = list(islice(scan, 5))
            read.update(piece)
            if not piece:
                view.close()
                running = None
                taken += 1
                then, leader = replayed(commands[:index])
                assert read == then
                assert keys.applied_index(read[keys.state(GID)]) == index
                copy = MemoryStorage()
                copy.write(Batch(list(read.items())))
                assert answers(new_stream(Overlay(copy))) == answers(leader)
    assert taken > 8
    if engine in ("files", "simulated"):
        assert storage.generation > 2
    storage.close()
