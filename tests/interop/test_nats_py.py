"""nats-py makes the same calls on our server, in both worlds, and on nats-server.

Values, revisions, operations, exceptions with their codes and texts must be the same. What
may differ is listed in `ALLOWED`; an entry that covers nothing fails.
"""

import ast
import asyncio
import dataclasses
import inspect
import os
from collections.abc import Awaitable, Callable, Iterator
from functools import cache
from pathlib import Path

import nats
import pytest
from nats.js import api
from nats.js.kv import KeyValue

from kvcore.sim.world import World
from tests.interop import pycases
from tests.interop.pycases import CASES, LAST_CASES
from tests.interop.records import Allowed, Case, Fact, compare, record, unused
from tests.support.require import require
from tests.support.servers import running

OURS = os.environ.get("KVCORE_INTEROP_OURS", "kvcore")

ALLOWED = (
    Allowed("", r"(.*\.)?(created|ts|first_ts|last_ts|time|timestamp|last_active)", "a moment"),
    Allowed("whole_server: account", r"api\.total", "cases that wait ask as often as it takes"),
    Allowed("direct", r"headers\.Nats-Time-Stamp", "a moment"),
    Allowed(
        ", live$",
        r"\[\d+\]\.delta",
        "how many wait behind a live update depends on how fast the consumer is just then",
    ),
    Allowed("consumer info", r"(config\.)?name", "the server picks a name by chance"),
    Allowed("consumer info", r"config\.deliver_subject", "the client picks an inbox by chance"),
    Allowed(
        "",
        r"(stream_info\.)?config\.metadata\._nats\.ver",
        "kvcore reports the version whose client features it has",
    ),
    Allowed(
        "",
        r"((stream_info\.)?config\.metadata\._nats|api)\.level",
        "kvcore has the JetStream API of level 1: per-key TTL, no atomic batches or counters",
    ),
)


async def _in_order(connect: Callable[[], Awaitable[nats.NATS]], wanted: str) -> list[Fact]:
    facts = await record(connect, {name: CASES[name] for name in CASES if wanted in ("", name)})
    for name, case in LAST_CASES.items():
        if wanted in ("", name):
            facts += await record(connect, {name: case})
    return facts


def ask(kind: str, wanted: str = "") -> tuple[Fact, ...]:
    """What a server of this kind answers in one case, or in all."""
    if kind == "simulator":
        with World(seed=1, names=["interop"]) as world:
            return tuple(world.run(_in_order(lambda: world.connect(allow_reconnect=False), wanted)))
    with running(kind) as server:

        async def connect() -> nats.NATS:
            return await nats.connect(server.url, allow_reconnect=False)

        return tuple(asyncio.run(_in_order(connect, wanted)))


@cache
def facts_of(kind: str) -> tuple[Fact, ...]:
    """All answers of a server of this kind; asked once for all tests here."""
    return ask(kind)


def _of(facts: tuple[Fact, ...], case: str) -> list[Fact]:
    return [fact for fact in facts if fact.case == case]


ALL: dict[str, Case] = {**CASES, **LAST_CASES}


@pytest.mark.parametrize("world", [OURS, "simulator"])
@pytest.mark.parametrize("case", ALL)
def test_nats_py_gets_nats_servers_answers_from_ours(case: str, world: str) -> None:
    require("go")
    theirs = _of(facts_of("nats-server"), case)
    assert theirs
    found = compare(_of(facts_of(world), case), theirs, ALLOWED)
    if found and case in CASES:  # nats-py's keys() and history() race with their own deliveries
        found = compare(ask(world, case), ask("nats-server", case), ALLOWED)
    assert not found, f"{len(found)} facts differ:\n" + "\n".join(found)


def test_every_call_and_option_of_nats_pys_kv_is_made() -> None:
    made = {(name, word) for name, word in _calls(Path(pycases.__file__).read_text())}
    for name, method in inspect.getmembers(KeyValue, inspect.isfunction):
        if name.startswith("_"):
            continue
        assert any(called == name for called, _ in made), f"{name} is never called"
        for option, parameter in inspect.signature(method).parameters.items():
            if option == "self" or parameter.kind is inspect.Parameter.VAR_KEYWORD:
                continue
            required = parameter.default is inspect.Parameter.empty
            assert required or (name, option) in made, f"{name}({option}=…) is never said"
    for field in dataclasses.fields(api.KeyValueConfig):
        assert ("create", field.name) in made or ("create_key_value", field.name) in made


def _calls(text: str) -> Iterator[tuple[str, str]]:
    """(method, keyword) of each call, "" for the call; a watch's options stand in dicts too."""
    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.Call(func=ast.Attribute(attr=name) | ast.Name(id=name)):
                called = "watch" if name == "watching" else name
                yield called, ""
                yield from ((called, keyword.arg or "") for keyword in node.keywords)
            case ast.Dict(keys=keys):
                words = [key.value for key in keys if isinstance(key, ast.Constant)]
                yield from (("watch", str(word)) for word in words)


def test_every_allowed_difference_is_needed() -> None:
    require("go")
    for kind in (OURS, "simulator", "nats-server"):
        left = unused(facts_of(kind), ALLOWED)
        assert not left, f"remove: {left}"


@pytest.mark.parametrize("case", ALL)
def test_a_planted_difference_in_a_case_is_found(case: str) -> None:
    require("go")
    theirs = _of(facts_of("nats-server"), case)
    assert compare(theirs[:-1], theirs, ALLOWED)
    assert compare(theirs, theirs[:-1], ALLOWED)
    for fact in theirs:
        if any(entry.covers(fact) for entry in ALLOWED):
            continue
        changed = fact._replace(value=("planted", fact.value))
        assert compare([changed], [fact], ALLOWED), f"changed: {fact}"
