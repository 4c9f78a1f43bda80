"""What a server says of itself equals what its clients did, and costs little to say."""

import json

import pytest

from kvcore import limits
from kvcore.limits import SECOND_NS
from kvcore.nats.permissions import Permissions, Responses, Rule
from kvcore.node.config import User
from kvcore.node.io import ClientClosed, ClientConnected, ClientData, Measured, Operator, Order
from kvcore.node.questions import QuestionError, from_json, from_url
from kvcore.node.sight import uptime
from kvcore.storage.memory import MemoryStorage
from tests.support.driven import Driver, bucket

NAMED = b'CONNECT {"verbose":false,"name":"reader","lang":"go","version":"1.2"}\r\n'


@pytest.fixture
def server():
    driver = Driver()
    driver.sync()
    driver.client()
    return driver


def look(driver, about, **options):
    """The document as HTTP asks for it."""
    pairs = [(name.replace("_", "-"), value) for name, value in options.items()]
    return driver.node.report(from_url(about, pairs), driver.now)


def shown(driver, about, **options):
    report = look(driver, about, **options)
    assert report.status == 200
    return report.document


def fill(driver, *names, count=3, size=5, **more):
    for name in names:
        driver.request(f"$JS.API.STREAM.CREATE.KV_{name}", bucket(name, **more))
        for n in range(count):
            driver.publish(f"$KV.{name}.k{n}", b"v" * size)
            driver.sync()
    driver.heard()


# The same counts everywhere.


def test_traffic_is_counted_in_every_document_as_the_clients_count_it(server):
    server.turn(ClientConnected(2, "127.0.0.9", 777), ClientData(2, NAMED))
    server.turn(ClientData(2, b"SUB news.> 7\r\nSUB jobs workers 8\r\nSUB gone 9\r\nUNSUB 9\r\n"))
    server.turn(
        ClientData(1, b"PUB news.a 5\r\nhello\r\nHPUB jobs 12 15\r\nNATS/1.0\r\n\r\nabc\r\n")
    )
    server.turn(ClientData(1, b"PUB nobody 4\r\nlost\r\n"))
    sent, heard = (3, 5 + 15 + 4), (2, 5 + 15)
    varz = shown(server, "varz")
    assert (varz["in_msgs"], varz["in_bytes"]) == sent
    assert (varz["out_msgs"], varz["out_bytes"]) == heard
    assert (varz["connections"], varz["total_connections"]) == (2, 2)
    assert varz["subscriptions"] == 3  # one is the first client's inbox
    one, two = shown(server, "connz")["connections"]
    assert (one["in_msgs"], one["in_bytes"], one["out_msgs"]) == (*sent, 0)
    assert (two["out_msgs"], two["out_bytes"], two["in_msgs"]) == (*heard, 0)
    assert (one["subscriptions"], two["subscriptions"]) == (1, 2)
    assert shown(server, "subsz")["num_subscriptions"] == 3
    (account,) = shown(server, "accstatz")["account_statz"]
    assert account["sent"] == {"msgs": 2, "bytes": 20}
    assert account["received"] == {"msgs": 3, "bytes": 24}
    assert (account["conns"], account["num_subscriptions"]) == (2, 3)
    statsz = server.request("$SYS.REQ.SERVER.PING")["statsz"]
    assert statsz["received"] == {"msgs": 4, "bytes": 24}  # with this very request
    assert statsz["sent"] == {"msgs": 2, "bytes": 20}


def test_counts_of_those_who_left_stay_in_the_servers_sum(server):
    server.turn(ClientData(1, b"PUB a 3\r\nabc\r\n"), ClientClosed(1))
    varz = shown(server, "varz")
    assert (varz["in_msgs"], varz["in_bytes"], varz["connections"]) == (1, 3, 0)
    assert (varz["total_connections"], varz["subscriptions"]) == (1, 0)
    assert shown(server, "connz")["connections"] == []


