"""The meta group: one decision for each name and subject, the same after a restart."""

import json

import pytest

from kvcore.jetstream.commands import CreateStream, DeleteStream, MetaCommand, UpdateStream
from kvcore.jetstream.meta import Meta, Quota
from kvcore.jetstream.outcome import (
    MetaOutcome,
    Refused,
    StreamCreated,
    StreamDeleted,
    StreamUpdated,
)
from kvcore.storage import keys
from kvcore.storage.memory import MemoryStorage
from kvcore.storage.overlay import Overlay


class MetaRig:
    def __init__(self, quota: Quota | None = None) -> None:
        self.records = Overlay(MemoryStorage())
        self.meta = Meta(self.records, quota)
        self.index = 0

    def apply(self, command: MetaCommand) -> MetaOutcome:
        self.index += 1
        return self.meta.apply(self.meta.stamped(command), self.index)

    def create(self, name: str, **fields: object):
        body = json.dumps({"name": name, "subjects": [f"{name}.>"], **fields}).encode()
        return self.apply(CreateStream(body, "inbox", 100 + self.index)).result

    def update(self, name: str, **fields: object):
        body = json.dumps({"name": name, "subjects": [f"{name}.>"], **fields}).encode()
        return self.apply(UpdateStream(body, "inbox", 100 + self.index)).result

    def delete(self, name: str):
        return self.apply(DeleteStream(name, "inbox", 0)).result


def number(result: object) -> int:
    assert isinstance(result, Refused)
    return result.error.err_code


def test_a_stream_gets_a_group_of_its_own():
    rig = MetaRig()
    first, second = rig.create("A"), rig.create("B")
    assert isinstance(first, StreamCreated)
    assert isinstance(second, StreamCreated)
    assert first.assignment.created == 100
    assert len({keys.META_GID, first.assignment.gid, second.assignment.gid}) == 3


def test_a_group_id_is_never_used_twice():
    rig = MetaRig()
    first = rig.create("A").assignment.gid
    rig.delete("A")
    assert rig.create("A").assignment.gid > first


def test_creating_the_same_stream_again_is_no_error():
    rig = MetaRig()
    first = rig.create("A")
    again = rig.create("A", max_msgs=-1, metadata={"_nats.ver": "9"})
    assert again == StreamCreated(first.assignment, existed=True)


def test_another_configuration_under_the_same_name_is_refused():
    rig = MetaRig()
    rig.create("A")
    assert number(rig.create("A", max_msgs=5)) == 10058


def test_subjects_belong_to_one_stream():
    rig = MetaRig()
    rig.create("A")
    assert number(rig.create("B", subjects=["A.x"])) == 10065
    rig.create("B")
    assert number(rig.update("B", subjects=["B.>", "A.x"])) == 10065


def test_an_update_of_an_unknown_stream_is_refused():
    assert number(MetaRig().update("A")) == 10059


def test_an_update_keeps_group_and_birth():
    rig = MetaRig()
    first = rig.create("A").assignment
    result = rig.update("A", max_msgs=7)
    assert isinstance(result, StreamUpdated)
    assert (result.assignment.gid, result.assignment.created) == (first.gid, first.created)
    assert rig.meta.streams["A"].config.max_msgs == 7


def test_a_stream_is_not_created_sealed():
    assert number(MetaRig().create("A", sealed=True)) == 10052


def test_a_path_is_not_a_name():
    assert number(MetaRig().create("../a")) == 10128


def test_delete_forgets_the_stream():
    rig = MetaRig()
    assignment = rig.create("A").assignment
    assert rig.delete("A") == StreamDeleted(assignment)
    assert rig.meta.streams == {}
    assert number(rig.delete("A")) == 10059


@pytest.mark.parametrize(
    "fields",
    [
        {"mirror": {"name": "Z", "external": {"api": "$JS.d.API"}}, "subjects": []},
        {"sources": [{"name": "Z", "external": {"api": "$JS.d.API"}}]},
        {"sources": [{"name": "Z", "consumer": {"name": "c"}}]},
        {"allow_msg_counter": True},
        {"allow_atomic": True},
        {"allow_msg_schedules": True},
        {"allow_batched": True},
        {"persist_mode": "async"},
    ],
)
def test_what_is_not_built_yet_is_refused_not_half_done(fields):
    result = MetaRig().create("A", **fields)
    assert isinstance(result, Refused)
    assert result.error.description.endswith("is not supported by this server yet")


def test_replicas_need_a_cluster():
    assert number(MetaRig().create("A", num_replicas=3)) == 10074


def test_a_server_bounds_reserved_bytes():
    rig = MetaRig(Quota(file_bytes=100, memory_bytes=10))
    rig.create("A", max_bytes=60)
    assert number(rig.create("B", max_bytes=41)) == 10047
    assert number(rig.create("B", max_bytes=11, storage="memory")) == 10028
    rig.create("B", max_bytes=40)
    assert isinstance(rig.update("A", max_bytes=60), StreamUpdated)


def test_a_smaller_quota_does_not_undo_what_the_log_says():
    """The log's tail is applied again at a restart, when the server's limits may be others."""
    rig = MetaRig(Quota(file_bytes=100))
    body = json.dumps({"name": "A", "subjects": ["a"], "max_bytes": 90}).encode()
    command = rig.meta.stamped(CreateStream(body, "", 1))
    replayed = Meta(Overlay(MemoryStorage()), Quota(file_bytes=10)).apply(command, 1)
    assert isinstance(replayed.result, StreamCreated)


def test_streams_survive_a_restart():
    rig = MetaRig()
    rig.create("A", max_age=10**9, metadata={"k": "v"})
    rig.create("B")
    rig.update("B", max_msgs=3)
    rig.create("C")
    rig.delete("C")
    again = Meta(rig.records)
    assert again.streams == rig.meta.streams
    assert keys.applied_index(rig.records.get(keys.state(keys.META_GID))) == 5
