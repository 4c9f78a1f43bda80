"""Consumers on a whole server: what waits for the disk, and what outlives a crash."""

import pytest

from tests.support.driven import Driver, bucket


@pytest.fixture
def server():
    driver = Driver()
    driver.sync()
    driver.client()
    driver.request("$JS.API.STREAM.CREATE.KV_b", bucket())
    return driver


def durable(server, **config):
    given = {"durable_name": "d", "ack_policy": "explicit", **config}
    body = {"stream_name": "KV_b", "config": given}
    return server.request("$JS.API.CONSUMER.DURABLE.CREATE.KV_b.d", body)


def delivered(server) -> str:
    """The reply subject of the one message that a pull request brings."""
    server.publish("$JS.API.CONSUMER.MSG.NEXT.KV_b.d", b"", reply="_I.pull")
    heard = server.heard().decode()
    return next(word for word in heard.split() if word.startswith("$JS.ACK."))


def test_an_acknowledgement_is_confirmed_only_after_the_sync_that_covers_it(server):
    server.publish("$KV.b.k", b"v")
    server.sync()
    durable(server)
    subject = delivered(server)
    server.sync()
    server.heard()
    effects = server.publish(subject, b"+ACK", reply="_I.safe")
    assert effects.sync is not None
    assert server.heard() == b""
    server.sync()
    assert b"MSG _I.safe 1 0\r\n" in server.heard()


def test_a_delivery_waits_for_no_sync(server):
    server.publish("$KV.b.k", b"v")
    server.sync()
    durable(server)
    assert delivered(server)


def test_what_was_acknowledged_never_returns_after_a_crash(server):
    for key in ("a", "b"):
        server.publish(f"$KV.b.{key}", b"v")
    server.sync()
    durable(server)
    server.publish(delivered(server), b"+ACK", reply="_I.safe")
    server.sync()
    assert b"_I.safe" in server.heard()
    again = Driver(server.stores)
    again.sync()
    again.client()
    assert delivered(again).split(".")[5] == "2"


def test_a_consumer_in_memory_is_confirmed_in_the_acknowledgements_own_turn():
    server = Driver()
    server.sync()
    server.client()
    server.request("$JS.API.STREAM.CREATE.KV_b", bucket(storage="memory"))
    server.publish("$KV.b.k", b"v")
    durable(server)
    subject = delivered(server)
    server.publish(subject, b"+ACK", reply="_I.safe")
    assert b"_I.safe" in server.heard()


def test_a_pull_from_a_consumer_that_is_gone_has_no_responders(server):
    durable(server)
    server.request("$JS.API.CONSUMER.DELETE.KV_b.d")
    server.heard()
    server.publish("$JS.API.CONSUMER.MSG.NEXT.KV_b.d", b"", reply="_I.pull")
    assert b"NATS/1.0 503" in server.heard()


def test_deleting_the_stream_tells_who_waits_for_a_message(server):
    durable(server)
    server.publish("$JS.API.CONSUMER.MSG.NEXT.KV_b.d", b'{"batch":1}', reply="_I.pull")
    server.publish("$JS.API.STREAM.DELETE.KV_b", b"", reply="_I.gone")
    server.sync()
    assert b"409 Consumer Deleted" in server.heard()


def test_an_idle_server_with_a_waiting_pull_asks_for_no_turn(server):
    durable(server)
    server.publish("$JS.API.CONSUMER.MSG.NEXT.KV_b.d", b'{"batch":1}', reply="_I.pull")
    server.sync()
    server.heard()
    turns = len(server.turns)
    server.wait(1)
    assert len(server.turns) - turns <= 2
