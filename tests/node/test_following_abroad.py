"""Mirrors and sources whose origin another server leads: copied, once, whoever fails."""

import json

import pytest

from kvcore.node import frames
from tests.support.trio import Trio


class Copies(Trio):
    """Streams that copy each other, each led by a server of the test's choice."""

    def make(self, name, leader, replicas=3, **more):
        config = {"name": f"KV_{name}", "num_replicas": replicas, **more}
        conn = self.client(self.meta_leader())
        answer = json.loads(
            self.ask(conn, f"$JS.API.STREAM.CREATE.KV_{name}", json.dumps(config).encode())
        )
        assert "error" not in answer, answer
        self.until(lambda: self.leader(name))
        self.leave(conn)
        if replicas > 1:
            self.lead(name, leader)

    def lead(self, name, leader):
        """Let this server lead."""

        def is_so():
            now = self.leader(name)
            if now and now != leader and not self.host(now, name).group.raft.is_transferring:
                self.nodes[now].hand_over(f"KV_{name}", leader)
                self.turn(now)
            return now == leader

        self.until(is_so)

    def load(self, count, conn=None, start=0):
        conn = conn or self.client(next(iter(self.nodes)))
        for number in range(start, start + count):
            self.send(conn, f"$KV.o.k{number % 7}", b"%d" % number)
        self.leave(conn)

    def seen(self, name):
        """What the leader's stream has, or None."""
        leader = self.leader(name)
        return self.contents(leader, name) if leader else None

    def is_mirrored(self, name="m", origin="o"):
        return self.seen(origin) is not None and self.seen(name) == self.seen(origin)

    def info(self, name):
        conn = self.client(next(iter(self.nodes)))
        answer = json.loads(self.ask(conn, f"$JS.API.STREAM.INFO.KV_{name}"))
        self.leave(conn)
        return answer


ORIGIN = {"subjects": ["$KV.o.>"], "allow_msg_ttl": True}
MIRROR = {"mirror": {"name": "KV_o"}, "mirror_direct": True}
SOURCE = {"sources": [{"name": "KV_o"}], "subjects": ["$KV.s.>"]}


@pytest.fixture
def trio():
    trio = Copies()
    trio.make("o", "a", **ORIGIN)
    return trio


def payloads(trio, name):
    return [message.payload for message in trio.seen(name)]


def test_a_mirror_led_elsewhere_has_the_origins_sequences_subjects_and_times(trio):
    trio.load(20)
    trio.make("m", "b", **MIRROR)
    trio.until(trio.is_mirrored)
    trio.load(5, start=20)
    trio.until(trio.is_mirrored)
    trio.until(lambda: trio.is_level("m"))
    assert len({str(trio.contents(name, "m")) for name in trio.names}) == 1
    assert len(trio.seen("m")) == 25


def test_what_is_put_arrives_at_once_and_not_by_the_second(trio):
    trio.make("m", "b", **MIRROR)
    trio.load(1)
    trio.until(trio.is_mirrored)
    trio.wait(1.5)
    before = trio.now
    trio.load(1, start=1)
    trio.until(trio.is_mirrored)
    assert trio.now - before < 100_000_000


def test_a_source_led_elsewhere_has_each_message_once(trio):
    trio.load(20)
    trio.make("s", "c", **SOURCE)
    trio.until(lambda: len(trio.seen("s")) == 20)
    trio.load(20, start=20)
    trio.until(lambda: len(trio.seen("s")) == 40)
    trio.wait(3)
    assert payloads(trio, "s") == [b"%d" % number for number in range(40)]


@pytest.mark.parametrize("storage", ["file", "memory"])
@pytest.mark.parametrize("side", ["o", "s", "m"])
@pytest.mark.parametrize("how", ["transfer", "crash"])
def test_a_fail_over_of_either_side_neither_doubles_nor_leaves_out(storage, side, how):
    trio = Copies()
    trio.make("o", "a", storage=storage, **ORIGIN)
    trio.make("m", "b", storage=storage, **MIRROR)
    trio.make("s", "c", storage=storage, **SOURCE)
    trio.load(300)
    before = trio.leader(side)
    if how == "crash":
        trio.crash(before)
    else:
        trio.lead(side, next(name for name in trio.names if name != before))
    trio.until(lambda: all(map(trio.leader, "oms")))
    trio.load(60, start=300)
    trio.until(lambda: trio.is_mirrored() and len(trio.seen("s")) == len(trio.seen("o")))
    trio.wait(3)
    assert trio.is_mirrored()
    assert payloads(trio, "s") == payloads(trio, "o")
    assert len(trio.seen("o")) == 360


