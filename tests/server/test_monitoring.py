"""HTTP monitoring: what is asked, what is refused, and that it tells the truth."""

import json
import os
import signal
import socket
import sys
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse

import pytest

from kvcore import limits
from kvcore.node.io import Measured
from kvcore.node.sight import Report
from kvcore.server.monitoring import PATHS, RefusedError, parse
from tests.support.servers import Server, running
from tests.support.wait import eventually
from tests.support.wire import Wire

SERVE = [sys.executable, "-m", "kvcore.cli.main", "serve"]
CONNECT = '{"verbose":false,"headers":true,"no_responders":true,"name":"tester","lang":"raw"}'
HOST = b"Host: localhost\r\n"


def http_port(server: Server) -> int:
    return int(server.wait_for(r"Starting http monitor on").rpartition(":")[2])


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running("kvcore", "-m", "-1", argv=SERVE) as server:
        yield server


def ask(server: Server, path: str, method: str = "GET") -> tuple[HTTPResponse, bytes]:
    connection = HTTPConnection("127.0.0.1", http_port(server), timeout=20)
    try:
        connection.request(method, path)
        response = connection.getresponse()
        return response, response.read()
    finally:
        connection.close()


def document(server: Server, path: str) -> dict:
    response, body = ask(server, path)
    assert response.status == 200, body
    assert response.headers["Content-Type"] == "application/json"
    return json.loads(body)


def raw(server: Server, data: bytes) -> bytes:
    """What comes back until the server closes."""
    with socket.create_connection(("127.0.0.1", http_port(server)), 20) as visitor:
        visitor.sendall(data)
        heard = b""
        while piece := visitor.recv(1 << 16):
            heard += piece
        return heard


def status(server: Server, data: bytes) -> int:
    return int(raw(server, data).split(b" ")[1])


# The truth.


def test_known_traffic_is_counted_alike_in_every_document_and_by_the_client() -> None:
    with (
        running("kvcore", "-m", "-1", argv=SERVE) as server,
        Wire(server.port, CONNECT) as one,
        Wire(server.port, CONNECT) as two,
    ):
        messages, size, subscriptions = 250, 40, 7
        two.send(b"".join(b"SUB t.%d %d\r\n" % (n, n) for n in range(subscriptions)))
        two.send(b"PING\r\n")
        two.until("PONG")
        header = b"NATS/1.0\r\nA: b\r\n\r\n"
        payload = b"v" * (size - len(header))
        for n in range(messages):
            frame = b"HPUB t.%d %d %d\r\n" % (n % subscriptions, len(header), size)
            one.send(frame + header + payload + b"\r\n")
        one.send(b"PING\r\n")
        one.until("PONG")
        heard = [two.frame() for _ in range(messages)]
        assert sum(len(each.header) + len(each.payload) for each in heard) == messages * size
        varz = document(server, "/varz")
        connz = document(server, "/connz?subs=1")
        subsz = document(server, "/subsz?subs=1")
        assert (varz["in_msgs"], varz["in_bytes"]) == (messages, messages * size)
        assert (varz["out_msgs"], varz["out_bytes"]) == (messages, messages * size)
        assert varz["connections"] == connz["total"] == 2
        by_cid = {each["cid"]: each for each in connz["connections"]}
        assert (by_cid[1]["in_msgs"], by_cid[1]["in_bytes"]) == (messages, messages * size)
        assert (by_cid[2]["out_msgs"], by_cid[2]["out_bytes"]) == (messages, messages * size)
        assert by_cid[1]["name"] == "tester"
        assert varz["subscriptions"] == subsz["num_subscriptions"] == subsz["total"] == 7
        assert len(by_cid[2]["subscriptions_list"]) == by_cid[2]["subscriptions"] == 7
        assert sum(sub["msgs"] for sub in subsz["subscriptions_list"]) == messages


