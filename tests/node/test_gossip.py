"""What servers of a cluster tell clients, and those who ask, of each other: nats-wire §5.1."""

import json
import re

import pytest

from kvcore.node.io import Operator, Order
from kvcore.node.questions import plain
from tests.support.mesh import HELLO, Mesh

OLD = HELLO.replace(b'"protocol":1', b'"protocol":0')
A, B, C = ("127.0.0.1:4222", "127.0.0.1:4223", "127.0.0.1:4224")


def infos(heard: bytes) -> list[dict]:
    return [json.loads(line[5:]) for line in heard.split(b"\r\n") if line.startswith(b"INFO")]


def urls(heard: bytes) -> list[list[str]]:
    return [info.get("connect_urls") for info in infos(heard)]


def _greeting(mesh: Mesh, name: str) -> bytes:
    """All that a new client hears at first."""
    heard = []
    mesh.on_turn = lambda _name, effects: heard.extend(effects.writes.values())
    mesh.client(name)
    mesh.on_turn = lambda _name, _effects: None
    return b"".join(heard)


def test_a_server_of_a_cluster_that_knows_no_other_names_no_addresses():
    mesh = Mesh("a", "b", linked=False)
    first, second = infos(_greeting(mesh, "a"))
    assert "connect_urls" not in first
    assert "connect_urls" not in second
    assert first["cluster"] == "C"


def test_each_change_is_one_info_with_the_own_address_first():
    mesh = Mesh("a", "b", "c", linked=False)
    conn, old, shy = mesh.client("a"), mesh.client("a", OLD), mesh.client("a", HELLO[:-6])
    mesh.link("a", "c")
    mesh.settle()
    assert urls(mesh.heard(conn)) == [[A, C]]
    mesh.link("a", "b")
    mesh.settle()
    assert urls(mesh.heard(conn)) == [[A, B, C]]
    assert urls(_greeting(mesh, "b")) == [[B, A]] * 2
    mesh.unlink("a", "c")
    assert urls(mesh.heard(conn)) == [[A, B]]
    mesh.unlink("a", "b")
    assert urls(mesh.heard(conn)) == [[A]]
    assert mesh.heard(old) == mesh.heard(shy) == b""


def test_a_link_that_brings_no_introduction_changes_nothing():
    mesh = Mesh("a", "b", linked=False)
    conn = mesh.client("a")
    mesh.link("a", "b")
    mesh.pipes["b", "a"].clear()
    mesh.settle()
    mesh.unlink("a", "b")
    assert mesh.heard(conn) == b""


@pytest.mark.parametrize("names", ["ab", "a"])
def test_a_server_about_to_go_is_named_no_more_by_anybody(names):
    mesh = Mesh(*names)
    own, other = mesh.client("a"), mesh.client("b") if "b" in names else 0
    mesh.turn("a", Operator(Order.LAME_DUCK))
    mesh.settle()
    (told,) = infos(mesh.heard(own))
    assert told["ldm"]
    if not other:
        assert "connect_urls" not in told
        return
    assert told["connect_urls"] == [B]
    assert urls(mesh.heard(other)) == [[B]]
    mesh.stop("a")
    assert mesh.heard(other) == b""


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"advertise": "example.com:1", "host": "0.0.0.0"}, ["example.com:1"]),
        ({"host": "::1"}, ["[::1]:4222"]),
        ({"host": "0.0.0.0"}, []),  # no client could use it
    ],
)
def test_the_address_that_clients_can_use_is_the_one_named(settings, named):
    mesh = Mesh("a", linked=False)
    mesh.start("b", **settings)
    conn = mesh.client("a")
    mesh.link("a", "b")
    mesh.settle()
    assert urls(mesh.heard(conn)) == [[A, *named]]


@pytest.mark.parametrize("verb", ["", ".VARZ", ".CONNZ", ".ROUTEZ", ".HEALTHZ", ".STATSZ"])
def test_each_server_answers_a_question_to_all_once(verb):
    mesh = Mesh("a", "b", "c")
    answers = mesh.request(mesh.client("b"), f"$SYS.REQ.SERVER.PING{verb}")
    assert sorted(answer["server"]["name"] for answer in answers) == ["a", "b", "c"]
    assert {answer["server"]["cluster"] for answer in answers} == {"C"}


def test_a_question_to_one_server_is_answered_by_it_wherever_it_is_asked():
    mesh = Mesh("a", "b", "c")
    (answer,) = mesh.request(mesh.client("a"), "$SYS.REQ.SERVER.ID-c.VARZ")
    assert answer["server"]["name"] == "c"
    (named,) = mesh.request(mesh.client("a"), "$SYS.REQ.SERVER.PING", {"server_name": "b"})
    assert named["server"]["name"] == "b"


def test_a_user_is_told_of_himself_by_his_own_server_alone():
    mesh = Mesh("a", "b", "c")
    (answer,) = mesh.request(mesh.client("b"), "$SYS.REQ.USER.INFO")
    assert answer["server"]["name"] == "b"
    assert answer["data"]["account"] == "$G"


def test_routez_has_a_row_for_each_peer_and_its_counts_are_true():
    mesh = Mesh("a", "b", "c")
    taker, publisher = mesh.client("b"), mesh.client("a")
    rows = {row["remote_name"]: row for row in _asked(mesh, "routez")["routes"]}
    before = rows["b"]["subscriptions"]
    mesh.say(taker, b"SUB x 1\r\nSUB x 2\r\nSUB x q 3\r\n")
    for _ in range(3):
        mesh.publish(publisher, "x", b"four")
    mesh.publish(taker, "y", b"nobody")
    document = _asked(mesh, "routez")
    assert (document["num_routes"], document["server_name"]) == (2, "a")
    rows = {row["remote_name"]: row for row in document["routes"]}
    assert sorted(rows) == ["b", "c"]
    assert (rows["b"]["out_msgs"], rows["b"]["out_bytes"]) == (3, 12)
    assert (rows["b"]["in_msgs"], rows["c"]["out_msgs"]) == (0, 0)
    assert rows["b"]["subscriptions"] == before + 2
    assert rows["c"]["remote_id"] == "ID-c"
    assert _asked(mesh, "routez", "b")["routes"][0]["in_msgs"] == 3
    varz = _asked(mesh, "varz")
    assert (varz["routes"], varz["remotes"], varz["cluster"]) == (2, 2, {"name": "C"})
    assert list(varz["connect_urls"]) == [A, B, C]
    stats = _asked(mesh, "statsz")
    assert stats["active_servers"] == 3
    assert [row["sent"]["msgs"] for row in stats["routes"]] == [3, 0]


def _asked(mesh: Mesh, about: str, name: str = "a") -> dict:
    return dict(mesh.nodes[name].report(plain(about), mesh.now).document)


def test_no_client_is_told_anything_of_a_cluster_where_there_is_none():
    mesh = Mesh(cluster=None)
    mesh.start("a")
    assert not re.search(rb"connect_urls|cluster", _greeting(mesh, "a"))
    assert _asked(mesh, "routez")["routes"] == []
    assert _asked(mesh, "varz")["cluster"] == {}