def test_streams_are_counted_in_jsz_and_varz_as_in_stream_info(server):
    fill(server, "a", count=4)
    fill(server, "m", count=2, storage="memory", max_bytes=1000)
    config = {"ack_policy": "explicit", "durable_name": "c"}
    server.request("$JS.API.CONSUMER.CREATE.KV_a.c", {"stream_name": "KV_a", "config": config})
    states = [server.request(f"$JS.API.STREAM.INFO.KV_{n}")["state"] for n in ("a", "m")]
    total = server.request("$JS.API.INFO")
    jsz = shown(server, "jsz")
    assert (jsz["streams"], jsz["consumers"], jsz["messages"]) == (2, 1, 6)
    assert jsz["bytes"] == sum(state["bytes"] for state in states)
    assert (jsz["storage"], jsz["memory"]) == (states[0]["bytes"], states[1]["bytes"])
    assert (jsz["reserved_memory"], jsz["reserved_storage"]) == (1000, 0)
    assert (total["reserved_memory"], total["reserved_storage"]) == (1000, 0)
    assert jsz["api"]["total"] == total["api"]["total"]
    assert shown(server, "varz")["jetstream"]["stats"]["storage"] == states[0]["bytes"]
    (account,) = shown(server, "jsz", consumers="1")["account_details"]
    details = account["stream_detail"]
    assert [detail["state"] for detail in details] == states
    assert details[0]["consumer_detail"][0]["num_pending"] == 4
    assert "config" not in details[0]
    assert "config" not in details[0]["consumer_detail"][0]
    (account,) = shown(server, "jsz", consumers="1", config="1")["account_details"]
    assert account["stream_detail"][1]["config"]["storage"] == "memory"
    assert account["stream_detail"][0]["consumer_detail"][0]["config"]["durable_name"] == "c"


def test_a_refused_request_counts_as_an_api_error(server):
    server.request("$JS.API.STREAM.INFO.none")
    assert shown(server, "jsz")["api"] == {"level": 1, "total": 1, "errors": 1}


# Options and pages.


def test_connections_are_shown_in_pages_and_orders(server):
    for conn in range(2, 6):
        server.turn(ClientConnected(conn, "h", conn), ClientData(conn, NAMED))
        server.turn(ClientData(conn, b"".join(b"SUB s %d\r\n" % sid for sid in range(conn))))
    page = shown(server, "connz", offset="1", limit="2")
    assert [each["cid"] for each in page["connections"]] == [2, 3]
    assert (page["num_connections"], page["total"]) == (2, 5)
    assert (page["offset"], page["limit"]) == (1, 2)
    by_subs = shown(server, "connz", sort="subs")["connections"]
    assert [each["subscriptions"] for each in by_subs] == [5, 4, 3, 2, 1]
    newest_first = shown(server, "connz", sort="uptime")["connections"]
    assert [each["cid"] for each in newest_first] == [5, 4, 3, 2, 1]
    (one,) = shown(server, "connz", cid="3", subs="detail", auth="true")["connections"]
    assert (one["name"], one["lang"], one["version"], one["account"]) == (
        "reader", "go", "1.2", "$G",
    )  # fmt: skip
    assert one["subscriptions_list_detail"][2] == {"subject": "s", "sid": "2", "msgs": 0, "cid": 3}
    assert shown(server, "connz", offset="99")["connections"] == []
    assert shown(server, "connz", limit="-1", offset="-9")["num_connections"] == 5
    assert shown(server, "connz", cid="99")["num_connections"] == 0


def test_users_are_named_only_where_they_are_asked_for(server):
    driver = Driver(users=(User("ann", "s3cret"), User("bob", "s3")))
    for conn, user, word in ((1, "ann", "s3cret"), (2, "bob", "s3")):
        hello = f'CONNECT {{"verbose":false,"user":"{user}","pass":"{word}"}}\r\n'.encode()
        driver.turn(ClientConnected(conn, "h", 1), ClientData(conn, hello))
    assert "authorized_user" not in shown(driver, "connz")["connections"][0]
    (bob,) = shown(driver, "connz", auth="1", user="bob")["connections"]
    assert bob["authorized_user"] == "bob"
    assert shown(driver, "varz")["auth_required"] is True
    for about in ("varz", "connz", "jsz", "subsz", "accountz"):
        assert "s3" not in json.dumps(shown(driver, about))


def test_subscriptions_are_shown_in_pages_and_by_what_they_hear(server):
    server.turn(ClientConnected(2, "h", 2), ClientData(2, NAMED))
    server.turn(ClientData(2, b"SUB a.* 1\r\nSUB a.b q 2\r\nSUB c 3\r\nUNSUB 3 9\r\n"))
    page = shown(server, "subsz", subs="1", offset="1", limit="2")
    assert [sub["subject"] for sub in page["subscriptions_list"]] == ["a.*", "a.b"]
    assert (page["total"], page["num_subscriptions"]) == (4, 4)
    last = shown(server, "subsz", subs="1", offset="3")["subscriptions_list"]
    assert last == [{"account": "$G", "subject": "c", "sid": "3", "msgs": 0, "max": 9, "cid": 2}]
    heard = shown(server, "subsz", subs="1", test="a.b")
    assert {sub["sid"] for sub in heard["subscriptions_list"]} == {"1", "2"}
    assert heard["subscriptions_list"][1]["qgroup"] == "q"
    assert "subscriptions_list" not in shown(server, "subsz")


