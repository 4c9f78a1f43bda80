"""A client's view of a cluster that loses servers is what docs/client-view.md says.

Ours is asked live; what nats-server said is recorded (`client_view.py` tells how to ask anew).
"""

import pytest

from tests.interop.client_view import (
    DOCUMENT,
    PERMITTED,
    Permitted,
    beyond,
    differing,
    document,
    ours,
    recorded,
    unlisted,
)
from tests.support.client_view import PROBES, Rows, titles
from tests.support.require import require


@pytest.fixture(scope="module")
def record() -> dict[str, Rows]:
    return {kind: recorded(kind) for kind in ("kvcore", "nats-server")}


def test_our_servers_show_a_client_what_is_recorded(record):
    require("go")
    found = ours()
    assert list(found) == list(record["kvcore"])
    assert beyond(found, record["kvcore"]) == []


def test_each_moment_of_nats_server_is_recorded_with_each_question(record):
    assert list(record["nats-server"]) == list(titles())
    for rows in record.values():
        assert all(list(row) == list(PROBES) for row in rows.values())


def test_the_two_differ_where_a_reason_is_given_and_nowhere_else(record):
    found = differing(record["kvcore"], record["nats-server"])
    assert unlisted(found, PERMITTED) == []


def test_a_difference_without_a_reason_and_a_reason_without_a_difference_are_found():
    permitted = (Permitted(("A",), ("put", "get"), "so it is"),)
    assert unlisted([("A", "put"), ("B", "get")], permitted) == [
        "not permitted: B, get",
        "not needed: A, get",
    ]


def test_an_outcome_that_is_not_recorded_is_found():
    record = {"A": {"put": "acked", "get": "value or timeout"}}
    assert beyond({"A": {"put": "acked", "get": "timeout"}}, record) == []
    assert len(beyond({"A": {"put": "timeout", "get": "503"}, "B": {"put": "acked"}}, record)) == 3


def test_the_document_is_written_from_the_record(record):
    assert DOCUMENT.read_text() == document(record["kvcore"], record["nats-server"])
