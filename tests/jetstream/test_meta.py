"""The meta group: one decision for each name and subject, the same after a restart."""

import json

import pytest

from kvcore.jetstream.commands import (
    AssignPeers,
    CompleteRestore,
    CreateStream,
    DeleteStream,
    MetaCommand,
    UpdateStream,
)
from kvcore.jetstream.meta import Meta, Quota
from kvcore.jetstream.outcome import (
    MetaOutcome,
    Refused,
    StreamCreated,
    StreamDeleted,
    StreamMoved,
    StreamUpdated,
)
from kvcore.jetstream.placement import Place
from kvcore.jetstream.planner import Planner
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


# In a cluster.


class ClusterRig(MetaRig):
    """The meta leader of servers n1 to n5; `away` are offline."""

    def __init__(self, size: int = 5) -> None:
        super().__init__()
        self.away: tuple[str, ...] = ()
        self.leaders: dict[str, str] = {}
        self.size = size
        self.planner = Planner(self.places, lambda name: self.leaders.get(name, ""), "n1")
        self.meta = Meta(self.records, planner=self.planner)

    def places(self) -> list[Place]:
        names = [f"n{number}" for number in range(1, self.size + 1)]
        return [Place(name, "c", (f"host:{name}",), name not in self.away) for name in names]

    def peers(self, name: str) -> list[str]:
        return sorted(self.meta.streams[name].peers)


def test_replicas_are_placed_where_the_fewest_are():
    rig = ClusterRig(3)
    for name in "ABCDEF":
        rig.create(name)
    assert [rig.peers(name) for name in "ABCDEF"] == [["n1"], ["n2"], ["n3"]] * 2
    rig.delete("E")
    rig.create("G")
    assert rig.peers("G") == ["n2"]


def test_streams_that_are_created_at_once_see_each_other():
    rig = ClusterRig(3)
    made = []
    for name in "ABC":
        body = json.dumps({"name": name, "subjects": [f"{name}.>"]}).encode()
        made.append(rig.meta.stamped(CreateStream(body, f"inbox.{name}", 1)))
    for index, command in enumerate(made, 1):
        rig.meta.apply(command, index)
    assert [rig.peers(name) for name in "ABC"] == [["n1"], ["n2"], ["n3"]]


@pytest.mark.parametrize("replicas", [1, 2, 3, 4, 5])
def test_one_to_five_replicas_are_placed_on_as_many_servers(replicas):
    rig = ClusterRig()
    rig.create("A", num_replicas=replicas)
    assert len(rig.peers("A")) == replicas
    assert rig.meta.streams["A"].founders == tuple(rig.peers("A"))


def test_more_replicas_than_servers_online_are_refused():
    rig = ClusterRig(3)
    assert number(rig.create("A", num_replicas=4)) == 10005
    rig.away = ("n2",)
    refused = rig.create("B", num_replicas=3)
    assert isinstance(refused, Refused)
    assert refused.error.description == "no suitable peers for placement"
    assert number(rig.create("C", num_replicas=6)) == 10052
    assert number(rig.create("D", num_replicas=-1)) == 10133


def test_a_wrong_configuration_is_told_before_a_want_of_servers():
    rig = ClusterRig(3)
    rig.create("A")
    assert number(rig.create("A", num_replicas=4)) == 10058
    assert number(rig.create("B", subjects=["A.x"], num_replicas=4)) == 10065


def test_tags_choose_servers_and_a_missing_one_is_named():
    rig = ClusterRig(3)
    rig.create("A", placement={"tags": ["HOST:n2"]})
    assert rig.peers("A") == ["n2"]
    refused = rig.create("B", placement={"tags": ["x:y"]})
    assert refused.error.description == (
        "no suitable peers for placement, tags not matched ['x:y']"
    )
    assert number(rig.create("C", placement={"cluster": "other"})) == 10005


