"""What goes wrong first when a server is written anew for NATS's clients: a test for each.

The numbers are those of the list that this server was written against; those that take several
servers are in `test_cluster_pitfalls.py`. Everything is said in bytes here, as the
clients say it. Where kvcore decides otherwise than nats-server, the test says what kvcore
does, and docs/differences.md why.
"""

import base64
import json
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from kvcore import limits
from kvcore.node.io import ClientConnected
from tests.support.driven import Driver, bucket

COUNT = 35


def numbers_of(text: str) -> list[int]:
    """The pitfalls that a module has a test of."""
    return [int(found) for found in re.findall(r"^def test_pitfall_(\d+)_", text, re.MULTILINE)]


def test_every_pitfall_has_a_test_here_or_among_those_of_clusters():
    here = Path(__file__)
    of_clusters = numbers_of((here.parent / "test_cluster_pitfalls.py").read_text())
    assert sorted(set(of_clusters)) == [3, 20, 21, 22, 26, 30, 32, 35]
    assert sorted({*of_clusters, *numbers_of(here.read_text())}) == list(range(1, COUNT + 1))


@dataclass(frozen=True)
class Got:
    """One message that a client was sent: a MSG or an HMSG."""

    subject: str
    reply: str
    header: bytes
    payload: bytes

    @property
    def body(self) -> dict:
        return json.loads(self.payload)

    @property
    def fields(self) -> dict[str, str]:
        lines = self.header.decode().split("\r\n")[1:]
        return dict(line.split(": ", 1) for line in lines if line)


def messages(data: bytes) -> list[Got]:
    """The messages in what a server wrote; other lines are passed over."""
    found = []
    while data:
        line, _, data = data.partition(b"\r\n")
        words = line.decode().split()
        if words[:1] in (["MSG"], ["HMSG"]):
            sizes = 2 if words[0] == "HMSG" else 1
            total = int(words[-1])
            head = int(words[-2]) if sizes == 2 else 0
            reply = words[3] if len(words) == 4 + sizes else ""
            found.append(Got(words[1], reply, data[:head], data[head:total]))
            assert data[total : total + 2] == b"\r\n", "a message ends with a line's end"
            data = data[total + 2 :]
    return found


@pytest.fixture
def server():
    driver = Driver()
    driver.sync()
    driver.client()
    answer = driver.request("$JS.API.STREAM.CREATE.KV_b", bucket(allow_rollup_hdrs=True))
    assert "error" not in answer
    driver.heard()
    return driver


def ask(server, subject: str, payload: bytes = b"", header: bytes = b"") -> list[Got]:
    """What comes back on the reply subject; the disk answers meanwhile."""
    server.heard()
    line = f"HPUB {subject} _I.r {len(header)} {len(header) + len(payload)}\r\n".encode()
    server.say(line + header + payload + b"\r\n")
    server.sync()
    return [got for got in messages(server.heard()) if got.subject == "_I.r"]


def put(server, key: str, payload: bytes = b"v", **headers: object) -> dict:
    """Store a value; the PubAck."""
    header = b""
    if headers:
        lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
        header = f"NATS/1.0\r\n{lines}\r\n".encode()
    (got,) = ask(server, f"$KV.b.{key}", payload, header)
    return got.body


def api(server, verb: str, body: object = None) -> dict:
    payload = b"" if body is None else json.dumps(body).encode()
    (got,) = ask(server, f"$JS.API.{verb}", payload)
    return got.body


def watch(server, to="_I.w", subject="$JS.API.CONSUMER.CREATE.KV_b", **config) -> dict:
    """Make an ordered consumer as nats-py does."""
    given = {"deliver_subject": to, "ack_policy": "none", "max_deliver": 1, **config}
    payload = json.dumps({"stream_name": "KV_b", "config": given}).encode()
    server.heard()
    server.publish(subject, payload, "_I.r")
    server.sync()
    got = messages(server.heard())
    server.left = [one for one in got if one.subject != "_I.r"]
    (answer,) = [one for one in got if one.subject == "_I.r"]
    return answer.body


def test_pitfall_01_info_says_headers_and_who_has_none_gets_none(server):
    server.turn(ClientConnected(5, "127.0.0.1", 5005))
    assert json.loads(server.heard(5).removeprefix(b"INFO "))["headers"] is True
    server.say(b'CONNECT {"verbose":false,"headers":false}\r\nSUB x 1\r\n', 5)
    server.say(b"HPUB x 18 19\r\nNATS/1.0\r\nA: b\r\n\r\nv\r\n")
    assert server.heard(5) == b"MSG x 1 1\r\nv\r\n"


