"""A check runs in worlds of its own: from plain Python, and from a cell of a running world."""

from pathlib import Path

import pytest

from kvcore.lab import check, exercise, show_trace
from tests.support import exercises
from tests.support.kernel import Kernel

ROOT = str(Path(__file__).resolve().parents[2])
SETUP = """
import asyncio
from kvcore.lab import Cluster, check
from tests.support import exercises
exercises.declare_get_text()
cluster = Cluster.sim(seed=1)
client = await cluster.connect()
kv = await client.jetstream().create_key_value(bucket="mine")
"""


async def right(kv, key):
    return (await kv.get(key)).value.decode()


async def hard_coded(kv, key):
    return "hello 1"


async def misspelt(kv, key):
    return (await kv.get(key)).valu.decode()


async def waits(kv, key):
    watcher = await kv.watch("nothing.>")
    await watcher.updates()
    return (await watcher.updates(timeout=None)).value


@pytest.fixture
def declared(monkeypatch):
    monkeypatch.setenv("KVCOURSE_PROGRESS", "off")
    monkeypatch.setattr(exercise, "_declared", {})
    exercises.declare_get_text()


def test_a_check_makes_a_fresh_world_for_each_seed(declared):
    assert check("90e", right)
    assert "seed      2" in check("90e", hard_coded).text


def test_the_learners_line_is_shown_from_inside_a_world(declared):
    result = check("90e", misspelt)
    assert result.hint_id == "90e.error"
    assert "return (await kv.get(key)).valu.decode()" in result.text


def test_an_exception_in_a_world_has_a_trace_that_ends_with_what_went_over_the_wire(
    declared, capsys
):
    check("90e", misspelt)
    assert 'show_trace("90e")' in capsys.readouterr().out
    show_trace("90e")
    told = capsys.readouterr().out
    assert "kv = <KeyValue>, key = 'greeting'" in told
    assert "n1 receives  PUB $JS.API." in told
    assert "n1 sends " in told


def test_a_wait_that_never_ends_costs_no_time_and_names_its_line(declared):
    result = check("90e", waits)
    assert result.hint_id == "90e.wait"
    assert "watcher.updates(timeout=None)" in result.text


@pytest.fixture(scope="module")
def kernel():
    kernel = Kernel(PYTHONPATH=ROOT, KVCOURSE_PROGRESS="off")
    said = kernel.run(SETUP)
    assert (said.error, said.stderr) == ("", "")
    yield kernel
    kernel.stop()


RIGHT = "async def get_text(kv, key):\n    return (await kv.get(key)).value.decode()\n"
ENDLESS = "async def get_text(kv, key):\n    while True:\n        await asyncio.sleep(0)\n"
BUSY = "async def get_text(kv, key):\n    while True:\n        pass\n"


def test_a_check_in_a_cell_leaves_the_learners_world_as_it_was(kernel):
    before = kernel.run("cluster.now()").result
    said = kernel.run(RIGHT + "check('90e', get_text)")
    assert (said.stdout, said.result) == ("✓ PASS  90e\n  tried     8 worlds\n", "")
    assert (said.error, said.stderr) == ("", "")
    assert kernel.run("cluster.now()").result == before
    assert kernel.run("await kv.put('a', b'1')").error == ""


@pytest.mark.parametrize("text", [ENDLESS, BUSY], ids=["endless", "busy"])
def test_endless_code_in_a_cell_gives_a_message_and_the_world_goes_on(kernel, text):
    said = kernel.run(text + "check('90e', get_text)")
    assert said.error == ""
    assert said.stdout.startswith("✗ NOT YET  90e\n")
    assert " at line " in said.stdout
    assert said.seconds < 8
    assert kernel.run("await kv.put('a', b'2')").error == ""


def test_a_stub_in_a_cell_is_not_attempted(kernel):
    said = kernel.run("async def get_text(kv, key):\n    'Read.'\n    ...\ncheck('90e', get_text)")
    assert said.stdout.startswith("○ NOT ATTEMPTED  90e\n  open      get_text\n")
