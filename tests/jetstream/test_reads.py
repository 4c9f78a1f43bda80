"""Direct gets and MSG.GET, compared with what nats-server 2.15.2 answered to the same."""

import json

import pytest

from kvcore import limits
from kvcore.jetstream.commands import Publish
from kvcore.limits import SECOND_NS
from kvcore.nats import headers
from tests.support.desk import START, Desk

AT_4 = "2026-01-01T00:00:03Z"  # when message 4 was stored


@pytest.fixture
def desk() -> Desk:
    """Six messages on d.0, d.1, d.2, d.0, d.1, d.2; the third has a header; the second is gone."""
    desk = Desk()
    desk.make("D", subjects=["d.>"], max_msgs_per_subject=5)
    for n in range(6):
        header = b"NATS/1.0\r\nX: y\r\n\r\n" if n == 2 else None
        desk.commit("D", Publish(f"d.{n % 3}", "", header, b"v%d" % n, desk.now))
        desk.now += SECOND_NS
    desk.ask("STREAM.MSG.DELETE.D", {"seq": 2})
    return desk


def direct(desk: Desk, body: object = b"", key: str = "") -> list[str]:
    """Each answer in a line: a message as `seq:pending:last`, a status as its text."""
    out = []
    for answer in desk.send(f"$JS.API.DIRECT.GET.D{key}", body):
        assert answer.to == "reply"
        if answer.header is None:
            out.append(answer.payload.decode())
            continue
        parsed = headers.parse(answer.header)
        end = parsed.get("Nats-Num-Pending"), parsed.get("Nats-Last-Sequence")
        if parsed.status:
            up_to = parsed.get("Nats-UpTo-Sequence")
            numbers = [n for n in (*end, up_to) if n is not None]
            out.append(" ".join([parsed.status, parsed.description, *numbers]))
        else:
            out.append(":".join(n for n in (parsed.get("Nats-Sequence"), *end) if n is not None))
    return out