@pytest.mark.parametrize("subject", ["$KV.none.k", "$JS.API.BOGUS", "$JS.API.DIRECT.GET.NONE"])
def test_pitfall_02_nobody_there_is_said_at_once_and_the_api_is_no_responder_for_all(
    server, subject
):
    (got,) = ask(server, subject, b"v")
    assert got.header.startswith(b"NATS/1.0 503\r\n")
    assert got.payload == b""


def test_pitfall_04_headers_of_no_length_missing_replies_and_double_spaces_are_taken(server):
    for line in (
        b"HPUB $KV.b.k _I.r 0 1\r\nv\r\n",
        b"HPUB $KV.b.k 0 1\r\nv\r\n",
        b"PUB $KV.b.k  1\r\nv\r\n",
        b"PUB\t$KV.b.k \t 1\r\nv\r\n",
    ):
        server.say(line)
    server.sync()
    assert api(server, "STREAM.INFO.KV_b")["state"]["last_seq"] == 4
    found = api(server, "STREAM.MSG.GET.KV_b", {"seq": 4})["message"]
    assert "hdrs" not in found


def test_pitfall_05_a_header_block_ends_where_it_says_and_its_names_have_their_case(server):
    put(server, "k", b"value", X_Mine="1")
    (got,) = ask(server, "$JS.API.DIRECT.GET.KV_b.$KV.b.k")
    assert got.header.endswith(b"\r\n\r\n")
    assert got.payload == b"value"
    names = ["X-Mine", "Nats-Stream", "Nats-Subject", "Nats-Sequence", "Nats-Time-Stamp"]
    assert list(got.fields) == names


def test_pitfall_06_an_empty_value_is_no_miss(server):
    put(server, "k", b"")
    (found,) = ask(server, "$JS.API.DIRECT.GET.KV_b.$KV.b.k")
    assert found.header.startswith(b"NATS/1.0\r\n")
    (missed,) = ask(server, "$JS.API.DIRECT.GET.KV_b.$KV.b.other")
    assert missed.header.startswith(b"NATS/1.0 404 Message Not Found\r\n")


def test_pitfall_07_a_message_in_json_has_its_whole_header_block_and_no_empty_data(server):
    put(server, "k", b"", KV_Operation="DEL")
    found = api(server, "STREAM.MSG.GET.KV_b", {"last_by_subj": "$KV.b.k"})["message"]
    block = base64.b64decode(found["hdrs"])
    assert block == b"NATS/1.0\r\nKV-Operation: DEL\r\n\r\n"
    assert "data" not in found


def test_pitfall_08_nothing_comes_before_the_sub_then_all_in_order_and_counted_down(server):
    for at in range(5):
        put(server, f"k{at}")
    answer = watch(server, to="later")
    assert answer["num_pending"] == 5
    server.say(b"SUB later 7\r\n")
    got = messages(server.heard())
    counts = [[int(token) for token in one.reply.split(".")[5:]] for one in got]
    assert [one.subject for one in got] == [f"$KV.b.k{at}" for at in range(5)]
    assert [(seq, consumer_seq, pending) for seq, consumer_seq, _, pending in counts] == [
        (at, at, 5 - at) for at in range(1, 6)
    ]


def test_pitfall_09_a_quiet_watch_beats_with_the_number_that_it_delivered_last(server):
    put(server, "k")
    watch(server, idle_heartbeat=5 * limits.SECOND_NS)
    server.wait(4.9)
    assert not messages(server.heard())
    server.wait(0.2)
    (beat,) = messages(server.heard())
    assert beat.header.startswith(b"NATS/1.0 100 Idle Heartbeat\r\n")
    assert beat.fields == {"Nats-Last-Consumer": "1", "Nats-Last-Stream": "1"}
    assert beat.reply == ""


def test_pitfall_10_a_flow_control_request_that_is_answered_lets_the_rest_come(server):
    for at in range(40):
        put(server, f"k{at}", b"x" * 100_000)
    watch(server, flow_control=True, idle_heartbeat=5 * limits.SECOND_NS)
    got = list(server.left)
    for _ in range(20):
        server.turn()
        fresh = messages(server.heard())
        got += fresh
        for one in got:
            if one.reply.startswith("$JS.FC.KV_b."):
                server.publish(one.reply, b"", "")
    values = [one for one in got if one.payload]
    assert len(values) == 40
    assert any(b"100 FlowControl Request" in one.header for one in got)


