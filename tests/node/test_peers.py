"""Servers of a cluster: who hears whom over links, whatever way the bytes are split."""

from dataclasses import replace

import pytest

from kvcore import limits
from kvcore.node.io import PeerConnected
from kvcore.raft.entry import CodecError
from tests.support.driven import Driver
from tests.support.mesh import Mesh


def test_servers_that_are_linked_know_each_other_by_name():
    mesh = Mesh("b", "a", "c")
    assert mesh.nodes["c"].peers.names == ("a", "b")
    hello = mesh.nodes["c"].peers.hello("b")
    assert hello.name == "b"
    assert hello.urls == ("127.0.0.1:4222",)
    assert hello.size == 3
    assert hello.is_fresh


def test_a_server_on_its_own_has_no_peers():
    with pytest.raises(AssertionError, match="on its own"):
        Driver().turn(PeerConnected("n2"))


def test_a_peer_that_is_gone_is_forgotten_and_told_of():
    mesh = Mesh("a", "b")
    gone, peers = [], mesh.nodes["a"].peers
    peers.on_gone = gone.append
    mesh.unlink("a", "b")
    assert (gone, peers.names, peers.hello("b")) == (["b"], (), None)
    peers.send_raft("b", 7, b"lost")
    peers.note("b", 7, {})
    assert peers.drain() == ({}, ())


def test_a_server_introduces_itself_anew_when_it_has_changed():
    mesh = Mesh("a", "b")
    told, peers = [], mesh.nodes["a"].peers
    peers.on_hello = lambda peer: told.append(peers.hello(peer).founders)
    other = mesh.nodes["b"].peers
    other.introduce(replace(other.me, is_fresh=False, founders=("a", "b")))
    mesh.turn("b")
    mesh.settle()
    assert told == [("a", "b")]
    assert not peers.hello("b").is_fresh


@pytest.mark.parametrize("seed", range(5))
def test_consensus_and_notes_arrive_in_order_however_they_are_split(seed):
    mesh = Mesh("a", "b", seed=seed)
    heard, peers = [], mesh.nodes["b"].peers
    peers.on_raft = lambda *said: heard.append(said)
    peers.on_note = lambda *said: heard.append(said)
    said = mesh.nodes["a"].peers
    for number in range(20):
        said.send_raft("b", 2**63 + number, bytes([number]) * (number * 1000))
        said.note("b", number, {"n": number}, b"\n" * number)
    mesh.turn("a")
    mesh.settle()
    expected = []
    for number in range(20):
        expected.append(("a", 2**63 + number, bytes([number]) * (number * 1000)))
        expected.append(("a", number, {"n": number}, b"\n" * number))
    assert heard == expected


def test_what_is_too_large_for_a_frame_is_dropped_and_the_link_stays(monkeypatch):
    monkeypatch.setattr(limits, "PEER_FRAME_BYTES", 1000)
    mesh = Mesh("a", "b")
    heard, peers = [], mesh.nodes["a"].peers
    mesh.nodes["b"].peers.on_raft = lambda *said: heard.append(said)
    peers.send_raft("b", 1, bytes(1000))
    peers.note("b", 1, {"long": "x" * 1000})
    peers.send_raft("b", 1, bytes(900))
    mesh.turn("a")
    mesh.settle()
    assert heard == [("a", 1, bytes(900))]
    assert mesh.unlinked == []
    kinds = [record.kind for record in mesh.records if record.server == "a"]
    assert kinds.count("peer-oversize") == 2


def test_consensus_that_makes_no_sense_ends_the_link():
    def refuse(_peer, _gid, _data):
        raise CodecError("no message")

    mesh = Mesh("a", "b")
    mesh.nodes["b"].peers.on_raft = refuse
    mesh.nodes["a"].peers.send_raft("b", 1, b"?")
    mesh.turn("a")
    mesh.settle()
    assert mesh.unlinked == [("b", "a")]
    assert mesh.nodes["b"].peers.names == mesh.nodes["a"].peers.names == ()


@pytest.mark.parametrize("seed", range(5))
def test_a_message_reaches_the_subscribers_of_all_servers_once(seed):
    mesh = Mesh("a", "b", "c", seed=seed)
    one, two, three = (mesh.client(name) for name in "abc")
    mesh.say(one, b"SUB x.* 1\r\n")
    mesh.say(two, b"SUB x.* 2\r\nSUB x.y 3\r\nSUB > 4\r\n")
    mesh.say(three, b"SUB y 5\r\n")
    mesh.publish(three, "x.y", b"hi", "r")
    assert mesh.heard(one) == b"MSG x.y 1 r 2\r\nhi\r\n"
    lines = mesh.heard(two).split(b"\r\nhi\r\n")
    assert sorted(lines) == [b"", b"MSG x.y 2 r 2", b"MSG x.y 3 r 2", b"MSG x.y 4 r 2"]
    assert mesh.heard(three) == b""
