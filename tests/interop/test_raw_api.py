"""The JetStream API, asked with bytes: our server answers as nats-server does, field by field.

Every answer's JSON, or its header and payload, is compared. What may differ is listed in
`ALLOWED` (fields of the same type on both sides) and in `OTHERWISE` (whole calls that kvcore
refuses or answers differently on purpose, each in docs/differences.md); an entry that is not
needed fails.
"""

import json
import os
import re
from functools import cache

import pytest

from tests.interop.rawcases import FAMILIES, Ask
from tests.interop.records import Allowed, Fact, compare, unused, walk
from tests.support.require import require
from tests.support.servers import running
from tests.support.wire import Delivery, Wire

OURS = os.environ.get("KVCORE_INTEROP_OURS", "kvcore")
CONNECT = '{"verbose":false,"headers":true,"no_responders":true}'
INVALID_JSON = re.compile(rb"(?<=\")invalid JSON:(?:[^\"\\]|\\.)*")  # Python's own words follow
ENDS = re.compile(rb"NATS/1\.0 (204|4\d\d|503)")

LEVEL = "kvcore has the JetStream API of level 1"
ALLOWED = (
    Allowed("", r"(.*\.)?(created|ts|first_ts|last_ts|time)", "a moment"),
    Allowed("", r"(.*\.)?_nats\.ver", "kvcore reports the version whose features it has"),
    Allowed("", r"(.*\.)?_nats\.level", LEVEL),
    Allowed("", r"header\.Nats-Time-Stamp(\[\d+\])?|\[\d+\]\.header\.Nats-Time-Stamp", "a moment"),
    Allowed(r"CONSUMER\.CREATE\.KV_b \{", r"(config\.)?name", "the server picks a name by chance"),
)

OTHERWISE = {
    "$JS.API.STREAM.UPDATE.B  ": "an update without a name is refused for its name, not its form",
    "$JS.API.STREAM.PURGE.KV_b nonsense": "nats-server purges everything when it can't read how",
    "('Nats-TTL', '99999999999999999999')": "nats-server takes a TTL that no clock can hold",
    '"rate_limit_bps": 1000': "not supported, so it is refused rather than ignored",
}


def parsed(frame: Delivery) -> object:
    """JSON without a header is the document; else header lines and payload."""
    if not frame.header:
        try:
            return json.loads(INVALID_JSON.sub(b"invalid JSON", frame.payload))
        except ValueError:
            return frame.payload
    first, *lines = frame.header.decode().rstrip("\r\n").split("\r\n")
    header = dict(line.split(": ", 1) for line in lines)
    return {"status": first, "header": header, "payload": frame.payload}


def ask(wire: Wire, request: Ask) -> object:
    """The answer; for `many`, the list of them."""
    header = b""
    if request.headers:
        lines = "".join(f"{name}: {value}\r\n" for name, value in request.headers)
        header = f"NATS/1.0\r\n{lines}\r\n".encode()
    if not request.many:
        return parsed(wire.request(request.subject, request.body, header))
    wire.send(b"SUB many 77\r\n")
    data = json.dumps(request.body).encode()
    wire.send(b"PUB %s many %d\r\n%s\r\nPING\r\n" % (request.subject.encode(), len(data), data))
    found: list[object] = []
    batched = isinstance(request.body, dict) and {"batch", "multi_last"} & request.body.keys()
    while True:
        frame = wire.frame()
        assert frame is not None
        if isinstance(frame, Delivery) and frame.subject == "many":
            found.append(parsed(frame))
            if ENDS.match(frame.header) or not batched:
                wire.send(b"UNSUB 77\r\n")
                return found


def named(number: int, request: Ask) -> str:
    """How a request is called in a report."""
    body = request.body if isinstance(request.body, bytes) else json.dumps(request.body).encode()
    return f"{number} {request.subject} {body[:150].decode('utf-8', 'replace')} {request.headers}"


def otherwise(call: str) -> str | None:
    """The entry of `OTHERWISE` that speaks of this call."""
    return next((part for part in OTHERWISE if part in call), None)


@cache
def facts_of(kind: str, family: str) -> tuple[Fact, ...]:
    """Every answer of a fresh server to one family."""
    facts = []
    with running(kind) as server, Wire(server.port, CONNECT) as wire:
        for number, request in enumerate(FAMILIES[family]):
            call = named(number, request)
            if otherwise(call):
                continue
            facts += [Fact(family, call, *leaf) for leaf in walk(ask(wire, request))]
    return tuple(facts)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_api_answers_as_nats_server_does(family: str) -> None:
    require("go")
    found = compare(facts_of(OURS, family), facts_of("nats-server", family), ALLOWED)
    assert not found, f"{len(found)} facts differ:\n" + "\n".join(found)


def test_every_allowed_difference_is_needed() -> None:
    require("go")
    facts = [fact for family in FAMILIES for fact in facts_of("nats-server", family)]
    assert not unused(facts, ALLOWED)


@pytest.mark.parametrize("part", OTHERWISE)
def test_each_call_that_is_answered_otherwise_still_is(part: str) -> None:
    require("go")
    answers = {}
    for kind in ("kvcore", "nats-server"):
        (family, number), *more = [
            (family, number)
            for family, requests in FAMILIES.items()
            for number, request in enumerate(requests)
            if part in named(number, request)
        ]
        assert not more
        with running(kind) as server, Wire(server.port, CONNECT) as wire:
            for request in FAMILIES[family][:number]:
                ask(wire, request)
            answers[kind] = ask(wire, FAMILIES[family][number])
    assert "error" in answers["kvcore"]
    ours, theirs = ([*walk(answers[kind])] for kind in ("kvcore", "nats-server"))
    assert ours != theirs
