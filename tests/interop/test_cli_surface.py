"""Every command and flag of the CLI's kv, stream, consumer, check and bench is typed somewhere."""

import pytest

from tests.interop.cli_surface import LEFT_OUT, Command, families, typed, used
from tests.interop.families import FAMILIES
from tests.support.require import require


@pytest.fixture(scope="module")
def tree() -> dict[str, Command]:
    require("go")
    return families()


@pytest.fixture(scope="module")
def offered(tree: dict[str, Command]) -> set[tuple[str, str]]:
    commands = [command for root in tree.values() for command in root.all()]
    return {(command.name, flag) for command in commands for flag in ("", *command.flags)}


@pytest.fixture(scope="module")
def told(tree: dict[str, Command]) -> set[tuple[str, str]]:
    lines = [line for steps in FAMILIES.values() for line in typed(steps)]
    return used(lines, tree)


def test_every_command_and_flag_is_typed_or_left_out_for_a_reason(
    offered: set[tuple[str, str]], told: set[tuple[str, str]]
) -> None:
    assert len(offered) > 600
    assert not told - offered
    missing = sorted(
        f"{command} --{flag}"
        for command, flag in offered - told
        if not any(entry.covers(command, flag) for entry in LEFT_OUT)
    )
    assert not missing


def test_what_is_left_out_exists_and_is_not_typed(
    offered: set[tuple[str, str]], told: set[tuple[str, str]]
) -> None:
    for entry in LEFT_OUT:
        assert entry.reason
        covered = {pair for pair in offered if entry.covers(*pair)}
        assert covered, f"remove: {entry}"
        assert covered - told, f"all of it is typed: {entry}"


def test_a_flag_is_read_in_each_of_its_forms(tree: dict[str, Command]) -> None:
    lines = ["kv new b --history=3 --no-compress", "stream ls -a", "consumer next S c"]
    assert used(lines, tree) == {
        *(("kv", ""), ("kv add", ""), ("kv add", "history"), ("kv add", "compress")),
        *(("stream", ""), ("stream ls", ""), ("stream", "all")),
        *(("consumer", ""), ("consumer next", "")),
    }
    assert used(["kv put b --history 3"], tree) == {("kv", ""), ("kv put", "")}
