"""Servers that found a cluster by meeting: who answers what, who holds what, and what changes."""

import json

import pytest

from kvcore.limits import SECOND_NS
from kvcore.node.questions import Question, plain
from tests.support.driven import bucket
from tests.support.gang import Gang

UNAVAILABLE = (503, 10008, "JetStream system temporarily unavailable")


# Founding and growing.


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_servers_that_meet_found_a_cluster(size):
    gang = Gang(size)
    gang.wait(1)
    groups = [node._meta_group for node in gang.nodes.values()]
    assert {group.members.voters for group in groups} == {gang.names}
    assert len({group.leader for group in groups}) == 1


@pytest.mark.parametrize("seed", range(6))
def test_links_may_come_in_any_order_and_late(seed):
    gang = Gang(3, seed=seed, linked=False)
    gang.link("a", "b")
    gang.wait(2)
    assert gang.meta_leader() == ""
    gang.link("c", "b")
    gang.wait(2)
    gang.link("a", "c")
    gang.until(gang.meta_leader)


def test_a_server_that_was_away_while_the_others_founded_is_a_founder_still():
    gang = Gang(3, linked=False)
    gang.link("a", "b")
    gang.link("b", "c")
    gang.link("a", "c")
    gang.until(gang.meta_leader)
    gang.crash("c")
    gang.stores["c"] = {name: type(store)() for name, store in gang.stores["c"].items()}
    gang.start("c")
    gang.join("c")
    gang.until(lambda: gang.nodes["c"]._meta_group.leader)
    gang.make("x")
    gang.until(lambda: gang.holders("x") == ["a", "b", "c"])


def test_a_newcomer_is_added_and_gets_streams():
    gang = Gang(3)
    gang.make("x", 3)
    gang.newcomer("d")
    leader = gang.nodes[gang.meta_leader()]
    gang.until(lambda: leader._meta_group.members.voters == ("a", "b", "c", "d"))
    gang.make("y", 1)
    gang.until(lambda: gang.holders("y") == ["d"])
    assert gang.one("d", "STREAM.NAMES")["streams"] == ["KV_x", "KV_y"]


def test_a_restarted_server_is_no_newcomer():
    gang = Gang(3)
    gang.make("x")
    gang.crash("b")
    gang.wait(1)
    gang.restart("b")
    gang.until(lambda: gang.nodes["b"]._meta_group.leader)
    assert gang.nodes["b"]._meta_group.members.voters == ("a", "b", "c")


# One answer always.


@pytest.mark.parametrize("at", ["a", "b", "c"])
def test_each_request_has_one_answer_wherever_it_is_asked(at):
    gang = Gang(3)
    gang.make("one", 1)
    gang.make("three", 3)
    for verb, kind in {
        "INFO": "account_info",
        "STREAM.NAMES": "stream_names",
        "STREAM.LIST": "stream_list",
        "STREAM.INFO.KV_one": "stream_info",
        "STREAM.INFO.KV_three": "stream_info",
        "STREAM.PURGE.KV_three": "stream_purge",
        "CONSUMER.NAMES.KV_three": "consumer_names",
        "CONSUMER.LIST.KV_one": "consumer_list",
    }.items():
        answer = gang.one(at, verb)
        assert answer["type"].endswith(f"{kind}_response")
        assert "error" not in answer
    for verb, number in {
        "STREAM.INFO.NOPE": 10059,
        "STREAM.PURGE.NOPE": 10059,
        "STREAM.DELETE.NOPE": 10059,
        "CONSUMER.INFO.NOPE.c": 10059,
        "CONSUMER.INFO.KV_three.nope": 10014,
        "STREAM.LEADER.STEPDOWN.NOPE": 10059,
        "STREAM.PEER.REMOVE.NOPE": 10003,
    }.items():
        assert gang.refused(at, verb)[1] == number


@pytest.mark.parametrize("at", ["a", "b", "c"])
def test_create_is_answered_by_the_new_streams_leader(at):
    gang = Gang(3)
    answer = gang.make("x", 3, at=at)
    assert answer["did_create"] is True
    cluster = answer["cluster"]
    assert (cluster["name"], cluster["leader"]) == ("C", gang.leader("x"))
    assert len(cluster["replicas"]) == 2
    again = gang.make("x", 3, at=at)
    assert "did_create" not in again
    assert gang.refused(at, "STREAM.CREATE.KV_x", bucket("x"))[1] == 10058