def test_pitfall_11_a_consumers_name_ends_where_its_filters_dots_begin(server):
    put(server, "a.b.c")
    put(server, "other")
    subject = "$JS.API.CONSUMER.CREATE.KV_b.oc_1.$KV.b.a.*.>"
    answer = watch(server, subject=subject, name="oc_1", filter_subject="$KV.b.a.*.>")
    assert (answer["name"], answer["config"]["filter_subject"]) == ("oc_1", "$KV.b.a.*.>")
    assert [one.subject for one in server.left] == ["$KV.b.a.b.c"]


def test_pitfall_12_a_key_is_everything_after_the_stream_in_its_own_case(server):
    put(server, "Aa.b.C.d.e.f.g", b"deep")
    (got,) = ask(server, "$JS.API.DIRECT.GET.KV_b.$KV.b.Aa.b.C.d.e.f.g")
    assert got.payload == b"deep"
    (missed,) = ask(server, "$JS.API.DIRECT.GET.KV_b.$KV.b.aa.b.c.d.e.f.g")
    assert b"404" in missed.header


@pytest.mark.parametrize(
    "said",
    [
        {"max_msgs_per_subject": 1, "discard": "new", "allow_msg_ttl": True},
        {"max_msgs": -1, "max_bytes": -1, "max_consumers": -1, "max_msg_size": -1,
         "num_replicas": 1, "max_msgs_per_subject": 1, "storage": "file", "consumer_limits": {},
         "mirror_direct": False, "no_ack": False, "discard_new_per_subject": False,
         "sealed": False, "retention": "limits"},
        {"max_msgs_per_subject": 1, "metadata": {}, "compression": "none"},
    ],
)  # fmt: skip
def test_pitfall_13_the_same_request_again_finds_the_same_stream(server, said):
    given = {"name": "KV_c", "subjects": ["$KV.c.>"], **said}
    first, again = (api(server, "STREAM.CREATE.KV_c", given) for _ in range(2))
    assert "error" not in first
    assert again["config"] == first["config"]
    assert again["created"] == first["created"]


def test_pitfall_14_the_servers_own_metadata_comes_back_without_being_a_change(server):
    mine = {"owner": "me"}
    given = {"name": "KV_c", "subjects": ["$KV.c.>"], "metadata": mine}
    config = api(server, "STREAM.CREATE.KV_c", given)["config"]
    assert config["metadata"].keys() > mine.keys()
    updated = api(server, "STREAM.UPDATE.KV_c", {**config, "description": "d"})["config"]
    assert updated == {**config, "description": "d"}
    forged = {**mine, "_nats.ver": "99.0.0", "_nats.level": "77", "_nats.req.level": "5"}
    again = api(server, "STREAM.CREATE.KV_c", {**updated, "metadata": forged})
    assert again["config"] == updated


ERRORS = (
    ("STREAM.INFO.NONE", None, "404/10059 stream not found"),
    ("CONSUMER.INFO.KV_b.none", None, "404/10014 consumer not found"),
    ("STREAM.MSG.GET.KV_b", {"seq": 9}, "404/10037 no message found"),
    (
        "STREAM.CREATE.KV_b",
        {"name": "KV_b", "subjects": ["z"]},
        "400/10058 stream name already in use with a different configuration",
    ),
)


@pytest.mark.parametrize(("verb", "body", "words"), ERRORS)
def test_pitfall_15_errors_have_the_numbers_and_the_words_that_clients_compare(
    server, verb, body, words
):
    error = api(server, verb, body)["error"]
    assert f"{error['code']}/{error['err_code']} {error['description']}" == words


def test_pitfall_15_a_wrong_last_sequence_is_told_with_the_right_one(server):
    put(server, "k")
    refused = put(server, "k", Nats_Expected_Last_Subject_Sequence=7)
    assert refused["error"]["err_code"] == 10071
    assert refused["error"]["description"] == "wrong last sequence: 1"


