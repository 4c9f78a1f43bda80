"""A test that needs a tool skips without it, unless the run promised to have it."""

from pathlib import Path

import pytest

from tests.support import engine, require


@pytest.fixture(autouse=True)
def no_such_tool(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(require.NEEDS, "moon", (("no-such-program-anywhere",),))


def test_a_missing_tool_skips_with_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KVCORE_REQUIRE", raising=False)
    with pytest.raises(pytest.skip.Exception, match="needs moon: no-such-program-anywhere"):
        require.require("moon")


def test_a_missing_tool_fails_where_the_run_requires_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KVCORE_REQUIRE", "go,moon")
    with pytest.raises(pytest.fail.Exception, match="KVCORE_REQUIRE lists moon"):
        require.require("moon")


def test_a_tool_that_is_there_lets_the_test_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(require.NEEDS, "moon", (("sh",),))
    require.require("moon")


def test_a_tool_that_is_too_old_counts_as_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    script = tmp_path / "oldie"
    script.write_text("#!/bin/sh\necho v18.20.4\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setitem(require.NEEDS, "moon", (("oldie",),))
    monkeypatch.setitem(require.OLDEST, "oldie", ("--version", (18, 0)))
    require.find.cache_clear()
    require.require("moon")
    monkeypatch.setitem(require.OLDEST, "oldie", ("--version", (20, 0)))
    require.find.cache_clear()
    with pytest.raises(pytest.skip.Exception, match=r"oldie 20\.0 or later not found"):
        require.require("moon")


def test_who_requires_go_requires_its_compiler_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(require.NEEDS, "compiler", (("no-such-program-anywhere",),))
    monkeypatch.setenv("KVCORE_REQUIRE", "go")
    with pytest.raises(pytest.fail.Exception, match="KVCORE_REQUIRE lists go"):
        require.require("compiler")


def test_without_an_engine_tests_of_containers_skip_or_fail_as_the_run_has_promised(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(engine, "answers", lambda: False)
    monkeypatch.setattr(engine.shutil, "which", lambda name, path: None)
    monkeypatch.setenv("KVCORE_REQUIRE", "go")
    with pytest.raises(pytest.skip.Exception, match="no container engine"), engine.running():
        pass
    monkeypatch.setenv("KVCORE_REQUIRE", "go,docker")
    with pytest.raises(pytest.fail.Exception, match="lists docker"), engine.running():
        pass
