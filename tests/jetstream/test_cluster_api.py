"""The API's verbs of a cluster: types, fields, errors, as recorded from three nats-servers."""

import json
from collections.abc import Mapping, Sequence

import pytest

from kvcore.jetstream.answers import Gather, RemoveServer, StepDown
from kvcore.jetstream.api import Scope, asked
from kvcore.jetstream.catalog import Identity
from kvcore.jetstream.cluster import Follower, GroupSight, block, meta_block
from kvcore.jetstream.config import StreamConfig
from kvcore.jetstream.outcome import StreamAssignment
from kvcore.jetstream.placement import Place
from kvcore.jetstream.planner import Planner
from tests.support.desk import START, Desk

NAMES = ("n1", "n2", "n3")


class View:
    """Three servers; every stream is led by n1, whose desk this is."""

    name = "kvc"

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.spare: tuple[Place, ...] = ()

    def places(self) -> Sequence[Place]:
        own = [Place(name, "kvc", (f"host:{name}",)) for name in NAMES]
        return (*own, *self.spare)

    def meta_leader(self) -> str:
        return "n1"

    def streams(self) -> Mapping[str, StreamAssignment]:
        return self.desk.meta.streams

    def holds(self, stream: str) -> bool:
        return stream in self.streams()

    def leader_of(self, stream: str) -> str:
        return "n1"

    def sight(self, stream: str) -> GroupSight:
        peers = self.streams()[stream].peers
        others = (name for name in peers if name != "n1")
        followers = tuple(Follower(name, is_current=True, active=5) for name in others)
        return GroupSight(peers, "n1", START, followers)

    def remapped(self, stream: str, without: str) -> tuple[str, ...]:
        return self.planner.peers(
            self.streams()[stream].config,
            self.streams(),
            now_at=self.streams()[stream].peers,
            without=(without,),
        )

    @property
    def planner(self) -> Planner:
        return Planner(self.places, lambda _name: "n1", "n1")


@pytest.fixture
def desk() -> Desk:
    desk = Desk(Identity("n1", "ID1", "2.11.0", cluster="kvc"))
    desk.view = view = View(desk)
    desk.cluster = view
    desk.meta._planner = view.planner
    desk.make("KV_1")
    desk.make("R3", subjects=["r3.>"], num_replicas=3)
    return desk


def refused(desk: Desk, verb: str, body: object = b"") -> tuple[int, int, str]:
    return desk.refused(verb, body)


def test_a_cluster_block_names_the_leader_and_shows_the_others():
    config = StreamConfig("S", num_replicas=3)
    assignment = StreamAssignment(7, config, 0, NAMES, NAMES)
    followers = (
        Follower("n1", is_current=True, active=264753),
        Follower("n2", is_current=False, active=0, lag=3, is_offline=True),
    )
    assert block("kvc", assignment, GroupSight(NAMES, "n3", START, followers)) == {
        "name": "kvc",
        "raft_group": "S-R3F-00000007",
        "leader": "n3",
        "leader_since": "2026-01-01T00:00:00Z",
        "system_account": True,
        "traffic_account": "$SYS",
        "replicas": [
            {"name": "n1", "current": True, "active": 264753, "peer": "n1"},
            {"name": "n2", "current": False, "offline": True, "active": 0, "lag": 3, "peer": "n2"},
        ],
    }
    assert "leader" not in block("kvc", assignment, GroupSight(NAMES, "", 0, followers))


def test_the_cluster_block_of_a_stream_in_one_copy_names_its_leader_alone():
    assignment = StreamAssignment(7, StreamConfig("S"), 0, ("n2",), ("n2",))
    assert block("kvc", assignment, GroupSight(("n2",), "n2")) == {"name": "kvc", "leader": "n2"}


def test_a_report_of_the_meta_group_says_how_many_are_needed():
    found = meta_block(
        "kvc", "n1", GroupSight(NAMES, "n1", 0, (Follower("n2", is_current=True, active=4),))
    )
    assert (found["cluster_size"], found["quorum_needed"], found["leader"]) == (3, 2, "n1")
    assert found["replicas"] == [{"name": "n2", "current": True, "active": 4, "peer": "n2"}]
    lone = meta_block("kvc", "n1", GroupSight(NAMES, ""))
    assert "leader" not in lone
    assert "replicas" not in lone


