"""What STREAM.INFO tells of a stream's gaps, of its place, and of what its owner noted."""

import pytest

from kvcore import limits
from tests.support.driven import Driver, bucket


@pytest.fixture
def server():
    driver = Driver()
    driver.sync()
    driver.client()
    return driver


def make(server, **config):
    return server.request("$JS.API.STREAM.CREATE.KV_b", bucket(**config))


def put(server, *keys):
    for key in keys:
        server.publish(f"$KV.b.{key}", b"v")
    server.sync()
    server.heard()


def state(server, name="KV_b"):
    return server.request(f"$JS.API.STREAM.INFO.{name}", {"deleted_details": True})["state"]


def test_the_gaps_inside_and_at_the_end_are_listed_and_counted(server):
    make(server, max_msgs_per_subject=9)
    put(server, *"abcdef")
    for seq in (3, 6):
        server.request("$JS.API.STREAM.MSG.DELETE.KV_b", {"seq": seq})
    found = state(server)
    assert (found["deleted"], found["num_deleted"]) == ([3, 6], 2)


def test_more_gaps_than_the_bound_are_counted_all_and_listed_in_part(server, monkeypatch):
    monkeypatch.setattr(limits, "DELETED_DETAILS_COUNT", 4)
    make(server)
    put(server, "first", *["k"] * 10)
    found = state(server)
    assert (found["deleted"], found["num_deleted"]) == ([2, 3, 4, 5], 9)


def test_a_gap_wider_than_any_list_is_told_and_passed_at_once(server):
    make(server)
    put(server, "a")
    server.request(
        "$JS.API.STREAM.CREATE.M", {"name": "M", "mirror": {"name": "KV_b"}, "storage": "memory"}
    )
    server.sync()
    far = 10**15
    server.request("$JS.API.STREAM.PURGE.KV_b", {"seq": far})
    put(server, "z")
    found = state(server, "M")
    assert (found["messages"], found["first_seq"], found["last_seq"]) == (2, 1, far)
    assert found["num_deleted"] == far - 2
    assert found["deleted"] == list(range(2, 2 + limits.DELETED_DETAILS_COUNT))
    server.request("$JS.API.STREAM.MSG.DELETE.M", {"seq": 1})
    assert state(server, "M")["first_seq"] == far


def test_a_placement_is_shown_and_changed_and_changes_nothing(server):
    wanted = {"cluster": "x", "tags": ["ssd", "eu"]}
    assert make(server, placement=wanted)["config"]["placement"] == wanted
    assert "placement" not in server.request("$JS.API.STREAM.UPDATE.KV_b", bucket())["config"]
    other = server.request("$JS.API.STREAM.UPDATE.KV_b", bucket(placement={"tags": ["ssd"]}))
    assert other["config"]["placement"] == {"tags": ["ssd"]}


def test_a_placement_names_no_server(server):
    error = make(server, placement={"preferred": "n1"})["error"]
    assert (error["code"], error["err_code"]) == (500, 10052)
    assert error["description"] == "preferred server not permitted in placement"


def test_what_the_owner_noted_comes_back_as_it_was(server):
    mine = {"team": "a", "": "empty name", "long": "x" * 1000}
    config = make(server, metadata=mine, compression="s2")["config"]
    assert {key: config["metadata"][key] for key in mine} == mine
    assert config["compression"] == "s2"
    again = Driver(server.stores)
    again.sync()
    again.client()
    assert again.request("$JS.API.STREAM.INFO.KV_b")["config"] == config