def test_known_puts_are_counted_alike_in_jsz_varz_and_stream_info() -> None:
    with running("kvcore", "-m", "-1", argv=SERVE) as server, Wire(server.port, CONNECT) as wire:
        config = {"name": "KV_b", "subjects": ["$KV.b.>"], "max_msgs_per_subject": 1}
        wire.api("STREAM.CREATE.KV_b", config)
        for n in range(50):
            wire.request(f"$KV.b.k{n % 20}", b"value")
        state = wire.api("STREAM.INFO.KV_b")["state"]
        jsz = document(server, "/jsz?streams=1")
        assert jsz["messages"] == state["messages"] == 20
        assert jsz["bytes"] == jsz["storage"] == state["bytes"]
        assert jsz["account_details"][0]["stream_detail"][0]["state"] == state
        assert jsz["api"] == {"level": 1, "total": 2, "errors": 0}
        varz = document(server, "/varz")
        assert varz["jetstream"]["stats"]["storage"] == state["bytes"]
        assert varz["in_msgs"] == 52  # two requests, 50 puts
        assert varz["out_msgs"] == 52  # an answer to each


def test_memory_and_processor_time_are_the_processs_own(server: Server) -> None:
    varz = document(server, "/varz")
    assert varz["cores"] == os.cpu_count()
    assert server.rss() / 2 < varz["mem"] < server.rss() * 2
    eventually(lambda: "cpu" in document(server, "/varz"))
    assert 0 <= document(server, "/varz")["cpu"] <= 100 * (os.cpu_count() or 1)


# What is asked.


@pytest.mark.parametrize("path", PATHS)
def test_each_path_answers_pretty_json(server: Server, path: str) -> None:
    response, body = ask(server, path)
    assert response.status == 200
    assert response.headers["Content-Type"] == "application/json"
    found = json.loads(body)
    if path == "/healthz":
        assert body == b'{"status":"ok"}'
    elif path == "/raftz":
        assert found == {}  # a server on its own has no groups worth showing
    else:
        assert body.startswith(b'{\n  "')
        assert found.get("server_id", found.get("server_name"))


def test_the_index_names_every_path(server: Server) -> None:
    response, body = ask(server, "/")
    assert response.headers["Content-Type"].startswith("text/plain")
    assert body.decode().split() == list(PATHS)


def test_head_is_get_without_the_body(server: Server) -> None:
    response, body = ask(server, "/healthz", "HEAD")
    assert (response.status, body) == (200, b"")
    assert response.headers["Content-Length"] == "15"


def test_http_1_0_without_a_host_is_answered(server: Server) -> None:
    assert status(server, b"GET /healthz HTTP/1.0\r\n\r\n") == 200


