"""Durable, pull and acknowledging consumers answer as nats-server's do, in both worlds.

Answers, deliveries, the numbers in reply subjects and in CONSUMER.INFO, statuses and their
headers are compared word for word; `ALLOWED` lists what may differ.
"""

import asyncio
import os
from functools import cache
from pathlib import Path

import nats
import pytest

from kvcore.sim.world import World
from tests.interop.consumer_cases import CONSUMER_CASES, RESTART_CASES
from tests.interop.records import Allowed, Fact, compare, record, unused
from tests.support.require import require
from tests.support.servers import running

OURS = os.environ.get("KVCORE_INTEROP_OURS", "kvcore")

ALLOWED = (
    Allowed("", r"(.*\.)?(created|ts|first_ts|last_ts|last_active)", "a moment"),
    Allowed("pauses", r"pause_remaining", "a moment"),
    Allowed("", r"config\.metadata\._nats\.ver", "kvcore reports the version of its features"),
    Allowed("", r"config\.metadata\._nats\.level", "kvcore has the JetStream API of level 1"),
)
RESTART_ALLOWED = ALLOWED
RETRIES_COUNT = 2


@cache
def facts_of(kind: str, case: str) -> tuple[Fact, ...]:
    """What a server of this kind answers in one case."""
    cases = {case: CONSUMER_CASES[case]}
    if kind == "simulator":
        with World(seed=1, names=["interop"]) as world:
            return tuple(world.run(record(lambda: world.connect(allow_reconnect=False), cases)))
    with running(kind) as server:

        async def connect() -> nats.NATS:
            return await nats.connect(server.url, allow_reconnect=False)

        return tuple(asyncio.run(record(connect, cases)))


@pytest.mark.parametrize("world", [OURS, "simulator"])
@pytest.mark.parametrize("case", CONSUMER_CASES)
def test_a_consumer_does_what_nats_servers_does(case: str, world: str) -> None:
    require("go")
    theirs = facts_of("nats-server", case)
    assert theirs
    found = compare(facts_of(world, case), theirs, ALLOWED)
    for _ in range(RETRIES_COUNT if found else 0):
        # Pulls that expire within a second, and a server that takes them in on another thread
        # than questions about them: on a busy machine an answer may be of a moment later.
        ask = facts_of.__wrapped__
        found = compare(ask(world, case), ask("nats-server", case), ALLOWED)
        if not found:
            break
    assert not found, f"{len(found)} facts differ:\n" + "\n".join(found)


@cache
def facts_over_a_restart(kind: str, tmp: Path) -> tuple[Fact, ...]:
    """What a server says of its consumers before and after it was ended and started again."""
    facts: list[Fact] = []

    async def talk(url: str, case: str) -> None:
        async def connect() -> nats.NATS:
            return await nats.connect(url, allow_reconnect=False)

        facts.extend(await record(connect, {case: RESTART_CASES[case]}))

    for case in RESTART_CASES:
        with running(kind, store=tmp / kind) as server:
            asyncio.run(talk(server.url, case))
            server.stop()
    return tuple(facts)


def test_consumers_go_on_after_a_restart_as_nats_servers_do(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    require("go")
    tmp = tmp_path_factory.mktemp("stores")
    ours, theirs = (facts_over_a_restart(kind, tmp) for kind in (OURS, "nats-server"))
    found = compare(ours, theirs, RESTART_ALLOWED)
    assert not found, f"{len(found)} facts differ:\n" + "\n".join(found)


def test_every_allowed_difference_of_a_consumer_is_needed() -> None:
    require("go")
    facts = [fact for case in CONSUMER_CASES for fact in facts_of("nats-server", case)]
    left = unused(facts, ALLOWED)
    assert not left, f"remove: {left}"
