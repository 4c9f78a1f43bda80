"""What a peer that is mad, or not ours, can do: lose its link, and nothing besides."""

from dataclasses import replace
from random import Random

import pytest

from kvcore import limits
from kvcore.node import frames
from kvcore.node.config import ClusterConfig, NodeConfig
from kvcore.node.io import ClientConnected, ClientData, PeerClosed, PeerConnected, PeerData
from kvcore.node.peers import introduction
from kvcore.raft.messages import Beat
from tests.support.driven import CONNECT, Driver

CLUSTER = ClusterConfig("C", 2)
THEM = introduction(NodeConfig("b", "ID-b", port=4223, cluster=CLUSTER))
HELLO = frames.hello(THEM)


class Victim(Driver):
    """One server of a cluster, with a client, that notes what its peer could do to it."""

    def __init__(self) -> None:
        super().__init__(cluster=CLUSTER, jetstream=False)
        self.calls: list[object] = []
        peers = self.node.peers
        peers.on_raft = lambda *said: self.calls.append(said)
        peers.on_note = lambda *said: self.calls.append(said)
        peers.on_beats = lambda *said: self.calls.append(said)
        peers.on_heard = lambda *said: self.calls.append(said)
        self.turn(ClientConnected(1, "127.0.0.1", 5001))
        self.turn(ClientData(1, CONNECT + b"SUB > 2\r\nSUB > q 3\r\n"))
        self.before = self.state()
        self.heard()

    def state(self) -> object:
        broker, peers = self.node._broker, self.node.peers
        away = peers._elsewhere.interest
        return (
            len(broker.router.interest), len(away), away._root.is_empty(), len(peers._theirs),
            peers.names, dict(peers._wants), list(broker.clients), self.node.deadline(),
        )  # fmt: skip

    def is_dropped_by(self, *pieces: bytes, hello: bytes = HELLO) -> bool:
        """Whether a new link that brings these bytes is dropped in that turn."""
        self.turn(PeerConnected("b"), PeerData("b", hello))
        effects = self.turn(*(PeerData("b", piece) for piece in pieces))
        return effects.unlinks == ("b",)


INTEREST = frames.want(is_added=True, is_server=False, queue="", subject="x.*")
GOOD = [
    INTEREST,
    frames.want(is_added=True, is_server=True, queue="q", subject="$JS.API.>"),
    b"".join(frames.carried("x", "y", "r", b"NATS/1.0\r\n\r\n", b"hi", queues=("q",)) or ()),
    b"".join(frames.for_group(7, b"raft")),
    frames.note(7, {"do": "it"}),
    frames.beats([(7, Beat(1, 2, 1))]),
    frames.heard([(7, 1, 2)]),
    HELLO,
]


def test_a_bad_frame_costs_the_link_and_all_that_came_over_it_and_is_done_nothing_about():
    victim = Victim()
    assert victim.is_dropped_by(INTEREST, b"\x00\x00\x00\x01\x09")
    assert victim.state() == victim.before
    assert victim.turn(PeerData("b", GOOD[2]), PeerData("b", HELLO)).writes == {}
    victim.turn(PeerClosed("b"))
    assert not victim.is_dropped_by(INTEREST)


def test_ten_thousand_forged_frames_cost_the_link_or_are_frames():
    victim, rng, dropped = Victim(), Random(11), 0
    for _ in range(10_000):
        frame = bytearray(rng.choice(GOOD))
        for _ in range(rng.randint(1, 3)):
            frame[rng.choice((rng.randrange(len(frame)), rng.randrange(5)))] = rng.randrange(256)
        at = rng.randrange(len(frame) + 1)
        del victim.calls[:]
        is_dropped = victim.is_dropped_by(bytes(frame[:at]), bytes(frame[at:]))
        if is_dropped:
            dropped += 1
            assert victim.calls == []
            # HELLO's gossip is all that the client heard
            lines = [line for line in victim.heard().split(b"\r\n") if line]
            assert all(line.startswith(b"INFO") for line in lines), lines
        victim.turn(PeerClosed("b"))
        victim.heard()
        assert victim.state() == victim.before
    assert dropped > 5000


