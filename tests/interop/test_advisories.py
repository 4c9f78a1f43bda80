"""Listeners hear of the same actions as on nats-server, in the same words.

Every field is compared; `ALLOWED` lists what may differ. The order of two events of one
action is left open, as it is on nats-server.
"""

import asyncio
import os
import subprocess
import threading
from functools import cache

import nats
import pytest

from kvcore.sim.world import World
from tests.interop.advisory_cases import ADVISORY_CASES
from tests.interop.records import Allowed, Fact, compare, record, unused
from tests.support.require import program, require
from tests.support.servers import running
from tests.support.wait import eventually

OURS = os.environ.get("KVCORE_INTEROP_OURS", "kvcore")
RETRIES_COUNT = 2

ALLOWED = (
    Allowed(
        "", r"(.*\.)?(created|ts|first_ts|last_ts|last_active|time|pause_remaining)", "a moment"
    ),
    Allowed("is told", r".*\.(timestamp|start|ack_time)", "a moment"),
    Allowed("", r"(.*\.)?metadata\._nats\.ver", "kvcore reports the version of its features"),
    Allowed("", r"(.*\.)?metadata\._nats\.level", "kvcore has the JetStream API of level 1"),
    Allowed("that_ends.*short pause", r"(.*\.)?pause_until", "two seconds from now"),
    Allowed("is told", r".*\.client\.host", "the simulator's clients have names for addresses"),
)


@cache
def facts_of(kind: str, case: str) -> tuple[Fact, ...]:
    """What is told on a server of this kind in one case."""
    cases = {case: ADVISORY_CASES[case]}
    if kind == "simulator":
        with World(seed=1, names=["interop"]) as world:
            return tuple(world.run(record(lambda: world.connect(allow_reconnect=False), cases)))
    with running(kind) as server:

        async def connect() -> nats.NATS:
            return await nats.connect(server.url, allow_reconnect=False)

        return tuple(asyncio.run(record(connect, cases)))


@pytest.mark.parametrize("world", [OURS, "simulator"])
@pytest.mark.parametrize("case", ADVISORY_CASES)
def test_listeners_hear_what_nats_servers_do(case: str, world: str) -> None:
    require("go")
    found = compare(facts_of(world, case), facts_of("nats-server", case), ALLOWED)
    for _ in range(RETRIES_COUNT if found else 0):
        # Some cases wait for alarms of a fraction of a second, and the machine may be busy.
        ask = facts_of.__wrapped__
        found = compare(ask(world, case), ask("nats-server", case), ALLOWED)
        if not found:
            break
    assert not found, f"{len(found)} facts differ:\n" + "\n".join(found)


def test_every_allowed_difference_of_an_advisory_is_needed() -> None:
    require("go")
    facts = [fact for case in ADVISORY_CASES for fact in facts_of("nats-server", case)]
    left = unused(facts, ALLOWED)
    assert not left, f"remove: {left}"


def test_nats_events_prints_what_happens() -> None:
    require("go")
    with running(OURS) as server:
        words = ["events", "--js-advisory", "--js-metric", "-s", server.url]
        lines: list[str] = []
        with subprocess.Popen(
            [program("nats"), *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as listener:

            def read() -> None:
                assert listener.stdout is not None
                lines.extend(iter(listener.stdout.readline, ""))

            reader = threading.Thread(target=read)
            reader.start()
            try:
                eventually(lambda: _act(server.url) or _titles(lines) >= _TITLES, 30.0, "all kinds")
            finally:
                listener.kill()
                reader.join()
    assert not any("invalid" in line.lower() for line in lines)


_TITLES = {
    "JetStream API Access", "Stream Create Action", "Stream Delete Action",
    "Consumer Create Action", "Consumer Delete Action", "Acknowledgment Sample",
    "Delivery NAKed", "Delivery Terminated",
}  # fmt: skip


def _titles(lines: list[str]) -> set[str]:
    """What stands behind the time and the id of each event."""
    return {line.rpartition("] ")[2].strip() for line in lines if line.startswith("[")}


def _act(url: str) -> None:
    """One of each action."""

    async def act() -> None:
        nc = await nats.connect(url)
        js = nc.jetstream()
        await js.add_stream(name="S", subjects=["s.>"])
        await js.publish("s.a", b"")
        sub = await js.pull_subscribe(
            "s.>", "d", config=nats.js.api.ConsumerConfig(sample_freq="100%")
        )
        for say in ("nak", "term", "ack"):
            if say == "ack":
                await js.publish("s.b", b"")
            (message,) = await sub.fetch(1)
            await getattr(message, say)()
        await nc.flush()
        await js.delete_stream("S")
        await nc.close()

    asyncio.run(act())
