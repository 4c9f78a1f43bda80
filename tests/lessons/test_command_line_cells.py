"""Lessons show what a command line prints: the same, whichever `nats` a reader has."""

import ast
from pathlib import Path

import nbformat
import pytest

from kvcore.lab import terminal
from kvcore.lab.cluster import Cluster
from tests.support.require import require

LESSON = Path(__file__).parents[2] / "course" / "01_put_and_get.ipynb"


def commands():
    """The literal command lines of the lesson, in order."""
    for cell in nbformat.read(LESSON, as_version=4).cells:
        if cell.cell_type == "code":
            flags = ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
            for node in compile(cell.source, "<cell>", "exec", flags=flags).body:
                match node:
                    case ast.Expr(
                        ast.Call(ast.Attribute(ast.Name("real"), "shell"), [ast.Constant(text)])
                    ):
                        yield text


def conversation():
    """What they print, one after the other, on a fresh server."""
    cluster = Cluster.processes(1)
    try:
        return [(command, cluster.said(command)) for command in commands()]
    finally:
        cluster.close()


def test_the_article_s_three_commands_stand_in_lesson_01_as_they_were_written():
    found = list(commands())
    assert "nats kv add my_kv_store" in found
    assert 'echo "hello world" | nats kv put my_kv_store greeting "hello world"' in found
    assert "nats kv get my_kv_store greeting" in found


def test_the_official_cli_and_ours_print_the_same_for_each_command_of_lesson_01(monkeypatch):
    require("go")
    monkeypatch.delenv("KVCORE_WORLD", raising=False)
    if terminal.official_cli() is None:
        pytest.fail("the lab does not find the official CLI that the tests found")
    official = conversation()
    monkeypatch.setattr(terminal, "official_cli", lambda: None)
    assert conversation() == official