def test_an_update_keeps_replicas_where_they_are_and_adds_what_is_wanted():
    rig = ClusterRig()
    rig.create("A", placement={"tags": ["host:n4"]})
    assert rig.peers("A") == ["n4"]
    rig.update("A", num_replicas=3)
    assert rig.peers("A") == ["n1", "n2", "n4"]
    assert rig.meta.streams["A"].founders == ("n4",)
    assert sorted(rig.meta.streams["A"].joiners) == ["n1", "n2"]
    rig.update("A", num_replicas=5)
    assert rig.peers("A") == ["n1", "n2", "n3", "n4", "n5"]


def test_fewer_replicas_let_those_go_that_are_away_and_keep_the_leader():
    rig = ClusterRig(3)
    rig.create("A", num_replicas=3)
    rig.leaders["A"], rig.away = "n3", ("n1",)
    rig.update("A", num_replicas=2)
    assert rig.peers("A") == ["n2", "n3"]
    rig.update("A", num_replicas=1)
    assert rig.peers("A") == ["n3"]


def test_a_server_that_comes_back_to_a_stream_is_no_founder():
    """It has forgotten what it once promised, so it must not vote before it has caught up."""
    rig = ClusterRig(3)
    rig.create("A", num_replicas=3)
    assert rig.meta.streams["A"].is_founder("n3")
    rig.update("A", num_replicas=1)
    rig.update("A", num_replicas=3)
    assignment = rig.meta.streams["A"]
    assert [name for name in ("n1", "n2", "n3") if assignment.is_founder(name)] == ["n1"]


def test_places_survive_a_restart():
    rig = ClusterRig(3)
    rig.create("A", num_replicas=2)
    rig.update("A", num_replicas=3)
    assert Meta(rig.records).streams == rig.meta.streams


def test_peers_are_reassigned_only_in_the_group_that_was_meant():
    rig = ClusterRig()
    gid = rig.create("A", num_replicas=3).assignment.gid
    moved = rig.apply(AssignPeers("A", gid, ("n1", "n2", "n5"), "", 9)).result
    assert isinstance(moved, StreamMoved)
    assert moved.before.peers == ("n1", "n2", "n3")
    assert (rig.peers("A"), moved.assignment.joiners) == (["n1", "n2", "n5"], ("n5",))
    assert number(rig.apply(AssignPeers("A", gid + 1, ("n1",), "", 9)).result) == 10059
    anew = rig.apply(AssignPeers("A", gid, ("n4", "n2", "n1"), "", 9, anew=True)).result
    assert isinstance(anew, StreamMoved)
    assert anew.assignment.gid > gid
    assert (anew.assignment.founders, anew.assignment.joiners) == (("n1", "n2", "n4"), ())


def test_a_restored_stream_begins_where_its_records_are():
    rig = ClusterRig()
    body = json.dumps({"name": "A", "subjects": ["A.>"], "num_replicas": 3}).encode()
    rig.apply(CompleteRestore(99, body, "inbox", 1))
    assignment = rig.meta.streams["A"]
    assert (assignment.founders, assignment.peers[0], len(assignment.peers)) == (("n1",), "n1", 3)


def test_a_server_on_its_own_has_no_peers():
    rig = MetaRig()
    assignment = rig.create("A").assignment
    assert (assignment.peers, assignment.founders) == ((), ())
    assert b"\n" not in rig.records.get(keys.consumer(keys.META_GID, "A"))
    assert number(rig.update("A", num_replicas=3)) == 10074


def test_a_stream_of_a_server_on_its_own_becomes_one_of_a_cluster():
    alone = MetaRig()
    gid = alone.create("A").assignment.gid
    rig = ClusterRig(3)
    rig.records, rig.index = alone.records, alone.index
    rig.meta = Meta(alone.records, planner=rig.planner)
    rig.apply(AssignPeers("A", gid, ("n2",), "", 9))
    rig.update("A", num_replicas=3)
    assignment = rig.meta.streams["A"]
    assert (assignment.founders, assignment.joiners) == (("n2",), ("n1", "n3"))
