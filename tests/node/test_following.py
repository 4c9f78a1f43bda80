"""Mirrors and sources on a whole server: what is copied, when, and what it waits for."""

import base64
from random import Random

import pytest

from kvcore.node.io import ClientData, Synced, TimerFired
from kvcore.sim.disk import SimulatedDisk
from kvcore.storage.appendfile import AppendFile
from kvcore.storage.memory import MemoryStorage
from tests.support.driven import Driver


class Server(Driver):
    """A driver that lets every turn happen that the server asks for."""

    def __init__(self, **more):
        super().__init__(**more)
        self.sync()
        self.client()

    def settle(self):
        """Until nothing is left to be done now; a server that never rests fails."""
        for _ in range(400):
            self.sync()
            at = self.node.deadline()
            if at is None or at > self.now:
                return
            self.turn(TimerFired())
        raise AssertionError("the server has no end of work")

    def make(self, name, **config):
        return self.ask(f"STREAM.CREATE.{name}", {"name": name, **config})

    def update(self, name, **config):
        return self.ask(f"STREAM.UPDATE.{name}", {"name": name, **config})

    def ask(self, verb, body=None):
        answer = self.request(f"$JS.API.{verb}", body)
        self.settle()
        return answer

    def put(self, subject, payload=b"v", headers=""):
        if headers:
            block = f"NATS/1.0\r\n{headers}\r\n\r\n".encode()
            sizes = f"{len(block)} {len(block) + len(payload)}"
            line = f"HPUB {subject} _I.ack {sizes}\r\n".encode() + block
        else:
            line = f"PUB {subject} _I.ack {len(payload)}\r\n".encode()
        self.turn(ClientData(1, line + payload + b"\r\n"))
        self.settle()

    def held(self, name):
        """Sequence → subject of all that a stream has."""
        stream = self.node.streams[name]
        return {seq: stream.subject_of(seq) for seq in stream.sequences()}

    def info(self, name):
        return self.ask(f"STREAM.INFO.{name}")

    def headers(self, name, seq):
        found = self.ask(f"STREAM.MSG.GET.{name}", {"seq": seq})["message"]
        return base64.b64decode(found.get("hdrs", "")).decode()


@pytest.fixture
def server():
    server = Server()
    server.make("O", subjects=["o.>"], allow_msg_ttl=True, allow_rollup_hdrs=True)
    return server


def test_a_mirror_has_the_origins_sequences_subjects_and_times(server):
    server.put("o.a"), server.put("o.b"), server.put("o.a")
    server.ask("STREAM.MSG.DELETE.O", {"seq": 2})
    server.make("M", mirror={"name": "O"})
    server.put("o.c")
    assert server.held("M") == {1: "o.a", 3: "o.a", 4: "o.c"}
    streams = server.node.streams
    assert [streams["M"].message(seq) for seq in (1, 3, 4)] == [
        streams["O"].message(seq) for seq in (1, 3, 4)
    ]


def test_a_mirror_keeps_what_its_origin_deletes(server):
    server.make("M", mirror={"name": "O"})
    server.put("o.a"), server.put("o.b")
    server.ask("STREAM.PURGE.O", {})
    assert server.held("O") == {}
    assert server.held("M") == {1: "o.a", 2: "o.b"}


def test_nobody_can_publish_to_a_mirror(server):
    server.make("M", mirror={"name": "O"})
    server.heard()
    server.put("M")
    assert b"503" in server.heard()


def test_a_missing_origin_is_waited_for_and_said_to_be_missing(server):
    made = server.make("M", mirror={"name": "LATE"})
    assert made["mirror"] == {"name": "LATE", "lag": 0, "active": -1}
    about = server.info("M")["mirror"]
    assert (about["active"], about["error"]["err_code"]) == (-1, 10059)
    server.make("LATE", subjects=["late"])
    server.put("late")
    assert server.held("M") == {1: "late"}
    about = server.info("M")["mirror"]
    assert about["active"] > 0
    assert "error" not in about


def test_info_and_list_show_mirrors_and_sources(server):
    server.make("M", mirror={"name": "O"}, max_msgs=1, discard="new")
    server.make("S", sources=[{"name": "O", "filter_subject": "o.a"}])
    server.put("o.a"), server.put("o.b"), server.put("o.c")
    assert server.info("M")["mirror"] | {"active": 0} == {"name": "O", "lag": 2, "active": 0}
    (about,) = server.info("S")["sources"]
    shown = {"name": "O", "lag": 0, "active": 0, "seq": 1, "filter_subject": "o.a"}
    assert about | {"active": 0} == shown
    listed = server.ask("STREAM.LIST", {})["streams"]
    assert [("mirror" in one, "sources" in one) for one in listed] == [
        (True, False),
        (False, False),
        (False, True),
    ]