def test_an_answer_names_a_bounded_number_of_subscriptions(server):
    many = limits.MONITOR_SUBSCRIPTIONS_COUNT + 10
    server.turn(ClientData(1, b"".join(b"SUB s %d\r\n" % (sid + 2) for sid in range(many))))
    server.turn(ClientConnected(2, "h", 2), ClientData(2, NAMED + b"SUB s 1\r\n"))
    for subs, key in (("1", "subscriptions_list"), ("detail", "subscriptions_list_detail")):
        one, two = shown(server, "connz", subs=subs)["connections"]
        assert len(one[key]) + len(two[key]) == limits.MONITOR_SUBSCRIPTIONS_COUNT
        assert (one["subscriptions"], two["subscriptions"]) == (many + 1, 1)
    rest = shown(server, "subsz", subs="1", limit="9999", offset=str(many - 5))
    assert len(rest["subscriptions_list"]) == 7


def test_streams_are_shown_in_pages_whose_weight_is_bounded(server, monkeypatch):
    monkeypatch.setattr(limits, "MONITOR_STREAMS_WEIGHT", 4)
    fill(server, *"edcba", count=0)

    def names(**options):
        document = shown(server, "jsz", streams="1", **options)
        assert document["total"] == document["streams"] == 5
        return [each["name"] for each in document["account_details"][0]["stream_detail"]]

    assert names() == ["KV_a", "KV_b", "KV_c", "KV_d"]
    assert names(limit="10000") == names()
    assert names(offset="4") == ["KV_e"]
    assert names(offset="1", limit="2") == ["KV_b", "KV_c"]
    assert names(config="1") == ["KV_a", "KV_b"]


@pytest.mark.parametrize(
    ("about", "options", "said"),
    [
        ("connz", {"sort": "colour"}, "invalid sorting option: colour"),
        ("connz", {"sort": "rtt"}, "not measured"),
        ("connz", {"state": "closed"}, "only open ones are kept"),
        ("connz", {"limit": "many"}, "limit is a number, not 'many'"),
        ("connz", {"limit": "9" * 30}, "limit is a number"),
        ("connz", {"limit": "１"}, "limit is a number"),
        ("connz", {"auth": "maybe"}, "auth is true or false"),
        ("subsz", {"test": "a.*"}, "invalid test subject"),
        ("jsz", {"streams": "2"}, "streams is true or false"),
        ("healthz", {"js_server_only": "x"}, "js-server-only is true or false"),
    ],
)
def test_options_that_make_no_sense_are_refused_with_a_sentence(server, about, options, said):
    with pytest.raises(QuestionError, match=said) as caught:
        look(server, about, **options)
    assert caught.value.code == 400


def test_unknown_options_are_passed_over_and_the_first_of_two_counts(server):
    pairs = [("limit", "1"), ("limit", "junk"), ("callback", "evil")]
    assert from_url("connz", pairs).limit(10) == 1


def test_json_options_have_their_own_names(server):
    question = from_json("connz", {"subscriptions": True, "state": 0, "limit": 3, "sort": None})
    assert question.flag("subs")
    assert question.text("state") == "open"
    with pytest.raises(QuestionError, match="limit can't be a JSON string"):
        from_json("connz", {"limit": "3"})
    with pytest.raises(QuestionError, match="limit can't be a JSON bool"):
        from_json("connz", {"limit": True})
    with pytest.raises(QuestionError, match="out of range"):
        from_json("connz", {"cid": 1 << 70})


# Health.


MODES = ({}, {"js_enabled_only": "true"}, {"js_server_only": "true"})


def health(driver):
    return [look(driver, "healthz", **mode).status for mode in MODES]


def test_a_server_at_work_is_healthy_in_all_three_modes(server):
    fill(server, "b")
    assert health(server) == [200, 200, 200]
    assert shown(server, "healthz") == {"status": "ok"}


def test_without_jetstream_a_server_is_healthy_in_all_three_modes():
    assert health(Driver(jetstream=False)) == [200, 200, 200]


def test_until_its_log_is_durable_a_server_is_unavailable():
    driver = Driver()
    assert health(driver) == [503, 200, 200]
    report = look(driver, "healthz")
    assert report.document == {
        "status": "unavailable",
        "error": "JetStream has not established contact with a meta leader",
    }
    driver.sync()
    assert health(driver) == [200, 200, 200]