def test_a_request_in_pieces_is_one_request(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", http_port(server)), 20) as visitor:
        visitor.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in b"GET /healthz HTTP/1.1\r\n" + HOST + b"\r\n":
            visitor.sendall(bytes([byte]))
        assert visitor.recv(1 << 16).startswith(b"HTTP/1.1 200 OK\r\n")


def test_a_visitor_that_closes_its_side_is_answered(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", http_port(server)), 20) as visitor:
        visitor.sendall(b"GET /healthz HTTP/1.1\r\n" + HOST + b"\r\n")
        visitor.shutdown(socket.SHUT_WR)
        assert visitor.recv(1 << 16).startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize(
    ("first", "wanted"),
    [
        (b"GET /none HTTP/1.1", 404),
        (b"GET /varz/ HTTP/1.1", 404),
        (b"GET /connz?limit=x HTTP/1.1", 400),
        (b"GET /connz?sort=colour HTTP/1.1", 400),
        (b"GET /jsz?" + b"&".join(b"a%d=1" % n for n in range(40)) + b" HTTP/1.1", 400),
        (b"POST /varz HTTP/1.1", 405),
        (b"DELETE /varz HTTP/1.1", 405),
        (b"OPTIONS /varz HTTP/1.1", 405),
        (b"GET  /varz HTTP/1.1", 400),
        (b"GET /varz", 400),
        (b"GET /varz HTTP/2.0", 505),
        (b"\x16\x03\x01 \xff", 400),
        (b"PING", 400),
        (b"", 400),
    ],
)
def test_what_is_badly_asked_is_refused_by_number(
    server: Server, first: bytes, wanted: int
) -> None:
    heard = raw(server, first + b"\r\n" + HOST + b"\r\n")
    assert int(heard.split(b" ")[1]) == wanted
    assert b"Content-Type: text/plain" in heard
    if wanted == 405:
        assert b"Allow: GET, HEAD\r\n" in heard


def test_a_refused_option_is_named(server: Server) -> None:
    response, body = ask(server, "/connz?limit=x")
    assert (response.status, body) == (400, b"limit is a number, not 'x'\n")


@pytest.mark.parametrize(
    "lines",
    ["Host: a\r\nHost: b", "no colon\r\nHost: localhost", " Host: localhost", "Host : localhost"],
)
def test_headers_that_two_readers_may_read_in_two_ways_are_refused(lines: str) -> None:
    with pytest.raises(RefusedError) as caught:
        parse(f"GET /varz HTTP/1.1\r\n{lines}".encode(), is_private=True)
    assert caught.value.status == 400


# Health.

MODES = ("", "?js-enabled-only=true", "?js-server-only=true")


def health(server: Server) -> list[int]:
    return [ask(server, f"/healthz{mode}")[0].status for mode in MODES]


@pytest.mark.parametrize("flags", [(), ("--no-jetstream",)])
def test_a_server_at_work_is_healthy_with_jetstream_and_without(flags: tuple[str, ...]) -> None:
    with running("kvcore", "-m", "-1", *flags, argv=SERVE) as server:
        assert health(server) == [200, 200, 200]


def test_a_lame_duck_is_unhealthy_until_it_ends() -> None:
    with running("kvcore", "-m", "-1", argv=SERVE) as server, Wire(server.port, CONNECT):
        server.process.send_signal(signal.SIGUSR2)
        server.wait_for("Entering lame duck mode")
        eventually(lambda: health(server) == [500, 500, 500])
        assert document(server, "/varz")["connections"] == 1
    # the connection is gone: the server ends by itself


def test_a_server_whose_disk_failed_says_so_to_whoever_still_asks(make_driver) -> None:
    driver = make_driver()
    assert driver.report(lambda _now: Report(200, {"status": "ok"})).status == 200
    driver.fail("input/output error")
    found = driver.report(lambda _now: Report(200, {"status": "ok"}))
    assert found.status == 503
    assert found.document["status"] == "unavailable"


def test_the_process_is_measured_before_a_question_and_not_again_within_a_second(
    make_driver, core
) -> None:
    now = [5]
    driver = make_driver(clock=lambda: now[0], measure=lambda: Measured(1, 2, 3))
    for _ in range(3):
        driver.report(lambda _now: Report(200, {}))
    assert core.events == [Measured(1, 2, 3)]
    now[0] += limits.MEASURE_INTERVAL_NS
    driver.report(lambda _now: Report(200, {}))
    assert core.events == [Measured(1, 2, 3)] * 2


@pytest.fixture
def make_driver(core, disk):
    import asyncio

    from kvcore.server.driver import Driver

    loop = asyncio.new_event_loop()
    made = []

    def make(clock=lambda: 5, **more):
        driver = Driver(loop, core, {"file": disk}, clock, lambda _reason: None, **more)
        made.append(driver)
        return driver

    yield make
    for driver in made:
        driver.stop_disk()
    loop.close()


# The process.


def test_the_ports_file_names_the_monitoring_port(tmp_path) -> None:
    with running("kvcore", "-m", "-1", "--ports_file_dir", str(tmp_path), argv=SERVE) as server:
        (path,) = tmp_path.glob("*.ports")
        ports = json.loads(path.read_text())
        assert ports["monitoring"] == [f"http://127.0.0.1:{http_port(server)}"]
        varz = document(server, "/varz")
        assert varz["http_port"] == http_port(server)
        assert varz["http_host"] == "127.0.0.1"


def test_without_the_flag_nothing_listens(tmp_path) -> None:
    with running("kvcore", argv=SERVE) as server:
        assert not any("http monitor" in line for line in server.lines)


def test_the_port_is_free_again_when_the_server_has_ended() -> None:
    with running("kvcore", "-m", "-1", argv=SERVE) as server:
        port = http_port(server)
        assert server.stop() == 0
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), 20)