def test_create_update_and_delete_are_carried_out_wherever_they_are_asked():
    gang = Gang(3)
    for at in gang.names:
        gang.make(at, 1, at=at)
    body = bucket("a", num_replicas=1, description="d")
    assert gang.one("c", "STREAM.UPDATE.KV_a", body)["config"]["description"] == "d"
    assert gang.one("b", "STREAM.DELETE.KV_a")["success"] is True
    assert gang.one("a", "STREAM.NAMES")["streams"] == ["KV_b", "KV_c"]
    assert gang.holders("a") == []


def test_more_replicas_than_servers_are_refused():
    gang = Gang(3)
    assert gang.refused("a", "STREAM.CREATE.KV_x", bucket("x", num_replicas=4)) == (
        400,
        10005,
        "no suitable peers for placement",
    )


def test_a_server_on_its_own_has_one_replica_of_everything():
    gang = Gang(1)
    assert gang.make("x", 1)["cluster"] == {"name": "C", "leader": "a"}


# Without a leader.


def minority(size=3):
    """A server that has lost all others, and noticed; it holds KV_all, and KV_mine alone."""
    gang = Gang(size)
    gang.make("all", size)
    gang.make("mine", 1, placement={"tags": ["host:a"]})
    gang.make("other", 1, placement={"tags": ["host:b"]})
    for name in gang.names[1:]:
        gang.crash(name)
    gang.wait(3)
    return gang


@pytest.mark.parametrize(
    ("verb", "body"),
    [
        ("INFO", None),
        ("STREAM.NAMES", None),
        ("STREAM.LIST", None),
        ("STREAM.CREATE.KV_q", bucket("q")),
        ("STREAM.DELETE.KV_all", None),
        ("STREAM.PURGE.KV_all", None),
        ("STREAM.PURGE.KV_other", None),
        ("STREAM.MSG.GET.KV_all", {"seq": 1}),
        ("CONSUMER.NAMES.KV_all", None),
        ("STREAM.LEADER.STEPDOWN.KV_all", None),
        ("STREAM.PEER.REMOVE.KV_all", {"peer": "b"}),
        ("META.LEADER.STEPDOWN", None),
    ],
)
def test_without_a_majority_the_api_is_unavailable_at_once(verb, body):
    gang = minority()
    before = gang.now
    assert gang.refused("a", verb, body, seconds=0.1) == UNAVAILABLE
    assert gang.now - before < SECOND_NS // 2


@pytest.mark.parametrize("verb", ["STREAM.INFO.NOPE", "STREAM.INFO.KV_other"])
def test_who_asks_how_a_stream_is_waits_half_a_second_for_a_leader(verb):
    gang = minority()
    assert gang.answers("a", verb, seconds=0.4) == []
    assert gang.refused("a", verb, seconds=0.6) == UNAVAILABLE


def test_a_server_shows_the_replica_that_it_has_without_a_leader():
    gang = minority()
    cluster = gang.one("a", "STREAM.INFO.KV_all")["cluster"]
    assert "leader" not in cluster
    assert [each["name"] for each in cluster["replicas"]] == ["a", "b", "c"]
    assert [each.get("offline", False) for each in cluster["replicas"]] == [False, True, True]


def test_a_stream_that_has_its_majority_is_served_without_a_meta_leader():
    gang = minority()
    assert gang.one("a", "STREAM.INFO.KV_mine")["cluster"]["leader"] == "a"
    assert gang.one("a", "STREAM.PURGE.KV_mine")["success"] is True


def test_a_stream_without_a_leader_is_unavailable_though_the_cluster_is_there():
    gang = Gang(3)
    gang.make("x", 1, placement={"tags": ["host:b"]})
    gang.crash("b")
    gang.until(gang.meta_leader)
    for at in ("a", "c"):
        assert gang.refused(at, "STREAM.PURGE.KV_x") == UNAVAILABLE
        assert gang.refused(at, "STREAM.INFO.KV_x") == UNAVAILABLE
    listed = gang.one("a", "STREAM.LIST", seconds=3)
    assert (listed["missing"], listed["total"], listed["streams"]) == (["KV_x"], 1, [])
    assert gang.one("a", "STREAM.NAMES")["streams"] == ["KV_x"]