DIRECT = [
    (b"", ["408 Empty Request"]),
    (b"{", ["408 Malformed Request"]),
    (b"[]", ["408 Malformed Request"]),
    ({}, ["408 Empty Request"]),
    ({"bogus": 1}, ["408 Empty Request"]),
    ({"seq": 1, "bogus": 1}, ["1"]),
    ({"seq": 1}, ["1"]),
    ({"seq": 2}, ["404 Message Not Found"]),
    ({"seq": 77}, ["404 Message Not Found"]),
    ({"seq": -1}, ["408 Malformed Request"]),
    ({"seq": "a"}, ["408 Malformed Request"]),
    ({"seq": True}, ["408 Malformed Request"]),
    ({"seq": 3, "no_hdr": True}, ["v2"]),
    ({"last_by_subj": "d.1"}, ["5"]),
    ({"last_by_subj": "d.*"}, ["6"]),
    ({"last_by_subj": "zz"}, ["404 Message Not Found"]),
    ({"last_by_subj": "d..1"}, ["404 Message Not Found"]),
    ({"last_by_subj": "d.1", "batch": 2}, ["408 Bad Request"]),
    ({"seq": 1, "last_by_subj": "d.1"}, ["408 Bad Request"]),
    ({"last_by_subj": "d.1", "next_by_subj": "d.1"}, ["408 Bad Request"]),
    ({"next_by_subj": "d.1"}, ["5"]),
    ({"seq": 2, "next_by_subj": "d.1"}, ["5"]),
    ({"seq": 6, "next_by_subj": "d.1"}, ["404 Message Not Found"]),
    ({"start_time": AT_4}, ["4"]),
    ({"start_time": "2040-01-01T00:00:00Z"}, ["404 Message Not Found"]),
    ({"start_time": "2020"}, ["408 Malformed Request"]),
    ({"seq": 1, "start_time": AT_4}, ["408 Bad Request"]),
]
BATCH = [
    ({"seq": 1, "batch": 3}, ["1:4:0", "3:3:1", "4:2:3", "204 EOB 2 4"]),
    ({"seq": 1, "batch": 100}, ["1:4:0", "3:3:1", "4:2:3", "5:1:4", "6:0:5", "204 EOB 0 6"]),
    ({"seq": 5, "batch": 1}, ["5:1:0", "204 EOB 1 5"]),
    ({"seq": 99, "batch": 3}, ["404 Message Not Found"]),
    ({"batch": 3}, ["408 Empty Request"]),
    ({"seq": 1, "batch": -1}, ["204 EOB 5 0"]),
    ({"next_by_subj": "d.1", "batch": 10}, ["5:0:0", "204 EOB 0 5"]),
    ({"next_by_subj": "d.>", "batch": 9, "seq": 4}, ["4:2:0", "5:1:4", "6:0:5", "204 EOB 0 6"]),
    ({"next_by_subj": "zz", "batch": 10}, ["404 Message Not Found"]),
    ({"seq": 1, "batch": 3, "no_hdr": True}, ["v0", "v2", "v3", "204 EOB 5 4"]),
    ({"seq": 1, "batch": 10, "max_bytes": 10}, ["1:4:0", "3:3:1", "204 EOB 3 3"]),
    ({"seq": 1, "batch": 10, "max_bytes": 1}, ["1:4:0", "204 EOB 4 1"]),
    ({"seq": 1, "batch": 2, "max_bytes": -1}, ["1:4:0", "204 EOB 4 1"]),
    ({"start_time": AT_4, "batch": 10}, ["4:2:0", "5:1:4", "6:0:5", "204 EOB 0 6"]),
    ({"start_time": AT_4, "next_by_subj": "d.2", "batch": 10}, ["6:0:0", "204 EOB 0 6"]),
]
MULTI = [
    ({"multi_last": ["d.>"]}, ["4:2:0", "5:1:4", "6:0:5", "204 EOB 0 6 6"]),
    ({"multi_last": ["d.0", "d.1"]}, ["4:1:0", "5:0:4", "204 EOB 0 5 6"]),
    ({"multi_last": ["d.0", "d.*"]}, ["4:2:0", "5:1:4", "6:0:5", "204 EOB 0 6 6"]),
    ({"multi_last": ["zz"]}, ["404 No Results"]),
    ({"multi_last": ["d..1"]}, ["404 No Results"]),
    ({"multi_last": "d"}, ["408 Malformed Request"]),
    ({"multi_last": ["d.>"], "up_to_seq": 3}, ["1:1:0", "3:0:1", "204 EOB 0 3 3"]),
    ({"multi_last": ["d.>"], "up_to_time": AT_4}, ["1:1:0", "3:0:1", "204 EOB 0 3 3"]),
    (
        {"multi_last": ["d.>"], "up_to_time": "2040-01-01T00:00:00Z"},
        ["4:2:0", "5:1:4", "6:0:5", "204 EOB 0 6 6"],
    ),
    ({"multi_last": ["d.>"], "up_to_time": "2020-01-01T00:00:00Z"}, ["404 No Results"]),
    ({"multi_last": ["d.>"], "up_to_seq": 99}, ["404 No Results"]),
    ({"multi_last": ["d.>"], "up_to_seq": 1, "up_to_time": AT_4}, ["408 Bad Request"]),
    ({"multi_last": ["d.>"], "batch": 2}, ["4:2:0", "5:1:4", "204 EOB 1 5 6"]),
    ({"multi_last": ["d.>"], "max_bytes": 1}, ["4:2:0", "204 EOB 2 4 6"]),
    ({"multi_last": ["d.>"], "seq": 5}, ["5:1:0", "6:0:5", "204 EOB 0 6 6"]),
    ({"multi_last": ["d.>"], "seq": 5, "up_to_seq": 3}, ["204 EOB 0 0 3"]),
    ({"multi_last": ["d.>"], "no_hdr": True}, ["4:2:0", "5:1:4", "6:0:5", "204 EOB 0 6 6"]),
    ({"multi_last": ["d.>"], "next_by_subj": "d.1"}, ["408 Bad Request"]),
    ({"multi_last": ["d.>"], "last_by_subj": "d.1"}, ["408 Bad Request"]),
]
BY_SUBJECT = [
    (".d.1", b"", ["5"]),
    (".d.zz", b"", ["404 Message Not Found"]),
    (".d.1", b"{", ["408 Malformed Request"]),
    (".d.1", {"no_hdr": True}, ["v4"]),
    (".d.1", {"seq": 1}, ["408 Bad Request"]),
    (".d.*", b"", ["6"]),
]


@pytest.mark.parametrize(("body", "expected"), DIRECT + BATCH + MULTI, ids=str)
def test_direct_get_answers_as_nats_server_does(desk, body, expected):
    assert direct(desk, body) == expected


@pytest.mark.parametrize(("key", "body", "expected"), BY_SUBJECT, ids=str)
def test_direct_get_by_subject_takes_all_tokens_after_the_stream(desk, key, body, expected):
    assert direct(desk, body, key) == expected


def test_direct_get_puts_the_messages_own_headers_first(desk):
    (answer,) = desk.send("$JS.API.DIRECT.GET.D", {"seq": 3})
    assert answer.header == (
        b"NATS/1.0\r\nX: y\r\nNats-Stream: D\r\nNats-Subject: d.2\r\nNats-Sequence: 3\r\n"
        b"Nats-Time-Stamp: 2026-01-01T00:00:02Z\r\n\r\n"
    )
    assert answer.payload == b"v2"


