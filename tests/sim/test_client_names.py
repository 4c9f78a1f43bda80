"""Every way in which nats-py reads a clock or a generator is known, and the world's."""

import ast
import asyncio
import datetime as dt
import importlib
import time
from pathlib import Path

import nats
import pytest

from kvcore.sim.client import HARMLESS, NAMES, PATCH
from kvcore.sim.world import World

SOURCES = ("time", "random", "secrets", "datetime", "uuid")
NOT_SIMULATED = ("nats.micro",)


def names_in(module: str, source: str) -> set[tuple[str, str]]:
    """The names that a module binds from the sources of time and chance."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {
                (module, alias.asname or alias.name)
                for alias in node.names
                if alias.name.split(".")[0] in SOURCES
            }
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in SOURCES:
            found |= {(module, alias.asname or alias.name) for alias in node.names}
        elif isinstance(node, ast.Attribute) and node.attr == "urandom":
            found.add((module, "urandom"))
    return found


def installed() -> dict[str, str]:
    root = Path(nats.__file__).parent
    modules = {}
    for path in sorted(root.rglob("*.py")):
        name = ".".join(("nats", *path.relative_to(root).with_suffix("").parts))
        modules[name.removesuffix(".__init__")] = path.read_text(encoding="utf-8")
    return {name: text for name, text in modules.items() if not name.startswith(NOT_SIMULATED)}


def test_no_use_of_time_or_chance_in_the_installed_client_is_unknown():
    found = set()
    for module, source in installed().items():
        found |= names_in(module, source)
    assert found == set(NAMES) | set(HARMLESS)


def test_a_new_use_would_be_found():
    assert names_in("nats.new", "from random import choice") == {("nats.new", "choice")}
    assert names_in("nats.new", "import time as clock") == {("nats.new", "clock")}
    assert names_in("nats.new", "x = os.urandom(4)") == {("nats.new", "urandom")}


def test_the_client_reads_only_what_the_worlds_clock_has():
    asked = set()
    for module, name in NAMES:
        if name == "time":
            tree = ast.parse(installed()[module])
            asked |= {
                node.attr
                for node in ast.walk(tree)
                if isinstance(node, ast.Attribute)
                and isinstance(node.value, ast.Name)
                and node.value.id == "time"
            }
    assert asked == {"monotonic"}


def test_dates_are_read_only_where_they_are_the_worlds():
    for module, source in installed().items():
        readers = [
            node
            for node in ast.walk(ast.parse(source))
            if isinstance(node, ast.Attribute) and node.attr in ("now", "utcnow", "today")
        ]
        assert not readers or (module, "datetime") in NAMES, module


def test_the_names_are_put_back_when_the_last_world_is_closed():
    before = {key: getattr(importlib.import_module(key[0]), key[1]) for key in NAMES}
    first, second = World(seed=1), World(seed=2)
    assert importlib.import_module("nats.nuid").randbelow is NAMES["nats.nuid", "randbelow"]
    first.close()
    assert importlib.import_module("nats.nuid").randbelow is NAMES["nats.nuid", "randbelow"]
    second.close()
    for key, original in before.items():
        assert getattr(importlib.import_module(key[0]), key[1]) is original


def test_inside_a_world_the_names_read_its_clock_and_chance():
    world = World(seed=1)
    client = importlib.import_module("nats.aio.client")
    kv = importlib.import_module("nats.js.kv")

    async def main():
        await asyncio.sleep(60)
        assert 60 <= client.time.monotonic() < 61
        assert kv.datetime.datetime.now(dt.UTC).isoformat().startswith("2026-01-01T00:01:00")
        return client.token_hex(8)

    first = world.run(main())
    world.close()
    world = World(seed=1)
    assert world.run(main()) == first
    assert abs(client.time.monotonic() - time.monotonic()) < 60  # outside a world: the real one
    world.close()


def test_patches_are_never_removed_twice():
    with pytest.raises(AssertionError):
        PATCH.remove()