def test_a_stream_that_is_not_served_yet_is_named(server):
    fill(server, "b")
    again = Driver(server.stores)
    (host,) = again.node._hosts
    again.turn(*[])
    assert not host.is_leading
    again.node._meta_group.persisted(again.node._meta_group.term)
    report = look(again, "healthz")
    assert report.document["error"] == "JetStream stream '$G > KV_b' is not current"
    assert health(again) == [503, 200, 200]
    one = look(again, "healthz", account="$G", stream="KV_b", details="1")
    assert one.status == 503
    assert one.document["errors"][0]["stream"] == "KV_b"


def test_a_lame_duck_is_unhealthy_in_all_three_modes(server):
    server.turn(Operator(Order.LAME_DUCK))
    assert health(server) == [500, 500, 500]
    assert look(server, "healthz").document["status"] == "error"


@pytest.mark.parametrize(
    ("options", "status", "said"),
    [
        ({"account": "$G", "stream": "KV_b"}, 200, ""),
        ({"account": "$G", "stream": "KV_b", "consumer": "c"}, 404, 'consumer "c" not found'),
        ({"account": "$G", "stream": "no"}, 404, 'stream "no" not found on account "$G"'),
        ({"account": "other"}, 404, 'account "other" not found'),
        ({"stream": "KV_b"}, 400, '"account" must not be empty'),
        ({"account": "$G", "consumer": "c"}, 400, '"stream" must not be empty'),
    ],
)
def test_one_stream_or_consumer_can_be_asked_after(server, options, status, said):
    fill(server, "b")
    report = look(server, "healthz", **options)
    assert report.status == status
    assert said in str(report.document.get("error", ""))


# What isn't measured is absent.


def test_memory_and_processor_time_are_told_once_the_driver_measured_them(server):
    absent = {"mem", "cores", "cpu"}
    assert not absent & shown(server, "varz").keys()
    server.turn(Measured(5_000_000, 10 * SECOND_NS, 2))
    first = shown(server, "varz")
    assert (first["mem"], first["cores"]) == (5_000_000, 2)
    assert "cpu" not in first
    server.now += 2 * SECOND_NS - 1000
    server.turn(Measured(6_000_000, 11 * SECOND_NS, 2))
    assert shown(server, "varz")["cpu"] == 50.0
    assert server.request("$SYS.REQ.SERVER.PING")["statsz"]["mem"] == 6_000_000


def test_what_is_not_measured_is_absent(server):
    server.turn(Measured(1, 1, 1))
    assert not {"rtt", "pending_bytes"} & shown(server, "connz")["connections"][0].keys()
    unmeasured = {"stale_connections", "http_req_stats", "gomaxprocs", "write_deadline"}
    assert not unmeasured & shown(server, "varz").keys()
    assert not {"num_cache", "num_matches", "avg_fanout"} & shown(server, "subsz").keys()


def test_without_jetstream_its_document_says_so():
    driver = Driver(jetstream=False)
    assert shown(driver, "jsz")["disabled"] is True
    assert shown(driver, "varz")["jetstream"] == {}


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (61, "1m1s"),
        (3600, "1h0m0s"),
        (90_061, "1d1h1m1s"),
        (366 * 86_400, "1y1d0h0m0s"),
        (-5, "0s"),
    ],
)
def test_lengths_of_time_are_written_as_nats_server_writes_them(seconds, text):
    assert uptime(seconds * SECOND_NS + 5) == text


# What it costs.


class Counted(MemoryStorage):
    def __init__(self):
        super().__init__()
        self.reads = 0

    def get(self, key):
        self.reads += 1
        return super().get(key)

    def scan(self, *bounds):
        self.reads += 1_000_000
        return super().scan(*bounds)


def test_a_document_about_many_keys_reads_no_more_than_one_about_a_few():
    reads = []
    for count in (3, 500):
        store = Counted()
        driver = Driver({"file": store, "memory": MemoryStorage()})
        driver.sync()
        driver.client()
        fill(driver, "b", count=count)
        store.reads = 0
        assert shown(driver, "jsz", consumers="1", config="1")["messages"] == count
        assert shown(driver, "varz")["jetstream"]["stats"]["storage"] > 0
        look(driver, "healthz")
        reads.append(store.reads)
    assert reads[0] == reads[1] < 5


def test_a_question_changes_nothing(server):
    fill(server, "b")
    before = [shown(server, about) for about in ("varz", "jsz", "connz")]
    deadline = server.node.deadline()
    for about in ("varz", "connz", "subsz", "jsz", "routez", "healthz", "accountz", "accstatz"):
        look(server, about)
    assert [shown(server, about) for about in ("varz", "jsz", "connz")] == before
    assert server.node.deadline() == deadline
    effects = server.node.effects()
    assert not effects.writes
    assert not effects.batches


# Requests by message.