@pytest.mark.parametrize(("verb", "body"), [each[:2] for each in ERRORS])
def test_pitfall_16_an_errors_type_is_its_requests_too(server, verb, body):
    words = {"STREAM.INFO": "stream_info", "CONSUMER.INFO": "consumer_info"}
    words |= {"STREAM.MSG.GET": "stream_msg_get", "STREAM.CREATE": "stream_create"}
    kind = next(name for start, name in words.items() if verb.startswith(start))
    assert api(server, verb, body)["type"] == f"io.nats.jetstream.api.v1.{kind}_response"


def test_pitfall_17_a_refused_publish_names_the_error_the_stream_and_a_number(server):
    refused = put(server, "k", Nats_Expected_Last_Subject_Sequence=7)
    assert refused.keys() == {"error", "stream", "seq"}
    assert (refused["stream"], refused["seq"]) == ("KV_b", 0)
    assert put(server, "k") == {"stream": "KV_b", "seq": 1}


def test_pitfall_18_a_create_is_refused_until_the_marker_of_a_delete_is_gone(server):
    create = {"Nats_Expected_Last_Subject_Sequence": 0}
    put(server, "k", **create)
    put(server, "k", b"", KV_Operation="DEL")
    assert put(server, "k", **create)["error"]["description"] == "wrong last sequence: 2"
    assert api(server, "STREAM.PURGE.KV_b", {"filter": "$KV.b.k"})["purged"] == 1
    assert put(server, "k", **create)["seq"] == 3


def test_pitfall_19_a_rollup_keeps_its_marker_and_touches_no_other_key(server):
    api(server, "STREAM.UPDATE.KV_b", bucket(allow_rollup_hdrs=True, max_msgs_per_subject=5))
    for key in ("a", "a", "b", "a"):
        put(server, key)
    put(server, "a", b"", KV_Operation="PURGE", Nats_Rollup="sub")
    details = api(server, "STREAM.INFO.KV_b", {"deleted_details": True, "subjects_filter": ">"})
    assert details["state"]["subjects"] == {"$KV.b.a": 1, "$KV.b.b": 1}
    assert (details["state"]["first_seq"], details["state"]["deleted"]) == (3, [4])


def test_pitfall_21_of_sixty_creates_at_once_one_wins_and_the_others_are_told_10071(server):
    header = b"NATS/1.0\r\nNats-Expected-Last-Subject-Sequence: 0\r\n\r\n"
    lines = b"".join(
        b"HPUB $KV.b.lock _I.%d %d %d\r\n%bv\r\n" % (at, len(header), len(header) + 1, header)
        for at in range(60)
    )
    server.say(lines)
    server.sync()
    answers = [one.body for one in messages(server.heard())]
    errors = [answer["error"] for answer in answers if "error" in answer]
    assert (len(answers), len(errors)) == (60, 59)
    told = {"code": 400, "err_code": 10071, "description": "wrong last sequence: 1"}
    assert all(error == told for error in errors)


def test_pitfall_23_a_listing_goes_on_where_the_last_page_ended(server):
    count = limits.LIST_PAGE_COUNT + 3
    for at in range(count):
        given = json.dumps({"name": f"S{at:04}", "storage": "memory", "subjects": [f"s{at}"]})
        server.publish(f"$JS.API.STREAM.CREATE.S{at:04}", given.encode(), "")
    server.sync()
    found: list[str] = []
    while True:
        page = api(server, "STREAM.LIST", {"offset": len(found)})
        assert (page["total"], page["limit"]) == (count + 1, limits.LIST_PAGE_COUNT)
        found += [one["config"]["name"] for one in page["streams"]]
        if len(found) >= page["total"]:
            break
    assert found == sorted(["KV_b", *(f"S{at:04}" for at in range(count))])
    assert api(server, "STREAM.NAMES", {"offset": count})["streams"] == [found[-1]]


def test_pitfall_24_info_counts_subjects_only_when_asked_and_then_page_by_page(server, monkeypatch):
    for key in "abc":
        put(server, key)
    plain = api(server, "STREAM.INFO.KV_b")
    assert (plain["total"], plain["offset"], plain["limit"]) == (0, 0, 0)
    assert "subjects" not in plain["state"]
    monkeypatch.setattr(limits, "SUBJECTS_PAGE_COUNT", 2)
    shown: dict[str, int] = {}
    for offset in (0, 2):
        page = api(server, "STREAM.INFO.KV_b", {"subjects_filter": ">", "offset": offset})
        assert (page["total"], page["offset"], page["limit"]) == (3, offset, 2)
        shown |= page["state"]["subjects"]
    assert shown == {"$KV.b.a": 1, "$KV.b.b": 1, "$KV.b.c": 1}
    beyond = api(server, "STREAM.INFO.KV_b", {"subjects_filter": ">", "offset": 9})
    assert (beyond["total"], "subjects" in beyond["state"]) == (3, False)