def test_a_source_gives_new_sequences_and_says_where_each_message_is_from(server):
    server.make("P", subjects=["p.>"])
    server.put("o.a"), server.put("p.a")
    server.make("S", subjects=["s"], sources=[{"name": "O"}, {"name": "P"}])
    server.put("s"), server.put("o.b")
    assert sorted(server.held("S").values()) == ["o.a", "o.b", "p.a", "s"]
    assert list(server.held("S")) == [1, 2, 3, 4]
    assert "\r\nNats-Stream-Source: O 2 > > o.b " in server.headers("S", 4)


def test_a_source_filters_and_renames(server):
    pairs = [{"src": "o.a.*", "dest": "x.{{wildcard(1)}}"}, {"src": "o.b", "dest": ""}]
    server.make("S", sources=[{"name": "O", "subject_transforms": pairs}])
    server.put("o.a.1"), server.put("o.b"), server.put("o.c")
    assert server.held("S") == {1: "x.1", 2: "o.b"}
    assert "Nats-Stream-Source: O 1 o.a.*\fo.b x.{{wildcard(1)}}\f> o.a.1 " in server.headers(
        "S", 1
    )


def test_conditions_are_not_copied_and_a_source_of_a_source_names_the_last_one(server):
    server.make("M", mirror={"name": "O"})
    server.make("S", sources=[{"name": "O"}])
    server.make("SS", sources=[{"name": "S"}])
    server.put("o.a", headers="Nats-Expected-Last-Sequence: 0\r\nX: 1")
    assert server.headers("M", 1) == "NATS/1.0\r\nX: 1\r\n\r\n"
    assert server.headers("SS", 1).count("Nats-Stream-Source") == 1
    assert "Nats-Stream-Source: S 1 > > o.a " in server.headers("SS", 1)


def test_copies_expire_only_where_the_stream_lets_messages_expire(server):
    server.make("KEEPS", mirror={"name": "O"})
    server.make("DROPS", mirror={"name": "O"}, allow_msg_ttl=True)
    server.put("o.a", headers="Nats-TTL: 1")
    server.wait(2)
    server.settle()
    assert server.held("O") == server.held("DROPS") == {}
    assert server.held("KEEPS") == {1: "o.a"}
    server.update("KEEPS", mirror={"name": "O"}, allow_msg_ttl=True)
    server.wait(1)
    server.settle()
    assert server.held("KEEPS") == {}


def test_a_rollup_is_copied_as_one_only_where_it_is_allowed(server):
    server.make("M", mirror={"name": "O"})
    server.make("R", mirror={"name": "O"}, allow_rollup_hdrs=True)
    server.put("o.a"), server.put("o.a", headers="Nats-Rollup: sub")
    assert server.held("O") == server.held("R") == {2: "o.a"}
    assert list(server.held("M")) == [1, 2]


def test_a_message_id_that_a_source_brings_twice_is_stored_once(server):
    server.make("P", subjects=["p.>"])
    server.make("S", sources=[{"name": "O"}, {"name": "P"}], duplicate_window=10**10)
    server.put("o.a", headers="Nats-Msg-Id: one"), server.put("p.a", headers="Nats-Msg-Id: one")
    assert server.held("S") == {1: "o.a"}


@pytest.mark.parametrize("kind", ["mirror", "sources"])
def test_a_full_stream_that_discards_new_ones_waits_and_loses_nothing(server, kind):
    origin = {"mirror": {"name": "O"}, "sources": [{"name": "O"}]}[kind]
    server.make("C", **{kind: origin}, max_msgs=2, discard="new")
    for number in range(4):
        server.put(f"o.{number}")
    assert server.held("C") == {1: "o.0", 2: "o.1"}
    server.ask("STREAM.PURGE.C", {})
    assert server.held("C") == {3: "o.2", 4: "o.3"}


def test_a_start_is_by_sequence_or_by_time(server):
    server.put("o.a")
    server.wait(5)
    server.put("o.b"), server.put("o.c")
    server.make("M", mirror={"name": "O", "opt_start_seq": 3})
    server.make("S", sources=[{"name": "O", "opt_start_time": "2026-01-01T00:00:04Z"}])
    assert server.held("M") == {3: "o.c"}
    assert server.held("S") == {1: "o.b", 2: "o.c"}


def test_a_mirror_becomes_a_stream_of_its_own_when_the_mirror_is_removed(server):
    server.put("o.a")
    server.make("M", mirror={"name": "O"})
    assert server.update("M", mirror={"name": "P"})["error"]["err_code"] == 10055
    answer = server.update("M", subjects=["m.>"])
    assert "mirror" not in answer
    server.put("o.b"), server.put("m.a")
    assert server.held("M") == {1: "o.a", 2: "m.a"}
    assert server.update("M", mirror={"name": "O"})["error"]["err_code"] == 10055