def test_each_document_is_asked_for_by_message_too(server):
    fill(server, "b")
    for name in ("VARZ", "CONNZ", "SUBSZ", "JSZ", "ROUTEZ", "ACCOUNTZ", "GATEWAYZ", "LEAFZ"):
        for whose in ("PING", "ID"):
            answer = server.request(f"$SYS.REQ.SERVER.{whose}.{name}", {})
            assert answer["server"]["id"] == "ID"
            assert answer["data"]["server_id"] == "ID"
    assert server.request("$SYS.REQ.SERVER.PING.JSZ", {"streams": True})["data"]["streams"] == 1
    assert server.request("$SYS.REQ.SERVER.PING.HEALTHZ")["data"] == {
        "status": "ok",
        "status_code": 200,
    }
    assert server.request("$SYS.REQ.SERVER.PING.IDZ") == {
        "name": "n1", "host": "127.0.0.1", "id": "ID",
    }  # fmt: skip
    assert server.request("$SYS.REQ.SERVER.ID.STATSZ")["statsz"]["connections"] == 1
    for subject in ("PING.CONNZ", "$G.CONNZ", "$G.SUBSZ", "$G.JSZ", "PING.STATZ"):
        answer = server.request(f"$SYS.REQ.ACCOUNT.{subject}", {})
        assert answer["data"]["server_id"] == "ID"


def test_who_is_not_meant_keeps_silent(server):
    def is_answered(body):
        server.publish("$SYS.REQ.SERVER.PING.VARZ", json.dumps(body).encode(), "_I.a")
        return b"MSG _I.a" in server.heard()

    assert is_answered({"server_name": "n"})
    assert not is_answered({"server_name": "n", "exact_match": True})
    assert is_answered({"server_name": "n1", "exact_match": True})
    assert not is_answered({"host": "elsewhere"})
    assert not is_answered({"cluster": "c"})
    assert not is_answered({"tags": ["blue"]})


def test_what_can_not_be_answered_is_an_error_in_the_envelope(server):
    answer = server.request("$SYS.REQ.SERVER.PING.CONNZ", {"sort": "colour"})
    assert answer["error"] == {"code": 400, "description": "invalid sorting option: colour"}
    assert "data" not in answer
    server.publish("$SYS.REQ.SERVER.PING.CONNZ", b"{bad", "_I.a")
    assert b'"code":400' in server.heard()
    server.publish("$SYS.REQ.SERVER.PING.CONNZ", b"[" * 5000, "_I.a")
    assert b'"code":400' in server.heard()


def test_what_does_not_exist_has_no_responders(server):
    for subject in ("SERVER.PING.NONE", "SERVER.other.VARZ", "ACCOUNT.other.CONNZ"):
        server.publish(f"$SYS.REQ.{subject}", b"", "_I.a")
        assert b"503" in server.heard()


def test_user_info_tells_the_asker_who_it_is_and_what_it_may_do():
    granted = Permissions(Rule(("$SYS.REQ.>", "_I.>"), ("a",)), Rule(("_I.>",)), Responses(1, 5))
    driver = Driver(users=(User("ann", "x", granted),), jetstream=False)
    hello = b'CONNECT {"verbose":false,"user":"ann","pass":"x"}\r\nSUB _I.> 1\r\n'
    driver.turn(ClientConnected(1, "h", 1), ClientData(1, hello))
    answer = driver.request("$SYS.REQ.USER.INFO")
    assert answer["server"]["name"] == "n1"
    assert answer["data"] == {
        "user": "ann",
        "account": "$G",
        "account_name": "$G",
        "permissions": {
            "publish": {"allow": ["$SYS.REQ.>", "_I.>"], "deny": ["a"]},
            "subscribe": {"allow": ["_I.>"]},
            "responses": {"max": 1, "ttl": 5},
        },
    }


def test_an_open_servers_user_has_no_name_and_no_bounds(server):
    data = server.request("$SYS.REQ.USER.INFO")["data"]
    assert data == {"user": "", "account": "$G", "account_name": "$G"}


def test_who_may_not_publish_there_is_not_answered():
    granted = Permissions(Rule(("_I.>",)))
    driver = Driver(users=(User("ann", "x", granted),))
    hello = b'CONNECT {"verbose":false,"user":"ann","pass":"x"}\r\nSUB _I.> 1\r\n'
    driver.turn(ClientConnected(1, "h", 1), ClientData(1, hello))
    driver.heard()
    driver.publish("$SYS.REQ.SERVER.PING.CONNZ", b"", "_I.a")
    heard = driver.heard()
    assert b"Permissions Violation" in heard
    assert b"MSG" not in heard