def test_pitfall_25_who_is_followed_was_seen_and_nobodys_lag_is_negative(server):
    api(server, "STREAM.CREATE.M", {"name": "M", "mirror": {"name": "KV_b"}})
    put(server, "k")
    server.sync()
    info = api(server, "STREAM.INFO.M")
    assert info["mirror"]["active"] > 0
    assert info["mirror"]["lag"] >= 0
    assert "replicas" not in info["cluster"]


def test_pitfall_27_an_answer_waits_for_the_disk_and_for_no_alarm(server):
    before = server.now
    for verb in ("INFO", "STREAM.INFO.KV_b", "STREAM.NAMES", "CONSUMER.LIST.KV_b"):
        assert "error" not in api(server, verb)
    put(server, "k")
    assert server.now - before < limits.MILLISECOND_NS


def test_pitfall_28_a_ping_is_answered_while_a_big_watch_streams(server):
    count = 4 * limits.DELIVERIES_PER_TURN_COUNT
    server.say(b"".join(b"PUB $KV.b.k%d 1\r\nv\r\n" % at for at in range(count)))
    server.sync()
    watch(server)
    seen = len(server.left)
    server.say(b"PING\r\n")
    heard = server.heard()
    assert b"PONG\r\n" in heard
    assert seen + len(messages(heard)) < count


def test_pitfall_29_who_never_reads_is_cut_off_and_the_others_go_on(server, monkeypatch):
    monkeypatch.setattr(limits, "PENDING_OUTPUT_BYTES", 10_000)
    server.client(2)
    server.say(b"SUB big 2\r\n", 2)
    effects = server.say(
        b"PUB big 6000\r\n" + b"x" * 6000 + b"\r\n" + b"PUB big 6000\r\n" + b"x" * 6000 + b"\r\n"
    )
    assert effects.closes == (2,)
    assert b"-ERR 'Slow Consumer'" in server.heard(2)
    assert put(server, "k")["seq"] == 1


def test_pitfall_30_a_missing_key_is_404_and_a_missing_or_closed_bucket_is_503(server):
    (missing,) = ask(server, "$JS.API.DIRECT.GET.KV_b.$KV.b.k")
    assert b"NATS/1.0 404" in missing.header
    api(server, "STREAM.CREATE.KV_c", bucket("c", allow_direct=False))
    for name in ("KV_c.$KV.c.k", "KV_none.$KV.none.k"):
        (nobody,) = ask(server, f"$JS.API.DIRECT.GET.{name}")
        assert b"NATS/1.0 503" in nobody.header


@pytest.mark.parametrize("subject", ["$KV.b.a..b", "$KV.b.", "$KV.b"])
def test_pitfall_31_a_key_with_an_empty_word_has_no_responder(server, subject):
    (got,) = ask(server, subject, b"v")
    assert b"NATS/1.0 503" in got.header


@pytest.mark.parametrize("key", ["x.*", "x.>"])
def test_pitfall_31_a_key_with_a_wildcard_is_refused_where_nats_server_stores_it(server, key):
    assert put(server, key)["error"]["err_code"] == 10003
    assert "publish to a wildcard subject" in Path("docs/differences.md").read_text()


def test_pitfall_33_info_has_both_times_and_a_bucket_never_used_has_year_one(server):
    state = api(server, "STREAM.INFO.KV_b")["state"]
    assert state["first_ts"] == state["last_ts"] == "0001-01-01T00:00:00Z"
    put(server, "k")
    state = api(server, "STREAM.INFO.KV_b")["state"]
    assert state["first_ts"] == state["last_ts"] > "2026"


def test_pitfall_34_the_api_level_lets_clients_ask_for_limit_markers(server):
    assert api(server, "INFO")["api"]["level"] >= 1


def test_what_design_decides_otherwise_stands_in_the_list_of_differences():
    rows = Path("docs/differences.md").read_text()
    for topic in ("unknown `$JS.API.…` subject", "concurrent CAS", "publish to a wildcard subject"):
        assert f"| {topic}" in rows