@pytest.mark.parametrize("frame", GOOD[:-1])
def test_nothing_comes_before_the_introduction(frame):
    victim = Victim()
    assert victim.is_dropped_by(hello=frame) or victim.turns[-2].unlinks == ("b",)
    assert (victim.state(), victim.calls, victim.heard()) == (victim.before, [], b"")


@pytest.mark.parametrize("change", [{"name": "c"}, {"name": "n1"}, {"cluster": "D"}])
def test_a_peer_of_another_name_or_cluster_is_turned_away(change):
    victim = Victim()
    victim.turn(PeerConnected("b"))
    effects = victim.turn(PeerData("b", frames.hello(replace(THEM, **change))))
    assert effects.unlinks == ("b",)
    assert victim.state() == victim.before


@pytest.mark.parametrize("is_added", [True, False])
def test_interest_told_twice_or_taken_back_unasked_costs_the_link(is_added):
    victim = Victim()
    wrong = frames.want(is_added=is_added, is_server=False, queue="", subject="x.*")
    assert victim.is_dropped_by(*([INTEREST, wrong] if is_added else [wrong]))
    assert victim.state() == victim.before


@pytest.mark.parametrize("end", [[PeerClosed("b")], []])
def test_one_turn_with_an_end_and_a_new_link_keeps_the_new_one(end):
    victim = Victim()
    victim.turn(PeerConnected("b"), PeerData("b", HELLO))
    effects = victim.turn(
        PeerData("b", b"\xff" * 9), *end, PeerConnected("b"), PeerData("b", HELLO)
    )
    assert effects.unlinks == ()
    assert effects.peers["b"].startswith(frames.hello(victim.node.peers.me))
    assert victim.node.peers.names == ("b",)


def test_a_link_that_ended_in_the_turn_of_its_bad_frame_is_not_asked_to_be_closed():
    victim = Victim()
    victim.turn(PeerConnected("b"), PeerData("b", HELLO))
    effects = victim.turn(PeerData("b", b"\xff" * 9), PeerClosed("b"))
    assert (effects.unlinks, dict(effects.peers)) == ((), {})


def test_a_message_that_goes_to_another_subject_than_it_shows_does_so_here_too():
    victim = Victim()
    pieces = frames.carried("to.here", "shown", "", None, b"hi", queues=("q",))
    assert not victim.is_dropped_by(b"".join(pieces))
    assert victim.heard().endswith(b"MSG shown 2 2\r\nhi\r\nMSG shown 3 2\r\nhi\r\n")


def test_a_message_from_a_peer_goes_to_no_peer():
    victim = Victim()
    pieces = frames.carried("x.y", "x.y", "", None, b"hi")
    victim.is_dropped_by(INTEREST)
    assert victim.turn(PeerData("b", b"".join(pieces))).peers == {}


def test_what_is_for_clients_reaches_no_listener_of_the_server():
    victim, heard = Victim(), []
    broker = victim.node._broker
    broker.subscribe("x", heard.append)
    broker.subscribe("x", heard.append, "q2")
    broker.subscribe("x", heard.append, is_local=True)
    for clients_only in (True, False):
        pieces = frames.carried(
            "x", "x", "", None, b"hi", queues=("q2",), clients_only=clients_only
        )
        assert not victim.is_dropped_by(b"".join(pieces))
        victim.turn(PeerClosed("b"))
        assert len(heard) == (0 if clients_only else 2)


def test_a_peer_that_wants_more_subjects_than_it_may_loses_its_link_and_all_of_them(monkeypatch):
    monkeypatch.setattr(limits, "PEER_INTEREST_COUNT", 100)
    victim = Victim()
    wants = [
        frames.want(is_added=True, is_server=False, queue="", subject=f"x.{number}")
        for number in range(101)
    ]
    away = frames.want(is_added=False, is_server=False, queue="", subject="x.7")
    assert not victim.is_dropped_by(*wants[:100], away, wants[100])
    victim.turn(PeerClosed("b"))
    assert victim.is_dropped_by(*wants)
    assert victim.state() == victim.before