def test_direct_get_is_silent_without_a_reply_or_where_it_is_not_allowed(desk):
    assert desk.api.handle("$JS.API.DIRECT.GET.D", "", b'{"seq":1}', START) == []
    assert desk.api.handle("$JS.API.DIRECT.GET.NOPE", "r", b'{"seq":1}', START) == []
    desk.make("E", subjects=["e"], allow_direct=False)
    assert desk.api.handle("$JS.API.DIRECT.GET.E", "r", b'{"seq":1}', START) == []
    assert desk.api.direct.subscriptions(desk.streams["E"]) == []
    assert desk.api.direct.subscriptions(desk.streams["D"]) == [
        "$JS.API.DIRECT.GET.D",
        "$JS.API.DIRECT.GET.D.>",
    ]


def test_multi_last_of_more_subjects_than_allowed_is_413(desk):
    desk.make("M", subjects=["m.>"])
    for n in range(limits.BATCH_GET_COUNT + 1):
        desk.commit("M", Publish(f"m.{n}", "", None, b"", desk.now))
    (answer,) = desk.send("$JS.API.DIRECT.GET.M", {"multi_last": ["m.>"]})
    assert answer.header == b"NATS/1.0 413 Too Many Results\r\n\r\n"


def test_batch_is_read_as_its_slices_are_taken(desk):
    (action,) = desk.api.handle("$JS.API.DIRECT.GET.D", "r", b'{"seq":1,"batch":9}', desk.now)
    first = next(action.parts)
    desk.ask("STREAM.MSG.DELETE.D", {"seq": 3})
    desk.commit("D", Publish("d.9", "", None, b"new", desk.now))
    rest = [headers.parse(part.header) for part in action.parts]
    assert first.payload == b"v0"
    assert [one.get("Nats-Sequence") for one in rest] == ["4", "5", "6", None]
    assert rest[-1].get("Nats-Num-Pending") == "1"


MESSAGE_GET = [
    ({"seq": 1}, {"subject": "d.0", "seq": 1, "data": "djA=", "time": "2026-01-01T00:00:00Z"}),
    (
        {"seq": 3},
        {
            "subject": "d.2",
            "seq": 3,
            "hdrs": "TkFUUy8xLjANClg6IHkNCg0K",
            "data": "djI=",
            "time": "2026-01-01T00:00:02Z",
        },
    ),
    (
        {"seq": 3, "no_hdr": True},
        {"subject": "d.2", "seq": 3, "data": "djI=", "time": "2026-01-01T00:00:02Z"},
    ),
    ({"last_by_subj": "d.1"}, 5),
    ({"last_by_subj": "d.*"}, 6),
    ({"seq": 2, "next_by_subj": "d.1"}, 5),
    ({"next_by_subj": "d.>"}, 1),
    ({"start_time": "2020-01-01T00:00:00Z"}, 1),
    ({"start_time": AT_4, "next_by_subj": "d.2"}, 6),
]


@pytest.mark.parametrize(("body", "expected"), MESSAGE_GET, ids=str)
def test_message_get_finds_one_message(desk, body, expected):
    answer = desk.ask("STREAM.MSG.GET.D", body)
    assert answer["type"] == "io.nats.jetstream.api.v1.stream_msg_get_response"
    message = answer["message"]
    assert (message["seq"] if isinstance(expected, int) else message) == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", (400, 10003)),
        ({}, (400, 10003)),
        ({"seq": 2}, (404, 10037)),
        ({"seq": 99}, (404, 10037)),
        ({"last_by_subj": "nope"}, (404, 10037)),
        ({"seq": 1, "last_by_subj": "d.1"}, (400, 10003)),
        ({"last_by_subj": "d.1", "next_by_subj": "d.1"}, (400, 10003)),
        ({"seq": 1, "batch": 3}, (400, 10003)),
        ({"multi_last": ["d.>"]}, (400, 10003)),
        (b"{", (400, 10025)),
        ({"seq": "x"}, (400, 10025)),
        ({"bogus": 1}, (400, 10025)),
    ],
    ids=str,
)
def test_message_get_is_refused_with_the_number_that_clients_know(desk, body, expected):
    assert desk.refused("STREAM.MSG.GET.D", body)[:2] == expected


def test_message_get_leaves_out_an_empty_value(desk):
    desk.commit("D", Publish("d.e", "", None, b"", desk.now))
    assert "data" not in desk.ask("STREAM.MSG.GET.D", {"seq": 7})["message"]


def test_message_get_of_an_unknown_stream_is_10059(desk):
    assert desk.refused("STREAM.MSG.GET.NOPE", {"seq": 1}) == (404, 10059, "stream not found")


def test_subject_that_is_no_utf8_is_shown_with_a_replacement(desk):
    desk.commit("D", Publish("d.\udcff", "", None, b"v", desk.now))
    (answer,) = desk.send("$JS.API.STREAM.MSG.GET.D", {"seq": 7})
    assert json.loads(answer.payload)["message"]["subject"] == "d.\ufffd"
    (answer,) = desk.send("$JS.API.DIRECT.GET.D", {"seq": 7})
    assert b"\r\nNats-Subject: d.\xff\r\n" in answer.header
