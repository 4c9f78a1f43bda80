"""The shrinker, without servers: scripts that fail by a rule that the test knows."""

import asyncio
from collections.abc import Callable

import pytest

from tests.differential.generator import generate
from tests.differential.script import Latest, Op, Script, Seq
from tests.differential.shrinker import shrunk


def shrink(script: Script, fails: Callable[[Script], bool]) -> Script:
    async def asked(candidate: Script) -> bool:
        return fails(candidate)

    assert fails(script)
    return asyncio.run(shrunk(script, asked))


def kinds(script: Script) -> list[str]:
    return [op.kind for op in script.ops]


@pytest.mark.parametrize("seed", range(20))
def test_only_the_operations_that_are_needed_are_left(seed: int) -> None:
    script = generate(seed)
    needed = script.ops[3], script.ops[9]
    small = shrink(script, lambda each: all(op.kind in kinds(each) for op in needed))
    assert sorted(kinds(small)) == sorted({op.kind for op in needed})


def test_the_order_of_what_is_left_stays() -> None:
    ops = tuple(Op(kind) for kind in ("status", "stop", "bind", "status", "stop", "bind"))

    def bind_after_stop(script: Script) -> bool:
        found = kinds(script)
        return "stop" in found and "bind" in found[found.index("stop") :]

    assert kinds(shrink(Script(0, {}, ops), bind_after_stop)) == ["stop", "bind"]


def test_operations_that_are_needed_together_stay_together() -> None:
    ops = tuple(Op("put", {"key": f"k{at}", "value": b""}) for at in range(30))

    def fails(script: Script) -> bool:
        return {"k2", "k13", "k29"} <= {op.args["key"] for op in script.ops}

    assert len(shrink(Script(0, {}, ops), fails).ops) == 3


def test_arguments_become_plainer() -> None:
    op = Op("update", {"key": "a.b.c", "value": b"v" * 40, "last": Latest("a", 3)})
    small = shrink(Script(0, {}, (op,)), lambda each: kinds(each) == ["update"])
    assert small.ops[0].args["last"] == Latest("a")
    assert small.ops[0].args["value"] == b""
    assert small.ops[0].args["key"] == "a"


def test_an_argument_that_matters_is_kept() -> None:
    headers = {"Nats-Msg-Id": "m1", "Nats-TTL": "1", "Own": "words"}
    op = Op("publish", {"key": "a", "value": b"", "headers": headers})

    def fails(script: Script) -> bool:
        return any("Nats-TTL" in (op.args["headers"] or {}) for op in script.ops)  # type: ignore[operator]

    assert shrink(Script(0, {}, (op,)), fails).ops[0].args["headers"] == {"Nats-TTL": "1"}


def test_the_configuration_becomes_smaller() -> None:
    config = {"history": 3, "direct": True, "ttl": 60, "storage": "memory"}
    script = Script(0, config, (Op("status"),))
    small = shrink(script, lambda each: bool(each.ops) and "direct" in each.config)
    assert small.config == {"direct": True}


def test_an_offset_moves_to_the_present() -> None:
    script = Script(0, {}, (Op("delete_msg", {"seq": Seq(50)}),))
    assert shrink(script, lambda each: bool(each.ops)).ops[0].args["seq"] in (Seq(1), Seq(0))


def test_a_script_that_fails_by_chance_still_ends() -> None:
    turns = iter(range(10**6))
    script = generate(3)
    small = shrink(script, lambda _: next(turns) % 3 != 1)
    assert len(small.ops) <= len(script.ops)


def test_the_same_seed_makes_the_same_script() -> None:
    assert [generate(seed) for seed in range(60)] == [generate(seed) for seed in range(60)]