def test_a_source_that_is_removed_and_comes_back_goes_on_where_it_was(server):
    server.put("o.a")
    server.make("S", sources=[{"name": "O"}], subjects=["s"])
    server.update("S", subjects=["s"])
    server.put("o.b")
    assert server.held("S") == {1: "o.a"}
    server.update("S", sources=[{"name": "O"}], subjects=["s"])
    assert server.held("S") == {1: "o.a", 2: "o.b"}


def test_an_origin_made_anew_is_copied_from_its_start_by_a_source(server):
    server.make("S", sources=[{"name": "O"}])
    server.put("o.a"), server.put("o.b")
    server.ask("STREAM.DELETE.O")
    server.make("O", subjects=["o.>"])
    server.put("o.new")
    assert server.held("S") == {1: "o.a", 2: "o.b", 3: "o.new"}


def test_a_mirror_catches_up_in_slices(server):
    for number in range(700):
        server.publish(f"o.{number}")
    server.sync()
    server.make("M", mirror={"name": "O"})
    assert server.held("M") == server.held("O")
    copied = [turn for turn in server.turns if turn.sync is not None]
    assert len(copied) >= 3


def test_streams_in_a_ring_are_refused_whatever_their_filters(server):
    server.make("A", subjects=["a.>"], sources=[{"name": "B"}])
    server.make("B", subjects=["b.>"], sources=[{"name": "C", "filter_subject": "x.>"}])
    refused = server.make("C", sources=[{"name": "A", "filter_subject": "y.>"}])
    assert refused["error"]["description"] == "detected cycle"
    refused = server.update("B", subjects=["b.>"], sources=[{"name": "B"}])
    assert refused["error"]["description"] == "detected cycle"


def test_an_origin_and_its_mirror_may_be_sources_of_one_stream(server):
    server.make("M", mirror={"name": "O"})
    server.make("S", sources=[{"name": "O"}, {"name": "M"}])
    server.put("o.a")
    assert server.held("S") == {1: "o.a", 2: "o.a"}


@pytest.mark.parametrize("storage", ["file", "memory"])
def test_what_goes_round_by_way_of_a_republish_goes_round_once_a_turn(server, storage):
    server.make("B", subjects=["b.>"], storage=storage)
    back = {"src": "b.*", "dest": "b.again"}
    made = server.make("A", sources=[{"name": "B"}], republish=back, storage=storage)
    assert made["did_create"]
    server.publish("b.1")
    for _ in range(20):
        before = server.node.streams["A"].messages
        server.turn()
        if server.tickets:
            server.turn(Synced(server.tickets.pop()))
        assert server.node.streams["A"].messages <= before + 2


def test_a_mirror_answers_direct_gets_when_its_origin_is_gone(server):
    server.make("D", subjects=["d.>"], allow_direct=True)
    assert server.make("M", mirror={"name": "D"})["config"]["mirror_direct"]
    server.put("d.a")
    for name in ("D", "M"):
        server.heard()
        server.publish("$JS.API.DIRECT.GET.D.d.a", reply="_I.got")
        answer = server.heard()
        assert answer.count(b"_I.got") == 1
        assert b"Nats-Stream: %b\r\n" % name.encode() in answer
        server.ask("STREAM.DELETE.D")


def test_subjects_are_transformed_when_messages_come_in(server):
    server.make("T", subjects=["t.*"], subject_transform={"src": "t.*", "dest": "u.$1"})
    server.put("t.a"), server.put("t.a", headers="Nats-Expected-Last-Subject-Sequence: 1")
    assert server.held("T") == {1: "u.a", 2: "u.a"}
    server.update("T", subjects=["t.*"])
    server.put("t.a")
    assert server.held("T")[3] == "t.a"


def test_after_a_restart_copying_goes_on_where_it_was():
    file = AppendFile(SimulatedDisk(Random(1)))
    stores = {"file": file, "memory": MemoryStorage()}
    server = Server(stores=stores)
    server.make("O", subjects=["o.>"])
    server.make("M", mirror={"name": "O"})
    server.make("S", sources=[{"name": "O"}])
    server.make("V", storage="memory", mirror={"name": "O"})
    server.put("o.a"), server.put("o.b")
    again = Server(stores={"file": file, "memory": MemoryStorage()})
    again.settle()
    again.put("o.c")
    assert again.held("M") == again.held("V") == {1: "o.a", 2: "o.b", 3: "o.c"}
    assert again.held("S") == {1: "o.a", 2: "o.b", 3: "o.c"}