def test_answers_about_a_stream_say_where_it_is(desk):
    assert desk.ask("STREAM.INFO.KV_1")["cluster"] == {"name": "kvc", "leader": "n1"}
    cluster = desk.ask("STREAM.INFO.R3")["cluster"]
    assert [each["name"] for each in cluster["replicas"]] == ["n2", "n3"]
    body = {"name": "X", "subjects": ["x"], "num_replicas": 2}
    made = desk.ask("STREAM.CREATE.X", body)["cluster"]
    assert made["raft_group"].startswith("S-R2F-")
    assert desk.durable("c", "R3")["cluster"] == cluster
    assert desk.info("c", "R3")["cluster"] == cluster


@pytest.mark.parametrize("verb", ["STREAM.LEADER.STEPDOWN.R3", "META.LEADER.STEPDOWN"])
@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (
            {"placement": {"preferred": "zz"}},
            (400, 10005, 'preferred server "zz" not known'),
        ),
        (
            {"placement": {"preferred": "n1"}},
            (400, 10005, 'preferred server "n1" is already leader'),
        ),
        ({"placement": {"cluster": "zz"}}, (400, 10005, "no replacement peer connected")),
        ({"placement": {"tags": ["a:b"]}}, (400, 10005, "no replacement peer connected")),
        ({"bogus": 1}, (400, 10025, 'invalid JSON: json: unknown field "bogus"')),
    ],
)
def test_a_step_down_to_nowhere_is_refused(desk, verb, body, expected):
    assert desk.refused(verb, body) == expected


@pytest.mark.parametrize(
    ("body", "to"),
    [
        (b"", ""),
        (b"{}", ""),
        (b"step down!", ""),
        ({"placement": {}}, ""),
        ({"placement": {"preferred": "n3"}}, "n3"),
        ({"placement": {"tags": ["host:n2"]}}, "n2"),
        ({"placement": {"cluster": "kvc"}}, "n2"),
    ],
)
def test_a_step_down_may_name_who_shall_lead(desk, body, to):
    payload = body if isinstance(body, bytes) else json.dumps(body).encode()
    found = desk.api.handle("$JS.API.STREAM.LEADER.STEPDOWN.R3", "r", payload, START)
    assert found == [StepDown("R3", to, "stream_leader_stepdown", "r")]
    found = desk.api.handle("$JS.API.META.LEADER.STEPDOWN", "r", payload, START)
    assert found == [StepDown("", to, "meta_leader_stepdown", "r")]


def test_a_stream_in_one_copy_has_nobody_to_step_down_for(desk):
    assert desk.ask("STREAM.LEADER.STEPDOWN.KV_1") == {
        "type": "io.nats.jetstream.api.v1.stream_leader_stepdown_response",
        "success": True,
    }
    assert refused(desk, "STREAM.LEADER.STEPDOWN.NOPE")[1] == 10059


def test_a_consumers_leader_steps_down_with_its_stream(desk):
    desk.durable("c", "R3")
    found = desk.api.handle("$JS.API.CONSUMER.LEADER.STEPDOWN.R3.c", "r", b"", START)
    assert found == [StepDown("R3", "", "consumer_leader_stepdown", "r")]
    assert refused(desk, "CONSUMER.LEADER.STEPDOWN.R3.nope")[1] == 10014
    assert refused(desk, "CONSUMER.LEADER.STEPDOWN.NOPE.nope")[1] == 10059


@pytest.mark.parametrize(
    ("verb", "body", "expected"),
    [
        ("STREAM.PEER.REMOVE.R3", {"peer": "n2"}, (503, 10075, "peer remap failed")),
        ("STREAM.PEER.REMOVE.R3", {"peer": "zz"}, (400, 10040, "peer not a member")),
        ("STREAM.PEER.REMOVE.KV_1", {"peer": "n3"}, (400, 10040, "peer not a member")),
        ("STREAM.PEER.REMOVE.R3", b"", (400, 10003, "bad request")),
        ("STREAM.PEER.REMOVE.R3", {}, (400, 10003, "bad request")),
        ("STREAM.PEER.REMOVE.NOPE", {"peer": "n1"}, (404, 10059, "stream not found")),
        (
            "STREAM.PEER.REMOVE.R3",
            {"bogus": 1},
            (400, 10025, 'invalid JSON: json: unknown field "bogus"'),
        ),
        (
            "SERVER.REMOVE",
            {"peer": "zz"},
            (400, 10044, "server is not a member of the cluster"),
        ),
        ("SERVER.REMOVE", b"", (400, 10003, "bad request")),
        ("SERVER.REMOVE", {}, (400, 10003, "bad request")),
    ],
)
def test_a_removal_that_makes_no_sense_is_refused(desk, verb, body, expected):
    assert desk.refused(verb, body) == expected