def test_an_update_that_nobody_can_carry_out_is_answered_after_four_seconds():
    gang = Gang(3)
    gang.make("x", 1, placement={"tags": ["host:b"]})
    gang.crash("b")
    gang.until(gang.meta_leader)
    body = bucket("x", placement={"tags": ["host:b"]}, description="d")
    assert gang.answers("a", "STREAM.UPDATE.KV_x", body, seconds=3.5) == []
    body["description"] = "e"
    assert gang.refused("a", "STREAM.UPDATE.KV_x", body, seconds=5) == UNAVAILABLE


# Gathering.


def test_a_list_has_the_states_of_streams_that_are_led_anywhere():
    gang = Gang(3)
    for name in "uvw":
        gang.make(name, 1)
        conn = gang.client("a")
        gang.put(conn, name, "k", b"value")
    assert sorted(gang.leader(name) for name in "uvw") == ["a", "b", "c"]
    for at in gang.names:
        listed = gang.one(at, "STREAM.LIST")
        assert [each["state"]["messages"] for each in listed["streams"]] == [1, 1, 1]
        assert "missing" not in listed
        info = gang.one(at, "INFO")
        assert info["streams"] == 3
        assert info["storage"] == sum(each["state"]["bytes"] for each in listed["streams"])


def test_a_list_names_who_did_not_answer_in_two_seconds():
    gang = Gang(3)
    for name in "uvw":
        gang.make(name, 1)
    led_there = next(name for name in "uvw" if gang.leader(name) != gang.meta_leader())
    silent = gang.leader(led_there)
    hold(gang, silent)
    at = gang.meta_leader()
    assert gang.answers(at, "STREAM.LIST", seconds=1.5) == []
    listed = gang.one(at, "STREAM.LIST", seconds=2.5)
    assert listed["missing"] == [f"KV_{led_there}"]


def hold(gang, silent):
    """What the server writes to its peers arrives no more; its links stay."""
    send = gang.turn

    def turn(name, *events):
        effects = send(name, *events)
        if name == silent:
            for other in gang.names:
                if (name, other) in gang.pipes:
                    gang.pipes[name, other].clear()
        return effects

    gang.turn = turn


# Replicas.


def test_replicas_grow_and_shrink_while_the_bucket_is_used():
    gang = Gang(5)
    gang.make("x", 1)
    first = gang.leader("x")
    conn = gang.client(first)
    count = 0
    for replicas in (3, 5, 3, 2, 1):
        assert "error" not in gang.edit("x", replicas)
        for _ in range(5):
            count += 1
            assert gang.put(conn, "x", f"k{count}", b"v")["seq"] == count
        gang.until(lambda replicas=replicas: len(gang.voters("x")) == replicas)
        gang.until(lambda replicas=replicas: len(gang.holders("x")) == replicas)
        gang.until(lambda: gang.is_level("x"))
        for name in gang.holders("x"):
            assert len(gang.contents(name, "x")) == count
    assert gang.leader("x") == first
    info = gang.one("a", "STREAM.INFO.KV_x")
    assert (info["config"]["num_replicas"], info["cluster"]) == (1, {"name": "C", "leader": first})


@pytest.mark.parametrize("pause", [0, 1.5], ids=["at once", "when it has left"])
@pytest.mark.parametrize("seed", range(3))
def test_a_server_that_a_bucket_left_takes_it_again(seed, pause):
    gang = Gang(3, seed=seed)
    gang.make("x", 1)
    gang.put(gang.client("a"), "x", "k", b"v")
    for replicas in (3, 1, 3, 1, 3):
        assert "error" not in gang.edit("x", replicas)
        gang.until(lambda replicas=replicas: len(gang.voters("x")) == replicas)
        gang.wait(pause)
    gang.until(lambda: gang.is_level("x"))


def test_a_bucket_that_shrinks_to_one_server_takes_no_heartbeat_from_the_others():
    gang = Gang(3)
    for name in ("x", "y", "z"):
        gang.make(name, 3, at="a")
    leader = gang.leader("y")
    for name in ("x", "z"):
        if gang.leader(name) != leader:
            body = {"placement": {"preferred": leader}}
            assert gang.one("a", f"STREAM.LEADER.STEPDOWN.KV_{name}", body)["success"]
            gang.until(lambda name=name: gang.leader(name) == leader)
    terms = {name: gang.host(leader, name).group.term for name in ("x", "y", "z")}
    for name in ("z", "x"):
        assert "error" not in gang.edit(name, 1)
        gang.until(lambda name=name: len(gang.voters(name)) == 1)
    gang.wait(5)
    assert {name: gang.host(leader, name).group.term for name in ("x", "y", "z")} == terms