def test_filters_and_renames_hold_across_servers(trio):
    pairs = [{"src": "$KV.o.k1", "dest": "$KV.s.one"}, {"src": "$KV.o.k2", "dest": ""}]
    trio.make("s", "b", sources=[{"name": "KV_o", "subject_transforms": pairs}])
    trio.load(21)
    trio.until(lambda: len(trio.seen("s")) == 6)
    assert [message.subject for message in trio.seen("s")] == ["$KV.s.one", "$KV.o.k2"] * 3


def test_a_large_message_and_a_long_catching_up_fit_into_frames(trio):
    conn = trio.client("a")
    for number in range(5):
        trio.send(conn, f"$KV.o.big{number}", b"x" * 900_000)
    trio.load(700)
    trio.make("m", "b", **MIRROR)
    trio.until(trio.is_mirrored)
    assert not trio.unlinked


def test_info_says_how_far_a_mirror_abroad_has_come(trio):
    trio.make("m", "b", max_msgs=10, discard="new", **MIRROR)
    trio.load(30)
    trio.wait(3)
    about = trio.info("m")["mirror"]
    assert (about["name"], about["lag"]) == ("KV_o", 20)
    assert 0 < about["active"] < 2_000_000_000
    conn = trio.client("a")
    trio.ask(conn, "$JS.API.STREAM.PURGE.KV_m")
    trio.until(lambda: trio.info("m")["mirror"]["lag"] == 10)
    trio.ask(conn, "$JS.API.STREAM.DELETE.KV_o")
    trio.wait(3)
    trio.ask(conn, "$JS.API.STREAM.PURGE.KV_m")


def test_a_source_in_memory_that_begins_anew_is_copied_from_its_start():
    trio = Copies()
    trio.make("o", "a", 1, storage="memory", **ORIGIN)
    other = next(name for name in trio.names if name != trio.leader("o"))
    trio.make("s", other, **SOURCE)
    trio.load(5)
    trio.until(lambda: len(trio.seen("s")) == 5)
    home = trio.leader("o")
    trio.crash(home)
    trio.restart(home)
    trio.until(lambda: trio.leader("o"))
    trio.load(3, start=50)
    trio.until(lambda: len(trio.seen("s") or ()) == 8)
    assert payloads(trio, "s")[5:] == [b"50", b"51", b"52"]


def test_a_mirror_of_a_deleted_stream_says_that_it_is_missing(trio):
    trio.make("m", "b", mirror={"name": "KV_late"})
    assert trio.info("m")["mirror"]["error"]["err_code"] == 10059
    trio.make("late", "c", subjects=["$KV.o2.>"])
    conn = trio.client("a")
    trio.send(conn, "$KV.o2.k", b"v")
    trio.until(lambda: len(trio.seen("m")) == 1)
    assert "error" not in trio.info("m")["mirror"]


@pytest.mark.parametrize(
    ("fields", "data"),
    [
        ({"copy": 1}, b""),
        ({"copy": -1, "life": "", "after": 0, "ahead": 0, "most": 1, "key": "", "filters": [],
          "seq": 0, "time": None}, b""),
        ({"copied": 1, "life": 7, "after": 0, "ahead": 0, "last": 0, "lag": 0}, b""),
        ({"copied": 1, "life": "", "after": 0, "ahead": 0, "last": 0, "lag": 0}, b"short"),
        ({"copied": 1, "life": "", "after": 0, "ahead": 0, "last": 0, "lag": 0},
         b"\0" * 8 + b"\0\0\0\x0e" + b"\0" * 10 + b"\0\0\0\x09"),
        ({"copied": True, "life": "", "after": 0, "ahead": 0, "last": 0, "lag": 0}, b""),
    ],
)  # fmt: skip
def test_a_slice_or_question_that_makes_no_sense_ends_the_link(trio, fields, data):
    trio.garble("a", "b", frames.note(2, fields, data))
    trio.settle()
    assert ("b", "a") in trio.unlinked