def test_a_removed_peer_is_replaced_by_one_that_is_free(desk):
    desk.view.spare = (Place("n4", "kvc"),)
    answer = desk.ask("STREAM.PEER.REMOVE.R3", {"peer": "n2"})
    assert answer == {
        "type": "io.nats.jetstream.api.v1.stream_remove_peer_response",
        "success": True,
    }
    assert sorted(desk.meta.streams["R3"].peers) == ["n1", "n3", "n4"]


@pytest.mark.parametrize("field", ["peer", "peer_id"])
def test_a_server_is_removed_by_its_name(desk, field):
    body = json.dumps({field: "n3"}).encode()
    found = desk.api.handle("$JS.API.SERVER.REMOVE", "r", body, START)
    assert found == [RemoveServer("n3", "meta_server_remove", "r")]


def test_a_list_is_gathered_and_names_what_is_missing(desk):
    (gather,) = desk.api.handle("$JS.API.STREAM.LIST", "r", b"", START)
    assert isinstance(gather, Gather)
    assert gather.names == ("KV_1", "R3")
    listed = desk.api.listed(("KV_1",), START)
    answer = json.loads(desk.api.gathered(gather, listed, ()))
    assert [each["config"]["name"] for each in answer["streams"]] == ["KV_1"]
    assert (answer["missing"], answer["total"], answer["limit"]) == (["R3"], 2, 256)
    whole = json.loads(desk.api.gathered(gather, desk.api.listed(gather.names, START), ()))
    assert "missing" not in whole
    assert desk.ask("STREAM.NAMES")["streams"] == ["KV_1", "R3"]


def test_what_an_account_holds_is_the_sum_over_the_servers(desk):
    desk.put("k", name="KV_1")
    (gather,) = desk.api.handle("$JS.API.INFO", "r", b"", START)
    assert isinstance(gather, Gather)
    own = desk.api.usage()
    other = {**dict.fromkeys(own, 0), "storage": 1000, "consumers": 2}
    answer = json.loads(desk.api.gathered(gather, {}, (own, other)))
    assert answer["storage"] == own["storage"] + 1000 > 1000
    assert (answer["streams"], answer["consumers"]) == (2, 2)


def test_a_server_on_its_own_asks_for_a_cluster():
    desk = Desk()
    desk.make("S", subjects=["s"])
    for verb in ("STREAM.LEADER.STEPDOWN.S", "STREAM.PEER.REMOVE.S"):
        assert desk.refused(verb) == (503, 10010, "JetStream clustering support required")
    assert "$JS.API.META.LEADER.STEPDOWN" not in desk.api.subscriptions()
    assert desk.api.verbs_of("S") == []


def test_a_streams_leader_hears_the_verbs_about_the_stream(desk):
    verbs = desk.api.verbs_of("KV_1")
    assert "$JS.API.STREAM.INFO.KV_1" in verbs
    assert "$JS.API.CONSUMER.CREATE.KV_1.>" in verbs
    assert "$JS.API.STREAM.CREATE.KV_1" not in verbs


@pytest.mark.parametrize(
    ("subject", "scope", "stream", "waits"),
    [
        ("$JS.API.INFO", Scope.META, "", False),
        ("$JS.API.STREAM.CREATE.S", Scope.META, "S", False),
        ("$JS.API.STREAM.INFO.S", Scope.STREAM, "S", True),
        ("$JS.API.CONSUMER.CREATE.S.c.$KV.b.>", Scope.STREAM, "S", False),
        ("$JS.API.CONSUMER.INFO.S.c", Scope.STREAM, "S", True),
        ("$JS.API.SERVER.REMOVE", Scope.CLUSTER, "", False),
    ],
)
def test_a_subject_says_whose_leader_answers(subject, scope, stream, waits):
    found = asked(subject)
    assert found is not None
    assert (found.scope, found.stream, found.waits) == (scope, stream, waits)
    assert asked("$JS.API.STREAM.NOSUCH.x") is None


def test_replicas_of_a_consumer_are_at_most_those_of_its_stream(desk):
    config = {"durable_name": "c", "ack_policy": "explicit", "num_replicas": 5}
    body = {"stream_name": "R3", "config": config}
    assert desk.refused("CONSUMER.CREATE.R3.c", body)[1] == 10126