def test_a_server_that_shall_hold_a_bucket_no_more_does_not_say_that_nobody_leads_it():
    gang = Gang(3)
    gang.make("x", 3)
    gang.one("a", "STREAM.UPDATE.KV_x", bucket("x", num_replicas=1), seconds=0.1)
    gang.until(lambda: len(gang.voters("x")) == 1)
    lone = [name for name in gang.holders("x") if name != gang.leader("x")]
    gang.until(lambda: any(not gang.host(name, "x").group.leader for name in lone))
    for name in lone:
        answer = gang.one(name, "STREAM.LEADER.STEPDOWN.KV_x", seconds=0.02)
        assert answer.get("success"), (name, answer)


@pytest.mark.parametrize("storage", ["file", "memory"])
def test_a_stream_moves_to_a_server_with_another_tag(storage):
    gang = Gang(3)
    gang.make("x", 1, placement={"tags": ["host:a"]}, storage=storage)
    conn = gang.client("b")
    gang.put(conn, "x", "k", b"v")
    answer = gang.edit("x", 1, placement={"tags": ["host:c"]}, storage=storage)
    assert answer["config"]["placement"] == {"tags": ["host:c"]}
    gang.until(lambda: gang.holders("x") == ["c"])
    gang.until(lambda: gang.leader("x") == "c")
    assert gang.get(conn, "x", "k").endswith(b"v")


def test_a_server_that_is_down_while_its_replica_is_removed_drops_it_when_it_is_back():
    gang = Gang(3)
    gang.make("x", 3)
    gone = gang.follower("x")
    gang.crash(gone)
    gang.until(lambda: gang.leader("x") and gang.meta_leader())
    assert "error" not in gang.edit("x", 2, at=gang.leader("x"))
    gang.until(lambda: len(gang.voters("x")) == 2)
    gang.restart(gone)
    gang.until(lambda: gone not in gang.holders("x"))


def test_a_removed_peer_is_replaced_and_its_replica_destroyed():
    gang = Gang(4)
    gang.make("x", 3)
    conn = gang.client("a")
    gang.put(conn, "x", "k", b"v")
    gone = gang.follower("x")
    spare = next(name for name in gang.names if name not in gang.holders("x"))
    assert gang.one("a", "STREAM.PEER.REMOVE.KV_x", {"peer": gone})["success"] is True
    gang.until(lambda: gone not in gang.holders("x"))
    assert spare in gang.voters("x")
    assert len(gang.contents(spare, "x")) == 1
    assert gang.refused("a", "STREAM.PEER.REMOVE.KV_x", {"peer": gone})[1] == 10040


def test_the_leader_itself_can_be_removed_from_a_stream():
    gang = Gang(4)
    gang.make("x", 3)
    gone = gang.leader("x")
    assert gang.one("a", "STREAM.PEER.REMOVE.KV_x", {"peer": gone})["success"] is True
    gang.until(lambda: gone not in gang.holders("x"))
    assert gang.until(lambda: gang.leader("x")) != gone


def test_a_server_that_is_gone_for_good_is_taken_out_of_everything():
    gang = Gang(4)
    gang.make("x", 3)
    gone = gang.leader("x")
    gang.crash(gone)
    at = gang.until(gang.meta_leader)
    gang.until(lambda: gang.leader("x"))
    assert gang.one(at, "SERVER.REMOVE", {"peer": gone}, seconds=4)["success"] is True
    left = tuple(name for name in gang.names if name != gone)
    assert gang.nodes[at]._meta_group.members.voters == left
    gang.until(lambda: gang.voters("x") == list(left))
    assert gang.refused(at, "SERVER.REMOVE", {"peer": gone})[1] == 10044


# Step-down.


def test_a_stream_is_handed_to_the_server_that_is_named():
    gang = Gang(3)
    gang.make("x", 3)
    to = gang.follower("x")
    body = {"placement": {"preferred": to}}
    assert gang.one("a", "STREAM.LEADER.STEPDOWN.KV_x", body)["success"] is True
    gang.until(lambda: gang.leader("x") == to)
    assert gang.one("a", "STREAM.INFO.KV_x")["cluster"]["leader"] == to
    assert gang.refused("a", "STREAM.LEADER.STEPDOWN.KV_x", body)[1] == 10005


def test_a_stream_is_handed_to_anyone_when_nobody_is_named():
    gang = Gang(3)
    gang.make("x", 3)
    before = gang.leader("x")
    assert gang.one("a", "STREAM.LEADER.STEPDOWN.KV_x")["success"] is True
    gang.until(lambda: gang.leader("x") not in ("", before))


def test_the_meta_group_is_handed_over():
    gang = Gang(3)
    before = gang.meta_leader()
    to = next(name for name in gang.names if name != before)
    body = {"placement": {"preferred": to}}
    assert gang.one("a", "META.LEADER.STEPDOWN", body)["success"] is True
    gang.until(lambda: gang.meta_leader() == to)
    assert gang.make("x", 3)["did_create"] is True


def test_a_bucket_made_while_nobody_led_is_made_once_somebody_does():
    gang = Gang(3)
    gang.crash(gang.meta_leader())
    at = next(iter(gang.nodes))
    assert gang.refused(at, "STREAM.CREATE.KV_x", bucket("x"), seconds=0.01) == UNAVAILABLE
    gang.until(gang.meta_leader)
    assert gang.make("x", 1, at=at)["did_create"] is True


def test_an_answer_about_a_stream_is_json_of_its_kind_even_from_far_away():
    gang = Gang(5)
    gang.make("x", 3)
    far = next(name for name in gang.names if name not in gang.holders("x"))
    info = gang.one(far, "STREAM.INFO.KV_x")
    assert json.dumps(info["cluster"]["replicas"])
    assert {each["current"] for each in info["cluster"]["replicas"]} == {True}


def test_a_server_whose_disk_was_emptied_gets_its_streams_back_before_it_votes():
    gang = Gang(3)
    gang.make("x", 3)
    conn = gang.client("a")
    assert gang.put(conn, "x", "k", b"v")
    gone = gang.follower("x")
    gang.crash(gone)
    gang.stores[gone] = {name: type(store)() for name, store in gang.stores[gone].items()}
    gang.start(gone)
    assert gang.host(gone, "x") is None
    gang.join(gone)
    gang.until(lambda: gang.host(gone, "x") is not None)
    gang.until(lambda: not gang.host(gone, "x").group.raft.is_recovering)
    gang.until(lambda: gang.is_level("x"))
    assert len(gang.contents(gone, "x")) == 1


# Reports.


def report(gang, name, about, **options):
    question = plain(about)
    wanted = Question(about, {**question.options, **options})
    return gang.nodes[name].report(wanted, gang.now)


def test_reports_show_the_meta_group():
    gang = Gang(3)
    gang.make("x", 3)
    leader = gang.meta_leader()
    for name in gang.names:
        jsz = report(gang, name, "jsz", raft=True, streams=True).document
        meta = jsz["meta_cluster"]
        assert (meta["name"], meta["leader"], meta["peer"]) == ("C", leader, name)
        assert (meta["cluster_size"], meta["quorum_needed"]) == (3, 2)
        assert jsz["ha_assets"] == 2
        assert jsz["streams_leader"] == (name == gang.leader("x"))
        (detail,) = jsz["account_details"][0]["stream_detail"]
        assert detail["cluster"]["leader"] == gang.leader("x")
        assert report(gang, name, "varz").document["jetstream"]["meta"] == meta
    replicas = report(gang, leader, "jsz").document["meta_cluster"]["replicas"]
    assert [each["current"] for each in replicas] == [True, True]


def test_a_report_of_groups_says_who_leads_and_how_far_each_log_is():
    gang = Gang(3)
    gang.make("x", 3)
    gang.make("one", 1)
    for name in gang.names:
        found = report(gang, name, "raftz").document
        meta = found["$SYS"]["_meta_"]
        assert meta["leader"] == gang.meta_leader()
        assert meta["state"] == ("LEADER" if name == gang.meta_leader() else "FOLLOWER")
        assert meta["committed"] == meta["applied"] == meta["pindex"]
        (group,) = found["$G"].values()
        assert (group["stream"], group["size"]) == ("KV_x", 3)


def test_a_server_is_healthy_while_it_knows_of_leaders():
    gang = Gang(3)
    gang.make("x", 3)
    gang.wait(1)
    assert [report(gang, name, "healthz").status for name in gang.names] == [200, 200, 200]
    gang = minority()
    assert report(gang, "a", "healthz").document["error"] == (
        "JetStream has not established contact with a meta leader"
    )
